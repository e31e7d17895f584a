//! Port scans.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::daemons::add_event;
use super::dialect::{Conn, LOCK_RECORD, Pool, failed};
use super::rows::{self, code, micros, to_json};
use crate::api::{Scan, WorkKind};
use crate::hub::store::{
    Attempt, NewEvent, NewScan, Page, Result, ScanQuery, StoreError, Submission, Submitted,
};

/// A scan of the same type within this time is a repetition.
const RECENT: TimeDelta = TimeDelta::minutes(5);
/// First pause after a failed attempt; it doubles with each further one.
const RETRY_FIRST: TimeDelta = TimeDelta::minutes(5);
/// Longest pause after a failed attempt.
const RETRY_MAX: TimeDelta = TimeDelta::hours(24);

/// Takes a result.
pub(super) async fn submit(c: &mut Conn, s: &Submission) -> Result<Submitted> {
    let known = sqlx::query(LOCK_RECORD)
        .bind(s.record_id)
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
    if known.is_none() {
        return Err(StoreError::UnknownRecord);
    }
    match &s.outcome {
        Ok(scan) => store(c, s, scan).await,
        Err(attempt) => record_attempt(c, s, attempt).await,
    }
}

async fn store(c: &mut Conn, s: &Submission, scan: &NewScan) -> Result<Submitted> {
    let recent = recent_scans(c, s).await?;
    if recent > 0 {
        return Ok(Submitted::Recent(recent));
    }
    insert(c, s, scan).await?;
    if let Some(kind) = s.kind {
        finish_work(c, s, kind).await?;
    }
    make_due(c, s.record_id, WorkKind::RyuAssessment, s.now).await?;
    if scan.web {
        make_due(c, s.record_id, WorkKind::SuzuEnum, s.now).await?;
    }
    let (name, host) = name_and_host(scan.agent.as_deref());
    let event = NewEvent {
        kind: "scan_completed",
        daemon_name: name,
        hostname: host,
        data: json!({
            "scan_id": scan.id,
            "eggrecord_id": s.record_id,
            "target": scan.target,
            "scan_type": s.scan_type,
            "open_ports": scan.open_ports.len(),
        }),
    };
    add_event(c, &event, s.now).await?;
    Ok(Submitted::Stored {
        open_ports: scan.open_ports.len(),
        status: scan.status(),
    })
}

