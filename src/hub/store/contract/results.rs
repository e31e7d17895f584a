//! Spiders, assessments, findings, progress; paths are in `paths`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::contract;
use super::samples::{assessment, delivered, failed, finding, paths, render, spider};
use super::spine::{add, after, key, scan, submit, t0};
use crate::api::{Event, Progress, RiskLevel, Technology, WorkKind};
use crate::hub::store::*;

async fn send_spider(
    store: &dyn Store,
    result: Delivered<Spider>,
    key: Option<Idempotency>,
) -> String {
    let answer = store.submit_spider(result, key, render()).await;
    answer.unwrap().body
}

pub(super) async fn send_paths(store: &dyn Store, result: Delivered<Enumeration>) -> String {
    let answer = store.submit_enumeration(result, None, render()).await;
    answer.unwrap().body
}

async fn assess(store: &dyn Store, id: Uuid, risk: RiskLevel, now: DateTime<Utc>) {
    let result = delivered(id, 7, now, assessment(risk));
    let answer = store.submit_assessment(result, None, render()).await;
    assert!(answer.unwrap().body.starts_with("Stored"));
}

pub(super) async fn claim(
    store: &dyn Store,
    kind: WorkKind,
    now: DateTime<Utc>,
) -> Vec<(Uuid, i64)> {
    let claim = Claim {
        kind,
        limit: 10,
        owner: "agent@a".to_owned(),
        lease: Duration::from_secs(600),
        now,
    };
    let claimed = store.claim(claim).await.unwrap();
    claimed.iter().map(|c| (c.record.id, c.priority)).collect()
}

pub(super) async fn events(store: &dyn Store, kind: &str) -> Vec<Event> {
    let query = EventQuery {
        after: 0,
        limit: 1000,
    };
    let all = store.events(query).await.unwrap();
    all.into_iter().filter(|e| e.kind == kind).collect()
}

pub(super) async fn changes(store: &dyn Store) -> Vec<(Value, Value)> {
    let all = events(store, "change_detected").await;
    all.iter()
        .map(|e| (e.data["type"].clone(), e.data["subject"].clone()))
        .collect()
}

async fn counts(store: &dyn Store, id: Uuid) -> SummaryCounts {
    store.summary(id).await.unwrap().unwrap().counts
}

async fn a_request_of_one_run_is_stored_once(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let urls: Vec<String> = (0..450).map(|n| format!("http://10.0.0.1/{n}")).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let mut twice = urls.clone();
    twice.extend(&urls);
    let send = |run, urls: &[&str], minutes| {
        let result = delivered(id, 182, after(minutes), spider(run, urls));
        send_spider(store, result, None)
    };
    let first = send("1", &twice, 0).await;
    assert!(first.contains("requests: 450"), "{first}");
    assert!(send("1", &urls, 1).await.contains("requests: 0"));
    assert!(send("2", &urls[..2], 2).await.contains("requests: 2"));
    assert_eq!(counts(store, id).await.requests, 452);
    assert_eq!(counts(store, id).await.endpoints, 452);
    let newest = &store.summary(id).await.unwrap().unwrap().requests[0];
    assert_eq!(newest.created_at, after(2));
    assert_eq!(newest.request_headers, Some(json!({ "Accept": "*/*" })));
    assert_eq!(
        newest.javascript,
        Some(json!({ "api_endpoints": ["/api"] }))
    );
    let told = events(store, "spider_completed").await;
    assert_eq!(told.len(), 3);
    assert_eq!(told[0].daemon_name.as_deref(), Some("agent"));
}

async fn a_spider_is_due_after_half_a_year(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assert_eq!(claim(store, WorkKind::KumoSpider, t0()).await, [(id, 0)]);
    let result = delivered(id, 182, t0(), spider("1", &["http://10.0.0.1/"]));
    send_spider(store, result, None).await;
    let day = 24 * 60;
    assert!(
        claim(store, WorkKind::KumoSpider, after(182 * day - 1))
            .await
            .is_empty()
    );
    assert_eq!(
        claim(store, WorkKind::SuzuEnum, t0()).await.len(),
        1,
        "HTTP"
    );
    assert_eq!(
        claim(store, WorkKind::KumoSpider, after(182 * day))
            .await
            .len(),
        1
    );
}

