//! What is otherwise than the last time.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::daemons::add_event;
use super::dialect::{Conn, Pool, failed};
use super::rows::{self, micros, to_json};
use crate::api::Change;
use crate::hub::store::{ChangeQuery, NewChange, NewEvent, Page, Result};

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

/// How far the order of ids and that of times may differ.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// Changes, newest first: their ids grow with time.
pub(super) async fn list(pool: &Pool, query: &ChangeQuery) -> Result<Page<Change>> {
    let of_one = query.target.is_some() || query.record_id.is_some();
    let found = match (of_one, &query.kind) {
        (false, None) => sqlx::query(
            "SELECT * FROM changes WHERE ($1 IS NULL OR id < $1) ORDER BY id DESC LIMIT $3",
        ),
        (false, Some(_)) => sqlx::query(
            "SELECT * FROM changes WHERE type = $2 AND ($1 IS NULL OR id < $1)
             ORDER BY id DESC LIMIT $3",
        ),
        // Written so that each part can use an index of its own.
        (true, _) => sqlx::query(
            "SELECT * FROM changes
             WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR type = $2)
               AND (target = $4 OR record_id = $5
                    OR record_id = (SELECT id FROM egg_records WHERE target_key = $4))
             ORDER BY id DESC LIMIT $3",
        ),
    }
    .bind(query.before)
    .bind(&query.kind)
    .bind(i64::from(query.limit) + 1)
    .bind(&query.target)
    .bind(query.record_id)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let mut items = found.iter().map(rows::change).collect::<Result<Vec<_>>>()?;
    // Nothing after the first that is too old can be wanted: no index on time is needed.
    let end = items
        .iter()
        .position(|change| query.since.is_some_and(|s| change.created_at + SKEW < s));
    let more = end.is_none() && items.len() > query.limit as usize;
    items.truncate(end.unwrap_or(query.limit as usize));
    let next = items.last().map(|change| change.id).filter(|_| more);
    items.retain(|change| query.since.is_none_or(|s| change.created_at >= s));
    Ok(Page { items, next })
}
