use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::engines::ports::rate::RateLimiter;

use super::order::Order;
use super::pace::Pace;

/// What the workers of one sweep share.
#[derive(Debug)]
pub struct Shared {
    /// The target; its port is set for each attempt.
    pub target: SocketAddr,
    /// Ports to try.
    pub ports: Vec<u16>,
    /// Their order.
    pub order: Order,
    /// Place in the order of the next port that was not begun.
    pub next: AtomicU32,
    /// Further attempts for a port that gives no answer.
    pub retries: u32,
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

impl Shared {
    /// A sweep that has not begun.
    pub fn new(
        target: SocketAddr,
        ports: Vec<u16>,
        retries: u32,
        limiter: Arc<RateLimiter>,
        pace: Pace,
    ) -> Self {
        let len = u32::try_from(ports.len()).unwrap_or(u32::MAX);
        Self {
            target,
            order: Order::new(len, rand::random()),
            ports,
            next: AtomicU32::new(0),
            retries,
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
        let Some(index) = self.order.nth(place) else {
            // Keeps the counter from wrapping while others ask.
            self.next.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        self.ports.get(index as usize).copied()
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
