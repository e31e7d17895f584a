//! Nothing is forgotten: networks larger than what agents can do in a day, what is set aside for a
//! time, what comes twice.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use uuid::Uuid;

use super::contract;
use super::networks::record;
use crate::api::{Target, WorkKind};
use crate::hub::store::*;

const KIND: WorkKind = WorkKind::KazePortScan;

fn after(minutes: i64) -> DateTime<Utc> {
    let t0: DateTime<Utc> = "2026-11-21T06:00:00Z".parse().unwrap();
    t0 + TimeDelta::minutes(minutes)
}

async fn add(store: &dyn Store, texts: &[&str]) {
    let records = texts.iter().map(|t| record(t)).collect();
    store.import(records, after(0)).await.unwrap();
}

async fn claim(store: &dyn Store, kind: WorkKind, limit: u32, minute: i64) -> Vec<Claimed> {
    let claim = Claim {
        kind,
        limit,
        owner: "x@a".to_owned(),
        lease: Duration::from_secs(86_400),
        now: after(minute),
    };
    let everything = Reach {
        allowed: [AddressRange::of("0.0.0.0/0".parse().unwrap())].into(),
        not_now: Vec::new(),
    };
    store.claim_expanding(claim, everything).await.unwrap()
}

async fn keys(store: &dyn Store, limit: u32, minute: i64) -> BTreeSet<String> {
    let claimed = claim(store, KIND, limit, minute).await;
    let key = |c: Claimed| c.record.data.key;
    claimed.into_iter().map(key).collect()
}

/// Leases and does what is leased; it is due again after so many minutes.
async fn work(store: &dyn Store, limit: u32, minute: i64, again: i64) -> Vec<String> {
    let claimed = claim(store, KIND, limit, minute).await;
    let done = claimed.iter().map(|c| PutOff {
        lease_id: c.lease_id,
        until: after(minute + again),
        error: String::new(),
        event: None,
    });
    store.put_off(done.collect(), after(minute)).await.unwrap();
    claimed.into_iter().map(|c| c.record.data.key).collect()
}

async fn target(store: &dyn Store, key: &str) -> Target {
    let query = TargetQuery {
        limit: 1,
        key: Some(key.to_owned()),
        ..TargetQuery::default()
    };
    store.targets(query).await.unwrap().items.remove(0)
}

async fn skip(store: &dyn Store, key: &str, skip: bool, minute: i64) -> Target {
    let id = target(store, key).await.id;
    let change = TargetChange {
        skip_scan: Some(skip),
        ..TargetChange::default()
    };
    let changed = store.change_target(id, change, after(minute)).await;
    changed.unwrap().unwrap()
}

/// What was expanded on the first day is due again on the second, and is as much as can be done.
async fn a_network_larger_than_a_days_work_is_covered(store: &dyn Store) {
    const DAY: i64 = 24 * 60;
    add(store, &["10.50.0.0/22"]).await;
    let mut seen = BTreeSet::new();
    let mut first_again = 0;
    for day in 0..=12 {
        let done = work(store, 256, day * DAY, DAY).await;
        assert_eq!(done.len(), 256);
        let new = done.iter().filter(|key| !seen.contains(*key)).count();
        let wanted = if day == 0 { 256 } else { 64 };
        assert_eq!(new, wanted, "day {day}");
        first_again += usize::from(done.iter().any(|key| key == "10.50.0.0"));
        seen.extend(done);
    }
    assert_eq!(seen.len(), 1024, "all of it");
    assert!(first_again >= 3, "and what was first is looked at again");
}

async fn an_agent_that_takes_one_at_a_time_covers_it_too(store: &dyn Store) {
    add(store, &["10.50.0.0/16", "10.50.0.0/17"]).await;
    let mut seen = BTreeSet::new();
    for minute in 0..600 {
        let done = work(store, 1, minute, 1).await;
        assert_eq!(done.len(), 1);
        seen.extend(done);
    }
    // 128 that both networks brought while there was nothing else to do, and one in four since.
    let wanted = 128 + (600 - 128) / 4;
    assert!(seen.len().abs_diff(wanted) < 64, "{}", seen.len());
    let known = store.counts(after(0)).await.unwrap().targets;
    assert!(known < 350, "no more than can be done: {known}");
}

