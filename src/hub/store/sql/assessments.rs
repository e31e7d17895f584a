//! Assessments.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::dialect::{Conn, DbRow, Pool, failed};
use super::listing::{self, Listing, Of};
use super::results::{change, completed, task};
use super::rows::{from_json, get, micros, time, to_json};
use super::{assessable, changes, findings, work};
use crate::api::{Assessment, LookedFor, RiskLevel, WorkKind};
use crate::hub::store::{
    Assessed, AssessmentQuery, Delivered, NewAssessment, Page, Result, StoreError,
};

/// How far the clocks of hubs may differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Takes a result.
pub(super) async fn submit(c: &mut Conn, d: &Delivered<NewAssessment>) -> Result<Assessed> {
    work::lock_record(c, d.record_id).await?;
    let assessment = match &d.outcome {
        Ok(assessment) => assessment,
        Err(attempt) => {
            work::record_attempt(c, &task(d, WorkKind::RyuAssessment), attempt).await?;
            return Ok(Assessed::Attempt);
        }
    };
    let before = last(c, d).await?;
    let lease = lease(assessment, d.now);
    let last_lease = before.as_ref().and_then(|before| before.lease_id);
    if let (Some(lease), Some(last)) = (lease, last_lease)
        && lease < last
    {
        // It waited in a spool, or for a processor, while another was made of what is newer.
        work::release(c, lease, d.now).await?;
        return Ok(Assessed::Late);
    }
    insert(c, d, assessment, lease).await?;
    let risk = assessment.risk_level;
    if let Some(named) = &assessment.findings {
        let reach = reach(assessment, before.as_ref());
        findings::take(c, d, named, reach.as_ref(), before.is_some()).await?;
    }
    let before = before.map(|before| before.risk_level);
    if let Some(before) = before.filter(|before| *before != risk) {
        let change = change(
            d,
            "risk_changed",
            "risk_level",
            Some(json!(before)),
            Some(json!(risk)),
        );
        changes::add(c, &change, d.now).await?;
    }
    let data = json!({ "assessment_id": d.id, "risk_level": risk });
    let task = task(d, WorkKind::RyuAssessment);
    // Whoever holds the record by a later lease is at it still, and knows what is newer.
    if lease.is_none() || !assessable::is_leased_otherwise(c, &task, lease).await? {
        work::finish(c, &task, d.rescan_after).await?;
    }
    completed(c, d, "assessment_completed", data).await?;
    Ok(Assessed::Stored)
}

/// What is known of the last assessment of a record.
struct Last {
    risk_level: RiskLevel,
    lease_id: Option<Uuid>,
    database_date: Option<String>,
}

async fn last(c: &mut Conn, d: &Delivered<NewAssessment>) -> Result<Option<Last>> {
    let row = sqlx::query(
        "SELECT risk_level, lease_id, database_date FROM ryu_assessment
         WHERE record_id = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(d.record_id)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    let last = |row: &DbRow| {
        Ok(Last {
            risk_level: risk(row, "risk_level")?,
            lease_id: get(row, "lease_id")?,
            database_date: get(row, "database_date")?,
        })
    };
    row.as_ref().map(last).transpose()
}

/// The lease, if a hub may have given it: its name has its time. One that is said to be of the future
/// would have the last word until then.
fn lease(assessment: &NewAssessment, now: DateTime<Utc>) -> Option<Uuid> {
    let lease = assessment.lease_id?;
    let (seconds, _) = lease.get_timestamp()?.to_unix();
    let latest = u64::try_from((now + SKEW).timestamp()).unwrap_or_default();
    (lease.get_version_num() == 7 && seconds <= latest).then_some(lease)
}

/// What it would have named, were it there. A database that is older than that of the assessment before
/// knows less.
fn reach(assessment: &NewAssessment, before: Option<&Last>) -> Option<LookedFor> {
    let looked = assessment.looked_for.clone()?;
    let older = before.is_some_and(|before| looked.database_date < before.database_date);
    Some(LookedFor {
        database: looked.database && !older,
        ..looked
    })
}

async fn insert(
    c: &mut Conn,
    d: &Delivered<NewAssessment>,
    a: &NewAssessment,
    lease: Option<Uuid>,
) -> Result<()> {
    let looked = a.looked_for.as_ref().filter(|looked| looked.database);
    sqlx::query(
        "INSERT INTO ryu_assessment (id, record_id, target, risk_level, threat_summary,
                                     vulnerabilities, attack_vectors, remediation_priorities,
                                     narrative, agent, created_at, lease_id, database_date)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(d.id)
    .bind(d.record_id)
    .bind(&d.target)
    .bind(a.risk_level.as_str())
    .bind(&a.threat_summary)
    .bind(to_json(&a.vulnerabilities)?)
    .bind(to_json(&a.attack_vectors)?)
    .bind(to_json(&a.remediation_priorities)?)
    .bind(&a.narrative)
    .bind(&d.agent)
    .bind(micros(d.now))
    .bind(lease)
    .bind(looked.and_then(|looked| looked.database_date.as_deref()))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Assessments, in the order of their ids, which grow with time.
pub(super) async fn list(pool: &Pool, query: &AssessmentQuery) -> Result<Page<Assessment>> {
    listing::page(pool, listed(query), assessment).await
}

pub(in super::super) fn listed(query: &AssessmentQuery) -> Listing<'_> {
    Listing {
        table: "ryu_assessment",
        columns: "*",
        size: "octet_length(vulnerabilities) + octet_length(attack_vectors)
               + octet_length(remediation_priorities) + coalesce(octet_length(narrative), 0)",
        of: Of {
            target: query.target.as_deref(),
            record_id: query.record_id,
            keyed: None,
        },
        equal: vec![("risk_level", query.risk_level.map(RiskLevel::as_str))],
        since: None,
        after: query.before,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}

fn assessment(row: &DbRow) -> Result<Assessment> {
    Ok(Assessment {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        risk_level: risk(row, "risk_level")?,
        threat_summary: get(row, "threat_summary")?,
        vulnerabilities: from_json(get(row, "vulnerabilities")?)?,
        attack_vectors: from_json(get(row, "attack_vectors")?)?,
        remediation_priorities: from_json(get(row, "remediation_priorities")?)?,
        narrative: get(row, "narrative")?,
        agent: get(row, "agent")?,
        created_at: time(get(row, "created_at")?)?,
    })
}

/// A level of risk.
pub(super) fn risk(row: &DbRow, column: &'static str) -> Result<RiskLevel> {
    let text: &str = get(row, column)?;
    text.parse().map_err(StoreError::Internal)
}
