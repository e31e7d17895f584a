//! What an assessment did not look for, what it is too late for, and what becomes of old findings.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::{NoContext, Timestamp, Uuid};

use super::contract;
use super::findings::{all, decide, decision, high, named, states, told};
use super::results::{claim, events};
use super::samples::{assessment, delivered, finding, render, spider};
use super::spine::{add, after, t0};
use super::web::send;
use crate::api::{LookedFor, RiskLevel, Verdict, WorkKind};
use crate::hub::store::*;

/// A finding that rests on the database.
fn known(mark: u8) -> NewFinding {
    NewFinding {
        kind: "known_vulnerability".to_owned(),
        cve: Some(format!("CVE-2021-{mark}")),
        ..high(mark)
    }
}

fn looked(rules: &[&str], database: Option<&str>) -> LookedFor {
    LookedFor {
        rules: rules.iter().map(|id| (*id).to_owned()).collect(),
        database: database.is_some(),
        database_date: database.map(str::to_owned),
        left_out: 0,
    }
}

/// What an assessment of a record says beyond its findings.
#[derive(Default)]
struct How {
    looked: Option<LookedFor>,
    lease: Option<Uuid>,
}

async fn assess(
    store: &dyn Store,
    id: Uuid,
    findings: Vec<NewFinding>,
    how: How,
    now: DateTime<Utc>,
) -> String {
    let mut result = delivered(id, 7, now, assessment(RiskLevel::High));
    if let Ok(assessment) = &mut result.outcome {
        assessment.findings = Some(findings);
        assessment.looked_for = how.looked;
        assessment.lease_id = how.lease;
    }
    let answer = store.submit_assessment(result, None, render()).await;
    let body = answer.unwrap().body;
    body.split(' ').next().unwrap_or_default().to_owned()
}

async fn by(store: &dyn Store, id: Uuid, findings: Vec<NewFinding>, looked: LookedFor, day: i64) {
    let how = How {
        looked: Some(looked),
        lease: None,
    };
    let done = assess(store, id, findings, how, after(day * 24 * 60)).await;
    assert_eq!(done, "Stored");
}

/// The marks of what is open.
async fn open(store: &dyn Store) -> Vec<String> {
    let states = states(store).await.into_iter();
    let open = states.filter(|(_, state)| state == "open");
    open.map(|(place, _)| place.replace("tcp/", "")).collect()
}

/// Neither a broken rule, nor a database that somebody removed, nor an older one mends anything.
async fn what_was_not_looked_for_is_not_fixed(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let rule = "redis-no-auth";
    let everything = || vec![high(1), known(2)];
    by(
        store,
        id,
        everything(),
        looked(&[rule], Some("2026-11-20")),
        0,
    )
    .await;
    by(store, id, vec![high(1)], looked(&[rule], None), 1).await;
    assert_eq!(open(store).await, ["1", "2"], "there was no database");
    by(
        store,
        id,
        everything(),
        looked(&[rule], Some("2026-11-20")),
        2,
    )
    .await;
    by(
        store,
        id,
        vec![high(1)],
        looked(&[rule], Some("2026-10-01")),
        3,
    )
    .await;
    assert_eq!(open(store).await, ["1", "2"], "an older database");
    by(
        store,
        id,
        vec![known(2)],
        looked(&["other"], Some("2026-11-21")),
        4,
    )
    .await;
    assert_eq!(open(store).await, ["1", "2"], "the rule is not in force");
    let full = LookedFor {
        left_out: 1,
        ..looked(&[rule], Some("2026-11-21"))
    };
    let worst = vec![named(3, RiskLevel::Critical, 90.0)];
    by(store, id, worst, full, 5).await;
    assert_eq!(open(store).await, ["1", "2", "3"], "there was no room");
    assert_eq!(told(store, "finding_fixed").await, 0);

    by(
        store,
        id,
        vec![high(1)],
        looked(&[rule], Some("2026-11-21")),
        6,
    )
    .await;
    assert_eq!(open(store).await, ["1"]);
    // A rule that was deleted leaves nothing behind for ever.
    by(store, id, Vec::new(), looked(&["other"], None), 20).await;
    assert_eq!(open(store).await, ["1"]);
    by(store, id, Vec::new(), looked(&["other"], None), 37).await;
    assert!(open(store).await.is_empty());
}

