//! What was: changes and events, who is told of them, and how long all of it is kept.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::{NewEvent, Page, Result, Told};
use crate::api::{Change, Event};

/// Which changes.
#[derive(Debug, Clone, Default)]
pub struct ChangeQuery {
    /// At most so many.
    pub limit: u32,
    /// Before this one; after it, when the oldest come first.
    pub before: Option<Uuid>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// Of this target (normalised key, or as scanned).
    pub target: Option<String>,
    /// Of this record.
    pub record_id: Option<Uuid>,
    /// Of this type.
    pub kind: Option<String>,
    /// Seen at this time or later.
    pub since: Option<DateTime<Utc>>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// After this number.
    pub after: i64,
    /// Of these types; of all when it is empty.
    pub kinds: Vec<String>,
    /// At most so many.
    pub limit: u32,
}

/// Some events.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// The number that was looked at last; go on after it.
    pub last_seq: i64,
    /// Whether there are events after it.
    pub more: bool,
    /// What was asked for begins after a number that was never given: the numbers are those of an
    /// older database, and the last one of them is `last_seq`.
    pub resync: bool,
}

/// What is forgotten when it is old. (What is known of a path or a technology is one row each, which does
/// not grow in number with time; of a page, form or endpoint as well, but sites have new ones every day,
/// and of a finding, but software has new ones with every version.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Events.
    Events,
    /// Changes.
    Changes,
    /// First answers to submissions that carried a key.
    Answers,
    /// What operators did.
    Audit,
    /// Port scans; the one of each type that saw a record last stays.
    Scans,
    /// Requests of spiders; those of the last run over a record stay.
    Requests,
    /// Assessments; the last of a record stays.
    Assessments,
    /// Runs of spiders and enumerations; the last of each kind over a record stays.
    WebRuns,
    /// Pages that are gone, or that a later run has not seen.
    Pages,
    /// Forms that a later run has not seen.
    Forms,
    /// Endpoints that a later run has not seen.
    Endpoints,
    /// Findings that are fixed and about which nobody decided, and those of targets that are deleted.
    Findings,
    /// Learned paths that were found on one record only; beyond a number of them also younger ones.
    Learned,
}

/// A row in the order of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By number.
    Seq(i64),
    /// By id.
    Id(Uuid),
}

/// What became of rows that were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Removed.
    pub removed: u64,
    /// Old; some of them may have to stay.
    pub old: u64,
    /// The first time of those that are not old.
    pub recent: Option<DateTime<Utc>>,
    /// Go on after this one; `None`: there are no more.
    pub next: Option<Place>,
}

/// How far a webhook is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of the last event that is done.
    pub position: i64,
    /// Since when deliveries fail.
    pub failing_since: Option<DateTime<Utc>>,
    /// Events delivered.
    pub delivered: u64,
    /// Events given up.
    pub given_up: u64,
}

/// The part of a store that this page is about.
#[async_trait]
pub trait History: Send + Sync {
    /// Changes, newest first.
    async fn changes(&self, query: ChangeQuery) -> Result<Page<Change>>;

    /// Events, oldest first. It looks at a bounded number of them, so a page may be empty although
    /// there are more.
    async fn event_page(&self, filter: EventFilter) -> Result<EventPage>;

    /// The number of the last event before this time; 0 when there is none.
    async fn last_seq_before(&self, time: DateTime<Utc>) -> Result<i64>;

    /// Changes whenever an event was committed, here or by another hub.
    fn events_added(&self) -> watch::Receiver<()>;

    /// Each event that is committed here.
    fn events_told(&self) -> broadcast::Receiver<Told>;

    /// Looks at so many rows after this place, and removes those that are older than this and need not
    /// stay ([`Kept`]). Not every row is younger than the one before: a clock may have been wrong.
    async fn purge(
        &self,
        what: Kept,
        before: DateTime<Utc>,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Purged>;

    /// Forgets agents that were not heard of since this time, but those of these names.
    async fn forget_agents(&self, before: DateTime<Utc>, but: Vec<String>) -> Result<u64>;

    /// Takes a webhook, or keeps it, until then; `None` while another holder has it. One that was
    /// never taken begins with what comes now.
    async fn hold_webhook(
        &self,
        name: String,
        holder: Uuid,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Progress>>;

    /// Every webhook that was ever taken, by name.
    async fn webhooks(&self) -> Result<Vec<(String, Progress)>>;

    /// Notes how far a webhook is, with an event about it. False when another holder has it.
    async fn put_webhook(
        &self,
        name: String,
        holder: Uuid,
        progress: Progress,
        event: Option<NewEvent>,
        now: DateTime<Utc>,
    ) -> Result<bool>;
}
