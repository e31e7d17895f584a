//! What is SQLite's own in the statements of `sql`.

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
pub(super) const TURNS: &str = "SELECT n.next, n.last, e.*
     FROM networks n CROSS JOIN egg_records e ON e.id = n.record_id
     WHERE n.kind = $1 AND n.turn IS NOT NULL AND n.wait_until <= $2
       AND e.alive = 1 AND e.skip_scan = 0
     ORDER BY n.turn, n.record_id LIMIT $3";

/// Finds a record. Nobody else writes meanwhile: there is one writer.
pub(super) const LOCK_RECORD: &str = "SELECT 1 FROM egg_records WHERE id = $1";

/// Events have their numbers in the order of their commits: there is one writer.
#[allow(clippy::unused_async)] // the other dialect has something to do
pub(super) async fn settle_events(_: &Pool) -> Result<()> {
    Ok(())
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
