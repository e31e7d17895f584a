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
        let (remembered, wish, within) = (self.set_aside.clone(), claim.clone(), reach.clone());
        let due = self.write.run(move |c| {
            Box::pin(async move {
                let set_aside = remembered.get(c).await?;
                networks::claim(c, &wish, &within, share, &set_aside).await
            })
        });
        let mut claimed = due.await?;
        let found = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        let rest = Claim {
            limit: claim.limit.saturating_sub(found),
            ..claim
        };
        if !networks::can_bring(&rest) {
            return Ok(claimed);
        }
        let remembered = self.set_aside.clone();
        let brought = self.write.run(move |c| {
            Box::pin(async move {
                let set_aside = remembered.get(c).await?;
                networks::bring(c, &rest, &reach, &set_aside).await
            })
        });
        match brought.await {
            Ok(more) => claimed.extend(more),
            // What is leased must reach who leased it.
            Err(problem) if !claimed.is_empty() => {
                tracing::warn!(%problem, "networks brought nothing");
            }
            Err(problem) => return Err(problem),
        }
        Ok(claimed)
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
