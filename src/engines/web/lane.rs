use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Version, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::adapt::Seen;
use super::client::Shared;
use super::decode;
use super::h1::{self, Break, Connection, Exchange, Limits};
use super::host::{HostState, push_path};
use super::retry_after::retry_after;
use super::{FetchError, TlsSeen};

/// One host at one port, whose address was checked: for many requests to it.
#[derive(Debug, Clone)]
pub struct Host {
    pub(super) state: Arc<HostState>,
    pub(super) shared: Arc<Shared>,
}

/// One connection's worth of requests to a host, one after the other, each as cheap as can be: only
/// HTTP/1.1, no compression, no cookies, nothing copied. Who asks much opens several, each in a task of
/// its own.
#[derive(Debug)]
pub struct Lane {
    host: Host,
    connection: Option<Connection>,
    /// The request.
    out: Vec<u8>,
    /// The body with its coding taken off, when the server compressed it unasked.
    decoded: Option<decode::Decoded>,
    _seat: OwnedSemaphorePermit,
}

/// A response in the buffers of its lane.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// HTTP/1.1 or 1.0.
    pub version: Version,
    /// The body, cut off at the limit.
    pub body: &'a [u8],
    /// Whether there was more of the body than was read.
    pub truncated: bool,
    /// From the first byte sent until the last byte read.
    pub elapsed: Duration,
    head: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The first header of this name, looked for when it is asked for.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        h1::value(self.head, name)
    }

    /// All headers.
    pub fn headers(&self) -> HeaderMap {
        h1::headers(self.head)
    }

    /// Status line and headers as they came.
    pub fn head(&self) -> &'a [u8] {
        self.head
    }
}

impl Host {
    /// A lane to it. Waits while as many are open as the host may have connections.
    ///
    /// # Errors
    ///
    /// The work was stopped meanwhile.
    pub async fn lane(&self) -> Result<Lane, FetchError> {
        let seats = Arc::clone(&self.state.seats);
        let seat = self.shared.unless_stopped(seats.acquire_owned()).await;
        match seat {
            Some(Ok(seat)) => Ok(Lane {
                connection: self.state.idle_one(),
                host: self.clone(),
                out: Vec::new(),
                decoded: None,
                _seat: seat,
            }),
            _ => Err(self.state.error(Break::Stopped, b"/")),
        }
    }
}

/// A request as a lane sends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub method: &'a Method,
    pub path: &'a [u8],
    /// Host and all other header lines.
    pub lines: &'a [u8],
    pub body_limit: usize,
}

