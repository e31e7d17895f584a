//! Changes, events, webhooks, retention.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{contract, new_database};
use crate::api::{PortCounts, ScanPort, WorkKind};
use crate::hub::store::postgres::PostgresStore;
use crate::hub::store::*;

pub(super) fn day(n: i64) -> DateTime<Utc> {
    let first: DateTime<Utc> = "2026-11-21T06:00:00Z".parse().unwrap();
    first + TimeDelta::days(n)
}

pub(super) async fn add(store: &dyn Store, name: &str) -> Uuid {
    let record = NewRecord {
        key: name.to_owned(),
        sub_domain: Some(name.to_owned()),
        domainname: None,
        ip_address: name.parse().ok(),
        cidr: None,
        group: None,
        projectegg: None,
        alive: true,
    };
    let render = |made: &Created| Answer {
        status: 200,
        body: made.created[0].id.to_string(),
    };
    let answer = store
        .create_records(vec![record], None, day(0), Box::new(render))
        .await;
    answer.unwrap().body.parse().unwrap()
}

fn port(port: u16) -> ScanPort {
    ScanPort {
        port,
        protocol: "tcp".to_owned(),
        service: "http".to_owned(),
        product: "nginx".to_owned(),
        version: String::new(),
        cpe: Vec::new(),
        banner: String::new(),
        tls: None,
        confidence: 1.0,
        waf: None,
        details: Default::default(),
    }
}

pub(super) fn scan(id: Uuid, scan_type: &str, ports: &[u16], now: DateTime<Utc>) -> Submission {
    Submission {
        record_id: id,
        scan_type: scan_type.to_owned(),
        kind: Some(WorkKind::KazePortScan),
        caller: "kaze@a".to_owned(),
        keyed: true,
        rescan_after: Duration::from_secs(60),
        now,
        run: None,
        outcome: Ok(NewScan {
            id: Uuid::now_v7(),
            target: "www.example.org".to_owned(),
            ip_address: None,
            host: HostFacts::default(),
            agent: Some("kaze@a".to_owned()),
            engine: "connect".to_owned(),
            scan_command: String::new(),
            started_at: None,
            finished_at: now,
            scan_duration: 1.0,
            ports_scanned: 100,
            port_counts: PortCounts::default(),
            udp_counts: None,
            open_ports: ports.iter().copied().map(port).collect(),
            web: false,
            rest: json!({}),
        }),
    }
}

pub(super) async fn submit(store: &dyn Store, submission: Submission) {
    let render = |_: &Submitted, _: &Record| Answer {
        status: 200,
        body: String::new(),
    };
    let answer = store
        .submit_scan(submission, None, Box::new(|_, _| Ok(())), Box::new(render))
        .await;
    assert_eq!(answer.unwrap().status, 200);
}

pub(super) async fn changes(store: &dyn Store, query: ChangeQuery) -> Vec<String> {
    let query = ChangeQuery {
        limit: 100,
        ..query
    };
    let page = store.changes(query).await.unwrap();
    assert_eq!(page.next, None);
    let told = page.items.iter();
    told.map(|c| format!("{} {}", c.kind, c.subject)).collect()
}

fn event(kind: &'static str) -> NewEvent {
    NewEvent {
        kind,
        daemon_name: Some("kaze".to_owned()),
        hostname: Some("a".to_owned()),
        data: json!({ "n": 1 }),
    }
}

async fn page(store: &dyn Store, after: i64, kinds: &[&str], limit: u32) -> EventPage {
    let filter = EventFilter {
        after,
        kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
        limit,
    };
    store.event_page(filter).await.unwrap()
}

async fn scans_show_changes(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    let kaze = "kaze_port_scan";
    submit(store, scan(id, kaze, &[22, 80], day(0))).await;
    submit(store, scan(id, "kage_port_scan", &[22], day(0))).await;
    assert_eq!(changes(store, ChangeQuery::default()).await.len(), 0);
    submit(store, scan(id, kaze, &[22, 80], day(1))).await;
    submit(store, scan(id, kaze, &[22, 443], day(2))).await;
    let all = ["port_closed 80/tcp", "port_opened 443/tcp"];
    assert_eq!(changes(store, ChangeQuery::default()).await, all);
    let told = page(store, 0, &["change_detected"], 10).await.events;
    let data = &told[0].data;
    assert_eq!(data["type"], "port_opened");
    assert_eq!(data["subject"], "443/tcp");
    assert_eq!(data["after"]["product"], "nginx");
    assert_eq!(told[0].daemon_name.as_deref(), Some("kaze"));
    assert_eq!(told.len(), 2);
}

/// What a scan that broke off did not see is remembered beside it.
async fn a_scan_that_broke_off_closes_nothing(store: &dyn Store) {
    let id = add(store, "10.0.0.1").await;
    let kaze = "kaze_port_scan";
    submit(store, scan(id, kaze, &[22, 80], day(0))).await;
    let mut broken = scan(id, kaze, &[22], day(1));
    if let Ok(scan) = &mut broken.outcome {
        scan.rest = json!({ "incomplete": true });
    }
    submit(store, broken).await;
    submit(store, scan(id, kaze, &[22, 80], day(2))).await;
    assert_eq!(changes(store, ChangeQuery::default()).await.len(), 0);
    submit(store, scan(id, kaze, &[22], day(3))).await;
    let all = changes(store, ChangeQuery::default()).await;
    assert_eq!(all, ["port_closed 80/tcp"]);
}

