//! Agents, events and counts.

use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::super::{Counts, Daemon, EventQuery, NewEvent, Result};
use super::rows::{self, failed, micros, to_json};
use crate::api::{Event, Heartbeat};

/// Notes a heartbeat.
pub(super) async fn heartbeat(
    c: &mut SqliteConnection,
    personality: &str,
    heartbeat: &Heartbeat,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO daemons (agent, host, personality, heartbeat, seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (agent, host) DO UPDATE
         SET personality = ?3, heartbeat = ?4, seen_at = ?5",
    )
    .bind(&heartbeat.agent)
    .bind(&heartbeat.host)
    .bind(personality)
    .bind(to_json(heartbeat)?)
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Every agent.
pub(super) async fn list(pool: &SqlitePool) -> Result<Vec<Daemon>> {
    let rows = sqlx::query("SELECT * FROM daemons ORDER BY agent, host")
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(rows::daemon).collect()
}

/// Records an event.
pub(super) async fn add_event(
    c: &mut SqliteConnection,
    event: &NewEvent,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO events (id, type, daemon_name, hostname, timestamp, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(Uuid::now_v7())
    .bind(event.kind)
    .bind(&event.daemon_name)
    .bind(&event.hostname)
    .bind(micros(now))
    .bind(to_json(&event.data)?)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Events, oldest first.
pub(super) async fn events(pool: &SqlitePool, query: &EventQuery) -> Result<Vec<Event>> {
    let rows = sqlx::query("SELECT * FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .bind(query.after)
        .bind(query.limit)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(rows::event).collect()
}

/// How much there is.
pub(super) async fn counts(pool: &SqlitePool, now: DateTime<Utc>) -> Result<Counts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM egg_records) AS targets,
                (SELECT count(*) FROM work WHERE lease_until > ?1) AS leases,
                (SELECT count(*) FROM nmap) AS scans",
    )
    .bind(micros(now))
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    let count = |column| row.try_get::<i64, _>(column).map_err(failed);
    Ok(Counts {
        targets: count("targets")?.unsigned_abs(),
        leases: count("leases")?.unsigned_abs(),
        scans: count("scans")?.unsigned_abs(),
    })
}
