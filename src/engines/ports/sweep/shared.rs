use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::io::Errno;

use crate::engines::ports::rate::Rates;
use crate::engines::ports::{Plan, ScanOptions};

use super::hosts::Hosts;

/// What the workers of one sweep share.
#[derive(Debug)]
pub struct Shared {
    /// What is to be tried.
    pub plan: Arc<Plan>,
    /// Interface of link-local targets.
    pub scope_id: u32,
    /// Further attempts for a port that gives no answer, as asked for.
    pub retries: u32,
    /// The caps on attempts a second.
    pub rates: Arc<Rates>,
    /// What is known of the hosts.
    pub hosts: Hosts,
    /// When it began.
    pub start: Instant,
    /// Number of workers.
    pub workers: usize,
    /// Number of probes.
    total: u64,
    /// Place in the plan of the next port that was not begun.
    next: AtomicU64,
    /// Of each worker: nothing before this place is undecided there, nor will be.
    lowest: Box<[AtomicU64]>,
    /// The sweep shall end now.
    stop: AtomicBool,
    /// Ports decided, those before the place where it began included.
    pub decided: AtomicU64,
    /// Ports found open.
    pub open: AtomicU64,
    /// Attempts made.
    pub sent: AtomicU64,
    /// Attempts answered.
    pub answered: AtomicU64,
    /// An attempt left this machine.
    left: AtomicBool,
    /// Attempts that this machine did not permit.
    forbidden: AtomicU64,
    /// Waits for a file descriptor or local port.
    pub resource_waits: AtomicU64,
    /// Why the sweep cannot go on.
    fatal: Mutex<Option<Fatal>>,
}

/// Why a sweep cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// This machine lets nothing out to the targets.
    NotPermitted(Errno),
    /// No local address leads there.
    NoLocalAddress(Errno),
    /// epoll failed.
    Poll(Errno),
}

/// So many attempts a host must be forbidden, and none let out, before the scan is given up.
const FORBIDDEN_ATTEMPTS: u64 = 16;

/// Hosts that count for that.
const FORBIDDEN_HOSTS: u64 = 4096;

/// So many waits without a single attempt that left: the local address will not come.
pub const HOPELESS_WAITS: u8 = 100;

/// Places that a worker takes at once.
const CHUNK: u64 = 64;

impl Shared {
    /// A sweep that has not begun, with at most `most` attempts in flight.
    pub fn new(
        plan: Arc<Plan>,
        options: &ScanOptions,
        rates: Arc<Rates>,
        most: usize,
        workers: usize,
    ) -> Self {
        let total = plan.len();
        let first = options.resume.map_or(0, |at| at.place.min(total));
        Self {
            scope_id: options.scope_id,
            retries: options.retries.min(64),
            rates,
            hosts: Hosts::new(plan.targets().len(), most, options.connect_timeout),
            plan,
            start: Instant::now(),
            workers,
            total,
            next: AtomicU64::new(first),
            lowest: (0..workers).map(|_| AtomicU64::new(first)).collect(),
            stop: AtomicBool::new(false),
            decided: AtomicU64::new(first),
            open: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            left: AtomicBool::new(false),
            forbidden: AtomicU64::new(0),
            resource_waits: AtomicU64::new(0),
            fatal: Mutex::new(None),
        }
    }

    /// The next places that were not begun; empty when there are none. Towards the end the parts
    /// get smaller, so that no worker is left alone with the last of them.
    pub fn take_chunk(&self) -> Range<u64> {
        let left = self.total.saturating_sub(self.next());
        if left == 0 {
            return 0..0;
        }
        let size = (left / (self.workers as u64 * 4)).clamp(1, CHUNK);
        let first = self.next.fetch_add(size, Ordering::Relaxed);
        first.min(self.total)..(first + size).min(self.total)
    }

    /// Whether there are ports that were not begun.
    pub fn has_fresh(&self) -> bool {
        self.next() < self.total
    }

    /// The first place that nobody has taken.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// A worker says that it has nothing undecided before this place. What it takes later comes
    /// after what was next when it looked, which the caller has seen to.
    pub fn publish(&self, worker: usize, lowest: u64) {
        if let Some(place) = self.lowest.get(worker) {
            place.store(lowest, Ordering::Release);
        }
    }