async fn changes_are_filtered_and_paged(store: &dyn Store) {
    let (one, other) = (add(store, "10.0.0.1").await, add(store, "10.0.0.2").await);
    for (n, ports) in [&[1][..], &[1, 2], &[1, 2, 3], &[2, 3]]
        .into_iter()
        .enumerate()
    {
        let now = day(n as i64);
        submit(store, scan(one, "kaze_port_scan", ports, now)).await;
    }
    submit(store, scan(other, "kaze_port_scan", &[7], day(3))).await;
    submit(store, scan(other, "kaze_port_scan", &[7, 8], day(4))).await;
    let of = |query: ChangeQuery| changes(store, query);
    let record = ChangeQuery {
        record_id: Some(other),
        ..ChangeQuery::default()
    };
    assert_eq!(of(record).await, ["port_opened 8/tcp"]);
    for (target, n) in [("10.0.0.1", 3), ("www.example.org", 4), ("nobody", 0)] {
        let query = ChangeQuery {
            target: Some(target.to_owned()),
            ..ChangeQuery::default()
        };
        assert_eq!(of(query).await.len(), n, "{target}");
    }
    let closed = ChangeQuery {
        kind: Some("port_closed".to_owned()),
        ..ChangeQuery::default()
    };
    assert_eq!(of(closed.clone()).await, ["port_closed 1/tcp"]);
    let none = ChangeQuery {
        record_id: Some(other),
        ..closed
    };
    assert_eq!(of(none).await.len(), 0);
    let since = ChangeQuery {
        since: Some(day(3)),
        ..ChangeQuery::default()
    };
    assert_eq!(of(since).await, ["port_opened 8/tcp", "port_closed 1/tcp"]);
    let (mut before, mut seen) = (None, 0);
    loop {
        let query = ChangeQuery {
            limit: 3,
            before,
            ..ChangeQuery::default()
        };
        let page = store.changes(query).await.unwrap();
        seen += page.items.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, 4);
}

