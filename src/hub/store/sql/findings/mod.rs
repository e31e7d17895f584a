//! What somebody should see to: found by a spider or named by an assessment (`assessed`), listed (`list`),
//! decided upon (`decisions`).

mod assessed;
mod decisions;
pub(in super::super) mod list;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::assessments::risk;
use super::daemons::{add_event, name_and_host};
use super::dialect::{Conn, DbRow, failed};
use super::rows::{count, from_json, get, micros, time, time_option, to_json};
use super::{SqlStore, idempotency};
use crate::api::{FINDING_STATES, Finding, FindingDecision, RiskLevel, Verdict};
use crate::hub::store::{
    Answer, COUNT_MAX, Delivered, FindingCount, FindingPage, FindingQuery, FindingStore,
    Idempotency, NewDecision, NewEvent, NewFinding, Render, Result, StoreError,
};

pub(super) use assessed::take;
pub(super) use list::page;

#[async_trait]
impl FindingStore for SqlStore {
    async fn findings(&self, query: FindingQuery) -> Result<FindingPage> {
        page(&self.read, &query).await
    }

    async fn finding(&self, id: Uuid) -> Result<Option<Finding>> {
        let row = sqlx::query("SELECT * FROM findings WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        row.as_ref().map(finding).transpose()
    }

    async fn decide_finding(
        &self,
        id: Uuid,
        decision: NewDecision,
        key: Option<Idempotency>,
        render: Render<Option<Finding>>,
    ) -> Result<Answer> {
        let now = decision.now;
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        Ok(render(&decisions::decide(c, id, &decision).await?))
                    })
                    .await
                })
            })
            .await
    }

    async fn expire_decisions(&self, now: DateTime<Utc>) -> Result<u64> {
        let due = sqlx::query("SELECT 1 FROM findings WHERE decided_until <= $1 LIMIT 1")
            .bind(micros(now))
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        if due.is_none() {
            return Ok(0);
        }
        let mut all = 0;
        loop {
            let some = self
                .write
                .run(move |c| Box::pin(decisions::expire(c, None, now)))
                .await?;
            all += some;
            if some < decisions::EXPIRE_MAX {
                return Ok(all);
            }
        }
    }

    async fn finding_counts(&self) -> Result<Vec<FindingCount>> {
        let mut counts = Vec::new();
        for status in FINDING_STATES {
            for severity in RiskLevel::ALL {
                let row = sqlx::query(
                    "SELECT count(*) AS n FROM (SELECT 1 FROM findings WHERE status = $1
                                                AND severity = $2 LIMIT $3) AS a",
                )
                .bind(status)
                .bind(severity.as_str())
                .bind(i64::try_from(COUNT_MAX).unwrap_or(i64::MAX))
                .fetch_one(&self.read)
                .await
                .map_err(failed)?;
                counts.push(FindingCount {
                    severity,
                    status,
                    count: count(&row, "n")?,
                });
            }
        }
        Ok(counts)
    }
}

/// Stores what a spider found and tells of what is new, so much it was; one that is known was seen again.
pub(super) async fn add<T>(c: &mut Conn, d: &Delivered<T>, findings: &[NewFinding]) -> Result<u64> {
    let mut new = 0;
    for finding in findings {
        let id = Uuid::now_v7();
        let stored = insert(c, d, id, finding).await?;
        if stored == id {
            tell(c, d, "finding_created", &Subject::new(id, finding)).await?;
            new += 1;
        }
    }
    Ok(new)
}

