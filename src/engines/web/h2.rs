use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, timeout_at};

use super::adapt::Seen;
use super::client::path_of;
use super::decode;
use super::dial::Dialled;
use super::h1::{Break, Connection, SMALL};
use super::host::HostState;
use super::lane::Host;
use super::retry_after::retry_after;
use super::tls::Offer;
use super::{FetchError, Request, Response, TlsSeen};

/// What a server may send of one body before it is read, at most and at least (RFC 9113 §6.9.2 has no
/// less), and what all bodies of a connection may have together. Bodies that wait for a seat hold what
/// came of them: if all of them could not fill their windows at the same time, those that have a seat
/// would wait for these and these for the seats.
const STREAM_WINDOW: (u32, u32) = (65_535, 256 * 1024);
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// An HTTP/2 connection, for any number of requests at the same time.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    requests: http2::SendRequest<Empty<Bytes>>,
    tls: Arc<TlsSeen>,
    /// Tells it from the connections before and after it.
    number: Arc<()>,
}

/// Sends a request by HTTP/2 (RFC 9113); `None`: the host does not speak it, nothing was sent.
pub(super) async fn send(
    host: &Host,
    request: &Request,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Option<Response>, FetchError> {
    let (state, shared) = (&*host.state, &*host.shared);
    let path = path_of(&request.url);
    let failed = |why: Break| {
        shared.failed(&state.pacer, &why);
        state.error(why, path.as_bytes())
    };
    let seat = shared.unless_stopped(state.seats.acquire()).await;
    let _seat = seat.ok_or(Break::Stopped).map_err(failed)?;
    let mut again = request.method.is_idempotent();
    loop {
        // While one connects, the others wait for it.
        let sender = shared.unless_stopped(sender(host)).await;
        let sender = sender.ok_or(Break::Stopped).and_then(|sender| sender);
        let (mut sender, fresh) = match sender.map_err(failed)? {
            Some(sender) => sender,
            None => return Ok(None),
        };
        shared.leave(&state.pacer).await.map_err(failed)?;
        let message = message(request, headers).map_err(|why| failed(Break::Protocol(why)))?;
        match receive(host, request, &mut sender, message, limit).await {
            Ok(response) => return Ok(Some(response)),
            Err(why) => {
                forget(state, &sender).await;
                // Closed, or told to go away, while it was idle.
                if fresh || !again || !matches!(why, Break::Closed(_)) {
                    return Err(failed(why));
                }
                again = false;
            }
        }
    }
}

/// No request more for this connection; there may be another by now.
async fn forget(state: &HostState, broken: &Sender) {
    let mut kept = state.h2.lock().await;
    if kept
        .as_ref()
        .is_some_and(|sender| Arc::ptr_eq(&sender.number, &broken.number))
    {
        *kept = None;
    }
}

/// Windows of a stream and of a connection with so many streams.
fn windows(streams: usize) -> (u32, u32) {
    let streams = u32::try_from(streams.max(1)).unwrap_or(u32::MAX);
    let (least, most) = STREAM_WINDOW;
    let stream = (CONNECTION_WINDOW / streams).clamp(least, most);
    // RFC 9113 §6.9.1: no window is larger.
    (stream, stream.saturating_mul(streams).min((1 << 31) - 1))
}

/// The host's connection, and whether it is new.
async fn sender(host: &Host) -> Result<Option<(Sender, bool)>, Break> {
    let (state, shared) = (&*host.state, &*host.shared);
    let mut kept = state.h2.lock().await;
    if let Some(sender) = kept.as_ref().filter(|sender| !sender.requests.is_closed()) {
        return Ok(Some((sender.clone(), false)));
    }
    if !state.speaks_http2() {
        return Ok(None);
    }
    match state.dial(Offer::Any, shared).await? {
        Dialled::Http1(stream, tls) => {
            state.http1_only.store(true, Ordering::Relaxed);
            state.keep(Connection::new(stream, tls, &shared.options.cancel));
            Ok(None)
        }
        Dialled::Http2(stream, tls) => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (stream_window, connection_window) = windows(shared.options.connections);
            builder
                .initial_stream_window_size(stream_window)
                .initial_connection_window_size(connection_window)
                .max_header_list_size(
                    u32::try_from(shared.options.max_headers).unwrap_or(u32::MAX),
                );
            let shaken = builder.handshake(TokioIo::new(stream)).await;
            let (requests, connection) = shaken.map_err(|error| Break::Connect(words(&error)))?;
            // Ends with the last of its senders, or with the server.
            tokio::spawn(connection);
            let sender = Sender {
                requests,
                tls,
                number: Arc::new(()),
            };
            *kept = Some(sender.clone());
            Ok(Some((sender, true)))
        }
    }
}

