//! [`Targets`] over the statements.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SqlStore, import, networks, targets};
use crate::api::Target;
use crate::hub::store::{Claim, Claimed, NewRecord, Reach, Result, TargetChange, Targets};

#[async_trait]
impl Targets for SqlStore {
    async fn import(&self, records: Vec<NewRecord>, now: DateTime<Utc>) -> Result<u64> {
        self.write
            .run(move |c| Box::pin(async move { import::add(c, &records, now).await }))
            .await
    }

    async fn claim_expanding(&self, claim: Claim, reach: Reach) -> Result<Vec<Claimed>> {
        let share = self.shares.of(claim.kind, claim.limit);
        let remembered = self.set_aside.clone();
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let set_aside = remembered.get(c).await?;
                    networks::claim(c, &claim, &reach, share, &set_aside).await
                })
            })
            .await
    }

    async fn change_target(
        &self,
        id: Uuid,
        change: TargetChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Target>> {
        let remembered = self.set_aside.clone();
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let changed = targets::change(c, id, &change, now).await;
                    remembered.forget();
                    changed
                })
            })
            .await
    }

    async fn change_expanded(
        &self,
        network: Uuid,
        after: Option<Uuid>,
        limit: u32,
        change: TargetChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Uuid>> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let some = networks::expanded(c, network, after, limit).await?;
                    for id in &some {
                        targets::change(c, *id, &change, now).await?;
                    }
                    Ok(some.last().copied())
                })
            })
            .await
    }

    async fn delete_expanded(&self, network: Uuid, limit: u32) -> Result<u64> {
        self.write
            .run(move |c| Box::pin(networks::delete_expanded(c, network, limit)))
            .await
    }
}
