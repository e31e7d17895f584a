//! Port scans.

use chrono::TimeDelta;
use uuid::Uuid;

use super::changes;
use super::daemons;
use super::dialect::{Conn, Pool, failed};
use super::rows::{self, micros};
use super::scan_write;
use super::work::{self, Task};
use crate::api::Scan;
use crate::hub::store::diff::{self, Compared, Earlier};
use crate::hub::store::{NewChange, NewScan, Page, Result, ScanQuery, Submission, Submitted};

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
    let compared = match earlier(c, s).await? {
        Some(Before { recent, .. }) if recent > 0 => return Ok(Submitted::Recent(recent)),
        Some(before) => diff::compare(before.earlier, scan),
        None => Compared::default(),
    };
    scan_write::write(c, s, scan, &compared.known).await?;
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
    Ok(Submitted::Stored {
        open_ports: scan.open_ports.len(),
        status: scan.status(),
    })
}

/// What was there before a scan.
struct Before {
    /// Scans of this type that make it a repetition: from others, or, when nothing tells one
    /// submission of its caller from another, from anybody.
    recent: u32,
    /// The last of this type.
    earlier: Earlier,
}

/// A few rows of an index. None for the first scan of its type.
async fn earlier(c: &mut Conn, s: &Submission) -> Result<Option<Before>> {
    let row = sqlx::query(
        "SELECT ports_scanned, scan_command, open_ports, known,
                (SELECT count(*) FROM nmap
                 WHERE record_id = $1 AND scan_type = $2 AND created_at > $3
                   AND (NOT $4 OR caller <> $5)) AS recent
         FROM nmap WHERE record_id = $1 AND scan_type = $2
         ORDER BY created_at DESC LIMIT 1",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .bind(micros(s.now - RECENT))
    .bind(s.keyed)
    .bind(&s.caller)
    .fetch_optional(c)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let known: Option<&str> = rows::get(&row, "known")?;
    Ok(Some(Before {
        recent: rows::count(&row, "recent")?,
        earlier: Earlier {
            open_ports: rows::from_json(rows::get(&row, "open_ports")?)?,
            known: known.map(rows::from_json).transpose()?.unwrap_or_default(),
            ports_scanned: rows::count(&row, "ports_scanned")?,
            scan_command: rows::get(&row, "scan_command")?,
        },
    }))
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