/// Stores one finding, unless it is known; gives the id that it has.
async fn insert<T>(c: &mut Conn, d: &Delivered<T>, id: Uuid, finding: &NewFinding) -> Result<Uuid> {
    let row = sqlx::query(
        "INSERT INTO findings (id, record_id, fingerprint, target, type, severity, category,
                               title, location, evidence, discovered_by, source_id,
                               first_seen_at, last_seen_at, priority, confidence, cve, kev)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17)
         ON CONFLICT (record_id, fingerprint) DO UPDATE
         SET last_seen_at = $13, source_id = $12 RETURNING id",
    )
    .bind(id)
    .bind(d.record_id)
    .bind(finding.fingerprint.as_slice())
    .bind(&d.target)
    .bind(&finding.kind)
    .bind(finding.severity.as_str())
    .bind(&finding.category)
    .bind(&finding.title)
    .bind(&finding.location)
    .bind(to_json(&finding.evidence)?)
    .bind(finding.discovered_by)
    .bind(d.id)
    .bind(micros(d.now))
    .bind(finding.priority())
    .bind(finding.confidence)
    .bind(&finding.cve)
    .bind(finding.kev)
    .fetch_one(c)
    .await
    .map_err(failed)?;
    row.try_get("id").map_err(failed)
}

/// What is told of a finding.
struct Subject<'a> {
    id: Uuid,
    kind: &'a str,
    severity: RiskLevel,
    title: &'a str,
    location: &'a str,
}

impl<'a> Subject<'a> {
    fn new(id: Uuid, finding: &'a NewFinding) -> Self {
        Self {
            id,
            kind: &finding.kind,
            severity: finding.severity,
            title: &finding.title,
            location: &finding.location,
        }
    }

    fn known(finding: &'a Finding) -> Self {
        Self {
            id: finding.id,
            kind: &finding.kind,
            severity: finding.severity,
            title: &finding.title,
            location: &finding.location,
        }
    }

    fn data(&self, record: Uuid, target: &str) -> Value {
        json!({
            "finding_id": self.id,
            "eggrecord_id": record,
            "target": target,
            "type": self.kind,
            "severity": self.severity,
            "title": self.title,
            "location": self.location,
        })
    }
}

async fn tell<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    kind: &'static str,
    subject: &Subject<'_>,
) -> Result<()> {
    let (daemon_name, hostname) = name_and_host(d.agent.as_deref());
    let event = NewEvent {
        kind,
        daemon_name,
        hostname,
        data: subject.data(d.record_id, &d.target),
    };
    add_event(c, &event, d.now).await
}

pub(super) fn finding(row: &DbRow) -> Result<Finding> {
    Ok(Finding {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        kind: get(row, "type")?,
        severity: risk(row, "severity")?,
        priority: get(row, "priority")?,
        confidence: get(row, "confidence")?,
        category: get(row, "category")?,
        title: get(row, "title")?,
        location: get(row, "location")?,
        cve: get(row, "cve")?,
        kev: get(row, "kev")?,
        evidence: from_json(get(row, "evidence")?)?,
        status: get(row, "status")?,
        discovered_by: get(row, "discovered_by")?,
        first_seen_at: time(get(row, "first_seen_at")?)?,
        last_seen_at: time(get(row, "last_seen_at")?)?,
        fixed_at: time_option(get(row, "fixed_at")?)?,
        reopened_at: time_option(get(row, "reopened_at")?)?,
        times_reopened: count(row, "times_reopened")?,
        decision: decision(row)?,
    })
}

fn decision(row: &DbRow) -> Result<Option<FindingDecision>> {
    let Some(status) = get::<Option<&str>>(row, "decision")? else {
        return Ok(None);
    };
    let reason: Option<String> = get(row, "decision_reason")?;
    let by: Option<String> = get(row, "decided_by")?;
    Ok(Some(FindingDecision {
        status: verdict(status)?,
        reason: reason.unwrap_or_default(),
        by: by.unwrap_or_default(),
        at: time(get::<Option<i64>>(row, "decided_at")?.unwrap_or_default())?,
        until: time_option(get(row, "decided_until")?)?,
    }))
}

fn verdict(text: &str) -> Result<Verdict> {
    [Verdict::Accepted, Verdict::FalsePositive]
        .into_iter()
        .find(|verdict| verdict.as_str() == text)
        .ok_or_else(|| StoreError::Internal(format!("{text:?} is no decision")))
}