async fn failed_results_back_off(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    submit(store, scan(id, "kaze@a", t0()), None).await.unwrap();
    for kind in [
        WorkKind::KumoSpider,
        WorkKind::SuzuEnum,
        WorkKind::RyuAssessment,
    ] {
        assert_eq!(claim(store, kind, t0()).await.len(), 1, "{kind}");
    }
    let done = send_spider(
        store,
        failed(delivered(id, 182, t0(), spider("1", &[]))),
        None,
    )
    .await;
    assert!(done.starts_with("Attempt"));
    let done = send_paths(store, failed(delivered(id, 30, t0(), paths(&[])))).await;
    assert!(done.starts_with("Attempt"));
    let result = failed(delivered(id, 7, t0(), assessment(RiskLevel::Low)));
    store
        .submit_assessment(result, None, render())
        .await
        .unwrap();
    for kind in [
        WorkKind::KumoSpider,
        WorkKind::SuzuEnum,
        WorkKind::RyuAssessment,
    ] {
        assert!(claim(store, kind, after(4)).await.is_empty(), "{kind}");
        assert_eq!(claim(store, kind, after(5)).await.len(), 1, "{kind}");
    }
    let counts = counts(store, id).await;
    assert_eq!((counts.requests, counts.paths), (0, 0));
}

async fn both_scan_and_requests_give_priority(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]).await;
    let kind = WorkKind::RyuAssessment;
    assert!(
        claim(store, kind, t0()).await.is_empty(),
        "nothing to assess"
    );
    let spidered = |id: Uuid, status| {
        let mut found = spider("1", &["http://x/"]);
        found.requests[0].response_status = status;
        send_spider(store, delivered(id, 182, t0(), found), None)
    };
    submit(store, scan(ids[0], "kaze@a", t0()), None)
        .await
        .unwrap();
    spidered(ids[1], 200).await;
    spidered(ids[2], 404).await;
    submit(store, scan(ids[2], "kaze@a", t0()), None)
        .await
        .unwrap();
    submit(store, scan(ids[3], "kaze@a", t0()), None)
        .await
        .unwrap();
    spidered(ids[3], 200).await;
    let mut due = claim(store, kind, t0()).await;
    due[..2].sort_unstable();
    due[2..].sort_unstable();
    assert_eq!(due, [(ids[2], 1), (ids[3], 1), (ids[0], 0), (ids[1], 0)]);
    assess(store, ids[3], RiskLevel::Low, after(1)).await;
    let week = 7 * 24 * 60;
    let due = claim(store, kind, after(week)).await;
    assert!(!due.contains(&(ids[3], 1)));
    let due = claim(store, kind, after(week + 1)).await;
    assert_eq!(due, [(ids[3], 1)], "the priority stays");
}

async fn technologies_that_differ_are_changes(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let send = |run, list: &[(&str, &str)], minutes| {
        let technology = |(name, version): &(&str, &str)| Technology {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            category: String::new(),
        };
        let found = Spider {
            technologies: Some(list.iter().map(technology).collect()),
            ..spider(run, &["http://x/"])
        };
        send_spider(store, delivered(id, 182, after(minutes), found), None)
    };
    send("1", &[("nginx", "1.18"), ("php", "8")], 0).await;
    assert!(changes(store).await.is_empty());
    send("2", &[("nginx", "1.20"), ("wordpress", "")], 1).await;
    let mut told = changes(store).await;
    told.sort_by_key(|(_, name)| name.to_string());
    let names: Vec<_> = told
        .iter()
        .map(|(_, name)| name.as_str().unwrap())
        .collect();
    assert_eq!(names, ["nginx", "php", "wordpress"]);
    send("3", &[("nginx", "1.20"), ("wordpress", "")], 2).await;
    assert_eq!(changes(store).await.len(), 3);
    let summary = store.summary(id).await.unwrap().unwrap();
    assert_eq!(summary.technologies.len(), 2);
}

