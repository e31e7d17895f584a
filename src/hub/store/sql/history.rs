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
    ChangeQuery, EventFilter, EventPage, History, Kept, NewEvent, Page, Progress, Result,
    ScansPurged, Told,
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

    async fn purge_scans(
        &self,
        before: DateTime<Utc>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<ScansPurged> {
        let (old, next) = old_scans(&self.read, before, after, limit).await?;
        let removed = self
            .write
            .run(move |c| Box::pin(async move { remove_scans(c, &old).await }))
            .await?;
        Ok(ScansPurged { removed, next })
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

/// Ids of scans that may go, and where to go on.
async fn old_scans(
    pool: &Pool,
    before: DateTime<Utc>,
    after: Option<Uuid>,
    limit: u32,
) -> Result<(Vec<Uuid>, Option<Uuid>)> {
    let rows = sqlx::query(
        "SELECT id, created_at,
                CASE WHEN EXISTS (SELECT 1 FROM nmap n
                                  WHERE n.record_id = nmap.record_id
                                    AND n.scan_type = nmap.scan_type
                                    AND n.created_at > nmap.created_at)
                     THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS newer
         FROM nmap WHERE id > $1 ORDER BY id LIMIT $2",
    )
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

/// What has a newer one has it still: scans are never removed but here, from the oldest on.
async fn remove_scans(c: &mut Conn, ids: &[Uuid]) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let places: Vec<_> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!("DELETE FROM nmap WHERE id IN ({})", places.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(*id);
    }
    let done = query.execute(c).await.map_err(failed)?;
    Ok(done.rows_affected())
}
