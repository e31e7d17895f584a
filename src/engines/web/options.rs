use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::fleet::Scope;

/// How a [`Client`](super::Client) asks, and what it is held to.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// What may be touched. Its `max_rate` is not looked at: [`ClientOptions::max_rate`] is.
    pub scope: Scope,
    /// Names whose addresses are known already; they are checked like any other. The rest is looked up,
    /// once.
    pub addresses: HashMap<String, IpAddr>,
    /// The User-Agent.
    pub user_agent: String,
    /// Headers of every request. Credentials among them (Authorization, Cookie) go to `home` only.
    pub headers: HeaderMap,
    /// Whether cookies are kept, for each host its own, and sent back.
    pub cookies: bool,
    /// The host of the target, as it stands in its URL: credentials are sent to no other.
    pub home: Option<String>,
    /// Credentials for `home`.
    pub auth: Option<Auth>,
    /// An HTTP proxy (`http://[user:password@]host:port`), which is asked for a tunnel (RFC 9110 §9.3.6)
    /// to the address that was checked, for `http` and `https` alike. Scope does not speak of it.
    pub proxy: Option<Url>,
    /// Whether HTTP/2 is offered for `https`; a [`Lane`](super::Lane) speaks HTTP/1.1 all the same.
    pub http2: bool,
    /// Whether compressed bodies are asked for; a [`Lane`](super::Lane) never does.
    pub compression: bool,
    /// Connections to one host at the same time (requests, with HTTP/2).
    pub connections: usize,
    /// Time for a connection, TLS and proxy included.
    pub connect_timeout: Duration,
    /// Longest silence within a response.
    pub read_timeout: Duration,
    /// Time for a whole response. What has come of its body by then is what there is of it.
    pub total_timeout: Duration,
    /// Bytes of a body, compressed or not.
    pub max_body: usize,
    /// Bytes of a response's headers.
    pub max_headers: usize,
    /// Requests/s at one address, over all its names and ports; 0: no cap.
    pub max_rate: u32,
    /// Whether a host that shows that it is too much is asked less often.
    pub adaptive: bool,
    /// When nothing is asked for any more.
    pub deadline: Option<Instant>,
    /// Ends everything.
    pub cancel: CancellationToken,
}

/// Credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// RFC 7617.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// RFC 6750.
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not what is secret.
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

impl ClientOptions {
    /// The defaults, for this scope.
    pub fn new(scope: Scope) -> Self {
        Self {
            max_rate: scope.max_rate,
            scope,
            addresses: HashMap::new(),
            user_agent: concat!(
                "Mozilla/5.0 (compatible; recon/",
                env!("CARGO_PKG_VERSION"),
                ")"
            )
            .to_owned(),
            headers: HeaderMap::new(),
            cookies: false,
            home: None,
            auth: None,
            proxy: None,
            http2: true,
            compression: true,
            // What browsers and the peers have is between 6 and 50.
            connections: 32,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            max_body: 4 * 1024 * 1024,
            max_headers: 64 * 1024,
            adaptive: true,
            deadline: None,
            cancel: CancellationToken::new(),
        }
    }
}