async fn a_risk_that_moves_is_a_change(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    for (minutes, risk) in [RiskLevel::Low, RiskLevel::Low, RiskLevel::High]
        .iter()
        .enumerate()
    {
        assess(store, id, *risk, after(minutes as i64)).await;
    }
    assert_eq!(
        changes(store).await,
        [(json!("risk_changed"), json!("risk_level"))]
    );
    let told = events(store, "change_detected").await;
    assert_eq!(told[0].data["before"], "low");
    assert_eq!(told[0].data["after"], "high");
    assert_eq!(events(store, "assessment_completed").await.len(), 3);
    let query = AssessmentQuery {
        limit: 2,
        ..AssessmentQuery::default()
    };
    let page = store.assessments(query.clone()).await.unwrap();
    assert_eq!(page.items[0].risk_level, RiskLevel::High);
    assert_eq!(page.items[0].vulnerabilities, json!([{ "type": "x" }]));
    let query = AssessmentQuery {
        before: page.next,
        ..query
    };
    let rest = store.assessments(query).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let query = AssessmentQuery {
        limit: 10,
        target: Some("10.0.0.1".to_owned()),
        risk_level: Some(RiskLevel::Low),
        ..AssessmentQuery::default()
    };
    assert_eq!(store.assessments(query).await.unwrap().items.len(), 2);
}

async fn what_a_later_run_replaced_goes(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    for (run, minutes) in [("1", 0), ("2", 10), ("3", 20)] {
        let urls = ["http://10.0.0.1/a", "http://10.0.0.1/b"];
        let result = delivered(ids[0], 182, after(minutes), spider(run, &urls));
        send_spider(store, result, None).await;
        assess(store, ids[0], RiskLevel::Low, after(minutes)).await;
    }
    let only = delivered(ids[1], 182, after(1), spider("1", &["http://10.0.0.2/"]));
    send_spider(store, only, None).await;
    assess(store, ids[1], RiskLevel::High, after(1)).await;
    for (what, most) in [(Kept::Requests, 2), (Kept::Assessments, 1)] {
        // The first run is old, then all are; the last one stays.
        for (before, gone) in [(5, most), (100, most)] {
            let (mut removed, mut last) = (0, None);
            loop {
                let done = store.purge(what, after(before), last, 2).await;
                let done = done.unwrap();
                removed += done.removed;
                last = done.next;
                if last.is_none() {
                    break;
                }
            }
            assert_eq!(removed, gone, "{what:?} before {before}");
        }
    }
    assert_eq!(counts(store, ids[0]).await.requests, 2);
    assert_eq!(counts(store, ids[1]).await.requests, 1);
    let query = AssessmentQuery {
        limit: 10,
        ..AssessmentQuery::default()
    };
    let left = store.assessments(query).await.unwrap().items;
    let left: Vec<_> = left.iter().map(|a| a.eggrecord_id).collect();
    assert_eq!(left, [ids[1], ids[0]]);
}

async fn a_finding_seen_again_is_the_same(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let send = |id: Uuid, run, marks: &[u8], minutes| {
        let found = Spider {
            findings: marks.iter().map(|m| finding(*m)).collect(),
            ..spider(run, &["http://x/"])
        };
        send_spider(store, delivered(id, 182, after(minutes), found), None)
    };
    send(ids[0], "1", &[1, 2, 1], 0).await;
    send(ids[0], "2", &[2, 3], 1).await;
    send(ids[1], "1", &[1], 2).await;
    assert_eq!(events(store, "finding_created").await.len(), 4);
    let query = |change: fn(&mut FindingQuery)| {
        let mut query = FindingQuery {
            limit: 10,
            ..FindingQuery::default()
        };
        change(&mut query);
        async move { store.findings(query).await.unwrap().items }
    };
    let all = query(|_| ()).await;
    assert_eq!(all.len(), 4);
    let again = &all[2];
    assert_eq!(again.location, "http://10.0.0.1/2");
    assert_eq!((again.first_seen_at, again.last_seen_at), (t0(), after(1)));
    assert_eq!(query(|q| q.target = Some("10.0.0.2".into())).await.len(), 1);
    assert_eq!(query(|q| q.severity = Some(RiskLevel::High)).await.len(), 4);
    assert!(
        query(|q| q.severity = Some(RiskLevel::Low))
            .await
            .is_empty()
    );
    assert!(query(|q| q.kind = Some("x".into())).await.is_empty());
    assert_eq!(query(|q| q.status = Some("open".into())).await.len(), 4);
    assert_eq!(query(|q| q.limit = 3).await.len(), 3);
    assert_eq!(counts(store, ids[0]).await.secrets, 3);
}

