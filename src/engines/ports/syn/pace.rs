use std::time::{Duration, Instant};

/// How fast one worker sends on a way that takes time. A queue on the way shows in the round trips
/// before it loses anything (as in TCP Vegas, Brakmo and Peterson 1995): the rate doubles every round
/// trip until they grow, and then follows them. On loopback and to neighbours, where the answer is
/// there when the probe is sent, there is no queue to fill and nothing to hold back.
#[derive(Debug)]
pub struct Pace {
    /// The shortest round trip.
    least: Option<Duration>,
    /// A mean of the last ones.
    recent: Duration,
    /// Packets a second.
    rate: f64,
    /// The rate still doubles.
    start: bool,
    /// When the next packet may go.
    next: Instant,
    /// When the rate is looked at again.
    look: Instant,
}

/// Packets a second of one worker until the first answer, and where it begins then.
const FIRST_RATE: f64 = 100_000.0;

/// No way is so slow, packets/s.
const LEAST_RATE: f64 = 500.0;

/// No way is so fast, packets/s.
const MOST_RATE: f64 = 4_000_000.0;

/// A shorter round trip is none.
const NO_WAY: Duration = Duration::from_millis(2);

/// Round trips may be so much longer than the shortest without a queue being there: half as much
/// again, and this.
const JITTER: Duration = Duration::from_millis(5);

/// How much of missed time may be made up for.
const CREDIT: Duration = Duration::from_millis(2);

impl Pace {
    /// Nothing is known yet.
    pub fn new(now: Instant) -> Self {
        Self {
            least: None,
            recent: Duration::ZERO,
            rate: FIRST_RATE,
            start: true,
            next: now,
            look: now,
        }
    }

    /// A measured round trip.
    pub fn sample(&mut self, rtt: Duration, now: Instant) {
        self.recent = match self.least {
            None => rtt,
            Some(_) => (self.recent * 15 + rtt) / 16,
        };
        let least = self.least.map_or(rtt, |least| least.min(rtt));
        self.least = Some(least);
        if now < self.look {
            return;
        }
        self.look = now + self.recent;
        let queued = self.recent > least + least / 2 + JITTER;
        let factor = match (queued, self.start) {
            (true, _) => 0.7,
            (false, true) => 2.0,
            (false, false) => 1.05,
        };
        self.start &= !queued;
        self.rate = (self.rate * factor).clamp(LEAST_RATE, MOST_RATE);
    }

    /// Leave for one packet, or when there will be.
    pub fn leave(&mut self, now: Instant) -> Result<(), Instant> {
        if self.least.is_some_and(|least| least < NO_WAY) {
            return Ok(());
        }
        if self.next > now {
            return Err(self.next);
        }
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        self.next = self.next.max(earliest) + Duration::from_secs_f64(1.0 / self.rate);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Packets that get leave in this millisecond.
    fn in_ms(pace: &mut Pace, at: Instant) -> usize {
        std::iter::from_fn(|| pace.leave(at).ok())
            .take(100_000)
            .count()
    }

    #[test]
    fn a_neighbour_is_not_waited_for() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert!(in_ms(&mut pace, now) < 10);
        pace.sample(MS / 10, now);
        assert_eq!(in_ms(&mut pace, now), 100_000);
    }

    #[test]
    fn the_rate_grows_until_round_trips_do() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for turn in 1..=3 {
            pace.sample(MS * 50, now + MS * 60 * turn);
        }
        assert!(pace.rate >= FIRST_RATE * 4.0, "{}", pace.rate);
        let later = now + MS * 1000;
        for turn in 0..3000 {
            pace.sample(MS * 200, later + MS * turn);
        }
        let slowed = pace.rate;
        assert!(slowed < FIRST_RATE * 4.0, "{slowed}");
        let later = now + MS * 5000;
        for turn in 0..1000 {
            pace.sample(MS * 50, later + MS * turn);
        }
        assert!(
            pace.rate > slowed && pace.rate < slowed * 4.0,
            "{}",
            pace.rate
        );
        assert!(!pace.start);
    }

    #[test]
    fn packets_come_at_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let sent: usize = (0..100).map(|ms| in_ms(&mut pace, now + MS * ms)).sum();
        assert!((9_700..=10_000).contains(&sent), "{sent}");
    }
}
