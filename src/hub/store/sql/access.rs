//! Tokens and the audit trail.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::SqlStore;
use super::dialect::{Conn, Db, DbRow, Pool, failed};
use super::idempotency;
use super::rows::{from_json, get, micros, time, time_option, to_json};
use crate::api::{AuditEntry, Role, Token};
use crate::hub::store::{
    AccessStore, Answer, Idempotency, NewToken, Page, PageQuery, Result, StoreError,
};

#[async_trait]
impl AccessStore for SqlStore {
    async fn create_token(
        &self,
        token: NewToken,
        key: Option<Idempotency>,
        now: DateTime<Utc>,
    ) -> Result<Token> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    let mut made = None;
                    let kept = idempotency::once(c, key, now, async |c: &mut _| {
                        let token = create(c, &token, now).await?;
                        let (status, body) = (201, token.id.to_string());
                        made = Some(token);
                        Ok(Answer { status, body })
                    });
                    let kept = kept.await?;
                    made.ok_or(StoreError::MadeBefore(kept.body))
                })
            })
            .await
    }

    async fn token_by_secret(&self, sha256: [u8; 32]) -> Result<Option<Token>> {
        let row = sqlx::query("SELECT * FROM tokens WHERE secret_sha256 = $1")
            .bind(sha256.as_slice())
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        row.as_ref().map(token).transpose()
    }

    async fn tokens(&self, query: PageQuery) -> Result<Page<Token>> {
        page(&self.read, "tokens", &query, token, |t| t.id).await
    }

    async fn revoke_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<Option<Token>> {
        self.write.run(move |c| Box::pin(revoke(c, id, now))).await
    }

    async fn token_used(&self, id: Uuid, now: DateTime<Utc>) -> Result<()> {
        self.write.run(move |c| Box::pin(used(c, id, now))).await
    }

    async fn lease_owner(&self, lease: Uuid) -> Result<Option<String>> {
        let owner = sqlx::query_scalar("SELECT lease_owner FROM work WHERE lease_id = $1")
            .bind(lease)
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        Ok(owner.flatten())
    }

    async fn add_audit(&self, entry: AuditEntry) -> Result<()> {
        self.write
            .run(move |c| Box::pin(async move { add_audit(c, &entry).await }))
            .await
    }

    async fn audit(&self, query: PageQuery) -> Result<Page<AuditEntry>> {
        page(&self.read, "audit", &query, audit_entry, |e| e.id).await
    }
}

async fn create(c: &mut Conn, new: &NewToken, now: DateTime<Utc>) -> Result<Token> {
    // The update changes nothing; without it a row that is there would not be returned.
    let row = sqlx::query(
        "INSERT INTO tokens (id, name, role, secret_sha256, agent, host, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (secret_sha256) DO UPDATE SET secret_sha256 = $4
         RETURNING *",
    )
    .bind(Uuid::now_v7())
    .bind(&new.name)
    .bind(new.role.as_str())
    .bind(new.secret_sha256.as_slice())
    .bind(&new.agent)
    .bind(&new.host)
    .bind(micros(now))
    .bind(new.expires_at.map(micros))
    .fetch_one(c)
    .await
    .map_err(failed)?;
    token(&row)
}

async fn revoke(c: &mut Conn, id: Uuid, now: DateTime<Utc>) -> Result<Option<Token>> {
    let row = sqlx::query(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING *",
    )
    .bind(id)
    .bind(micros(now))
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    row.as_ref().map(token).transpose()
}

async fn used(c: &mut Conn, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1")
        .bind(id)
        .bind(micros(now))
        .execute(c)
        .await
        .map(drop)
        .map_err(failed)
}

async fn add_audit(c: &mut Conn, entry: &AuditEntry) -> Result<()> {
    let json = |value: &Option<Value>| value.as_ref().map(to_json).transpose();
    sqlx::query(
        "INSERT INTO audit (id, time, who, role, peer, action, object, old, new, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(entry.id)
    .bind(micros(entry.time))
    .bind(&entry.who)
    .bind(entry.role.as_str())
    .bind(&entry.peer)
    .bind(&entry.action)
    .bind(&entry.object)
    .bind(json(&entry.old)?)
    .bind(json(&entry.new)?)
    .bind(entry.request_id)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// One page of a list, newest first.
async fn page<T>(
    pool: &Pool,
    table: &'static str,
    query: &PageQuery,
    read: fn(&DbRow) -> Result<T>,
    id: fn(&T) -> Uuid,
) -> Result<Page<T>> {
    let mut statement = listed(table, query);
    let found = statement.build().fetch_all(pool).await.map_err(failed)?;
    let limit = query.limit as usize;
    let items = found
        .iter()
        .take(limit)
        .map(read)
        .collect::<Result<Vec<_>>>()?;
    let more = found.len() > limit;
    let next = items.last().filter(|_| more).map(id);
    Ok(Page { items, next })
}

/// One row more than wanted.
pub(in super::super) fn listed(table: &'static str, query: &PageQuery) -> QueryBuilder<Db> {
    let mut statement = QueryBuilder::new("SELECT * FROM ");
    statement.push(table);
    if let Some(before) = query.before {
        statement.push(" WHERE id < ").push_bind(before);
    }
    statement.push(" ORDER BY id DESC LIMIT ");
    statement.push_bind(i64::from(query.limit) + 1);
    statement
}

fn token(row: &DbRow) -> Result<Token> {
    Ok(Token {
        id: get(row, "id")?,
        name: get(row, "name")?,
        role: role(row)?,
        agent: get(row, "agent")?,
        host: get(row, "host")?,
        created_at: time(get(row, "created_at")?)?,
        expires_at: time_option(get(row, "expires_at")?)?,
        last_used_at: time_option(get(row, "last_used_at")?)?,
        revoked_at: time_option(get(row, "revoked_at")?)?,
    })
}

fn audit_entry(row: &DbRow) -> Result<AuditEntry> {
    let json = |column| {
        let text: Option<&str> = get(row, column)?;
        text.map(from_json).transpose()
    };
    Ok(AuditEntry {
        id: get(row, "id")?,
        time: time(get(row, "time")?)?,
        who: get(row, "who")?,
        role: role(row)?,
        peer: get(row, "peer")?,
        action: get(row, "action")?,
        object: get(row, "object")?,
        old: json("old")?,
        new: json("new")?,
        request_id: get(row, "request_id")?,
    })
}

fn role(row: &DbRow) -> Result<Role> {
    let text: &str = get(row, "role")?;
    text.parse().map_err(StoreError::Internal)
}
