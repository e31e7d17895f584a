//! Many targets, lists of them, and what is changed about them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::contract;
use super::networks::record;
use crate::api::WorkKind;
use crate::hub::store::*;

fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> DateTime<Utc> {
    t0() + TimeDelta::minutes(minutes)
}

async fn claim(store: &dyn Store, limit: u32, minutes: i64) -> Vec<Claimed> {
    let claim = Claim {
        kind: WorkKind::KazePortScan,
        limit,
        owner: "kaze@a".to_owned(),
        lease: Duration::from_secs(600),
        now: after(minutes),
    };
    store.claim(claim).await.unwrap()
}

async fn keys(store: &dyn Store, query: TargetQuery) -> Vec<String> {
    let query = TargetQuery { limit: 3, ..query };
    let mut keys = Vec::new();
    let mut page = store.targets(query.clone()).await.unwrap();
    loop {
        let last = page.items.last().map(|t| (t.id, t.target.clone()));
        keys.extend(page.items.iter().map(|t| t.target.clone()));
        let (Some(_), Some((id, key))) = (page.next, last) else {
            return keys;
        };
        let rest = TargetQuery {
            after: Some(id),
            after_key: Some(key),
            ..query.clone()
        };
        page = store.targets(rest).await.unwrap();
    }
}

async fn many_are_added_at_once(store: &dyn Store) {
    let names = (0..2500).map(|n| record(&format!("h{n}.example.org")));
    let mut records: Vec<_> = names.collect();
    records.push(record("h7.example.org"));
    records.push(record("10.0.0.0/24"));
    assert_eq!(store.import(records.clone(), t0()).await.unwrap(), 2501);
    assert_eq!(store.import(records, after(1)).await.unwrap(), 0);
    assert_eq!(store.counts(t0()).await.unwrap().targets, 2501);
    let mut got = 0;
    while let some @ 1.. = claim(store, 1000, 0).await.len() {
        got += some;
    }
    assert_eq!(got, 2500, "each is due once");
    let query = TargetQuery {
        limit: 1,
        key: Some("h7.example.org".to_owned()),
        ..TargetQuery::default()
    };
    let one = store.targets(query).await.unwrap().items.remove(0);
    let due: Vec<_> = one.work.iter().filter(|w| w.due_at.is_some()).collect();
    assert_eq!(due.len(), 4, "what needs no result is due");
}

async fn lists_are_filtered_and_sorted(store: &dyn Store) {
    let names = [
        "b.org", "a.org", "10.0.0.2", "10.0.0.1", "c.org", "d.org", "e.org",
    ];
    for name in names {
        let record = NewRecord {
            group: name.ends_with("org").then(|| "names".to_owned()),
            projectegg: (name < "b").then(|| "first".to_owned()),
            alive: name != "e.org",
            ..record(name)
        };
        store.import(vec![record], t0()).await.unwrap();
    }
    let all = |sort| TargetQuery {
        sort,
        ..TargetQuery::default()
    };
    let reversed = |list: Vec<String>| list.into_iter().rev().collect::<Vec<_>>();
    let by_time = keys(store, all(TargetSort::Created)).await;
    assert_eq!(by_time, names);
    assert_eq!(
        keys(store, all(TargetSort::Newest)).await,
        reversed(by_time)
    );
    let by_text = keys(store, all(TargetSort::Target)).await;
    assert_eq!(
        by_text,
        [
            "10.0.0.1", "10.0.0.2", "a.org", "b.org", "c.org", "d.org", "e.org"
        ]
    );
    let backwards = keys(store, all(TargetSort::TargetBackwards)).await;
    assert_eq!(backwards, reversed(by_text));

    let grouped = TargetQuery {
        group: Some("names".to_owned()),
        alive: Some(true),
        ..TargetQuery::default()
    };
    assert_eq!(
        keys(store, grouped).await,
        ["b.org", "a.org", "c.org", "d.org"]
    );
    let project = TargetQuery {
        project: Some("first".to_owned()),
        text: Some("0.0".to_owned()),
        ..TargetQuery::default()
    };
    assert_eq!(keys(store, project).await, ["10.0.0.2", "10.0.0.1"]);
    claim(store, 2, 0).await;
    let due = TargetQuery {
        due: Some((WorkKind::KazePortScan, after(1))),
        ..TargetQuery::default()
    };
    assert_eq!(keys(store, due).await.len(), 4, "neither leased nor dead");
    let skipped = TargetQuery {
        skip_scan: Some(true),
        ..TargetQuery::default()
    };
    assert!(keys(store, skipped).await.is_empty());
}

