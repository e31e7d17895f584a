use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// How bad it is: the risk of a target, the severity of a finding.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Good to know.
    Info,
    /// Little.
    Low,
    /// What an assessment says that names none.
    #[default]
    Medium,
    /// Much.
    High,
    /// To be seen to at once.
    Critical,
}

impl RiskLevel {
    /// All of them, least first.
    pub const ALL: [Self; 5] = [
        Self::Info,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for RiskLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RiskLevel {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|r| r.as_str() == s)
            .ok_or_else(|| "must be info, low, medium, high or critical".to_owned())
    }
}

/// Answer to `POST /daemon/kumo/spider/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpiderAnswer {
    /// Taken.
    pub success: bool,
    /// In words.
    pub message: String,
    /// Requests that were not known from the same run.
    pub requests_inserted: usize,
    /// Secrets in the submission.
    pub secrets_found: usize,
}

/// Answer to `POST /daemon/enumeration/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnumerationAnswer {
    /// Taken.
    pub success: bool,
    /// In words.
    pub message: String,
    /// Paths stored, new or seen again.
    pub paths_inserted: usize,
    /// The form of the submission: `heuristics` or `legacy`.
    pub format: String,
}

/// Answer to `POST /daemon/ryu/assessment/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentAnswer {
    /// Taken.
    pub success: bool,
    /// In words.
    pub message: String,
}

/// A threat assessment of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// Identity.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name.
    pub target: String,
    /// The risk.
    pub risk_level: RiskLevel,
    /// In a sentence.
    pub threat_summary: Option<String>,
    /// What is wrong, as the agent sent it.
    pub vulnerabilities: Value,
    /// How it could be attacked, as the agent sent it.
    pub attack_vectors: Value,
    /// What to mend first, as the agent sent it.
    pub remediation_priorities: Value,
    /// At length.
    pub narrative: Option<String>,
    /// `NAME@HOST` of the agent, when known.
    #[serde(default)]
    pub agent: Option<String>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// Answer to `GET /api/assessments`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentList {
    /// Newest first.
    pub assessments: Vec<Assessment>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Software that a target runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Technology {
    /// Name (`nginx`).
    pub name: String,
    /// Version; empty when unknown.
    #[serde(default)]
    pub version: String,
    /// Category (`web server`); empty when unknown.
    #[serde(default)]
    pub category: String,
}

/// What an agent does now, as the earlier server shows it for suzu.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// `idle`, `enumerating`, `completed`, …
    pub status: String,
    /// The target in its hands.
    pub current_target: Option<String>,
    /// The record of it.
    pub current_eggrecord_id: Option<String>,
    /// The step.
    pub current_step: Option<String>,
    /// How far it is.
    pub progress_percent: Value,
    /// Number of the cycle.
    pub cycle_number: i64,
    /// Targets done in this cycle.
    pub enumerated_this_cycle: i64,
    /// Targets that wait.
    pub total_in_queue: i64,
    /// Paths found.
    pub paths_found: i64,
    /// The content management system.
    pub cms_detected: Value,
    /// Start, seconds since 1970 or a time.
    pub started_at: Value,
    /// End, as the agent expects it.
    pub estimated_completion: Value,
    /// When the agent last said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<DateTime<Utc>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            status: "idle".to_owned(),
            current_target: None,
            current_eggrecord_id: None,
            current_step: None,
            progress_percent: Value::from(0),
            cycle_number: 0,
            enumerated_this_cycle: 0,
            total_in_queue: 0,
            paths_found: 0,
            cms_detected: Value::Null,
            started_at: Value::Null,
            estimated_completion: Value::Null,
            last_updated: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde() {
        for risk in RiskLevel::ALL {
            assert_eq!(serde_json::to_value(risk).unwrap(), risk.as_str());
            assert_eq!(risk.as_str().parse::<RiskLevel>().unwrap(), risk);
        }
        assert!("banana".parse::<RiskLevel>().is_err());
    }
}