/// Scans of this type that make this one a repetition: from others, or, when nothing tells one
/// submission of this caller from another, from anybody.
async fn recent_scans(c: &mut Conn, s: &Submission) -> Result<u32> {
    let row = sqlx::query(
        "SELECT count(*) AS n FROM nmap
         WHERE record_id = $1 AND scan_type = $2 AND created_at > $3
           AND (NOT $4 OR caller <> $5)",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .bind(micros(s.now - RECENT))
    .bind(s.keyed)
    .bind(&s.caller)
    .fetch_one(c)
    .await
    .map_err(failed)?;
    rows::count(&row, "n")
}

async fn insert(c: &mut Conn, s: &Submission, scan: &NewScan) -> Result<()> {
    sqlx::query(
        "INSERT INTO nmap (id, record_id, target, ip_address, scan_type, caller, agent, engine,
                           scan_status, scan_command, started_at, finished_at, scan_duration,
                           ports_scanned, port_counts, open_ports, open_ports_count, result,
                           created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19)",
    )
    .bind(scan.id)
    .bind(s.record_id)
    .bind(&scan.target)
    .bind(scan.ip_address.map(|a| a.to_string()))
    .bind(&s.scan_type)
    .bind(&s.caller)
    .bind(&scan.agent)
    .bind(&scan.engine)
    .bind(scan.status())
    .bind(&scan.scan_command)
    .bind(scan.started_at.map(micros))
    .bind(micros(scan.finished_at))
    .bind(scan.scan_duration)
    .bind(i64::from(scan.ports_scanned))
    .bind(to_json(&scan.port_counts)?)
    .bind(to_json(&scan.open_ports)?)
    .bind(i64::try_from(scan.open_ports.len()).unwrap_or(i64::MAX))
    .bind(to_json(&scan.rest)?)
    .bind(micros(s.now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// The work is done, whoever holds it now.
async fn finish_work(c: &mut Conn, s: &Submission, kind: WorkKind) -> Result<()> {
    let next = TimeDelta::from_std(s.rescan_after).unwrap_or(TimeDelta::MAX);
    let due = s.now.checked_add_signed(next).map(micros);
    sqlx::query(
        "UPDATE work SET due_at = $3, last_done_at = $4, attempts = 0, last_error = NULL,
                         lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(s.record_id)
    .bind(code(kind))
    .bind(due)
    .bind(micros(s.now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// Work that waits for a first result is due; until then it has no row.
async fn make_due(c: &mut Conn, record: Uuid, kind: WorkKind, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO work (record_id, kind, due_at) VALUES ($1, $2, $3)
         ON CONFLICT (record_id, kind) DO UPDATE SET due_at = $3 WHERE work.due_at IS NULL",
    )
    .bind(record)
    .bind(code(kind))
    .bind(micros(now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// A failed attempt puts the record off for a growing time. One that comes after the lease went to
/// another caller leaves that caller's lease alone.
async fn record_attempt(c: &mut Conn, s: &Submission, attempt: &Attempt) -> Result<Submitted> {
    let Some(kind) = s.kind else {
        return Ok(Submitted::Attempt);
    };
    let row = sqlx::query(
        "SELECT attempts FROM work
         WHERE record_id = $1 AND kind = $2
           AND (lease_owner IS NULL OR lease_owner = $3 OR lease_until <= $4)",
    )
    .bind(s.record_id)
    .bind(code(kind))
    .bind(&s.caller)
    .bind(micros(s.now))
    .fetch_optional(&mut *c)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(Submitted::Attempt);
    };
    let attempts: u32 = rows::count(&row, "attempts")?;
    sqlx::query(
        "UPDATE work SET due_at = $3, attempts = attempts + 1, last_error = $4,
                         lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL
         WHERE record_id = $1 AND kind = $2",
    )
    .bind(s.record_id)
    .bind(code(kind))
    .bind(micros(s.now + retry_after(attempts)))
    .bind(&attempt.reason)
    .execute(c)
    .await
    .map_err(failed)?;
    Ok(Submitted::Attempt)
}

/// The pause after a failed attempt that so many failed ones came before.
fn retry_after(earlier: u32) -> TimeDelta {
    (RETRY_FIRST * (1 << earlier.min(16))).min(RETRY_MAX)
}

fn name_and_host(agent: Option<&str>) -> (Option<String>, Option<String>) {
    match agent.and_then(|a| a.split_once('@')) {
        Some((name, host)) => (Some(name.to_owned()), Some(host.to_owned())),
        None => (None, None),
    }
}

/// One scan.
pub(super) async fn get(pool: &Pool, id: Uuid) -> Result<Option<Scan>> {
    let row = sqlx::query("SELECT * FROM nmap WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(rows::scan).transpose()
}

/// Scans, newest first: their ids grow with time.
pub(super) async fn list(pool: &Pool, query: &ScanQuery) -> Result<Page<Scan>> {
    let limit = query.limit as usize;
    let found = match (&query.target, query.record_id) {
        (None, None) => sqlx::query(
            "SELECT * FROM nmap
             WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR scan_type = $2)
             ORDER BY id DESC LIMIT $3",
        ),
        // Written so that each half can use an index of its own.
        _ => sqlx::query(
            "SELECT * FROM nmap
             WHERE ($1 IS NULL OR id < $1) AND ($2 IS NULL OR scan_type = $2)
               AND (target = $4 OR record_id = $5
                    OR record_id = (SELECT id FROM egg_records WHERE target_key = $4))
             ORDER BY id DESC LIMIT $3",
        ),
    }
    .bind(query.before)
    .bind(&query.scan_type)
    .bind(i64::from(query.limit) + 1)
    .bind(&query.target)
    .bind(query.record_id)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let items = found
        .iter()
        .take(limit)
        .map(rows::scan)
        .collect::<Result<Vec<_>>>()?;
    let next = if found.len() > limit {
        items.last().map(|s| s.id)
    } else {
        None
    };
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_back_off_up_to_a_day() {
        let minutes = |n| retry_after(n).num_minutes();
        assert_eq!([minutes(0), minutes(1), minutes(2)], [5, 10, 20]);
        assert_eq!(retry_after(9), RETRY_MAX);
        assert_eq!(retry_after(u32::MAX), RETRY_MAX);
    }
}
