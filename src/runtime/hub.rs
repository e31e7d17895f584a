use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::api::{
    AssessmentContext, EggRecord, EggRecordList, ErrorBody, Heartbeat, HeartbeatAnswer,
    IDEMPOTENCY_KEY, Personality, WebContext, WorkKind,
};

use super::credentials::{Credentials, TokenFile};

/// The hub as an agent sees it: ours, or the earlier Django server, which leases nothing and ignores
/// what it does not know.
#[derive(Debug, Clone)]
pub struct HubClient {
    http: Client,
    base: Url,
    caller: String,
    token: Arc<TokenFile>,
}

/// Why the hub did not do it.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The URL is none.
    #[error("{url:?} is not a URL of a hub: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer; worth another try.
    #[error("hub unreachable: {0}")]
    Unreachable(String),
    /// It cannot now; worth another try.
    #[error("hub busy ({status}): {message}")]
    Busy {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It does not let this agent in; worth another try, as somebody has to mend that.
    #[error("{0}")]
    Token(String),
    /// It will not; the same request will fail again.
    #[error("hub refuses ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// Machine-readable reason, if it gave one.
        skip_reason: Option<String>,
    },
    /// The answer makes no sense.
    #[error("hub answered nonsense: {0}")]
    Nonsense(String),
}

impl HubError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Busy { .. } | Self::Token(_) | Self::Nonsense(_)
        )
    }

    /// When the hub wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The hub stored it, now or before.
    Stored,
    /// The hub has a result of that kind from somebody else and does not want this one.
    Superseded,
}

/// Connecting takes longer than this only when nobody is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read, bytes: 1,000 records are below 1 MiB.
const MAX_ANSWER: usize = 8 << 20;

impl HubClient {
    /// Longest time for a request other than a submission (`api_timeout` of the earlier system).
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// Longest time for a request for work: the hub may have to look up names, and an answer that
    /// nobody waits for leaves its leases to run out.
    pub const LEASE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Longest time for a submission (`submit_timeout`).
    pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(30);

