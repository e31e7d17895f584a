use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::client::Shared;
use super::dial::{Dialled, dial};
use super::h1::{Break, Connection};
use super::h2;
use super::pace::Pacer;
use super::place::Origin;
use super::tls::Offer;
use super::{Auth, ClientOptions, FetchError, TlsSeen};

/// Servers close what was idle for a minute or so (nginx 75 s, Apache httpd 5 s); a connection that was
/// idle for longer than this is not worth the try.
const IDLE: Duration = Duration::from_secs(50);

/// What is asked for when bodies may be compressed.
const CODINGS: &str = "gzip, br, zstd, deflate";

/// One host at one port: its address, its connections, and what is sent with every request.
#[derive(Debug)]
pub(super) struct HostState {
    pub origin: Origin,
    pub addr: SocketAddr,
    pub pacer: Arc<Pacer>,
    pub seats: Arc<Semaphore>,
    pub idle: Mutex<Vec<Connection>>,
    /// The headers of every request but Host; without those about compression.
    pub defaults: HeaderMap,
    /// The same, Host included, as a request has them.
    pub lines: Vec<u8>,
    pub seen: Mutex<Option<Arc<TlsSeen>>>,
    pub h2: tokio::sync::Mutex<Option<h2::Sender>>,
    /// It was offered HTTP/2 and did not want it.
    pub http1_only: AtomicBool,
}

impl HostState {
    pub(super) fn new(
        origin: Origin,
        addr: SocketAddr,
        pacer: Arc<Pacer>,
        options: &ClientOptions,
    ) -> Self {
        let defaults = defaults(&origin, options);
        let mut lines = format!("Host: {}\r\n", origin.authority()).into_bytes();
        defaults
            .iter()
            .for_each(|(name, value)| line(&mut lines, name, value));
        Self {
            addr,
            pacer,
            seats: Arc::new(Semaphore::new(options.connections.max(1))),
            idle: Mutex::new(Vec::new()),
            defaults,
            lines,
            seen: Mutex::new(None),
            h2: tokio::sync::Mutex::new(None),
            http1_only: AtomicBool::new(!origin.https || !options.http2),
            origin,
        }
    }

    /// A new connection.
    pub(super) async fn connection(&self, shared: &Shared) -> Result<Connection, Break> {
        match self.dial(Offer::Http1, shared).await? {
            Dialled::Http1(stream, seen) => {
                let stop = &shared.options.cancel;
                Ok(Connection::new(stream, seen, stop))
            }
            Dialled::Http2(..) => Err(Break::Connect("HTTP/2 unasked".to_owned())),
        }
    }

    pub(super) fn idle_one(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = idle.pop()?;
        if connection.idle_since.elapsed() < IDLE {
            return Some(connection);
        }
        // The others are older still.
        idle.clear();
        None
    }

    /// Keeps a connection for the next one.
    pub(super) fn keep(&self, mut connection: Connection) {
        connection.rest();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }

    pub(super) async fn dial(&self, offer: Offer, shared: &Shared) -> Result<Dialled, Break> {
        let before = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let name = self.origin.https.then_some(self.origin.name.as_str());
        let dialled = dial(self.addr, name, offer, before, &shared.options);
        let dialled = shared
            .unless_stopped(dialled)
            .await
            .ok_or(Break::Stopped)??;
        let seen = match &dialled {
            Dialled::Http1(_, seen) => seen.clone(),
            Dialled::Http2(_, seen) => Some(Arc::clone(seen)),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(dialled)
    }

    pub(super) fn speaks_http2(&self) -> bool {
        !self.http1_only.load(Ordering::Relaxed)
    }

    pub(super) fn error(&self, why: Break, path: &[u8]) -> FetchError {
        let url = self.origin.url(path);
        match why {
            Break::Timeout => FetchError::Timeout(url),
            Break::Stopped => FetchError::Stopped(url),
            Break::Connect(why) => FetchError::Connect(url, why),
            Break::Closed(why) => FetchError::Closed(url, why),
            Break::Protocol(why) => FetchError::Protocol(url, why),
        }
    }
}

/// A header as HTTP/1.1 has it, its name in the letters that browsers use.
pub(super) fn line(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let mut start = true;
    out.extend(name.as_str().bytes().map(|byte| {
        let shown = if start {
            byte.to_ascii_uppercase()
        } else {
            byte
        };
        start = byte == b'-';
        shown
    }));
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What of the path may stand in a request line as it is (RFC 9112 §3.2.1): the rest is percent-encoded,
/// so that no word of a list becomes a line of its own.
pub(super) fn push_path(out: &mut Vec<u8>, path: &[u8]) {
    if path.first() != Some(&b'/') {
        out.push(b'/');
    }
    if path
        .iter()
        .all(|byte| matches!(byte, b'!'..=b'~') && *byte != b'#')
    {
        return out.extend_from_slice(path);
    }
    for byte in path {
        match byte {
            b'#' | 0..=b' ' | 0x7f.. => {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
                out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
}

/// What is asked for in every request to this host, credentials only when it is the target's own.
fn defaults(origin: &Origin, options: &ClientOptions) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(agent) = HeaderValue::from_str(&options.user_agent) {
        headers.insert(header::USER_AGENT, agent);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let at_home = options.home.as_deref().is_some_and(|home| {
        let home = home.trim_matches(['[', ']']);
        home.eq_ignore_ascii_case(&origin.name)
    });
    let secret = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
    ];
    for name in options.headers.keys() {
        if is_ours(name) || (secret.contains(name) && !at_home) {
            continue;
        }
        headers.remove(name);
        for value in options.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(value) = options
        .auth
        .as_ref()
        .filter(|_| at_home)
        .and_then(authorization)
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// Headers that say how the request is sent: nobody else's business.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
    ]
    .contains(name)
}

fn authorization(auth: &Auth) -> Option<HeaderValue> {
    let text = match auth {
        Auth::Basic { user, password } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        Auth::Bearer(token) => format!("Bearer {token}"),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

pub(super) fn codings() -> (HeaderName, HeaderValue) {
    (header::ACCEPT_ENCODING, HeaderValue::from_static(CODINGS))
}
