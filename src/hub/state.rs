use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use uuid::Uuid;

use super::access::{Access, Identity, LocalToken};
use super::agents::{AgentFacts, Agents};
use super::cached::{Cached, Estimate};
use super::clock::Clock;
use super::config::Database;
use super::gate::Gate;
use super::guard::Guard;
use super::metrics::Metrics;
use super::retention::Keep;
use super::skew::Skew;
use super::store::{AddressRange, NewEvent, Store, StoreError};
use super::tls::{Tls, TlsError};
use super::webhooks::Webhook;
use crate::api::{AuditEntry, WorkKind};
use crate::fleet::{Scope, subtract};
use crate::systemd::Bus;

/// What a reload can change.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What may be touched.
    pub scope: Scope,
    /// How long a lease lasts when the caller names no time.
    pub lease: Duration,
    /// How long after work of this kind was done the next is due, where the fleet file says so.
    pub rescan: BTreeMap<WorkKind, Duration>,
    /// How long what is kept.
    pub keep: Keep,
    /// Who is told of events.
    pub webhooks: Vec<Webhook>,
    /// The agents of the fleet file.
    pub agents: BTreeMap<String, AgentFacts>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Live {
    /// How long after work of this kind was done the next is due.
    pub fn rescan_after(&self, kind: Option<WorkKind>) -> Duration {
        let set = kind.and_then(|kind| self.rescan.get(&kind)).copied();
        set.unwrap_or(match kind {
            Some(WorkKind::KumoSpider) => DAY * 182,
            Some(WorkKind::SuzuEnum) => DAY * 30,
            Some(WorkKind::RyuAssessment) => DAY * 7,
            _ => DAY,
        })
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
            agents: BTreeMap::new(),
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
    pub(super) agents: Agents,
    pub(super) database: Database,
    pub(super) metrics: Metrics,
    pub(super) totals: Totals,
    pub(super) skew: Skew,
    ready: Cached<()>,
    long_work: AtomicUsize,
    in_force: watch::Sender<InForce>,
}

/// The settings, and what follows from them.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) live: Arc<Live>,
    allowed: Arc<[AddressRange]>,
}

impl InForce {
    fn new(live: Live) -> Self {
        Self {
            allowed: allowed(&live.scope).into(),
            live: Arc::new(live),
        }
    }
}

/// The addresses that scope allows by number, in order.
fn allowed(scope: &Scope) -> Vec<AddressRange> {
    // ::/0 does not allow addresses of IPv4, which have their place in it.
    let mapped = "::ffff:0:0/96".parse().ok();
    let mut ranges: Vec<_> = scope
        .networks()
        .into_iter()
        .flat_map(|net| match net {
            IpNet::V4(_) => vec![net],
            IpNet::V6(_) => subtract(net, &mapped),
        })
        .map(AddressRange::of)
        .collect();
    ranges.sort_unstable();
    ranges
}

impl Hub {
    /// A hub over this store, which is this database, with agents on this bus.
    pub(super) fn new(
        store: Arc<dyn Store>,
        live: Live,
        access: Access,
        clock: Clock,
        (database, bus): (Database, Bus),
    ) -> Self {
        Self {
            store,
            agents: Agents::new(bus),
            database,
            metrics: Metrics::default(),
            totals: Totals::default(),
            skew: Skew::default(),
            ready: Cached::new(READY_FOR),
            long_work: AtomicUsize::new(0),
            gate: Gate::default(),
            started_at: clock.now(),
            clock,
            guard: Guard::new(access),
            local: None,
            tls: None,
            stopping: CancellationToken::new(),
            in_force: watch::Sender::new(InForce::new(live)),
        }
    }

    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.in_force.borrow().live)
    }

    /// The addresses that networks may bring, by the settings in force.
    pub(super) fn allowed(&self) -> Arc<[AddressRange]> {
        Arc::clone(&self.in_force.borrow().allowed)
    }

    /// Puts other settings in force; requests that are under way finish with the old ones.
    pub fn set_live(&self, live: Live) {
        self.in_force.send_replace(InForce::new(live));
    }

    /// Changes when other settings are in force.
    pub(super) fn live_changes(&self) -> watch::Receiver<InForce> {
        self.in_force.subscribe()
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

    /// Whether a write goes through now, or did a moment ago.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        self.ready.get(self.store.probe(self.clock.now())).await
    }

    /// Work begins during which nothing can be written; it ends with the value.
    pub(super) fn long_work(&self) -> impl Drop + use<'_> {
        self.long_work.fetch_add(1, Ordering::Relaxed);
        LongWork(self)
    }

    /// Whether the hub does such work.
    pub(super) fn is_at_long_work(&self) -> bool {
        self.long_work.load(Ordering::Relaxed) > 0
    }

    /// Records an event; the request that it belongs to does not fail with it.
    pub(super) async fn record_event(&self, event: NewEvent) {
        let kind = event.kind;
        if let Err(problem) = self.store.add_event(event, self.clock.now()).await {
            error!(%problem, kind, "an event was not recorded");
        }
    }
}

/// Anybody may ask whether the hub is ready, and asking costs a write.
const READY_FOR: Duration = Duration::from_secs(1);
/// Counting all scans is dear.
const TOTALS_FOR: Duration = Duration::from_secs(10);
/// Nobody waits longer for the first count.
const TOTALS_BY: Duration = Duration::from_secs(1);

struct LongWork<'a>(&'a Hub);

impl Drop for LongWork<'_> {
    fn drop(&mut self) {
        self.0.long_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stored scans by type, counted now and then.
#[derive(Debug)]
pub(super) struct Totals(Estimate<Arc<BTreeMap<String, u64>>>);

impl Default for Totals {
    fn default() -> Self {
        Self(Estimate::new(TOTALS_FOR))
    }
}

impl Totals {
    /// They are for who looks on: none is better than late.
    pub(super) async fn get(&self, hub: &Hub) -> Option<Arc<BTreeMap<String, u64>>> {
        let store = Arc::clone(&hub.store);
        let count = async move { store.scan_totals().await.map(Arc::new) };
        self.0.get(count, TOTALS_BY).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::store::address;

    #[test]
    fn what_is_allowed_is_in_order_and_families_stay_apart() {
        let rules = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
        let shown = |allow: &[&str], deny: &[&str]| -> Vec<String> {
            allowed(&Scope::new(rules(allow), rules(deny)))
                .iter()
                .map(|r| format!("{}-{}", address(r.first), address(r.last)))
                .collect()
        };
        assert_eq!(
            shown(&["2001:db8::/127", "::1", "10.0.0.0/30"], &["10.0.0.1"]),
            [
                "::1-::1",
                "10.0.0.0-10.0.0.0",
                "10.0.0.2-10.0.0.3",
                "2001:db8::-2001:db8::1"
            ]
        );
        let v4 = AddressRange::of("10.0.0.0/8".parse().unwrap());
        let wide = allowed(&Scope::new(rules(&["::/0"]), vec![]));
        assert!(wide.iter().all(|r| r.last < v4.first || r.first > v4.last));
        assert!(wide.is_sorted_by(|a, b| a.last < b.first));
    }

    #[test]
    fn each_kind_has_its_own_pause() {
        let live = Live::default();
        let days = |kind| live.rescan_after(Some(kind)).as_secs() / DAY.as_secs();
        assert_eq!(WorkKind::ALL.map(days), [1, 1, 1, 182, 30, 7]);
    }
}
