//! What somebody decided about findings, and for how long it holds.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::super::daemons::add_event;
use super::super::dialect::{Conn, Db, LOCK_RECORD, failed};
use super::super::rows::{get, micros};
use super::{Subject, finding};
use crate::api::{Finding, Verdict};
use crate::hub::store::{NewDecision, NewEvent, Result};

/// Decides about a finding; `None` when there is none. One that is fixed stays so: the decision holds when
/// it comes back.
pub(super) async fn decide(
    c: &mut Conn,
    id: Uuid,
    decision: &NewDecision,
) -> Result<Option<Finding>> {
    let Some(before) = lock(c, id).await? else {
        return Ok(None);
    };
    let open = decision.verdict == Verdict::Open;
    let decided = |text: &str| (!open).then(|| text.to_owned());
    let row = sqlx::query(
        "UPDATE findings
         SET status = CASE status WHEN 'fixed' THEN status ELSE $2 END,
             decision = $3, decision_reason = $4, decided_by = $5, decided_at = $6,
             decided_until = $7
         WHERE id = $1 RETURNING *",
    )
    .bind(id)
    .bind(decision.verdict.as_str())
    .bind(decided(decision.verdict.as_str()))
    .bind(decided(decision.reason.as_deref().unwrap_or_default()))
    .bind(decided(&decision.by))
    .bind((!open).then(|| micros(decision.now)))
    .bind(decision.until.filter(|_| !open).map(micros))
    .fetch_one(&mut *c)
    .await
    .map_err(failed)?;
    let after = finding(&row)?;
    if after.status == "open" && before != "open" {
        let of = (after.eggrecord_id, after.target.as_str());
        let subject = Subject::known(&after);
        tell(c, &subject, of, "decision_withdrawn", decision.now).await?;
    }
    Ok(Some(after))
}

/// The state of a finding, which nobody else changes until the end of the transaction: assessments hold
/// its record, too. The record itself may be gone.
async fn lock(c: &mut Conn, id: Uuid) -> Result<Option<String>> {
    let record: Option<Uuid> = sqlx::query_scalar("SELECT record_id FROM findings WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let Some(record) = record else {
        return Ok(None);
    };
    sqlx::query(LOCK_RECORD)
        .bind(record)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    sqlx::query_scalar("SELECT status FROM findings WHERE id = $1")
        .bind(id)
        .fetch_optional(c)
        .await
        .map_err(failed)
}

/// Decisions that one transaction ends, at most: whatever else is written waits for it.
pub(super) const EXPIRE_MAX: u64 = if cfg!(test) { 2 } else { 500 };

/// Ends decisions whose time has come, of those of a record or some of all; the number of them.
pub(super) async fn expire(c: &mut Conn, record: Option<Uuid>, now: DateTime<Utc>) -> Result<u64> {
    let mut update = QueryBuilder::<Db>::new(
        "UPDATE findings
         SET status = CASE status WHEN 'fixed' THEN status ELSE 'open' END,
             decision = NULL, decision_reason = NULL, decided_by = NULL, decided_at = NULL,
             decided_until = NULL
         WHERE decided_until <= ",
    );
    update.push_bind(micros(now));
    match record {
        Some(record) => {
            update.push(" AND record_id = ").push_bind(record);
        }
        None => {
            update.push(" AND id IN (SELECT id FROM findings WHERE decided_until <= ");
            update.push_bind(micros(now));
            update.push(format_args!(
                " ORDER BY decided_until, id LIMIT {EXPIRE_MAX})"
            ));
        }
    }
    update.push(" RETURNING *");
    let rows = update.build().fetch_all(&mut *c).await.map_err(failed)?;
    for row in &rows {
        if get::<&str>(row, "status")? == "open" {
            let finding = finding(row)?;
            let of = (finding.eggrecord_id, finding.target.as_str());
            tell(c, &Subject::known(&finding), of, "decision_expired", now).await?;
        }
    }
    Ok(rows.len() as u64)
}

/// Takes a decision about a finding back.
pub(super) async fn withdraw(c: &mut Conn, id: Uuid) -> Result<()> {
    sqlx::query(
        "UPDATE findings
         SET status = CASE status WHEN 'fixed' THEN status ELSE 'open' END,
             decision = NULL, decision_reason = NULL, decided_by = NULL, decided_at = NULL,
             decided_until = NULL
         WHERE id = $1",
    )
    .bind(id)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Tells that a finding of this record and target is open again without having been away.
pub(super) async fn tell(
    c: &mut Conn,
    subject: &Subject<'_>,
    (record, target): (Uuid, &str),
    why: &'static str,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut data = subject.data(record, target);
    data["why"] = json!(why);
    let event = NewEvent {
        kind: "finding_reopened",
        daemon_name: None,
        hostname: None,
        data,
    };
    add_event(c, &event, now).await
}
