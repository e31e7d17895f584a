//! The same key and body get the same answer; the work behind it is done once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SqlStore;
use super::dialect::{Conn, DbRow, failed};
use super::rows::{self, micros};
use crate::hub::store::{Answer, Answers, Idempotency, Result, StoreError};

/// The statement that finds an answer.
const FIND: &str =
    "SELECT body_sha256, status, answer FROM idempotency WHERE key = $1 AND route = $2";

#[async_trait]
impl Answers for SqlStore {
    async fn kept_answer(&self, key: Idempotency) -> Result<Option<Answer>> {
        let row = sqlx::query(FIND)
            .bind(&key.key)
            .bind(&key.route)
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        row.as_ref().map(|row| kept(row, &key)).transpose()
    }

    async fn keep_answer(
        &self,
        key: Idempotency,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Answer> {
        self.write
            .run(move |c| {
                Box::pin(async move { once(c, Some(key), now, async |_: &mut _| Ok(answer)).await })
            })
            .await
    }
}

/// Does the work and keeps its answer under the key, or gives the answer that is kept.
pub(super) async fn once(
    c: &mut Conn,
    key: Option<Idempotency>,
    now: DateTime<Utc>,
    work: impl AsyncFnOnce(&mut Conn) -> Result<Answer>,
) -> Result<Answer> {
    let Some(key) = key else {
        return work(c).await;
    };
    // First of all, so that of two at once the second waits here until the first is through.
    let fresh = sqlx::query(
        "INSERT INTO idempotency (key, route, body_sha256, status, answer, created_at)
         VALUES ($1, $2, $3, 0, '', $4) ON CONFLICT (key, route) DO NOTHING",
    )
    .bind(&key.key)
    .bind(&key.route)
    .bind(key.body_sha256.as_slice())
    .bind(micros(now))
    .execute(&mut *c)
    .await
    .map_err(failed)?
    .rows_affected();
    if fresh == 0 {
        return earlier(c, &key).await;
    }
    let answer = work(c).await?;
    sqlx::query("UPDATE idempotency SET status = $3, answer = $4 WHERE key = $1 AND route = $2")
        .bind(&key.key)
        .bind(&key.route)
        .bind(i64::from(answer.status))
        .bind(&answer.body)
        .execute(c)
        .await
        .map_err(failed)?;
    Ok(answer)
}

/// Keeps the answer under the key.
pub(super) async fn keep(
    c: &mut Conn,
    key: &Idempotency,
    answer: &Answer,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO idempotency (key, route, body_sha256, status, answer, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&key.key)
    .bind(&key.route)
    .bind(key.body_sha256.as_slice())
    .bind(i64::from(answer.status))
    .bind(&answer.body)
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

async fn earlier(c: &mut Conn, key: &Idempotency) -> Result<Answer> {
    let row = sqlx::query(FIND)
        .bind(&key.key)
        .bind(&key.route)
        .fetch_one(c)
        .await
        .map_err(failed)?;
    kept(&row, key)
}

/// The answer in a row (`body_sha256`, `status`, `answer`) of this key.
pub(super) fn kept(row: &DbRow, key: &Idempotency) -> Result<Answer> {
    let body: &[u8] = rows::get(row, "body_sha256")?;
    if body != key.body_sha256 {
        return Err(StoreError::KeyReused);
    }
    Ok(Answer {
        status: rows::count(row, "status")?,
        body: rows::get(row, "answer")?,
    })
}
