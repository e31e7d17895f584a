//! Assessments.

use serde_json::json;

use super::dialect::{Conn, DbRow, Pool, failed};
use super::listing::{self, Listing, Of};
use super::results::{change, finish, task};
use super::rows::{from_json, get, micros, time, to_json};
use super::{changes, findings, work};
use crate::api::{Assessment, RiskLevel, WorkKind};
use crate::hub::store::{
    Assessed, AssessmentQuery, Delivered, NewAssessment, Page, Result, StoreError,
};

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
    let before = last_risk(c, d).await?;
    insert(c, d, assessment).await?;
    let risk = assessment.risk_level;
    if let Some(named) = &assessment.findings {
        findings::take(c, d, named, before.is_some()).await?;
    }
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
    finish(c, d, WorkKind::RyuAssessment, "assessment_completed", data).await?;
    Ok(Assessed::Stored)
}

async fn last_risk(c: &mut Conn, d: &Delivered<NewAssessment>) -> Result<Option<RiskLevel>> {
    let row = sqlx::query(
        "SELECT risk_level FROM ryu_assessment WHERE record_id = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(d.record_id)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    row.as_ref().map(|row| risk(row, "risk_level")).transpose()
}

async fn insert(c: &mut Conn, d: &Delivered<NewAssessment>, a: &NewAssessment) -> Result<()> {
    sqlx::query(
        "INSERT INTO ryu_assessment (id, record_id, target, risk_level, threat_summary,
                                     vulnerabilities, attack_vectors, remediation_priorities,
                                     narrative, agent, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
