//! Findings over time: found, gone, back again, decided upon, listed.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::contract;
use super::results::{changes, events};
use super::samples::{assessment, delivered, finding, render, spider};
use super::spine::{add, after, key, t0};
use crate::api::{Finding, RiskLevel, Verdict};
use crate::hub::store::*;

/// A finding of an assessment.
pub(super) fn named(mark: u8, severity: RiskLevel, priority: f64) -> NewFinding {
    NewFinding {
        kind: "redis-no-auth".to_owned(),
        severity,
        priority: Some(priority),
        confidence: Some(0.5),
        category: "missing-authentication".to_owned(),
        title: format!("Finding {mark}"),
        location: format!("tcp/{mark}"),
        evidence: json!({ "key": mark, "remediation": "close it" }),
        discovered_by: "ryu",
        ..finding(mark)
    }
}

pub(super) fn high(mark: u8) -> NewFinding {
    named(mark, RiskLevel::High, 70.0)
}

async fn assess(
    store: &dyn Store,
    id: Uuid,
    findings: Option<Vec<NewFinding>>,
    now: DateTime<Utc>,
) {
    let mut result = delivered(id, 7, now, assessment(RiskLevel::High));
    if let Ok(assessment) = &mut result.outcome {
        assessment.findings = findings;
    }
    let answer = store.submit_assessment(result, None, render()).await;
    assert!(answer.unwrap().body.starts_with("Stored"));
}

pub(super) async fn all(store: &dyn Store, status: Option<&str>) -> Vec<Finding> {
    let query = FindingQuery {
        limit: 100,
        oldest_first: true,
        status: status.map(str::to_owned),
        ..FindingQuery::default()
    };
    store.findings(query).await.unwrap().items
}

/// Their titles' last characters and states.
pub(super) async fn states(store: &dyn Store) -> Vec<(String, String)> {
    let all = all(store, None).await;
    all.into_iter().map(|f| (f.location, f.status)).collect()
}

pub(super) async fn told(store: &dyn Store, kind: &str) -> usize {
    events(store, kind).await.len()
}

async fn what_is_named_no_more_is_fixed(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let mut crawl = spider("1", &["http://x/"]);
    crawl.findings = vec![finding(9)];
    let crawl = delivered(ids[0], 182, t0(), crawl);
    store.submit_spider(crawl, None, render()).await.unwrap();
    assess(store, ids[1], Some(vec![high(2)]), t0()).await;
    assess(
        store,
        ids[0],
        Some(vec![high(1), high(2), high(1)]),
        after(1),
    )
    .await;
    assert_eq!(told(store, "finding_created").await, 4);
    assert_eq!(
        changes(store).await,
        [],
        "the first assessment changes nothing"
    );

    assess(store, ids[0], Some(vec![high(1)]), after(2)).await;
    let open = |place: &str| (place.to_owned(), "open".to_owned());
    let fixed = |place: &str| (place.to_owned(), "fixed".to_owned());
    let [secret, other, one, two] = ["http://10.0.0.1/9", "tcp/2", "tcp/1", "tcp/2"];
    let wanted = [open(secret), open(other), open(one), fixed(two)];
    assert_eq!(states(store).await, wanted, "others' are left alone");
    let gone = all(store, Some("fixed")).await.remove(0);
    assert_eq!(
        (gone.fixed_at, gone.last_seen_at),
        (Some(after(2)), after(1))
    );
    assert_eq!(told(store, "finding_fixed").await, 1);
    // Neither one that does not tell nor the same again changes anything.
    assess(store, ids[0], None, after(3)).await;
    assess(store, ids[0], Some(vec![high(1)]), after(4)).await;
    assert_eq!(states(store).await, wanted);
    assert_eq!(told(store, "finding_fixed").await, 1);

    assess(
        store,
        ids[0],
        Some(vec![high(1), high(2), high(3)]),
        after(5),
    )
    .await;
    let back = all(store, None).await.remove(3);
    assert_eq!((back.id, back.status.as_str()), (gone.id, "open"));
    assert_eq!((back.fixed_at, back.reopened_at), (None, Some(after(5))));
    assert_eq!((back.times_reopened, back.first_seen_at), (1, after(1)));
    assess(store, ids[0], Some(Vec::new()), after(6)).await;
    assert_eq!(all(store, Some("fixed")).await.len(), 3, "all of them");
    let kinds: Vec<_> = changes(store)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    let mut wanted = vec![json!("finding_fixed")];
    wanted.extend([json!("finding_reopened"), json!("finding_added")]);
    wanted.extend(vec![json!("finding_fixed"); 3]);
    assert_eq!(kinds, wanted);
    let told = &events(store, "finding_reopened").await[0].data;
    assert_eq!(told["finding_id"], json!(gone.id));
    assert_eq!(
        (&told["location"], &told["severity"]),
        (&json!("tcp/2"), &json!("high"))
    );
}