    /// A client for the hub at this URL; `caller` is `NAME@HOST`.
    ///
    /// # Errors
    /// The URL is none, or the certificates cannot be read.
    pub fn new(url: &str, caller: String, credentials: &Credentials) -> Result<Self, HubError> {
        let bad = |reason: String| HubError::Url {
            url: url.to_owned(),
            reason,
        };
        let base = Url::parse(url.trim_end_matches('/')).map_err(|e| bad(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("it must begin with http:// or https://".to_owned()));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("recon/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1);
        if base.scheme() == "http" {
            // Reading the system's certificates costs memory and start-up time for nothing.
            builder = builder.tls_certs_only([]);
        } else if let Some(path) = &credentials.authority {
            let pem = std::fs::read(path).map_err(|e| bad(format!("{}: {e}", path.display())))?;
            let authority = Certificate::from_pem_bundle(&pem)
                .map_err(|e| bad(format!("{}: {}", path.display(), chain(&e))))?;
            builder = builder.tls_certs_only(authority);
        }
        let http = builder.build().map_err(|e| bad(chain(&e)))?;
        Ok(Self {
            http,
            base,
            caller,
            token: Arc::new(TokenFile::new(credentials.token.clone())),
        })
    }

    /// The URL, for messages.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Leases up to `limit` records for `lease` seconds; first those of the leases `resume`, which
    /// this agent held when it ended, if they are still its own.
    ///
    /// # Errors
    /// The hub did not answer as it should.
    pub async fn lease(
        &self,
        personality: Personality,
        kind: WorkKind,
        limit: u32,
        lease: Duration,
        resume: &[Uuid],
    ) -> Result<Vec<EggRecord>, HubError> {
        let mut request = self
            .http
            .get(self.path(&format!("daemon/{personality}/eggrecords/")))
            .query(&[
                ("limit", limit.to_string()),
                ("scan_type", kind.to_string()),
            ])
            .query(&[
                ("agent", &self.caller),
                ("lease", &lease.as_secs().to_string()),
            ])
            .timeout(Self::LEASE_TIMEOUT);
        if !resume.is_empty() {
            let leases: Vec<_> = resume.iter().map(Uuid::to_string).collect();
            request = request.query(&[("resume", leases.join(","))]);
        }
        let list: EggRecordList = self.answer(request).await?;
        if !list.success {
            return Err(HubError::Nonsense(
                "success is false in a list of records".to_owned(),
            ));
        }
        Ok(list.eggrecords)
    }

    /// What the hub knows of the web side of a record; `None` from a server that does not tell.
    ///
    /// # Errors
    /// The hub did not answer as it should.
    pub async fn web_context(
        &self,
        personality: Personality,
        record: Uuid,
    ) -> Result<Option<WebContext>, HubError> {
        let request = self
            .http
            .get(self.path(&format!("daemon/{personality}/context/{record}/")))
            .query(&[("agent", &self.caller)])
            .timeout(Self::TIMEOUT);
        match self.answer(request).await {
            Ok(context) => Ok(Some(context)),
            Err(HubError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that an assessment reads of a record.
    ///
    /// # Errors
    /// The hub did not answer as it should, or is one that does not tell.
    pub async fn assessment_context(&self, record: Uuid) -> Result<AssessmentContext, HubError> {
        let request = self
            .http
            .get(self.path(&format!("daemon/ryu/context/{record}/")))
            .query(&[("agent", &self.caller)])
            .timeout(Self::TIMEOUT);
        self.answer(request).await
    }

    /// Submits a result. The body is what the spool holds, byte for byte, so that a repetition is
    /// the same request.
    ///
    /// # Errors
    /// The hub did not take it.
    pub async fn submit(
        &self,
        path: &str,
        key: Uuid,
        body: Vec<u8>,
    ) -> Result<Submitted, HubError> {
        let request = self
            .http
            .post(self.path(path))
            .query(&[("agent", &self.caller)])
            .header(IDEMPOTENCY_KEY, key.to_string())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .timeout(Self::SUBMIT_TIMEOUT)
            .body(body);
        match self.answer::<ErrorOrAnswer>(request).await {
            Ok(answer) if answer.success => Ok(Submitted::Stored),
            // The earlier server answers 200 with success: false on a route that it does not have.
            Ok(answer) => Err(HubError::Refused {
                status: StatusCode::OK,
                message: answer.error.unwrap_or_default(),
                skip_reason: None,
            }),
            Err(HubError::Refused {
                status: StatusCode::CONFLICT,
                skip_reason: Some(_),
                ..
            }) => Ok(Submitted::Superseded),
            Err(error) => Err(error),
        }
    }

    /// Gives a lease back. A server that knows no leases answers 404, which is as good.
    ///
    /// # Errors
    /// The hub did not answer.
    pub async fn release(&self, lease: Uuid) -> Result<(), HubError> {
        let request = self
            .http
            .delete(self.path(&format!("daemon/leases/{lease}/")))
            .query(&[("agent", &self.caller)])
            .timeout(Self::TIMEOUT);
        match self.answer::<ErrorOrAnswer>(request).await {
            Ok(_) | Err(HubError::Refused { .. }) => Ok(()),
            Err(HubError::Busy {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says how the agent is; `None` when the server knows no heartbeat.
    ///
    /// # Errors
    /// The hub did not answer as it should.
    pub async fn heartbeat(
        &self,
        kind: &str,
        beat: &Heartbeat,
    ) -> Result<Option<HeartbeatAnswer>, HubError> {
        let request = self
            .http
            .post(self.path(&format!("daemon/{kind}/heartbeat/")))
            .timeout(Self::TIMEOUT)
            .json(beat);
        match self.answer(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(
                HubError::Refused {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
                | HubError::Busy {
                    status: StatusCode::NOT_FOUND,
                    ..
                },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request and reads its JSON answer. When the hub refuses the token and there is another
    /// one now, it is sent again with that.
    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, HubError> {
        let again = request.try_clone();
        let refused = match self.send(request).await? {
            Sent::Answer(answer) => return Ok(answer),
            Sent::TokenRefused(message) => message,
        };
        if self.token.read_again()
            && let Some(again) = again
            && let Sent::Answer(answer) = self.send(again).await?
        {
            return Ok(answer);
        }
        Err(HubError::Token(self.token_advice(&refused)))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Sent<T>, HubError> {
        let request = match self.token.get() {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        answer(request).await
    }

    /// What to do about a token that the hub refuses. What systemd gives an agent it gives at its
    /// start: another one takes a restart.
    fn token_advice(&self, refused: &str) -> String {
        let name = self.caller.split('@').next().unwrap_or_default();
        match self.token.get() {
            None => format!(
                "hub wants a token and this agent has none: reconctl restart {name} once the hub \
                 has run, or give it credentials.hub-token"
            ),
            Some(_) => format!(
                "hub refuses this agent's token ({refused}): reconctl restart {name} if it was \
                 changed, else give it another"
            ),
        }
    }

    fn path(&self, path: &str) -> String {
        format!("{}/reconnaissance/api/{path}", self.url())
    }
}

#[derive(serde::Deserialize)]
struct ErrorOrAnswer {
    success: bool,
    error: Option<String>,
}

/// What became of a request.
enum Sent<T> {
    Answer(T),
    /// With what the hub said.
    TokenRefused(String),
}

/// Sends a request and reads its JSON answer.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<Sent<T>, HubError> {
    let response = request
        .send()
        .await
        .map_err(|e| HubError::Unreachable(chain(&e)))?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let token_refused = refuses_token(&response);
    let body = read(response).await?;
    if status.is_success() {
        let answer = serde_json::from_slice(&body);
        return answer
            .map(Sent::Answer)
            .map_err(|e| HubError::Nonsense(e.to_string()));
    }
    let error = serde_json::from_slice::<ErrorBody>(&body).ok();
    let message = error
        .as_ref()
        .map_or_else(|| status.to_string(), |e| e.error.clone());
    if token_refused {
        return Ok(Sent::TokenRefused(message));
    }
    if is_final(status, error.is_some()) {
        return Err(HubError::Refused {
            status,
            message,
            skip_reason: error.and_then(|e| e.skip_reason),
        });
    }
    Err(HubError::Busy {
        status,
        message,
        retry_after,
    })
}

/// Whether the same request would get the same answer from a hub that works. What a proxy, a wrong
/// URL or a missing token may answer is none: it gets better when somebody mends that. A 403 or 404
/// is final only in the hub's own words.
fn is_final(status: StatusCode, own_words: bool) -> bool {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::CONFLICT
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => true,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => own_words,
        _ => false,
    }
}

/// Whether it is the token that the hub does not take, and not the request: 401, and 403 with a
/// challenge (RFC 6750 §3.1). A 401 without one comes from something else.
fn refuses_token(response: &Response) -> bool {
    let challenged = response
        .headers()
        .get_all(reqwest::header::WWW_AUTHENTICATE)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.starts_with("Bearer")));
    challenged
        && matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        )
}

async fn read(mut response: Response) -> Result<Vec<u8>, HubError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| HubError::Unreachable(chain(&e)))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HubError::Nonsense(format!(
                "an answer of more than {MAX_ANSWER} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// An error with its causes: reqwest's own text leaves out why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
