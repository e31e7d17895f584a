//! Who gets in, and how much of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use chrono::TimeDelta;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tower_http::timeout::TimeoutBody;
use tracing::warn;

use super::access::{Access, Identity, Key, Limiter, Need, Peer, Proof, Rate, Secret, TokenCache};
use super::bodies::Bodies;
use super::error::{ApiError, RequestId};
use super::routes::roles;
use super::state::Hub;
use crate::api::{Personality, RECON_AGENT, Token};

/// Longest query: the routes take short words and cursors.
const QUERY_MAX: usize = 8 * 1024;
/// A token's last use is noted as often as this.
const NOTE_USE_EVERY: TimeDelta = TimeDelta::minutes(1);
/// So many callers of one address may fail to say who they are, a second.
const FAILURES: u32 = 10;
/// A token waits no longer than this to be looked up.
const TURN_TIME: Duration = Duration::from_secs(5);

/// Refuses callers that must not get in. What says only that the hub lives is open to all.
pub(super) async fn guard(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.ok_or_else(|| ApiError::bad_request("the caller's address is not known"))?;
    if let Peer::Network(_) = peer {
        let host = host_of(request.headers(), request.uri())?;
        hub.guard.access.check_host(&host)?;
    }
    if request.uri().query().is_some_and(|q| q.len() > QUERY_MAX) {
        return Err(ApiError::new(
            StatusCode::URI_TOO_LONG,
            format!("the parameters after ? must be {QUERY_MAX} bytes at most"),
        ));
    }
    let path = request.extensions().get::<MatchedPath>();
    let need = roles::need(request.method(), path.map(MatchedPath::as_str));
    if let Peer::Network(_) = peer {
        check_origin(request.headers())?;
        check_site(request.headers(), request.method(), need)?;
    }
    if need == Need::Nothing {
        hub.guard.count_anonymous(peer)?;
    } else {
        let id = request.extensions().get::<RequestId>().copied();
        let identity = hub.guard.identify(&hub, request.headers(), peer).await?;
        let identity = Identity {
            request_id: id.unwrap_or_default().0,
            ..identity
        };
        identity.check(need)?;
        check_claims(&identity, need, &request)?;
        request.extensions_mut().insert(identity);
    }
    let request = with_patience(request, hub.guard.access.body_pause);
    let (request, _held) = hub.guard.bodies.hold(request);
    Ok(next.run(request).await)
}

/// A body that trickles in holds a connection and its memory; one that pauses too long is given up.
fn with_patience(request: Request, pause: Duration) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::new(TimeoutBody::new(pause, body)))
}

/// What a request says of its sender must be what the token says. Bodies are their handlers' matter.
fn check_claims(identity: &Identity, need: Need, request: &Request) -> Result<(), ApiError> {
    if !identity.is_bound() {
        return Ok(());
    }
    let params: Vec<(String, String)> = Query::try_from_uri(request.uri())
        .map(|Query(all)| all)
        .map_err(|_| ApiError::bad_request("the parameters after ? cannot be read"))?;
    for (_, agent) in params
        .iter()
        .filter(|(name, value)| name == "agent" && !value.is_empty())
    {
        identity.may_call_itself(agent)?;
    }
    if let Some(agent) = request.headers().get(RECON_AGENT) {
        identity.may_call_itself(agent.to_str().unwrap_or_default())?;
    }
    if need != Need::Work {
        return Ok(());
    }
    let path = roles::below_prefix(request.uri().path());
    let kinds = path.split('/').filter_map(|part| part.parse().ok());
    kinds
        .take(1)
        .try_for_each(|kind: Personality| identity.may_work_as(kind))
}

/// Who is let in, and who was just now.
#[derive(Debug)]
pub(super) struct Guard {
    access: Access,
    tokens: TokenCache,
    limiter: Limiter,
    /// A place for a lookup from where others failed.
    suspects: Semaphore,
    bodies: Bodies,
}

