//! What the hub keeps, and the only way to it.
//!
//! [`Store`] says in domain terms what the hub needs of a database; each database has a folder with
//! its migrations, its transactions and what it says in its own way; what all say alike is in `sql`,
//! and every one must pass the same contract tests (`contract`). A store
//! knows no HTTP, no scope and no clock: the time is an argument, so that tests need not wait. May
//! depend on `api` only. A change that the store has acknowledged outlives a crash.

mod access;
mod answers;
mod bell;
#[cfg(test)]
pub(super) mod contract;
mod diff;
mod findings;
mod history;
mod open_now;
mod ops;
pub mod postgres;
mod results;
pub mod sqlite;
mod targets;
mod types;
mod web;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::api::{Event, Heartbeat, LeaseRenewal, Scan, Target};
use crate::fleet::Refusal;

pub use access::{AccessStore, NewToken, PageQuery};
pub use answers::Answers;
pub use bell::Told;
pub use findings::{
    FindingCount, FindingPage, FindingQuery, FindingStore, NewDecision, NewFinding,
};
pub use history::{ChangeQuery, EventFilter, EventPage, History, Kept, Place, Progress, Purged};
pub use ops::{COUNT_MAX, Ops, QueueDepth};
pub use results::{
    Assessed, AssessmentQuery, Cms, Delivered, Enumerated, Enumeration, FoundPath, NewAssessment,
    ProgressUpdate, Request, ResultStore, Spider, Spidered, StoredPath, StoredRequest, Summary,
    SummaryCounts,
};
pub use targets::{
    AddressRange, Reach, Spared, TargetChange, TargetPage, TargetQuery, TargetSort, Targets,
    address,
};
pub use types::{
    Answer, Attempt, Claim, Claimed, Counts, Created, Daemon, EventQuery, HostFacts, Idempotency,
    NewChange, NewEvent, NewRecord, NewScan, Page, PutOff, Record, Run, ScanQuery, Submission,
    Submitted,
};
pub use web::{LEARNED_MAX, PATHS_MAX, RunFacts, WebQuery, WebStore};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Trying again later may help: busy, disk full, going away. The text is for the log.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A defect or a damaged database. The text is for the log.
    #[error("the database failed: {0}")]
    Internal(String),
    /// The idempotency key belongs to another body.
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// What this key was for is done, and its answer cannot be given again; the text is the id of
    /// what was made.
    #[error("{0} was made with this idempotency key")]
    MadeBefore(String),
    /// There is no such record.
    #[error("there is no such record")]
    UnknownRecord,
    /// A result of what must not be touched.
    #[error(transparent)]
    Refused(Refusal),
}

/// Result of a store's method.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Makes the answer to a request from what the store did, inside its transaction, so that a
/// repetition of the request gets the very same one.
pub type Render<T> = Box<dyn FnOnce(&T) -> Answer + Send>;

/// The same for a scan, from what became of it and its record.
pub type RenderScan = Box<dyn FnOnce(&Submitted, &Record) -> Answer + Send>;

/// Decides whether a scan may be stored, and fills in what it takes from its record. It runs inside
/// the transaction and must be quick.
pub type Admit = Box<dyn FnOnce(&Record, &mut NewScan) -> std::result::Result<(), Refusal> + Send>;

/// A database.
#[async_trait]
pub trait Store:
    AccessStore
    + Answers
    + FindingStore
    + History
    + Ops
    + ResultStore
    + Targets
    + WebStore
    + Send
    + Sync
{
    /// Adds records, all or none; one whose key is known is left as it is.
    async fn create_records(
        &self,
        records: Vec<NewRecord>,
        key: Option<Idempotency>,
        now: DateTime<Utc>,
        render: Render<Created>,
    ) -> Result<Answer>;

    /// One record.
    async fn record(&self, id: Uuid) -> Result<Option<Record>>;

    /// One target with its work.
    async fn target(&self, id: Uuid) -> Result<Option<Target>>;

    /// Targets that a query finds, in its order. It looks at a bounded number of them, so a page may be
    /// short, or empty, although there are more.
    async fn targets(&self, query: TargetQuery) -> Result<TargetPage>;

    /// Removes a target and its work; its scans stay. False when there is none.
    async fn delete_target(&self, id: Uuid) -> Result<bool>;

    /// Leases due records to a caller: no record is ever leased to two at once.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>>;

    /// Renews leases of this kind that are still the caller's, for as long as the claim says, and gives
    /// their records out once more: to an agent that began anew and goes on where it was. Those that
    /// are not its own, or whose record takes no part any more, are left as they are.
    async fn resume(&self, claim: Claim, leases: Vec<Uuid>) -> Result<Vec<Claimed>>;

    /// Ends leases whose records must not be handed out now, and records why.
    async fn put_off(&self, items: Vec<PutOff>, now: DateTime<Utc>) -> Result<()>;

    /// Ends a lease; its record is due at once. False when there is no such lease.
    async fn release(&self, lease: Uuid, now: DateTime<Utc>) -> Result<bool>;

    /// Takes the result of a scan, exactly once for each idempotency key; or a part of one, which is
    /// shown until the whole one is there.
    async fn submit_scan(
        &self,
        submission: Submission,
        key: Option<Idempotency>,
        admit: Admit,
        render: RenderScan,
    ) -> Result<Answer>;

    /// Says of scans that go on, but whose agents have lost their leases, that they were interrupted.
    /// The number of them.
    async fn interrupt_runs(&self, now: DateTime<Utc>) -> Result<u64>;

    /// One scan.
    async fn scan(&self, id: Uuid) -> Result<Option<Scan>>;

    /// Scans, newest first.
    async fn scans(&self, query: ScanQuery) -> Result<Page<Scan>>;

    /// Notes a heartbeat and renews the leases that it names and that are still its sender's.
    async fn heartbeat(
        &self,
        personality: String,
        heartbeat: Heartbeat,
        now: DateTime<Utc>,
    ) -> Result<Vec<LeaseRenewal>>;

    /// Every agent that ever sent a heartbeat, by name and host.
    async fn daemons(&self) -> Result<Vec<Daemon>>;

    /// Records an event.
    async fn add_event(&self, event: NewEvent, now: DateTime<Utc>) -> Result<()>;

    /// Events, oldest first.
    async fn events(&self, query: EventQuery) -> Result<Vec<Event>>;

    /// How much there is.
    async fn counts(&self, now: DateTime<Utc>) -> Result<Counts>;

    /// Goes the way that work goes: one read, one empty write transaction.
    async fn check(&self) -> Result<()>;

    /// Finishes what is queued and closes the database; later calls fail.
    async fn close(&self);
}
