use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::engines::ports::rtt::RttEstimator;

/// What is known of a way: round-trip time, loss, and how many attempts may be in flight on it. There
/// is one a host and one for all together. Workers share it without a lock; that an update is lost
/// now and then when two of them meet does no harm.
///
/// The window grows by one with every attempt that ends. When more than [`MUCH_LOSS`] of the answers
/// come to a second attempt only, it shrinks by a quarter, at most once a timeout, and from then on
/// grows by one in a window's worth of attempts (AIMD). Less loss than that is the way's own: to
/// slow down would not make it less.
#[derive(Debug)]
pub struct Pace {
    rtt: AtomicU64,
    window: AtomicU32,
    /// Answers and, of them, those to a later attempt only, since the window shrank.
    answers: AtomicU32,
    late: AtomicU32,
    /// The same since the start.
    all_answers: AtomicU32,
    all_late: AtomicU32,
    /// Milliseconds since the start of the sweep, plus one; 0 = never.
    shrunk_at: AtomicU32,
}

/// Attempts in flight at the start.
const FIRST_WINDOW: u32 = 1024;

/// Loss from which on we are taken to be its cause, in hundredths.
const MUCH_LOSS: u32 = 15;

/// Fewer answers tell nothing about loss.
const ENOUGH_ANSWERS: u32 = 32;

/// Each of the first answers is measured, then one in so many.
const MEASURED: u32 = 64;
const MEASURED_OF: u32 = 16;

/// How many of a million open ports may be missed because every attempt at them was lost.
const MISSED: f64 = 1e-5;

/// Attempts beyond those asked for when packets are lost.
const LOSS_RETRIES: u32 = 8;

impl Pace {
    /// At most `most` attempts in flight.
    pub fn new(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Self {
            rtt: AtomicU64::new(RttEstimator::default().to_bits()),
            window: AtomicU32::new(FIRST_WINDOW.min(most)),
            answers: AtomicU32::new(0),
            late: AtomicU32::new(0),
            all_answers: AtomicU32::new(0),
            all_late: AtomicU32::new(0),
            shrunk_at: AtomicU32::new(0),
        }
    }

    /// Round-trip times.
    pub fn rtt(&self) -> RttEstimator {
        RttEstimator::from_bits(self.rtt.load(Relaxed))
    }

    /// How many attempts may be in flight.
    pub fn window(&self) -> u32 {
        self.window.load(Relaxed)
    }

    /// An answer came. Says whether its round trip shall be measured.
    pub fn answered(&self) -> bool {
        self.answers.fetch_add(1, Relaxed);
        let before = self.all_answers.fetch_add(1, Relaxed);
        before < MEASURED || before.is_multiple_of(MEASURED_OF)
    }

    /// A measured round trip.
    pub fn sample(&self, rtt: Duration) {
        self.rtt.store(self.rtt().sample(rtt).to_bits(), Relaxed);
    }

    /// Whether there were enough answers to tell how much is lost.
    pub fn knows_loss(&self) -> bool {
        self.all_answers.load(Relaxed) >= ENOUGH_ANSWERS
    }

    /// So much is lost that we may be its cause.
    pub fn loses_much(&self) -> bool {
        let (answers, late) = (self.answers.load(Relaxed), self.late.load(Relaxed));
        answers >= ENOUGH_ANSWERS && late.saturating_mul(100) > answers.saturating_mul(MUCH_LOSS)
    }

    /// So many attempts ended.
    pub fn grow(&self, ended: u32, most: u32) {
        let window = self.window();
        if window >= most || ended == 0 {
            return;
        }
        let more = match self.shrunk_at.load(Relaxed) {
            0 => ended,
            // One in a window's worth; what is counted need not be exact.
            _ => ended / window + u32::from(self.answers.load(Relaxed) % window < ended % window),
        };
        self.window
            .store(window.saturating_add(more).min(most), Relaxed);
    }

