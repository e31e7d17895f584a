use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::RiskLevel;

/// States of a finding: it is there; it is not seen any more; it is there and somebody decided to live
/// with it; somebody decided that it is none.
pub const FINDING_STATES: [&str; 4] = ["open", "fixed", "accepted", "false_positive"];

/// Something that was found and that somebody should see to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Identity.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name.
    pub target: String,
    /// Type (`exposed_secret`); of an assessment's the id of the rule, or `known_vulnerability`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How bad it is.
    pub severity: RiskLevel,
    /// What to see to first: 0 to 100. Where nobody reckoned it, what the severity stands for.
    #[serde(default)]
    pub priority: f64,
    /// How sure it is, 0 to 1, when its finder said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Category (`javascript_secret`).
    pub category: String,
    /// In words.
    pub title: String,
    /// Where it is: the URL of the page, or the port (`tcp/6379`).
    pub location: String,
    /// The vulnerability, when it is a known one (`CVE-2021-41773`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cve: Option<String>,
    /// It is exploited in the wild (CISA's Known Exploited Vulnerabilities).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kev: bool,
    /// What shows it. A secret is never in it: its first characters and its SHA-256 are.
    pub evidence: Value,
    /// Its state, one of [`FINDING_STATES`].
    pub status: String,
    /// The agent's kind that found it.
    #[serde(default)]
    pub discovered_by: Option<String>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// When an assessment did not see it any more, while it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_at: Option<DateTime<Utc>>,
    /// When it was last seen again after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<DateTime<Utc>>,
    /// How often it was.
    #[serde(default)]
    pub times_reopened: u32,
    /// What somebody decided, as long as it holds. It stays with a finding that is fixed, and holds
    /// again when that comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<FindingDecision>,
}

/// Answer to `GET /api/findings`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct FindingList {
    /// In the order that was asked for; the newest first without one.
    pub findings: Vec<Finding>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What somebody decided about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingDecision {
    /// `accepted` or `false_positive`.
    pub status: Verdict,
    /// Why.
    pub reason: String,
    /// Who: a token by name and id, `root` or `uid N` on the hub's host.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How long it holds; absent: until somebody decides otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// What can be decided about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is there, and it is lived with.
    Accepted,
    /// It is none.
    FalsePositive,
    /// Nothing is decided (any more).
    Open,
}

impl Verdict {
    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::FalsePositive => "false_positive",
            Self::Open => "open",
        }
    }
}

/// Confidence from which on a finding counts for the level of its target and for `--fail-on`: what is less sure
/// (a version that the distribution may have mended) is to be looked at, and no alarm.
pub const COUNTS_FROM: f64 = 0.5;

/// Body of `POST /api/findings/{id}/decision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideFinding {
    /// What is decided.
    pub status: Verdict,
    /// Why; only `open` does without. 2,000 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it holds, unless it is `open`: then the finding is open again. Absent: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde() {
        for verdict in [Verdict::Accepted, Verdict::FalsePositive, Verdict::Open] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
            assert!(FINDING_STATES.contains(&verdict.as_str()));
        }
    }
}
