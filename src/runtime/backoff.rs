use std::time::{Duration, Instant};

use rand::RngExt;

/// When the hub may be asked again: 2 s doubling to 60 s, each with ±10 % jitter so that agents that
/// lost the hub together do not come back together; reset by success.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    next: Option<Instant>,
}

impl Backoff {
    /// First wait.
    pub const INITIAL: Duration = Duration::from_secs(2);
    /// Longest wait.
    pub const MAX: Duration = Duration::from_secs(60);
    /// Failures in a row after which the hub counts as down; asking goes on at [`Self::MAX`].
    pub const ATTEMPTS: u32 = 5;

    /// No failure so far.
    pub const fn new() -> Self {
        Self {
            failures: 0,
            next: None,
        }
    }

    /// Whether to ask now.
    pub fn ready(&self) -> bool {
        self.next.is_none_or(|next| Instant::now() >= next)
    }

    /// Time until then.
    pub fn remaining(&self) -> Duration {
        self.next.map_or(Duration::ZERO, |next| {
            next.saturating_duration_since(Instant::now())
        })
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// It failed; `at_least` is what the server asked for (`Retry-After`).
    pub fn failed(&mut self, at_least: Option<Duration>) {
        let jitter = rand::rng().random_range(0.9..1.1);
        let wait = Self::delay(self.failures)
            .mul_f64(jitter)
            .max(at_least.unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        self.next = Some(Instant::now() + wait);
    }

    /// The wait after so many earlier failures, without jitter.
    fn delay(failures: u32) -> Duration {
        Self::INITIAL
            .saturating_mul(1 << failures.min(8))
            .min(Self::MAX)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_two_to_sixty() {
        let delays: Vec<u64> = (0..8).map(|n| Backoff::delay(n).as_secs()).collect();
        assert_eq!(delays, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn waits_and_resets() {
        let mut backoff = Backoff::new();
        assert!(backoff.ready());
        backoff.failed(None);
        assert!(!backoff.ready());
        assert!(backoff.remaining() > Duration::from_secs(1));
        backoff.failed(Some(Duration::from_secs(300)));
        assert!(
            backoff.remaining() > Duration::from_secs(200),
            "Retry-After is honoured"
        );
        backoff.succeeded();
        assert!(backoff.ready());
        assert_eq!(backoff.failures(), 0);
    }
}
