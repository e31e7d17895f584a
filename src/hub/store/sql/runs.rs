//! Scans that go on: what their agents tell of them before their end.
//!
//! A run is one row of `nmap`, which the whole result takes over. While it has a `partial_seq` it is no
//! scan: nothing is compared with it, nothing is done by it, and it is not counted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::daemons;
use super::dialect::{self, Conn, DbRow, failed};
use super::idempotency;
use super::rows::{self, code, get, micros, to_json};
use super::work;
use crate::api::{PortCounts, ScanPort, WorkKind};
use crate::hub::store::{
    Admit, Answer, Claim, Claimed, Idempotency, NewEvent, NewScan, Record, RenderScan, Result, Run,
    StoreError, Submission, Submitted,
};

/// The kinds of work that are scans of ports; each is also the name of its type of scan.
const KINDS: [WorkKind; 3] = [
    WorkKind::KagePortScan,
    WorkKind::KazePortScan,
    WorkKind::RyuPortScan,
];

/// Takes a part of a result.
pub(super) async fn take(
    c: &mut Conn,
    mut s: Submission,
    key: Option<Idempotency>,
    admit: Admit,
    render: RenderScan,
) -> Result<Answer> {
    dialect::hold_record(c, s.record_id).await?;
    let now = s.now;
    idempotency::once(c, key, now, async |c: &mut Conn| {
        let (record, before) = before(c, &s).await?;
        if let Ok(scan) = &mut s.outcome {
            scan.finished_at = scan.finished_at.min(now);
            scan.started_at = scan.started_at.map(|start| start.min(scan.finished_at));
            admit(&record, scan).map_err(StoreError::Refused)?;
        }
        let done = store(c, &s, before).await?;
        Ok(render(&done, &record))
    })
    .await
}

/// What is there of the run.
#[derive(Debug)]
enum Before {
    /// It is over, or somebody else has the record now.
    Over,
    /// Nothing yet.
    Nothing,
    /// What the parts before told.
    Parts(Parts),
}

#[derive(Debug)]
struct Parts {
    id: Uuid,
    seq: u32,
    open_ports: Vec<ScanPort>,
}

