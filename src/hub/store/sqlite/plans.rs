//! How SQLite goes about lists: never over a whole table.

use chrono::Utc;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::*;
use crate::api::{RiskLevel, WorkKind};
use crate::hub::store::*;
use dialect::Db;
use sql::listing::Listing;
use sql::target_list::{Filter, Plan};

async fn plan(statement: QueryBuilder<Db>) -> Vec<String> {
    let text = statement.sql().as_str().to_owned();
    let steps = explained(&text).await;
    let walks =
        |s: &&String| s.starts_with("SCAN") && !s.contains("way") && !s.contains("(subquery");
    assert_eq!(steps.iter().find(walks), None, "{text}\n{steps:#?}");
    steps
}

async fn explained(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
    let rows = sqlx::query(explain).fetch_all(&store.read).await.unwrap();
    rows.iter().map(|r| sqlx::Row::get(r, "detail")).collect()
}

/// Of each answer it is asked whether a later run has the same request: that must not take a walk.
#[tokio::test]
async fn an_answer_is_looked_for_by_its_request() {
    let steps = explained(&sql::web::evidence::answers()).await;
    has(
        &steps,
        "SEARCH n USING INDEX request_metadata_once (record_id=? AND run=? AND request_key=?",
    );
}

/// One that begins in the middle.
async fn list(list: Listing<'_>) -> Vec<String> {
    let list = Listing {
        after: Some(Uuid::now_v7()),
        limit: 100,
        ..list
    };
    plan(list.ids(None)).await
}

fn has(steps: &[String], wanted: &str) {
    assert!(
        steps.iter().any(|s| s.contains(wanted)),
        "{wanted}: {steps:#?}"
    );
}

fn no_sorting(steps: &[String]) {
    let sorts = steps.iter().any(|s| s.contains("TEMP B-TREE"));
    assert!(!sorts, "{steps:#?}");
}

#[tokio::test]
async fn a_page_begins_at_its_cursor() {
    for whole in [
        sql::scans::listed(&ScanQuery::default()),
        sql::changes::listed(&ChangeQuery::default()),
        sql::findings::list::listed(&FindingQuery::default()),
        sql::assessments::listed(&AssessmentQuery::default()),
    ] {
        let steps = list(whole).await;
        has(&steps, "USING PRIMARY KEY (id<?)");
        assert_eq!(steps.len(), 1, "{steps:#?}");
    }
    for table in ["tokens", "audit"] {
        let query = PageQuery {
            limit: 100,
            before: Some(Uuid::now_v7()),
        };
        has(
            &plan(sql::access::listed(table, &query)).await,
            "USING PRIMARY KEY (id<?)",
        );
    }
}

#[tokio::test]
async fn a_page_of_one_kind_is_one_range() {
    let kind = || Some("x".to_owned());
    let scans = ScanQuery {
        scan_type: kind(),
        ..ScanQuery::default()
    };
    let changes = ChangeQuery {
        kind: kind(),
        ..ChangeQuery::default()
    };
    let severe = FindingQuery {
        severity: Some(RiskLevel::High),
        ..FindingQuery::default()
    };
    let findings = FindingQuery {
        kind: kind(),
        ..FindingQuery::default()
    };
    let assessments = AssessmentQuery {
        risk_level: Some(RiskLevel::High),
        ..AssessmentQuery::default()
    };
    for (of_kind, index) in [
        (
            sql::scans::listed(&scans),
            "nmap_type (scan_type=? AND id<?)",
        ),
        (
            sql::changes::listed(&changes),
            "changes_type (type=? AND id<?)",
        ),
        (
            sql::findings::list::listed(&severe),
            "findings_severity (severity=? AND id<?)",
        ),
        (
            sql::findings::list::listed(&findings),
            "findings_type (type=? AND id<?)",
        ),
        (
            sql::assessments::listed(&assessments),
            "ryu_assessment_risk (risk_level=? AND id<?)",
        ),
    ] {
        let steps = list(of_kind).await;
        has(&steps, index);
        assert_eq!(steps.len(), 1, "{steps:#?}");
    }
}

