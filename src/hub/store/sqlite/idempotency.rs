//! The same key and body get the same answer; the work behind it is done once.

use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection};

use super::super::{Answer, Idempotency, Result, StoreError};
use super::rows::{failed, micros};

/// Does the work and keeps its answer under the key, or gives the answer that is kept.
pub(super) async fn once(
    c: &mut SqliteConnection,
    key: Option<Idempotency>,
    now: DateTime<Utc>,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<Answer>,
) -> Result<Answer> {
    let Some(key) = key else {
        return work(c).await;
    };
    if let Some(answer) = earlier(c, &key).await? {
        return Ok(answer);
    }
    let answer = work(c).await?;
    sqlx::query(
        "INSERT INTO idempotency (key, route, body_sha256, status, answer, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(&key.key)
    .bind(&key.route)
    .bind(key.body_sha256.as_slice())
    .bind(answer.status)
    .bind(&answer.body)
    .bind(micros(now))
    .execute(c)
    .await
    .map_err(failed)?;
    Ok(answer)
}

async fn earlier(c: &mut SqliteConnection, key: &Idempotency) -> Result<Option<Answer>> {
    let row = sqlx::query(
        "SELECT body_sha256, status, answer FROM idempotency WHERE key = ?1 AND route = ?2",
    )
    .bind(&key.key)
    .bind(&key.route)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let body: &[u8] = row.try_get("body_sha256").map_err(failed)?;
    if body != key.body_sha256 {
        return Err(StoreError::KeyReused);
    }
    Ok(Some(Answer {
        status: row.try_get("status").map_err(failed)?,
        body: row.try_get("answer").map_err(failed)?,
    }))
}

/// Forgets old answers.
pub(super) async fn purge(c: &mut SqliteConnection, before: DateTime<Utc>) -> Result<u64> {
    sqlx::query("DELETE FROM idempotency WHERE created_at < ?1")
        .bind(micros(before))
        .execute(c)
        .await
        .map(|done| done.rows_affected())
        .map_err(failed)
}
