use std::fmt;

use serde::{Deserialize, Serialize};

use super::UnitState;

/// How an agent is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentState {
    /// Not running, and not because of a failure.
    Stopped,
    /// On its way up; not ready yet.
    Starting,
    /// Ready and working.
    Running,
    /// On its way down.
    Stopping,
    /// Crashed; systemd starts it again after the delay.
    Restarting,
    /// Alive, but takes no work until it is resumed.
    Paused,
    /// Working, but something that it wants is not there.
    Degraded,
    /// Failed, and systemd does not start it again.
    Failed,
    /// Cannot be started at all: no program, or a configuration that it refuses.
    ImportFailed,
}

impl AgentState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Restarting,
        Self::Paused,
        Self::Degraded,
        Self::Failed,
        Self::ImportFailed,
    ];

    /// The word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Restarting => "RESTARTING",
            Self::Paused => "PAUSED",
            Self::Degraded => "DEGRADED",
            Self::Failed => "FAILED",
            Self::ImportFailed => "IMPORT_FAILED",
        }
    }

    /// Whether the process is up and told systemd so.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Degraded)
    }

    /// Whether it failed and stays so until somebody acts.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed | Self::ImportFailed)
    }

    /// The state that the properties of a unit mean; whether its dependencies are up is not among
    /// them, see [`UnitState::degrade`].
    pub(super) fn of(unit: &UnitState) -> Self {
        match unit.active_state.as_str() {
            "active" | "reloading" | "refreshing" => Self::of_active(unit),
            // Between two attempts: with a plain restart the unit is "activating"; 254 and later
            // pass through these sub-states of "failed" and "inactive".
            _ if matches!(
                unit.sub_state.as_str(),
                "auto-restart"
                    | "auto-restart-queued"
                    | "failed-before-auto-restart"
                    | "dead-before-auto-restart"
            ) =>
            {
                Self::Restarting
            }
            "activating" => Self::Starting,
            "deactivating" | "maintenance" => Self::Stopping,
            _ if matches!(unit.load_state.as_str(), "bad-setting" | "error") => Self::ImportFailed,
            "failed" if unit.cannot_start() => Self::ImportFailed,
            "failed" => Self::Failed,
            _ => Self::Stopped,
        }
    }

    fn of_active(unit: &UnitState) -> Self {
        let says = |word: &str| {
            let text = unit.status_text.as_deref().unwrap_or("");
            text.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if matches!(
            unit.freezer_state.as_deref(),
            Some("frozen" | "freezing" | "frozen-by-parent" | "freezing-by-parent")
        ) || says("paused")
        {
            Self::Paused
        } else if says("degraded") || says("unhealthy") {
            Self::Degraded
        } else {
            Self::Running
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: &str, sub: &str) -> UnitState {
        UnitState {
            load_state: "loaded".to_owned(),
            active_state: active.to_owned(),
            sub_state: sub.to_owned(),
            ..UnitState::absent("recon@kaze.service")
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            ("inactive", "dead", AgentState::Stopped),
            ("activating", "start", AgentState::Starting),
            ("activating", "start-pre", AgentState::Starting),
            ("activating", "start-post", AgentState::Starting),
            ("activating", "condition", AgentState::Starting),
            ("active", "running", AgentState::Running),
            ("reloading", "reload", AgentState::Running),
            ("reloading", "reload-notify", AgentState::Running),
            ("refreshing", "refresh", AgentState::Running),
            ("deactivating", "stop-sigterm", AgentState::Stopping),
            ("deactivating", "stop-watchdog", AgentState::Stopping),
            ("deactivating", "final-sigkill", AgentState::Stopping),
            ("activating", "auto-restart", AgentState::Restarting),
            ("activating", "auto-restart-queued", AgentState::Restarting),
            (
                "failed",
                "failed-before-auto-restart",
                AgentState::Restarting,
            ),
            (
                "inactive",
                "dead-before-auto-restart",
                AgentState::Restarting,
            ),
            ("failed", "failed", AgentState::Failed),
        ];
        for (active, sub, want) in rows {
            assert_eq!(AgentState::of(&unit(active, sub)), want, "{active}/{sub}");
        }
    }

    #[test]
    fn paused_and_degraded_say_so_or_are_frozen() {
        let mut paused = unit("active", "running");
        paused.status_text = Some("paused (since 10:00), 3 results spooled".to_owned());
        assert_eq!(AgentState::of(&paused), AgentState::Paused);
        paused.active_state = "inactive".to_owned();
        assert_eq!(AgentState::of(&paused), AgentState::Stopped);

        let mut frozen = unit("active", "running");
        frozen.freezer_state = Some("frozen".to_owned());
        assert_eq!(AgentState::of(&frozen), AgentState::Paused);
        frozen.freezer_state = Some("running".to_owned());
        assert_eq!(AgentState::of(&frozen), AgentState::Running);

        let mut degraded = unit("active", "running");
        degraded.status_text = Some("Degraded: the spool is full".to_owned());
        assert_eq!(AgentState::of(&degraded), AgentState::Degraded);
        degraded.status_text = Some("unhealthy (1 of 3): connection refused".to_owned());
        assert_eq!(AgentState::of(&degraded), AgentState::Degraded);
        degraded.status_text = Some("é".to_owned());
        assert_eq!(AgentState::of(&degraded), AgentState::Running);
    }

    #[test]
    fn what_cannot_start_is_not_merely_failed() {
        for status in [203, 78] {
            let mut u = unit("failed", "failed");
            u.result = Some("exit-code".to_owned());
            u.exec_main_code = Some(1);
            u.exec_main_status = Some(status);
            assert_eq!(AgentState::of(&u), AgentState::ImportFailed);
            // The same number as a signal means something else.
            u.exec_main_code = Some(2);
            assert_eq!(AgentState::of(&u), AgentState::Failed);
        }
        for load in ["bad-setting", "error"] {
            let mut u = unit("inactive", "dead");
            u.load_state = load.to_owned();
            assert_eq!(AgentState::of(&u), AgentState::ImportFailed);
            // A file that was broken after the start does not stop what runs.
            u.active_state = "active".to_owned();
            assert_eq!(AgentState::of(&u), AgentState::Running);
        }
        for load in ["masked", "not-found"] {
            let mut u = unit("inactive", "dead");
            u.load_state = load.to_owned();
            assert_eq!(AgentState::of(&u), AgentState::Stopped);
        }
    }

    #[test]
    fn words_agree_with_serde() {
        for state in AgentState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
