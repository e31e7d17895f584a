use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A port that is to be tried (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The port.
    pub port: u16,
    /// 0 for the first attempt.
    pub attempt: u32,
    /// It was accepted once, by this same host, and must be accepted once more.
    pub confirm: bool,
}

/// Tasks that wait for their time.
#[derive(Debug, Default)]
pub struct Retries(VecDeque<(Instant, Task)>);

impl Retries {
    /// Puts a task at the end, due at this time.
    pub fn later(&mut self, due: Instant, task: Task) {
        self.0.push_back((due, task));
    }

    /// Puts a task at the front, due now.
    pub fn at_once(&mut self, now: Instant, task: Task) {
        self.0.push_front((now, task));
    }

    /// Takes the first task if it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Task> {
        match self.0.front() {
            Some((due, _)) if *due <= now => self.0.pop_front().map(|(_, task)| task),
            _ => None,
        }
    }

    /// When the first task is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.front().map(|(due, _)| *due)
    }

    /// No task waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Attempts in flight by age. First attempts and later ones, which wait longer (RFC 6298 §5.5), each have a line of their own, so that the front of a line is always the next to end.
#[derive(Debug, Default)]
pub struct Timers {
    lines: [VecDeque<Flight>; 2],
}

/// One attempt in flight.
#[derive(Debug, Clone, Copy)]
struct Flight {
    slot: usize,
    serial: u64,
    since: Instant,
}

impl Timers {
    /// An attempt began. `serial` tells it from earlier ones in the same slot.
    pub fn start(&mut self, slot: usize, serial: u64, attempt: u32, since: Instant) {
        let line = usize::from(attempt > 0);
        self.lines[line].push_back(Flight {
            slot,
            serial,
            since,
        });
    }

    /// The slot of an attempt whose time is over. `current` says which attempt is in a slot now;
    /// attempts that ended before are dropped on the way.
    pub fn take_expired(
        &mut self,
        now: Instant,
        timeouts: [Duration; 2],
        current: impl Fn(usize) -> Option<u64>,
    ) -> Option<usize> {
        for (line, wait) in self.lines.iter_mut().zip(timeouts) {
            while let Some(flight) = line.front().copied() {
                let running = current(flight.slot) == Some(flight.serial);
                if running && flight.since + wait > now {
                    break;
                }
                line.pop_front();
                if running {
                    return Some(flight.slot);
                }
            }
        }
        None
    }

    /// When the next attempt ends, if nothing answers before (stale ones may make it too early).
    pub fn next_expiry(&self, timeouts: [Duration; 2]) -> Option<Instant> {
        self.lines
            .iter()
            .zip(timeouts)
            .filter_map(|(line, wait)| Some(line.front()?.since + wait))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_attempts_expire_and_later_ones_wait_longer() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let waits = [second, second * 2];
        let mut timers = Timers::default();
        timers.start(0, 1, 0, start);
        timers.start(1, 2, 0, start);
        timers.start(2, 3, 1, start);
        // Slot 0 was answered and used again by attempt 9.
        let current = |slot: usize| [Some(9), Some(2), Some(3)][slot];
        assert_eq!(timers.take_expired(start, waits, current), None);
        assert_eq!(timers.next_expiry(waits), Some(start + second));
        assert_eq!(timers.take_expired(start + second, waits, current), Some(1));
        assert_eq!(timers.take_expired(start + second, waits, current), None);
        assert_eq!(timers.next_expiry(waits), Some(start + second * 2));
        assert_eq!(
            timers.take_expired(start + second * 2, waits, current),
            Some(2)
        );
        assert_eq!(timers.next_expiry(waits), None);
    }

    #[test]
    fn tasks_come_when_due() {
        let now = Instant::now();
        let task = |port| Task {
            port,
            attempt: 1,
            confirm: false,
        };
        let mut retries = Retries::default();
        retries.later(now + Duration::from_secs(1), task(1));
        assert_eq!(retries.take_due(now), None);
        retries.at_once(now, task(2));
        assert_eq!(retries.take_due(now), Some(task(2)));
        assert_eq!(
            retries.take_due(now + Duration::from_secs(1)),
            Some(task(1))
        );
        assert!(retries.is_empty());
    }
}