#[tokio::test]
async fn a_page_of_one_target_is_read_off_its_indexes() {
    let (target, record_id) = (Some("10.0.0.1".to_owned()), Some(Uuid::now_v7()));
    macro_rules! of {
        ($list:expr, $query:ident, $by_target:literal, $by_record:literal) => {
            let alone = $query {
                record_id,
                ..$query::default()
            };
            let steps = list($list(&alone)).await;
            has(&steps, $by_record);
            assert_eq!(steps.len(), 1 + usize::from(steps.len() > 1), "{steps:#?}");
            let both = $query {
                target: target.clone(),
                ..alone
            };
            let steps = list($list(&both)).await;
            has(&steps, $by_record);
            has(&steps, $by_target);
        };
    }
    of!(
        sql::scans::listed,
        ScanQuery,
        "nmap_target (target=? AND id<?)",
        "nmap_record (record_id=?)"
    );
    of!(
        sql::changes::listed,
        ChangeQuery,
        "changes_target (target=? AND id<?)",
        "changes_record (record_id=? AND id<?)"
    );
    of!(
        sql::findings::list::listed,
        FindingQuery,
        "findings_target (target=? AND id<?)",
        "findings_record (record_id=? AND id<?)"
    );
    of!(
        sql::assessments::listed,
        AssessmentQuery,
        "ryu_assessment_target (target=? AND id<?)",
        "ryu_assessment_record (record_id=? AND id<?)"
    );
}

#[tokio::test]
async fn few_targets_are_found_without_the_others() {
    let cases = [
        (Filter::Skipped, false, "egg_records_skipped (id>?)"),
        (Filter::Asleep, false, "egg_records_asleep (id>?)"),
        (
            Filter::Group("g".to_owned()),
            false,
            "egg_records_group (eggname=? AND id>?)",
        ),
        (
            Filter::Project("p".to_owned()),
            false,
            "egg_records_project (projectegg=? AND id>?)",
        ),
        (
            Filter::Due(WorkKind::KazePortScan, Utc::now()),
            true,
            "work_due (kind=? AND priority=? AND due_at<?)",
        ),
        (
            Filter::Group("g".to_owned()),
            true,
            "egg_records_group (eggname=?)",
        ),
    ];
    for (driver, few, index) in cases {
        let page = Plan {
            driver: Some(driver),
            few,
            ..Plan::default()
        };
        let query = TargetQuery {
            limit: 100,
            after: Some(Uuid::now_v7()),
            ..TargetQuery::default()
        };
        let steps = plan(page.statement(&query)).await;
        has(&steps, index);
        has(&steps, "SEARCH e USING PRIMARY KEY (id=?)");
        if !few {
            no_sorting(&steps);
        }
    }
}

/// A window over all of them is one range.
#[tokio::test]
async fn a_step_over_all_targets_is_bounded() {
    let page = Plan {
        rest: vec![Filter::Containing("%x%".to_owned())],
        end: Some((Uuid::now_v7(), "x".to_owned())),
        ..Plan::default()
    };
    for (sort, range) in [
        (TargetSort::Created, "USING PRIMARY KEY (id>? AND id<?)"),
        (TargetSort::Target, "(target_key>? AND target_key<?)"),
    ] {
        let query = TargetQuery {
            limit: 100,
            sort,
            after: Some(Uuid::now_v7()),
            after_key: Some("a".to_owned()),
            ..TargetQuery::default()
        };
        let steps = plan(page.statement(&query)).await;
        has(&steps, range);
        no_sorting(&steps);
    }
}

#[tokio::test]
async fn findings_by_priority_are_read_off_an_index() {
    let query = || FindingQuery {
        by_priority: true,
        before: Some(Uuid::now_v7()),
        before_priority: Some(50.0),
        limit: 100,
        ..FindingQuery::default()
    };
    let open = || Some("open".to_owned());
    let listed = |query: FindingQuery| {
        let list = sql::findings::list::listed(&query);
        plan(list.ids(None))
    };
    let steps = listed(query()).await;
    has(&steps, "findings_priority (");
    no_sorting(&steps);
    // An index of another filter would find rows that have to be sorted.
    for filtered in [
        FindingQuery {
            severity: Some(RiskLevel::Low),
            ..query()
        },
        FindingQuery {
            min_severity: Some(RiskLevel::Low),
            cve: Some("x".to_owned()),
            kind: Some("x".to_owned()),
            kev: true,
            group: Some("x".to_owned()),
            since: Some(Utc::now()),
            ..query()
        },
    ] {
        let steps = listed(filtered.clone()).await;
        has(&steps, "findings_priority (");
        no_sorting(&steps);
        let steps = listed(FindingQuery {
            status: open(),
            ..filtered
        })
        .await;
        has(&steps, "findings_status_priority (status=?");
        no_sorting(&steps);
    }
    let of_target = FindingQuery {
        record_id: Some(Uuid::now_v7()),
        ..query()
    };
    has(&listed(of_target).await, "(record_id=?");
    let by_cve = FindingQuery {
        cve: Some("x".to_owned()),
        status: open(),
        ..FindingQuery::default()
    };
    has(
        &list(sql::findings::list::listed(&by_cve)).await,
        "findings_cve (cve=?",
    );
}