async fn the_same_key_is_done_once(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let all = (0..100).map(|n| {
        let found = Spider {
            findings: vec![finding(1)],
            // Another run: only the key tells that it is the same.
            ..spider(&n.to_string(), &["http://x/"])
        };
        send_spider(store, delivered(id, 182, t0(), found), key("k", 1))
    });
    let mut bodies = join_all(all).await;
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(counts(store, id).await.requests, 1);
    assert_eq!(events(store, "spider_completed").await.len(), 1);
    let result = delivered(id, 182, t0(), spider("1", &["http://x/"]));
    let other = store.submit_spider(result, key("k", 2), render()).await;
    assert!(matches!(other, Err(StoreError::KeyReused)));
}

async fn unknown_records_are_refused(store: &dyn Store) {
    let id = Uuid::now_v7();
    let spider = delivered(id, 182, t0(), spider("1", &["http://x/"]));
    let spider = store.submit_spider(spider, key("k", 1), render()).await;
    assert!(matches!(spider, Err(StoreError::UnknownRecord)));
    let found = delivered(id, 30, t0(), paths(&[("/", None)]));
    let found = store.submit_enumeration(found, None, render()).await;
    assert!(matches!(found, Err(StoreError::UnknownRecord)));
    let risk = delivered(id, 7, t0(), assessment(RiskLevel::Info));
    let risk = store.submit_assessment(risk, None, render()).await;
    assert!(matches!(risk, Err(StoreError::UnknownRecord)));
    assert!(store.summary(id).await.unwrap().is_none());
    let query = EventQuery {
        after: 0,
        limit: 10,
    };
    assert!(store.events(query).await.unwrap().is_empty());
}

async fn progress_keeps_three_fields(store: &dyn Store) {
    assert_eq!(store.progress("suzu").await.unwrap(), None);
    let said = Answer {
        status: 200,
        body: String::new(),
    };
    let update = ProgressUpdate {
        status: Some("enumerating".to_owned()),
        cycle_number: Some(3),
        paths_found: None,
        progress: Progress {
            current_target: Some("x".to_owned()),
            progress_percent: json!(20),
            ..Progress::default()
        },
    };
    store
        .set_progress("suzu".into(), update, None, said.clone(), t0())
        .await
        .unwrap();
    let update = ProgressUpdate {
        paths_found: Some(7),
        ..ProgressUpdate::default()
    };
    store
        .set_progress("suzu".into(), update, None, said.clone(), after(1))
        .await
        .unwrap();
    let wanted = Progress {
        status: "enumerating".to_owned(),
        cycle_number: 3,
        paths_found: 7,
        last_updated: Some(after(1)),
        ..Progress::default()
    };
    assert_eq!(store.progress("suzu").await.unwrap(), Some(wanted));
    assert_eq!(store.progress("kumo").await.unwrap(), None);
}

contract!(
    a_request_of_one_run_is_stored_once,
    a_spider_is_due_after_half_a_year,
    failed_results_back_off,
    both_scan_and_requests_give_priority,
    technologies_that_differ_are_changes,
    a_risk_that_moves_is_a_change,
    what_a_later_run_replaced_goes,
    a_finding_seen_again_is_the_same,
    the_same_key_is_done_once,
    unknown_records_are_refused,
    progress_keeps_three_fields,
);
