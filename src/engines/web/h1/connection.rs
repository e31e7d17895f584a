use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::super::TlsSeen;

/// What there is room for at least when a read begins.
const ROOM: usize = 8 * 1024;

/// What a connection keeps of its buffer when it becomes idle.
const KEPT: usize = 32 * 1024;

/// What HTTP is spoken over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Break {
    /// Nothing came for too long.
    Timeout,
    /// The work was cancelled.
    Stopped,
    /// No connection was to be had.
    Connect(String),
    /// The connection ended.
    Closed(String),
    /// What came is not HTTP.
    Protocol(String),
}

/// A connection and its buffers, which live as long as it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// The response: its head, and after that the body as it came unless it is chunked.
    pub(super) buf: Vec<u8>,
    /// The body with the chunked coding taken off.
    pub(super) body: Vec<u8>,
    pub(super) clock: Clock,
    pub(crate) tls: Option<Arc<TlsSeen>>,
    /// Whether it has carried a response already, so that it may have been closed meanwhile.
    pub(crate) used: bool,
    /// Whether it can carry another request.
    usable: bool,
    /// Since when nothing is under way on it.
    pub(crate) idle_since: Instant,
}

impl Connection {
    pub(crate) fn new(stream: Stream, tls: Option<Arc<TlsSeen>>, stop: &CancellationToken) -> Self {
        Self {
            stream,
            buf: Vec::new(),
            body: Vec::new(),
            clock: Clock::new(stop),
            tls,
            used: false,
            usable: true,
            idle_since: Instant::now(),
        }
    }

    /// A response was read whole (`keep`) or not.
    pub(crate) fn finished(&mut self, keep: bool) {
        self.usable = keep;
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Nothing is under way any more.
    pub(crate) fn rest(&mut self) {
        for buffer in [&mut self.buf, &mut self.body] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
        self.idle_since = Instant::now();
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Break> {
        let Self { stream, clock, .. } = self;
        clock
            .within(async {
                stream.write_all(bytes).await?;
                // Only TLS keeps anything back.
                match stream {
                    Stream::Plain(_) => Ok(()),
                    Stream::Tls(stream) => stream.flush().await,
                }
            })
            .await?
            .map_err(closed)
    }

    /// Reads once, `most` bytes at most, to the end of `buf`; 0: the other side has closed.
    pub(super) async fn fill(&mut self, most: usize) -> Result<usize, Break> {
        let Self {
            stream, buf, clock, ..
        } = self;
        if buf.capacity() - buf.len() < ROOM.min(most) {
            buf.reserve(ROOM.min(most));
        }
        let spare = buf.capacity() - buf.len();
        let mut into = buf.limit(most.min(spare));
        clock
            .within(stream.read_buf(&mut into))
            .await?
            .map_err(closed)
    }
}

fn closed(error: io::Error) -> Break {
    Break::Closed(error.to_string())
}

/// How long to wait. One timer serves all requests of a connection: it is only set anew when it goes
/// off before its time, so that a request costs none.
#[derive(Debug)]
pub(super) struct Clock {
    sleep: Pin<Box<Sleep>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Longest silence.
    silence: Duration,
    /// When the silence is too long.
    next: Instant,
    /// When all must be over.
    end: Instant,
}

impl Clock {
    fn new(stop: &CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            sleep: Box::pin(sleep_until(now)),
            stop: Box::pin(stop.clone().cancelled_owned()),
            silence: Duration::ZERO,
            next: now,
            end: now,
        }
    }

    /// A request begins: now.
    pub(super) fn start(&mut self, silence: Duration, now: Instant, end: Instant) {
        self.silence = silence;
        self.end = end;
        self.wait(now);
    }

    /// Something came: the silence begins anew.
    pub(super) fn wait(&mut self, now: Instant) {
        self.next = (now + self.silence).min(self.end);
        if self.sleep.deadline() > self.next {
            self.sleep.as_mut().reset(self.next);
        }
    }

    /// Not for the other side: silence is no fault of its own.
    pub(super) fn wait_until_end(&mut self) {
        self.next = self.end;
    }

    /// The outcome, unless it comes too late.
    pub(super) async fn within<F: Future>(&mut self, future: F) -> Result<F::Output, Break> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if self.stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Break::Stopped));
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= self.next {
                    return Poll::Ready(Err(Break::Timeout));
                }
                self.sleep.as_mut().reset(self.next);
            }
            Poll::Pending
        })
        .await
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
