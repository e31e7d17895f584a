//! What is old goes, a little at a time, so that no submission waits for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::info;

use super::state::Hub;
use super::store::{Kept, Place, Purged, StoreError};
use crate::fleet::HubSettings;

/// Rows that one transaction looks at, at most.
const BATCH: u32 = 500;
/// Results that must stay are looked at again after this time: newer ones may have taken their place.
const ALL_AGAIN: TimeDelta = TimeDelta::days(1);
/// Agents that the fleet file does not name are forgotten when they were silent for so long.
const SILENT: TimeDelta = TimeDelta::days(30);

/// What is walked over from the oldest on, with what has to stay in between.
const RESULTS: [Kept; 8] = [
    Kept::Scans,
    Kept::Requests,
    Kept::Assessments,
    Kept::WebRuns,
    Kept::Pages,
    Kept::Forms,
    Kept::Endpoints,
    Kept::Findings,
];
/// So long that nothing is older.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long what is kept; no time at all is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Events.
    pub events: Duration,
    /// Changes.
    pub changes: Duration,
    /// Scans, what spiders found and assessments, but the last ones of a target, which always stay.
    pub scans: Duration,
    /// Findings that are fixed, and those of targets that are deleted.
    pub findings: Duration,
    /// First answers to submissions that carried a key.
    pub answers: Duration,
    /// The audit trail.
    pub audit: Duration,
}

impl From<&HubSettings> for Keep {
    fn from(settings: &HubSettings) -> Self {
        Self {
            events: settings.keep_events.0,
            changes: settings.keep_changes.0,
            scans: settings.keep_scans.0,
            findings: settings.keep_findings.0,
            answers: settings.keep_answers.0,
            audit: settings.keep_audit.0,
        }
    }
}

/// Removes what is old.
#[derive(Debug, Default)]
pub struct Retention {
    results: BTreeMap<Kept, Walk>,
}

/// A walk over results, from the oldest on.
#[derive(Debug, Clone, Copy)]
struct Walk {
    began: DateTime<Utc>,
    /// All before it was looked at since.
    after: Option<Place>,
}

impl Retention {
    /// Works until nothing old is left, or the hub stops.
    ///
    /// # Errors
    /// The database; what was removed until then is gone.
    pub async fn enforce(&mut self, hub: &Hub) -> Result<(), StoreError> {
        let keep = hub.live().keep;
        let events = purge(hub, Kept::Events, keep.events, &mut None).await?;
        let changes = purge(hub, Kept::Changes, keep.changes, &mut None).await?;
        let answers = purge(hub, Kept::Answers, keep.answers, &mut None).await?;
        let audit = purge(hub, Kept::Audit, keep.audit, &mut None).await?;
        // Beyond a number of them they go, however long results are kept.
        let long = if keep.scans.is_zero() {
            FOR_EVER
        } else {
            keep.scans
        };
        let mut results = purge(hub, Kept::Learned, long, &mut None).await?;
        for what in RESULTS {
            let now = hub.clock.now();
            let walk = Walk {
                began: now,
                after: None,
            };
            let begun = self.results.entry(what).or_insert(walk);
            if now - begun.began >= ALL_AGAIN {
                *begun = walk;
            }
            let keep = match what {
                Kept::Findings => keep.findings,
                _ => keep.scans,
            };
            results += purge(hub, what, keep, &mut begun.after).await?;
        }
        let but = hub.live().agents.keys().cloned().collect();
        let silent = hub.clock.now() - SILENT;
        let agents = hub.store.forget_agents(silent, but).await?;
        if agents > 0 {
            info!(agents, "agents that were silent for a month are forgotten");
        }
        if events + changes + answers + audit + results > 0 {
            info!(
                events,
                changes, answers, audit, results, "what was old is gone"
            );
        }
        Ok(())
    }
}

/// Goes on after a place, and leaves there how far it came.
async fn purge(
    hub: &Hub,
    what: Kept,
    keep: Duration,
    after: &mut Option<Place>,
) -> Result<u64, StoreError> {
    let keep = TimeDelta::from_std(keep).ok().filter(|k| !k.is_zero());
    let now = hub.clock.now();
    let Some(before) = keep.and_then(|keep| now.checked_sub_signed(keep)) else {
        return Ok(0);
    };
    let mut removed = 0;
    loop {
        let start = Instant::now();
        let done = hub.store.purge(what, before, *after, BATCH).await?;
        removed += done.removed;
        if is_recent(&done, now) {
            return Ok(removed);
        }
        if let Some(next) = done.next {
            *after = Some(next);
        } else {
            return Ok(removed);
        }
        // Half of the time is that of others.
        tokio::select! {
            () = tokio::time::sleep(start.elapsed()) => {}
            () = hub.stopping.cancelled() => return Ok(removed),
        }
    }
}

/// Whether nothing old is to be expected after these. What seems to come from the future says nothing
/// of what came after it: a clock was wrong.
fn is_recent(done: &Purged, now: DateTime<Utc>) -> bool {
    done.old == 0 && done.recent.is_some_and(|first| first <= now)
}
