//! How far each webhook is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::dialect::{Conn, DbRow, Pool, failed};
use super::rows::{self, micros};
use crate::hub::store::{Progress, Result};

/// Takes one, or keeps it.
pub(super) async fn hold(
    c: &mut Conn,
    name: &str,
    holder: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Progress>> {
    let row = sqlx::query(
        "INSERT INTO webhooks (name, position, holder, held_until)
         VALUES ($1, (SELECT coalesce(max(seq), 0) FROM events), $2, $4)
         ON CONFLICT (name) DO UPDATE SET holder = $2, held_until = $4
         WHERE webhooks.holder = $2 OR webhooks.held_until <= $3
         RETURNING position, failing_since, delivered, given_up",
    )
    .bind(name)
    .bind(holder)
    .bind(micros(now))
    .bind(micros(until))
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    row.as_ref().map(progress).transpose()
}

fn progress(row: &DbRow) -> Result<Progress> {
    Ok(Progress {
        position: rows::get(row, "position")?,
        failing_since: rows::time_option(rows::get(row, "failing_since")?)?,
        delivered: rows::count(row, "delivered")?,
        given_up: rows::count(row, "given_up")?,
    })
}

/// Every one.
pub(super) async fn list(pool: &Pool) -> Result<Vec<(String, Progress)>> {
    let found = sqlx::query("SELECT * FROM webhooks ORDER BY name")
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    found
        .iter()
        .map(|row| Ok((rows::get(row, "name")?, progress(row)?)))
        .collect()
}

/// Notes how far it is; false when it is another's.
pub(super) async fn put(
    c: &mut Conn,
    name: &str,
    holder: Uuid,
    progress: &Progress,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE webhooks SET position = $3, failing_since = $4, delivered = $5, given_up = $6
         WHERE name = $1 AND holder = $2",
    )
    .bind(name)
    .bind(holder)
    .bind(progress.position)
    .bind(progress.failing_since.map(micros))
    .bind(i64::try_from(progress.delivered).unwrap_or(i64::MAX))
    .bind(i64::try_from(progress.given_up).unwrap_or(i64::MAX))
    .execute(c)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}
