use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer to `POST /api/hub/check` and `/api/hub/vacuum`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoreReport {
    /// Nothing is wrong.
    pub success: bool,
    /// In words.
    pub message: String,
    /// What is wrong, in words; at most a hundred.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Size of the database, bytes.
    pub size_bytes: u64,
}
