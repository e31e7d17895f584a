//! A database that no hub has open.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use super::dialect::failed;
use super::migrator;
use crate::hub::store::Result;

/// Makes it one file, with nothing left in a log. It cannot be done while somebody has it open.
///
/// # Errors
/// [`crate::hub::store::StoreError::Unavailable`] when somebody has it open.
pub async fn settle(path: &Path) -> Result<()> {
    open(path).await?.close().await.map_err(failed)
}

/// What is wrong with a copy of a database, in words; it is made one file, as by [`settle`].
///
/// # Errors
/// It cannot be read at all.
pub async fn examine(path: &Path) -> Result<Vec<String>> {
    let mut connection = match open(path).await {
        Ok(connection) => connection,
        Err(problem) => return Ok(vec![format!("it is no database: {problem}")]),
    };
    let mut problems = super::dialect::damage(&mut connection).await?;
    if problems.is_empty() {
        problems = unknown_migrations(&mut connection).await?;
    }
    connection.close().await.map_err(failed)?;
    Ok(problems)
}

/// Revokes in one database what was revoked in another; gives how many tokens that was. What is older
/// than tokens has none.
///
/// # Errors
/// One of them cannot be read, or the first cannot be written.
pub async fn revoke_as_in(path: &Path, other: &Path) -> Result<u64> {
    let mut connection = open(path).await?;
    sqlx::query("ATTACH DATABASE $1 AS other")
        .bind(other.display().to_string())
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    let tables: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM main.sqlite_master WHERE name = 'tokens')
              + (SELECT count(*) FROM other.sqlite_master WHERE name = 'tokens')",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(failed)?;
    let mut revoked = 0;
    if tables == 2 {
        let done = sqlx::query(
            "UPDATE main.tokens SET revoked_at = o.revoked_at FROM other.tokens o
             WHERE o.id = main.tokens.id AND o.revoked_at IS NOT NULL
               AND main.tokens.revoked_at IS NULL",
        )
        .execute(&mut connection)
        .await
        .map_err(failed)?;
        revoked = done.rows_affected();
    }
    connection.close().await.map_err(failed)?;
    Ok(revoked)
}

async fn open(path: &Path) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        // Fails while another connection uses the log.
        .journal_mode(SqliteJournalMode::Delete)
        .busy_timeout(Duration::from_millis(500))
        .disable_statement_logging()
        .connect()
        .await
        .map_err(failed)
}

async fn unknown_migrations(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT version, checksum, success FROM _sqlx_migrations")
        .fetch_all(connection)
        .await;
    let Ok(rows) = rows else {
        return Ok(vec!["it is not the database of a hub".to_owned()]);
    };
    let ours = migrator();
    let mut problems = Vec::new();
    for row in &rows {
        let version: i64 = row.try_get("version").map_err(failed)?;
        let checksum: Vec<u8> = row.try_get("checksum").map_err(failed)?;
        let success: bool = row.try_get("success").map_err(failed)?;
        let known = ours.iter().find(|m| m.version == version);
        match known {
            None => problems.push(format!(
                "it was written by a newer recon (migration {version})"
            )),
            Some(known) if known.checksum[..] != checksum[..] || !success => {
                problems.push(format!("its migration {version} is not ours"));
            }
            Some(_) => {}
        }
    }
    Ok(problems)
}
