use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// Callers that are remembered; when there are more, those who have been quiet are forgotten.
const KEEP_MOST: usize = 10_000;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Key {
    /// Those with one token.
    Token(Uuid),
    /// Those from an address without a token.
    Anonymous(IpAddr),
    /// Those from an address that failed to say who they are.
    Failure(IpAddr),
}

/// Whose an address is: whoever has one IPv6 address has 2^64 of them.
pub(in super::super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Key {
    fn network(self) -> Self {
        match self {
            Self::Token(_) => self,
            Self::Anonymous(address) => Self::Anonymous(network(address)),
            Self::Failure(address) => Self::Failure(network(address)),
        }
    }
}

/// So many a second in the long run, and so many at once.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    pub(in super::super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
        }
    }
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
    rate: Rate,
}

impl Bucket {
    /// What has come in since.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.rate.per_second).min(self.rate.burst);
        self.at = now;
    }
}

/// Token buckets.
#[derive(Debug, Default)]
pub(in super::super) struct Limiter {
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Limiter {
    /// Counts one; when it is one too many, says how long to wait.
    pub(in super::super) fn take(
        &self,
        key: Key,
        rate: Rate,
        now: Instant,
    ) -> Result<(), Duration> {
        self.change(key, rate, now, true)
    }

    /// The same without counting it.
    pub(in super::super) fn look(
        &self,
        key: Key,
        rate: Rate,
        now: Instant,
    ) -> Result<(), Duration> {
        self.change(key, rate, now, false)
    }

    fn change(&self, key: Key, rate: Rate, now: Instant, take: bool) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEEP_MOST {
            buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < bucket.rate.burst
            });
            if buckets.len() >= KEEP_MOST {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key.network()).or_insert(Bucket {
            left: rate.burst,
            at: now,
            rate,
        });
        bucket.rate = rate;
        bucket.fill(now);
        if bucket.left < 1.0 {
            let missing = 1.0 - bucket.left;
            return Err(Duration::from_secs_f64(missing / rate.per_second.max(1e-3)));
        }
        if take {
            bucket.left -= 1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_so_many_a_second() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let key = Key::Token(Uuid::nil());
        let rate = Rate::new(10, 20);
        let taken = |at| {
            let all = (0..100).filter(|_| limiter.take(key, rate, at).is_ok());
            all.count()
        };
        assert_eq!(taken(start), 20);
        let wait = limiter.take(key, rate, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(limiter.take(key, rate, start + wait).is_ok());
        assert_eq!(taken(start + Duration::from_millis(1100)), 10);
        assert_eq!(taken(start + Duration::from_secs(60)), 20);
    }

    #[test]
    fn to_look_costs_nothing() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let key = Key::Failure([10, 0, 0, 1].into());
        let rate = Rate::new(1, 1);
        for _ in 0..9 {
            assert!(limiter.look(key, rate, now).is_ok());
        }
        assert!(limiter.take(key, rate, now).is_ok());
        assert!(limiter.look(key, rate, now).is_err());
    }

    #[test]
    fn each_network_has_its_own() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let take = |address: &str| {
            let key = Key::Anonymous(address.parse().unwrap());
            limiter.take(key, Rate::new(1, 1), now).is_ok()
        };
        assert!(take("10.0.0.1"));
        assert!(!take("::ffff:10.0.0.1"));
        assert!(take("10.0.0.2"));
        assert!(take("2001:db8::1"));
        assert!(!take("2001:db8::2:0:0:1"));
        assert!(take("2001:db8:0:1::1"));
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_the_memory() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..(2 * KEEP_MOST as u32) {
            let key = Key::Anonymous(std::net::Ipv4Addr::from(n).into());
            limiter.take(key, Rate::new(1, 2), now).unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().len() <= KEEP_MOST);
    }
}