async fn events_come_by_type_and_in_bounded_steps(store: &dyn Store) {
    for n in 0..50 {
        let kind = if n % 25 == 24 { "rare" } else { "frequent" };
        store.add_event(event(kind), day(n)).await.unwrap();
    }
    let (mut after, mut found, mut steps) = (0, Vec::new(), 0);
    loop {
        let page = page(store, after, &["rare", "unheard_of"], 10).await;
        found.extend(page.events.iter().map(|e| e.timestamp));
        after = page.last_seq;
        steps += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!(found, [day(24), day(49)]);
    assert_eq!(steps, 3, "twenty at a time");
    let first = page(store, 0, &[], 5).await;
    assert_eq!((first.events.len(), first.more), (5, true));
    assert_eq!(first.last_seq, first.events[4].seq);
    let end = page(store, after, &[], 5).await;
    assert_eq!(
        (end.events.len(), end.last_seq, end.more),
        (0, after, false)
    );
    let nowhere = store.last_seq_before(day(0)).await.unwrap();
    assert_eq!(nowhere, first.events[0].seq - 1);
    let middle = store.last_seq_before(day(2)).await.unwrap();
    assert_eq!(middle, first.events[1].seq);
    assert_eq!(store.last_seq_before(day(99)).await.unwrap(), after);
}

async fn who_waits_hears_of_what_is_committed(store: &dyn Store) {
    let (mut added, mut told) = (store.events_added(), store.events_told());
    let unknown = scan(Uuid::nil(), "kaze_port_scan", &[1], day(0));
    let render = |_: &Submitted, _: &Record| Answer {
        status: 200,
        body: String::new(),
    };
    let refused = store
        .submit_scan(unknown, None, Box::new(|_, _| Ok(())), Box::new(render))
        .await;
    assert!(matches!(refused, Err(StoreError::UnknownRecord)));
    assert!(told.try_recv().is_err(), "nothing was committed");
    store.add_event(event("x"), day(0)).await.unwrap();
    added.changed().await.unwrap();
    let event = told.recv().await.unwrap();
    assert_eq!((event.kind, event.data.as_str()), ("x", "{\"n\":1}"));
    assert!(told.try_recv().is_err(), "once");
}

async fn what_is_old_goes_in_batches(store: &dyn Store) {
    for n in 0..10 {
        store.add_event(event("x"), day(n)).await.unwrap();
    }
    let purge = async |what, n, limit| {
        let done = store.purge(what, day(n), None, limit).await.unwrap();
        (done.removed, done.recent)
    };
    assert_eq!(purge(Kept::Events, 5, 3).await, (3, None));
    assert_eq!(purge(Kept::Events, 5, 3).await, (2, Some(day(5))));
    assert_eq!(purge(Kept::Events, 5, 3).await, (0, Some(day(5))));
    let left = page(store, 0, &[], 100).await.events;
    assert_eq!(left.len(), 5);
    assert_eq!(left[0].timestamp, day(5));

    let id = add(store, "10.0.0.1").await;
    for n in 0..4 {
        let ports: Vec<u16> = (1..=n + 1).collect();
        let now = day(i64::from(n));
        submit(store, scan(id, "kaze_port_scan", &ports, now)).await;
    }
    assert_eq!(purge(Kept::Changes, 3, 10).await.0, 2);
    let left = changes(store, ChangeQuery::default()).await;
    assert_eq!(left, ["port_opened 4/tcp"]);
}

/// A clock that was wrong for a while holds nothing up.
async fn what_is_behind_a_time_in_the_future_goes(store: &dyn Store) {
    for n in [900, 900, 900, 900, 0, 1, 2, 30] {
        store.add_event(event("x"), day(n)).await.unwrap();
    }
    let (mut after, mut removed) = (None, 0);
    loop {
        let done = store.purge(Kept::Events, day(10), after, 3).await.unwrap();
        removed += done.removed;
        after = done.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(removed, 3);
    assert_eq!(page(store, 0, &[], 100).await.events.len(), 5);
}

async fn the_last_scan_of_each_type_stays(store: &dyn Store) {
    let (one, other) = (add(store, "10.0.0.1").await, add(store, "10.0.0.2").await);
    submit(store, scan(one, "kage_port_scan", &[1], day(0))).await;
    for n in 0..5 {
        submit(store, scan(one, "kaze_port_scan", &[1], day(n))).await;
    }
    submit(store, scan(other, "kaze_port_scan", &[1], day(4))).await;
    submit(store, scan(other, "kaze_port_scan", &[1], day(50))).await;
    let (mut removed, mut after) = (0, None);
    for _ in 0..10 {
        let done = store.purge(Kept::Scans, day(40), after, 3).await.unwrap();
        removed += done.removed;
        after = done.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((removed, after), (5, None));
    let query = ScanQuery {
        limit: 100,
        ..ScanQuery::default()
    };
    let left = store.scans(query).await.unwrap().items;
    let left: Vec<_> = left
        .iter()
        .map(|s| (s.eggrecord_id, s.scan_type.as_str(), s.finished_at))
        .collect();
    let wanted = [
        (other, "kaze_port_scan", day(50)),
        (one, "kaze_port_scan", day(4)),
        (one, "kage_port_scan", day(0)),
    ];
    assert_eq!(left, wanted);
}

async fn one_at_a_time_has_a_webhook(store: &dyn Store) {
    store.add_event(event("x"), day(0)).await.unwrap();
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let hold = |holder, now, until| store.hold_webhook("soc".to_owned(), holder, now, until);
    let first = hold(a, day(0), day(1)).await.unwrap().unwrap();
    let last = page(store, 0, &[], 10).await.last_seq;
    assert_eq!(first.position, last, "it begins with what comes now");
    assert_eq!(hold(b, day(0), day(1)).await.unwrap(), None);
    let far = Progress {
        position: last + 7,
        failing_since: Some(day(0)),
        delivered: 5,
        given_up: 2,
    };
    let put = |holder, event| store.put_webhook("soc".to_owned(), holder, far, event, day(0));
    assert!(!put(b, Some(event("webhook_failed"))).await.unwrap());
    assert!(put(a, Some(event("webhook_failed"))).await.unwrap());
    let said = page(store, 0, &["webhook_failed"], 10).await.events;
    assert_eq!(said.len(), 1, "only from who has it");
    assert_eq!(hold(a, day(0), day(2)).await.unwrap(), Some(far), "renewed");
    assert_eq!(hold(b, day(2), day(3)).await.unwrap(), Some(far), "over");
    let all = store.webhooks().await.unwrap();
    assert_eq!(all, [("soc".to_owned(), far)]);
    assert!(!put(a, None).await.unwrap());
}

contract!(
    scans_show_changes,
    a_scan_that_broke_off_closes_nothing,
    changes_are_filtered_and_paged,
    events_come_by_type_and_in_bounded_steps,
    who_waits_hears_of_what_is_committed,
    what_is_old_goes_in_batches,
    what_is_behind_a_time_in_the_future_goes,
    the_last_scan_of_each_type_stays,
    one_at_a_time_has_a_webhook,
);

/// Two hubs over one database.
#[tokio::test]
async fn a_neighbour_rings() {
    let url = new_database().await;
    let one = PostgresStore::open(&url).await.unwrap();
    let other = PostgresStore::open(&url).await.unwrap();
    let mut added = other.events_added();
    let told = other.events_told();
    // It rings once for itself when it begins to listen.
    added.changed().await.unwrap();
    one.add_event(event("x"), day(0)).await.unwrap();
    added.changed().await.unwrap();
    assert_eq!(page(&other, 0, &[], 10).await.events.len(), 1);
    assert!(told.is_empty(), "it is in the other's journal");
    one.close().await;
    other.close().await;
}
