use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a webhook is. Where it leads is not said: its URL may be a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookState {
    /// Its name.
    pub name: String,
    /// Number of the last event that is done.
    pub position: i64,
    /// Since when deliveries fail; `null`: they do not.
    #[serde(default)]
    pub failing_since: Option<DateTime<Utc>>,
    /// Events delivered.
    pub delivered: u64,
    /// Events given up, after a day of failing.
    pub given_up: u64,
}

/// Answer to `GET /api/webhooks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebhookList {
    /// By name; those that the settings have no longer are there, too.
    pub webhooks: Vec<WebhookState>,
}
