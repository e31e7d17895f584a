//! Many records in few statements.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, failed};
use super::rows::{code, micros};
use super::{networks, targets};
use crate::hub::store::{NewRecord, Result};

/// Rows of one statement. PostgreSQL takes 65,535 arguments, SQLite half of that.
const ROWS: usize = 1000;

/// Adds records and their work; gives the number of new ones.
pub(super) async fn add(c: &mut Conn, records: &[NewRecord], now: DateTime<Utc>) -> Result<u64> {
    // Ids are in the order given, which is that of lists.
    let mut rows: Vec<_> = records.iter().map(|r| (Uuid::now_v7(), r)).collect();
    // Two that add the same keys in different orders would wait for each other for ever; and
    // neighbours are neighbours in the index of keys, too.
    rows.sort_unstable_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let mut new = 0;
    for rows in rows.chunks(ROWS) {
        let inserted = insert(c, rows, now).await?;
        new += inserted;
        if inserted > 0 {
            let all_new = inserted == rows.len() as u64;
            add_work(c, rows, all_new, now).await?;
        }
        if inserted < rows.len() as u64 {
            complete_work(c, rows, now).await?;
        }
    }
    Ok(new)
}

/// Adds records alone; those whose key is known are left as they are.
pub(super) async fn insert(
    c: &mut Conn,
    rows: &[(Uuid, &NewRecord)],
    now: DateTime<Utc>,
) -> Result<u64> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO egg_records (id, target_key, sub_domain, domainname, ip_address, cidr, eggname,
                                  projectegg, alive, created_at, updated_at) ",
    );
    insert.push_values(rows, |mut row, (id, record)| {
        row.push_bind(*id)
            .push_bind(&record.key)
            .push_bind(&record.sub_domain)
            .push_bind(&record.domainname)
            .push_bind(record.ip_address.map(|a| a.to_string()))
            .push_bind(&record.cidr)
            .push_bind(&record.group)
            .push_bind(&record.projectegg)
            .push_bind(record.alive)
            .push_bind(micros(now))
            .push_bind(micros(now));
    });
    insert.push(" ON CONFLICT (target_key) DO NOTHING");
    let done = insert.build().execute(c).await.map_err(failed)?;
    Ok(done.rows_affected())
}

/// What needs no earlier result is due at once, for those that were new.
async fn add_work(
    c: &mut Conn,
    rows: &[(Uuid, &NewRecord)],
    all_new: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut hosts = Vec::with_capacity(rows.len());
    for (id, record) in rows {
        match record.network() {
            Some(net) => networks::add_if_new(c, *id, net, record.alive, now).await?,
            None => hosts.push((*id, record)),
        }
    }
    if hosts.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO work (record_id, kind, due_at) SELECT v.column1, k.column1, v.column2 FROM (",
    );
    insert.push_values(hosts, |mut row, (id, record)| {
        row.push_bind(id)
            .push_bind(record.alive.then_some(micros(now)));
    });
    insert.push(") AS v CROSS JOIN (");
    insert.push_values(targets::FIRST, |mut row, kind| {
        row.push_bind(code(kind));
    });
    insert.push(") AS k");
    if !all_new {
        // PostgreSQL may read all targets for that.
        insert.push(" WHERE EXISTS (SELECT 1 FROM egg_records AS e WHERE e.id = v.column1)");
    }
    insert.build().execute(c).await.map(drop).map_err(failed)
}

/// An address that a network brought has work only of the kinds that came to it; as a target of its
/// own it gets the rest. Other known targets have all.
async fn complete_work(
    c: &mut Conn,
    rows: &[(Uuid, &NewRecord)],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut insert = QueryBuilder::<Db>::new(
        "INSERT INTO work (record_id, kind, due_at)
         SELECT e.id, k.column1, CASE WHEN e.alive AND NOT e.skip_scan THEN ",
    );
    insert.push_bind(micros(now));
    insert.push(" END FROM egg_records AS e CROSS JOIN (");
    insert.push_values(targets::FIRST, |mut row, kind| {
        row.push_bind(code(kind));
    });
    insert.push(") AS k WHERE e.target_key IN (");
    let mut keys = insert.separated(", ");
    for (_, record) in rows {
        keys.push_bind(&record.key);
    }
    // So written, it is not looked for by the index of networks.
    insert.push(") AND coalesce(e.cidr, e.target_key) <> e.target_key");
    insert.push(" ON CONFLICT (record_id, kind) DO NOTHING");
    insert.build().execute(c).await.map(drop).map_err(failed)
}
