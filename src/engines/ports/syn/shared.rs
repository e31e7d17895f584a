use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engines::ports::rate::Rates;
use crate::engines::ports::rtt::{FIRST_TIMEOUT, MIN_TIMEOUT, RttEstimator};
use crate::engines::ports::{Plan, ScanOptions};

use super::block::Block;
use super::cookie::Cookies;
use super::hosts::Hosts;
use super::routes::Sources;

/// What the workers of one sweep share.
#[derive(Debug)]
pub struct Shared {
    /// What is to be tried.
    pub plan: Arc<Plan>,
    /// The caps.
    pub rates: Arc<Rates>,
    /// What is known of each host.
    pub hosts: Hosts,
    /// Sequence numbers.
    pub cookies: Cookies,
    /// Further rounds for a probe without answer, as asked for.
    pub retries: u32,
    /// No wait for an answer is longer.
    pub max_timeout: Duration,
    /// Interface of link-local targets.
    scope_id: u32,
    /// Probes of a block.
    block: u32,
    /// Place of the next block.
    next: AtomicU64,
    /// The sweep shall end now.
    pub stop: AtomicBool,
    /// Our addresses.
    pub sources: Sources,
    /// Packets may be for addresses that nobody has, which the kernel keeps until it knows: targets are
    /// on a network of ours, or the way out was full.
    pub careful: AtomicBool,
    /// So many hosts may be felt for at the same time.
    pub most_felt: u32,
    /// Probes decided.
    pub decided: AtomicU64,
    /// Ports found open.
    pub open: AtomicU64,
    /// Packets sent.
    pub sent: AtomicU64,
    /// Probes answered.
    pub answered: AtomicU64,
    /// Packets that this machine did not let out.
    forbidden: AtomicU64,
    /// Why the sweep cannot go on.
    fatal: Mutex<Option<io::Error>>,
    /// Start of the sweep.
    pub began: Instant,
}

/// So many packets must be forbidden, and none let out, before the sweep is given up.
const FORBIDDEN: u64 = 16;
/// No more hosts than this are tried for that.
const FORBIDDEN_HOSTS: u64 = 4096;

/// Hosts that one worker feels for: the buffer of a socket (`net.core.wmem_default`) has room for some
/// 270 packets that wait, and the kernel's table for 1,024 addresses (`gc_thresh3`).
const FELT_A_WORKER: u32 = 200;

/// Probes of a block at most and at least.
const MOST_PROBES: u64 = 1 << 16;
const LEAST_PROBES: u64 = 256;

/// A block that is sent at a capped rate takes so many seconds: what a checkpoint loses at most.
const SECONDS: u64 = 2;

impl Shared {
    /// A sweep by so many workers that has not begun.
    pub fn new(plan: Arc<Plan>, rates: Arc<Rates>, options: &ScanOptions, workers: u64) -> Self {
        let start = options.resume.map_or(0, |checkpoint| checkpoint.place);
        let sources = Sources::new(plan.targets());
        let careful = sources.on_link(plan.targets());
        Self {
            block: block_len(&plan, options, workers),
            hosts: Hosts::new(plan.targets().len()),
            plan,
            rates,
            cookies: Cookies::new(),
            retries: options.retries,
            max_timeout: options.connect_timeout,
            scope_id: options.scope_id,
            next: AtomicU64::new(start),
            stop: AtomicBool::new(false),
            sources,
            careful: AtomicBool::new(careful),
            most_felt: FELT_A_WORKER.saturating_mul(u32::try_from(workers).unwrap_or(1)),
            decided: AtomicU64::new(start),
            open: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            forbidden: AtomicU64::new(0),
            fatal: Mutex::new(None),
            began: Instant::now(),
        }
    }

    /// The next stretch of the plan that nobody has: its place and length.
    pub fn take_block(&self) -> Option<(u64, u32)> {
        let total = self.plan.len();
        let start = self.next.load(Ordering::Relaxed);
        if start >= total {
            return None;
        }
        let start = self.next.fetch_add(u64::from(self.block), Ordering::SeqCst);
        // At most `block`, which is a u32.
        #[allow(clippy::cast_possible_truncation)]
        let len = total.checked_sub(start)?.min(u64::from(self.block)) as u32;
        (len > 0).then_some((start, len))
    }

    /// Nothing before this place was begun by nobody.
    pub fn next_place(&self) -> u64 {
        self.next.load(Ordering::SeqCst).min(self.plan.len())
    }

