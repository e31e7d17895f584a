use std::time::{Duration, Instant};

/// When attempts in flight are to be looked at: a wheel of milliseconds. Each attempt is looked at
/// once in [`LONGEST`] at least, as the time that its host is given changes with what is learnt of it.
#[derive(Debug)]
pub struct Timers {
    start: Instant,
    /// The next millisecond to be looked at.
    next: u64,
    wheel: Vec<Vec<Timer>>,
    running: usize,
}

/// An attempt. The serial number tells it from earlier and later ones in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// Where it is.
    pub slot: usize,
    /// Its number.
    pub serial: u64,
}

/// Milliseconds of the wheel.
const WHEEL: u64 = 256;

/// No timer is set further ahead.
const LONGEST: Duration = Duration::from_millis(128);

impl Timers {
    /// None is set.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            next: 0,
            wheel: vec![Vec::new(); 256],
            running: 0,
        }
    }

    /// Sets a timer for this time, or for an earlier one. It fires up to a millisecond late.
    pub fn set(&mut self, timer: Timer, at: Instant, now: Instant) {
        let at = at.min(now + LONGEST);
        // Late rather than early, and never in a place that was looked at already.
        let tick = (self.tick(at) + 1).clamp(self.next, self.next + WHEEL - 1);
        self.place(tick).push(timer);
        self.running += 1;
    }

    /// Moves a batch of timers that fired into `fired`; false when there are no more for now.
    pub fn fire(&mut self, now: Instant, fired: &mut Vec<Timer>) -> bool {
        let now = self.tick(now);
        if self.running == 0 {
            self.next = self.next.max(now + 1);
        }
        while self.next <= now {
            let tick = self.next;
            self.next += 1;
            let place = self.place(tick);
            if !place.is_empty() {
                fired.append(place);
                self.running -= fired.len();
                return true;
            }
        }
        false
    }

    /// When the next timer fires.
    pub fn next(&self) -> Option<Instant> {
        if self.running == 0 {
            return None;
        }
        let tick = (self.next..self.next + WHEEL).find(|tick| !self.wheel[index(*tick)].is_empty());
        tick.map(|tick| self.start + Duration::from_millis(tick))
    }

    fn place(&mut self, tick: u64) -> &mut Vec<Timer> {
        &mut self.wheel[index(tick)]
    }

    fn tick(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

fn index(tick: u64) -> usize {
    // Below 256.
    #[allow(clippy::cast_possible_truncation)]
    let index = (tick % WHEEL) as usize;
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fired(timers: &mut Timers, now: Instant) -> Vec<usize> {
        let mut all = Vec::new();
        let mut fired = Vec::new();
        while timers.fire(now, &mut fired) {
            all.extend(fired.drain(..).map(|timer| timer.slot));
        }
        all
    }

    #[test]
    fn timers_fire_at_their_time_and_not_before() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let timer = |slot| Timer { slot, serial: 1 };
        timers.set(timer(1), start + MS * 100, start);
        timers.set(timer(2), start + MS * 50, start);
        timers.set(timer(3), start + MS * 5000, start);
        assert_eq!(timers.next(), Some(start + MS * 51));
        assert_eq!(fired(&mut timers, start + MS * 50), [0; 0]);
        assert_eq!(fired(&mut timers, start + MS * 51), [2]);
        // The third is looked at early: its time may have changed.
        assert_eq!(fired(&mut timers, start + MS * 129), [1, 3]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_worker_that_slept_too_long_loses_none() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.set(Timer { slot: 1, serial: 1 }, start + MS * 10, start);
        let late = start + MS * 10_000;
        timers.set(Timer { slot: 2, serial: 1 }, late + MS * 10, late);
        let mut slots = fired(&mut timers, late + MS * 300);
        slots.sort_unstable();
        assert_eq!(slots, [1, 2]);
    }
}
