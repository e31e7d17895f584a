use std::ops::Range;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::chunked::{Chunked, Progress};
use super::connection::{Break, Connection};
use super::head::{self, Framing, Head};

/// More interim responses (RFC 9110 §15.2) than this are nonsense.
const MOST_INTERIM: usize = 16;

/// Up to here a body is read without asking whether there is room for it.
pub(crate) const SMALL: usize = 128 * 1024;

/// What an exchange is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// Bytes of the head.
    pub head: usize,
    /// Bytes of the body, as it came.
    pub body: usize,
    /// Longest silence.
    pub silence: Duration,
    /// When it begins: now.
    pub start: Instant,
    /// When all must be over.
    pub end: Instant,
    /// Seats for bodies that are not small: so many are in memory at the same time.
    pub large: &'a Semaphore,
    /// Whether it is a HEAD.
    pub to_head: bool,
}

/// A response that lies in its connection's buffers.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub head: Head,
    pub(super) head_end: usize,
    pub(super) body: Part,
    /// There was more of the body, or there should have been.
    pub truncated: bool,
    /// Whether the connection may be used again.
    pub keep: bool,
}

/// Where the body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// There, behind the head.
    Behind(Range<usize>),
    /// In the buffer of its own.
    Apart,
}

impl Connection {
    /// Sends a request and reads the response. An error with `true`: not a byte of a response was there.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        limits: &Limits<'_>,
    ) -> Result<Exchange, (Break, bool)> {
        self.buf.clear();
        self.body.clear();
        self.clock.start(limits.silence, limits.start, limits.end);
        self.write(request).await.map_err(|why| (why, true))?;
        let (head, head_end) = match self.head(limits).await {
            Ok(head) => head,
            Err(why) => {
                let nothing = self.buf.is_empty();
                return Err((why, nothing));
            }
        };
        let mut exchange = Exchange {
            head,
            head_end,
            body: Part::Behind(head_end..head_end),
            truncated: false,
            keep: head.keep,
        };
        let read = match head.framing {
            Framing::Nothing => {
                exchange.keep &= self.buf.len() == head_end;
                Ok(())
            }
            Framing::Length(length) => self.counted(&mut exchange, Some(length), limits).await,
            Framing::UntilClosed => self.counted(&mut exchange, None, limits).await,
            Framing::Chunked => self.chunked(&mut exchange, limits).await,
        };
        match read {
            Ok(()) => {}
            Err(Break::Stopped) => return Err((Break::Stopped, false)),
            // The head is an answer, whatever became of the body.
            Err(_) => exchange.truncated = true,
        }
        exchange.keep &= !exchange.truncated;
        self.used = true;
        Ok(exchange)
    }

    /// Reads until there is the head of a final response.
    async fn head(&mut self, limits: &Limits<'_>) -> Result<(Head, usize), Break> {
        let mut interim = 0;
        let mut seen = 0;
        loop {
            if let Some(end) = head::end(&self.buf, seen) {
                let head = Head::read(&self.buf[..end], limits.to_head).map_err(Break::Protocol)?;
                if head.status >= 200 || head.status == 101 {
                    return Ok((head, end));
                }
                interim += 1;
                if interim > MOST_INTERIM {
                    return Err(Break::Protocol("interim responses without end".to_owned()));
                }
                self.buf.drain(..end);
                seen = 0;
                continue;
            }
            seen = self.buf.len();
            if !head::may_be_http(&self.buf) {
                return Err(Break::Protocol("no HTTP/1 status line".to_owned()));
            }
            if seen >= limits.head {
                return Err(Break::Protocol(format!(
                    "more than {} bytes of headers",
                    limits.head
                )));
            }
            if seen > 0 {
                self.clock.wait(Instant::now());
            }
            if self.fill(limits.head.max(SMALL)).await? == 0 {
                return Err(Break::Closed(match seen {
                    0 => "without a response".to_owned(),
                    _ => "within the headers".to_owned(),
                }));
            }
        }
    }

    /// A body of a length, or all until the connection ends.
    async fn counted(
        &mut self,
        exchange: &mut Exchange,
        length: Option<u64>,
        limits: &Limits<'_>,
    ) -> Result<(), Break> {
        let start = exchange.head_end;
        let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let most = length.unwrap_or(usize::MAX).min(limits.body);
        let result = self.counted_to(start, most, limits).await;
        let have = self.buf.len() - start;
        exchange.body = Part::Behind(start..start + have.min(most));
        exchange.truncated = match length {
            Some(length) => have.min(most) < length,
            None => have > most || (have == most && !matches!(self.fill(1).await, Ok(0))),
        };
        // More than it has said: whose answer would that be?
        exchange.keep &= Some(have) == length;
        result
    }

    /// Reads until so much of the body is there, or the connection ends.
    async fn counted_to(
        &mut self,
        start: usize,
        most: usize,
        limits: &Limits<'_>,
    ) -> Result<(), Break> {
        let mut seat = None;
        while self.buf.len() - start < most {
            let have = self.buf.len() - start;
            self.take_seat(&mut seat, have, limits).await?;
            if self.fill(most - have).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn chunked(&mut self, exchange: &mut Exchange, limits: &Limits<'_>) -> Result<(), Break> {
        exchange.body = Part::Apart;
        let start = exchange.head_end;
        let mut coding = Chunked::new();
        let mut seat = None;
        loop {
            let piece = &self.buf[start..];
            match coding.take(piece, &mut self.body, limits.body) {
                Ok(Progress::More) => {}
                Ok(Progress::Done(end)) => {
                    exchange.keep &= end == piece.len();
                    return Ok(());
                }
                Ok(Progress::Full) => {
                    exchange.truncated = true;
                    return Ok(());
                }
                Err(why) => return Err(Break::Protocol(why.to_owned())),
            }
            self.buf.truncate(start);
            self.take_seat(&mut seat, self.body.len(), limits).await?;
            if self.fill(SMALL).await? == 0 {
                return Err(Break::Closed("within the body".to_owned()));
            }
        }
    }

    /// A body that is not small any more waits for a seat.
    async fn take_seat<'a>(
        &mut self,
        seat: &mut Option<SemaphorePermit<'a>>,
        have: usize,
        limits: &Limits<'a>,
    ) -> Result<(), Break> {
        if seat.is_none() && have > SMALL {
            // It is not the server that keeps us waiting.
            self.clock.wait_until_end();
            let taken = self.clock.within(limits.large.acquire()).await?;
            *seat = taken.ok();
        }
        self.clock.wait(Instant::now());
        Ok(())
    }

    /// Head and body of a response that it has read.
    pub(crate) fn parts(&self, exchange: &Exchange) -> (&[u8], &[u8]) {
        let head = self.buf.get(..exchange.head_end).unwrap_or_default();
        let body = match &exchange.body {
            Part::Behind(range) => self.buf.get(range.clone()).unwrap_or_default(),
            Part::Apart => &self.body,
        };
        (head, body)
    }

    /// Hands out a large body without copying it; the head is gone then.
    pub(crate) fn take_body(&mut self, exchange: &Exchange) -> Option<Vec<u8>> {
        match &exchange.body {
            Part::Apart => Some(std::mem::take(&mut self.body)),
            Part::Behind(range) if range.len() > SMALL => {
                let mut body = std::mem::take(&mut self.buf);
                body.truncate(range.end);
                body.drain(..range.start);
                body.shrink_to_fit();
                Some(body)
            }
            Part::Behind(_) => None,
        }
    }
}
