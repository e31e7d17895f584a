//! Networks: one row until their addresses are wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use uuid::Uuid;

use super::contract;
use crate::api::{Target, WorkKind};
use crate::hub::store::*;

fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

pub(super) fn record(text: &str) -> NewRecord {
    let network = text.contains('/');
    NewRecord {
        key: text.to_owned(),
        sub_domain: (!network).then(|| text.to_owned()),
        domainname: None,
        ip_address: text.parse().ok(),
        cidr: network.then(|| text.to_owned()),
        group: Some("lab".to_owned()),
        projectegg: None,
        alive: true,
    }
}

async fn add(store: &dyn Store, texts: &[&str]) {
    let records: Vec<_> = texts.iter().map(|t| record(t)).collect();
    let all = records.len() as u64;
    assert_eq!(store.import(records, t0()).await.unwrap(), all);
}

fn reach(nets: &[&str]) -> Reach {
    Reach {
        allowed: nets
            .iter()
            .map(|n| AddressRange::of(n.parse().unwrap()))
            .collect(),
        not_now: Vec::new(),
    }
}

async fn claim_at(
    store: &dyn Store,
    kind: WorkKind,
    limit: u32,
    reach: &Reach,
    now: DateTime<Utc>,
) -> Vec<NewRecord> {
    let claim = Claim {
        kind,
        limit,
        owner: "x@a".to_owned(),
        lease: Duration::from_secs(86_400),
        now,
    };
    let claimed = store.claim_expanding(claim, reach.clone()).await.unwrap();
    claimed.into_iter().map(|c| c.record.data).collect()
}

async fn claim(store: &dyn Store, limit: u32, nets: &[&str]) -> Vec<String> {
    let kind = WorkKind::KazePortScan;
    let claimed = claim_at(store, kind, limit, &reach(nets), t0()).await;
    claimed.into_iter().map(|r| r.key).collect()
}

async fn target(store: &dyn Store, key: &str) -> Target {
    let query = TargetQuery {
        limit: 1,
        key: Some(key.to_owned()),
        ..TargetQuery::default()
    };
    store.targets(query).await.unwrap().items.remove(0)
}

async fn a_network_is_one_target_until_it_is_scanned(store: &dyn Store) {
    add(store, &["10.0.0.0/8", "2001:db8::/64"]).await;
    assert_eq!(store.counts(t0()).await.unwrap().targets, 2);
    let net = target(store, "10.0.0.0/8").await.network.unwrap();
    assert_eq!((net.addresses, net.done), (1 << 24, false));
    assert_eq!(net.expanded[&WorkKind::KazePortScan], 0);
    let taken = claim(store, 300, &["10.0.0.0/8", "2001:db8::/32"]).await;
    assert_eq!(taken.len(), 300);
    assert!(taken.contains(&"10.0.0.0".to_owned()), "the first of each");
    assert!(taken.contains(&"2001:db8::".to_owned()));
    let one = target(store, "10.0.0.0").await;
    assert_eq!(one.cidr.as_deref(), Some("10.0.0.0/8"));
    assert_eq!(one.group.as_deref(), Some("lab"));
    let net = target(store, "2001:db8::/64").await.network.unwrap();
    assert_eq!(net.addresses, u64::MAX, "2^64 is one more");
    assert_eq!(net.expanded[&WorkKind::KazePortScan], 150);
    assert_eq!(
        net.expanded[&WorkKind::KagePortScan],
        0,
        "kage is no faster"
    );
}

async fn a_small_network_gives_each_address_once_for_each_kind(store: &dyn Store) {
    add(store, &["10.0.0.0/29", "10.0.0.4/30"]).await;
    let mut taken = claim(store, 100, &["10.0.0.0/8"]).await;
    taken.sort();
    let wanted: Vec<_> = (0..8).map(|n| format!("10.0.0.{n}")).collect();
    assert_eq!(taken, wanted);
    assert!(
        target(store, "10.0.0.0/29").await.network.unwrap().expanded[&WorkKind::KazePortScan] == 8
    );
    assert!(claim(store, 100, &["10.0.0.0/8"]).await.is_empty());
    for kind in [
        WorkKind::KagePortScan,
        WorkKind::RyuPortScan,
        WorkKind::KumoSpider,
    ] {
        let taken = claim_at(store, kind, 100, &reach(&["10.0.0.0/8"]), t0()).await;
        assert_eq!(taken.len(), 8, "{kind}");
    }
    assert!(target(store, "10.0.0.0/29").await.network.unwrap().done);
    let kind = WorkKind::SuzuEnum;
    let taken = claim_at(store, kind, 100, &reach(&["10.0.0.0/8"]), t0()).await;
    assert!(taken.is_empty(), "it needs a result first");
}

