use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::engines::ports::rate::RateLimiter;
use crate::engines::ports::rtt::FIRST_TIMEOUT;
use crate::fleet::Rule;

/// Most bytes that are taken from a service in answer to one probe.
pub const MOST_READ: usize = 16 * 1024;

/// Once a service began to speak, a pause of this length is the end of what it says.
const PAUSE: Duration = Duration::from_millis(150);

/// How long to wait for a file descriptor before the next try.
const SCARCE: Duration = Duration::from_millis(20);

/// What all probes of one host share.
pub struct Context<'a> {
    /// The address; the port is set for each probe.
    pub peer: SocketAddr,
    /// The target as given; a name is used for TLS and HTTP.
    pub target: &'a str,
    /// The cap on connection attempts.
    pub limiter: &'a RateLimiter,
    /// Time for all probes of one port.
    pub timeout: Duration,
    /// Ask more than what the service is.
    pub deep: bool,
    /// Called at the end of each step of a probe.
    pub step: &'a (dyn Fn() + Sync),
}

impl Context<'_> {
    /// The target, if it is a name.
    pub fn name(&self) -> Option<&str> {
        matches!(self.target.parse(), Ok(Rule::Name(_))).then_some(self.target)
    }

    /// Connects to a port; `None` when that fails or time is up.
    pub async fn connect(&self, port: u16, deadline: Instant) -> Option<TcpStream> {
        let mut peer = self.peer;
        peer.set_port(port);
        // Later the kernel sends its SYN again, by nobody's leave.
        let wait = match self.limiter.is_capped() {
            true => FIRST_TIMEOUT,
            false => Duration::MAX,
        };
        let connected = timeout_at(deadline, async {
            loop {
                self.limiter.take().await;
                match timeout(wait, TcpStream::connect(peer)).await {
                    // No file descriptor or local port is free: others will be done soon.
                    Ok(Err(error)) if is_scarce(&error) => tokio::time::sleep(SCARCE).await,
                    Ok(other) => return other,
                    Err(_) => {}
                }
            }
        });
        let stream = connected.await.ok()?.ok();
        (self.step)();
        stream
    }

    /// What a service says within `wait`, until it pauses, `enough` is satisfied or the cap is hit.
    pub async fn listen(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        wait: Duration,
        deadline: Instant,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Vec<u8> {
        let mut said = Vec::new();
        let mut chunk = [0; 2048];
        let first = deadline.min(Instant::now() + wait);
        while said.len() < MOST_READ && !enough(&said) {
            let until = match said.is_empty() {
                true => first,
                false => deadline.min(Instant::now() + PAUSE),
            };
            match timeout_at(until, stream.read(&mut chunk)).await {
                Ok(Ok(len @ 1..)) => {
                    let room = MOST_READ - said.len();
                    said.extend_from_slice(&chunk[..len.min(room)]);
                }
                _ => break,
            }
        }
        (self.step)();
        said
    }

    /// Says something; false when the other side does not take it.
    pub async fn say(&self, stream: &mut (impl AsyncWrite + Unpin), what: &[u8]) -> bool {
        // A server that does not read must not hold us: what we say is short and fits any buffer.
        let said = timeout(Duration::from_secs(1), async {
            stream.write_all(what).await?;
            stream.flush().await
        });
        matches!(said.await, Ok(Ok(())))
    }

    /// Connects, says something and returns the answer; empty when there is none.
    pub async fn ask(
        &self,
        port: u16,
        what: &[u8],
        deadline: Instant,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Vec<u8> {
        let Some(mut stream) = self.connect(port, deadline).await else {
            return Vec::new();
        };
        if !self.say(&mut stream, what).await {
            return Vec::new();
        }
        self.listen(&mut stream, ANSWER, deadline, enough).await
    }
}

/// Whether there was no file descriptor, memory or local port for a connection.
fn is_scarce(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let scarce = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| scarce.iter().any(|errno| errno.raw_os_error() == code))
}

/// How long a service may take to answer a probe.
pub const ANSWER: Duration = Duration::from_millis(1500);

/// Nothing is enough: reads until the service pauses.
pub fn never(_said: &[u8]) -> bool {
    false
}

/// A greeting in lines is there in whole: a last line, and not one of those with more to come
/// (`220-`). Greetings of other forms end with a pause.
pub fn greeting(said: &[u8]) -> bool {
    let Some(lines) = said.strip_suffix(b"\n") else {
        return false;
    };
    let last = lines
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let starts = |start: &[u8]| last.starts_with(start);
    let code = last.len() > 3 && last[..3].iter().all(u8::is_ascii_digit) && last[3] == b' ';
    code || [
        b"SSH-".as_slice(),
        b"+OK",
        b"* OK",
        b"RFB ",
        b"@RSYNCD",
        b"INFO {",
        b"OK MPD",
    ]
    .iter()
    .any(|start| starts(start))
}

/// A whole line is enough.
pub fn line(said: &[u8]) -> bool {
    said.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_that_are_whole() {
        assert!(greeting(b"220 hello\r\n") && greeting(b"220-a\r\n220 b\r\n"));
        assert!(greeting(b"SSH-2.0-x\r\n") && greeting(b"RFB 003.008\n"));
        assert!(!greeting(b"220-a\r\n") && !greeting(b"220 hel") && !greeting(b"hello\n"));
    }
}