    /// The sweep shall end now.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the sweep for a reason; the first one counts.
    pub fn fail(&self, why: io::Error) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Why the sweep could not go on, if it could not.
    pub fn take_fatal(&self) -> Option<io::Error> {
        self.fatal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// A packet was not let out by this machine.
    pub fn forbid(&self, why: io::Error) {
        let forbidden = self.forbidden.fetch_add(1, Ordering::Relaxed) + 1;
        let hosts = self.plan.targets().len().min(FORBIDDEN_HOSTS);
        let enough = (FORBIDDEN * hosts).min(self.plan.len());
        if forbidden >= enough && self.sent.load(Ordering::Relaxed) == 0 {
            self.fail(why);
        }
    }

    /// How long a round waits for an answer that takes so long.
    pub fn patience(&self, rtt: RttEstimator, round: u32) -> Duration {
        // RFC 6298 §5.5: later ones wait twice as long, but not twice the floor.
        let backoff = if round == 0 { 1 } else { 2 };
        let wanted = match rtt.timeout() {
            Some(timeout) => (timeout * backoff).max(MIN_TIMEOUT),
            None => FIRST_TIMEOUT,
        };
        wanted.min(self.max_timeout)
    }

    /// How long the round of a block waits for the slowest of the hosts that have not answered all of
    /// it: a far one among near ones, and one that was not heard of yet, as it may be far. Where `typical`
    /// is what a queue made of the way, those that are no slower than twice that are not waited for.
    pub fn longest_wait(&self, block: &Block, typical: Option<RttEstimator>) -> Duration {
        if self.hosts.only_one() {
            // What holds for all is its own.
            return Duration::ZERO;
        }
        let most = typical.and_then(|rtt| Some(rtt.timeout()? * 2));
        let probes = block.silent().filter_map(|index| {
            let probe = self.plan.at(block.start + u64::from(index))?;
            Some(self.hosts.of(probe.host))
        });
        let waits = probes.filter(|host| !host.absent()).map(|host| {
            let rtt = host.rtt();
            if rtt.timeout().is_some() && rtt.timeout() <= most {
                return Duration::ZERO;
            }
            // One whose answers were not timed has given them in time.
            match rtt.timeout().is_none() && host.is_heard() {
                true => Duration::ZERO,
                false => self.patience(rtt, block.round),
            }
        });
        waits.max().unwrap_or_default()
    }

    /// Nanoseconds since the start.
    pub fn clock(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX / 2)
    }

    /// Where packets for an address go.
    pub fn peer(&self, addr: IpAddr) -> SocketAddr {
        match addr {
            IpAddr::V4(_) => (addr, 0).into(),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, self.scope_id).into(),
        }
    }
}

/// Small enough for every worker to have several, and for a checkpoint to lose little.
fn block_len(plan: &Plan, options: &ScanOptions, workers: u64) -> u32 {
    let rates = [
        u64::from(options.max_rate).saturating_mul(plan.targets().len()),
        u64::from(options.max_rate_total),
    ];
    let rate = rates
        .into_iter()
        .filter(|rate| *rate > 0)
        .min()
        .unwrap_or(u64::MAX);
    let len = (plan.len() / (workers * 4))
        .min(rate.saturating_mul(SECONDS))
        .clamp(LEAST_PROBES, MOST_PROBES);
    // At most MOST_PROBES.
    #[allow(clippy::cast_possible_truncation)]
    let len = len as u32;
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::ports::PortSet;

    #[test]
    fn a_round_waits_for_the_slowest_host() {
        let plan = |targets: &str| {
            let ports = PortSet::tcp("80").unwrap();
            Arc::new(Plan::new(targets.parse().unwrap(), &ports, 1))
        };
        let options = ScanOptions::default();
        let shared = |targets| {
            let rates = Arc::new(Rates::new(&options, 3));
            Shared::new(plan(targets), rates, &options, 1)
        };
        let ms = Duration::from_millis;
        let now = Instant::now();
        let three = shared("10.0.0.1-3");
        let mut block = Block::new(0, 3, now);
        // Of nobody anything was heard: they may be far.
        assert_eq!(three.longest_wait(&block, None), FIRST_TIMEOUT);
        for host in 0..3 {
            three.hosts.answer(host, false);
        }
        assert_eq!(three.longest_wait(&block, None), Duration::ZERO);
        three.hosts.of(0).took(ms(1));
        assert_eq!(three.longest_wait(&block, None), MIN_TIMEOUT);
        three.hosts.of(2).took(ms(300));
        assert_eq!(three.longest_wait(&block, None), ms(900));
        // In a hurry only for what is far.
        let typical = |rtt| Some(RttEstimator::default().sample(ms(rtt)));
        assert_eq!(three.longest_wait(&block, typical(40)), ms(900));
        assert_eq!(three.longest_wait(&block, typical(150)), Duration::ZERO);
        let (place, _) = three.plan.place([10, 0, 0, 3].into(), 80).unwrap();
        block.take(u32::try_from(place).unwrap(), now);
        assert_eq!(three.longest_wait(&block, None), MIN_TIMEOUT);
        // Nobody waits for who is not there.
        let absent = shared("10.0.0.1-2");
        assert!((0..2).all(|host| absent.hosts.is_absent(host)));
        assert_eq!(
            absent.longest_wait(&Block::new(0, 2, now), None),
            Duration::ZERO
        );
    }
}
