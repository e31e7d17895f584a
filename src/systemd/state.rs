use serde::Serialize;

/// State of an agent in one word, from what systemd says of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentState {
    /// Gave up: restart limit reached, or not to be restarted.
    Failed,
    /// Cannot run at all: no program (203), bad configuration (78), broken unit.
    ImportFailed,
    /// Crashed; waits for its next start.
    Restarting,
    /// Runs, with something missing.
    Degraded,
    /// Not ready yet.
    Starting,
    /// Going away.
    Stopping,
    /// Runs, takes no new work.
    Paused,
    /// Runs.
    Running,
    /// Does not run, and is not meant to.
    Stopped,
}

/// What the state is made of.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub load: &'a str,
    pub active: &'a str,
    pub sub: &'a str,
    pub exit_status: i32,
    pub status_text: &'a str,
    pub frozen: bool,
}

/// Exit codes that are never restarted: 203 is systemd's EXIT_EXEC, 78 our own (EX_CONFIG).
const NOT_RESTARTED: [i32; 2] = [203, 78];

impl AgentState {
    /// The word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::ImportFailed => "IMPORT_FAILED",
            Self::Restarting => "RESTARTING",
            Self::Degraded => "DEGRADED",
            Self::Starting => "STARTING",
            Self::Stopping => "STOPPING",
            Self::Paused => "PAUSED",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether the agent does what it is for.
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Running)
    }

    pub(super) fn of(seen: Seen<'_>) -> Self {
        if matches!(seen.load, "bad-setting" | "error") {
            return Self::ImportFailed;
        }
        match (seen.active, seen.sub) {
            ("failed", _) if NOT_RESTARTED.contains(&seen.exit_status) => Self::ImportFailed,
            ("failed", _) => Self::Failed,
            ("activating", "auto-restart" | "auto-restart-queued") => Self::Restarting,
            ("activating", _) => Self::Starting,
            ("deactivating", _) => Self::Stopping,
            ("active" | "reloading" | "refreshing", _) => Self::of_running(seen),
            _ => Self::Stopped,
        }
    }

    /// The first word of the status line is part of the agents' contract.
    fn of_running(seen: Seen<'_>) -> Self {
        if seen.frozen || seen.status_text.starts_with("paused") {
            Self::Paused
        } else if seen.status_text.starts_with("degraded") {
            Self::Degraded
        } else {
            Self::Running
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_mapping() {
        use AgentState as S;
        // A table reads as one only when a row is a line.
        #[rustfmt::skip]
        let rows = [
            ("loaded", "inactive", "dead", 0, "", false, S::Stopped),
            ("masked", "inactive", "dead", 0, "", false, S::Stopped),
            ("not-found", "inactive", "dead", 0, "", false, S::Stopped),
            ("loaded", "activating", "start", 0, "", false, S::Starting),
            ("loaded", "activating", "start-pre", 0, "", false, S::Starting),
            ("loaded", "activating", "auto-restart", 1, "", false, S::Restarting),
            ("loaded", "active", "running", 0, "scanning", false, S::Running),
            ("loaded", "active", "running", 0, "paused: x", false, S::Paused),
            ("loaded", "active", "running", 0, "scanning", true, S::Paused),
            ("loaded", "active", "running", 0, "degraded: hub", false, S::Degraded),
            ("loaded", "reloading", "reload", 0, "", false, S::Running),
            ("loaded", "deactivating", "stop-sigterm", 0, "", false, S::Stopping),
            ("loaded", "failed", "failed", 1, "", false, S::Failed),
            ("loaded", "failed", "failed", 203, "", false, S::ImportFailed),
            ("loaded", "failed", "failed", 78, "", false, S::ImportFailed),
            ("bad-setting", "inactive", "dead", 0, "", false, S::ImportFailed),
        ];
        for (load, active, sub, exit_status, status_text, frozen, state) in rows {
            let seen = Seen {
                load,
                active,
                sub,
                exit_status,
                status_text,
                frozen,
            };
            assert_eq!(AgentState::of(seen), state, "{seen:?}");
        }
    }
}
