//! Lists: in both orders, of bounded size, and quick to end a page that finds little.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::contract;
use super::networks::record;
use super::samples::{assessment, delivered, finding, render, spider};
use super::spine::{add, after, scan, submit, t0};
use crate::api::{RiskLevel, WorkKind};
use crate::hub::store::*;

/// All ids of a list, page by page, and how many pages had how many rows.
macro_rules! walk {
    ($store:ident . $list:ident, $query:expr) => {{
        let (mut ids, mut pages, mut before) = (Vec::new(), Vec::new(), None);
        loop {
            let mut query = $query;
            query.before = before;
            let page = $store.$list(query).await.unwrap();
            pages.push(page.items.len());
            ids.extend(page.items.iter().map(|item| item.id));
            before = page.next;
            if before.is_none() {
                break (ids, pages);
            }
        }
    }};
}

async fn find(store: &dyn Store, id: Uuid, findings: Vec<NewFinding>, now: DateTime<Utc>) {
    let mut result = delivered(id, 1, now, spider("1", &[]));
    if let Ok(spider) = &mut result.outcome {
        spider.findings = findings;
    }
    let answer = store.submit_spider(result, None, render()).await;
    assert_eq!(answer.unwrap().status, 200);
}

async fn assess(store: &dyn Store, id: Uuid, risk: RiskLevel, now: DateTime<Utc>) {
    let result = delivered(id, 1, now, assessment(risk));
    let answer = store.submit_assessment(result, None, render()).await;
    assert_eq!(answer.unwrap().status, 200);
}

async fn lists_have_two_orders(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    for n in 0..5 {
        submit(store, scan(id, "kaze@a", after(n * 60)), None)
            .await
            .unwrap();
        find(store, id, vec![finding(n as u8)], after(n)).await;
        let risk = RiskLevel::ALL[n as usize];
        assess(store, id, risk, after(n)).await;
    }
    macro_rules! both {
        ($list:ident, $query:ident, $n:expr) => {
            for target in [None, Some("10.0.0.1")] {
                let query = |oldest_first| $query {
                    limit: 2,
                    oldest_first,
                    target: target.map(str::to_owned),
                    ..$query::default()
                };
                let (newest, _) = walk!(store.$list, query(false));
                let (mut oldest, _) = walk!(store.$list, query(true));
                assert_eq!(oldest.len(), $n, "{}", stringify!($list));
                assert!(oldest.is_sorted());
                oldest.reverse();
                assert_eq!(newest, oldest);
            }
        };
    }
    both!(scans, ScanQuery, 5);
    both!(findings, FindingQuery, 5);
    both!(assessments, AssessmentQuery, 5);
    both!(changes, ChangeQuery, 4);
    let since = ChangeQuery {
        limit: 10,
        oldest_first: true,
        since: Some(after(3)),
        ..ChangeQuery::default()
    };
    assert_eq!(store.changes(since).await.unwrap().items.len(), 2);
}

/// By its name as it was scanned, by its key, by its id.
async fn lists_are_those_of_one_target(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "www.example.org"]).await;
    for id in &ids {
        find(store, *id, vec![finding(1)], t0()).await;
        assess(store, *id, RiskLevel::High, t0()).await;
    }
    for (target, record_id, n) in [
        (Some("10.0.0.1"), None, 2),
        (Some("www.example.org"), None, 1),
        (Some("nobody"), None, 0),
        (None, Some(ids[0]), 1),
        (Some("nobody"), Some(ids[1]), 1),
        (Some("www.example.org"), Some(ids[1]), 1),
    ] {
        let target = target.map(str::to_owned);
        let findings = FindingQuery {
            limit: 10,
            target: target.clone(),
            record_id,
            severity: Some(RiskLevel::High),
            ..FindingQuery::default()
        };
        assert_eq!(store.findings(findings).await.unwrap().items.len(), n);
        let assessments = AssessmentQuery {
            limit: 10,
            target,
            record_id,
            ..AssessmentQuery::default()
        };
        assert_eq!(store.assessments(assessments).await.unwrap().items.len(), n);
    }
}

/// Twenty rows a page.
async fn a_page_looks_at_few_rows(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let all = (0..50).map(|n| NewFinding {
        severity: if n == 0 {
            RiskLevel::Low
        } else {
            RiskLevel::High
        },
        category: "c".to_owned(),
        ..finding(n)
    });
    find(store, id, all.collect(), t0()).await;
    let query = |severity, status: Option<&str>| FindingQuery {
        limit: 10,
        severity,
        status: status.map(str::to_owned),
        ..FindingQuery::default()
    };
    let (found, pages) = walk!(store.findings, query(None, Some("resolved")));
    assert_eq!((found.len(), pages), (0, vec![0, 0, 0]));
    let (found, pages) = walk!(store.findings, query(Some(RiskLevel::Low), None));
    assert_eq!((found.len(), pages), (1, vec![1]), "it has an index");
    let (found, pages) = walk!(store.findings, query(Some(RiskLevel::Low), Some("open")));
    assert_eq!((found.len(), pages), (1, vec![1]), "and so has the rest");
    let (found, _) = walk!(store.findings, query(Some(RiskLevel::High), Some("open")));
    assert_eq!(found.len(), 49);
}