impl Guard {
    pub(super) fn new(access: Access) -> Self {
        Self {
            access,
            tokens: TokenCache::default(),
            limiter: Limiter::default(),
            suspects: Semaphore::new(1),
            bodies: Bodies::default(),
        }
    }

    /// A token is not what it was.
    pub(super) fn forget_tokens(&self) {
        self.tokens.clear();
    }

    /// Who calls; its request is counted.
    async fn identify(
        &self,
        hub: &Hub,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<Identity, ApiError> {
        let proof = match bearer(headers) {
            Some(text) => Proof::Token(self.token(hub, text, peer).await?),
            None => self.without_token(peer)?,
        };
        match &proof {
            Proof::Token(token) => {
                let most = self.access.max_requests;
                self.count(Key::Token(token.id), most, most.saturating_mul(2))?;
            }
            Proof::Anonymous => self.count_anonymous(peer)?,
            Proof::Socket { .. } => {}
        }
        Ok(Identity {
            proof,
            peer,
            request_id: uuid::Uuid::nil(),
        })
    }

    fn without_token(&self, peer: Peer) -> Result<Proof, ApiError> {
        match peer {
            Peer::Socket { uid } if uid == 0 || uid == rustix::process::geteuid().as_raw() => {
                Ok(Proof::Socket { uid })
            }
            Peer::Network(peer)
                if self.access.anonymous_loopback && peer.ip().to_canonical().is_loopback() =>
            {
                Ok(Proof::Anonymous)
            }
            _ => Err(self.refuse(peer, NO_TOKEN, None)),
        }
    }

    async fn token(
        &self,
        hub: &Hub,
        text: Option<&str>,
        peer: Peer,
    ) -> Result<Arc<Token>, ApiError> {
        let bad = |text| {
            self.refuse(
                peer,
                text,
                Some("Bearer realm=\"recon\", error=\"invalid_token\""),
            )
        };
        let Some(secret) = text.and_then(Secret::parse) else {
            return Err(bad("this is no token of a hub"));
        };
        let (sha256, now) = (secret.sha256(), Instant::now());
        let token = match self.tokens.get(&sha256, now) {
            Some(token) => token,
            None => {
                let _turn = self.turn(peer).await?;
                let found = hub.store.token_by_secret(sha256).await?;
                let Some(token) = found.map(Arc::new) else {
                    return Err(bad("the hub does not know this token"));
                };
                note_use(hub, &token);
                self.tokens.put(sha256, Arc::clone(&token), now);
                token
            }
        };
        if token.revoked_at.is_some() {
            return Err(bad("this token is revoked"));
        }
        if token.expires_at.is_some_and(|end| end <= hub.clock.now()) {
            return Err(bad("this token has expired"));
        }
        Ok(token)
    }

    /// 401, and it counts: whoever tries out tokens is slowed down.
    fn refuse(&self, peer: Peer, text: &str, challenge: Option<&'static str>) -> ApiError {
        if let Some(address) = peer.address() {
            let rate = Rate::new(FAILURES, FAILURES);
            if let Err(wait) = self
                .limiter
                .take(Key::Failure(address), rate, Instant::now())
            {
                return ApiError::too_many(wait);
            }
        }
        let error = ApiError::new(StatusCode::UNAUTHORIZED, text);
        match challenge {
            Some(challenge) => error.challenge(challenge),
            None => error,
        }
    }

    /// The right secret gets in, whatever others at its address do. But where secrets are tried out
    /// they are looked up one after the other, so that guessing does not take up the database.
    async fn turn(&self, peer: Peer) -> Result<Option<SemaphorePermit<'_>>, ApiError> {
        let Some(address) = peer.address() else {
            return Ok(None);
        };
        let rate = Rate::new(FAILURES, FAILURES);
        let looked = self
            .limiter
            .look(Key::Failure(address), rate, Instant::now());
        if looked.is_ok() {
            return Ok(None);
        }
        match timeout(TURN_TIME, self.suspects.acquire()).await {
            Ok(turn) => Ok(turn.ok()),
            Err(_) => Err(ApiError::too_many(TURN_TIME)),
        }
    }

