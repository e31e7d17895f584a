use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rtt::RttEstimator;

/// How fast a host is scanned: timeout and number of attempts in flight, shared by the workers.
///
/// The window grows by one with every attempt that ends and shrinks by a quarter, at most once a
/// timeout, when a port answers only to a second attempt: then packets were lost and not filtered.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    /// Timeouts of first and of later attempts, nanoseconds.
    timeouts: [AtomicU64; 2],
    window: AtomicUsize,
    most: usize,
}

#[derive(Debug)]
struct State {
    rtt: RttEstimator,
    shrunk_at: Option<Instant>,
}

/// Attempts in flight at the start.
const FIRST_WINDOW: usize = 1024;

/// Loss does not shrink the window below this.
const LEAST_WINDOW: usize = 128;

impl Pace {
    /// At most `most` attempts in flight, none of which waits longer than `max_timeout`.
    pub fn new(most: usize, max_timeout: Duration) -> Self {
        let rtt = RttEstimator::new(max_timeout);
        Self {
            timeouts: [rtt.timeout(), rtt.later_timeout()].map(|t| AtomicU64::new(nanos(t))),
            state: Mutex::new(State {
                rtt,
                shrunk_at: None,
            }),
            window: AtomicUsize::new(FIRST_WINDOW.min(most)),
            most,
        }
    }

    /// How long a first attempt waits.
    pub fn timeout(&self) -> Duration {
        self.timeouts()[0]
    }

    /// How long a first and how long a later attempt waits.
    pub fn timeouts(&self) -> [Duration; 2] {
        let load = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        self.timeouts.each_ref().map(load)
    }

    /// How many attempts may be in flight.
    pub fn window(&self) -> usize {
        self.window.load(Ordering::Relaxed)
    }

    /// A measured round trip.
    pub fn sample(&self, rtt: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rtt.sample(rtt);
        let [first, later] = &self.timeouts;
        first.store(nanos(state.rtt.timeout()), Ordering::Relaxed);
        later.store(nanos(state.rtt.later_timeout()), Ordering::Relaxed);
    }

    /// So many attempts ended.
    pub fn grow(&self, ended: usize) {
        if self.window() < self.most {
            let window = self.window.fetch_add(ended, Ordering::Relaxed) + ended;
            if window > self.most {
                self.window.store(self.most, Ordering::Relaxed);
            }
        }
    }

    /// A port answered to a second attempt only.
    pub fn lost_one(&self, now: Instant) {
        let timeout = self.timeout();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let recently = state
            .shrunk_at
            .is_some_and(|at| now.saturating_duration_since(at) < timeout);
        if !recently {
            state.shrunk_at = Some(now);
            let window = self.window();
            let least = LEAST_WINDOW.min(self.most);
            self.window
                .store((window - window / 4).max(least), Ordering::Relaxed);
        }
    }

    /// Smoothed round-trip time, once there is one.
    pub fn rtt(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rtt.smoothed()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_shrinks_once_a_timeout() {
        let pace = Pace::new(4000, Duration::from_secs(1));
        assert_eq!(pace.window(), 1024);
        pace.grow(5000);
        assert_eq!(pace.window(), 4000);
        let now = Instant::now();
        pace.lost_one(now);
        pace.lost_one(now);
        assert_eq!(pace.window(), 3000);
        pace.lost_one(now + Duration::from_secs(2));
        assert_eq!(pace.window(), 2250);
        for turn in 2..60 {
            pace.lost_one(now + Duration::from_secs(2 * turn));
        }
        assert_eq!(pace.window(), LEAST_WINDOW);
        assert_eq!(Pace::new(3, Duration::from_secs(1)).window(), 3);
    }

    #[test]
    fn the_timeout_follows_the_host() {
        let pace = Pace::new(10, Duration::from_secs(3));
        pace.sample(Duration::from_millis(200));
        assert_eq!(pace.timeout(), Duration::from_millis(600));
        assert_eq!(pace.rtt(), Some(Duration::from_millis(200)));
    }
}
