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
            match self.leave(clock) {
                Ok(at) => {
                    drop(turn);
                    if at > clock {
                        sleep_until(self.time(at)).await;
                    }
                    return;
                }
                Err(later) => sleep_until(self.time(later)).await,
            }
        }
    }

    /// At this time, nanoseconds after `epoch`: when one more request may be made, or else when to ask
    /// again.
    fn leave(&self, clock: u64) -> Result<u64, u64> {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > clock {
            return Err(pause);
        }
        if pause > 0 {
            // Over; unless there is another one by now.
            let (was, none) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.pause.compare_exchange(pause, 0, was, none);
        }
        let interval = self.interval.load(Ordering::Relaxed);
        reserve(&self.next, interval, clock, clock + AHEAD).map_err(|at| at - AHEAD)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The times at which so many requests are made from this time on, by who asks whenever it may.
    fn times(pacer: &Pacer, number: usize, clock: &mut u64) -> Vec<u64> {
        let mut times = Vec::new();
        while times.len() < number {
            match pacer.leave(*clock) {
                Ok(at) => times.push(at.max(*clock)),
                Err(later) => {
                    assert!(later > *clock);
                    *clock = later;
                }
            }
        }
        // The last ones have leave ahead of their time.
        *clock = times[number - 1];
        times
    }

    fn never_above(times: &[u64], cap: usize) {
        assert!(times.windows(cap + 1).all(|w| w[cap] - w[0] >= SECOND));
    }

    fn pacer(cap: u32) -> Pacer {
        Pacer::new([127, 0, 0, 1].into(), cap)
    }

    /// Within two percent of the cap, of a low one within four requests a second, and in no second above
    /// it; after an idle time, too.
    #[test]
    fn the_cap_is_kept_and_used() {
        for (cap, least) in [(1_u32, 0.74), (50, 0.91), (5000, 0.98), (100_000, 0.98)] {
            let (pacer, mut clock) = (pacer(cap), 0);
            let number = (cap as usize * 4).max(40);
            let mut all = times(&pacer, number, &mut clock);
            let rate = (number - 1) as f64 / ((all[number - 1] - all[0]) as f64 / 1e9);
            let share = rate / f64::from(cap);
            assert!((least..=1.0).contains(&share), "{cap}: {share}");
            clock += 10 * SECOND;
            all.extend(times(&pacer, number, &mut clock));
            never_above(&all, cap as usize);
        }
    }

    /// As by a reload: at once, in both directions.
    #[test]
    fn another_cap_holds_at_once() {
        let (pacer, mut clock) = (pacer(1000), 0);
        times(&pacer, 500, &mut clock);
        pacer.set_cap(10);
        let slow = times(&pacer, 50, &mut clock);
        never_above(&slow, 10);
        assert!(slow[49] - slow[0] <= 7 * SECOND);
        pacer.set_cap(1000);
        let fast = times(&pacer, 500, &mut clock);
        never_above(&fast, 1000);
        assert!(fast[499] - fast[0] <= SECOND * 7 / 10);
        assert_eq!((pacer.report().max_rate, pacer.report().rate), (1000, 1000));
        pacer.set_cap(0);
        assert!(pacer.is_free());
        assert!(
            times(&pacer, 500, &mut clock)
                .windows(2)
                .all(|w| w[0] == w[1])
        );
    }

    /// A cap that a reload makes smaller holds for what a host is held to; a larger one does not lift it.
    #[test]
    fn a_host_that_is_slowed_down_stays_so() {
        let pacer = pacer(1000);
        let busy = Seen::Answer {
            status: 429,
            took: Duration::ZERO,
            retry_after: None,
        };
        pacer.saw(busy, Instant::now());
        let held = pacer.report().rate;
        assert!(held < 1000);
        pacer.set_cap(5000);
        assert_eq!(pacer.report().rate, held);
        pacer.set_cap(1);
        assert_eq!(pacer.report().rate, 1);
    }
}