    fn count_anonymous(&self, peer: Peer) -> Result<(), ApiError> {
        let most = self.access.max_requests;
        match peer.address() {
            Some(address) => self.count(Key::Anonymous(address), most.div_ceil(2), most),
            None => Ok(()),
        }
    }

    fn count(&self, key: Key, per_second: u32, burst: u32) -> Result<(), ApiError> {
        if per_second == 0 {
            return Ok(());
        }
        let taken = self
            .limiter
            .take(key, Rate::new(per_second, burst), Instant::now());
        taken.map_err(ApiError::too_many)
    }
}

const NO_TOKEN: &str =
    "a token is needed (Authorization: Bearer …); reconctl hub token create makes one";

/// Notes that a token is in use, without holding up who uses it.
fn note_use(hub: &Hub, token: &Token) {
    let now = hub.clock.now();
    if token
        .last_used_at
        .is_some_and(|last| now - last < NOTE_USE_EVERY)
    {
        return;
    }
    let (store, id) = (Arc::clone(&hub.store), token.id);
    tokio::spawn(async move {
        if let Err(problem) = store.token_used(id, now).await {
            warn!(%problem, "the use of a token was not noted");
        }
    });
}

/// What the caller gives as its token, if it gives one; `Some(None)` when that cannot be read.
fn bearer(headers: &HeaderMap) -> Option<Option<&str>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(None);
    }
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(token.map(|(_, token)| token.trim()))
}

impl Access {
    /// A web page can make its own name lead to loopback (DNS rebinding); the browser then sends
    /// that name. An address in its place cannot be forged so.
    fn check_host(&self, host: &str) -> Result<(), ApiError> {
        let name = host_name(host);
        let known = name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self
                .names
                .iter()
                .any(|n| n == "*" || n.eq_ignore_ascii_case(name));
        if known {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "the hub is not known by this Host name; call it by address, or name it with \
             --allow-host",
        ))
    }
}

fn host_of(headers: &HeaderMap, uri: &Uri) -> Result<String, ApiError> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::to_owned),
        (None, _) => uri.authority().map(|a| a.as_str().to_owned()),
        (Some(_), Some(_)) => None,
    };
    host.filter(|h| !h.is_empty())
        .ok_or_else(|| ApiError::bad_request("send one Host header"))
}

/// The host without its port; an IPv6 address without its brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

const ANOTHER_SITE: &str = "requests from pages of another site are refused";

/// Pages of other sites may not use the hub through a visitor's browser. Programs send no Origin.
fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let own = origin
        .to_str()
        .ok()
        .and_then(|o| o.split_once("://"))
        .map(|(_, rest)| rest);
    if own.is_some() && own == host {
        return Ok(());
    }
    Err(ApiError::forbidden(ANOTHER_SITE))
}

/// What a page shows (an image, say) it asks for without an Origin; but browsers say from where it
/// is asked for (Fetch Metadata), and programs do not. A link to what only reads may be followed:
/// the page that it is on does not see the answer.
fn check_site(headers: &HeaderMap, method: &Method, need: Need) -> Result<(), ApiError> {
    let of = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let own = matches!(of("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    let followed = of("sec-fetch-mode") == Some(b"navigate")
        && of("sec-fetch-dest") == Some(b"document")
        && method.is_safe()
        && matches!(need, Need::Nothing | Need::Look);
    if own || followed {
        return Ok(());
    }
    Err(ApiError::forbidden(ANOTHER_SITE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let access = Access {
            anonymous_loopback: true,
            names: vec!["hub.example.org".to_owned()],
            max_requests: 0,
            body_pause: Duration::ZERO,
        };
        for good in [
            "localhost",
            "LOCALHOST:9000",
            "127.0.0.1:9000",
            "[::1]:9000",
            "10.1.2.3",
            "Hub.Example.org:80",
        ] {
            assert!(access.check_host(good).is_ok(), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example:9000",
            "127.0.0.1.evil",
            "[evil]",
        ] {
            assert!(access.check_host(bad).is_err(), "{bad}");
        }
    }
}
