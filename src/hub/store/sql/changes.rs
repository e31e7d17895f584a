//! What is otherwise than the last time.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::daemons::add_event;
use super::dialect::{Conn, Pool, failed};
use super::listing::{self, Listing, Of};
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

/// Changes, in the order of their ids, which grow with time.
pub(super) async fn list(pool: &Pool, query: &ChangeQuery) -> Result<Page<Change>> {
    let mut page = listing::page(pool, listed(query), rows::change).await?;
    if let Some(since) = query.since.filter(|_| !query.oldest_first) {
        // Nothing after the first that is too old can be wanted: no index on time is needed.
        if page
            .items
            .iter()
            .any(|change| change.created_at + SKEW < since)
        {
            page.next = None;
        }
        page.items.retain(|change| change.created_at >= since);
    }
    Ok(page)
}

pub(in super::super) fn listed(query: &ChangeQuery) -> Listing<'_> {
    Listing {
        table: "changes",
        columns: "*",
        size: "coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)",
        of: Of {
            target: query.target.as_deref(),
            record_id: query.record_id,
            keyed: None,
        },
        equal: vec![("type", query.kind.as_deref())],
        since: query.since.filter(|_| query.oldest_first).map(micros),
        after: query.before,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}
