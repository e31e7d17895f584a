//! What spiders, enumerations and assessments bring, and what is said of them.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Answer, Attempt, Idempotency, NewFinding, Page, Record, Render, Result, RunFacts};
use crate::api::{
    Assessment, Finding, LookedFor, Progress, RiskLevel, Scan, SpiderEndpoint, SpiderForm,
    SpiderPage, Technology, WebRun, WebSigns,
};

/// The part of a store that keeps results other than port scans. Each result is taken in one
/// transaction, exactly once for each idempotency key.
#[async_trait]
pub trait ResultStore: Send + Sync {
    /// Takes what a spider found.
    async fn submit_spider(
        &self,
        result: Delivered<Spider>,
        key: Option<Idempotency>,
        render: Render<Spidered>,
    ) -> Result<Answer>;

    /// Takes the paths that an enumeration found.
    async fn submit_enumeration(
        &self,
        result: Delivered<Enumeration>,
        key: Option<Idempotency>,
        render: Render<Enumerated>,
    ) -> Result<Answer>;

    /// Takes an assessment.
    async fn submit_assessment(
        &self,
        result: Delivered<NewAssessment>,
        key: Option<Idempotency>,
        render: Render<Assessed>,
    ) -> Result<Answer>;

    /// Notes what an agent does now.
    async fn set_progress(
        &self,
        agent: String,
        update: ProgressUpdate,
        key: Option<Idempotency>,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Answer>;

    /// What an agent does now; `None` when it never said.
    async fn progress(&self, agent: &str) -> Result<Option<Progress>>;

    /// All that is known of a record, the newest of each kind.
    async fn summary(&self, record: Uuid) -> Result<Option<Summary>>;

    /// Assessments, newest first.
    async fn assessments(&self, query: AssessmentQuery) -> Result<Page<Assessment>>;
}

/// A result, and what is said of every result.
#[derive(Debug, Clone)]
pub struct Delivered<T> {
    /// Identity of the submission.
    pub id: Uuid,
    /// The record.
    pub record_id: Uuid,
    /// Its name, as the agent calls it.
    pub target: String,
    /// Who sent it: `NAME@HOST`, else address and personality.
    pub caller: String,
    /// `NAME@HOST`, when known.
    pub agent: Option<String>,
    /// Due again so long after success.
    pub rescan_after: Duration,
    /// The time.
    pub now: DateTime<Utc>,
    /// A result, or an attempt that did not become one.
    pub outcome: std::result::Result<T, Attempt>,
}

/// What a spider found, or a part of it: results of the same run belong together.
#[derive(Debug, Clone, Default)]
pub struct Spider {
    /// The run: the same request of the same run is stored once.
    pub facts: RunFacts,
    /// Another result of the run follows: the work is not done.
    pub partial: bool,
    /// The requests that it made.
    pub requests: Vec<Request>,
    /// Secrets in the submission, repeated ones counted.
    pub secrets: usize,
    /// What somebody should see to.
    pub findings: Vec<NewFinding>,
    /// Everything that the target runs; `None` when the spider does not look for it.
    pub technologies: Option<Vec<Technology>>,
    /// Pages, each URL once; `None` when the spider does not tell of them.
    pub pages: Option<Vec<SpiderPage>>,
    /// Forms; `None` as for pages.
    pub forms: Option<Vec<SpiderForm>>,
    /// Endpoints; `None` as for pages.
    pub endpoints: Option<Vec<SpiderEndpoint>>,
}

/// A request and what came of it.
#[derive(Debug, Clone)]
pub struct Request {
    /// URL.
    pub target_url: String,
    /// Method.
    pub method: String,
    /// Headers, when sent.
    pub request_headers: Option<Value>,
    /// Status; 0 when there was no connection.
    pub response_status: u16,
    /// Headers of the answer, when sent.
    pub response_headers: Option<Value>,
    /// Milliseconds.
    pub response_time_ms: f64,
    /// How the spider called itself.
    pub user_agent: String,
    /// What its scripts showed.
    pub javascript: Option<Value>,
    /// What the spider saw in it besides its headers, when it says.
    pub signs: Option<WebSigns>,
    /// Number of endpoints that its scripts name.
    pub endpoints: usize,
}

/// What became of a spider's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spidered {
    /// Stored.
    Stored {
        /// Requests that are new.
        requests: usize,
        /// Secrets in the submission.
        secrets: usize,
    },
    /// Counted as an attempt.
    Attempt,
}

/// Paths that an enumeration found, each once.
#[derive(Debug, Clone, Default)]
pub struct Enumeration {
    /// The paths.
    pub paths: Vec<FoundPath>,
    /// The content management system.
    pub cms: Option<Cms>,
    /// The tool.
    pub tool: String,
    /// The list of words.
    pub wordlist: String,
    /// The run as a whole.
    pub facts: RunFacts,
}

