//! What somebody should see to.

use serde_json::json;
use sqlx::Row;
use uuid::Uuid;

use super::assessments::risk;
use super::daemons::{add_event, name_and_host};
use super::dialect::{Conn, DbRow, Pool, failed};
use super::listing::{self, Listing, Of};
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

/// Findings, in the order of their ids, which grow with time.
pub(super) async fn list(pool: &Pool, query: &FindingQuery) -> Result<Page<Finding>> {
    listing::page(pool, listed(query), finding).await
}

pub(in super::super) fn listed(query: &FindingQuery) -> Listing<'_> {
    let mut equal = vec![
        ("severity", query.severity.map(RiskLevel::as_str)),
        ("type", query.kind.as_deref()),
        ("status", query.status.as_deref()),
    ];
    if query.severity.is_none() && query.kind.is_some() {
        equal.swap(0, 1);
    }
    Listing {
        table: "findings",
        columns: "*",
        size: "octet_length(evidence)",
        of: Of {
            target: query.target.as_deref(),
            record_id: query.record_id,
            keyed: None,
        },
        equal,
        since: None,
        after: query.before,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}

pub(super) fn finding(row: &DbRow) -> Result<Finding> {
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
