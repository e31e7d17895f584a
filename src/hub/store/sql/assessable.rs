//! When a record is due to be assessed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::dialect::{Conn, failed};
use super::rows::{code, micros};
use crate::api::WorkKind;
use crate::hub::store::Result;

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
/// rest on how it was: when that is through, the record is due again.
pub(super) async fn assess_again(c: &mut Conn, record: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE work
         SET changed_at = CASE WHEN lease_until > $3 THEN $3 ELSE changed_at END,
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