/// What one network brought is passed over in long steps when another has it, too.
async fn a_share_is_not_lost_on_what_is_known(store: &dyn Store) {
    add(store, &["10.0.0.0/23"]).await;
    assert_eq!(keys(store, 1000, 0).await.len(), 512);
    add(store, &["10.0.0.0/16"]).await;
    let hosts: Vec<_> = (0..100).map(|n| format!("h{n}.example.org")).collect();
    add(store, &hosts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let taken = keys(store, 8, 1).await;
    let new = taken.iter().filter(|key| !key.starts_with('h')).count();
    assert_eq!((taken.len(), new), (8, 2), "{taken:?}");
}

async fn what_is_in_a_network_that_is_set_aside_is_left_alone(store: &dyn Store) {
    add(store, &["10.77.0.9", "10.77.0.8/29"]).await;
    skip(store, "10.77.0.8/29", true, 0).await;
    add(store, &["10.77.0.0/28", "10.77.0.12/30", "10.77.0.12"]).await;
    let taken = keys(store, 100, 1).await;
    let low: BTreeSet<_> = (0..8).map(|n| format!("10.77.0.{n}")).collect();
    assert_eq!(taken, low);
    assert!(keys(store, 100, 70).await.is_empty());
    skip(store, "10.77.0.8/29", false, 80).await;
    let taken = keys(store, 100, 140).await;
    let high: BTreeSet<_> = (8..16).map(|n| format!("10.77.0.{n}")).collect();
    assert_eq!(taken, high);
    let network = target(store, "10.77.0.0/28").await.network.unwrap();
    assert!(network.expanded[&KIND] == 16);
}

async fn what_was_in_a_network_that_is_gone_is_not_forgotten(store: &dyn Store) {
    add(store, &["10.77.0.8/29"]).await;
    skip(store, "10.77.0.8/29", true, 0).await;
    add(store, &["10.77.0.0/27", "10.77.1.0/27"]).await;
    assert_eq!(keys(store, 100, 1).await.len(), 24 + 32);
    assert!(
        target(store, "10.77.0.0/27")
            .await
            .network
            .unwrap()
            .expanded[&KIND]
            == 24
    );
    let id = target(store, "10.77.0.8/29").await.id;
    assert!(store.delete_target(id).await.unwrap());
    assert!(!store.delete_target(id).await.unwrap());
    let taken = keys(store, 100, 2).await;
    let inner: BTreeSet<_> = (8..16).map(|n| format!("10.77.0.{n}")).collect();
    assert_eq!(taken, inner);
    let network = target(store, "10.77.0.0/27").await.network.unwrap();
    assert!(network.expanded[&KIND] <= 32);
}

async fn a_network_that_was_added_dead_is_left_alone(store: &dyn Store) {
    let dead = NewRecord {
        alive: false,
        ..record("10.0.0.0/30")
    };
    let dead_too = NewRecord {
        alive: false,
        ..record("2001:db8::/64")
    };
    let made = store.create_records(vec![dead, dead_too], None, after(0), render());
    assert_eq!(made.await.unwrap().status, 200);
    add(store, &["10.0.0.0/29", "10.0.0.1", "2001:db8::7"]).await;
    assert_eq!(keys(store, 100, 1).await.len(), 4);
    let id = target(store, "10.0.0.0/30").await.id;
    let alive = TargetChange {
        alive: Some(true),
        ..TargetChange::default()
    };
    store.change_target(id, alive, after(2)).await.unwrap();
    assert_eq!(keys(store, 100, 61).await.len(), 4);
}

async fn what_is_set_aside_is_not_in_the_way(store: &dyn Store) {
    let hosts = (0..1500).map(|n| record(&format!("10.1.{}.{}", n / 250, n % 250)));
    store.import(hosts.collect(), after(0)).await.unwrap();
    add(store, &["10.1.0.0/16", "192.0.2.1"]).await;
    skip(store, "10.1.0.0/16", true, 0).await;
    store
        .import(vec![record("192.0.2.2")], after(1))
        .await
        .unwrap();
    let wanted = BTreeSet::from(["192.0.2.1".to_owned(), "192.0.2.2".to_owned()]);
    assert_eq!(keys(store, 2, 2).await, wanted);
}

async fn many_networks_that_are_set_aside_hold_too(store: &dyn Store) {
    let dead = (0..1100).map(|n| NewRecord {
        alive: false,
        ..record(&format!("10.{}.{}.0/24", 1 + n / 256, n % 256))
    });
    store.import(dead.collect(), after(0)).await.unwrap();
    add(store, &["10.1.0.0/16", "10.1.7.7", "192.0.2.1"]).await;
    for minute in [1, 2] {
        let taken = keys(store, 9, minute).await;
        assert_eq!(taken.len(), usize::from(minute == 1), "{taken:?}");
    }
    let id = target(store, "10.1.7.0/24").await.id;
    assert!(store.delete_target(id).await.unwrap());
    assert_eq!(keys(store, 500, 62).await.len(), 256, "at once");
}

fn render() -> Render<Created> {
    let names = |list: &[Target]| list.iter().map(|t| t.target.clone()).collect::<Vec<_>>();
    Box::new(move |made: &Created| Answer {
        status: 200,
        body: [names(&made.created), names(&made.existing)]
            .concat()
            .join(" "),
    })
}

/// Each waits for what the other has inserted.
async fn the_same_targets_in_another_order_are_no_deadlock(store: &dyn Store) {
    let names: Vec<_> = (0..60).map(|n| format!("h{n}.example.org")).collect();
    let requests = (0..8).map(|n| {
        let mut mine = names.clone();
        if n % 2 == 1 {
            mine.reverse();
        }
        async move {
            let records = mine.iter().map(|name| record(name)).collect();
            let answer = store
                .create_records(records, None, after(0), render())
                .await;
            (mine.join(" "), answer)
        }
    });
    for (mine, answer) in join_all(requests).await {
        assert_eq!(answer.unwrap().body, mine, "in the order given");
    }
    assert_eq!(store.counts(after(0)).await.unwrap().targets, 60);
}

async fn what_a_network_brought_gets_all_work_as_a_target_of_its_own(store: &dyn Store) {
    add(store, &["10.0.0.0/30"]).await;
    let taken = keys(store, 4, 0).await;
    let id = target(store, "10.0.0.0/30").await.id;
    assert!(store.delete_target(id).await.unwrap());
    let mut records: Vec<_> = taken.iter().map(|key| record(key)).collect();
    records.push(record("10.0.0.9"));
    assert_eq!(store.import(records, after(1)).await.unwrap(), 1);
    for kind in [
        WorkKind::KagePortScan,
        WorkKind::RyuPortScan,
        WorkKind::KumoSpider,
    ] {
        assert_eq!(claim(store, kind, 9, 1).await.len(), 5, "{kind}");
    }
    assert_eq!(keys(store, 9, 1).await.len(), 1, "four are leased");
}

fn due(target: &Target, kind: WorkKind) -> Option<DateTime<Utc>> {
    let work = target.work.iter().find(|w| w.kind == kind);
    work.and_then(|w| w.due_at)
}

async fn what_takes_part_again_is_due_when_it_was(store: &dyn Store) {
    add(store, &["10.0.0.0/30"]).await;
    assert_eq!(work(store, 9, 0, 60).await.len(), 4);
    add(store, &["10.0.0.1"]).await;
    let set_aside = skip(store, "10.0.0.1", true, 1).await;
    assert!(set_aside.work.iter().all(|w| w.due_at.is_none()));
    let back = skip(store, "10.0.0.1", false, 2).await;
    assert_eq!(due(&back, KIND), Some(after(60)));
    let kage = due(&back, WorkKind::KagePortScan);
    assert_eq!(kage, Some(after(2)), "what was due is due");
    skip(store, "10.0.0.1", true, 3).await;
    let back = skip(store, "10.0.0.1", false, 100).await;
    assert_eq!(
        due(&back, KIND),
        Some(after(100)),
        "after those that waited"
    );
}

async fn a_whole_network_takes_part_again_without_a_flood(store: &dyn Store) {
    add(store, &["10.0.0.0/24"]).await;
    assert_eq!(work(store, 256, 0, 60).await.len(), 256);
    let id = target(store, "10.0.0.0/24").await.id;
    for (minute, skip) in [(1, true), (2, false)] {
        let change = TargetChange {
            skip_scan: Some(skip),
            ..TargetChange::default()
        };
        let network = store.change_target(id, change.clone(), after(minute));
        network.await.unwrap();
        let some = store.change_expanded(id, None, 1000, change, after(minute));
        assert_ne!(some.await.unwrap(), None::<Uuid>);
    }
    assert!(keys(store, 1000, 59).await.is_empty());
    assert_eq!(keys(store, 1000, 60).await.len(), 256);
}

contract!(
    a_network_larger_than_a_days_work_is_covered,
    an_agent_that_takes_one_at_a_time_covers_it_too,
    a_share_is_not_lost_on_what_is_known,
    what_is_in_a_network_that_is_set_aside_is_left_alone,
    what_was_in_a_network_that_is_gone_is_not_forgotten,
    a_network_that_was_added_dead_is_left_alone,
    what_is_set_aside_is_not_in_the_way,
    many_networks_that_are_set_aside_hold_too,
    the_same_targets_in_another_order_are_no_deadlock,
    what_a_network_brought_gets_all_work_as_a_target_of_its_own,
    what_takes_part_again_is_due_when_it_was,
    a_whole_network_takes_part_again_without_a_flood,
);
