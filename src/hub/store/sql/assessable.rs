//! When a record is due to be assessed.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::dialect::{Conn, failed};
use super::rows::{self, code, micros};
use super::set_aside::SetAside;
use super::work::{self, Task};
use crate::api::WorkKind;
use crate::hub::store::{Claim, Claimed, Result};

/// What comes last and was due for so long gets one of so many places of a batch.
const LONG: TimeDelta = TimeDelta::days(1);
/// As [`LONG`] says.
const SHARE: usize = 4;

/// There is something to assess: the assessment is due, and before others once there are both a
/// scan and an answer to a request.
pub(super) async fn make_assessable(c: &mut Conn, record: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO work (record_id, kind, due_at, priority)
         VALUES ($1, $2, $3,
                 CASE WHEN EXISTS (SELECT 1 FROM nmap
                                   WHERE record_id = $1 AND partial_seq IS NULL)
                       AND EXISTS (SELECT 1 FROM request_metadata
                                   WHERE record_id = $1 AND response_status > 0)
                      THEN 1 ELSE 0 END)
         ON CONFLICT (record_id, kind) DO UPDATE
         SET due_at = coalesce(work.due_at, excluded.due_at), priority = excluded.priority
         WHERE work.due_at IS NULL OR work.priority <> excluded.priority",
    )
    .bind(record)
    .bind(code(WorkKind::RyuAssessment))
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// What an assessment rests on has changed: the record is due for one now. One that an agent is at may
/// rest on how it was, also after its lease has run out: when that is through, the record is due again.
pub(super) async fn assess_again(c: &mut Conn, record: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE work
         SET changed_at = CASE WHEN lease_id IS NOT NULL THEN $3 ELSE changed_at END,
             due_at = CASE WHEN lease_until > $3 OR due_at <= $3 THEN due_at ELSE $3 END
         WHERE record_id = $1 AND kind = $2 AND due_at IS NOT NULL",
    )
    .bind(record)
    .bind(code(WorkKind::RyuAssessment))
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// A share of a batch is for assessments that come last and have waited for long: where there is more of
/// the others than agents can do, these would else never be made.
pub(super) async fn waited_long(
    c: &mut Conn,
    claim: &Claim,
    set_aside: &SetAside,
) -> Result<Vec<Claimed>> {
    let limit = claim.limit as usize;
    if claim.kind != WorkKind::RyuAssessment || limit < 2 {
        return Ok(Vec::new());
    }
    let [_, last] = work::priorities(claim.kind);
    let share = limit.div_ceil(SHARE);
    let since = claim.now - LONG;
    let due = work::due(c, claim, last, since, share).await?;
    work::sort_out(c, claim, due, share, set_aside).await
}

/// Whether somebody holds this work by another lease than this one, now.
pub(super) async fn is_leased_otherwise(
    c: &mut Conn,
    task: &Task<'_>,
    lease: Option<Uuid>,
) -> Result<bool> {
    let row = sqlx::query(
        "SELECT lease_id FROM work WHERE record_id = $1 AND kind = $2 AND lease_until > $3",
    )
    .bind(task.record_id)
    .bind(code(task.kind))
    .bind(micros(task.now))
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    let held: Option<Uuid> = match &row {
        Some(row) => rows::get(row, "lease_id")?,
        None => None,
    };
    Ok(held.is_some() && held != lease)
}
