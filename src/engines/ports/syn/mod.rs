//! The SYN sweep: half-open, over raw IP sockets, several times as fast as connections and without a
//! trace in the target's programs. Needs CAP_NET_RAW.
//!
//! Nothing is remembered of a probe but one bit: the sequence number is a cookie that proves an answer
//! ([`cookie`]), and the plan tells which probe an address and port are. Each worker has sockets and a
//! port of its own ([`socket`]), takes stretches of the plan ([`block`]), sends a batch, takes what has
//! come, and sends again what got no answer, as often as the loss that it measures asks for
//! ([`rounds`], [`loss`]). With `packet_ring` a packet socket stands in for the raw socket of IPv4 where it can
//! ([`ring`], [`ways`], [`packet`]). The kernel resets the connections that an open port offers, as it knows of none.

mod block;
mod cookie;
mod hear;
mod hosts;
mod leave;
mod loss;
mod mmsg;
mod neighbours;
mod notes;
mod pace;
mod packet;
mod ring;
mod rounds;
mod routes;
mod shared;
mod socket;
mod ways;
mod wire;
mod worker;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use socket2::Domain;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::listen::{Message, UnderWay, listen};
use super::rate::Rates;
use super::report::{Checkpoint, Sweep, SweepStats};
use super::{Observer, Plan, Progress, ScanError, ScanOptions};

use notes::Notes;
use ring::Ring;
use shared::Shared;
use socket::RawSockets;
use worker::Worker;

/// More threads than this do not help: each batch is the kernel's work for the most part, and its
/// locks are the limit.
const MOST_WORKERS: usize = 4;

/// Probes that make a further thread worth its start.
const PROBES_A_WORKER: u64 = 4096;

/// Whether this process may open raw sockets.
///
/// # Errors
/// Why not; EPERM or EACCES without CAP_NET_RAW.
pub(super) fn permitted() -> io::Result<()> {
    RawSockets::open(Domain::IPV4).map(drop)
}

/// Sweeps the ports of a plan. `found` hears of each open port at once, and says whether that is news.
pub(super) async fn sweep(
    plan: Arc<Plan>,
    options: &ScanOptions,
    rates: Arc<Rates>,
    deadline: Option<Instant>,
    observer: &dyn Observer,
    found: impl FnMut(IpAddr, u16) -> bool,
) -> Result<Sweep, ScanError> {
    let mut running =
        Running::start(Arc::clone(&plan), options, rates).map_err(ScanError::Start)?;
    let messages = &mut running.messages;
    let finished = listen(messages, &running.way, deadline, observer, found).await;
    let way = &running.way;
    if finished.len() < way.low.len() {
        return Err(ScanError::WorkerLost);
    }
    let mut result = Sweep {
        refusal: "reset",
        ..Sweep::default()
    };
    for stats in &finished {
        result.stats.add(stats);
    }
    if let Some(source) = way.shared.take_fatal() {
        if way.shared.sent.load(Ordering::Relaxed) == 0 {
            return Err(not_permitted(&plan, source));
        }
        // What was found until then is kept.
        way.notes.say(format!("the sweep ended early: {source}"));
    }
    result.notes = way.notes.take();
    let checkpoint = way.checkpoint();
    result.incomplete = checkpoint.place < checkpoint.total;
    result.checkpoint = result.incomplete.then_some(checkpoint);
    result.hosts = way.shared.hosts.tallies();
    Ok(result)
}

fn not_permitted(plan: &Plan, source: io::Error) -> ScanError {
    let addr = plan.targets().nth(0).unwrap_or(IpAddr::from([0, 0, 0, 0]));
    ScanError::NotPermitted { addr, source }
}

/// A sweep under way. Its threads end soon after it is dropped.
struct Running {
    way: Way,
    messages: UnboundedReceiver<Message<SweepStats>>,
}

/// What is known of a sweep under way.
struct Way {
    shared: Arc<Shared>,
    /// The first undecided place of each worker.
    low: Vec<Arc<AtomicU64>>,
    notes: Notes,
}

impl Running {
    fn start(plan: Arc<Plan>, options: &ScanOptions, rates: Arc<Rates>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = usize::try_from(plan.len().div_ceil(PROBES_A_WORKER))
            .unwrap_or(usize::MAX)
            .clamp(1, cores.min(MOST_WORKERS));
        let shared = Shared::new(Arc::clone(&plan), rates, options, workers as u64);
        let shared = Arc::new(shared);
        let (sender, messages) = unbounded_channel();
        let mut running = Self {
            way: Way {
                shared: Arc::clone(&shared),
                low: Vec::new(),
                notes: Notes::default(),
            },
            messages,
        };
        let (v4, v6) = families(&plan);
        if options.packet_ring && v6 {
            let note = "the packet ring is for IPv4: IPv6 was scanned over raw sockets";
            running.way.notes.say(note.to_owned());
        }
        for number in 0..workers {
            let low = Arc::new(AtomicU64::new(u64::MAX));
            let open = |wanted: bool, domain| wanted.then(|| RawSockets::open(domain)).transpose();
            let mut v4 = open(v4, Domain::IPV4)?;
            let ring = match &mut v4 {
                Some(v4) if options.packet_ring => running.way.ring(v4)?,
                _ => None,
            };
            let worker = Worker::new(
                Arc::clone(&shared),
                sender.clone(),
                v4,
                open(v6, Domain::IPV6)?,
                ring,
                Arc::clone(&low),
            )?;
            running.way.low.push(low);
            std::thread::Builder::new()
                .name(format!("syn-{number}"))
                .spawn(move || worker.run())?;
        }
        Ok(running)
    }
}

impl Way {
    /// A ring in the place of the raw socket, or why there is none in the notes.
    fn ring(&self, v4: &mut RawSockets) -> io::Result<Option<Ring>> {
        match Ring::open(v4.port, Arc::clone(&self.shared), self.notes.clone()) {
            Ok(ring) => {
                v4.send_only()?;
                Ok(Some(ring))
            }
            Err(error) => {
                self.notes.say(format!(
                    "no packet ring ({error}): scanned over raw sockets"
                ));
                Ok(None)
            }
        }
    }
}

impl UnderWay for Way {
    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    fn progress(&self) -> Progress {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Progress {
            done: load(&self.shared.decided),
            total: self.shared.plan.len(),
            open: load(&self.shared.open),
            sent: load(&self.shared.sent),
            answered: load(&self.shared.answered),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        // In this order: what a worker takes in between, it has published before.
        let next = self.shared.next_place();
        let low = self.low.iter().map(|low| low.load(Ordering::SeqCst)).min();
        Checkpoint {
            seed: self.shared.plan.seed(),
            place: low.unwrap_or(u64::MAX).min(next),
            total: self.shared.plan.len(),
        }
    }

    fn was_open(&self, target: u64) {
        self.shared.hosts.of(target).was_open();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.way.stop();
    }
}

/// Whether there are targets of IPv4 and of IPv6.
fn families(plan: &Plan) -> (bool, bool) {
    let ranges = || plan.targets().ranges();
    (
        ranges().any(|(first, _)| first.is_ipv4()),
        ranges().any(|(_, last)| last.is_ipv6()),
    )
}
