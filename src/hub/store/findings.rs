//! What somebody should see to, over time: found, gone, back again, decided upon.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Answer, Idempotency, Render, Result};
use crate::api::{Finding, RiskLevel, Verdict};

/// The part of a store that keeps findings. They come with the results that show them (`ResultStore`).
#[async_trait]
pub trait FindingStore: Send + Sync {
    /// Findings, in the order that is asked for. What was decided until a time that has come is still
    /// shown as decided: `expire_decisions` comes first.
    async fn findings(&self, query: FindingQuery) -> Result<FindingPage>;

    /// One finding.
    async fn finding(&self, id: Uuid) -> Result<Option<Finding>>;

    /// Decides about a finding. What is rendered is how it is then; `None`: there is none.
    async fn decide_finding(
        &self,
        id: Uuid,
        decision: NewDecision,
        key: Option<Idempotency>,
        render: Render<Option<Finding>>,
    ) -> Result<Answer>;

    /// Ends decisions whose time has come: what they are about is open again. The number of them; cheap
    /// when that is none.
    async fn expire_decisions(&self, now: DateTime<Utc>) -> Result<u64>;

    /// How many findings there are of each severity and state, at most `COUNT_MAX` of each; cheap however
    /// many there are.
    async fn finding_counts(&self) -> Result<Vec<FindingCount>>;
}

/// A finding to be stored, unless it is known.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// What makes it the same finding again.
    pub fingerprint: [u8; 32],
    /// Type.
    pub kind: String,
    /// How bad it is.
    pub severity: RiskLevel,
    /// What to see to first, 0 to 100; `None`: what its severity stands for.
    pub priority: Option<f64>,
    /// How sure it is, 0 to 1.
    pub confidence: Option<f64>,
    /// Category.
    pub category: String,
    /// In words.
    pub title: String,
    /// Where.
    pub location: String,
    /// The known vulnerability that it is.
    pub cve: Option<String>,
    /// It is exploited in the wild.
    pub kev: bool,
    /// What shows it.
    pub evidence: Value,
    /// The kind of agent that found it.
    pub discovered_by: &'static str,
}

impl NewFinding {
    /// What to see to first. The scores are ten times the middle of what CVSS calls by the names of our
    /// severities; the migration that brought priorities has the same.
    pub fn priority(&self) -> f64 {
        self.priority.unwrap_or(match self.severity {
            RiskLevel::Critical => 95.0,
            RiskLevel::High => 80.0,
            RiskLevel::Medium => 55.0,
            RiskLevel::Low => 25.0,
            RiskLevel::Info => 0.0,
        })
    }
}

/// A decision about a finding.
#[derive(Debug, Clone)]
pub struct NewDecision {
    /// What is decided.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// Who decides.
    pub by: String,
    /// How long it holds; `None`: for good.
    pub until: Option<DateTime<Utc>>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Which findings.
#[derive(Debug, Clone, Default)]
pub struct FindingQuery {
    /// At most so many.
    pub limit: u32,
    /// Before this one; after it, when the oldest come first.
    pub before: Option<Uuid>,
    /// The priority of that one, by which to find one's place when they come by priority.
    pub before_priority: Option<f64>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// What to see to first comes first; of the same priority, the newest. Without the one above.
    pub by_priority: bool,
    /// Of this target (normalised key, or as named).
    pub target: Option<String>,
    /// Of this record.
    pub record_id: Option<Uuid>,
    /// Of the records of this group.
    pub group: Option<String>,
    /// Of this severity.
    pub severity: Option<RiskLevel>,
    /// Of this severity or worse.
    pub min_severity: Option<RiskLevel>,
    /// Of this type.
    pub kind: Option<String>,
    /// Of this category.
    pub category: Option<String>,
    /// Of this known vulnerability.
    pub cve: Option<String>,
    /// Only what is exploited in the wild.
    pub kev: bool,
    /// In this state.
    pub status: Option<String>,
    /// First seen at this time or later.
    pub since: Option<DateTime<Utc>>,
}

/// One page of findings.
#[derive(Debug, Clone)]
pub struct FindingPage {
    /// Its findings.
    pub items: Vec<Finding>,
    /// The id to go on after; `None` on the last page.
    pub next: Option<Uuid>,
    /// The priority to go on after, when they come by it.
    pub next_priority: Option<f64>,
}

/// How many findings there are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingCount {
    /// Severity.
    pub severity: RiskLevel,
    /// State.
    pub status: &'static str,
    /// So many.
    pub count: u64,
}
