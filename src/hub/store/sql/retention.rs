//! What is old goes.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, QueryBuilder};
use uuid::Uuid;

use super::SqlStore;
use super::dialect::{Conn, Db, DbRow, Pool, failed};
use super::rows::{get, micros, time};
use super::web;
use crate::hub::store::{Kept, Place, Purged, Result};

/// A table in the order in which its rows came.
struct Table {
    name: &'static str,
    key: &'static str,
    /// When a row `r` became old.
    time: &'static str,
    /// Whether a row of it need not stay when it is old.
    superseded: &'static str,
    /// Whether its times grow with its keys, but for clocks that were wrong.
    in_order: bool,
}

const ALL: &str = "1 = 1";
/// A later run of a spider (kind 4, `rows::code`) looked for such things, and has not seen this one.
macro_rules! unseen {
    ($what:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM web_runs n
                     WHERE n.record_id = r.record_id AND n.kind = 4 AND n.",
            $what,
            " AND n.finished_at > r.last_seen_at)"
        )
    };
}

impl Table {
    const fn of(what: Kept) -> Option<Self> {
        let (name, key, time, superseded) = match what {
            Kept::Events => ("events", "seq", "r.timestamp", ALL),
            Kept::Changes => ("changes", "id", "r.created_at", ALL),
            Kept::Audit => ("audit", "id", "r.time", ALL),
            Kept::Scans => (
                "nmap",
                "id",
                "r.created_at",
                "(r.partial_seq IS NOT NULL
                  OR EXISTS (SELECT 1 FROM nmap n
                             WHERE n.record_id = r.record_id AND n.scan_type = r.scan_type
                               AND n.finished_at > r.finished_at AND n.partial_seq IS NULL))",
            ),
            Kept::Requests => (
                "request_metadata",
                "id",
                "r.created_at",
                "r.run <> (SELECT n.run FROM request_metadata n WHERE n.record_id = r.record_id
                           ORDER BY n.id DESC LIMIT 1)",
            ),
            Kept::Assessments => (
                "ryu_assessment",
                "id",
                "r.created_at",
                "EXISTS (SELECT 1 FROM ryu_assessment n
                         WHERE n.record_id = r.record_id AND n.id > r.id)",
            ),
            Kept::WebRuns => (
                "web_runs",
                "id",
                "r.created_at",
                "EXISTS (SELECT 1 FROM web_runs n
                         WHERE n.record_id = r.record_id AND n.kind = r.kind
                           AND n.finished_at > r.finished_at)",
            ),
            Kept::Pages => (
                "web_pages",
                "id",
                "r.last_seen_at",
                concat!("(r.gone_at IS NOT NULL OR ", unseen!("pages"), ")"),
            ),
            Kept::Forms => ("web_forms", "id", "r.last_seen_at", unseen!("forms")),
            Kept::Endpoints => (
                "web_endpoints",
                "id",
                "r.last_seen_at",
                unseen!("endpoints"),
            ),
            // What was decided holds when it comes back, so it stays.
            Kept::Findings => (
                "findings",
                "id",
                "coalesce(r.fixed_at, r.last_seen_at)",
                "((r.status = 'fixed' AND r.decision IS NULL)
                  OR NOT EXISTS (SELECT 1 FROM egg_records e WHERE e.id = r.record_id))",
            ),
            Kept::Answers | Kept::Learned => return None,
        };
        Some(Self {
            name,
            key,
            time,
            superseded,
            in_order: !matches!(
                what,
                Kept::Pages | Kept::Forms | Kept::Endpoints | Kept::Findings
            ),
        })
    }

    fn place(&self, row: &DbRow) -> Result<Place> {
        Ok(match self.key {
            "seq" => Place::Seq(get(row, "place")?),
            _ => Place::Id(get(row, "place")?),
        })
    }

    fn first(&self) -> Place {
        match self.key {
            "seq" => Place::Seq(i64::MIN),
            _ => Place::Id(Uuid::nil()),
        }
    }
}

/// Removes some rows.
pub(super) async fn purge(
    store: &SqlStore,
    what: Kept,
    before: DateTime<Utc>,
    after: Option<Place>,
    limit: u32,
) -> Result<Purged> {
    let Some(table) = Table::of(what) else {
        let forget = store.write.run(move |c| {
            Box::pin(async move {
                match what {
                    Kept::Learned => web::forget_learned(c, micros(before), i64::from(limit)).await,
                    _ => forget_answers(c, before, limit).await,
                }
            })
        });
        let removed = forget.await?;
        return Ok(Purged {
            removed,
            old: removed,
            recent: None,
            // They go by an index on their time: what there is yet is again the first.
            next: (removed >= u64::from(limit)).then_some(Place::Seq(0)),
        });
    };
    let after = after.unwrap_or(table.first());
    let (mut done, old) = look(&store.read, &table, before, after, limit).await?;
    if !old.is_empty() {
        let remove = store
            .write
            .run(move |c| Box::pin(async move { remove(c, &table, &old).await }));
        done.removed = remove.await?;
    }
    Ok(done)
}

async fn forget_answers(c: &mut Conn, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM idempotency WHERE (key, route) IN (
             SELECT key, route FROM idempotency WHERE created_at < $1
             ORDER BY created_at LIMIT $2)",
    )
    .bind(micros(before))
    .bind(i64::from(limit))
    .execute(c)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

/// What there is, and those of it that may go.
async fn look(
    pool: &Pool,
    table: &Table,
    before: DateTime<Utc>,
    after: Place,
    limit: u32,
) -> Result<(Purged, Vec<Place>)> {
    let Table {
        name,
        key,
        time: at,
        superseded,
        ..
    } = table;
    let sql = format!(
        "SELECT r.{key} AS place, {at} AS time,
                CASE WHEN {at} < $3 AND {superseded} THEN CAST(1 AS bigint)
                     ELSE CAST(0 AS bigint) END AS superseded
         FROM {name} r WHERE r.{key} > $1 ORDER BY r.{key} LIMIT $2"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = match after {
        Place::Seq(seq) => query.bind(seq),
        Place::Id(id) => query.bind(id),
    };
    let rows = query
        .bind(i64::from(limit))
        .bind(micros(before))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    let (mut done, mut old) = (Purged::default(), Vec::new());
    for row in &rows {
        let at = time(get(row, "time")?)?;
        if at >= before {
            if !table.in_order {
                continue;
            }
            done.recent = Some(done.recent.map_or(at, |first| first.min(at)));
            continue;
        }
        done.old += 1;
        if get::<i64>(row, "superseded")? == 1 {
            old.push(table.place(row)?);
        }
    }
    if rows.len() >= limit as usize {
        done.next = rows.last().map(|row| table.place(row)).transpose()?;
    }
    Ok((done, old))
}

/// What has a newer one has it still: results are never removed but here, from the oldest on. What is a
/// row for ever may have been seen again since, or decided upon, and is looked at once more.
async fn remove(c: &mut Conn, table: &Table, places: &[Place]) -> Result<u64> {
    let Table {
        name,
        key,
        superseded,
        in_order,
        ..
    } = table;
    let mut query = QueryBuilder::<Db>::new(format!("DELETE FROM {name} AS r WHERE r.{key} IN ("));
    let mut list = query.separated(", ");
    for place in places {
        match place {
            Place::Seq(seq) => list.push_bind(*seq),
            Place::Id(id) => list.push_bind(*id),
        };
    }
    query.push(")");
    if !in_order {
        query.push(format_args!(" AND {superseded}"));
    }
    let done = query.build().persistent(false).execute(c).await;
    Ok(done.map_err(failed)?.rows_affected())
}
