//! The port sweep: which ports of a host accept a connection.
//!
//! Plain `connect(2)` on non-blocking sockets with epoll, on threads of its own: the kernel's work
//! for one core's connections is the limit, so that a second core helps and an async runtime only
//! costs. The async side gets messages and feeds the observer from them; if the threads hang, so
//! does it.

mod order;
mod pace;
mod queue;
mod rtt;
mod shared;
mod socket;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::limits::FdBudget;
use super::rate::RateLimiter;
use super::report::SweepStats;
use super::{Observer, Progress, ScanError, ScanOptions};

use pace::Pace;
use shared::{Fatal, Shared};
use worker::{Message, Tally, Worker};

/// More attempts than this in flight do not help any path that we have seen.
const MOST_IN_FLIGHT: usize = 8192;

/// More threads than this do not help: the kernel's locks are the limit.
const MOST_WORKERS: usize = 4;

/// Ports that make a further thread worth its start.
const PORTS_A_WORKER: usize = 2048;

/// How often the observer is asked whether the scan shall end.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Open ports, in the order in which they were found.
    pub open: Vec<u16>,
    /// Ports that refused.
    pub closed: u32,
    /// Ports that did not answer.
    pub silent: u32,
    /// Ports for which the network said that there is no way.
    pub no_route: u32,
    /// It was stopped before its end.
    pub incomplete: bool,
    /// Attempts, retries, timeouts.
    pub stats: SweepStats,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The last error that was no usual answer.
    pub last_error: Option<Errno>,
}

/// Sweeps the ports of one host. `found` hears of each open port at once.
pub(super) async fn sweep(
    target: SocketAddr,
    options: &ScanOptions,
    limiter: &Arc<RateLimiter>,
    deadline: Option<Instant>,
    observer: &dyn Observer,
    found: impl Fn(u16),
) -> Result<Sweep, ScanError> {
    let mut running = Running::start(target, options, Arc::clone(limiter))?;
    let total = options.ports.len() as u64;
    let mut result = Sweep::default();
    let mut tick = tokio::time::interval(ASK_EVERY);
    let mut finished = 0;
    loop {
        let message = tokio::select! {
            message = running.messages.recv() => message,
            _ = tick.tick() => {
                if observer.cancelled() || deadline.is_some_and(|at| Instant::now() >= at) {
                    running.stop();
                }
                continue;
            }
        };
        match message {
            Some(Message::Open(port)) => {
                result.open.push(port);
                found(port);
            }
            Some(Message::Progress) => {}
            Some(Message::Finished(tally)) => {
                finished += 1;
                result.add(&tally);
            }
            None => break,
        }
        let (done, open) = running.counts();
        observer.progress(&Progress {
            done,
            total,
            open,
            ..Progress::default()
        });
    }
    if finished < running.workers {
        return Err(ScanError::WorkerLost);
    }
    running.verdict(target)?;
    let (done, _) = running.counts();
    result.incomplete = done < total;
    result.rtt = running.shared.pace.rtt();
    Ok(result)
}

impl Sweep {
    fn add(&mut self, tally: &Tally) {
        self.closed += tally.closed;
        self.silent += tally.silent;
        self.no_route += tally.no_route;
        self.stats.attempts += tally.stats.attempts;
        self.stats.retries += tally.stats.retries;
        self.stats.timeouts += tally.stats.timeouts;
        self.stats.resource_waits += tally.stats.resource_waits;
        self.stats.late_answers += tally.stats.late_answers;
        self.last_error = tally.last_error.or(self.last_error);
    }
}

/// A sweep under way. Its threads end soon after it is dropped.
struct Running {
    shared: Arc<Shared>,
    messages: UnboundedReceiver<Message>,
    workers: usize,
}

impl Running {
    fn start(
        target: SocketAddr,
        options: &ScanOptions,
        limiter: Arc<RateLimiter>,
    ) -> Result<Self, ScanError> {
        let budget = FdBudget::of_process().limit();
        let most = match options.concurrency {
            0 => budget.min(MOST_IN_FLIGHT),
            wanted => wanted.min(budget),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = options
            .ports
            .len()
            .div_ceil(PORTS_A_WORKER)
            .clamp(1, cores.min(MOST_WORKERS))
            .min(most.max(1));
        let pace = Pace::new(most.max(1), options.connect_timeout);
        let shared = Arc::new(Shared::new(
            target,
            &options.ports,
            options.retries,
            limiter,
            pace,
        ));
        let (sender, messages) = unbounded_channel();
        let running = Self {
            shared: Arc::clone(&shared),
            messages,
            workers,
        };
        for number in 0..workers {
            let worker = Worker::new(Arc::clone(&shared), sender.clone(), workers)
                .map_err(ScanError::Start)?;
            std::thread::Builder::new()
                .name(format!("sweep-{number}"))
                .spawn(move || worker.run())
                .map_err(ScanError::Start)?;
        }
        Ok(running)
    }

    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Ports decided and ports open.
    fn counts(&self) -> (u64, u64) {
        (
            self.shared.decided.load(Ordering::Relaxed),
            self.shared.open.load(Ordering::Relaxed),
        )
    }

    fn verdict(&self, target: SocketAddr) -> Result<(), ScanError> {
        let addr = target.ip();
        match self.shared.fatal() {
            None => Ok(()),
            Some(Fatal::NotPermitted(errno)) => Err(ScanError::NotPermitted {
                addr,
                source: errno.into(),
            }),
            Some(Fatal::NoLocalAddress(errno)) => Err(ScanError::NoLocalAddress {
                addr,
                source: errno.into(),
            }),
            Some(Fatal::Poll(errno)) => Err(ScanError::Start(errno.into())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Without a file descriptor to spare the sweep waits; it neither fails nor calls a port
    /// closed.
    ///
    /// The limit is the process's, so that this runs in a process of its own.
    #[test]
    fn waits_for_file_descriptors() {
        const CHILD: &str = "RECON_TEST_EMFILE_CHILD";
        if std::env::var_os(CHILD).is_some() {
            return without_file_descriptors();
        }
        let name = "engines::ports::sweep::tests::waits_for_file_descriptors";
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn without_file_descriptors() {
        let limit = rustix::process::Rlimit {
            current: Some(64),
            maximum: Some(64),
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        let listeners: Vec<TcpListener> = (0..5)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let options = ScanOptions {
            ports: listeners.iter().map(port).collect(),
            ..ScanOptions::default()
        };
        FdBudget::of_process();
        let open_null = || std::fs::File::open("/dev/null");
        // The worker's epoll instance takes the place of this one.
        let reserve = open_null().unwrap();
        let hoard: Vec<_> = std::iter::from_fn(|| open_null().ok()).collect();
        drop(reserve);
        let limiter = Arc::new(RateLimiter::new(0));
        let target = "127.0.0.1:0".parse().unwrap();
        let mut running = Running::start(target, &options, limiter).unwrap();
        while running.shared.resource_waits.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        assert_eq!(running.counts(), (0, 0));
        drop(hoard);
        while running.messages.blocking_recv().is_some() {}
        assert_eq!(running.counts(), (5, 5));
    }
}
