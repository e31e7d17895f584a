use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::super::ports::rate::{AHEAD, interval, nanos, reserve};
use super::adapt::{Adapt, Seen};

/// How fast a host is asked, and why not faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Whom it is about; all names and ports of an address count as one.
    pub addr: IpAddr,
    /// The cap, requests a second; 0: none.
    pub max_rate: u32,
    /// What it is held to, requests a second; 0: nothing.
    pub rate: u32,
    /// For how long nothing is sent.
    pub paused: Option<Duration>,
    /// Why it is slower than the cap, as text for the user.
    pub reason: Option<String>,
}

/// Gives leave for the requests to one host: by the port engines' algorithm, with the interval as the
/// host's own answers have it.
#[derive(Debug)]
pub(super) struct Pacer {
    addr: IpAddr,
    epoch: Instant,
    /// Nanoseconds between requests; 0: no cap.
    interval: AtomicU64,
    /// When the next may be made, nanoseconds after `epoch`.
    next: AtomicU64,
    /// Until when none is made, the same; 0: no pause.
    pause: AtomicU64,
    /// One waits for its time at a time, the others for it: in order, and none is woken in vain.
    turn: tokio::sync::Mutex<()>,
    adapt: Mutex<Adapt>,
}

impl Pacer {
    pub(super) fn new(addr: IpAddr, cap: u32) -> Self {
        let now = Instant::now();
        Self {
            addr,
            epoch: now,
            interval: AtomicU64::new(interval(cap)),
            next: AtomicU64::new(0),
            pause: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
            adapt: Mutex::new(Adapt::new(cap, now)),
        }
    }

    /// Waits until one more request may be made; it has to be made at once then.
    pub(super) async fn take(&self) {
        if self.is_free() {
            return;
        }
        let turn = self.turn.lock().await;
        loop {
            let clock = nanos(self.epoch.elapsed());
            let pause = self.pause.load(Ordering::Relaxed);
            if pause > clock {
                sleep_until(self.time(pause)).await;
                continue;
            }
            if pause > 0 {
                // Over; unless there is another one by now.
                let (was, none) = (Ordering::Relaxed, Ordering::Relaxed);
                let _ = self.pause.compare_exchange(pause, 0, was, none);
            }
            match reserve(
                &self.next,
                self.interval.load(Ordering::Relaxed),
                clock,
                clock + AHEAD,
            ) {
                Ok(at) => {
                    drop(turn);
                    if at > clock {
                        sleep_until(self.time(at)).await;
                    }
                    return;
                }
                Err(at) => sleep_until(self.time(at - AHEAD)).await,
            }
        }
    }

    /// Nothing to wait for.
    pub(super) fn is_free(&self) -> bool {
        self.interval.load(Ordering::Relaxed) == 0 && self.pause.load(Ordering::Relaxed) == 0
    }

    fn time(&self, clock: u64) -> Instant {
        self.epoch + Duration::from_nanos(clock)
    }

    fn adapt(&self) -> MutexGuard<'_, Adapt> {
        self.adapt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came of a request.
    pub(super) fn saw(&self, seen: Seen, now: Instant) {
        let mut adapt = self.adapt();
        if adapt.saw(seen, now) {
            self.apply(&adapt);
        }
    }

    pub(super) fn set_cap(&self, cap: u32) {
        let mut adapt = self.adapt();
        adapt.set_cap(cap);
        self.apply(&adapt);
    }

    fn apply(&self, adapt: &Adapt) {
        self.interval
            .store(interval(adapt.rate()), Ordering::Relaxed);
        let pause = adapt.pause().map_or(0, |until| nanos(until - self.epoch));
        self.pause.store(pause, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> Pace {
        let adapt = self.adapt();
        let now = Instant::now();
        Pace {
            addr: self.addr,
            max_rate: adapt.cap(),
            rate: adapt.rate(),
            paused: adapt
                .pause()
                .filter(|until| *until > now)
                .map(|until| until - now),
            reason: adapt.reason().map(str::to_owned),
        }
    }
}
