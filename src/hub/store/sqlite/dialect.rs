//! What is SQLite's own in the statements of `sql`.

use std::path::Path;

use sqlx::Row;
use uuid::Uuid;

use crate::hub::store::{Result, StoreError};

/// The database.
pub(super) type Db = sqlx::Sqlite;
/// One connection to it.
pub(super) type Conn = sqlx::SqliteConnection;
/// Several.
pub(super) type Pool = sqlx::SqlitePool;
/// One row.
pub(super) type DbRow = sqlx::sqlite::SqliteRow;

/// Due records of one kind and priority, longest due first. CROSS JOIN keeps SQLite from starting
/// with `egg_records`.
pub(super) const DUE: &str = "SELECT e.*, w.lease_id, w.attempts
     FROM work w CROSS JOIN egg_records e ON e.id = w.record_id
     WHERE w.kind = $1 AND w.priority = $2 AND w.due_at <= $3
     ORDER BY w.due_at, w.record_id LIMIT $4";

/// Networks whose turn it is for a kind of work, longest waiting first.
pub(super) const TURNS: &str = "SELECT n.next, n.last, n.turn, e.*
     FROM networks n CROSS JOIN egg_records e ON e.id = n.record_id
     WHERE n.kind = $1 AND n.turn IS NOT NULL AND n.wait_until <= $2
       AND e.alive = 1 AND e.skip_scan = 0
     ORDER BY n.wait_until, n.turn, n.record_id LIMIT $3";

/// Nobody else writes meanwhile: there is one writer.
pub(super) const LOCK_WORK: &str = "";

/// Nobody else writes meanwhile: there is one writer.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn expand_alone(_: &mut Conn, _: bool) -> Result<bool> {
    Ok(true)
}

/// Finds a record. Nobody else writes meanwhile: there is one writer.
pub(super) const LOCK_RECORD: &str = "SELECT 1 FROM egg_records WHERE id = $1";

/// Nobody else writes meanwhile: there is one writer.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn hold_record(_: &mut Conn, _: Uuid) -> Result<()> {
    Ok(())
}

/// Several changes as one statement: they go to the database's thread together. When one fails,
/// [`undo_part`] undoes those before it.
pub(super) fn together(changes: &[&str]) -> String {
    format!("{BEGIN_PART};\n{};\n{END_PART}", changes.join(";\n"))
}

const BEGIN_PART: &str = "SAVEPOINT part";
const END_PART: &str = "RELEASE part";

/// What follows up to [`end_part`] can be undone.
pub(super) async fn begin_part(c: &mut Conn) -> Result<()> {
    execute(c, BEGIN_PART).await
}

/// The end of what [`begin_part`] began.
pub(super) async fn end_part(c: &mut Conn) -> Result<()> {
    execute(c, END_PART).await
}

/// Undoes what was changed since [`begin_part`].
pub(super) async fn undo_part(c: &mut Conn) -> Result<()> {
    // A full disk or a failing one: SQLite has rolled everything back by itself.
    execute(c, "ROLLBACK TO part; RELEASE part")
        .await
        .map_err(|problem| StoreError::Unavailable(problem.to_string()))
}

async fn execute(c: &mut Conn, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(c).await.map(drop).map_err(failed)
}

/// Events have their numbers in the order of their commits: there is one writer.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn settle_events(_: &Pool) -> Result<()> {
    Ok(())
}

/// The last number that an event was given, be it there still or not.
pub(super) const LAST_SEQ: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";

/// Length of what is written to learn whether a write goes through. A full disk may still have room
/// for less in the file of the log.
pub(super) const PROBE_BYTES: usize = 64 * 1024;

/// It has no clock of its own.
pub(super) const TIME: Option<&str> = None;

/// Size of the database.
pub(super) const SIZE: &str =
    "SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size()";

/// Gives free space back.
pub(super) const VACUUM: &str = "VACUUM";

/// Problems that are named.
const PROBLEMS_MAX: usize = 100;

/// Writes a copy that is whole and small. The log cannot be emptied meanwhile.
pub(super) async fn backup(pool: &Pool, file: &Path) -> Result<bool> {
    let file = file
        .to_str()
        .ok_or_else(|| StoreError::Internal("the path of a backup is no UTF-8".to_owned()))?;
    let copied = sqlx::query("VACUUM INTO $1").bind(file).execute(pool).await;
    copied.map(|_| true).map_err(failed)
}

/// What SQLite itself finds wrong. It may be so wrong that it cannot even be looked for.
pub(super) async fn damage(c: &mut Conn) -> Result<Vec<String>> {
    match found_damage(c).await {
        Err(StoreError::Internal(problem)) => Ok(vec![problem]),
        found => found,
    }
}

async fn found_damage(c: &mut Conn) -> Result<Vec<String>> {
    let rows = sqlx::query("PRAGMA integrity_check(100)")
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
    let mut problems = Vec::new();
    for row in &rows {
        let text: String = row.try_get(0).map_err(failed)?;
        if text != "ok" {
            problems.push(text);
        }
    }
    let orphans = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(c)
        .await
        .map_err(failed)?;
    for row in orphans.iter().take(PROBLEMS_MAX) {
        let table: String = row.try_get("table").map_err(failed)?;
        let parent: String = row.try_get("parent").map_err(failed)?;
        problems.push(format!("a row of {table} without its row of {parent}"));
    }
    problems.truncate(PROBLEMS_MAX);
    Ok(problems)
}

/// Sorts SQLite's errors: those that pass, and those that do not (sqlite.org/rescode.html).
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    const PASSING: [u32; 6] = [5, 6, 8, 10, 13, 14]; // BUSY LOCKED READONLY IOERR FULL CANTOPEN
    let passing = match &error {
        sqlx::Error::Database(db) => db
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| PASSING.contains(&(code & 0xff))),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Internal(error.to_string())
    }
}
