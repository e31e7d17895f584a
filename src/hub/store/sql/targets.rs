//! Records.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, LOCK_RECORD, Pool, failed};
use super::rows::{self, code, micros};
use super::{networks, target_list};
use crate::api::{Target, WorkKind};
use crate::hub::store::{Created, NewRecord, Record, Result, TargetChange};

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
            match record.network() {
                Some(net) => networks::add(c, id, net).await?,
                None => add_work(c, id, record.alive, now).await?,
            }
            result.created.extend(with_work(c, id).await?);
            continue;
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
        result.existing.extend(with_work(c, known.id).await?);
    }
    Ok(result)
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
    let work = match (part(&before), takes_part) {
        // A row that is leased leaves the range of due rows when its lease has run out.
        (true, false) => Some((
            "UPDATE work SET due_at = $2 WHERE record_id = $1 AND lease_id IS NULL",
            None,
        )),
        (false, true) => Some((
            "UPDATE work SET due_at = $2 WHERE record_id = $1 AND due_at IS NULL",
            Some(micros(now)),
        )),
        _ => None,
    };
    if let Some((sql, due_at)) = work {
        let update = sqlx::query(sql).bind(id).bind(due_at);
        update.execute(&mut *c).await.map_err(failed)?;
    }
    with_work(c, id).await
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
