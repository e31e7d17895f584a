//! Port scans.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::assessable;
use super::changes;
use super::daemons;
use super::dialect::{self, Conn, DbRow, Pool, failed};
use super::idempotency;
use super::listing::{self, Listing, Of};
use super::rows::{self, micros};
use super::scan_write::{self, Columns};
use super::web;
use super::work::{self, Task};
use crate::api::{Scan, ScanPort, WebPort, WorkKind};
use crate::hub::store::diff::{self, Compared, Difference, Earlier};
use crate::hub::store::{
    Admit, Answer, Idempotency, NewChange, NewScan, Page, Record, RenderScan, Result, ScanQuery,
    StoreError, Submission, Submitted,
};

/// A scan of the same type within this time is a repetition.
const RECENT: TimeDelta = TimeDelta::minutes(5);

/// Takes a result: one look at what there is, one statement of changes. What fails leaves nothing
/// behind (`run_tidy` of the writer).
pub(super) async fn submit(
    c: &mut Conn,
    mut s: Submission,
    columns: Columns,
    key: Option<Idempotency>,
    admit: Admit,
    render: RenderScan,
) -> Result<Answer> {
    if let Ok(scan) = &mut s.outcome {
        // Whose clock is ahead would else have the last word until then.
        scan.finished_at = scan.finished_at.min(s.now);
        scan.started_at = scan.started_at.map(|start| start.min(scan.finished_at));
    }
    dialect::hold_record(c, s.record_id).await?;
    let before = before(c, &s, key.as_ref()).await?;
    if let Some(answer) = before.answer {
        return Ok(answer);
    }
    let record = before.record.ok_or(StoreError::UnknownRecord)?;
    match before.part {
        Part::Running(row) => {
            // The whole takes the place of its parts.
            if let Ok(scan) = &mut s.outcome {
                scan.id = row;
            }
        }
        // A run that has its result and brings another: that is a scan of its own.
        Part::Finished => s.run = None,
        Part::None => {}
    }
    if let Ok(scan) = &mut s.outcome {
        admit(&record, scan).map_err(StoreError::Refused)?;
    }
    let done = match &s.outcome {
        Ok(scan) if before.recent == 0 => {
            let done = Submitted::Stored {
                open_ports: scan.open_ports.len(),
                status: scan.status(),
            };
            let answer = render(&done, &record);
            let known = Known {
                last: before.last,
                spidered: before.spidered,
                assessed: before.assessed,
            };
            store(c, &s, scan, columns, known, key, &answer).await?;
            return Ok(answer);
        }
        Ok(_) => Submitted::Recent(before.recent),
        Err(_) => Submitted::Attempt,
    };
    let answer = render(&done, &record);
    all_or_nothing(c, async |c: &mut Conn| {
        if let (Err(attempt), Some(task)) = (&s.outcome, task(&s)) {
            work::record_attempt(c, &task, attempt).await?;
        }
        match key {
            Some(key) => idempotency::keep(c, &key, &answer, s.now).await,
            None => Ok(()),
        }
    })
    .await?;
    Ok(answer)
}

