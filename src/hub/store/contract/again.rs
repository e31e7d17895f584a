//! When an assessment is due again: after its time, and at once when what it rests on changes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::contract;
use super::evidence::scanned;
use super::results::{claim, send_paths};
use super::samples::{assessment, delivered, failed, finding, paths, render, spider};
use super::spine::{add, after, submit};
use super::web::{page, send};
use crate::api::{RiskLevel, WorkKind};
use crate::hub::store::*;

const KIND: WorkKind = WorkKind::RyuAssessment;

async fn assess(store: &dyn Store, id: Uuid, now: DateTime<Utc>) {
    let result = delivered(id, 7, now, assessment(RiskLevel::Low));
    let done = store.submit_assessment(result, None, render()).await;
    assert!(done.unwrap().body.starts_with("Stored"));
}

/// Whether the record is due and nobody is at it.
async fn is_due(store: &dyn Store, id: Uuid, minutes: i64) -> bool {
    let target = store.target(id).await.unwrap().unwrap();
    let work = target.work.into_iter().find(|w| w.kind == KIND).unwrap();
    work.due_at.is_some_and(|due| due <= after(minutes))
}

async fn scans(store: &dyn Store, id: Uuid, kind: &str, minutes: i64, open: &[u16]) {
    let scan = scanned(id, kind, minutes, open);
    submit(store, scan, None).await.unwrap();
}

/// A record that was scanned and assessed.
async fn assessed(store: &dyn Store) -> Uuid {
    let id = add(store, &["10.0.0.1"]).await[0];
    scans(store, id, "kaze_port_scan", 0, &[80]).await;
    assert!(is_due(store, id, 0).await, "first data");
    assess(store, id, after(1)).await;
    let week = 7 * 24 * 60;
    assert!(!is_due(store, id, week).await);
    assert!(is_due(store, id, week + 1).await);
    id
}

async fn ports_that_change_are_assessed_at_once(store: &dyn Store) {
    let id = assessed(store).await;
    scans(store, id, "kaze_port_scan", 10, &[80]).await;
    assert!(!is_due(store, id, 10).await, "nothing changed");
    scans(store, id, "kaze_port_scan", 20, &[80, 443]).await;
    assert!(is_due(store, id, 20).await);
    assess(store, id, after(21)).await;
    scans(store, id, "kaze_port_scan", 30, &[443]).await;
    assert!(is_due(store, id, 30).await);
    assess(store, id, after(31)).await;
    // The first scan of another type is compared with nothing, but it may show more, or less.
    scans(store, id, "kage_port_scan", 40, &[443]).await;
    assert!(is_due(store, id, 40).await);
    assess(store, id, after(41)).await;
    scans(store, id, "kage_port_scan", 50, &[443]).await;
    assert!(!is_due(store, id, 50).await);
    scans(store, id, "ryu_port_scan", 60, &[]).await;
    assert!(is_due(store, id, 60).await);
}

async fn who_is_at_it_ends_before_it_is_due_again(store: &dyn Store) {
    let id = assessed(store).await;
    scans(store, id, "kaze_port_scan", 20, &[443]).await;
    assert_eq!(claim(store, KIND, after(20)).await, [(id, 0)]);
    scans(store, id, "kaze_port_scan", 26, &[22]).await;
    assert!(
        claim(store, KIND, after(26)).await.is_empty(),
        "it is leased"
    );
    assess(store, id, after(27)).await;
    assert_eq!(claim(store, KIND, after(27)).await, [(id, 0)]);
    assess(store, id, after(28)).await;
    assert!(!is_due(store, id, 1000).await, "once is enough");

    // What changed before an agent took it, whose assessment failed, is no reason for two.
    scans(store, id, "kaze_port_scan", 40, &[443]).await;
    assert_eq!(claim(store, KIND, after(40)).await.len(), 1);
    scans(store, id, "kaze_port_scan", 46, &[22]).await;
    let result = failed(delivered(id, 7, after(47), assessment(RiskLevel::Low)));
    store
        .submit_assessment(result, None, render())
        .await
        .unwrap();
    assert_eq!(
        claim(store, KIND, after(52)).await.len(),
        1,
        "as failures are"
    );
    assess(store, id, after(53)).await;
    assert!(!is_due(store, id, 1000).await);
}

async fn sites_that_change_are_assessed_at_once(store: &dyn Store) {
    let id = assessed(store).await;
    let crawl = |run: &str, hash: &str| {
        let mut crawl = spider(run, &["http://10.0.0.1/"]);
        crawl.pages = Some(vec![page("/", 200, hash)]);
        crawl.facts.complete = Some(true);
        crawl
    };
    send(store, id, crawl("1", "a"), after(10)).await;
    assert!(is_due(store, id, 10).await, "the first crawl is news");
    assess(store, id, after(11)).await;
    send(store, id, crawl("2", "a"), after(20)).await;
    assert!(!is_due(store, id, 20).await);
    send(store, id, crawl("3", "b"), after(30)).await;
    assert!(is_due(store, id, 30).await, "a page changed");
    assess(store, id, after(31)).await;
    let mut leaking = crawl("4", "b");
    leaking.findings = vec![finding(1)];
    send(store, id, leaking, after(40)).await;
    assert!(is_due(store, id, 40).await, "a secret");
    assess(store, id, after(41)).await;

    let found = |run: &str, list: &[(&str, Option<u16>)]| {
        let mut found = paths(list);
        found.facts.run = run.to_owned();
        found
    };
    let first = found("1", &[("/admin", Some(200)), ("/no", Some(404))]);
    send_paths(store, delivered(id, 30, after(50), first.clone())).await;
    assert!(is_due(store, id, 50).await, "the first enumeration is news");
    assess(store, id, after(51)).await;
    send_paths(store, delivered(id, 30, after(60), first)).await;
    assert!(!is_due(store, id, 60).await);
    let second = found("2", &[("/.git/HEAD", Some(200))]);
    send_paths(store, delivered(id, 30, after(70), second)).await;
    assert!(is_due(store, id, 70).await);
}

contract!(
    ports_that_change_are_assessed_at_once,
    who_is_at_it_ends_before_it_is_due_again,
    sites_that_change_are_assessed_at_once,
);