async fn what_is_seen_again_is_told_anew(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assess(store, id, Some(vec![high(1)]), t0()).await;
    let worse = NewFinding {
        severity: RiskLevel::Critical,
        priority: Some(99.5),
        confidence: None,
        title: "Much worse".to_owned(),
        cve: Some("CVE-2021-41773".to_owned()),
        kev: true,
        evidence: json!({ "new": true }),
        ..high(1)
    };
    assess(store, id, Some(vec![worse]), after(1)).await;
    let found = all(store, None).await.remove(0);
    assert_eq!(
        (found.severity, found.priority),
        (RiskLevel::Critical, 99.5)
    );
    assert_eq!(
        (found.title.as_str(), found.confidence),
        ("Much worse", None)
    );
    assert_eq!(
        (found.cve.as_deref(), found.kev),
        (Some("CVE-2021-41773"), true)
    );
    assert_eq!(found.evidence, json!({ "new": true }));
    assert_eq!((found.first_seen_at, found.last_seen_at), (t0(), after(1)));
    assert_eq!(store.finding(found.id).await.unwrap(), Some(found));
    assert_eq!(store.finding(Uuid::now_v7()).await.unwrap(), None);
    assert_eq!(told(store, "finding_created").await, 1);
}

pub(super) fn decision(
    verdict: Verdict,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> NewDecision {
    NewDecision {
        verdict,
        reason: Some("because".to_owned()),
        by: "root".to_owned(),
        until,
        now,
    }
}

pub(super) async fn decide(store: &dyn Store, id: Uuid, decision: NewDecision) -> String {
    let render = Box::new(|finding: &Option<Finding>| Answer {
        status: 200,
        body: finding.as_ref().map_or("none", |f| &f.status).to_owned(),
    });
    let done = store.decide_finding(id, decision, None, render).await;
    done.unwrap().body
}

async fn a_decision_holds_as_long_as_it_says(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assess(store, id, Some(vec![high(1), high(2)]), t0()).await;
    let [one, two] = [0, 1].map(|n| async move { all(store, None).await.remove(n).id });
    let (one, two) = (one.await, two.await);
    let until = Some(after(60));
    let said = decide(store, one, decision(Verdict::Accepted, until, after(1))).await;
    assert_eq!(said, "accepted");
    let said = decide(store, two, decision(Verdict::FalsePositive, None, after(1))).await;
    assert_eq!(said, "false_positive");
    let unknown = decide(store, Uuid::now_v7(), decision(Verdict::Open, None, t0()));
    assert_eq!(unknown.await, "none");
    let kept = store.finding(one).await.unwrap().unwrap().decision.unwrap();
    assert_eq!((kept.status, kept.by.as_str()), (Verdict::Accepted, "root"));
    assert_eq!(
        (kept.reason.as_str(), kept.at, kept.until),
        ("because", after(1), until)
    );

    // Seen again it is as decided; gone it is fixed, and as decided when it comes back.
    assess(store, id, Some(vec![high(1), high(2)]), after(2)).await;
    assert_eq!(all(store, Some("accepted")).await.len(), 1);
    assess(store, id, Some(Vec::new()), after(3)).await;
    assert_eq!(all(store, Some("fixed")).await.len(), 2);
    assess(store, id, Some(vec![high(1), high(2)]), after(4)).await;
    let back = all(store, Some("accepted")).await.remove(0);
    assert_eq!((back.times_reopened, back.fixed_at), (0, None));
    assert_eq!(all(store, Some("false_positive")).await.len(), 1);
    assert_eq!(told(store, "finding_reopened").await, 0);

    assert_eq!(store.expire_decisions(after(59)).await.unwrap(), 0);
    assert_eq!(store.expire_decisions(after(60)).await.unwrap(), 1);
    assert_eq!(store.expire_decisions(after(60)).await.unwrap(), 0);
    let open = all(store, Some("open")).await;
    assert_eq!((open.len(), open[0].id, &open[0].decision), (1, one, &None));
    assert_eq!(told(store, "finding_reopened").await, 1);
    let said = decide(store, two, decision(Verdict::Open, None, after(61))).await;
    assert_eq!(said, "open");
    let why = &events(store, "finding_reopened").await[1].data["why"];
    assert_eq!(why, "decision_withdrawn");
}

/// One that ran out while the finding was away is none when it comes back.
async fn a_decision_runs_out_unseen(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assess(store, id, Some(vec![high(1)]), t0()).await;
    let one = all(store, None).await.remove(0).id;
    assess(store, id, Some(Vec::new()), after(1)).await;
    let until = Some(after(30));
    let said = decide(store, one, decision(Verdict::Accepted, until, after(2))).await;
    assert_eq!(said, "fixed", "it is not there");
    assess(store, id, Some(vec![high(1)]), after(40)).await;
    let back = store.finding(one).await.unwrap().unwrap();
    assert_eq!((back.status.as_str(), back.decision), ("open", None));
    assert_eq!(back.times_reopened, 1);
    assert_eq!(told(store, "finding_reopened").await, 1);
}

async fn the_same_decision_is_taken_once(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assess(store, id, Some(vec![high(1)]), t0()).await;
    let one = all(store, None).await.remove(0).id;
    let mut answers = Vec::new();
    for minutes in [1, 2] {
        let wish = decision(Verdict::Accepted, None, after(minutes));
        let done = store.decide_finding(one, wish, key("k", 1), render()).await;
        answers.push(done.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    let at = store
        .finding(one)
        .await
        .unwrap()
        .unwrap()
        .decision
        .unwrap()
        .at;
    assert_eq!(at, after(1));
}

/// Says what is asked for.
type Narrow<'n> = &'n dyn Fn(&mut FindingQuery);

/// Page by page, however many have the same priority.
async fn the_most_urgent_come_first(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "www.example.org"]).await;
    let some = (0..50_u8).map(|n| {
        let severity = RiskLevel::ALL[usize::from(n % 5)];
        named(n, severity, f64::from(n % 7) + 0.1)
    });
    assess(store, ids[0], Some(some.collect()), t0()).await;
    assess(
        store,
        ids[1],
        Some(vec![named(1, RiskLevel::Low, 3.1)]),
        after(1),
    )
    .await;
    let found = by_priority(store, FindingQuery::default()).await;
    let order: Vec<_> = found
        .iter()
        .map(|f| (-f.priority, std::cmp::Reverse(f.id)))
        .collect();
    assert!(order.is_sorted_by(|a, b| a < b), "each once, and in order");
    assert_eq!(found.len(), 51);
    let first = ids[0];
    let narrowed: [(Narrow<'_>, usize); 12] = [
        (&|q| q.status = Some("open".into()), 51),
        (&|q| q.status = Some("fixed".into()), 0),
        (&|q| q.severity = Some(RiskLevel::Low), 11),
        (&|q| q.min_severity = Some(RiskLevel::High), 20),
        (&|q| q.target = Some("www.example.org".into()), 1),
        (&|q| q.record_id = Some(first), 50),
        (&|q| q.group = Some("lab".into()), 51),
        (&|q| q.group = Some("no".into()), 0),
        (&|q| q.since = Some(after(1)), 1),
        (&|q| q.kev = true, 0),
        (&|q| q.cve = Some("CVE-1".into()), 0),
        (&|q| q.category = Some("missing-authentication".into()), 51),
    ];
    for (narrow, wanted) in narrowed {
        let mut query = FindingQuery::default();
        narrow(&mut query);
        let found = by_priority(store, query.clone()).await;
        assert_eq!(found.len(), wanted, "by priority: {query:?}");
        let found = by_time(store, query.clone()).await;
        assert_eq!(found.len(), wanted, "by time: {query:?}");
    }
}

/// All pages, the most urgent first.
async fn by_priority(store: &dyn Store, query: FindingQuery) -> Vec<Finding> {
    let mut query = FindingQuery {
        limit: 7,
        by_priority: true,
        ..query
    };
    let mut found = Vec::new();
    loop {
        let page = store.findings(query.clone()).await.unwrap();
        found.extend(page.items);
        if page.next.is_none() {
            return found;
        }
        (query.before, query.before_priority) = (page.next, page.next_priority);
    }
}

/// All pages, the newest first.
async fn by_time(store: &dyn Store, query: FindingQuery) -> Vec<Finding> {
    let mut query = FindingQuery { limit: 20, ..query };
    let mut found = Vec::new();
    loop {
        let page = store.findings(query.clone()).await.unwrap();
        found.extend(page.items);
        if page.next.is_none() {
            return found;
        }
        query.before = page.next;
    }
}

async fn findings_are_counted(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let low = named(3, RiskLevel::Low, 1.0);
    assess(store, id, Some(vec![high(1), high(2), low]), t0()).await;
    assess(store, id, Some(vec![high(1), high(2)]), after(1)).await;
    let counts = store.finding_counts().await.unwrap();
    assert_eq!(counts.len(), 20);
    let some = counts.into_iter().filter(|one| one.count > 0);
    let some: Vec<_> = some
        .map(|one| (one.severity, one.status, one.count))
        .collect();
    let wanted = [(RiskLevel::High, "open", 2), (RiskLevel::Low, "fixed", 1)];
    assert_eq!(some, wanted);
}

contract!(
    what_is_named_no_more_is_fixed,
    what_is_seen_again_is_told_anew,
    a_decision_holds_as_long_as_it_says,
    a_decision_runs_out_unseen,
    the_same_decision_is_taken_once,
    the_most_urgent_come_first,
    findings_are_counted,
);