impl Lane {
    /// Asks for a path (with its query), which begins with `/` and is sent as it is, but for bytes that
    /// no request line can carry: these are percent-encoded. Reads `body_limit` bytes of the body at
    /// most; a longer one costs the connection.
    ///
    /// # Errors
    ///
    /// Without a response; [`FetchError`] says why.
    pub async fn get(&mut self, path: &[u8], body_limit: usize) -> Result<Answer<'_>, FetchError> {
        self.ask(&Method::GET, path, body_limit).await
    }

    /// The same with any method, without a body of the request.
    ///
    /// # Errors
    ///
    /// Without a response; [`FetchError`] says why.
    pub async fn ask(
        &mut self,
        method: &Method,
        path: &[u8],
        body_limit: usize,
    ) -> Result<Answer<'_>, FetchError> {
        let state = Arc::clone(&self.host.state);
        let ask = Ask {
            method,
            path,
            lines: &state.lines,
            body_limit,
        };
        let (exchange, elapsed) = self.exchange(&ask).await?;
        self.answer(&exchange, elapsed, body_limit)
            .ok_or_else(|| state.error(Break::Closed("no buffer".to_owned()), path))
    }

    /// The response that lies in the connection's buffers.
    fn answer(
        &mut self,
        exchange: &Exchange,
        elapsed: Duration,
        body_limit: usize,
    ) -> Option<Answer<'_>> {
        let connection = self.connection.as_ref()?;
        let (head, mut body) = connection.parts(exchange);
        let mut truncated = exchange.truncated;
        if exchange.head.encoded {
            let codings = h1::value(head, header::CONTENT_ENCODING.as_str()).unwrap_or_default();
            let codings = String::from_utf8_lossy(codings);
            self.decoded = decode::decode(&codings, body, body_limit);
            if let Some(decoded) = &self.decoded {
                (body, truncated) = (&decoded.body, truncated || decoded.truncated);
            }
        }
        Some(Answer {
            status: StatusCode::from_u16(exchange.head.status).ok()?,
            version: exchange.head.version,
            body,
            truncated,
            elapsed,
            head,
        })
    }

    /// The same, with what outlives the lane.
    pub(super) fn owned(
        &mut self,
        exchange: &Exchange,
        body_limit: usize,
    ) -> Option<(StatusCode, HeaderMap, Vec<u8>, bool)> {
        let answer = self.answer(exchange, Duration::ZERO, body_limit)?;
        let (status, headers, truncated) = (answer.status, answer.headers(), answer.truncated);
        let body = match exchange.head.encoded {
            true => None,
            false => self.connection.as_mut()?.take_body(exchange),
        };
        let body = match (body, self.decoded.take()) {
            (Some(body), _) => body,
            (None, Some(decoded)) => decoded.body,
            (None, None) => self.connection.as_ref()?.parts(exchange).1.to_vec(),
        };
        Some((status, headers, body, truncated))
    }

    pub(super) fn tls(&self) -> Option<Arc<TlsSeen>> {
        self.connection.as_ref()?.tls.clone()
    }

    /// Sends a request and reads the response into the connection's buffers.
    pub(super) async fn exchange(
        &mut self,
        ask: &Ask<'_>,
    ) -> Result<(Exchange, Duration), FetchError> {
        let Self {
            host,
            connection: own,
            out,
            ..
        } = self;
        let (state, shared) = (&*host.state, &*host.shared);
        let failed = |why| state.error(why, ask.path);
        request(out, ask);
        let mut again = ask.method.is_idempotent();
        let mut fresh = false;
        loop {
            let kept = own.take().filter(Connection::is_usable);
            let kept = kept.or_else(|| state.idle_one()).filter(|_| !fresh);
            let mut connection = match kept {
                Some(connection) => connection,
                None => match state.connection(shared).await {
                    Ok(connection) => connection,
                    Err(why) => {
                        shared.failed(&state.pacer, &why);
                        return Err(failed(why));
                    }
                },
            };
            shared.leave(&state.pacer).await.map_err(failed)?;
            let start = Instant::now();
            let options = &shared.options;
            let end = start + options.total_timeout;
            let limits = Limits {
                head: options.max_headers,
                body: ask.body_limit,
                silence: options.read_timeout,
                start,
                end: options.deadline.map_or(end, |deadline| deadline.min(end)),
                large: &shared.large,
                to_head: *ask.method == Method::HEAD,
            };
            match connection.exchange(out, &limits).await {
                // What some say to a connection that was idle for too long, and close it (RFC 9110
                // §15.5.9): it is no answer to this request.
                Ok(exchange) if exchange.head.status == 408 && connection.used && again => {
                    (again, fresh) = (false, true);
                }
                Ok(exchange) => {
                    let now = Instant::now();
                    let took = now - start;
                    let status = exchange.head.status;
                    let retry_after = match status {
                        429 | 503 => {
                            retry_after(h1::value(connection.parts(&exchange).0, "retry-after"))
                        }
                        _ => None,
                    };
                    shared.saw(
                        &state.pacer,
                        Seen::Answer {
                            status,
                            took,
                            retry_after,
                        },
                        now,
                    );
                    connection.finished(exchange.keep);
                    *own = Some(connection);
                    return Ok((exchange, took));
                }
                // The server closed it while it was idle: nothing is wrong with the request. The others
                // that are idle may be closed as well, as after a pause: it gets a new one.
                Err((Break::Closed(_), true)) if connection.used && again => {
                    (again, fresh) = (false, true);
                }
                Err((why, _)) => {
                    shared.failed(&state.pacer, &why);
                    return Err(failed(why));
                }
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_usable) {
            self.host.state.keep(connection);
        }
    }
}

fn request(out: &mut Vec<u8>, ask: &Ask<'_>) {
    out.clear();
    out.extend_from_slice(ask.method.as_str().as_bytes());
    out.push(b' ');
    push_path(out, ask.path);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(ask.lines);
    // Who expects a body is told that there is none (RFC 9110 §8.6).
    if [Method::POST, Method::PUT, Method::PATCH].contains(ask.method) {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
