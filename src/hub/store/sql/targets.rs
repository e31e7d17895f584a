//! Records.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, LOCK_RECORD, Pool, failed};
use super::rows::{self, code, micros};
use super::{import, networks, target_list};
use crate::api::{Target, WorkKind};
use crate::hub::store::{Created, NewRecord, Record, Result, TargetChange};

/// Adds records; one that is known is left as it is.
pub(super) async fn create(
    c: &mut Conn,
    records: &[NewRecord],
    now: DateTime<Utc>,
) -> Result<Created> {
    // Ids are in the order given, which is that of lists.
    let mut rows: Vec<_> = records.iter().map(|r| (Uuid::now_v7(), r)).collect();
    // Two that add the same keys in different orders would wait for each other for ever.
    rows.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let mut done = Vec::with_capacity(rows.len());
    for (id, record) in rows {
        done.push((id, create_one(c, id, record, now).await?));
    }
    done.sort_unstable_by_key(|(id, _)| *id);
    let mut result = Created::default();
    for (_, (new, target)) in done {
        let list = if new {
            &mut result.created
        } else {
            &mut result.existing
        };
        list.extend(target);
    }
    Ok(result)
}

/// Adds a record, if it is new.
async fn create_one(
    c: &mut Conn,
    id: Uuid,
    record: &NewRecord,
    now: DateTime<Utc>,
) -> Result<(bool, Option<Target>)> {
    if import::insert(c, &[(id, record)], now).await? == 1 {
        match record.network() {
            Some(net) => networks::add(c, id, net, record.alive, now).await?,
            None => add_work(c, id, record.alive, now).await?,
        }
        return Ok((true, with_work(c, id).await?));
    }
    let row = sqlx::query("SELECT * FROM egg_records WHERE target_key = $1")
        .bind(&record.key)
        .fetch_one(&mut *c)
        .await
        .map_err(failed)?;
    let known = rows::target(&row)?;
    if record.network().is_none() {
        // An address that a network brought may have less.
        add_work(c, known.id, known.alive && !known.skip_scan, now).await?;
    }
    Ok((false, with_work(c, known.id).await?))
}

/// Work that needs no earlier result. Enumeration and assessment have no row until there is one:
/// with ten million targets, rows that say nothing cost gigabytes.
pub(super) const FIRST: [WorkKind; 4] = [
    WorkKind::KagePortScan,
    WorkKind::KazePortScan,
    WorkKind::RyuPortScan,
    WorkKind::KumoSpider,
];

/// What needs no earlier result is due at once. Nothing is due for a record that takes no part. One
/// statement for all kinds: targets come by the thousand.
async fn add_work(c: &mut Conn, id: Uuid, takes_part: bool, now: DateTime<Utc>) -> Result<()> {
    let due_at = takes_part.then_some(micros(now));
    let mut insert = QueryBuilder::<Db>::new("INSERT INTO work (record_id, kind, due_at) ");
    insert.push_values(FIRST, |mut row, kind| {
        row.push_bind(id).push_bind(code(kind)).push_bind(due_at);
    });
    insert.push(" ON CONFLICT (record_id, kind) DO NOTHING");
    insert.build().execute(c).await.map(drop).map_err(failed)
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
    with_work(&mut c, id).await
}

async fn with_work(c: &mut Conn, id: Uuid) -> Result<Option<Target>> {
    let row = sqlx::query("SELECT * FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let mut target: Vec<_> = row.iter().map(rows::target).collect::<Result<_>>()?;
    target_list::complete(c, &mut target).await?;
    Ok(target.pop())
}

/// Changes a record; what its work does then follows from whether it takes part.
pub(super) async fn change(
    c: &mut Conn,
    id: Uuid,
    change: &TargetChange,
    now: DateTime<Utc>,
) -> Result<Option<Target>> {
    let part = |target: &Target| target.alive && !target.skip_scan;
    sqlx::query(LOCK_RECORD)
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let Some(before) = with_work(c, id).await? else {
        return Ok(None);
    };
    sqlx::query(
        "UPDATE egg_records SET alive = coalesce($2, alive), skip_scan = coalesce($3, skip_scan),
                eggname = CASE WHEN $4 THEN $5 ELSE eggname END, updated_at = $6
         WHERE id = $1",
    )
    .bind(id)
    .bind(change.alive)
    .bind(change.skip_scan)
    .bind(change.group.is_some())
    .bind(change.group.clone().flatten())
    .bind(micros(now))
    .execute(&mut *c)
    .await
    .map_err(failed)?;
    let takes_part =
        change.alive.unwrap_or(before.alive) && !change.skip_scan.unwrap_or(before.skip_scan);
    match (part(&before), takes_part) {
        (true, false) => set_aside(c, id).await?,
        (false, true) => resume(c, id, now).await?,
        _ => {}
    }
    with_work(c, id).await
}

/// Nothing is due any more; when it would have been is kept. A row that is leased leaves the range of
/// due rows when its lease has run out.
async fn set_aside(c: &mut Conn, id: Uuid) -> Result<()> {
    sqlx::query(
        "UPDATE work SET resume_at = due_at, due_at = NULL
         WHERE record_id = $1 AND lease_id IS NULL",
    )
    .bind(id)
    .execute(&mut *c)
    .await
    .map_err(failed)?;
    networks::set_aside(c, id).await
}

/// What was set aside is due when it would have been: with a whole network of them, all at once would
/// be in the way of everything else.
async fn resume(c: &mut Conn, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE work SET due_at = CASE WHEN resume_at > $2 THEN resume_at ELSE $2 END,
                         resume_at = NULL
         WHERE record_id = $1 AND due_at IS NULL",
    )
    .bind(id)
    .bind(micros(now))
    .execute(&mut *c)
    .await
    .map_err(failed)?;
    networks::resume(c, id, now).await
}

/// Removes a record and its work.
pub(super) async fn delete(c: &mut Conn, id: Uuid) -> Result<bool> {
    let row = sqlx::query("SELECT * FROM egg_records WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    let Some(record) = row.as_ref().map(rows::record).transpose()? else {
        return Ok(false);
    };
    if let Some(net) = record.data.network()
        && (record.skip_scan || !record.data.alive)
    {
        networks::give_back(c, net).await?;
    }
    sqlx::query("DELETE FROM egg_records WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed)
}
