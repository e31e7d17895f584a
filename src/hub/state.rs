use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::error;

use super::clock::Clock;
use super::gate::Gate;
use super::guard::Access;
use super::store::{NewEvent, Store};
use crate::api::WorkKind;
use crate::fleet::Scope;

/// What a reload can change.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What may be touched.
    pub scope: Scope,
    /// How long a lease lasts when the caller names no time.
    pub lease: Duration,
    /// How long after a scan of this kind the next is due, where the fleet file says so.
    pub rescan: BTreeMap<WorkKind, Duration>,
}

/// When the fleet file does not say how long after a scan the next is due.
const RESCAN_AFTER: Duration = Duration::from_secs(24 * 3600);

impl Live {
    /// How long after a scan of this kind the next is due.
    pub fn rescan_after(&self, kind: Option<WorkKind>) -> Duration {
        kind.and_then(|kind| self.rescan.get(&kind))
            .copied()
            .unwrap_or(RESCAN_AFTER)
    }
}

impl Default for Live {
    fn default() -> Self {
        let settings = crate::fleet::HubSettings::default();
        Self {
            scope: Scope::default(),
            lease: settings.lease.0,
            rescan: BTreeMap::new(),
        }
    }
}

/// What every route works with.
pub struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) gate: Gate,
    pub(super) clock: Clock,
    pub(super) access: Access,
    pub(super) started_at: DateTime<Utc>,
    live: RwLock<Arc<Live>>,
}

impl Hub {
    /// A hub over this store.
    pub(super) fn new(store: Arc<dyn Store>, live: Live, access: Access, clock: Clock) -> Self {
        Self {
            store,
            gate: Gate::default(),
            started_at: clock.now(),
            clock,
            access,
            live: RwLock::new(Arc::new(live)),
        }
    }

    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        // A panic elsewhere leaves the old or the new value, both of which are whole.
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&live)
    }

    /// Puts other settings in force; requests that are under way finish with the old ones.
    pub fn set_live(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Records an event; the request that it belongs to does not fail with it.
    pub(super) async fn record_event(&self, event: NewEvent) {
        let kind = event.kind;
        if let Err(problem) = self.store.add_event(event, self.clock.now()).await {
            error!(%problem, kind, "an event was not recorded");
        }
    }
}