async fn before(c: &mut Conn, s: &Submission) -> Result<(Record, Before)> {
    let row = sqlx::query(
        "SELECT e.*, n.id AS run_id, n.partial_seq, n.open_ports, w.lease_us
         FROM egg_records e
         LEFT JOIN nmap n ON n.record_id = e.id AND n.scan_type = $2 AND n.run = $3
         LEFT JOIN work w ON w.record_id = e.id AND w.kind = $4 AND w.lease_owner = $5
                         AND w.lease_id IS NOT NULL
         WHERE e.id = $1",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .bind(s.run.map(|run| run.id))
    .bind(s.kind.map(code))
    .bind(&s.caller)
    .fetch_optional(c)
    .await
    .map_err(failed)?
    .ok_or(StoreError::UnknownRecord)?;
    Ok((rows::record(&row)?, found(&row)?))
}

fn found(row: &DbRow) -> Result<Before> {
    let id: Option<Uuid> = get(row, "run_id")?;
    let seq: Option<i64> = get(row, "partial_seq")?;
    if get::<Option<i64>>(row, "lease_us")?.is_none() {
        return Ok(Before::Over);
    }
    match (id, seq) {
        (None, _) => Ok(Before::Nothing),
        (Some(_), None) => Ok(Before::Over),
        (Some(id), Some(seq)) => Ok(Before::Parts(Parts {
            id,
            seq: u32::try_from(seq).unwrap_or_default(),
            open_ports: rows::from_json(get(row, "open_ports")?)?,
        })),
    }
}

async fn store(c: &mut Conn, s: &Submission, before: Before) -> Result<Submitted> {
    let (
        Ok(scan),
        Some(Run {
            id,
            part: Some(seq),
        }),
        Some(kind),
    ) = (&s.outcome, s.run, s.kind)
    else {
        return Err(StoreError::Internal("this is no part of a scan".to_owned()));
    };
    let (row, ports) = match before {
        Before::Over => return Ok(Submitted::Late),
        Before::Nothing => (scan.id, scan.open_ports.clone()),
        Before::Parts(parts) if parts.seq >= seq => return older(c, parts, scan).await,
        Before::Parts(parts) => (parts.id, merged(&scan.open_ports, &parts.open_ports)),
    };
    write(c, s, scan, Written { row, id, seq }, &ports).await?;
    interrupt_others(c, s, row).await?;
    renew(c, s, kind).await?;
    daemons::add_event(c, &progress(s, scan, row, ports.len()), s.now).await?;
    Ok(Submitted::Part {
        open_ports: ports.len(),
    })
}

/// One that was overtaken can only add what the later one did not have.
async fn older(c: &mut Conn, parts: Parts, scan: &NewScan) -> Result<Submitted> {
    let ports = merged(&parts.open_ports, &scan.open_ports);
    let open_ports = ports.len();
    if open_ports > parts.open_ports.len() {
        sqlx::query("UPDATE nmap SET open_ports = $2, open_ports_count = $3 WHERE id = $1")
            .bind(parts.id)
            .bind(to_json(&ports)?)
            .bind(i64::try_from(open_ports).unwrap_or(i64::MAX))
            .execute(c)
            .await
            .map_err(failed)?;
    }
    Ok(Submitted::Part { open_ports })
}

/// All ports of both, as the first has them where both do.
fn merged(first: &[ScanPort], second: &[ScanPort]) -> Vec<ScanPort> {
    let mut ports = BTreeMap::new();
    for port in first.iter().chain(second) {
        ports
            .entry((port.port, &port.protocol))
            .or_insert_with(|| port.clone());
    }
    ports.into_values().collect()
}

/// What makes a part the row of its run.
struct Written {
    row: Uuid,
    id: Uuid,
    seq: u32,
}

async fn write(
    c: &mut Conn,
    s: &Submission,
    scan: &NewScan,
    run: Written,
    ports: &[ScanPort],
) -> Result<()> {
    let (counts, udp_counts) = counts(scan, ports);
    sqlx::query(
        "INSERT INTO nmap (id, record_id, target, ip_address, scan_type, caller, agent, engine,
             scan_status, scan_command, started_at, finished_at, scan_duration, ports_scanned,
             port_counts, open_ports, open_ports_count, result, created_at, run, partial_seq,
             hostname, host_state, host_state_reason, udp_counts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9, $10, $11, $12, $13, $14, $15, $16,
             $17, $18, $19, $20, $21, $22, $23, $24)
         ON CONFLICT (id) DO UPDATE
         SET caller = $6, agent = $7, engine = $8, scan_status = 'running', scan_command = $9,
             finished_at = $11, scan_duration = $12, ports_scanned = $13, port_counts = $14,
             open_ports = $15, open_ports_count = $16, result = $17, partial_seq = $20,
             hostname = coalesce($21, nmap.hostname), host_state = $22, host_state_reason = $23,
             udp_counts = $24",
    )
    .bind(run.row)
    .bind(s.record_id)
    .bind(&scan.target)
    .bind(scan.ip_address.map(|a| a.to_string()))
    .bind(&s.scan_type)
    .bind(&s.caller)
    .bind(&scan.agent)
    .bind(&scan.engine)
    .bind(&scan.scan_command)
    .bind(scan.started_at.map(micros))
    .bind(micros(scan.finished_at))
    .bind(scan.scan_duration)
    .bind(i64::from(scan.ports_scanned.max(counts.open)))
    .bind(to_json(&counts)?)
    .bind(to_json(&ports)?)
    .bind(i64::try_from(ports.len()).unwrap_or(i64::MAX))
    .bind(to_json(&scan.rest)?)
    .bind(micros(s.now))
    .bind(run.id)
    .bind(i64::from(run.seq))
    .bind(&scan.host.name)
    .bind(&scan.host.state)
    .bind(&scan.host.reason)
    .bind(udp_counts.as_ref().map(to_json).transpose()?)
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

/// What the part says, with all ports that are known to be open. Who tells of UDP apart counts its
/// open ports apart, too.
fn counts(scan: &NewScan, ports: &[ScanPort]) -> (PortCounts, Option<PortCounts>) {
    let open = |udp| {
        let ports = ports.iter().filter(|port| (port.protocol == "udp") == udp);
        u32::try_from(ports.count()).unwrap_or(u32::MAX)
    };
    let (mut counts, mut udp_counts) = (scan.port_counts, scan.udp_counts);
    counts.open = open(false);
    match &mut udp_counts {
        Some(counts) => counts.open = open(true),
        None => counts.open = counts.open.saturating_add(open(true)),
    }
    (counts, udp_counts)
}

/// Who holds the lease has begun anew: what was under way before never came to its end.
async fn interrupt_others(c: &mut Conn, s: &Submission, row: Uuid) -> Result<()> {
    let others = sqlx::query(
        "UPDATE nmap SET scan_status = 'interrupted'
         WHERE record_id = $1 AND scan_type = $2 AND id <> $3 AND scan_status = 'running'
         RETURNING id, record_id, target, scan_type, agent, open_ports_count",
    )
    .bind(s.record_id)
    .bind(&s.scan_type)
    .bind(row)
    .fetch_all(&mut *c)
    .await
    .map_err(failed)?;
    tell_interrupted(c, &others, s.now).await
}

/// A scan that gets somewhere holds its record, and whoever went away under it before was not its
/// fault.
async fn renew(c: &mut Conn, s: &Submission, kind: WorkKind) -> Result<()> {
    sqlx::query(
        "UPDATE work SET lease_until = $4 + lease_us, due_at = $4 + lease_us, attempts = 0
         WHERE record_id = $1 AND kind = $2 AND lease_owner = $3",
    )
    .bind(s.record_id)
    .bind(code(kind))
    .bind(&s.caller)
    .bind(micros(s.now))
    .execute(c)
    .await
    .map(drop)
    .map_err(failed)
}

fn progress(s: &Submission, scan: &NewScan, row: Uuid, open_ports: usize) -> NewEvent {
    let (daemon_name, hostname) = daemons::name_and_host(scan.agent.as_deref());
    NewEvent {
        kind: "scan_progress",
        daemon_name,
        hostname,
        data: json!({
            "scan_id": row,
            "eggrecord_id": s.record_id,
            "target": scan.target,
            "scan_type": s.scan_type,
            "ports_scanned": scan.ports_scanned,
            "open_ports": open_ports,
        }),
    }
}

/// Scans that go on without a lease do not: nobody works on them.
pub(super) async fn interrupt(c: &mut Conn, now: DateTime<Utc>) -> Result<u64> {
    let mut all = 0;
    for kind in KINDS {
        let rows = sqlx::query(
            "UPDATE nmap SET scan_status = 'interrupted'
             WHERE scan_status = 'running' AND scan_type = $1
               AND NOT EXISTS (SELECT 1 FROM work w
                               WHERE w.record_id = nmap.record_id AND w.kind = $2
                                 AND w.lease_owner = nmap.caller AND w.lease_until > $3)
             RETURNING id, record_id, target, scan_type, agent, open_ports_count",
        )
        .bind(kind.as_str())
        .bind(code(kind))
        .bind(micros(now))
        .fetch_all(&mut *c)
        .await
        .map_err(failed)?;
        all += rows.len() as u64;
        tell_interrupted(c, &rows, now).await?;
    }
    Ok(all)
}

async fn tell_interrupted(c: &mut Conn, rows: &[DbRow], now: DateTime<Utc>) -> Result<()> {
    for row in rows {
        let (daemon_name, hostname) = daemons::name_and_host(get(row, "agent")?);
        let event = NewEvent {
            kind: "scan_interrupted",
            daemon_name,
            hostname,
            data: json!({
                "scan_id": get::<Uuid>(row, "id")?,
                "eggrecord_id": get::<Uuid>(row, "record_id")?,
                "target": get::<&str>(row, "target")?,
                "scan_type": get::<&str>(row, "scan_type")?,
                "open_ports": get::<i64>(row, "open_ports_count")?,
            }),
        };
        daemons::add_event(c, &event, now).await?;
    }
    Ok(())
}

/// Gives an agent that began anew what it holds still.
pub(super) async fn resume(c: &mut Conn, claim: &Claim, leases: &[Uuid]) -> Result<Vec<Claimed>> {
    let mut resumed = Vec::new();
    for lease in leases {
        let row = sqlx::query(
            "SELECT e.*, w.priority FROM work w JOIN egg_records e ON e.id = w.record_id
             WHERE w.lease_id = $1 AND w.lease_owner = $2 AND w.kind = $3",
        )
        .bind(lease)
        .bind(&claim.owner)
        .bind(code(claim.kind))
        .fetch_optional(&mut *c)
        .await
        .map_err(failed)?;
        let Some(row) = row else { continue };
        let record = rows::record(&row)?;
        if !record.data.alive || record.skip_scan {
            continue;
        }
        // Of two hubs at once one may have leased it to somebody else meanwhile.
        let Some(lease_until) = work::prolong(c, claim, *lease).await? else {
            continue;
        };
        resumed.push(Claimed {
            record,
            lease_id: *lease,
            lease_until,
            priority: get(&row, "priority")?,
        });
    }
    Ok(resumed)
}
