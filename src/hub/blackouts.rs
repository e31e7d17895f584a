//! Times in which targets are left alone, applied when work is handed out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::state::{Hub, Live};
use super::store::{AddressRange, NewRecord, Reach, Spared};

/// The blackouts that are on at one time.
pub(super) struct Blackouts {
    live: Arc<Live>,
    now: DateTime<Utc>,
}

impl Blackouts {
    /// Those that are on now.
    pub(super) fn on(hub: &Hub) -> Self {
        Self {
            live: hub.live(),
            now: hub.clock.now(),
        }
    }

    /// Whether one of them spares every target.
    pub(super) fn spare_all(&self) -> bool {
        let mut on = self.live.scope.blackouts_at(self.now);
        on.any(|(blackout, _)| blackout.targets.is_empty())
    }

    /// What networks may bring meanwhile.
    pub(super) fn reach(&self, hub: &Hub) -> Reach {
        let on = self.live.scope.blackouts_at(self.now);
        let spared = on.flat_map(|(blackout, until)| {
            blackout.networks().map(move |net| Spared {
                range: AddressRange::of(net),
                until,
            })
        });
        Reach {
            allowed: hub.allowed(),
            not_now: spared.collect(),
        }
    }

    /// For each record until when it is left alone, and why. A name is left alone when any of its
    /// addresses is.
    pub(super) async fn spared(
        &self,
        hub: &Hub,
        records: &[&NewRecord],
    ) -> Vec<Option<(DateTime<Utc>, String)>> {
        let mut on = self.live.scope.blackouts_at(self.now);
        let by_address = on.any(|(blackout, _)| blackout.networks().next().is_some());
        let mut known = HashMap::new();
        if by_address {
            let undecided = records.iter().filter(|r| self.one(r, &known).is_none());
            let names = undecided.filter_map(|r| r.name().map(str::to_owned));
            known = hub.gate.addresses(names.collect()).await;
        }
        records.iter().map(|r| self.one(r, &known)).collect()
    }

    fn one(
        &self,
        record: &NewRecord,
        known: &HashMap<String, Vec<IpAddr>>,
    ) -> Option<(DateTime<Utc>, String)> {
        let name = record.name();
        let literal = record.target().and_then(|t| t.parse().ok());
        let mut addresses: Vec<IpAddr> =
            [literal, record.ip_address].into_iter().flatten().collect();
        addresses.extend(name.and_then(|n| known.get(n)).into_iter().flatten());
        let (until, blackout) = self.live.scope.blackout(name, &addresses, self.now)?;
        Some((until, blackout.says(until)))
    }
}
