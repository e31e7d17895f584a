use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer to `GET /{personality}/status/` and to what drives an agent. The first fields are those of
/// the earlier server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlAnswer {
    /// True.
    pub success: bool,
    /// `running`, `paused`, `stopped`, `starting`, `stopping` or `restarting`.
    pub status: String,
    /// In words.
    pub message: String,
    /// Scans of its kind that are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_scans: Option<u64>,
    /// Requests that the spider stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_requests: Option<u64>,
    /// Paths that the enumerator stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_enumerations: Option<u64>,
    /// How its unit is, in the words of `reconctl status`.
    pub state: String,
    /// Its main process.
    pub pid: Option<u32>,
    /// Since when it is so.
    pub since: Option<DateTime<Utc>>,
    /// Restarts by systemd since the last start by somebody.
    pub restarts: u32,
    /// Why it is not up, or what it says of itself.
    pub reason: Option<String>,
}

/// Answer to `GET /{personality}/logs/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogAnswer {
    /// True.
    pub success: bool,
    /// Oldest first.
    pub data: Vec<LogLine>,
    /// In words.
    pub message: String,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When.
    pub timestamp: DateTime<Utc>,
    /// ERROR, WARN, NOTICE, INFO or DEBUG.
    pub level: String,
    /// The text, as it was written.
    pub message: String,
    /// The process that wrote it.
    pub pid: Option<u32>,
}
