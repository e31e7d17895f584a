use std::time::Duration;

use tokio::time::Instant;

/// Answers are looked at in stretches of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// So long after slowing down nothing makes it slower still: what comes then was asked for before.
const REST: Duration = Duration::from_secs(1);

/// After so long without trouble it goes a little faster.
const CALM: Duration = Duration::from_secs(5);

/// What of the rate is left after an answer that asks to slow down, or with many errors.
const HALF: f64 = 0.5;

/// What of the rate is left when answers take longer and longer.
const LESS: f64 = 0.7;

/// By how much it goes faster, of what it does then.
const MORE: f64 = 1.2;

/// Fewer answers than this in a stretch say nothing.
const ENOUGH: u32 = 5;

/// The part of 503s or of errors in a stretch that is too much. Single 503s belong to single pages.
const TOO_MANY: f64 = 0.1;

/// Fewer of them than this are chance.
const FEW: u32 = 3;

/// Answers take too long when they take so many times as long as the quickest stretch, and so much
/// longer.
const SLOWER: f64 = 4.0;
const SLOWER_BY: f64 = 0.1;

/// A server that wants more patience than this is not waited for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// An answer.
    Answer {
        status: u16,
        took: Duration,
        retry_after: Option<Duration>,
    },
    /// No connection, none any more, or no answer in time.
    Failure,
}

/// How fast one host is asked: never above the cap, and below it when the host shows that it is too
/// much. Knows no clock.
#[derive(Debug)]
pub(super) struct Adapt {
    /// Requests a second; 0: no cap.
    cap: u32,
    /// What it is held to below that.
    held: Option<f64>,
    reason: Option<String>,
    window: Window,
    /// Seconds that an answer took in the quickest stretch.
    quickest: Option<f64>,
    /// Stretches in a row in which answers took too long.
    slow: u32,
    last_change: Option<Instant>,
    pause: Option<Instant>,
}

/// One stretch.
#[derive(Debug)]
struct Window {
    since: Instant,
    answers: u32,
    failures: u32,
    unavailable: u32,
    took: f64,
}

impl Window {
    fn new(since: Instant) -> Self {
        Self {
            since,
            answers: 0,
            failures: 0,
            unavailable: 0,
            took: 0.0,
        }
    }

    fn count(&self) -> u32 {
        self.answers + self.failures
    }
}

impl Adapt {
    pub(super) fn new(cap: u32, now: Instant) -> Self {
        Self {
            cap,
            held: None,
            reason: None,
            window: Window::new(now),
            quickest: None,
            slow: 0,
            last_change: None,
            pause: None,
        }
    }

    pub(super) fn cap(&self) -> u32 {
        self.cap
    }

    pub(super) fn set_cap(&mut self, cap: u32) {
        self.cap = cap;
        if cap > 0 && self.held.is_some_and(|held| held >= f64::from(cap)) {
            self.free();
        }
    }

    /// Requests a second that may be made now; 0: as many as can be.
    pub(super) fn rate(&self) -> u32 {
        // At least one: what is slower is a pause.
        self.held.map_or(self.cap, |held| (held as u32).max(1))
    }

    /// Why it is slower than the cap.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Until when nothing is sent.
    pub(super) fn pause(&self) -> Option<Instant> {
        self.pause
    }

    /// Takes note; `true`: the rate or the pause is another now.
    pub(super) fn saw(&mut self, seen: Seen, now: Instant) -> bool {
        let mut changed = false;
        if now.saturating_duration_since(self.window.since) >= WINDOW {
            changed |= self.end_of_window(now);
        }
        match seen {
            Seen::Failure => self.window.failures += 1,
            Seen::Answer {
                status,
                took,
                retry_after,
            } => {
                self.window.answers += 1;
                self.window.took += took.as_secs_f64();
                self.window.unavailable += u32::from(status == 503);
                if status == 429 || (status == 503 && retry_after.is_some()) {
                    changed |= self.asked_to_wait(status, retry_after, now);
                }
            }
        }
        changed
    }

    fn asked_to_wait(&mut self, status: u16, after: Option<Duration>, now: Instant) -> bool {
        let mut reason = format!("it answered {status}");
        if let Some(after) = after {
            let pause = after.min(LONGEST_PAUSE);
            reason += &format!(" with Retry-After: {} s", after.as_secs());
            self.pause = self.pause.max(Some(now + pause));
        }
        self.slow_down(HALF, reason, now) || after.is_some()
    }

    fn end_of_window(&mut self, now: Instant) -> bool {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        let seconds = now.saturating_duration_since(window.since).as_secs_f64();
        let all = window.count();
        let part = |number: u32| f64::from(number) / f64::from(all.max(1));
        if window.failures >= FEW && part(window.failures) >= TOO_MANY {
            let reason = format!("{} of {all} requests failed", window.failures);
            return self.slow_down_from(HALF, reason, now, f64::from(all) / seconds);
        }
        if window.unavailable >= FEW && part(window.unavailable) >= TOO_MANY {
            let reason = format!(
                "it answered 503 to {} of {all} requests",
                window.unavailable
            );
            return self.slow_down_from(HALF, reason, now, f64::from(all) / seconds);
        }
        if window.answers >= ENOUGH && self.is_slower(window.took / f64::from(window.answers)) {
            let took = window.took / f64::from(window.answers) * 1000.0;
            let before = self.quickest.unwrap_or(0.0) * 1000.0;
            let reason = format!("its answers take {took:.0} ms, {before:.0} ms at first");
            return self.slow_down_from(LESS, reason, now, f64::from(all) / seconds);
        }
        self.speed_up(now)
    }

    /// Whether answers have taken too long for two stretches in a row.
    fn is_slower(&mut self, took: f64) -> bool {
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        match took > quickest * SLOWER && took > quickest + SLOWER_BY {
            true => self.slow += 1,
            false => self.slow = 0,
        }
        self.slow >= 2
    }

    fn slow_down(&mut self, factor: f64, reason: String, now: Instant) -> bool {
        let seconds = now
            .saturating_duration_since(self.window.since)
            .as_secs_f64();
        let seen = f64::from(self.window.count()) / seconds.max(0.1);
        self.slow_down_from(factor, reason, now, seen)
    }

    /// `seen`: requests a second that were made of late, which is what counts without a cap.
    fn slow_down_from(&mut self, factor: f64, reason: String, now: Instant, seen: f64) -> bool {
        if self.last_change.is_some_and(|last| now < last + REST) && self.held.is_some() {
            return false;
        }
        let from = match (self.held, self.cap) {
            (Some(held), _) => held,
            (None, 0) => seen,
            (None, cap) => seen.min(f64::from(cap)).max(f64::from(cap) / 16.0),
        };
        self.held = Some((from * factor).max(1.0));
        self.reason = Some(reason);
        self.last_change = Some(now);
        self.slow = 0;
        true
    }

    fn speed_up(&mut self, now: Instant) -> bool {
        let calm = self.last_change.is_none_or(|last| now >= last + CALM);
        let paused = self.pause.is_some_and(|until| now < until + CALM);
        let (Some(held), true, false) = (self.held, calm, paused) else {
            return false;
        };
        let next = (held * MORE).max(held + 1.0);
        self.last_change = Some(now);
        self.held = Some(next);
        if self.cap > 0 && next >= f64::from(self.cap) {
            self.free();
        }
        true
    }

    fn free(&mut self) {
        self.held = None;
        self.reason = None;
    }
}

#[cfg(test)]
#[path = "adapt_tests.rs"]
mod tests;