/// Undoes what was changed before an error.
async fn all_or_nothing(
    c: &mut Conn,
    work: impl AsyncFnOnce(&mut Conn) -> Result<()>,
) -> Result<()> {
    dialect::begin_part(c).await?;
    match work(c).await {
        Ok(()) => dialect::end_part(c).await,
        failed => {
            dialect::undo_part(c).await?;
            failed
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

async fn store(
    c: &mut Conn,
    s: &Submission,
    scan: &NewScan,
    columns: Columns,
    before: Known,
    key: Option<Idempotency>,
    answer: &Answer,
) -> Result<()> {
    let last = before.last;
    // Of a late one: what it shows was seen otherwise since.
    let timely = last.as_ref().is_none_or(|last| last.is_before(scan, s.now));
    // The first scan of a type changes nothing, but may show what no scan did before it, or no more what
    // another did.
    let first = last.is_none() && before.assessed;
    let mut web = Vec::new();
    if before.spidered && timely {
        let known = last.iter().flat_map(|last| last.scan.ports());
        web = new_web_ports(scan, known);
    }
    let compared = match last {
        Some(last) if timely => diff::compare(last.scan, scan),
        _ => Compared::default(),
    };
    let Compared { known, differences } = compared;
    if differences.is_empty() && web.is_empty() && !first {
        return scan_write::write(c, s, scan, columns, &known, key, answer).await;
    }
    all_or_nothing(c, async |c: &mut Conn| {
        scan_write::write(c, s, scan, columns, &known, key, answer).await?;
        if !web.is_empty() && !known_by_others(c, s, &web).await? {
            web::make_due(c, s.record_id, s.now).await?;
        }
        if !differences.is_empty() || first {
            assessable::assess_again(c, s.record_id, s.now).await?;
        }
        tell(c, s, scan, differences).await
    })
    .await
}

/// Ports that may speak HTTP and are not among those.
fn new_web_ports<'a>(scan: &NewScan, known: impl Iterator<Item = &'a ScanPort>) -> Vec<u16> {
    let known: BTreeSet<_> = known
        .filter(|p| p.protocol == "tcp")
        .map(|p| p.port)
        .collect();
    let web = scan.open_ports.iter().filter_map(WebPort::of);
    web.map(|web| web.port)
        .filter(|port| !known.contains(port))
        .collect()
}

/// Whether the last scan of any other type has found all of these ports open: then what looks at them
/// knew of them.
async fn known_by_others(c: &mut Conn, s: &Submission, ports: &[u16]) -> Result<bool> {
    let rows = sqlx::query(
        "SELECT n.open_ports FROM nmap n WHERE n.record_id = $1 AND n.scan_type <> $2
           AND n.partial_seq IS NULL
           AND NOT EXISTS (SELECT 1 FROM nmap l
                           WHERE l.record_id = n.record_id AND l.scan_type = n.scan_type
                             AND l.finished_at > n.finished_at AND l.partial_seq IS NULL)
         ORDER BY n.finished_at DESC LIMIT 8",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .fetch_all(c)
    .await
    .map_err(failed)?;
    let mut missing: BTreeSet<_> = ports.iter().copied().collect();
    for row in &rows {
        let open: Vec<ScanPort> = rows::from_json(rows::get(row, "open_ports")?)?;
        for port in open.iter().filter(|port| port.protocol == "tcp") {
            missing.remove(&port.port);
        }
    }
    Ok(missing.is_empty())
}

async fn tell(
    c: &mut Conn,
    s: &Submission,
    scan: &NewScan,
    differences: Vec<Difference>,
) -> Result<()> {
    let (name, host) = daemons::name_and_host(scan.agent.as_deref());
    for difference in differences {
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
    Ok(())
}

/// What a scan is compared with.
struct Known {
    /// The last of this type.
    last: Option<Last>,
    /// As in [`Before`].
    spidered: bool,
    /// As in [`Before`].
    assessed: bool,
}

/// What was there before a scan.
struct Before {
    /// To the same submission.
    answer: Option<Answer>,
    record: Option<Record>,
    /// Scans of this type that make it a repetition: from others, or, when nothing tells one
    /// submission of its caller from another, from anybody.
    recent: u32,
    /// The last of this type.
    last: Option<Last>,
    /// Of the same run.
    part: Part,
    /// A spider or an enumeration looked at what speaks HTTP there.
    spidered: bool,
    /// There is an assessment of it, or an agent is at one.
    assessed: bool,
}

/// The row of a run.
enum Part {
    None,
    /// It has parts of the result.
    Running(Uuid),
    /// It has the result.
    Finished,
}

/// The scan of a type that saw a record last, whenever it was delivered.
struct Last {
    finished_at: DateTime<Utc>,
    scan: Earlier,
}

impl Last {
    /// One that is in the future was stored by a clock that was ahead.
    fn is_before(&self, scan: &NewScan, now: DateTime<Utc>) -> bool {
        self.finished_at <= scan.finished_at || self.finished_at > now
    }
}

/// A few rows, each by its key. One index has the scans of a record by their end: what was stored
/// within [`RECENT`] is looked for among those that are not older than the new one, and the last is
/// the first of the others when a clock was ahead: by more than that, for of two that come at once the
/// one that is stored first may be the one that came last.
async fn before(c: &mut Conn, s: &Submission, key: Option<&Idempotency>) -> Result<Before> {
    let recent = s.now - RECENT;
    let new = match &s.outcome {
        Ok(scan) => scan.finished_at.min(recent),
        Err(_) => recent,
    };
    let row = sqlx::query(
        "SELECT e.*, i.body_sha256, i.status, i.answer,
                n.finished_at, n.ports_scanned, n.scan_command, n.open_ports, n.known,
                p.id AS part_id, p.partial_seq,
                (SELECT count(*) FROM nmap
                 WHERE record_id = $1 AND scan_type = $2 AND finished_at >= $9
                   AND created_at > $3 AND created_at <= $8
                   AND (NOT $4 OR caller <> $5) AND partial_seq IS NULL) AS recent,
                (SELECT count(*) FROM work
                 WHERE record_id = $1 AND kind IN ($11, $12)
                   AND last_done_at IS NOT NULL) AS spidered,
                (SELECT count(*) FROM work
                 WHERE record_id = $1 AND kind = $13
                   AND (last_done_at IS NOT NULL OR lease_id IS NOT NULL)) AS assessed
         FROM (SELECT 1 AS one) AS o
         LEFT JOIN idempotency i ON i.key = $6 AND i.route = $7
         LEFT JOIN egg_records e ON e.id = $1
         LEFT JOIN nmap p ON p.record_id = $1 AND p.scan_type = $2 AND p.run = $10
         LEFT JOIN nmap n ON n.id = coalesce(
             (SELECT id FROM nmap
              WHERE record_id = $1 AND scan_type = $2 AND finished_at <= $8
                AND partial_seq IS NULL
              ORDER BY finished_at DESC, id DESC LIMIT 1),
             (SELECT id FROM nmap
              WHERE record_id = $1 AND scan_type = $2 AND partial_seq IS NULL
              ORDER BY finished_at LIMIT 1))",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .bind(micros(recent))
    .bind(s.keyed)
    .bind(&s.caller)
    .bind(key.map(|k| k.key.as_str()))
    .bind(key.map(|k| k.route.as_str()))
    .bind(micros(s.now + RECENT))
    .bind(micros(new))
    .bind(s.run.map(|run| run.id))
    .bind(rows::code(WorkKind::KumoSpider))
    .bind(rows::code(WorkKind::SuzuEnum))
    .bind(rows::code(WorkKind::RyuAssessment))
    .fetch_one(c)
    .await
    .map_err(failed)?;
    let is_there = |column| Ok(rows::get::<Option<i64>>(&row, column)?.is_some());
    Ok(Before {
        answer: match key {
            Some(key) if is_there("status")? => Some(idempotency::kept(&row, key)?),
            _ => None,
        },
        record: is_there("created_at")?
            .then(|| rows::record(&row))
            .transpose()?,
        recent: rows::count(&row, "recent")?,
        last: is_there("ports_scanned")?.then(|| last(&row)).transpose()?,
        part: match rows::get(&row, "part_id")? {
            Some(id) if is_there("partial_seq")? => Part::Running(id),
            Some(_) => Part::Finished,
            None => Part::None,
        },
        spidered: rows::get::<i64>(&row, "spidered")? > 0,
        assessed: rows::get::<i64>(&row, "assessed")? > 0,
    })
}

fn last(row: &DbRow) -> Result<Last> {
    let known: Option<&str> = rows::get(row, "known")?;
    Ok(Last {
        finished_at: rows::time(rows::get(row, "finished_at")?)?,
        scan: Earlier {
            open_ports: rows::from_json(rows::get(row, "open_ports")?)?,
            known: known.map(rows::from_json).transpose()?.unwrap_or_default(),
            ports_scanned: rows::count(row, "ports_scanned")?,
            scan_command: rows::get(row, "scan_command")?,
        },
    })
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

/// Scans, in the order of their ids, which grow with time.
pub(super) async fn list(pool: &Pool, query: &ScanQuery) -> Result<Page<Scan>> {
    listing::page(pool, listed(query), rows::scan).await
}

pub(in super::super) fn listed(query: &ScanQuery) -> Listing<'_> {
    Listing {
        table: "nmap",
        // The rest of a result may be as long as all of these together, and is not shown.
        columns: "id, record_id, target, ip_address, scan_type, agent, engine, scan_status, \
                  started_at, finished_at, scan_duration, ports_scanned, port_counts, open_ports, \
                  hostname, host_state, host_state_reason, udp_counts",
        size: "octet_length(open_ports)",
        of: Of {
            target: query.target.as_deref(),
            record_id: query.record_id,
            keyed: None,
        },
        equal: vec![("scan_type", query.scan_type.as_deref())],
        since: None,
        after: query.before,
        oldest_first: query.oldest_first,
        limit: query.limit,
        ..Listing::default()
    }
}