/// The name of a lease that was given then.
fn lease(at: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(at.timestamp()).unwrap();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0))
}

async fn a_late_assessment_changes_nothing(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let how = |lease| How {
        looked: None,
        lease: Some(lease),
    };
    let (first, second) = (lease(after(1)), lease(after(60)));
    let done = assess(store, id, vec![high(1)], how(second), after(61)).await;
    assert_eq!(done, "Stored");
    // It was in the spool of an agent that was cut off.
    let done = assess(store, id, vec![high(2)], how(first), after(90)).await;
    assert_eq!(done, "Late");
    assert_eq!(open(store).await, ["1"]);
    assert_eq!(events(store, "assessment_completed").await.len(), 1);
    // One that claims to be of the future has no word beyond its own.
    let future = lease(after(99_999));
    let done = assess(store, id, vec![high(2)], how(future), after(91)).await;
    assert_eq!(done, "Stored");
    let third = lease(after(92));
    let done = assess(store, id, vec![high(3)], how(third), after(93)).await;
    assert_eq!(done, "Stored");
    assert_eq!(open(store).await, ["3"]);
}

/// Whoever holds a record by a later lease goes on with it.
async fn the_lease_of_another_stays(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let kind = WorkKind::RyuAssessment;
    send(store, id, spider("1", &["http://x/"]), t0()).await;
    assert_eq!(claim(store, kind, after(30)).await.len(), 1);
    let how = How {
        looked: None,
        lease: Some(lease(after(1))),
    };
    let done = assess(store, id, vec![high(1)], how, after(31)).await;
    assert_eq!(done, "Stored", "better than nothing");
    let target = store.target(id).await.unwrap().unwrap();
    let work = target.work.into_iter().find(|w| w.kind == kind).unwrap();
    assert_eq!(work.due_at, Some(after(40)), "the end of that lease");
}

/// What is accepted is accepted as it is.
async fn what_gets_worse_is_no_longer_accepted(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let all_of = |severity, kev| -> Vec<_> {
        let marks = [1, 2, 3].into_iter();
        let one = |mark| NewFinding {
            kev,
            ..named(mark, severity, 50.0)
        };
        marks.map(one).collect()
    };
    let stored = all_of(RiskLevel::Medium, false);
    assess(store, id, stored, How::default(), t0()).await;
    let ids: Vec<_> = all(store, None).await.into_iter().map(|f| f.id).collect();
    let accept = |id, verdict| decide(store, id, decision(verdict, None, after(1)));
    accept(ids[0], Verdict::Accepted).await;
    accept(ids[1], Verdict::FalsePositive).await;
    let better = all_of(RiskLevel::Low, false);
    assess(store, id, better, How::default(), after(2)).await;
    assert_eq!(open(store).await, ["3"]);
    let exploited = all_of(RiskLevel::Low, true);
    assess(store, id, exploited, How::default(), after(3)).await;
    assert_eq!(open(store).await, ["1", "3"], "a mistake stays one");
    let told_of = events(store, "finding_reopened").await;
    assert_eq!(told_of.len(), 1);
    assert_eq!(told_of[0].data["why"], "worse");
    // It comes back worse than it was.
    accept(ids[0], Verdict::Accepted).await;
    assess(store, id, Vec::new(), How::default(), after(4)).await;
    let worse = all_of(RiskLevel::Critical, true);
    assess(store, id, worse, How::default(), after(5)).await;
    let one = store.finding(ids[0]).await.unwrap().unwrap();
    assert_eq!((one.status.as_str(), one.decision), ("open", None));
    assert_eq!(one.times_reopened, 1);
}

async fn decisions_run_out_in_small_steps(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let five = (1..=5).map(high).collect();
    assess(store, id, five, How::default(), t0()).await;
    for finding in all(store, None).await {
        let wish = decision(Verdict::Accepted, Some(after(9)), after(1));
        decide(store, finding.id, wish).await;
    }
    assert_eq!(store.expire_decisions(after(10)).await.unwrap(), 5);
    assert_eq!(open(store).await.len(), 5);
}

