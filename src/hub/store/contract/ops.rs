//! Care of the database.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::contract;
use crate::api::WorkKind;
use crate::hub::store::*;

fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

async fn add(store: &dyn Store, n: u8) {
    let records = (0..n).map(|i| NewRecord {
        key: format!("10.0.0.{i}"),
        sub_domain: Some(format!("10.0.0.{i}")),
        domainname: None,
        ip_address: None,
        cidr: None,
        group: None,
        projectegg: None,
        alive: true,
    });
    let render = |_: &Created| Answer {
        status: 200,
        body: String::new(),
    };
    store
        .create_records(records.collect(), None, t0(), Box::new(render))
        .await
        .unwrap();
}

contract!(
    the_queue_is_counted_by_kind,
    a_probe_writes,
    a_sound_database_is_called_sound,
    space_is_given_back,
);

async fn the_queue_is_counted_by_kind(store: &dyn Store) {
    add(store, 7).await;
    let claim = Claim {
        kind: WorkKind::KazePortScan,
        limit: 3,
        owner: "kaze@a".to_owned(),
        lease: Duration::from_secs(600),
        now: t0(),
    };
    store.claim(claim).await.unwrap();
    let of = async |now| {
        let queue = store.queue(now).await.unwrap();
        assert_eq!(queue.len(), WorkKind::ALL.len());
        let kaze = queue.iter().find(|d| d.kind == WorkKind::KazePortScan);
        let kaze = kaze.unwrap();
        (kaze.due, kaze.leased)
    };
    assert_eq!(of(t0()).await, (4, 3));
    assert_eq!(of(t0() + TimeDelta::minutes(11)).await, (7, 0), "run out");
}

async fn a_probe_writes(store: &dyn Store) {
    store.probe(t0()).await.unwrap();
    store.probe(t0() + TimeDelta::seconds(1)).await.unwrap();
}

async fn a_sound_database_is_called_sound(store: &dyn Store) {
    add(store, 3).await;
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert!(store.size().await.unwrap() > 0);
    let totals = store.scan_totals().await.unwrap();
    assert!(totals.len() == 2 && totals.values().all(|n| *n == 0));
}

async fn space_is_given_back(store: &dyn Store) {
    add(store, 200).await;
    store.vacuum().await.unwrap();
    assert_eq!(store.counts(t0()).await.unwrap().targets, 200);
    add(store, 201).await;
    assert_eq!(store.counts(t0()).await.unwrap().targets, 201);
}
