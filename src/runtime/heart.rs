use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use super::notify::{self, Notifier};

/// Proof of progress. There is no timer here: the work itself calls [`Heart::beat`] each time that
/// it got somewhere, and that is what sends `WATCHDOG=1`. Work that hangs, whether it blocks the
/// thread or awaits for ever, sends nothing, and systemd ends it.
#[derive(Debug, Clone)]
pub struct Heart {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    notifier: Arc<Notifier>,
    /// Half of what systemd asks for, as sd_watchdog_enabled(3) recommends.
    ping_every: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_ping: Option<Instant>,
    last_beat: DateTime<Utc>,
    /// While starting or stopping: each ping also asks for this much more time.
    extend: Option<Duration>,
}

/// Longest step of a wait, so that a sleeping agent hardly wakes.
const STEP: Duration = Duration::from_secs(5);

impl Heart {
    /// A heart that pings as systemd asked in the environment.
    pub fn new(notifier: Arc<Notifier>) -> Self {
        Self::with_interval(notifier, notify::watchdog_interval())
    }

    /// A heart for work that goes on beside the agent's own: systemd does not hear it, because it would
    /// hide that the other hangs.
    pub fn silent() -> Self {
        Self::with_interval(Arc::default(), None)
    }

    fn with_interval(notifier: Arc<Notifier>, interval: Option<Duration>) -> Self {
        let state = State {
            last_ping: None,
            last_beat: Utc::now(),
            extend: None,
        };
        Self {
            inner: Arc::new(Inner {
                notifier,
                ping_every: interval.map(|i| i / 2),
                state: Mutex::new(state),
            }),
        }
    }

    /// The work got somewhere.
    pub fn beat(&self) {
        self.inner.notifier.flush();
        let mut state = self.state();
        state.last_beat = Utc::now();
        let due = |every| state.last_ping.is_none_or(|last| last.elapsed() >= every);
        let extend = state.extend.filter(|by| due(*by / 2));
        let ping = self.inner.ping_every.is_some_and(due);
        if !ping && extend.is_none() {
            return;
        }
        state.last_ping = Some(Instant::now());
        drop(state);
        if self.inner.ping_every.is_some() {
            self.inner.notifier.watchdog();
        }
        if let Some(by) = extend {
            self.inner.notifier.extend_timeout(by);
        }
    }

    /// Time to the next step of a wait: short enough to ping in time, and to bring out a status line
    /// that is held back.
    fn step(&self) -> Duration {
        let step = self
            .inner
            .ping_every
            .map_or(STEP, |every| (every / 2).min(STEP));
        if self.inner.notifier.is_pending() {
            step.min(notify::STATUS_INTERVAL)
        } else {
            step
        }
    }

    /// From now on every step of progress also asks systemd for this much more time: for a start or
    /// stop that takes long but gets somewhere (EXTEND_TIMEOUT_USEC of sd_notify(3)).
    pub fn extend_while_progressing(&self, by: Option<Duration>) {
        self.state().extend = by;
    }

    /// When the work last got somewhere.
    pub fn last_beat(&self) -> DateTime<Utc> {
        self.state().last_beat
    }

    /// Waits, which is progress too as long as the loop that waits runs.
    pub async fn rest(&self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.beat();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(self.step())).await;
        }
    }

    /// Awaits something outside that cannot show progress but has a hard limit of its own (one HTTP
    /// request, one name lookup). `None` when the limit passed.
    pub async fn bounded<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        tokio::pin!(work);
        let end = Instant::now() + limit;
        loop {
            self.beat();
            let left = end.saturating_duration_since(Instant::now());
            let step = left.min(self.step());
            match timeout(step, &mut work).await {
                Ok(output) => return Some(output),
                Err(_) if step == left => return None,
                Err(_) => {}
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heart() -> Heart {
        Heart::with_interval(Arc::default(), Some(Duration::from_secs(10)))
    }

    #[tokio::test]
    async fn bounded_gives_up_at_its_limit() {
        let hang = std::future::pending::<()>();
        assert!(
            heart()
                .bounded(Duration::from_millis(20), hang)
                .await
                .is_none()
        );
        assert_eq!(
            heart().bounded(Duration::from_secs(5), async { 7 }).await,
            Some(7)
        );
    }

    #[test]
    fn pings_at_half_the_interval_and_only_when_work_beats() {
        let heart = heart();
        assert!(heart.state().last_ping.is_none(), "no work, no ping");
        heart.beat();
        let first = heart.state().last_ping;
        heart.beat();
        assert_eq!(
            heart.state().last_ping,
            first,
            "the second beat is too soon to ping"
        );
    }
}
