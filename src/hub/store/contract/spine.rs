//! Targets, work, scans, heartbeats, events.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::contract;
use crate::api::{AgentStatus, PortCounts, ScanPort, WorkKind};
use crate::hub::store::*;

pub(in crate::hub::store) fn t0() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

pub(in crate::hub::store) fn after(minutes: i64) -> DateTime<Utc> {
    t0() + TimeDelta::minutes(minutes)
}

fn record(name: &str) -> NewRecord {
    NewRecord {
        key: name.to_owned(),
        sub_domain: Some(name.to_owned()),
        domainname: None,
        ip_address: name.parse().ok(),
        cidr: None,
        group: Some("lab".to_owned()),
        projectegg: None,
        alive: true,
    }
}

pub(in crate::hub::store) async fn add(store: &dyn Store, names: &[&str]) -> Vec<Uuid> {
    let records = names.iter().map(|n| record(n)).collect();
    let render = |made: &Created| {
        let all = made.created.iter().chain(&made.existing);
        Answer {
            status: 200,
            body: serde_json::to_string(&all.map(|t| t.id).collect::<Vec<_>>()).unwrap(),
        }
    };
    let answer = store
        .create_records(records, None, t0(), Box::new(render))
        .await
        .unwrap();
    serde_json::from_str(&answer.body).unwrap()
}

async fn claim(store: &dyn Store, owner: &str, limit: u32, now: DateTime<Utc>) -> Vec<Claimed> {
    let claim = Claim {
        kind: WorkKind::KazePortScan,
        limit,
        owner: owner.to_owned(),
        lease: Duration::from_secs(600),
        now,
    };
    store.claim(claim).await.unwrap()
}

pub(in crate::hub::store) fn scan(id: Uuid, caller: &str, now: DateTime<Utc>) -> Submission {
    let port = ScanPort {
        port: 80,
        protocol: "tcp".to_owned(),
        service: "http".to_owned(),
        product: String::new(),
        version: String::new(),
        cpe: Vec::new(),
        banner: String::new(),
        tls: None,
        confidence: 0.3,
        waf: None,
        details: Default::default(),
    };
    Submission {
        record_id: id,
        scan_type: "kaze_port_scan".to_owned(),
        kind: Some(WorkKind::KazePortScan),
        caller: caller.to_owned(),
        keyed: true,
        rescan_after: Duration::from_secs(24 * 3600),
        now,
        run: None,
        outcome: Ok(NewScan {
            id: Uuid::now_v7(),
            target: "10.0.0.1".to_owned(),
            ip_address: "10.0.0.1".parse().ok(),
            host: HostFacts::default(),
            agent: Some("kaze@a".to_owned()),
            engine: "connect".to_owned(),
            scan_command: "connect".to_owned(),
            started_at: Some(now),
            finished_at: now,
            scan_duration: 1.5,
            ports_scanned: 22,
            port_counts: PortCounts {
                open: 1,
                closed: 21,
                ..PortCounts::default()
            },
            udp_counts: None,
            open_ports: vec![port],
            web: true,
            rest: json!({}),
        }),
    }
}

fn attempt(id: Uuid, caller: &str, now: DateTime<Utc>) -> Submission {
    Submission {
        outcome: Err(Attempt {
            reason: "host down".to_owned(),
        }),
        ..scan(id, caller, now)
    }
}

pub(in crate::hub::store) fn key(key: &str, body: u8) -> Option<Idempotency> {
    Some(Idempotency {
        key: key.to_owned(),
        route: "POST /api/daemon/kaze/scan".to_owned(),
        body_sha256: [body; 32],
    })
}

pub(in crate::hub::store) async fn submit(
    store: &dyn Store,
    submission: Submission,
    key: Option<Idempotency>,
) -> Result<String> {
    // A fresh id in the answer: only a repetition can give the same one twice.
    let render = |done: &Submitted, _: &Record| Answer {
        status: 200,
        body: json!([format!("{done:?}"), Uuid::new_v4()]).to_string(),
    };
    let answer = store
        .submit_scan(submission, key, Box::new(|_, _| Ok(())), Box::new(render))
        .await?;
    Ok(answer.body)
}

