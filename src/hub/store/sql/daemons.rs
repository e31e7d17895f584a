//! Agents, events and counts.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Conn, Db, Pool, failed};
use super::rows::{self, micros, to_json};
use crate::api::{Event, Heartbeat};
use crate::hub::store::bell::{self, Told};
use crate::hub::store::{Counts, Daemon, EventQuery, NewEvent, Result};

/// Notes a heartbeat.
pub(super) async fn heartbeat(
    c: &mut Conn,
    personality: &str,
    heartbeat: &Heartbeat,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO daemons (agent, host, personality, heartbeat, seen_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (agent, host) DO UPDATE
         SET personality = $3, heartbeat = $4, seen_at = $5",
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
pub(super) async fn list(pool: &Pool) -> Result<Vec<Daemon>> {
    let rows = sqlx::query("SELECT * FROM daemons ORDER BY agent, host")
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(rows::daemon).collect()
}

/// Forgets those that are silent.
pub(super) async fn forget(c: &mut Conn, before: DateTime<Utc>, but: &[String]) -> Result<u64> {
    let mut query = QueryBuilder::<Db>::new("DELETE FROM daemons WHERE seen_at < ");
    query.push_bind(micros(before));
    for name in but {
        query.push(" AND agent <> ").push_bind(name.clone());
    }
    let done = query.build().persistent(false).execute(c).await;
    Ok(done.map_err(failed)?.rows_affected())
}

/// Records an event. Whoever waits for it hears of it when the transaction is committed.
pub(super) async fn add_event(c: &mut Conn, event: &NewEvent, now: DateTime<Utc>) -> Result<()> {
    let data = to_json(&event.data)?;
    sqlx::query(
        "INSERT INTO events (id, type, daemon_name, hostname, timestamp, data)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(Uuid::now_v7())
    .bind(event.kind)
    .bind(&event.daemon_name)
    .bind(&event.hostname)
    .bind(micros(now))
    .bind(&data)
    .execute(c)
    .await
    .map_err(failed)?;
    bell::note(Told {
        kind: event.kind,
        daemon_name: event.daemon_name.clone(),
        hostname: event.hostname.clone(),
        data,
    });
    Ok(())
}

/// Events, oldest first.
pub(super) async fn events(pool: &Pool, query: &EventQuery) -> Result<Vec<Event>> {
    let rows = sqlx::query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(query.after)
        .bind(i64::from(query.limit))
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(rows::event).collect()
}

/// How much there is.
pub(super) async fn counts(pool: &Pool, now: DateTime<Utc>) -> Result<Counts> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM egg_records) AS targets,
                (SELECT count(*) FROM work WHERE lease_until > $1) AS leases,
                (SELECT count(*) FROM nmap)
                - (SELECT count(*) FROM nmap WHERE partial_seq IS NOT NULL) AS scans",
    )
    .bind(micros(now))
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    Ok(Counts {
        targets: rows::count(&row, "targets")?,
        leases: rows::count(&row, "leases")?,
        scans: rows::count(&row, "scans")?,
    })
}

/// The two halves of `NAME@HOST`.
pub(super) fn name_and_host(agent: Option<&str>) -> (Option<String>, Option<String>) {
    match agent.and_then(|a| a.split_once('@')) {
        Some((name, host)) => (Some(name.to_owned()), Some(host.to_owned())),
        None => (None, None),
    }
}