    /// Everything before this place is decided.
    pub fn lowest(&self) -> u64 {
        let lowest = self.lowest.iter().map(|at| at.load(Ordering::Acquire));
        lowest.min().unwrap_or(0).min(self.total)
    }

    /// The sweep shall end now.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it shall.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the sweep for a reason; the first one counts.
    pub fn fail(&self, why: Fatal) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(why);
        self.stop();
    }

    /// Why the sweep could not go on, if it could not.
    pub fn fatal(&self) -> Option<Fatal> {
        *self.fatal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt left this machine.
    pub fn has_left(&self) {
        // Reading is cheap where all know it already.
        if !self.left.load(Ordering::Relaxed) {
            self.left.store(true, Ordering::Relaxed);
        }
    }

    /// An attempt was refused by this machine.
    pub fn forbid(&self, errno: Errno) {
        let forbidden = self.forbidden.fetch_add(1, Ordering::Relaxed) + 1;
        let hosts = self.plan.targets().len().min(FORBIDDEN_HOSTS);
        let enough = (FORBIDDEN_ATTEMPTS * hosts).min(self.total);
        if forbidden >= enough && !self.left.load(Ordering::Relaxed) {
            self.fail(Fatal::NotPermitted(errno));
        }
    }

    /// An attempt has to wait for a resource.
    pub fn wait_for(&self, errno: Errno) {
        let waits = self.resource_waits.fetch_add(1, Ordering::Relaxed) + 1;
        let hosts = self.plan.targets().len().min(FORBIDDEN_HOSTS);
        let hopeless =
            waits >= u64::from(HOPELESS_WAITS) * hosts && !self.left.load(Ordering::Relaxed);
        if hopeless && errno == Errno::ADDRNOTAVAIL {
            self.fail(Fatal::NoLocalAddress(errno));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::ports::Checkpoint;

    fn shared(ports: u16, workers: usize, resume: Option<Checkpoint>) -> Shared {
        let set = (1..=ports).collect();
        let options = ScanOptions {
            resume,
            ..ScanOptions::default()
        };
        let targets = "127.0.0.1".parse().unwrap();
        let plan = Arc::new(Plan::new(targets, &set, 1));
        let rates = Arc::new(Rates::new(&options, 1));
        Shared::new(plan, &options, rates, 10, workers)
    }

    #[test]
    fn each_place_once() {
        let shared = shared(1000, 2, None);
        let chunks = std::iter::from_fn(|| Some(shared.take_chunk()).filter(|c| !c.is_empty()));
        let taken: Vec<u64> = chunks.flatten().collect();
        assert!(taken.into_iter().eq(0..1000));
        assert!(!shared.has_fresh());
        assert!(shared.take_chunk().is_empty());
    }

    #[test]
    fn goes_on_where_it_was() {
        let resume = Checkpoint {
            seed: 1,
            place: 990,
            total: 1000,
        };
        let shared = shared(1000, 1, Some(resume));
        assert_eq!(shared.take_chunk().start, 990);
        assert_eq!(shared.decided.load(Ordering::Relaxed), 990);
    }

    #[test]
    fn the_slowest_worker_tells_where_to_go_on() {
        let shared = shared(1000, 2, None);
        assert_eq!(shared.lowest(), 0);
        shared.publish(0, 500);
        assert_eq!(shared.lowest(), 0);
        shared.publish(1, 300);
        assert_eq!(shared.lowest(), 300);
    }

    #[test]
    fn gives_up_when_nothing_is_let_out() {
        let shared = shared(100, 1, None);
        for _ in 0..FORBIDDEN_ATTEMPTS {
            assert!(!shared.stopped());
            shared.forbid(Errno::PERM);
        }
        assert!(shared.stopped());
        assert_eq!(shared.fatal(), Some(Fatal::NotPermitted(Errno::PERM)));
    }

    #[test]
    fn goes_on_when_some_are_let_out() {
        let shared = shared(100, 1, None);
        shared.has_left();
        for _ in 0..200 {
            shared.forbid(Errno::PERM);
            shared.wait_for(Errno::ADDRNOTAVAIL);
        }
        assert_eq!(shared.fatal(), None);
    }
}
