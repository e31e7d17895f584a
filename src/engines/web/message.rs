use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, StatusCode, Version};
use url::Url;

use super::Host;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do; GET mostly.
    pub method: Method,
    /// Where; `http` or `https`, its fragment is not sent.
    pub url: Url,
    /// Headers besides those that the client sends with every request.
    pub headers: HeaderMap,
    /// Bytes of the body to read; none: as many as the client's limit lets through. What is longer is
    /// cut off there and [`Response::truncated`] says so.
    pub body_limit: Option<usize>,
}

impl Request {
    /// A GET without headers of its own.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body_limit: None,
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// The URL that answered: that of the request, as redirects are not followed by the client.
    pub url: Url,
    /// The status, whatever it is: 404 is an answer, not an error.
    pub status: StatusCode,
    /// The protocol that it came by.
    pub version: Version,
    /// The headers, as many as the client's limit lets through.
    pub headers: HeaderMap,
    /// The body, decoded as Content-Encoding says, cut off at the limit.
    pub body: Bytes,
    /// Whether there was more of the body than was read.
    pub truncated: bool,
    /// From the first byte sent until the last byte read.
    pub elapsed: Duration,
    /// Who answered.
    pub peer: Option<SocketAddr>,
    /// The connection's TLS, for `https`.
    pub tls: Option<Arc<TlsSeen>>,
}

/// The TLS of a connection as it was seen; certificates are accepted whatever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    /// `TLSv1.3`
    pub version: String,
    /// The cipher suite by its IANA name.
    pub cipher: String,
    /// The chain as the server sent it, DER, its own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// Why a browser would refuse it, if it would.
    pub invalid: Option<String>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Scope forbids it; nothing was sent.
    #[error("{url} is outside scope: {rule}")]
    OutsideScope {
        /// What was asked for.
        url: String,
        /// The rule that forbids it.
        rule: String,
    },
    /// The name has no address.
    #[error("{0} cannot be resolved")]
    Unresolved(String),
    /// No connection: refused, unreachable, no TLS.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    /// Nothing came for as long as the client waits.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// What came is not HTTP, or more of it than the client takes (headers without end).
    #[error("{0} answered what is not HTTP: {1}")]
    Protocol(String, String),
    /// The connection ended within the response.
    #[error("{0} closed the connection: {1}")]
    Closed(String, String),
    /// The target's time is over, or the work was cancelled, before there was an answer.
    #[error("stopped before {0} answered")]
    Stopped(String),
}

/// Sends requests. The engines are written against this; tests put a server of their own behind it.
///
/// Whoever implements it holds to scope, to the cap of requests a second, and to the limits of what
/// is read; a caller may have as many requests under way as it likes and waits for its turn inside.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Sends it and reads the response.
    ///
    /// # Errors
    ///
    /// Without a response; [`FetchError`] says why.
    async fn fetch(&self, request: Request) -> Result<Response, FetchError>;

    /// The host of a URL, for who sends very many requests to it by lanes; none where there are no lanes, or
    /// where they would not do what [`Fetch::fetch`] does for that host.
    ///
    /// # Errors
    ///
    /// As [`Client::host`](super::Client::host).
    async fn lanes(&self, _url: &Url) -> Result<Option<Host>, FetchError> {
        Ok(None)
    }
}
