//! What agents do now.

use chrono::{DateTime, Utc};

use super::dialect::{Conn, DbRow, Pool, failed};
use super::rows::{from_json, get, micros, time, to_json};
use crate::api::Progress;
use crate::hub::store::{ProgressUpdate, Result};

/// The statement that finds what an agent said last.
const FIND: &str = "SELECT progress, updated_at FROM progress WHERE agent = $1";

/// Notes what an agent does now.
pub(super) async fn set(
    c: &mut Conn,
    agent: &str,
    update: ProgressUpdate,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = sqlx::query(FIND)
        .bind(agent)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let before = row.as_ref().map(progress).transpose()?.unwrap_or_default();
    let after = Progress {
        status: update.status.unwrap_or(before.status),
        cycle_number: update.cycle_number.unwrap_or(before.cycle_number),
        paths_found: update.paths_found.unwrap_or(before.paths_found),
        last_updated: None,
        ..update.progress
    };
    sqlx::query(
        "INSERT INTO progress (agent, progress, updated_at) VALUES ($1, $2, $3)
         ON CONFLICT (agent) DO UPDATE SET progress = $2, updated_at = $3",
    )
    .bind(agent)
    .bind(to_json(&after)?)
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// What an agent does now.
pub(super) async fn get_of(pool: &Pool, agent: &str) -> Result<Option<Progress>> {
    let row = sqlx::query(FIND)
        .bind(agent)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(progress).transpose()
}

fn progress(row: &DbRow) -> Result<Progress> {
    Ok(Progress {
        last_updated: Some(time(get(row, "updated_at")?)?),
        ..from_json(get(row, "progress")?)?
    })
}
