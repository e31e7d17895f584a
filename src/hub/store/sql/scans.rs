//! Port scans.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::changes;
use super::daemons::{self, add_event};
use super::dialect::{Conn, Pool, failed};
use super::rows::{self, micros, to_json};
use super::work::{self, Task};
use crate::api::{Scan, WorkKind};
use crate::hub::store::diff::{self, Compared, Earlier, Known};
use crate::hub::store::{
    NewChange, NewEvent, NewScan, Page, Result, ScanQuery, Submission, Submitted,
};

/// A scan of the same type within this time is a repetition.
const RECENT: TimeDelta = TimeDelta::minutes(5);

/// Takes a result.
pub(super) async fn submit(c: &mut Conn, s: &Submission) -> Result<Submitted> {
    work::lock_record(c, s.record_id).await?;
    match &s.outcome {
        Ok(scan) => store(c, s, scan).await,
        Err(attempt) => {
            if let Some(task) = task(s) {
                work::record_attempt(c, &task, attempt).await?;
            }
            Ok(Submitted::Attempt)
        }
    }
}

/// The work that it finishes, when its type is one of ours.
fn task(s: &Submission) -> Option<Task<'_>> {
    s.kind.map(|kind| Task {
        record_id: s.record_id,
        kind,
        caller: &s.caller,
        now: s.now,
    })
}

async fn store(c: &mut Conn, s: &Submission, scan: &NewScan) -> Result<Submitted> {
    let recent = recent_scans(c, s).await?;
    if recent > 0 {
        return Ok(Submitted::Recent(recent));
    }
    let compared = match earlier(c, s).await? {
        Some(earlier) => diff::compare(earlier, scan),
        None => Compared::default(),
    };
    insert(c, s, scan, &compared.known).await?;
    if let Some(task) = task(s) {
        work::finish(c, &task, s.rescan_after).await?;
    }
    work::make_assessable(c, s.record_id, s.now).await?;
    if scan.web {
        work::make_due(c, s.record_id, WorkKind::SuzuEnum, s.now).await?;
    }
    let (name, host) = daemons::name_and_host(scan.agent.as_deref());
    for difference in compared.differences {
        let change = NewChange {
            record_id: s.record_id,
            target: scan.target.clone(),
            kind: difference.kind,
            subject: difference.subject,
            before: difference.before,
            after: difference.after,
            source_id: scan.id,
            daemon_name: name.clone(),
            hostname: host.clone(),
        };
        changes::add(c, &change, s.now).await?;
    }
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

/// The scan of this type that was stored before: one row of an index. None for the first.
async fn earlier(c: &mut Conn, s: &Submission) -> Result<Option<Earlier>> {
    let row = sqlx::query(
        "SELECT ports_scanned, scan_command, open_ports, known FROM nmap
         WHERE record_id = $1 AND scan_type = $2
         ORDER BY created_at DESC LIMIT 1",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let known: Option<&str> = rows::get(&row, "known")?;
    Ok(Some(Earlier {
        open_ports: rows::from_json(rows::get(&row, "open_ports")?)?,
        known: known.map(rows::from_json).transpose()?.unwrap_or_default(),
        ports_scanned: rows::count(&row, "ports_scanned")?,
        scan_command: rows::get(&row, "scan_command")?,
    }))
}

async fn insert(c: &mut Conn, s: &Submission, scan: &NewScan, known: &[Known]) -> Result<()> {
    sqlx::query(
        "INSERT INTO nmap (id, record_id, target, ip_address, scan_type, caller, agent, engine,
                           scan_status, scan_command, started_at, finished_at, scan_duration,
                           ports_scanned, port_counts, open_ports, open_ports_count, result,
                           created_at, known)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20)",
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
    .bind((!known.is_empty()).then(|| to_json(&known)).transpose()?)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
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