fn message(request: &Request, headers: &HeaderMap) -> Result<http::Request<Empty<Bytes>>, String> {
    let mut url = request.url.clone();
    url.set_fragment(None);
    // Not in `:authority` (RFC 9113 §8.3.1); what a link brings along is not ours to tell.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let uri: http::Uri = url.as_str().parse().map_err(|error| format!("{error}"))?;
    let mut message = http::Request::new(Empty::new());
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = Version::HTTP_2;
    *message.headers_mut() = headers.clone();
    Ok(message)
}

async fn receive(
    host: &Host,
    request: &Request,
    sender: &mut Sender,
    message: http::Request<Empty<Bytes>>,
    limit: usize,
) -> Result<Response, Break> {
    let (state, shared) = (&*host.state, &*host.shared);
    let start = Instant::now();
    let end = start + shared.options.total_timeout;
    let end = shared
        .options
        .deadline
        .map_or(end, |deadline| deadline.min(end));
    let silence = (start + shared.options.read_timeout).min(end);
    let answered = shared
        .unless_stopped(timeout_at(silence, sender.requests.send_request(message)))
        .await
        .ok_or(Break::Stopped)?;
    let (parts, body) = answered
        .map_err(|_| Break::Timeout)?
        .map_err(closed)?
        .into_parts();
    let (mut body, mut truncated) = read(host, body, limit, end).await?;
    if let Some(codings) = parts.headers.get(header::CONTENT_ENCODING) {
        let codings = String::from_utf8_lossy(codings.as_bytes());
        if let Some(decoded) = decode::decode(&codings, &body, limit) {
            (body, truncated) = (decoded.body, truncated || decoded.truncated);
        }
    }
    let now = Instant::now();
    let seen = Seen::Answer {
        status: parts.status.as_u16(),
        took: now - start,
        retry_after: retry_after(parts.headers.get(header::RETRY_AFTER).map(|v| v.as_bytes())),
    };
    shared.saw(&state.pacer, seen, now);
    Ok(Response {
        url: request.url.clone(),
        status: parts.status,
        version: parts.version,
        headers: parts.headers,
        body: Bytes::from(body),
        truncated,
        elapsed: now - start,
        peer: Some(state.addr),
        tls: Some(Arc::clone(&sender.tls)),
    })
}

/// What there is of a body, and whether there was more.
async fn read(
    host: &Host,
    mut body: Incoming,
    limit: usize,
    end: Instant,
) -> Result<(Vec<u8>, bool), Break> {
    let shared = &*host.shared;
    let mut all = Vec::new();
    let mut seat = None;
    loop {
        if seat.is_none() && all.len() > SMALL {
            let free = timeout_at(end, shared.large.acquire());
            let taken = shared.unless_stopped(free).await.ok_or(Break::Stopped)?;
            let Ok(taken) = taken else {
                return Ok((all, true));
            };
            seat = taken.ok();
        }
        let silence = (Instant::now() + shared.options.read_timeout).min(end);
        let frame = shared
            .unless_stopped(timeout_at(silence, body.frame()))
            .await;
        let data = match frame.ok_or(Break::Stopped)? {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => data,
                // Trailers.
                Err(_) => continue,
            },
            Ok(None) => return Ok((all, false)),
            // Too late, or reset: the head is an answer all the same.
            Ok(Some(Err(_))) | Err(_) => return Ok((all, true)),
        };
        let room = limit - all.len();
        all.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((all, true));
        }
    }
}

fn closed(error: hyper::Error) -> Break {
    Break::Closed(words(&error))
}

/// The error with its causes.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words += &format!(": {cause}");
        source = cause.source();
    }
    words
}
