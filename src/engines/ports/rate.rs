use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A hard cap on connection attempts a second, shared by all that connect to one host.
///
/// A generic cell rate algorithm (ITU-T I.371): in no stretch of time T are there more than
/// `rate × (T + 10 ms) + 1` attempts, and no credit is saved for longer than those 10 ms.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    epoch: Instant,
    /// Nanoseconds between attempts; 0 = no cap.
    interval: u64,
    /// When the next attempt may be made, nanoseconds after `epoch`.
    next: AtomicU64,
}

/// How much of missed time may be made up for, nanoseconds.
const SLACK: u64 = 10_000_000;

impl RateLimiter {
    /// At most `rate` attempts a second; 0 = no cap.
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            epoch: Instant::now(),
            interval: match rate {
                0 => 0,
                rate => 1_000_000_000_u64.div_ceil(u64::from(rate)),
            },
            next: AtomicU64::new(0),
        }
    }

    /// Takes leave for one attempt, or says how long to wait before asking again.
    pub(crate) fn try_take(&self, now: Instant) -> Result<(), Duration> {
        if self.interval == 0 {
            return Ok(());
        }
        let now = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos())
            .unwrap_or(u64::MAX / 2);
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            if next > now {
                return Err(Duration::from_nanos(next - now));
            }
            let after = next.max(now.saturating_sub(SLACK)) + self.interval;
            match self
                .next
                .compare_exchange_weak(next, after, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(seen) => next = seen,
            }
        }
    }

    /// Waits for leave for one attempt.
    pub(crate) async fn take(&self) {
        while let Err(wait) = self.try_take(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_cap(
            rate in 1_u32..200_000,
            steps in prop::collection::vec(0_u64..30_000_000, 1..20),
        ) {
            let limiter = RateLimiter::new(rate);
            let mut elapsed = 0;
            let mut grants = Vec::new();
            for step in steps {
                elapsed += step;
                let now = limiter.epoch + Duration::from_nanos(elapsed);
                for _ in 0..100 {
                    if limiter.try_take(now).is_err() {
                        break;
                    }
                    grants.push(elapsed);
                }
            }
            for (index, first) in grants.iter().enumerate().step_by(7) {
                for (further, last) in grants.iter().enumerate().skip(index).step_by(13) {
                    let stretch = (last - first + SLACK) as f64 / 1e9;
                    let most = f64::from(rate) * stretch + 1.000_001;
                    prop_assert!((further - index + 1) as f64 <= most);
                }
            }
        }
    }

    #[test]
    fn reaches_the_cap() {
        let limiter = RateLimiter::new(5000);
        let granted = (0..1000)
            .map(|ms| limiter.epoch + Duration::from_millis(ms))
            .flat_map(|now| std::iter::from_fn(|| limiter.try_take(now).ok()).collect::<Vec<_>>())
            .count();
        assert!((4990..=5001).contains(&granted), "{granted}");
    }

    #[test]
    fn no_cap() {
        let limiter = RateLimiter::new(0);
        let now = Instant::now();
        assert!((0..100_000).all(|_| limiter.try_take(now).is_ok()));
    }
}
