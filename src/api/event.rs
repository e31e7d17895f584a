use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Identity.
    pub id: Uuid,
    /// Number; grows, never reused.
    pub seq: i64,
    /// Type (`scan_completed`, `scope_violation_blocked`, …).
    #[serde(rename = "type")]
    pub kind: String,
    /// The agent that it is about.
    #[serde(default)]
    pub daemon_name: Option<String>,
    /// The host that it happened on.
    #[serde(default)]
    pub hostname: Option<String>,
    /// When.
    pub timestamp: DateTime<Utc>,
    /// More, by type.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// Answer to `GET /api/events`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Pass it as `after` to get what comes next.
    pub last_seq: i64,
    /// `after` is a number that this hub never gave: its database was put back to an earlier state.
    /// Absent when it did. Go on after `last_seq`, or read everything again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}
