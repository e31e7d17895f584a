//! What is otherwise than the last time.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::daemons::add_event;
use super::dialect::{Conn, failed};
use super::rows::{micros, to_json};
use crate::hub::store::{NewChange, NewEvent, Result};

/// Records a difference and the event that tells of it, in the transaction of the result that
/// showed it.
pub(super) async fn add(c: &mut Conn, change: &NewChange, now: DateTime<Utc>) -> Result<()> {
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO changes (id, record_id, target, type, subject, before, after, source_id,
                              created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(change.record_id)
    .bind(&change.target)
    .bind(change.kind)
    .bind(&change.subject)
    .bind(change.before.as_ref().map(to_json).transpose()?)
    .bind(change.after.as_ref().map(to_json).transpose()?)
    .bind(change.source_id)
    .bind(micros(now))
    .execute(&mut *c)
    .await
    .map_err(failed)?;
    let event = NewEvent {
        kind: "change_detected",
        daemon_name: change.daemon_name.clone(),
        hostname: change.hostname.clone(),
        data: json!({
            "change_id": id,
            "type": change.kind,
            "eggrecord_id": change.record_id,
            "target": change.target,
            "subject": change.subject,
            "before": change.before,
            "after": change.after,
        }),
    };
    add_event(c, &event, now).await
}
