use std::time::{Duration, Instant};

/// How fast one worker sends on a way that takes time. A queue on the way shows in the round trips
/// before it loses anything (as in TCP Vegas, Brakmo and Peterson 1995): the rate doubles every round
/// trip until they grow. Then what comes back is what the way carries (as in BBR, Cardwell et al.
/// 2016): a little less is sent until the queue is gone, and a little more after that. On loopback and
/// to neighbours, where the answer is there when the probe is sent, there is no queue to fill and
/// nothing to hold back.
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
    /// When the rate is looked at again, and when it was the last time.
    look: Instant,
    looked: Instant,
    /// Packets and answers since then.
    sent: u32,
    answers: u32,
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
            looked: now,
            sent: 0,
            answers: 0,
        }
    }

    /// The shortest round trip so far.
    pub fn least(&self) -> Duration {
        self.least.unwrap_or_default()
    }

    /// An answer came, whether it was timed or not.
    pub fn answer(&mut self) {
        self.answers = self.answers.saturating_add(1);
    }

    /// A measured round trip.
    pub fn sample(&mut self, rtt: Duration, now: Instant) {
        self.recent = match self.least {
            None => rtt,
            Some(_) => (self.recent * 15 + rtt) / 16,
        };
        if self.least.is_none() {
            // What came until now is no measure yet.
            (self.look, self.looked) = (now + rtt, now);
            (self.sent, self.answers) = (0, 0);
        }
        let least = self.least.map_or(rtt, |least| least.min(rtt));
        self.least = Some(least);
        if now < self.look {
            return;
        }
        let queued = self.recent > least + least / 2 + JITTER;
        let span = now.saturating_duration_since(self.looked);
        let carried = f64::from(self.answers) / span.as_secs_f64().max(1e-3);
        // Where most do not answer, what comes back tells nothing of what goes there.
        let tells = self.answers > self.sent / 2;
        let rate = match (queued, self.start) {
            (true, _) if tells => (carried * 0.9).clamp(self.rate * 0.3, self.rate),
            (true, _) => self.rate * 0.5,
            (false, true) => self.rate * 2.0,
            (false, false) => self.rate * 1.1,
        };
        self.rate = rate.clamp(LEAST_RATE, MOST_RATE);
        self.start &= !queued;
        (self.look, self.looked) = (now + self.recent, now);
        (self.sent, self.answers) = (0, 0);
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
        self.sent = self.sent.saturating_add(1);
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
            pace.rate > slowed && pace.rate < slowed * 10.0,
            "{}",
            pace.rate
        );
        assert!(!pace.start);
    }

    /// A way that takes 50 ms and carries so many packets a millisecond, over so many seconds: how many
    /// it carried, and the longest queue of the last second, in milliseconds (200 at most).
    fn over_a_way(carries: u32, seconds: u64) -> (u32, u64) {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        // The times at which answers come.
        let mut coming = std::collections::VecDeque::new();
        let (mut free_at, mut carried, mut longest) = (0, 0, 0);
        let per_packet = 1_000_000 / u64::from(carries);
        for ms in 0..seconds * 1000 {
            let now = start + MS * u32::try_from(ms).unwrap();
            let clock = ms * 1_000_000;
            while let Some((sent, at)) = coming.front().copied()
                && at <= clock
            {
                coming.pop_front();
                carried += 1;
                pace.answer();
                pace.sample(Duration::from_nanos(at - sent), now);
            }
            for _ in 0..in_ms(&mut pace, now) {
                // What would wait longer than that is dropped, as everywhere.
                if free_at < clock + 200_000_000 {
                    free_at = clock.max(free_at) + per_packet;
                    coming.push_back((clock, free_at + 50_000_000));
                }
            }
            if ms >= (seconds - 1) * 1000 {
                longest = longest.max(free_at.saturating_sub(clock) / 1_000_000);
            }
        }
        (carried, longest)
    }

    #[test]
    fn a_way_is_filled_and_not_flooded() {
        for carries in [5, 60, 250] {
            let (carried, longest) = over_a_way(carries, 5);
            assert!(
                carried >= carries * 5000 * 8 / 10,
                "{carried} of {carries}/ms"
            );
            assert!(longest <= 100, "{longest} ms of queue at {carries}/ms");
        }
    }

    #[test]
    fn packets_come_at_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let sent: usize = (0..100).map(|ms| in_ms(&mut pace, now + MS * ms)).sum();
        assert!((9_700..=10_000).contains(&sent), "{sent}");
    }
}
