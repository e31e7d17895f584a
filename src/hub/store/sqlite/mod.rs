//! The embedded database.
//!
//! One connection writes, a few read. The journal is a write-ahead log with `synchronous=FULL`: a
//! commit is on disk before it is acknowledged, so that a result outlives both `kill -9` and a power
//! cut. (`NORMAL` would outlive only the first.) What the flush costs is shared by all jobs of a
//! batch.

mod at_rest;
mod dialect;
mod impatient;
#[cfg(test)]
mod plans;
#[path = "../sql/mod.rs"]
mod sql;
mod writer;

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::bell::Bell;
use super::{Result, StoreError};
use dialect::failed;
use writer::Writer;

pub use at_rest::{examine, revoke_as_in, settle};
/// A SQLite database.
pub use sql::SqlStore as SqliteStore;

/// Every migration, oldest first. One that was released is never changed.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "spine", include_str!("migrations/0001_spine.sql")),
    (
        2,
        "compact_work",
        include_str!("migrations/0002_compact_work.sql"),
    ),
    (3, "changes", include_str!("migrations/0003_changes.sql")),
    (4, "results", include_str!("migrations/0004_results.sql")),
    (5, "access", include_str!("migrations/0005_access.sql")),
    (6, "networks", include_str!("migrations/0006_networks.sql")),
    (7, "history", include_str!("migrations/0007_history.sql")),
    (8, "ops", include_str!("migrations/0008_ops.sql")),
    (9, "fairness", include_str!("migrations/0009_fairness.sql")),
    (10, "lists", include_str!("migrations/0010_lists.sql")),
    (
        11,
        "scan_order",
        include_str!("migrations/0011_scan_order.sql"),
    ),
    (12, "runs", include_str!("migrations/0012_runs.sql")),
    (13, "hosts", include_str!("migrations/0013_hosts.sql")),
    (14, "web", include_str!("migrations/0014_web.sql")),
    (15, "signs", include_str!("migrations/0015_signs.sql")),
    (16, "findings", include_str!("migrations/0016_findings.sql")),
    (17, "assessed", include_str!("migrations/0017_assessed.sql")),
];

/// The write-ahead log keeps no more than this when it is empty.
const LOG_BYTES: &str = "67108864";
/// Pages that the writing connection keeps in memory, at most: KiB, negative as SQLite wants it.
const CACHE: &str = "-8000";
/// Pages in the log before they are moved into the database. Moving them costs two flushes and
/// writes each page once, however often it has changed: rather seldom.
const LOG_PAGES: &str = "8000";
/// Connections that read.
const READERS: u32 = 4;

/// What brings a database up to date.
fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

