use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Types of changes.
pub const CHANGE_TYPES: [&str; 16] = [
    "port_opened",
    "port_closed",
    "service_changed",
    "certificate_changed",
    "path_appeared",
    "path_disappeared",
    "technology_changed",
    "risk_changed",
    "page_added",
    "page_removed",
    "page_changed",
    "endpoint_added",
    "form_added",
    "finding_added",
    "finding_fixed",
    "finding_reopened",
];

/// A difference between a result and the one of its kind before, as `reconctl changes` and
/// `GET /api/changes` show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Identity.
    pub id: Uuid,
    /// Type, one of [`CHANGE_TYPES`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name as scanned.
    pub target: String,
    /// What differs (`443/tcp`, `/admin`).
    pub subject: String,
    /// As it was; `null`: not there.
    #[serde(default)]
    pub before: Value,
    /// As it is; `null`: not there.
    #[serde(default)]
    pub after: Value,
    /// The result that showed it.
    pub source_id: Uuid,
    /// When it was seen.
    pub created_at: DateTime<Utc>,
}

/// Answer to `GET /api/changes`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChangeList {
    /// Newest first.
    pub changes: Vec<Change>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
