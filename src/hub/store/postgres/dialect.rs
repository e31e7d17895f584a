//! What is PostgreSQL's own in the statements of `sql`.

use std::path::Path;

use uuid::Uuid;

use crate::hub::store::{Result, StoreError};

/// The database.
pub(super) type Db = sqlx::Postgres;
/// One connection to it.
pub(super) type Conn = sqlx::PgConnection;
/// Several.
pub(super) type Pool = sqlx::PgPool;
/// One row.
pub(super) type DbRow = sqlx::postgres::PgRow;

/// Due records of one kind and priority, longest due first. What another hub is just leasing is
/// passed over.
pub(super) const DUE: &str = "SELECT e.*, w.lease_id, w.attempts
     FROM work w JOIN egg_records e ON e.id = w.record_id
     WHERE w.kind = $1 AND w.priority = $2 AND w.due_at <= $3
     ORDER BY w.due_at, w.record_id LIMIT $4 FOR UPDATE OF w SKIP LOCKED";

/// Networks whose turn it is for a kind of work, longest waiting first. One that another hub just
/// takes addresses from is passed over.
pub(super) const TURNS: &str = "SELECT n.next, n.last, n.turn, e.*
     FROM networks n JOIN egg_records e ON e.id = n.record_id
     WHERE n.kind = $1 AND n.turn IS NOT NULL AND n.wait_until <= $2
       AND e.alive AND NOT e.skip_scan
     ORDER BY n.wait_until, n.turn, n.record_id LIMIT $3 FOR UPDATE OF n SKIP LOCKED";

/// At the end of a query for work `w`: it is this hub's, or passed over.
pub(super) const LOCK_WORK: &str = " FOR UPDATE OF w SKIP LOCKED";

/// Only one hub at a time makes addresses records (an arbitrary number of ours).
const EXPANDING_LOCK: i64 = 0x7265_636f_6e02;

/// Keeps other hubs from making addresses records until the end of the transaction: networks that
/// overlap bring the same ones, and two that add them would wait for each other for ever. Whoever
/// does not wait for another hub gets false when there is one.
pub(super) async fn expand_alone(c: &mut Conn, wait: bool) -> Result<bool> {
    if wait {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(EXPANDING_LOCK);
        return lock.execute(c).await.map(|_| true).map_err(failed);
    }
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(EXPANDING_LOCK)
        .fetch_one(c)
        .await
        .map_err(failed)
}

/// Finds a record and holds it: results for the same one come one after the other. Keys that refer
/// to it are not in the way.
pub(super) const LOCK_RECORD: &str = "SELECT 1 FROM egg_records WHERE id = $1 FOR NO KEY UPDATE";

/// Holds a record, if there is one, before anything is read that results for it may change: a
/// statement sees what was committed before it began, not what it waited for.
pub(super) async fn hold_record(c: &mut Conn, record: Uuid) -> Result<()> {
    sqlx::query(LOCK_RECORD)
        .bind(record)
        .fetch_optional(c)
        .await
        .map(drop)
        .map_err(failed)
}

/// Several changes as one statement, for one way to the server and back. They must not touch the same
/// rows: each sees what was there before all of them.
pub(super) fn together(changes: &[&str]) -> String {
    let named = changes.iter().enumerate();
    let named: Vec<_> = named.map(|(n, sql)| format!("c{n} AS ({sql})")).collect();
    format!("WITH {} SELECT 1", named.join(",\n"))
}

/// Each job has a transaction of its own, which an error ends: there is no part to undo.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn begin_part(_: &mut Conn) -> Result<()> {
    Ok(())
}

/// As [`begin_part`].
#[allow(clippy::unused_async)] // as above
pub(super) async fn end_part(_: &mut Conn) -> Result<()> {
    Ok(())
}

/// As [`begin_part`].
#[allow(clippy::unused_async)] // as above
pub(super) async fn undo_part(_: &mut Conn) -> Result<()> {
    Ok(())
}

/// Only one numbers events at a time (an arbitrary number of ours).
const EVENTS_LOCK: i64 = 0x7265_636f_6e01;

/// Numbers the events that were committed since. A number given on insertion would be in the order
/// of insertions, and who asks for what came after the last one would miss what was inserted before
/// it and committed later.
pub(super) async fn settle_events(pool: &Pool) -> Result<()> {
    let unsettled = sqlx::query("SELECT 1 FROM events WHERE seq IS NULL LIMIT 1")
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    if unsettled.is_none() {
        return Ok(());
    }
    let mut tx = pool.begin().await.map_err(failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(EVENTS_LOCK)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    sqlx::query(
        "UPDATE events SET seq = s.seq
         FROM (SELECT ord, nextval('event_seq') AS seq
               FROM (SELECT ord FROM events WHERE seq IS NULL ORDER BY ord) AS o) AS s
         WHERE events.ord = s.ord",
    )
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)
}

/// The last number that an event was given, be it there still or not.
pub(super) const LAST_SEQ: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS seq FROM event_seq";

/// Length of what is written to learn whether a write goes through.
pub(super) const PROBE_BYTES: usize = 64;

/// Its clock, microseconds.
pub(super) const TIME: Option<&str> =
    Some("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now");

/// Size of the database.
pub(super) const SIZE: &str = "SELECT pg_database_size(current_database()) AS size";

/// Gives free space back, and counts anew what the planner goes by.
pub(super) const VACUUM: &str = "VACUUM (ANALYZE)";

/// That is what pg_dump is for.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn backup(_: &Pool, _: &Path) -> Result<bool> {
    Ok(false)
}

/// PostgreSQL keeps its files and references right by itself.
#[allow(clippy::unused_async)] // as above
pub(super) async fn damage(_: &mut Conn) -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// Sorts PostgreSQL's errors: those that pass, and those that do not (PostgreSQL manual, appendix A).
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    // Connection, resources, intervention by an operator, system errors; conflicts of transactions.
    const PASSING: [&str; 5] = ["08", "53", "57", "58", "40"];
    // unique_violation: what adds a row has looked before whether it is there.
    const SOMEBODY_WAS_FASTER: &str = "23505";
    let passing = match &error {
        sqlx::Error::Database(db) => db.code().is_some_and(|code| {
            PASSING.contains(&code.get(..2).unwrap_or_default()) || code == SOMEBODY_WAS_FASTER
        }),
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_) => true,
        _ => false,
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Internal(error.to_string())
    }
}
