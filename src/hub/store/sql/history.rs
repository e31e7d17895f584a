//! Changes, events, webhooks and retention, as one part of the store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::dialect::{self, Conn, Pool, failed};
use super::rows::{self, micros};
use super::{SqlStore, changes, daemons, events, webhooks};
use crate::api::Change;
use crate::hub::store::{
    ChangeQuery, EventFilter, EventPage, History, Kept, NewEvent, Page, Progress, Result, Results,
    ResultsPurged, Told,
};

#[async_trait]
impl History for SqlStore {
    async fn changes(&self, query: ChangeQuery) -> Result<Page<Change>> {
        changes::list(&self.read, &query).await
    }

    async fn event_page(&self, filter: EventFilter) -> Result<EventPage> {
        dialect::settle_events(&self.read).await?;
        events::page(&self.read, &filter).await
    }

    async fn last_seq_before(&self, time: DateTime<Utc>) -> Result<i64> {
        dialect::settle_events(&self.read).await?;
        events::last_before(&self.read, time).await
    }

    fn events_added(&self) -> watch::Receiver<()> {
        self.bell.added()
    }

    fn events_told(&self) -> broadcast::Receiver<Told> {
        self.bell.told()
    }

    async fn purge(&self, what: Kept, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        if what == Kept::Events {
            // Where nobody reads events, nobody else numbers them.
            dialect::settle_events(&self.read).await?;
        }
        self.write
            .run(move |c| Box::pin(purge(c, what, before, limit)))
            .await
    }

    async fn purge_results(
        &self,
        what: Results,
        before: DateTime<Utc>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<ResultsPurged> {
        let (old, next) = old_results(&self.read, what, before, after, limit).await?;
        let removed = self
            .write
            .run(move |c| Box::pin(async move { remove_results(c, what, &old).await }))
            .await?;
        Ok(ResultsPurged { removed, next })
    }

    async fn hold_webhook(
        &self,
        name: String,
        holder: Uuid,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Progress>> {
        dialect::settle_events(&self.read).await?;
        self.write
            .run(move |c| {
                Box::pin(async move { webhooks::hold(c, &name, holder, now, until).await })
            })
            .await
    }

    async fn webhooks(&self) -> Result<Vec<(String, Progress)>> {
        webhooks::list(&self.read).await
    }

    async fn put_webhook(
        &self,
        name: String,
        holder: Uuid,
        progress: Progress,
        event: Option<NewEvent>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let held = webhooks::put(c, &name, holder, &progress).await?;
                    if let Some(event) = event.filter(|_| held) {
                        daemons::add_event(c, &event, now).await?;
                    }
                    Ok(held)
                })
            })
            .await
    }
}

/// Events and changes are numbered as they come: only the first ones need to be looked at.
async fn purge(c: &mut Conn, what: Kept, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    let sql = match what {
        Kept::Events => {
            "DELETE FROM events WHERE seq IN (
                 SELECT seq FROM (SELECT seq, timestamp FROM events WHERE seq IS NOT NULL
                                  ORDER BY seq LIMIT $2) AS first
                 WHERE timestamp < $1)"
        }
        Kept::Changes => {
            "DELETE FROM changes WHERE id IN (
                 SELECT id FROM (SELECT id, created_at FROM changes ORDER BY id LIMIT $2) AS first
                 WHERE created_at < $1)"
        }
        Kept::Answers => {
            "DELETE FROM idempotency WHERE (key, route) IN (
                 SELECT key, route FROM idempotency WHERE created_at < $1
                 ORDER BY created_at LIMIT $2)"
        }
    };
    let done = sqlx::query(sql)
        .bind(micros(before))
        .bind(i64::from(limit))
        .execute(c)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected())
}

/// The table that they are in, and whether newer ones took the place of a row of it.
const fn superseded(what: Results) -> (&'static str, &'static str) {
    match what {
        Results::Scans => (
            "nmap",
            "EXISTS (SELECT 1 FROM nmap n
                     WHERE n.record_id = r.record_id AND n.scan_type = r.scan_type
                       AND n.finished_at > r.finished_at)",
        ),
        Results::Requests => (
            "request_metadata",
            "r.run <> (SELECT n.run FROM request_metadata n WHERE n.record_id = r.record_id
                       ORDER BY n.id DESC LIMIT 1)",
        ),
        Results::Assessments => (
            "ryu_assessment",
            "EXISTS (SELECT 1 FROM ryu_assessment n WHERE n.record_id = r.record_id AND n.id > r.id)",
        ),
    }
}

/// Ids of those that may go, and where to go on.
async fn old_results(
    pool: &Pool,
    what: Results,
    before: DateTime<Utc>,
    after: Option<Uuid>,
    limit: u32,
) -> Result<(Vec<Uuid>, Option<Uuid>)> {
    let (table, newer) = superseded(what);
    let sql = format!(
        "SELECT r.id, r.created_at,
                CASE WHEN {newer} THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS newer
         FROM {table} r WHERE r.id > $1 ORDER BY r.id LIMIT $2"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(after.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    let mut old = Vec::new();
    let mut last = None;
    for row in &rows {
        if rows::time(rows::get(row, "created_at")?)? >= before {
            return Ok((old, None));
        }
        let id = rows::get(row, "id")?;
        if rows::get::<i64>(row, "newer")? == 1 {
            old.push(id);
        }
        last = Some(id);
    }
    Ok((old, last))
}

/// What has a newer one has it still: results are never removed but here, from the oldest on.
async fn remove_results(c: &mut Conn, what: Results, ids: &[Uuid]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let places: Vec<_> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let (table, _) = superseded(what);
    let sql = format!("DELETE FROM {table} WHERE id IN ({})", places.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(*id);
    }
    let done = query.execute(c).await.map_err(failed)?;
    Ok(done.rows_affected())
}
