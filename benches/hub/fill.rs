//! Targets by the million, made inside the database as an import would have left them: addresses of
//! 10.0.0.0/8 with four kinds of work each, all due. They are due in the order in which they were
//! added, as after an import, but each up to half a second and so up to some hundred places off.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::place::Engine;

/// Fills a database that a hub has made the tables of.
pub async fn fill(engine: Engine, url: &str, targets: u64) {
    match engine {
        Engine::Sqlite => sqlite(url, targets).await,
        Engine::Postgres => postgres(url, targets).await,
    }
}

/// Microseconds between two targets, and by how many the first is due.
const STEP: u64 = 1_000;
const AGE: u64 = 86_400_000_000;

async fn sqlite(url: &str, targets: u64) {
    let mut c = SqliteConnection::connect(url).await.unwrap();
    let indexes = c
        .fetch_all("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'work' AND sql NOT NULL")
        .await
        .unwrap();
    let mut script = String::from(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA foreign_keys = OFF; BEGIN;",
    );
    for row in &indexes {
        script += &format!("DROP INDEX {};", row.get::<&str, _>("name"));
    }
    // A version 7 UUID that grows with n.
    let id = "unhex('01900000000070008000' || printf('%012x', n))";
    script += &format!(
        "CREATE TEMP TABLE n (n INTEGER PRIMARY KEY);
         WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s LIMIT {targets})
         INSERT INTO n SELECT n FROM s;
         INSERT INTO egg_records (id, target_key, sub_domain, ip_address, created_at, updated_at)
         SELECT {id}, a, a, a, 0, 0 FROM (
             SELECT n, printf('10.%d.%d.%d', n >> 16, (n >> 8) & 255, n & 255) AS a FROM n);
         INSERT INTO work (record_id, kind, due_at)
         SELECT {id}, column1,
                unixepoch() * 1000000 - {AGE} + n * {STEP} + (n * 2654435761 % 500) * {STEP}
         FROM n, (VALUES (1), (2), (3), (4)) ORDER BY n, column1;
         DROP TABLE n;"
    );
    for row in &indexes {
        script += row.get("sql");
        script += ";";
    }
    script += "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);";
    c.execute(sqlx::raw_sql(AssertSqlSafe(script)))
        .await
        .unwrap();
    c.close().await.unwrap();
}

async fn postgres(url: &str, targets: u64) {
    let mut c = PgConnection::connect(url).await.unwrap();
    let indexes = c
        .fetch_all(
            "SELECT indexname, indexdef FROM pg_indexes
             WHERE tablename = 'work' AND indexname NOT LIKE '%_pkey'",
        )
        .await
        .unwrap();
    // Whether each row refers to a target need not be looked up.
    let mut script =
        String::from("SET session_replication_role = replica; SET maintenance_work_mem = '512MB';");
    for row in &indexes {
        script += &format!("DROP INDEX {};", row.get::<&str, _>("indexname"));
    }
    let id = "('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    script += &format!(
        "INSERT INTO egg_records (id, target_key, sub_domain, ip_address, created_at, updated_at)
         SELECT {id}, a, a, a, 0, 0 FROM (
             SELECT n, format('10.%s.%s.%s', n >> 16, (n >> 8) & 255, n & 255) AS a
             FROM generate_series(0, {targets} - 1) AS n) AS t;
         INSERT INTO work (record_id, kind, due_at)
         SELECT {id}, kind, (extract(epoch FROM now()) * 1000000)::bigint - {AGE}
                + n * {STEP} + (n * 2654435761 % 500) * {STEP}
         FROM generate_series(0::bigint, {targets} - 1) AS n, generate_series(1, 4) AS kind;"
    );
    for row in &indexes {
        script += row.get("indexdef");
        script += ";";
    }
    c.execute(sqlx::raw_sql(AssertSqlSafe(script)))
        .await
        .unwrap();
    // As autovacuum would by and by.
    for sql in [
        "VACUUM ANALYZE egg_records",
        "VACUUM ANALYZE work",
        "CHECKPOINT",
    ] {
        c.execute(sql).await.unwrap();
    }
    c.close().await.unwrap();
}