fn outcome(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()[0]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn all_scans(store: &dyn Store) -> usize {
    let query = ScanQuery {
        limit: 1000,
        ..ScanQuery::default()
    };
    store.scans(query).await.unwrap().items.len()
}

fn beat(leases: Vec<Uuid>) -> Heartbeat {
    Heartbeat {
        agent: "kaze".to_owned(),
        host: "a".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        status: AgentStatus::Healthy,
        status_text: "waiting".to_owned(),
        started_at: t0(),
        last_activity: t0(),
        interval_s: 10.0,
        queue_depth: 0,
        error_count: 0,
        cycle: 1,
        completed: 0,
        current_target: None,
        progress_percent: None,
        memory_bytes: None,
        cpu_s: None,
        leases,
    }
}

async fn the_same_target_is_never_twice(store: &dyn Store) {
    let first = add(store, &["10.0.0.1", "a.example.org"]).await;
    let second = add(store, &["a.example.org", "10.0.0.1"]).await;
    assert_eq!(first, [second[1], second[0]]);
    let counts = store.counts(t0()).await.unwrap();
    assert_eq!(counts.targets, 2);
}

async fn nobody_gets_what_another_has(store: &dyn Store) {
    let names: Vec<String> = (1..=100).map(|n| format!("10.0.0.{n}")).collect();
    add(store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claims = (0..10).map(|n| async move {
        let owner = format!("kaze@{n}");
        let mut mine = Vec::new();
        loop {
            let some = claim(store, &owner, 7, t0()).await;
            if some.is_empty() {
                return mine;
            }
            mine.extend(some.into_iter().map(|c| c.record.id));
        }
    });
    let mut all = join_all(claims).await.concat();
    assert_eq!(all.len(), 100);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
    assert_eq!(store.counts(t0()).await.unwrap().leases, 100);
}

async fn an_expired_lease_goes_back(store: &dyn Store) {
    add(store, &["10.0.0.1"]).await;
    let first = claim(store, "kaze@a", 1, t0()).await;
    assert!(claim(store, "kaze@b", 1, after(9)).await.is_empty());
    let second = claim(store, "kaze@b", 1, after(10)).await;
    assert_eq!(second[0].record.id, first[0].record.id);
    assert!(!store.release(first[0].lease_id, after(10)).await.unwrap());
    let renewed = store
        .heartbeat("kaze".into(), beat(vec![first[0].lease_id]), after(11))
        .await
        .unwrap();
    assert_eq!(
        renewed[0].expires_at, None,
        "the other's lease is not touched"
    );
}

async fn a_heartbeat_renews(store: &dyn Store) {
    add(store, &["10.0.0.1"]).await;
    let lease = claim(store, "kaze@a", 1, t0()).await[0].lease_id;
    let renewed = store
        .heartbeat("kaze".into(), beat(vec![lease, Uuid::nil()]), after(8))
        .await
        .unwrap();
    assert_eq!(renewed[0].expires_at, Some(after(18)));
    assert_eq!(renewed[1].expires_at, None);
    assert!(claim(store, "kaze@b", 1, after(17)).await.is_empty());
    assert_eq!(claim(store, "kaze@b", 1, after(18)).await.len(), 1);
    let daemons = store.daemons().await.unwrap();
    assert_eq!((daemons.len(), daemons[0].seen_at), (1, after(8)));
}

async fn a_silent_agent_is_forgotten(store: &dyn Store) {
    store
        .heartbeat("kaze".into(), beat(Vec::new()), t0())
        .await
        .unwrap();
    let but = |name: &str| vec!["hub".to_owned(), name.to_owned()];
    let forget = |minutes, but| store.forget_agents(after(minutes), but);
    assert_eq!(forget(0, Vec::new()).await.unwrap(), 0, "it is not silent");
    assert_eq!(forget(1, but("kaze")).await.unwrap(), 0, "it is wanted");
    assert_eq!(forget(1, but("kage")).await.unwrap(), 1);
    assert!(store.daemons().await.unwrap().is_empty());
}

async fn a_released_record_is_due_at_once(store: &dyn Store) {
    add(store, &["10.0.0.1"]).await;
    let lease = claim(store, "kaze@a", 1, t0()).await[0].lease_id;
    assert!(store.release(lease, t0()).await.unwrap());
    assert!(!store.release(lease, t0()).await.unwrap());
    assert_eq!(claim(store, "kaze@b", 1, t0()).await.len(), 1);
}

async fn a_result_ends_the_work_for_a_day(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    claim(store, "kaze@a", 1, t0()).await;
    let done = submit(store, scan(id, "kaze@a", after(1)), None)
        .await
        .unwrap();
    assert!(outcome(&done).starts_with("Stored"), "{done}");
    assert!(claim(store, "kaze@b", 1, after(24 * 60)).await.is_empty());
    assert_eq!(claim(store, "kaze@b", 1, after(24 * 60 + 1)).await.len(), 1);
    let target = store.target(id).await.unwrap().unwrap();
    let due = |kind| target.work.iter().find(|w| w.kind == kind).unwrap().due_at;
    assert_eq!(due(WorkKind::RyuAssessment), Some(after(1)));
    assert_eq!(due(WorkKind::SuzuEnum), Some(after(1)));
    assert_eq!(due(WorkKind::KagePortScan), Some(t0()), "kage has its own");
    let events = store
        .events(EventQuery {
            after: 0,
            limit: 10,
        })
        .await
        .unwrap();
    assert_eq!(events[0].kind, "scan_completed");
    assert_eq!(events[0].daemon_name.as_deref(), Some("kaze"));
}

async fn a_stored_scan_comes_back_whole(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    submit(store, scan(id, "kaze@a", t0()), None).await.unwrap();
    let query = |target: Option<&str>, record_id| ScanQuery {
        limit: 10,
        target: target.map(str::to_owned),
        record_id,
        ..ScanQuery::default()
    };
    let found = store.scans(query(Some("10.0.0.1"), None)).await.unwrap();
    let by_id = store.scans(query(None, Some(id))).await.unwrap();
    assert_eq!(found.items, by_id.items);
    let one = &found.items[0];
    assert_eq!(store.scan(one.id).await.unwrap().as_ref(), Some(one));
    assert_eq!((one.open_ports[0].port, one.ports_scanned), (80, 22));
    assert_eq!(one.finished_at, t0());
    let other = store.scans(query(Some("10.0.0.2"), None)).await.unwrap();
    assert!(other.items.is_empty());
    assert!(store.delete_target(id).await.unwrap());
    assert_eq!(all_scans(store).await, 1, "what was found is kept");
}

async fn the_same_key_is_done_once(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let all = (0..100).map(|_| submit(store, scan(id, "kaze@a", t0()), key("k", 1)));
    let mut bodies: Vec<_> = join_all(all)
        .await
        .into_iter()
        .map(|b| b.unwrap())
        .collect();
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(all_scans(store).await, 1);
    let other = submit(store, scan(id, "kaze@a", t0()), key("k", 2)).await;
    assert!(matches!(other, Err(StoreError::KeyReused)));
    let done = store.purge(Kept::Answers, after(1), None, 10).await;
    assert_eq!(done.unwrap().removed, 1);
}

async fn repetitions_are_told_from_new_scans(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let send = |caller, keyed, minutes, k: &str| {
        let submission = Submission {
            keyed,
            ..scan(id, caller, after(minutes))
        };
        let key = if keyed { key(k, 1) } else { None };
        async move { outcome(&submit(store, submission, key).await.unwrap()) }
    };
    assert!(send("kaze@a", true, 0, "1").await.starts_with("Stored"));
    assert_eq!(send("kaze@b", true, 1, "2").await, "Recent(1)");
    assert_eq!(send("kaze@a", false, 1, "").await, "Recent(1)");
    assert!(send("kaze@a", true, 1, "3").await.starts_with("Stored"));
    assert!(send("kaze@b", true, 6, "4").await.starts_with("Stored"));
    let kage = Submission {
        scan_type: "kage_port_scan".to_owned(),
        kind: Some(WorkKind::KagePortScan),
        ..scan(id, "kage@b", after(6))
    };
    let kage = submit(store, kage, None).await.unwrap();
    assert!(
        outcome(&kage).starts_with("Stored"),
        "another type is no repetition"
    );
}

async fn a_failed_attempt_backs_off(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    claim(store, "kaze@a", 1, t0()).await;
    submit(store, attempt(id, "kaze@a", t0()), None)
        .await
        .unwrap();
    assert!(claim(store, "kaze@a", 1, after(4)).await.is_empty());
    assert_eq!(claim(store, "kaze@a", 1, after(5)).await.len(), 1);
    submit(store, attempt(id, "kaze@a", after(5)), None)
        .await
        .unwrap();
    assert!(claim(store, "kaze@a", 1, after(14)).await.is_empty());
    let held = claim(store, "kaze@b", 1, after(15)).await;
    assert_eq!(held.len(), 1);
    submit(store, attempt(id, "kaze@a", after(16)), None)
        .await
        .unwrap();
    assert!(
        store.release(held[0].lease_id, after(16)).await.unwrap(),
        "b's lease stands"
    );
    assert_eq!(all_scans(store).await, 0);
}

async fn an_unknown_record_is_refused(store: &dyn Store) {
    let refused = submit(store, scan(Uuid::now_v7(), "kaze@a", t0()), key("k", 1)).await;
    assert!(matches!(refused, Err(StoreError::UnknownRecord)));
    assert_eq!(all_scans(store).await, 0);
}

async fn what_takes_no_part_is_not_due(store: &dyn Store) {
    let records = vec![NewRecord {
        alive: false,
        ..record("10.0.0.1")
    }];
    let render = |_: &Created| Answer {
        status: 200,
        body: String::new(),
    };
    store
        .create_records(records, None, t0(), Box::new(render))
        .await
        .unwrap();
    assert!(claim(store, "kaze@a", 10, after(60)).await.is_empty());
}

async fn put_off_ends_the_lease(store: &dyn Store) {
    add(store, &["10.0.0.1"]).await;
    let lease_id = claim(store, "kaze@a", 1, t0()).await[0].lease_id;
    let item = PutOff {
        lease_id,
        until: after(60),
        error: "out of scope".to_owned(),
        event: Some(NewEvent {
            kind: "scope_violation_blocked",
            daemon_name: None,
            hostname: None,
            data: json!({}),
        }),
    };
    store.put_off(vec![item], t0()).await.unwrap();
    assert!(!store.release(lease_id, t0()).await.unwrap());
    assert!(claim(store, "kaze@a", 1, after(59)).await.is_empty());
    assert_eq!(claim(store, "kaze@a", 1, after(60)).await.len(), 1);
}

async fn pages_give_each_once(store: &dyn Store) {
    let names: Vec<String> = (0..25).map(|n| format!("h{n}.example.org")).collect();
    let ids = add(store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    let mut next = None;
    loop {
        let query = TargetQuery {
            limit: 10,
            after: next,
            ..TargetQuery::default()
        };
        let page = store.targets(query).await.unwrap();
        assert!(
            page.items
                .iter()
                .all(|t| t.work.len() == WorkKind::ALL.len())
        );
        seen.extend(page.items.into_iter().map(|t| t.id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids, "in the order of their creation");
    let query = TargetQuery {
        limit: 10,
        text: Some("H7.".to_owned()),
        ..TargetQuery::default()
    };
    assert_eq!(store.targets(query).await.unwrap().items.len(), 1);
}

async fn a_closed_store_fails_and_says_so(store: &dyn Store) {
    store.check().await.unwrap();
    store.close().await;
    assert!(matches!(
        store.check().await,
        Err(StoreError::Unavailable(_))
    ));
    let late = store.release(Uuid::nil(), t0()).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))));
}

contract!(
    the_same_target_is_never_twice,
    nobody_gets_what_another_has,
    an_expired_lease_goes_back,
    a_heartbeat_renews,
    a_silent_agent_is_forgotten,
    a_released_record_is_due_at_once,
    a_result_ends_the_work_for_a_day,
    a_stored_scan_comes_back_whole,
    the_same_key_is_done_once,
    repetitions_are_told_from_new_scans,
    a_failed_attempt_backs_off,
    an_unknown_record_is_refused,
    what_takes_no_part_is_not_due,
    put_off_ends_the_lease,
    pages_give_each_once,
    a_closed_store_fails_and_says_so,
);
