//! The connect sweep: which ports of the hosts of a plan accept a connection.
//!
//! Plain `connect(2)` on non-blocking sockets with epoll, on threads of its own: the kernel's work
//! for one core's connections is the limit, so that a second core helps and an async runtime only
//! costs. The async side gets messages and feeds the observer from them; if the threads hang, so
//! does it.
//!
//! Each worker takes places of the plan's order, a few at a time, and tries them as the windows of
//! the hosts ([`hosts`]) and the caps on the rate allow; what has to wait does so in a queue while
//! others go on. Memory does not depend on the number of probes.

pub(super) mod hosts;
mod pace;
mod queue;
mod settle;
mod shared;
mod socket;
mod timers;
mod worker;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::limits::FdBudget;
use super::listen::{Message, UnderWay, listen};
use super::rate::Rates;
use super::report::{Checkpoint, Sweep};
use super::{Observer, Plan, Progress, ScanError, ScanOptions};

use shared::{Fatal, Shared};
use worker::{Tally, Worker};

/// More attempts than this in flight do not help any path that we have seen.
const MOST_IN_FLIGHT: usize = 16_384;

/// More threads than this do not help: the kernel's locks are the limit.
const MOST_WORKERS: usize = 4;

/// Probes that make a further thread worth its start.
const PROBES_A_WORKER: u64 = 2048;

/// Sweeps a plan. `found` hears of each open port at once, and says whether that is news.
pub(super) async fn sweep(
    plan: Arc<Plan>,
    options: &ScanOptions,
    rates: Arc<Rates>,
    deadline: Option<Instant>,
    observer: &dyn Observer,
    found: impl FnMut(IpAddr, u16) -> bool,
) -> Result<Sweep, ScanError> {
    let mut running = Running::start(plan, options, rates)?;
    let messages = &mut running.messages;
    let tallies = listen(messages, &*running.shared, deadline, observer, found).await;
    if tallies.len() < running.shared.workers {
        return Err(ScanError::WorkerLost);
    }
    let mut result = Sweep {
        refusal: "conn-refused",
        ..Sweep::default()
    };
    tallies.iter().for_each(|tally| result.add(tally));
    running.verdict()?;
    let progress = running.shared.progress();
    result.incomplete = progress.done < progress.total;
    result.checkpoint = result.incomplete.then(|| running.shared.checkpoint());
    result.hosts = running.shared.hosts.tallies();
    Ok(result)
}

impl Sweep {
    fn add(&mut self, tally: &Tally) {
        self.stats.add(&tally.stats);
        self.last_error = tally.last_error.or(self.last_error);
    }
}

/// A sweep under way. Its threads end soon after it is dropped.
struct Running {
    shared: Arc<Shared>,
    messages: UnboundedReceiver<Message<Tally>>,
}

impl Running {
    fn start(plan: Arc<Plan>, options: &ScanOptions, rates: Arc<Rates>) -> Result<Self, ScanError> {
        let budget = FdBudget::of_process().limit();
        let most = match options.concurrency {
            0 => budget.min(MOST_IN_FLIGHT),
            wanted => wanted.min(budget),
        };
        let most = most.max(1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let worthwhile = plan.len().div_ceil(PROBES_A_WORKER);
        let workers = usize::try_from(worthwhile)
            .unwrap_or(MOST_WORKERS)
            .clamp(1, cores.min(MOST_WORKERS))
            .min(most);
        let shared = Arc::new(Shared::new(plan, options, rates, most, workers));
        let (sender, messages) = unbounded_channel();
        let running = Self {
            shared: Arc::clone(&shared),
            messages,
        };
        for number in 0..workers {
            let worker = Worker::new(Arc::clone(&shared), number, sender.clone())
                .map_err(ScanError::Start)?;
            std::thread::Builder::new()
                .name(format!("sweep-{number}"))
                .spawn(move || worker.run())
                .map_err(ScanError::Start)?;
        }
        Ok(running)
    }

    fn verdict(&self) -> Result<(), ScanError> {
        let Some(fatal) = self.shared.fatal() else {
            return Ok(());
        };
        let first = self.shared.plan.targets().nth(0);
        let addr = first.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        Err(match fatal {
            Fatal::NotPermitted(errno) => ScanError::NotPermitted {
                addr,
                source: errno.into(),
            },
            Fatal::NoLocalAddress(errno) => ScanError::NoLocalAddress {
                addr,
                source: errno.into(),
            },
            Fatal::Poll(errno) => ScanError::Start(errno.into()),
        })
    }
}

impl UnderWay for Shared {
    fn stop(&self) {
        self.stop();
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.decided.load(Ordering::Relaxed),
            total: self.plan.len(),
            open: self.open.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            seed: self.plan.seed(),
            place: self.lowest(),
            total: self.plan.len(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
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
        // Three hosts, each of which has a port or two of the five open.
        let listeners: Vec<TcpListener> = (0..5)
            .map(|n| TcpListener::bind(format!("127.0.0.{}:0", n % 3 + 1)).unwrap())
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
        let plan = Plan::new("127.0.0.1-3".parse().unwrap(), &options.ports, 1);
        let rates = Arc::new(Rates::new(&options, 3));
        let mut running = Running::start(Arc::new(plan), &options, rates).unwrap();
        while running.shared.resource_waits.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        assert_eq!(running.shared.progress().done, 0);
        drop(hoard);
        let mut open = Vec::new();
        while let Some(message) = running.messages.blocking_recv() {
            if let Message::Open(addr, port) = message {
                open.push((addr, port));
            }
        }
        assert_eq!(running.shared.progress().done, 15);
        // Other programs may have ports of the same numbers on other addresses.
        for listener in &listeners {
            let addr = listener.local_addr().unwrap();
            assert!(open.contains(&(addr.ip(), addr.port())));
        }
    }
}
