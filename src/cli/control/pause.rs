//! pause, resume, freeze, thaw.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::Duration;

use super::{Done, Driver};
use crate::cli::table::duration;
use crate::fleet::AgentKind;
use crate::systemd::{AgentState, Error, UnitState, Who};

/// Signals of the agents' runtime.
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;

/// What a pause may take beyond the time that an agent has for the task in hand.
const PAUSE_GRACE: Duration = Duration::from_secs(5);

/// Resuming finishes nothing first.
const RESUME_LIMIT: Duration = Duration::from_secs(15);

/// The kernel freezes a process at its next step, or when it comes out of a call to a device.
const FREEZE_LIMIT: Duration = Duration::from_secs(30);

impl Driver<'_> {
    pub(super) async fn pause(&self, unit: UnitState) -> Result<Done, Error> {
        match (unit.state, unit.kind) {
            (AgentState::Paused, _) => return Ok(Done::already("already paused", unit)),
            (AgentState::Running | AgentState::Degraded, AgentKind::Hub) => {
                let message = "the hub does not pause; stop it or pause the agents";
                return Ok(if self.all {
                    Done::already(message, unit)
                } else {
                    Done::failed(message, unit)
                });
            }
            // A signal before the agent is ready would find no handler and kill it.
            (AgentState::Running | AgentState::Degraded, _) => {}
            _ => return Ok(self.not_running(unit)),
        }
        let limit = self.roster.stop_timeout(&unit.name) + PAUSE_GRACE;
        let watch = self.manager.watch(&unit.unit).await?;
        // A program of the user's own knows nothing of our signals: SIGUSR1 would kill it.
        if unit.kind == AgentKind::Custom {
            if unit.watchdog_s.is_some() {
                // systemd's watchdog runs on while a unit is frozen, and would kill it.
                let message = "failed: a program of your own with a watchdog cannot be paused";
                return Ok(Done::failed(message, unit));
            }
            self.manager.freeze(&unit.unit).await?;
        } else {
            self.manager.kill(&unit.unit, SIGUSR1, Who::Main).await?;
        }
        let over = |u: &UnitState| u.state == AgentState::Paused || u.pid != unit.pid;
        let (after, _) = tokio::select! {
            result = watch.until(over, limit) => result?,
            never = waiting(&unit.name, "finishing the task in hand", limit) => match never {},
        };
        Ok(match after.state {
            AgentState::Paused => Done::ok("paused", after),
            state if !state.is_up() => {
                let why = after
                    .last_error
                    .clone()
                    .unwrap_or_else(|| state.to_string());
                Done::failed(format!("failed: it ended instead of pausing: {why}"), after)
            }
            _ => {
                let limit = duration(limit);
                let message = format!("failed: asked to pause, but still at work after {limit}");
                Done::failed(message, after)
            }
        })
    }

    pub(super) async fn resume(&self, unit: UnitState) -> Result<Done, Error> {
        if unit.state != AgentState::Paused {
            return Ok(if unit.state.is_up() {
                Done::already("not paused", unit)
            } else {
                self.not_running(unit)
            });
        }
        let watch = self.manager.watch(&unit.unit).await?;
        if unit
            .freezer_state
            .as_deref()
            .is_some_and(|s| s != "running")
        {
            self.manager.thaw(&unit.unit).await?;
        } else {
            self.manager.kill(&unit.unit, SIGUSR2, Who::Main).await?;
        }
        let over = |u: &UnitState| u.state != AgentState::Paused;
        let (after, done) = watch.until(over, RESUME_LIMIT).await?;
        Ok(match (done, after.state.is_up()) {
            (true, true) => Done::ok("resumed", after),
            (true, false) => {
                let why = after
                    .last_error
                    .clone()
                    .unwrap_or_else(|| after.state.to_string());
                Done::failed(
                    format!("failed: it ended instead of resuming: {why}"),
                    after,
                )
            }
            _ => {
                let limit = duration(RESUME_LIMIT);
                Done::failed(format!("failed: still paused after {limit}"), after)
            }
        })
    }

    /// Stops all processes where they are (cgroup v2); they do not notice.
    pub(super) async fn freeze(&self, unit: UnitState, force: bool) -> Result<Done, Error> {
        match unit.freezer_state.as_deref() {
            None => return Ok(Done::failed("failed: this systemd cannot freeze", unit)),
            Some("frozen") => return Ok(Done::already("already frozen", unit)),
            _ if !unit.is_active() => return Ok(self.not_running(unit)),
            _ => {}
        }
        if let (Some(limit), false) = (unit.watchdog_s, force) {
            let message = format!(
                "failed: its watchdog would kill it after {limit} s: use pause, or freeze --force"
            );
            return Ok(Done::failed(message, unit));
        }
        let watch = self.manager.watch(&unit.unit).await?;
        self.manager.freeze(&unit.unit).await?;
        let frozen = |u: &UnitState| u.freezer_state.as_deref() == Some("frozen");
        Ok(match watch.until(frozen, FREEZE_LIMIT).await? {
            (after, true) => Done::ok("frozen", after),
            (after, false) => Done::failed("failed: it is not frozen", after),
        })
    }

    /// Lets frozen processes go on.
    pub(super) async fn thaw(&self, unit: UnitState) -> Result<Done, Error> {
        if unit.freezer_state.as_deref().is_none_or(|s| s == "running") {
            return Ok(if unit.is_active() {
                Done::already("not frozen", unit)
            } else {
                self.not_running(unit)
            });
        }
        let watch = self.manager.watch(&unit.unit).await?;
        self.manager.thaw(&unit.unit).await?;
        let thawed = |u: &UnitState| u.freezer_state.as_deref() == Some("running");
        Ok(match watch.until(thawed, FREEZE_LIMIT).await? {
            (after, true) => Done::ok("thawed", after),
            (after, false) => Done::failed("failed: it is still frozen", after),
        })
    }
}

/// Says why nothing happens, once that is worth a word and somebody looks on.
async fn waiting(name: &str, what: &str, limit: Duration) -> Infallible {
    tokio::time::sleep(Duration::from_secs(1)).await;
    if std::io::stderr().is_terminal() {
        eprintln!("{name}: {what} (up to {})", duration(limit));
    }
    std::future::pending().await
}
