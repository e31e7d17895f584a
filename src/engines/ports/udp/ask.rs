use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::api::OpenPort;
use crate::engines::ports::limits::{FdBudget, FdPermit};
use crate::engines::ports::scan::socket_addr;
use crate::engines::ports::services::{self, Finding, udp};
use crate::engines::ports::sweep::hosts::NoWay;
use crate::engines::ports::{Probe, table};

use super::Shared;
use super::socket::{Socket, errno};

/// The least that a service is waited for, however near its host is: it is a program that answers, not
/// the kernel. Doubled for each further attempt.
const LEAST_WAIT: Duration = Duration::from_millis(400);

/// More attempts than this for one port are never made.
const MOST_RETRIES: u32 = 10;

/// How long to wait for a descriptor, a local port or room in a queue before the next look.
const RESOURCE_WAIT: Duration = Duration::from_millis(10);

/// What a port turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// It answered.
    Open(Box<OpenPort>),
    /// The host says that nothing is there.
    Closed,
    /// Nothing.
    Silent,
    /// The network says that there is no way to it.
    NoWay(NoWay, Errno),
}

/// How an attempt ended.
enum Outcome {
    Answer(Option<Box<Finding>>),
    Error(io::Error),
    Nothing,
}

impl Shared<'_> {
    /// Asks one port, as often as it takes.
    pub(super) async fn ask(&self, probe: Probe) -> (Probe, Verdict) {
        let _permit = self.descriptor().await;
        let mut peer = socket_addr(probe.addr, self.options.scope_id);
        peer.set_port(probe.port);
        let verdict = match self.open(peer).await {
            Ok(socket) => self.attempts(&socket, probe).await,
            Err(error) => no_way(&error),
        };
        (probe, verdict)
    }

    /// A descriptor of the budget.
    async fn descriptor(&self) -> FdPermit {
        loop {
            if let Some(permit) = FdBudget::of_process().try_take() {
                return permit;
            }
            self.wait().await;
        }
    }

    async fn wait(&self) {
        self.waits.fetch_add(1, Relaxed);
        tokio::time::sleep(RESOURCE_WAIT).await;
    }

    async fn open(&self, peer: SocketAddr) -> io::Result<Socket> {
        loop {
            match Socket::open(peer) {
                Err(error) if is_passing(&error) => self.wait().await,
                other => return other,
            }
        }
    }

    async fn attempts(&self, socket: &Socket, probe: Probe) -> Verdict {
        let mut verdict = Verdict::Silent;
        for attempt in 0..=self.options.retries.min(MOST_RETRIES) {
            let outcome = self.attempt(socket, probe, attempt).await;
            match outcome {
                Outcome::Answer(finding) => {
                    return Verdict::Open(Box::new(open(probe, finding.map(|finding| *finding))));
                }
                Outcome::Error(error) => match no_way(&error) {
                    // A router may be wrong for a moment; the host itself is believed.
                    unreachable @ Verdict::NoWay(..) => verdict = unreachable,
                    other => return other,
                },
                Outcome::Nothing => {
                    self.timeouts.fetch_add(1, Relaxed);
                }
            }
        }
        verdict
    }

    /// Sends once and waits.
    async fn attempt(&self, socket: &Socket, probe: Probe, attempt: u32) -> Outcome {
        let payload = match attempt {
            0 => udp::payload(probe.port),
            _ => udp::payload_again(probe.port),
        };
        let sent = loop {
            self.rates.of(probe.host).take().await;
            let now = Instant::now();
            match socket.send(payload).await {
                Ok(()) => break now,
                Err(error) if is_passing(&error) => self.wait().await,
                // What the datagram before this one met came only now; this one was not sent.
                Err(error) => return self.answer(probe, attempt, now, Outcome::Error(error)),
            }
        };
        self.sent.fetch_add(1, Relaxed);
        self.again.fetch_add(u64::from(attempt > 0), Relaxed);
        self.hosts.host(probe.host).has_left();
        let read = |answer: &[u8]| udp::identify_udp(probe.port, answer);
        let outcome = tokio::time::timeout(self.patience(probe, attempt), socket.answer(read));
        match outcome.await {
            Ok(Ok(finding)) => {
                self.answer(probe, attempt, sent, Outcome::Answer(finding.map(Box::new)))
            }
            Ok(Err(error)) => self.answer(probe, attempt, sent, Outcome::Error(error)),
            Err(_) => Outcome::Nothing,
        }
    }

    /// How long an attempt waits.
    fn patience(&self, probe: Probe, attempt: u32) -> Duration {
        let least = LEAST_WAIT * (1 << attempt.min(4));
        let wanted = self.hosts.timeout(probe.host, attempt).max(least);
        wanted.min(self.options.connect_timeout)
    }

    /// Learns from what came. To which of several datagrams it belongs nobody knows, so that only the
    /// first tells the time (Karn's algorithm, RFC 6298 §3).
    fn answer(&self, probe: Probe, attempt: u32, sent: Instant, outcome: Outcome) -> Outcome {
        let refused =
            |error: &io::Error| matches!(errno(error), Errno::CONNREFUSED | Errno::NOPROTOOPT);
        match &outcome {
            Outcome::Nothing => return outcome,
            Outcome::Error(error) if !refused(error) => {}
            Outcome::Answer(_) | Outcome::Error(_) if attempt == 0 => {
                let (rtt, now) = (sent.elapsed(), self.start.elapsed());
                self.hosts.answered(probe.host, rtt, false, now);
            }
            Outcome::Answer(_) | Outcome::Error(_) => {
                self.late.fetch_add(1, Relaxed);
            }
        }
        self.answered.fetch_add(1, Relaxed);
        outcome
    }
}

/// Short of something that comes back.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN | Errno::INTR
    )
}

/// What an error says about a port.
fn no_way(error: &io::Error) -> Verdict {
    let errno = errno(error);
    let why = match errno {
        // Port unreachable; protocol unreachable is the same of a host without UDP.
        Errno::CONNREFUSED | Errno::NOPROTOOPT => return Verdict::Closed,
        Errno::NETUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => NoWay::Net,
        Errno::PERM | Errno::ACCESS => NoWay::Prohibited,
        _ => NoWay::Host,
    };
    Verdict::NoWay(why, errno)
}

/// A port that answered, with what the answer tells, if anything.
fn open(probe: Probe, finding: Option<Finding>) -> OpenPort {
    let usual = table::udp().usual_service(probe.port);
    let mut port = OpenPort {
        port: probe.port,
        protocol: "udp".to_owned(),
        service_name: usual.to_owned(),
        state_reason: "udp-response".to_owned(),
        confidence: match usual {
            "" => 0.0,
            _ => services::BY_NUMBER,
        },
        ..OpenPort::default()
    };
    if let Some(finding) = finding {
        finding.put_into(&mut port);
    }
    port
}
