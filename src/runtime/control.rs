use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

/// What the operator wants of this process; set by signals and by the hub's commands, read by the
/// work loop between its steps.
#[derive(Debug, Clone)]
pub struct Control {
    state: Arc<watch::Sender<State>>,
    flag: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    stop: Option<Instant>,
    paused: bool,
    /// Counts up with every change that a waiting work loop should look at.
    version: u64,
}

/// What the work loop is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Work.
    Run,
    /// Take no new task.
    Paused,
    /// Take no new task and end.
    Stop,
}

impl Control {
    /// Starts as it was left: paused when the flag file in the runtime directory says so. The flag
    /// lives in /run, so that a pause outlives a restart but not a boot.
    pub fn new(runtime_dir: Option<PathBuf>) -> Self {
        let flag = runtime_dir.map(|dir| dir.join("paused"));
        let paused = flag.as_ref().is_some_and(|flag| flag.exists());
        let (state, _) = watch::channel(State {
            paused,
            ..State::default()
        });
        Self {
            state: Arc::new(state),
            flag,
        }
    }

    /// What to do now.
    pub fn phase(&self) -> Phase {
        let state = *self.state.borrow();
        match state {
            State { stop: Some(_), .. } => Phase::Stop,
            State { paused: true, .. } => Phase::Paused,
            _ => Phase::Run,
        }
    }

    /// When the end was asked for.
    pub fn stop_requested(&self) -> Option<Instant> {
        self.state.borrow().stop
    }

    /// Asks for the end.
    pub fn stop(&self) {
        self.change(|s| {
            s.stop.get_or_insert_with(Instant::now);
        });
    }

    /// Asks for a pause after the task in hand, or for the end of one.
    pub fn pause(&self, paused: bool) {
        if let Some(flag) = &self.flag {
            let done = if paused {
                std::fs::write(flag, b"")
            } else {
                remove(flag)
            };
            if let Err(error) = done {
                tracing::warn!(%error, path = %flag.display(), "a restart will forget the pause");
            }
        }
        self.change(|s| s.paused = paused);
    }

    /// Wakes a work loop that waits (new settings, the hub is back).
    pub fn nudge(&self) {
        self.change(|_| {});
    }

    /// Take it before looking at the phase, and wait with [`Self::changed_since`]: nothing that
    /// happens in between is missed.
    pub fn version(&self) -> u64 {
        self.state.borrow().version
    }

    /// Ends when anything has changed since that version.
    pub async fn changed_since(&self, version: u64) {
        let mut receiver = self.state.subscribe();
        // An error means that no sender is left, which cannot be while `self.state` is one.
        let _ = receiver.wait_for(|s| s.version != version).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|s| {
            change(s);
            s.version += 1;
        });
    }
}

fn remove(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_between_look_and_wait_is_not_missed() {
        let control = Control::new(None);
        let version = control.version();
        control.stop();
        control.changed_since(version).await;
    }

    #[test]
    fn a_pause_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Control::new(Some(dir.path().into()));
        assert_eq!(first.phase(), Phase::Run);
        first.pause(true);
        let second = Control::new(Some(dir.path().into()));
        assert_eq!(second.phase(), Phase::Paused);
        second.stop();
        assert_eq!(second.phase(), Phase::Stop);
        second.pause(false);
        assert_eq!(Control::new(Some(dir.path().into())).phase(), Phase::Run);
    }
}