    /// A port answered to a later attempt only. `now` is the time since the start of the sweep.
    pub fn lost_one(&self, now: Duration, timeout: Duration, least: u32) {
        self.late.fetch_add(1, Relaxed);
        self.all_late.fetch_add(1, Relaxed);
        if !self.loses_much() {
            return;
        }
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let (now, shrunk_at) = (ms(now).saturating_add(1), self.shrunk_at.load(Relaxed));
        if shrunk_at > 0 && now.saturating_sub(shrunk_at) < ms(timeout) {
            return;
        }
        self.shrunk_at.store(now, Relaxed);
        self.answers.store(0, Relaxed);
        self.late.store(0, Relaxed);
        let window = self.window();
        let least = least.min(window);
        self.window.store((window - window / 4).max(least), Relaxed);
    }

    /// Further attempts for a port that gives no answer, when `asked` were asked for: where loss is
    /// seen, as many as it takes that hardly a port is missed by it.
    pub fn retries(&self, asked: u32) -> u32 {
        let late = self.all_late.load(Relaxed);
        if asked == 0 || late == 0 {
            return asked;
        }
        let loss = f64::from(late) / f64::from(self.all_answers.load(Relaxed).max(late + 1));
        // loss ^ attempts <= MISSED; a number of attempts is small and positive.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let attempts = (MISSED.ln() / loss.ln()).ceil().min(100.0) as u32;
        (attempts.saturating_sub(1)).clamp(asked, asked + LOSS_RETRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lose(pace: &Pace, answers: u32, late: u32, now: Duration) {
        for turn in 0..answers {
            pace.answered();
            // Spread evenly.
            if turn * late / answers != (turn + 1) * late / answers {
                pace.lost_one(now, SECOND, 8);
            }
        }
    }

    #[test]
    fn grows_to_its_bound_and_shrinks_once_a_timeout() {
        let pace = Pace::new(4000);
        assert_eq!(pace.window(), 1024);
        pace.grow(5000, 4000);
        assert_eq!(pace.window(), 4000);
        lose(&pace, 1000, 0, SECOND);
        assert_eq!(pace.window(), 4000);
        lose(&pace, 1000, 1000, SECOND);
        assert_eq!(pace.window(), 3000);
        lose(&pace, 1000, 1000, SECOND * 3);
        assert_eq!(pace.window(), 2250);
        // From here on by one in a window's worth.
        pace.grow(2250, 4000);
        assert_eq!(pace.window(), 2251);
        for turn in 4..60 {
            lose(&pace, 100, 100, SECOND * 2 * turn);
        }
        assert_eq!(pace.window(), 8);
        assert_eq!(Pace::new(3).window(), 3);
    }

    #[test]
    fn a_way_that_loses_a_little_is_not_slowed_down() {
        let pace = Pace::new(4000);
        for turn in 0..100 {
            lose(&pace, 100, 10, SECOND * turn);
        }
        assert_eq!(pace.window(), 1024);
    }

    #[test]
    fn as_many_attempts_as_the_loss_demands() {
        let attempts = |late: u32, asked: u32| {
            let pace = Pace::new(4000);
            lose(&pace, 1000, late, SECOND);
            1 + pace.retries(asked)
        };
        assert_eq!(attempts(0, 1), 2);
        assert_eq!(attempts(1, 1), 2);
        assert_eq!(attempts(10, 1), 3);
        // 5 % each way.
        assert_eq!(attempts(97, 1), 5);
        assert_eq!(attempts(97, 7), 8);
        assert_eq!(attempts(500, 1), 10);
        assert_eq!(attempts(500, 0), 1);
    }

    #[test]
    fn one_in_sixteen_is_measured() {
        let pace = Pace::new(1);
        let measured = (0..64 + 160).filter(|_| pace.answered()).count();
        assert_eq!(measured, 64 + 10);
        pace.sample(SECOND);
        assert_eq!(pace.rtt().smoothed(), Some(SECOND));
    }
}
