use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the fleet is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Overall {
    /// Every agent that is wanted does its work.
    Healthy,
    /// One that is wanted does not, or one has failed.
    Degraded,
    /// A critical one does not run.
    Critical,
}

impl Overall {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Overall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Answer to `GET /api/health`, and what `reconctl health --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetHealth {
    /// In one word.
    pub overall: Overall,
    /// Those that are unwell first.
    pub daemons: Vec<DaemonHealth>,
    /// When the hub started.
    pub start_time: Option<DateTime<Utc>>,
    /// Seconds since then.
    pub system_uptime: Option<u64>,
    /// Critical agents that run.
    pub critical_daemons_up: usize,
    /// Critical agents.
    pub critical_daemons: usize,
    /// Agents.
    pub total_daemons: usize,
}

/// One agent in [`FleetHealth`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonHealth {
    /// Instance name.
    pub name: String,
    /// Host that it runs on.
    pub host: Option<String>,
    /// Its version, as it said.
    pub version: Option<String>,
    /// How its unit is (`RUNNING`), or what its last heartbeat means where no unit can be seen.
    pub status: String,
    /// Its main process.
    pub pid: Option<u32>,
    /// When it started.
    #[serde(rename = "startTime")]
    pub start_time: Option<DateTime<Utc>>,
    /// When the hub last heard of it.
    #[serde(rename = "lastHeartbeat")]
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// Seconds since it started.
    pub uptime: Option<u64>,
    /// Memory in use, bytes.
    #[serde(rename = "memoryUsage")]
    pub memory_usage: Option<u64>,
    /// Processor time used, seconds.
    #[serde(rename = "cpuUsage")]
    pub cpu_usage: Option<f64>,
    /// Restarts by systemd since the last start by somebody.
    pub restarts: Option<u32>,
    /// It does its work.
    pub healthy: bool,
    /// It is marked critical.
    #[serde(default)]
    pub critical: bool,
    /// It is meant to run.
    #[serde(default)]
    pub wanted: bool,
    /// It runs.
    #[serde(default)]
    pub up: bool,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// When its work last made progress, as it said.
    pub last_activity: Option<DateTime<Utc>>,
    /// Results that the hub has not taken yet, as it said.
    pub queue_depth: Option<u64>,
    /// Errors since it started, as it said.
    pub error_count: Option<u64>,
}

impl FleetHealth {
    /// What these agents make of the fleet: critical ones must run; those that are wanted must be
    /// well, and none may have failed.
    pub fn of(mut daemons: Vec<DaemonHealth>) -> Self {
        daemons.sort_by_key(|d| (d.healthy, !d.critical, !d.wanted, d.name.clone()));
        let critical = daemons.iter().filter(|d| d.critical).count();
        let critical_up = daemons.iter().filter(|d| d.critical && d.up).count();
        let unwell = |d: &DaemonHealth| !d.healthy && (d.wanted || d.status != "STOPPED");
        let overall = if critical_up < critical {
            Overall::Critical
        } else if daemons.iter().any(unwell) {
            Overall::Degraded
        } else {
            Overall::Healthy
        };
        Self {
            overall,
            start_time: None,
            system_uptime: None,
            critical_daemons_up: critical_up,
            critical_daemons: critical,
            total_daemons: daemons.len(),
            daemons,
        }
    }
}

impl DaemonHealth {
    /// An agent of which nothing is known but its name.
    pub fn unknown(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            host: None,
            version: None,
            status: "STOPPED".to_owned(),
            pid: None,
            start_time: None,
            last_heartbeat: None,
            uptime: None,
            memory_usage: None,
            cpu_usage: None,
            restarts: None,
            healthy: false,
            critical: false,
            wanted: false,
            up: false,
            reason: None,
            last_activity: None,
            queue_depth: None,
            error_count: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(status: &str, critical: bool, wanted: bool) -> DaemonHealth {
        DaemonHealth {
            status: status.to_owned(),
            healthy: status == "RUNNING",
            up: status == "RUNNING",
            critical,
            wanted,
            ..DaemonHealth::unknown("x")
        }
    }

    #[test]
    fn the_rule() {
        let well = || daemon("RUNNING", true, true);
        for (daemons, want) in [
            (vec![well()], Overall::Healthy),
            (
                vec![well(), daemon("STOPPED", false, false)],
                Overall::Healthy,
            ),
            (
                vec![well(), daemon("STOPPED", false, true)],
                Overall::Degraded,
            ),
            (
                vec![well(), daemon("FAILED", false, false)],
                Overall::Degraded,
            ),
            (
                vec![well(), daemon("RESTARTING", false, true)],
                Overall::Degraded,
            ),
            (
                vec![
                    daemon("STOPPED", true, true),
                    daemon("RUNNING", false, true),
                ],
                Overall::Critical,
            ),
            (vec![daemon("FAILED", true, true)], Overall::Critical),
        ] {
            let text = format!("{daemons:?}");
            assert_eq!(FleetHealth::of(daemons).overall, want, "{text}");
        }
    }
}
