//! The statements that both databases take, and the [`Store`] made of them.
//!
//! Each database compiles these files as a module of its own, beside its `dialect` (types, locks,
//! errors) and its `writer` (how a change gets its transaction). What is written here keeps to what
//! SQLite and PostgreSQL read alike: `$1` for arguments, `bigint` for every number, microseconds for
//! every time, JSON as text, `ON CONFLICT`, `RETURNING`, `UPDATE … FROM`; whatever they do not read
//! alike is a constant or a function of the dialect.

pub(super) mod access;
mod assessable;
pub(super) mod assessments;
pub(super) mod changes;
mod daemons;
mod enumerations;
mod events;
pub(super) mod findings;
mod history;
mod idempotency;
mod import;
pub(super) mod listing;
mod networks;
mod ops;
mod place;
mod progress;
mod results;
mod retention;
pub(super) mod rows;
mod runs;
mod scale;
mod scan_write;
pub(super) mod scans;
pub(super) mod set_aside;
mod shares;
mod spiders;
mod summary;
pub(super) mod target_list;
mod targets;
pub(super) mod web;
mod webhooks;
pub(super) mod work;

pub(super) use set_aside::Remembered;
pub(super) use shares::Shares;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::dialect::{self, Pool};
use super::writer::Writer;
use crate::api::{Event, Heartbeat, LeaseRenewal, Scan, Target};
use crate::hub::store::bell::Bell;
use crate::hub::store::{
    Admit, Answer, Claim, Claimed, Counts, Created, Daemon, EventQuery, Idempotency, NewEvent,
    NewRecord, Page, PutOff, Record, Render, RenderScan, Result, ScanQuery, Store, Submission,
    TargetPage, TargetQuery,
};

/// A database that is open.
#[derive(Debug)]
pub struct SqlStore {
    /// For what only reads.
    pub(super) read: Pool,
    /// For what writes.
    pub(super) write: Writer,
    /// For who waits for events.
    pub(super) bell: Bell,
    /// What networks have a right to.
    pub(super) shares: Shares,
    /// Networks that are set aside.
    pub(super) set_aside: Remembered,
}

#[async_trait]
impl Store for SqlStore {
    async fn create_records(
        &self,
        records: Vec<NewRecord>,
        key: Option<Idempotency>,
        now: DateTime<Utc>,
        render: Render<Created>,
    ) -> Result<Answer> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        Ok(render(&targets::create(c, &records, now).await?))
                    })
                    .await
                })
            })
            .await
    }

    async fn record(&self, id: Uuid) -> Result<Option<Record>> {
        targets::record(&self.read, id).await
    }

    async fn target(&self, id: Uuid) -> Result<Option<Target>> {
        targets::target(&self.read, id).await
    }

    async fn targets(&self, query: TargetQuery) -> Result<TargetPage> {
        target_list::list(&self.read, &query).await
    }

    async fn delete_target(&self, id: Uuid) -> Result<bool> {
        let remembered = self.set_aside.clone();
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let gone = targets::delete(c, id).await;
                    remembered.forget();
                    gone
                })
            })
            .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let remembered = self.set_aside.clone();
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let set_aside = remembered.get(c).await?;
                    work::claim(c, &claim, &set_aside).await
                })
            })
            .await
    }

    async fn resume(&self, claim: Claim, leases: Vec<Uuid>) -> Result<Vec<Claimed>> {
        self.write
            .run(move |c| Box::pin(async move { runs::resume(c, &claim, &leases).await }))
            .await
    }

    async fn put_off(&self, items: Vec<PutOff>, now: DateTime<Utc>) -> Result<()> {
        self.write
            .run(move |c| Box::pin(async move { work::put_off(c, &items, now).await }))
            .await
    }

    async fn release(&self, lease: Uuid, now: DateTime<Utc>) -> Result<bool> {
        self.write
            .run(move |c| Box::pin(work::release(c, lease, now)))
            .await
    }

    async fn submit_scan(
        &self,
        submission: Submission,
        key: Option<Idempotency>,
        admit: Admit,
        render: RenderScan,
    ) -> Result<Answer> {
        if submission.run.is_some_and(|run| run.part.is_some()) {
            return self
                .write
                .run(move |c| Box::pin(runs::take(c, submission, key, admit, render)))
                .await;
        }
        // Here, where several can be at it at once.
        let columns = scan_write::Columns::of(&submission)?;
        self.write
            .run_tidy(move |c| Box::pin(scans::submit(c, submission, columns, key, admit, render)))
            .await
    }

    async fn interrupt_runs(&self, now: DateTime<Utc>) -> Result<u64> {
        self.write
            .run(move |c| Box::pin(runs::interrupt(c, now)))
            .await
    }

    async fn scan(&self, id: Uuid) -> Result<Option<Scan>> {
        scans::get(&self.read, id).await
    }

    async fn scans(&self, query: ScanQuery) -> Result<Page<Scan>> {
        scans::list(&self.read, &query).await
    }

    async fn heartbeat(
        &self,
        personality: String,
        heartbeat: Heartbeat,
        now: DateTime<Utc>,
    ) -> Result<Vec<LeaseRenewal>> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    daemons::heartbeat(c, &personality, &heartbeat, now).await?;
                    let owner = format!("{}@{}", heartbeat.agent, heartbeat.host);
                    work::renew(c, &heartbeat.leases, &owner, now).await
                })
            })
            .await
    }

    async fn daemons(&self) -> Result<Vec<Daemon>> {
        daemons::list(&self.read).await
    }

    async fn add_event(&self, event: NewEvent, now: DateTime<Utc>) -> Result<()> {
        self.write
            .run(move |c| Box::pin(async move { daemons::add_event(c, &event, now).await }))
            .await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>> {
        dialect::settle_events(&self.read).await?;
        daemons::events(&self.read, &query).await
    }

    async fn counts(&self, now: DateTime<Utc>) -> Result<Counts> {
        daemons::counts(&self.read, now).await
    }

    async fn check(&self) -> Result<()> {
        sqlx::query("SELECT 1 FROM work LIMIT 1")
            .fetch_optional(&self.read)
            .await
            .map_err(dialect::failed)?;
        self.write.run(|_| Box::pin(async { Ok(()) })).await
    }

    async fn close(&self) {
        // Readers first: the log can be emptied only when nobody reads from it.
        self.read.close().await;
        self.write.close().await;
    }
}