/// 16 KiB a page.
async fn a_page_has_a_bounded_size(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    for n in 0..5 {
        let mut scan = scan(id, "kaze@a", after(n * 60));
        if let Ok(scan) = &mut scan.outcome {
            scan.open_ports[0].banner = "x".repeat(10_000);
        }
        submit(store, scan, None).await.unwrap();
        let mut result = delivered(id, 1, after(n), assessment(RiskLevel::High));
        if let Ok(assessment) = &mut result.outcome {
            assessment.vulnerabilities = json!(["x".repeat(20_000)]);
        }
        let answer = store.submit_assessment(result, None, render()).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    let scans = || ScanQuery {
        limit: 1000,
        ..ScanQuery::default()
    };
    let (all, pages) = walk!(store.scans, scans());
    assert_eq!((all.len(), pages), (5, vec![2, 2, 1]));
    let assessments = || AssessmentQuery {
        limit: 1000,
        ..AssessmentQuery::default()
    };
    let (all, pages) = walk!(store.assessments, assessments());
    assert_eq!((all.len(), pages), (5, vec![1, 1, 1, 1, 1]));
    let summary = store.summary(id).await.unwrap().unwrap();
    assert_eq!((summary.scans.len(), summary.counts.scans), (2, 5));
}

async fn walk_targets(store: &dyn Store, query: TargetQuery) -> (Vec<String>, Vec<usize>) {
    let (mut keys, mut pages) = (Vec::new(), Vec::new());
    let mut query = TargetQuery { limit: 10, ..query };
    loop {
        let page = store.targets(query.clone()).await.unwrap();
        pages.push(page.items.len());
        keys.extend(page.items.into_iter().map(|t| t.target));
        if page.next.is_none() {
            return (keys, pages);
        }
        (query.after, query.after_key) = (page.next, page.next_key);
    }
}

/// Twenty targets a page, where no index helps.
async fn rare_targets_are_looked_for_in_steps(store: &dyn Store) {
    let records = (0..70).map(|n| NewRecord {
        group: Some(if n < 60 { "most" } else { "few" }.to_owned()),
        alive: n != 65,
        ..record(&format!("h{n:02}.example.org"))
    });
    store.import(records.collect(), t0()).await.unwrap();
    let named = |key: &str| TargetQuery {
        key: Some(key.to_owned()),
        ..TargetQuery::default()
    };
    let one = |query| async move {
        let query = TargetQuery { limit: 1, ..query };
        store.targets(query).await.unwrap().items.remove(0).id
    };
    let skip = TargetChange {
        skip_scan: Some(true),
        ..TargetChange::default()
    };
    let id = one(named("h61.example.org")).await;
    store.change_target(id, skip, t0()).await.unwrap();

    let sorts = [
        TargetSort::Created,
        TargetSort::Newest,
        TargetSort::Target,
        TargetSort::TargetBackwards,
    ];
    for sort in sorts {
        let q = |text: &str| TargetQuery {
            text: Some(text.to_owned()),
            sort,
            ..TargetQuery::default()
        };
        assert_eq!(walk_targets(store, q("h61")).await.0, ["h61.example.org"]);
        assert_eq!(walk_targets(store, q("nothing")).await.1, [0, 0, 0, 0]);
        assert_eq!(walk_targets(store, q("example")).await.0.len(), 70);
        let few = TargetQuery {
            group: Some("few".to_owned()),
            ..q("h61")
        };
        assert_eq!(walk_targets(store, few).await.1, [1], "all of a few");
        let most = TargetQuery {
            group: Some("most".to_owned()),
            ..q("h61")
        };
        assert_eq!(walk_targets(store, most).await.0.len(), 0);
        let skipped = TargetQuery {
            skip_scan: Some(true),
            sort,
            ..TargetQuery::default()
        };
        assert_eq!(walk_targets(store, skipped.clone()).await.1, [1]);
        let asleep = TargetQuery {
            alive: Some(false),
            skip_scan: None,
            ..skipped.clone()
        };
        let found = walk_targets(store, asleep).await;
        assert_eq!(found, (vec!["h65.example.org".to_owned()], vec![1]));
        let both = TargetQuery {
            alive: Some(true),
            skip_scan: Some(false),
            ..skipped
        };
        assert_eq!(walk_targets(store, both).await.0.len(), 68);
    }
}

async fn what_is_due_is_found_be_it_much_or_little(store: &dyn Store) {
    let records = (0..50).map(|n| record(&format!("h{n:02}.example.org")));
    store.import(records.collect(), t0()).await.unwrap();
    let due = |minutes| TargetQuery {
        due: Some((WorkKind::KazePortScan, after(minutes))),
        ..TargetQuery::default()
    };
    assert_eq!(walk_targets(store, due(1)).await.0.len(), 50);
    let claim = Claim {
        kind: WorkKind::KazePortScan,
        limit: 49,
        owner: "kaze@a".to_owned(),
        lease: TimeDelta::minutes(600).to_std().unwrap(),
        now: after(1),
    };
    assert_eq!(store.claim(claim).await.unwrap().len(), 49);
    assert_eq!(walk_targets(store, due(1)).await.1, [1], "all of a few");
}

contract!(
    lists_have_two_orders,
    lists_are_those_of_one_target,
    a_page_looks_at_few_rows,
    a_page_has_a_bounded_size,
    rare_targets_are_looked_for_in_steps,
    what_is_due_is_found_be_it_much_or_little,
);
