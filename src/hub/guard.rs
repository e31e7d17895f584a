//! Who may talk to the hub at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::state::Hub;

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    /// Callers on loopback need no token.
    pub(super) anonymous_loopback: bool,
    /// Names, besides loopback's and any address, by which the hub may be called; `*` is all.
    pub(super) names: Vec<String>,
}

/// Refuses callers that must not get in. What says only that the hub lives is open to all.
pub(super) async fn guard(
    State(hub): State<Arc<Hub>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = host_of(request.headers(), request.uri())?;
    hub.access.check_host(&host)?;
    check_origin(request.headers())?;
    if !matches!(request.uri().path(), "/healthz" | "/readyz") {
        hub.access.check_peer(&request)?;
    }
    Ok(next.run(request).await)
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

    fn check_peer(&self, request: &Request) -> Result<(), ApiError> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let local = peer.is_some_and(|ConnectInfo(p)| p.ip().to_canonical().is_loopback());
        if local && self.anonymous_loopback {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "a token is needed, and this version has none yet: call from the hub's own host, with \
             anonymous_loopback on",
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
    Err(ApiError::forbidden(
        "requests from pages of another site are refused",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let access = Access {
            anonymous_loopback: true,
            names: vec!["hub.example.org".to_owned()],
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

    #[test]
    fn peers() {
        let check = |peer: &str, anonymous_loopback| {
            let mut request = Request::new(axum::body::Body::empty());
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let access = Access {
                anonymous_loopback,
                names: Vec::new(),
            };
            access.check_peer(&request).is_ok()
        };
        assert!(check("127.0.0.1:1", true));
        assert!(check("[::ffff:127.0.0.1]:1", true));
        assert!(check("[::1]:1", true));
        assert!(!check("127.0.0.1:1", false));
        assert!(!check("10.0.0.1:1", true));
        assert!(!check("[2001:db8::1]:1", true));
    }
}