/// A path.
#[derive(Debug, Clone, Default)]
pub struct FoundPath {
    /// The path.
    pub path: String,
    /// Status of the answer, when known.
    pub status: Option<u16>,
    /// Bytes.
    pub size: Option<i64>,
    /// Type of the content.
    pub content_type: Option<String>,
    /// Milliseconds.
    pub response_time_ms: Option<f64>,
    /// How interesting it is, 0 to 1.
    pub priority_score: f64,
    /// Why.
    pub priority_factors: Option<Value>,
}

/// A content management system.
#[derive(Debug, Clone)]
pub struct Cms {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// What became of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enumerated {
    /// Stored: so many paths, new or seen again.
    Stored(usize),
    /// Counted as an attempt.
    Attempt,
}

/// An assessment to be stored.
#[derive(Debug, Clone)]
pub struct NewAssessment {
    /// The risk.
    pub risk_level: RiskLevel,
    /// In a sentence.
    pub threat_summary: Option<String>,
    /// What is wrong.
    pub vulnerabilities: Value,
    /// How it could be attacked.
    pub attack_vectors: Value,
    /// What to mend first.
    pub remediation_priorities: Value,
    /// At length.
    pub narrative: Option<String>,
    /// All that it names as findings: what it named before and names no more is fixed. `None`: it does not
    /// tell.
    pub findings: Option<Vec<NewFinding>>,
    /// The lease it was made under.
    pub lease_id: Option<Uuid>,
    /// What it looked for; `None`: all there is.
    pub looked_for: Option<LookedFor>,
}

/// What became of an assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessed {
    /// Stored.
    Stored,
    /// One that was leased later came before it: what it rests on is old.
    Late,
    /// Counted as an attempt.
    Attempt,
}

/// What an agent says that it does. What is `None` keeps its value; all else is set.
#[derive(Debug, Clone, Default)]
pub struct ProgressUpdate {
    /// All fields; the three below are not looked at in it.
    pub progress: Progress,
    /// `idle`, `enumerating`, …
    pub status: Option<String>,
    /// Number of the cycle.
    pub cycle_number: Option<i64>,
    /// Paths found.
    pub paths_found: Option<i64>,
}

/// All that is known of a record.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The record.
    pub record: Record,
    /// Its newest port scans.
    pub scans: Vec<Scan>,
    /// The newest requests.
    pub requests: Vec<StoredRequest>,
    /// The newest assessment.
    pub assessment: Option<Assessment>,
    /// What it runs.
    pub technologies: Vec<Technology>,
    /// The paths of highest priority.
    pub paths: Vec<StoredPath>,
    /// The newest findings.
    pub findings: Vec<Finding>,
    /// The newest runs of spiders and enumerations.
    pub web_runs: Vec<WebRun>,
    /// How many of each there are.
    pub counts: SummaryCounts,
}

/// How many results a record has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SummaryCounts {
    /// Port scans.
    pub scans: u64,
    /// Requests.
    pub requests: u64,
    /// Technologies.
    pub technologies: u64,
    /// Paths.
    pub paths: u64,
    /// Exposed secrets.
    pub secrets: u64,
    /// Endpoints in scripts.
    pub endpoints: u64,
}

/// A stored request.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRequest {
    /// Identity.
    pub id: Uuid,
    /// The request.
    pub target_url: String,
    /// Its method.
    pub method: String,
    /// Status; 0 when there was no connection.
    pub response_status: u16,
    /// Milliseconds.
    pub response_time_ms: f64,
    /// How the spider called itself.
    pub user_agent: String,
    /// Headers, when sent.
    pub request_headers: Option<Value>,
    /// Headers of the answer, when sent.
    pub response_headers: Option<Value>,
    /// What its scripts showed.
    pub javascript: Option<Value>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

/// A stored path.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPath {
    /// Identity.
    pub id: Uuid,
    /// The path.
    pub path: String,
    /// Status, when known.
    pub status: Option<i64>,
    /// Bytes.
    pub size: Option<i64>,
    /// Type of the content.
    pub content_type: Option<String>,
    /// Content management system.
    pub cms: Option<String>,
    /// How interesting it is.
    pub priority_score: f64,
    /// Why.
    pub priority_factors: Option<Value>,
    /// The tool that found it.
    pub tool: String,
    /// First seen.
    pub discovered_at: DateTime<Utc>,
    /// Last seen.
    pub last_seen_at: DateTime<Utc>,
}

/// Which assessments.
#[derive(Debug, Clone, Default)]
pub struct AssessmentQuery {
    /// At most so many.
    pub limit: u32,
    /// Before this one; after it, when the oldest come first.
    pub before: Option<Uuid>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// Of this target (normalised key, or as named).
    pub target: Option<String>,
    /// Of this record.
    pub record_id: Option<Uuid>,
    /// Of this risk.
    pub risk_level: Option<RiskLevel>,
}