/// The example of the issue: ten networks of 16 million addresses and five single hosts.
async fn all_networks_progress_and_hosts_are_not_starved(store: &dyn Store) {
    let nets: Vec<String> = (1..=10).map(|n| format!("{n}.0.0.0/8")).collect();
    add(store, &nets.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let reach = reach(&["0.0.0.0/0"]);
    let kind = WorkKind::KazePortScan;
    // The networks are well under way when the hosts are added.
    claim_at(store, kind, 100, &reach, t0()).await;
    let hosts = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
    ];
    add(store, &hosts).await;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for minute in 1..=40 {
        let now = t0() + TimeDelta::minutes(minute);
        for record in claim_at(store, kind, 50, &reach, now).await {
            *seen.entry(record.cidr.unwrap_or(record.key)).or_default() += 1;
        }
    }
    for host in hosts {
        assert_eq!(seen[host], 1, "{seen:?}");
    }
    let each: Vec<u32> = nets.iter().map(|n| seen[n]).collect();
    assert_eq!(each.iter().sum::<u32>(), 40 * 50 - 5);
    assert!(each.iter().all(|n| (100..400).contains(n)), "{each:?}");
}

async fn what_is_out_of_reach_is_jumped_over_or_waited_for(store: &dyn Store) {
    add(store, &["10.0.0.0/8"]).await;
    let taken = claim(store, 4, &["10.0.0.7/32", "10.200.0.0/31"]).await;
    assert_eq!(taken, ["10.0.0.7", "10.200.0.0", "10.200.0.1"]);
    let kind = WorkKind::KazePortScan;
    let wide = reach(&["10.0.0.0/8"]);
    let later = t0() + TimeDelta::minutes(61);
    let taken = claim_at(store, kind, 1, &wide, later).await;
    assert_eq!(taken[0].key, "10.200.0.2", "a wider scope goes on there");
    let not_now = Reach {
        not_now: vec![Spared {
            range: reach(&["10.200.0.0/16"]).allowed[0],
            until: later + TimeDelta::minutes(10),
        }],
        ..wide
    };
    let rest = claim_at(store, kind, 1000, &not_now, later).await;
    assert_eq!(rest.len(), 255, "only what was expanded before");
    let until = later + TimeDelta::minutes(10);
    let just_before = until - TimeDelta::microseconds(1);
    assert!(
        claim_at(store, kind, 9, &not_now, just_before)
            .await
            .is_empty()
    );
    let wide = reach(&["10.0.0.0/8"]);
    let rest = claim_at(store, kind, 9, &wide, until).await;
    assert_eq!(rest.len(), 9, "it goes on when the blackout ends");
}

async fn two_hubs_share_a_network(store: &dyn Store) {
    add(store, &["10.0.0.0/16", "10.0.0.0/20", "10.1.0.0/16"]).await;
    let reach = &reach(&["10.0.0.0/8"]);
    let claims = (0..10).map(|_| async move {
        let mut mine = Vec::new();
        for _ in 0..5 {
            let claimed = claim_at(store, WorkKind::KazePortScan, 30, reach, t0()).await;
            mine.extend(claimed.into_iter().map(|r| r.key));
        }
        mine
    });
    let mut all = join_all(claims).await.concat();
    let taken = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), taken, "nobody gets what another has");
    assert!(taken > 100, "{taken}");
}

async fn a_removed_network_stops(store: &dyn Store) {
    add(store, &["10.0.0.0/8", "10.0.0.1"]).await;
    claim(store, 20, &["10.0.0.0/8"]).await;
    let id = target(store, "10.0.0.0/8").await.id;
    let expanded = store.counts(t0()).await.unwrap().targets - 2;
    assert!(store.delete_target(id).await.unwrap());
    let left = store.counts(t0()).await.unwrap().targets;
    assert_eq!(left, expanded + 1, "its addresses stay");
    let rest = claim(store, 1000, &["10.0.0.0/8"]).await.len() as u64;
    assert_eq!(rest, left - 20);

    add(store, &["10.0.0.0/8"]).await;
    let id = target(store, "10.0.0.0/8").await.id;
    let mut removed = 0;
    while let some @ 1.. = store.delete_expanded(id, 100).await.unwrap() {
        removed += some;
    }
    assert_eq!(removed, expanded);
    assert!(
        claim(store, 1, &["10.0.0.0/8"]).await.is_empty(),
        "it has stopped"
    );
    let host = target(store, "10.0.0.1").await;
    assert_eq!(store.delete_expanded(host.id, 100).await.unwrap(), 0);
}

async fn a_network_that_is_set_aside_waits(store: &dyn Store) {
    add(store, &["10.0.0.0/30"]).await;
    let id: Uuid = target(store, "10.0.0.0/30").await.id;
    let skip = |skip| TargetChange {
        skip_scan: Some(skip),
        ..TargetChange::default()
    };
    store.change_target(id, skip(true), t0()).await.unwrap();
    assert!(claim(store, 9, &["10.0.0.0/8"]).await.is_empty());
    store.change_target(id, skip(false), t0()).await.unwrap();
    assert_eq!(claim(store, 9, &["10.0.0.0/8"]).await.len(), 4);
}

contract!(
    a_network_is_one_target_until_it_is_scanned,
    a_small_network_gives_each_address_once_for_each_kind,
    all_networks_progress_and_hosts_are_not_starved,
    what_is_out_of_reach_is_jumped_over_or_waited_for,
    two_hubs_share_a_network,
    a_removed_network_stops,
    a_network_that_is_set_aside_waits,
);
