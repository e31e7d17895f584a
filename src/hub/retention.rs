//! What is old goes, a little at a time, so that no submission waits for it.

use std::time::Duration;

use chrono::TimeDelta;
use tracing::info;
use uuid::Uuid;

use super::state::Hub;
use super::store::{Kept, Results, StoreError};
use crate::fleet::HubSettings;

/// Rows that one transaction removes, at most.
const BATCH: u32 = 500;
/// Results of each kind that one pass looks at, at most: the last ones stay, however old, so looking
/// begins where the pass before ended.
const RESULTS_A_PASS: u32 = 50_000;

/// How long what is kept; no time at all is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Events.
    pub events: Duration,
    /// Changes.
    pub changes: Duration,
    /// Scans, requests of spiders and assessments, but the last ones of a target, which always stay.
    pub scans: Duration,
    /// First answers to submissions that carried a key.
    pub answers: Duration,
}

impl From<&HubSettings> for Keep {
    fn from(settings: &HubSettings) -> Self {
        Self {
            events: settings.keep_events.0,
            changes: settings.keep_changes.0,
            scans: settings.keep_scans.0,
            answers: settings.keep_answers.0,
        }
    }
}

/// Removes what is old.
#[derive(Debug, Default)]
pub struct Retention {
    after: [Option<Uuid>; Results::ALL.len()],
}

impl Retention {
    /// One pass.
    ///
    /// # Errors
    /// The database; what was removed until then is gone.
    pub async fn enforce(&mut self, hub: &Hub) -> Result<(), StoreError> {
        let keep = hub.live().keep;
        let events = purge(hub, Kept::Events, keep.events).await?;
        let changes = purge(hub, Kept::Changes, keep.changes).await?;
        let answers = purge(hub, Kept::Answers, keep.answers).await?;
        let mut results = 0;
        for what in Results::ALL {
            results += self.purge_results(hub, what, keep.scans).await?;
        }
        if events + changes + answers + results > 0 {
            info!(events, changes, answers, results, "what was old is gone");
        }
        Ok(())
    }

    async fn purge_results(
        &mut self,
        hub: &Hub,
        what: Results,
        keep: Duration,
    ) -> Result<u64, StoreError> {
        let Some(before) = before(hub, keep) else {
            return Ok(0);
        };
        let after = &mut self.after[what as usize];
        let mut removed = 0;
        for _ in 0..RESULTS_A_PASS / BATCH {
            let done = hub.store.purge_results(what, before, *after, BATCH).await?;
            removed += done.removed;
            *after = done.next;
            if done.next.is_none() {
                break;
            }
        }
        Ok(removed)
    }
}

async fn purge(hub: &Hub, what: Kept, keep: Duration) -> Result<u64, StoreError> {
    let Some(before) = before(hub, keep) else {
        return Ok(0);
    };
    let mut removed = 0;
    loop {
        let some = hub.store.purge(what, before, BATCH).await?;
        removed += some;
        if some < u64::from(BATCH) {
            return Ok(removed);
        }
    }
}

fn before(hub: &Hub, keep: Duration) -> Option<chrono::DateTime<chrono::Utc>> {
    let keep = TimeDelta::from_std(keep).ok().filter(|k| !k.is_zero())?;
    hub.clock.now().checked_sub_signed(keep)
}