/// Not what is open, what somebody decided about, or what was fixed of late.
async fn old_findings_go(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let four = (1..=4).map(high).collect();
    assess(store, ids[0], four, How::default(), t0()).await;
    assess(store, ids[1], vec![high(9)], How::default(), t0()).await;
    let found = all(store, None).await;
    let wish = decision(Verdict::FalsePositive, None, after(1));
    decide(store, found[0].id, wish).await;
    let some = vec![high(3), high(4)];
    assess(store, ids[0], some, How::default(), after(10)).await;
    assess(store, ids[0], vec![high(4)], How::default(), after(50)).await;
    let purge = async |minutes| {
        let done = store.purge(Kept::Findings, after(minutes), None, 10).await;
        done.unwrap().removed
    };
    assert_eq!(purge(5).await, 0);
    assert_eq!(purge(20).await, 1);
    let left: Vec<_> = states(store).await.into_iter().map(|s| s.0).collect();
    assert_eq!(left, ["tcp/1", "tcp/3", "tcp/4", "tcp/9"]);
    assert!(store.delete_target(ids[1]).await.unwrap());
    assert_eq!(purge(20).await, 1, "nobody will ever say that it is fixed");
    assert_eq!(purge(60).await, 1);
    assert_eq!(states(store).await.len(), 2);
}

/// However much of the others there is.
async fn what_comes_last_comes_in_the_end(store: &dyn Store) {
    let kind = WorkKind::RyuAssessment;
    let names: Vec<String> = (1..=9).map(|n| format!("10.0.0.{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = add(store, &names).await;
    for id in &ids {
        send(store, *id, spider("1", &["http://x/"]), t0()).await;
    }
    for id in &ids[1..] {
        let scan = super::spine::scan(*id, "kaze@a", t0());
        super::spine::submit(store, scan, None).await.unwrap();
    }
    let batch = async |minutes| -> Vec<i64> {
        let claim = Claim {
            kind,
            limit: 3,
            owner: "ryu@a".to_owned(),
            lease: Duration::from_secs(9_999_999),
            now: after(minutes),
        };
        let claimed = store.claim(claim).await.unwrap();
        claimed.iter().map(|claimed| claimed.priority).collect()
    };
    assert_eq!(batch(1).await, [1, 1, 1]);
    let day = TimeDelta::days(1).num_minutes();
    assert_eq!(batch(day).await, [0, 1, 1]);
    assert_eq!(batch(day + 1).await, [1, 1, 1]);
}

/// A crawl that broke off shows what it saw, and nothing of the rest.
async fn a_crawl_that_broke_off_ends_nothing(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let urls = ["http://10.0.0.1/", "http://10.0.0.1/a", "http://10.0.0.1/b"];
    let technology = |name: &str| crate::api::Technology {
        name: name.to_owned(),
        ..Default::default()
    };
    let crawl = |run: &str, statuses: &[u16], complete| {
        let mut crawl = spider(run, &urls[..statuses.len()]);
        for (request, status) in crawl.requests.iter_mut().zip(statuses) {
            request.response_status = *status;
        }
        crawl.facts.complete = Some(complete);
        crawl.technologies = Some(vec![technology("nginx")]);
        crawl.findings = vec![finding(1)];
        crawl
    };
    let mut first = crawl("1", &[200, 200, 200], true);
    first.technologies = Some(vec![technology("nginx"), technology("php")]);
    send(store, id, first, after(1)).await;
    send(store, id, crawl("2", &[500, 0], false), after(2)).await;
    let seen = async || {
        let known = store.assessment_context(id).await.unwrap().unwrap();
        let exchanges = known.exchanges.iter();
        let exchanges = exchanges.map(|e| (e.url.replace("http://10.0.0.1", ""), e.status));
        (exchanges.collect::<Vec<_>>(), known.technologies.len())
    };
    let at = |path: &str, status| (path.to_owned(), status);
    let wanted = vec![at("/", 500), at("/a", 200), at("/b", 200)];
    assert_eq!(seen().await, (wanted, 2));
    send(store, id, crawl("3", &[200], true), after(3)).await;
    assert_eq!(seen().await, (vec![at("/", 200)], 1));
}

contract!(
    what_was_not_looked_for_is_not_fixed,
    a_late_assessment_changes_nothing,
    the_lease_of_another_stays,
    what_gets_worse_is_no_longer_accepted,
    decisions_run_out_in_small_steps,
    old_findings_go,
    what_comes_last_comes_in_the_end,
    a_crawl_that_broke_off_ends_nothing,
);
