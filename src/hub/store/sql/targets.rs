//! Records.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::rows::{self, code, micros};
use crate::api::{Target, TargetWork, WorkKind};
use crate::hub::store::{Created, NewRecord, Page, Record, Result, TargetQuery};

/// Adds records; one that is known is left as it is.
pub(super) async fn create(
    c: &mut Conn,
    records: &[NewRecord],
    now: DateTime<Utc>,
) -> Result<Created> {
    let mut result = Created::default();
    for record in records {
        let id = Uuid::now_v7();
        let inserted = sqlx::query(
            "INSERT INTO egg_records (id, target_key, sub_domain, domainname, ip_address, cidr,
                                      eggname, projectegg, alive, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
             ON CONFLICT (target_key) DO NOTHING",
        )
        .bind(id)
        .bind(&record.key)
        .bind(&record.sub_domain)
        .bind(&record.domainname)
        .bind(record.ip_address.map(|a| a.to_string()))
        .bind(&record.cidr)
        .bind(&record.group)
        .bind(&record.projectegg)
        .bind(record.alive)
        .bind(micros(now))
        .execute(&mut *c)
        .await
        .map_err(failed)?
        .rows_affected();
        if inserted == 1 {
            let work = add_work(c, id, record.alive, now).await?;
            result.created.push(new_target(id, record, now, work));
            continue;
        }
        let row = sqlx::query("SELECT * FROM egg_records WHERE target_key = $1")
            .bind(&record.key)
            .fetch_one(&mut *c)
            .await
            .map_err(failed)?;
        let mut target = rows::target(&row)?;
        target.work = work_of(c, target.id).await?;
        result.existing.push(target);
    }
    Ok(result)
}

fn new_target(id: Uuid, r: &NewRecord, now: DateTime<Utc>, work: Vec<TargetWork>) -> Target {
    Target {
        id,
        target: r.key.clone(),
        ip_address: r.ip_address,
        cidr: r.cidr.clone(),
        group: r.group.clone(),
        alive: r.alive,
        skip_scan: false,
        created_at: now,
        work,
    }
}

/// Work that needs no earlier result. Enumeration and assessment have no row until there is one:
/// with ten million targets, rows that say nothing cost gigabytes.
const FIRST: [WorkKind; 4] = [
    WorkKind::KagePortScan,
    WorkKind::KazePortScan,
    WorkKind::RyuPortScan,
    WorkKind::KumoSpider,
];

/// What needs no earlier result is due at once. Nothing is due for a record that takes no part. One
/// statement for all kinds: targets come by the thousand.
async fn add_work(
    c: &mut Conn,
    id: Uuid,
    alive: bool,
    now: DateTime<Utc>,
) -> Result<Vec<TargetWork>> {
    let due_at = alive.then_some(now);
    let mut insert = QueryBuilder::<Db>::new("INSERT INTO work (record_id, kind, due_at) ");
    insert.push_values(FIRST, |mut row, kind| {
        row.push_bind(id)
            .push_bind(code(kind))
            .push_bind(due_at.map(micros));
    });
    insert.build().execute(c).await.map_err(failed)?;
    let work = |kind| TargetWork {
        due_at: due_at.filter(|_| FIRST.contains(&kind)),
        ..waiting(kind)
    };
    Ok(WorkKind::ALL.map(work).into())
}

async fn work_of(c: &mut Conn, id: Uuid) -> Result<Vec<TargetWork>> {
    let rows = sqlx::query("SELECT * FROM work WHERE record_id = $1 ORDER BY kind")
        .bind(id)
        .fetch_all(c)
        .await
        .map_err(failed)?;
    let found: Result<Vec<_>> = rows
        .iter()
        .filter_map(|row| rows::work(row).transpose())
        .map(|work| work.map(|(_, work)| work))
        .collect();
    Ok(every_kind(found?))
}

/// With what has no row yet, which is not due.
fn every_kind(found: Vec<TargetWork>) -> Vec<TargetWork> {
    let mut found: BTreeMap<_, _> = found.into_iter().map(|w| (w.kind, w)).collect();
    let one = |kind| found.remove(&kind).unwrap_or_else(|| waiting(kind));
    WorkKind::ALL.map(one).into()
}

fn waiting(kind: WorkKind) -> TargetWork {
    TargetWork {
        kind,
        due_at: None,
        last_done_at: None,
        lease_owner: None,
        attempts: 0,
    }
}

/// One record.
pub(super) async fn record(pool: &Pool, id: Uuid) -> Result<Option<Record>> {
    let row = sqlx::query("SELECT * FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(rows::record).transpose()
}

/// One target with its work.
pub(super) async fn target(pool: &Pool, id: Uuid) -> Result<Option<Target>> {
    let mut c = pool.acquire().await.map_err(failed)?;
    let row = sqlx::query("SELECT * FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut target = rows::target(&row)?;
    target.work = work_of(&mut c, id).await?;
    Ok(Some(target))
}

/// Targets by id, which is by time of creation.
pub(super) async fn list(pool: &Pool, query: &TargetQuery) -> Result<Page<Target>> {
    let mut c = pool.acquire().await.map_err(failed)?;
    let limit = query.limit as usize;
    let found = sqlx::query(
        "SELECT * FROM egg_records
         WHERE ($1 IS NULL OR id > $1)
           AND ($2 IS NULL OR target_key LIKE $2 ESCAPE '\\' OR lower(eggname) LIKE $2 ESCAPE '\\')
         ORDER BY id LIMIT $3",
    )
    .bind(query.after)
    .bind(query.text.as_deref().map(containing))
    .bind(i64::from(query.limit) + 1)
    .fetch_all(&mut *c)
    .await
    .map_err(failed)?;
    let more = found.len() > limit;
    let mut items = found
        .iter()
        .take(limit)
        .map(rows::target)
        .collect::<Result<Vec<_>>>()?;
    if let (Some(first), Some(last)) = (items.first(), items.last()) {
        let mut work = if query.text.is_some() {
            let mut work = BTreeMap::new();
            for target in &items {
                work.insert(target.id, work_of(&mut c, target.id).await?);
            }
            work
        } else {
            work_between(&mut c, first.id, last.id).await?
        };
        for target in &mut items {
            target.work = every_kind(work.remove(&target.id).unwrap_or_default());
        }
    }
    let next = if more {
        items.last().map(|t| t.id)
    } else {
        None
    };
    Ok(Page { items, next })
}

/// A pattern for what contains a text.
fn containing(text: &str) -> String {
    let text = text.to_lowercase();
    let text = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{text}%")
}

/// Work of all records of a page, in one go.
async fn work_between(
    c: &mut Conn,
    first: Uuid,
    last: Uuid,
) -> Result<BTreeMap<Uuid, Vec<TargetWork>>> {
    let rows = sqlx::query(
        "SELECT * FROM work WHERE record_id BETWEEN $1 AND $2 ORDER BY record_id, kind",
    )
    .bind(first)
    .bind(last)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    let mut all: BTreeMap<Uuid, Vec<TargetWork>> = BTreeMap::new();
    for row in &rows {
        if let Some((id, work)) = rows::work(row)? {
            all.entry(id).or_default().push(work);
        }
    }
    Ok(all)
}

/// Removes a record and its work.
pub(super) async fn delete(c: &mut Conn, id: Uuid) -> Result<bool> {
    sqlx::query("DELETE FROM egg_records WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed)
}