async fn add_one(store: &dyn Store) -> Uuid {
    store.import(vec![record("10.0.0.1")], t0()).await.unwrap();
    let query = TargetQuery {
        limit: 1,
        ..TargetQuery::default()
    };
    store.targets(query).await.unwrap().items[0].id
}

async fn what_is_set_aside_is_not_due(store: &dyn Store) {
    let id = add_one(store).await;
    let change = |skip| TargetChange {
        skip_scan: Some(skip),
        ..TargetChange::default()
    };
    let changed = store
        .change_target(id, change(true), after(1))
        .await
        .unwrap();
    let changed = changed.unwrap();
    assert!(changed.skip_scan && changed.work.iter().all(|w| w.due_at.is_none()));
    assert!(claim(store, 1, 2).await.is_empty());
    let changed = store
        .change_target(id, change(false), after(3))
        .await
        .unwrap();
    let due = changed
        .unwrap()
        .work
        .iter()
        .filter(|w| w.due_at == Some(after(3)))
        .count();
    assert_eq!(due, 4);
    assert_eq!(claim(store, 1, 3).await.len(), 1);

    let dead = TargetChange {
        alive: Some(false),
        group: Some(None),
        ..TargetChange::default()
    };
    let changed = store
        .change_target(id, dead, after(4))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((changed.alive, changed.group), (false, None));
    assert!(claim(store, 1, 60).await.is_empty());
    let parked = store.target(id).await.unwrap().unwrap();
    assert!(
        parked.work.iter().all(|w| w.due_at.is_none()),
        "what was leased leaves the range of due rows when its lease has run out"
    );
    let nobody = store.change_target(Uuid::nil(), change(true), t0()).await;
    assert!(nobody.unwrap().is_none());
}

async fn a_new_group_changes_no_due_time(store: &dyn Store) {
    let id = add_one(store).await;
    let change = TargetChange {
        group: Some(Some("dmz".to_owned())),
        ..TargetChange::default()
    };
    let changed = store
        .change_target(id, change, after(9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.group.as_deref(), Some("dmz"));
    assert_eq!(changed.work[0].due_at, Some(t0()));
}

async fn a_record_that_agents_die_under_backs_off(store: &dyn Store) {
    let id = add_one(store).await;
    assert_eq!(claim(store, 1, 0).await.len(), 1);
    assert_eq!(claim(store, 1, 10).await.len(), 1, "once can be chance");
    assert!(claim(store, 1, 20).await.is_empty(), "twice is not");
    assert!(claim(store, 1, 24).await.is_empty());
    assert_eq!(claim(store, 1, 25).await.len(), 1);
    assert!(claim(store, 1, 35).await.is_empty());
    assert!(claim(store, 1, 44).await.is_empty(), "twice as long");
    let held = claim(store, 1, 45).await;
    let target = store.target(id).await.unwrap().unwrap();
    let kaze = target
        .work
        .iter()
        .find(|w| w.kind == WorkKind::KazePortScan);
    assert_eq!(kaze.unwrap().attempts, 3);
    assert!(store.release(held[0].lease_id, after(46)).await.unwrap());
    assert_eq!(
        claim(store, 1, 46).await.len(),
        1,
        "giving back is no attempt"
    );
}

async fn a_poison_record_is_not_in_the_way(store: &dyn Store) {
    add_one(store).await;
    claim(store, 1, 0).await;
    claim(store, 1, 10).await;
    store
        .import(vec![record("10.0.0.2")], after(15))
        .await
        .unwrap();
    let claimed = claim(store, 1, 20).await;
    assert_eq!(claimed[0].record.data.key, "10.0.0.2");
}

contract!(
    many_are_added_at_once,
    lists_are_filtered_and_sorted,
    what_is_set_aside_is_not_due,
    a_new_group_changes_no_due_time,
    a_record_that_agents_die_under_backs_off,
    a_poison_record_is_not_in_the_way,
);
