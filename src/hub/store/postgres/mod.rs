//! The shared database: several hubs, on several hosts, over one PostgreSQL.
//!
//! Each hub has a few connections. What two hubs want at once is settled by row locks: leasing
//! passes over what is locked (SKIP LOCKED), results for one record wait for each other.

mod dialect;
mod neighbours;
#[path = "../sql/mod.rs"]
mod sql;
mod writer;

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};

use super::bell::Bell;
use super::{Result, StoreError};
use dialect::failed;
use writer::Writer;

/// A PostgreSQL database.
pub use sql::SqlStore as PostgresStore;

/// Every migration, oldest first. One that was released is never changed.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "spine", include_str!("migrations/0001_spine.sql")),
    (2, "changes", include_str!("migrations/0002_changes.sql")),
    (3, "results", include_str!("migrations/0003_results.sql")),
    (4, "access", include_str!("migrations/0004_access.sql")),
    (5, "networks", include_str!("migrations/0005_networks.sql")),
    (6, "history", include_str!("migrations/0006_history.sql")),
    (7, "ops", include_str!("migrations/0007_ops.sql")),
    (8, "fairness", include_str!("migrations/0008_fairness.sql")),
    (9, "lists", include_str!("migrations/0009_lists.sql")),
    (
        10,
        "scan_order",
        include_str!("migrations/0010_scan_order.sql"),
    ),
    (11, "runs", include_str!("migrations/0011_runs.sql")),
    (12, "hosts", include_str!("migrations/0012_hosts.sql")),
    (13, "web", include_str!("migrations/0013_web.sql")),
    (14, "signs", include_str!("migrations/0014_signs.sql")),
    (15, "findings", include_str!("migrations/0015_findings.sql")),
    (16, "assessed", include_str!("migrations/0016_assessed.sql")),
];

/// Connections of one hub. A server has 100 by default, and each is a process.
const CONNECTIONS: u32 = 12;
/// A connection that was in use so short a time ago is taken to be there still. Should it not be, the
/// request is answered 503 and comes again.
const TRUSTED: Duration = Duration::from_secs(1);

impl PostgresStore {
    /// Opens a database (`postgres://USER:PASSWORD@HOST/NAME`) and brings its tables up to date;
    /// hubs that start at once do so one after the other.
    ///
    /// # Errors
    /// It cannot be reached or written, or a later version of this program made it.
    pub async fn open(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Internal("it is not a PostgreSQL address".to_owned()))?
            .application_name("recon-hub")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(0)
            .acquire_timeout(Duration::from_secs(10))
            // Each test is a way to the server and back, as each statement is.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .map_err(failed)?;
        let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
            let sql = sql.into_sql_str();
            Migration::new(version, name.into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(migrations.collect())
            .run(&pool)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::VersionMissing(version) => StoreError::Internal(
                    format!("it was written by a newer recon (migration {version})"),
                ),
                error => StoreError::Internal(error.to_string()),
            })?;
        let bell = Bell::default();
        neighbours::start(&pool, &bell);
        Ok(Self {
            write: Writer::new(pool.clone(), bell.clone()),
            read: pool,
            bell,
            shares: sql::Shares::default(),
            set_aside: sql::Remembered::default(),
        })
    }
}
