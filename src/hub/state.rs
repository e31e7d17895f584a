use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use uuid::Uuid;

use super::access::{Access, Identity, LocalToken};
use super::clock::Clock;
use super::gate::Gate;
use super::guard::Guard;
use super::retention::Keep;
use super::store::{NewEvent, Store};
use super::tls::{Tls, TlsError};
use super::webhooks::Webhook;
use crate::api::{AuditEntry, WorkKind};
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
    /// How long what is kept.
    pub keep: Keep,
    /// Who is told of events.
    pub webhooks: Vec<Webhook>,
}

/// How long after a result the next is due, when the fleet file does not say.
const fn rescan_default(kind: Option<WorkKind>) -> Duration {
    const DAY: u64 = 24 * 3600;
    let days = match kind {
        Some(WorkKind::KumoSpider) => 182,
        Some(WorkKind::SuzuEnum) => 30,
        Some(WorkKind::RyuAssessment) => 7,
        _ => 1,
    };
    Duration::from_secs(days * DAY)
}

impl Live {
    /// How long after a scan of this kind the next is due.
    pub fn rescan_after(&self, kind: Option<WorkKind>) -> Duration {
        kind.and_then(|kind| self.rescan.get(&kind))
            .copied()
            .unwrap_or(rescan_default(kind))
    }
}

impl Default for Live {
    fn default() -> Self {
        let settings = crate::fleet::HubSettings::default();
        Self {
            scope: Scope::default(),
            lease: settings.lease.0,
            rescan: BTreeMap::new(),
            keep: Keep::from(&settings),
            webhooks: Vec::new(),
        }
    }
}

/// What every route works with.
pub struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) gate: Gate,
    pub(super) clock: Clock,
    pub(super) guard: Guard,
    /// The token of the agents of this host, where the hub keeps one.
    pub(super) local: Option<LocalToken>,
    pub(super) tls: Option<Tls>,
    pub(super) started_at: DateTime<Utc>,
    /// Whoever waits for something ends the wait when the hub stops.
    pub(super) stopping: CancellationToken,
    live: watch::Sender<Arc<Live>>,
}

impl Hub {
    /// A hub over this store.
    pub(super) fn new(store: Arc<dyn Store>, live: Live, access: Access, clock: Clock) -> Self {
        Self {
            store,
            gate: Gate::default(),
            started_at: clock.now(),
            clock,
            guard: Guard::new(access),
            local: None,
            tls: None,
            stopping: CancellationToken::new(),
            live: watch::Sender::new(Arc::new(live)),
        }
    }

    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    /// Puts other settings in force; requests that are under way finish with the old ones.
    pub fn set_live(&self, live: Live) {
        self.live.send_replace(Arc::new(live));
    }

    /// Changes when other settings are in force.
    pub(super) fn live_changes(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// Reads the certificate again, where there is one; a bad one is refused, and the old one stays.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), Tls::reload)
    }

    /// Notes what an operator did, how it was before, and how it is now; what was done is not undone
    /// when it cannot be noted.
    pub(super) async fn audit(
        &self,
        identity: &Identity,
        action: &str,
        object: impl Into<String>,
        old: Option<Value>,
        new: Option<Value>,
    ) {
        let entry = AuditEntry {
            id: Uuid::now_v7(),
            time: self.clock.now(),
            who: identity.name(),
            role: identity.role(),
            peer: identity.place(),
            action: action.to_owned(),
            object: object.into(),
            old,
            new,
            request_id: identity.request_id,
        };
        let (who, object) = (&entry.who, &entry.object);
        info!(
            EVENT = "audit",
            who,
            action,
            object,
            peer = entry.peer,
            "an operator's change"
        );
        if let Err(problem) = self.store.add_audit(entry).await {
            error!(%problem, action, "a change was not noted in the audit trail");
        }
    }

    /// Records an event; the request that it belongs to does not fail with it.
    pub(super) async fn record_event(&self, event: NewEvent) {
        let kind = event.kind;
        if let Err(problem) = self.store.add_event(event, self.clock.now()).await {
            error!(%problem, kind, "an event was not recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_time() {
        let days = |kind| Live::default().rescan_after(Some(kind)).as_secs() / 86_400;
        let all = WorkKind::ALL.map(days);
        assert_eq!(all, [1, 1, 1, 182, 30, 7]);
        assert_eq!(Live::default().rescan_after(None).as_secs(), 86_400);
    }
}
