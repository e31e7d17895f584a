//! What somebody should see to.

use serde_json::json;
use sqlx::Row;
use uuid::Uuid;

use super::assessments::risk;
use super::daemons::{add_event, name_and_host};
use super::dialect::{Conn, DbRow, Pool, failed};
use super::results::page;
use super::rows::{from_json, get, micros, time, to_json};
use crate::api::{Finding, RiskLevel};
use crate::hub::store::{Delivered, FindingQuery, NewEvent, NewFinding, Page, Result};

/// Stores findings and tells of those that are new; one that is known was seen again.
pub(super) async fn add<T>(c: &mut Conn, d: &Delivered<T>, findings: &[NewFinding]) -> Result<()> {
    for finding in findings {
        let id = Uuid::now_v7();
        let row = sqlx::query(
            "INSERT INTO findings (id, record_id, fingerprint, target, type, severity, category,
                                   title, location, evidence, discovered_by, source_id,
                                   first_seen_at, last_seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
             ON CONFLICT (record_id, fingerprint) DO UPDATE
             SET last_seen_at = $13, source_id = $12 RETURNING id",
        )
        .bind(id)
        .bind(d.record_id)
        .bind(finding.fingerprint.as_slice())
        .bind(&d.target)
        .bind(finding.kind)
        .bind(finding.severity.as_str())
        .bind(finding.category)
        .bind(&finding.title)
        .bind(&finding.location)
        .bind(to_json(&finding.evidence)?)
        .bind(finding.discovered_by)
        .bind(d.id)
        .bind(micros(d.now))
        .fetch_one(&mut *c)
        .await
        .map_err(failed)?;
        let stored: Uuid = row.try_get("id").map_err(failed)?;
        if stored == id {
            tell(c, d, id, finding).await?;
        }
    }
    Ok(())
}

async fn tell<T>(c: &mut Conn, d: &Delivered<T>, id: Uuid, finding: &NewFinding) -> Result<()> {
    let (daemon_name, hostname) = name_and_host(d.agent.as_deref());
    let event = NewEvent {
        kind: "finding_created",
        daemon_name,
        hostname,
        data: json!({
            "finding_id": id,
            "eggrecord_id": d.record_id,
            "target": d.target,
            "type": finding.kind,
            "severity": finding.severity,
            "title": finding.title,
            "location": finding.location,
        }),
    };
    add_event(c, &event, d.now).await
}

/// Findings, newest first: their ids grow with time.
pub(super) async fn list(pool: &Pool, query: &FindingQuery) -> Result<Page<Finding>> {
    let found = match (&query.target, query.record_id) {
        (None, None) => sqlx::query(
            "SELECT * FROM findings
             WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR severity = $2)
               AND ($3 IS NULL OR type = $3) AND ($4 IS NULL OR status = $4)
             ORDER BY id DESC LIMIT $5",
        ),
        _ => sqlx::query(
            "SELECT * FROM findings
             WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR severity = $2)
               AND ($3 IS NULL OR type = $3) AND ($4 IS NULL OR status = $4)
               AND (target = $6 OR record_id = $7
                    OR record_id = (SELECT id FROM egg_records WHERE target_key = $6))
             ORDER BY id DESC LIMIT $5",
        ),
    }
    .bind(query.before)
    .bind(query.severity.map(RiskLevel::as_str))
    .bind(&query.kind)
    .bind(&query.status)
    .bind(i64::from(query.limit) + 1)
    .bind(&query.target)
    .bind(query.record_id)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let items = found.iter().map(finding).collect::<Result<_>>()?;
    Ok(page(items, query.limit, |f: &Finding| f.id))
}

fn finding(row: &DbRow) -> Result<Finding> {
    Ok(Finding {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        kind: get(row, "type")?,
        severity: risk(row, "severity")?,
        category: get(row, "category")?,
        title: get(row, "title")?,
        location: get(row, "location")?,
        evidence: from_json(get(row, "evidence")?)?,
        status: get(row, "status")?,
        discovered_by: get(row, "discovered_by")?,
        first_seen_at: time(get(row, "first_seen_at")?)?,
        last_seen_at: time(get(row, "last_seen_at")?)?,
    })
}
