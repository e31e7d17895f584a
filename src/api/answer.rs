use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of every error answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// What is wrong and what to do about it; never a database's or a panic's text.
    pub error: String,
    /// More about it, where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Machine-readable reason for a submission that was not stored
    /// (`very_recent_scan_exists`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_reason: Option<String>,
    /// The id of the request, as in the hub's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fields at fault, with 422.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<FieldError>,
}

/// One field at fault.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Path of the field in the body (`result.open_ports[0].port`).
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// Kind of error (`missing`, `type`, `range`, `value`).
    #[serde(rename = "type")]
    pub kind: String,
}
