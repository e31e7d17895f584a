//! Care of the database.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Row;

use super::SqlStore;
use super::dialect::{self, Pool, failed};
use super::rows::{self, micros};
use crate::api::WorkKind;
use crate::hub::store::{COUNT_MAX, Ops, QueueDepth, Result};

/// What must hold of every row, and what it means when it does not.
const INVARIANTS: [(&str, &str); 4] = [
    (
        "SELECT count(*) AS n FROM (SELECT lease_id FROM work WHERE lease_id IS NOT NULL
                                    GROUP BY lease_id HAVING count(*) > 1) AS twice",
        "leases that hold more than one piece of work",
    ),
    (
        "SELECT count(*) AS n FROM work
         WHERE (lease_id IS NULL) <> (lease_until IS NULL)
            OR (lease_id IS NULL) <> (lease_owner IS NULL)",
        "pieces of work with half a lease",
    ),
    (
        "SELECT count(*) AS n FROM work WHERE lease_id IS NOT NULL AND due_at < lease_until",
        "pieces of work that would be handed out although they are leased",
    ),
    (
        "SELECT count(*) AS n FROM work w
         WHERE NOT EXISTS (SELECT 1 FROM egg_records e WHERE e.id = w.record_id)",
        "pieces of work without a target",
    ),
];

#[async_trait]
impl Ops for SqlStore {
    async fn probe(&self, now: DateTime<Utc>) -> Result<()> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO readiness (id, at, filler) VALUES (1, $1, $2)
                         ON CONFLICT (id) DO UPDATE SET at = $1, filler = $2",
                    )
                    .bind(micros(now))
                    .bind(vec![0_u8; dialect::PROBE_BYTES])
                    .execute(c)
                    .await
                    .map(drop)
                    .map_err(failed)
                })
            })
            .await
    }

    async fn time(&self) -> Result<Option<DateTime<Utc>>> {
        let Some(sql) = dialect::TIME else {
            return Ok(None);
        };
        let row = sqlx::query(sql).fetch_one(&self.read).await;
        rows::time(rows::get(&row.map_err(failed)?, "now")?).map(Some)
    }

    async fn queue(&self, now: DateTime<Utc>) -> Result<Vec<QueueDepth>> {
        let mut depths = Vec::with_capacity(WorkKind::ALL.len());
        for kind in WorkKind::ALL {
            let row = sqlx::query(
                "SELECT (SELECT count(*) FROM (SELECT 1 FROM work WHERE kind = $1 AND priority = 1
                                               AND due_at <= $2 LIMIT $3) AS a)
                      + (SELECT count(*) FROM (SELECT 1 FROM work WHERE kind = $1 AND priority = 0
                                               AND due_at <= $2 LIMIT $3) AS b) AS due,
                        (SELECT count(*) FROM (SELECT 1 FROM work WHERE kind = $1
                                               AND lease_until > $2 LIMIT $3) AS c) AS leased",
            )
            .bind(rows::code(kind))
            .bind(micros(now))
            .bind(i64::try_from(COUNT_MAX).unwrap_or(i64::MAX))
            .fetch_one(&self.read)
            .await
            .map_err(failed)?;
            depths.push(QueueDepth {
                kind,
                due: rows::count::<u64>(&row, "due")?.min(COUNT_MAX),
                leased: rows::count(&row, "leased")?,
            });
        }
        Ok(depths)
    }

    async fn scan_totals(&self) -> Result<BTreeMap<String, u64>> {
        let rows = sqlx::query(
            "SELECT t.scan_type, t.n - coalesce(u.n, 0) AS n
             FROM (SELECT scan_type, count(*) AS n FROM nmap GROUP BY scan_type) AS t
             LEFT JOIN (SELECT scan_type, count(*) AS n FROM nmap
                        WHERE partial_seq IS NOT NULL GROUP BY scan_type) AS u
                  ON u.scan_type = t.scan_type
             UNION ALL SELECT 'kumo_spider', count(*) FROM request_metadata
             UNION ALL SELECT 'suzu_enum', count(*) FROM directory_enumeration",
        )
        .fetch_all(&self.read)
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                let kind = row.try_get("scan_type").map_err(failed)?;
                Ok((kind, rows::count(row, "n")?))
            })
            .collect()
    }

    async fn size(&self) -> Result<u64> {
        let row = sqlx::query(dialect::SIZE)
            .fetch_one(&self.read)
            .await
            .map_err(failed)?;
        rows::count(&row, "size")
    }

    async fn backup(&self, file: &Path) -> Result<bool> {
        dialect::backup(&self.read, file).await
    }

    async fn verify(&self) -> Result<Vec<String>> {
        let mut connection = self.read.acquire().await.map_err(failed)?;
        let mut problems = dialect::damage(&mut connection).await?;
        drop(connection);
        problems.extend(broken_invariants(&self.read).await?);
        Ok(problems)
    }

    async fn vacuum(&self) -> Result<()> {
        self.write.run_alone(dialect::VACUUM).await
    }
}

async fn broken_invariants(pool: &Pool) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (sql, meaning) in INVARIANTS {
        let row = sqlx::query(sql).fetch_one(pool).await.map_err(failed)?;
        let n: u64 = rows::count(&row, "n")?;
        if n > 0 {
            problems.push(format!("{n} {meaning}"));
        }
    }
    Ok(problems)
}
