//! Changes, events, webhooks and retention, as one part of the store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::dialect;
use super::{SqlStore, changes, daemons, events, retention, webhooks};
use crate::api::Change;
use crate::hub::store::{
    ChangeQuery, EventFilter, EventPage, History, Kept, NewEvent, Page, Place, Progress, Purged,
    Result, Told,
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

    async fn purge(
        &self,
        what: Kept,
        before: DateTime<Utc>,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Purged> {
        if what == Kept::Events {
            // Where nobody reads events, nobody else numbers them.
            dialect::settle_events(&self.read).await?;
        }
        retention::purge(self, what, before, after, limit).await
    }

    async fn forget_agents(&self, before: DateTime<Utc>, but: Vec<String>) -> Result<u64> {
        self.write
            .run(move |c| Box::pin(async move { daemons::forget(c, before, &but).await }))
            .await
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
