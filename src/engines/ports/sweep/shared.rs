use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::engines::ports::rate::RateLimiter;
use crate::engines::ports::{PortSet, table};

use super::order::Order;
use super::pace::Pace;

/// What the workers of one sweep share.
#[derive(Debug)]
pub struct Shared {
    /// The target; its port is set for each attempt.
    pub target: SocketAddr,
    /// Ports to try; those that are most often open first.
    pub ports: Vec<u16>,
    /// How many of them are tried as they stand: an early answer tells the round-trip time.
    first: u32,
    /// Order of the rest.
    order: Order,
    /// Place in the order of the next port that was not begun.
    pub next: AtomicU32,
    /// Further attempts for a port that gives no answer, as asked for.
    retries: u32,
    /// The latest attempt that a port answered to when it had not to the earlier ones.
    helped: AtomicU32,
    /// The cap on attempts a second.
    pub limiter: Arc<RateLimiter>,
    /// Timeout and window.
    pub pace: Pace,
    /// The sweep shall end now.
    pub stop: AtomicBool,
    /// Ports decided.
    pub decided: AtomicU64,
    /// Ports found open.
    pub open: AtomicU64,
    /// Attempts that left this machine.
    pub left: AtomicU64,
    /// Attempts that this machine did not permit.
    pub forbidden: AtomicU64,
    /// Waits for a file descriptor or local port.
    pub resource_waits: AtomicU64,
    /// Why the sweep cannot go on.
    fatal: Mutex<Option<Fatal>>,
}

/// Why a sweep cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// This machine lets nothing out to the target.
    NotPermitted(Errno),
    /// No local address leads there.
    NoLocalAddress(Errno),
    /// epoll failed.
    Poll(Errno),
}

/// So many attempts must be forbidden, and none let out, before the scan is given up.
const FORBIDDEN_ATTEMPTS: u64 = 16;

/// So many waits without a single attempt that left: the local address will not come.
const HOPELESS_WAITS: u64 = 100;

/// Ports that are tried before the others, which come in random order.
const FIRST_PORTS: usize = 100;

/// Attempts beyond those asked for when packets are lost.
const LOSS_RETRIES: u32 = 3;

impl Shared {
    /// A sweep that has not begun.
    pub fn new(
        target: SocketAddr,
        set: &PortSet,
        retries: u32,
        limiter: Arc<RateLimiter>,
        pace: Pace,
    ) -> Self {
        let early = PortSet::top(FIRST_PORTS);
        let mut ports: Vec<u16> = table::top_ports(FIRST_PORTS)
            .filter(|port| set.contains(*port))
            .collect();
        let first = ports.len();
        ports.extend(set.iter().filter(|port| !early.contains(*port)));
        Self {
            target,
            order: Order::new(number(ports.len() - first), rand::random()),
            first: number(first),
            ports,
            next: AtomicU32::new(0),
            retries,
            helped: AtomicU32::new(0),
            limiter,
            pace,
            stop: AtomicBool::new(false),
            decided: AtomicU64::new(0),
            open: AtomicU64::new(0),
            left: AtomicU64::new(0),
            forbidden: AtomicU64::new(0),
            resource_waits: AtomicU64::new(0),
            fatal: Mutex::new(None),
        }
    }

    /// The next port that was not begun.
    pub fn take_fresh(&self) -> Option<u16> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let index = match place.checked_sub(self.first) {
            None => Some(place),
            Some(place) => self.order.nth(place).map(|index| index + self.first),
        };
        let Some(index) = index else {
            // Keeps the counter from wrapping while others ask.
            self.next.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        self.ports.get(index as usize).copied()
    }

    /// Further attempts for a port that gives no answer: as many as were asked for, and on a lossy
    /// way up to three more, as long as the last one allowed still brings answers.
    pub fn retries(&self) -> u32 {
        match self.retries {
            0 => 0,
            asked => asked
                .max(self.helped.load(Ordering::Relaxed) + 1)
                .min(asked + LOSS_RETRIES),
        }
    }

    /// A port answered to this attempt, and not to those before.
    pub fn helped(&self, attempt: u32) {
        self.helped.fetch_max(attempt, Ordering::Relaxed);
    }

    /// Whether there are ports that were not begun.
    pub fn has_fresh(&self) -> bool {
        (self.next.load(Ordering::Relaxed) as usize) < self.ports.len()
    }

    /// The sweep shall end now.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the sweep for a reason; the first one counts.
    pub fn fail(&self, why: Fatal) {
        let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Why the sweep could not go on, if it could not.
    pub fn fatal(&self) -> Option<Fatal> {
        *self.fatal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt was refused by this machine.
    pub fn forbid(&self, errno: Errno) {
        let forbidden = self.forbidden.fetch_add(1, Ordering::Relaxed) + 1;
        let enough = FORBIDDEN_ATTEMPTS.min(self.ports.len() as u64);
        if forbidden >= enough && self.left.load(Ordering::Relaxed) == 0 {
            self.fail(Fatal::NotPermitted(errno));
        }
    }

    /// An attempt has to wait for a resource.
    pub fn wait_for(&self, errno: Errno) {
        let waits = self.resource_waits.fetch_add(1, Ordering::Relaxed) + 1;
        let hopeless = waits >= HOPELESS_WAITS && self.left.load(Ordering::Relaxed) == 0;
        if hopeless && errno == Errno::ADDRNOTAVAIL {
            self.fail(Fatal::NoLocalAddress(errno));
        }
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shared(ports: u16, retries: u32) -> Shared {
        let limiter = Arc::new(RateLimiter::new(0));
        let target = "127.0.0.1:0".parse().unwrap();
        let pace = Pace::new(10, Duration::from_secs(1));
        Shared::new(target, &(1..=ports).collect(), retries, limiter, pace)
    }

    #[test]
    fn each_port_once() {
        let shared = shared(1000, 1);
        let mut taken: Vec<u16> = std::iter::from_fn(|| shared.take_fresh()).collect();
        assert_eq!(taken[..3], [80, 443, 22]);
        taken.sort_unstable();
        assert!(taken.into_iter().eq(1..=1000));
        assert!(!shared.has_fresh());
        assert_eq!(shared.take_fresh(), None);
    }

    #[test]
    fn more_attempts_while_they_help() {
        let lossy = shared(1, 2);
        assert_eq!(lossy.retries(), 2);
        lossy.helped(1);
        assert_eq!(lossy.retries(), 2);
        lossy.helped(2);
        assert_eq!(lossy.retries(), 3);
        lossy.helped(9);
        assert_eq!(lossy.retries(), 5);
        let once = shared(1, 0);
        once.helped(1);
        assert_eq!(once.retries(), 0);
    }

    #[test]
    fn gives_up_when_nothing_is_let_out() {
        let shared = shared(100, 1);
        for _ in 0..FORBIDDEN_ATTEMPTS {
            assert!(!shared.stopped());
            shared.forbid(Errno::PERM);
        }
        assert!(shared.stopped());
        assert_eq!(shared.fatal(), Some(Fatal::NotPermitted(Errno::PERM)));
    }

    #[test]
    fn goes_on_when_some_are_let_out() {
        let shared = shared(100, 1);
        shared.left.store(1, Ordering::Relaxed);
        for _ in 0..200 {
            shared.forbid(Errno::PERM);
            shared.wait_for(Errno::ADDRNOTAVAIL);
        }
        assert_eq!(shared.fatal(), None);
    }
}
