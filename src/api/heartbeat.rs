use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an agent says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// Working or waiting for work.
    Healthy,
    /// Working, with something missing (hub unreachable, spool filling).
    Degraded,
    /// Not able to work.
    Unhealthy,
    /// Paused by an operator.
    Paused,
    /// Going away.
    Stopped,
}

/// Body of `POST /daemon/{personality}/heartbeat/`, sent every 10 s. It renews the leases it names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Instance name (`kaze`; the `%i` of `recon@%i.service`).
    pub agent: String,
    /// Host that it runs on.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Version of the agent.
    pub version: String,
    /// How it is.
    pub status: AgentStatus,
    /// The line that `systemctl status` shows.
    pub status_text: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Last time that its work made progress.
    pub last_activity: DateTime<Utc>,
    /// Seconds between heartbeats; older than three of them is unhealthy.
    pub interval_s: f64,
    /// Results in the spool that the hub has not taken yet.
    pub queue_depth: u64,
    /// Errors since it started.
    pub error_count: u64,
    /// Number of the current cycle, from 1.
    pub cycle: u64,
    /// Targets finished since it started.
    #[serde(default)]
    pub completed: u64,
    /// Target in hand.
    #[serde(default)]
    pub current_target: Option<String>,
    /// Progress of the task in hand, 0 to 100.
    #[serde(default)]
    pub progress_percent: Option<f64>,
    /// Resident memory, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processor time used, seconds.
    #[serde(default)]
    pub cpu_s: Option<f64>,
    /// Leases in hand, to be renewed.
    #[serde(default)]
    pub leases: Vec<Uuid>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAnswer {
    /// True when it was taken.
    pub success: bool,
    /// What became of the leases that the heartbeat named.
    #[serde(default)]
    pub leases: Vec<LeaseRenewal>,
    /// Commands waiting for this agent, most urgent first.
    #[serde(default)]
    pub commands: Vec<AgentCommand>,
    /// Settings that an operator overrode, by key.
    #[serde(default)]
    pub overrides: BTreeMap<String, serde_json::Value>,
}

/// What became of a lease.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRenewal {
    /// The lease.
    pub id: Uuid,
    /// Its new end; `None` when it is no longer the caller's.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A command for an agent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AgentCommand {
    /// Identity of the command; its result is reported under it.
    pub id: Uuid,
    /// Name (`pause`, `resume`, `reload`, …).
    pub command: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: serde_json::Value,
}