impl SqliteStore {
    /// Opens a database, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be opened or written, or a later version of this program made it.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            // Every statement has an index to go by. With this on, SQLite rather reads the whole of a
            // large table and makes one for the few rows that it is joined with.
            .pragma("automatic_index", "OFF")
            // A log that once was long gives the disk back.
            .pragma("journal_size_limit", LOG_BYTES)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            // What a savepoint may have to undo is kept in memory, not in a file.
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let writing = options.clone().pragma("cache_size", CACHE);
        let mut connection = writing.connect().await.map_err(failed)?;
        migrator()
            .run(&mut connection)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::VersionMissing(version) => StoreError::Internal(
                    format!("it was written by a newer recon (migration {version})"),
                ),
                error => StoreError::Internal(error.to_string()),
            })?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            // There is no server that could have gone away.
            .test_before_acquire(false)
            .min_connections(0)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(failed)?;
        let bell = Bell::default();
        Ok(Self {
            read,
            write: Writer::start(connection, bell.clone())?,
            bell,
            shares: sql::Shares::default(),
            set_aside: sql::Remembered::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::hub::store::contract::spine;
    use crate::hub::store::{Claim, EventQuery, NewEvent, Store};

    #[test]
    fn every_migration_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hub/store/sqlite/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, listed);
    }

    async fn pragma(store: &SqliteStore, sql: &'static str) {
        let run = store.write.run(move |c| {
            Box::pin(async move {
                let set = sqlx::query(sql).fetch_all(c).await;
                set.map(drop).map_err(failed)
            })
        });
        run.await.unwrap();
    }

    async fn add_events(store: &SqliteStore, n: usize) -> Vec<Result<()>> {
        let event = NewEvent {
            kind: "scan_completed",
            daemon_name: None,
            hostname: None,
            data: serde_json::json!("x".repeat(20_000)),
        };
        let all = (0..n).map(|_| store.add_event(event.clone(), Utc::now()));
        futures_util::future::join_all(all).await
    }

    /// Results have no savepoint of their own: what fails, first or last, must undo itself, and take
    /// nothing of the results that are committed with it.
    #[tokio::test]
    async fn a_result_that_fails_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        let ids = spine::add(&store, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]).await;
        let first = spine::scan(ids[0], "kaze@a", spine::t0());
        spine::submit(&store, first, spine::key("first", 1))
            .await
            .unwrap();
        for sql in [
            "CREATE TRIGGER no_key BEFORE INSERT ON idempotency WHEN NEW.key = 'bad'
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "CREATE TRIGGER no_change BEFORE INSERT ON changes
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        ] {
            pragma(&store, sql).await;
        }
        // The last statement of a script fails; then one that comes after the script.
        let whole = spine::scan(ids[1], "kaze@a", spine::after(10));
        let bad_key = spine::scan(ids[2], "kaze@a", spine::after(10));
        let mut changed = spine::scan(ids[0], "kaze@a", spine::after(10));
        if let Ok(scan) = &mut changed.outcome {
            scan.open_ports[0].port = 81;
        }
        let (failed, stored, told) = tokio::join!(
            spine::submit(&store, bad_key, spine::key("bad", 2)),
            spine::submit(&store, whole, spine::key("whole", 3)),
            spine::submit(&store, changed, spine::key("changed", 4)),
        );
        assert!(matches!(failed, Err(StoreError::Internal(_))), "{failed:?}");
        assert!(matches!(told, Err(StoreError::Internal(_))), "{told:?}");
        stored.unwrap();
        for (sql, left) in [
            ("SELECT count(*) FROM nmap", 2),
            ("SELECT count(*) FROM idempotency", 2),
            (
                "SELECT count(*) FROM work WHERE last_done_at IS NOT NULL",
                2,
            ),
            ("SELECT count(*) FROM events", 2),
        ] {
            let rows: i64 = sqlx::query_scalar(sql)
                .fetch_one(&store.read)
                .await
                .unwrap();
            assert_eq!(rows, left, "{sql}");
        }
    }

    /// SQLite then rolls back by itself, in the middle of a batch.
    #[tokio::test]
    async fn a_full_disk_passes() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        pragma(&store, "PRAGMA max_page_count = 100").await;
        let done = add_events(&store, 100).await;
        let stored = done.iter().filter(|d| d.is_ok()).count();
        assert!(stored < 100);
        let full = |d: &Result<()>| matches!(d, Ok(()) | Err(StoreError::Unavailable(_)));
        assert!(done.iter().all(full), "{done:?}");
        let query = EventQuery {
            after: 0,
            limit: 1000,
        };
        let events = store.events(query.clone()).await.unwrap();
        assert_eq!(events.len(), stored, "only what was acknowledged is there");
        pragma(&store, "PRAGMA max_page_count = 10000").await;
        assert!(add_events(&store, 10).await.iter().all(Result::is_ok));
        assert_eq!(store.events(query).await.unwrap().len(), stored + 10);
    }

    async fn plan(sql: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("hub.db")).await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(sql).fetch_all(&store.read).await.unwrap();
        rows.iter()
            .map(|row| sqlx::Row::get(row, "detail"))
            .collect()
    }

    /// Whatever the number of targets, selection must not walk over them.
    #[tokio::test]
    async fn selection_reads_one_range_of_an_index() {
        let plan = plan(dialect::DUE).await;
        assert!(
            plan[0].contains("work_due (kind=? AND priority=? AND due_at<?)"),
            "{plan:?}"
        );
        assert!(plan[1].contains("SEARCH e USING PRIMARY KEY"), "{plan:?}");
        assert_eq!(plan.len(), 2, "no sorting: {plan:?}");
    }

    /// Nor must leasing: SQLite could read all work to find the few rows.
    #[tokio::test]
    async fn leasing_finds_each_record_by_its_key() {
        let claim = Claim {
            kind: crate::api::WorkKind::KazePortScan,
            limit: 1000,
            owner: "kaze@a".to_owned(),
            lease: Duration::from_secs(60),
            now: Utc::now(),
        };
        for records in [1, 2, 10, 1000] {
            let rows = (0..records).map(|_| (Uuid::now_v7(), Uuid::now_v7(), 0));
            let statement = sql::work::lease_statement(&claim, TimeDelta::minutes(1), rows);
            let plan = plan(statement.sql().as_str()).await;
            let by_key = "SEARCH work USING PRIMARY KEY (record_id=? AND kind=?)";
            assert!(plan.iter().any(|s| s == by_key), "{records}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn work_of_some_records_is_found_by_their_keys() {
        for records in [1, 256] {
            let keys: Vec<_> = (0..records).map(|n| format!("10.0.0.{n}")).collect();
            let kind = crate::api::WorkKind::KazePortScan;
            let plan = plan(sql::work::among("e.*", kind, &keys).sql().as_str()).await;
            assert!(plan[0].contains("(target_key=?)"), "{plan:?}");
            let by_key = "SEARCH w USING PRIMARY KEY (record_id=? AND kind=?)";
            assert!(plan.iter().any(|s| s == by_key), "{records}: {plan:?}");
        }
    }

    /// However many networks there are, their turns are read off an index.
    #[tokio::test]
    async fn turns_of_networks_are_read_in_order() {
        let plan = plan(dialect::TURNS).await;
        let range = "networks_turn (kind=? AND wait_until<?)";
        assert!(plan[0].contains(range), "{plan:?}");
        assert_eq!(plan.len(), 2, "no sorting: {plan:?}");
    }

    /// Each claim reads them; it must not read all targets.
    #[tokio::test]
    async fn what_is_set_aside_has_an_index() {
        let plan = plan(sql::set_aside::SET_ASIDE).await;
        assert!(plan[0].contains("egg_records_set_aside"), "{plan:?}");
    }
}
