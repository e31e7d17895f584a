//! What a stored scan changes, in one statement: each way to the database and back costs more than
//! what is done there.

use std::sync::LazyLock;

use chrono::TimeDelta;
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::daemons;
use super::dialect::{self, Conn, failed, together};
use super::rows::{code, micros, to_json};
use crate::api::WorkKind;
use crate::hub::store::bell::{self, Told};
use crate::hub::store::diff::Known;
use crate::hub::store::{Answer, Idempotency, NewScan, Result, Submission};

/// All take the same arguments; $2 is the record and $19 the time.
static CHANGES: LazyLock<String> =
    LazyLock::new(|| together(&[INSERT, FINISH, ASSESSABLE, ENUMERABLE, EVENT, KEY]));

/// The row may be there with parts of the result.
const INSERT: &str =
    "INSERT INTO nmap (id, record_id, target, ip_address, scan_type, caller, agent,
         engine, scan_status, scan_command, started_at, finished_at, scan_duration, ports_scanned,
         port_counts, open_ports, open_ports_count, result, created_at, known, run,
         hostname, host_state, host_state_reason, udp_counts)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $35, $36, $37, $38, $39)
     ON CONFLICT (id) DO UPDATE
     SET target = $3, ip_address = $4, caller = $6, agent = $7, engine = $8, scan_status = $9,
         scan_command = $10, started_at = $11, finished_at = $12, scan_duration = $13,
         ports_scanned = $14, port_counts = $15, open_ports = $16, open_ports_count = $17,
         result = $18, created_at = $19, known = $20, partial_seq = NULL,
         hostname = $36, host_state = $37, host_state_reason = $38, udp_counts = $39";

/// As `work::finish`; nothing when the scan is of no kind of work.
const FINISH: &str = "INSERT INTO work (record_id, kind, due_at, last_done_at)
     SELECT $2, $21, $22, $19 WHERE $21 IS NOT NULL
     ON CONFLICT (record_id, kind) DO UPDATE
     SET due_at = $22, last_done_at = $19, attempts = 0, last_error = NULL,
         lease_id = NULL, lease_until = NULL, lease_owner = NULL, lease_us = NULL";

/// As `assessable::make_assessable`; that there is a scan is certain.
const ASSESSABLE: &str = "INSERT INTO work (record_id, kind, due_at, priority)
     VALUES ($2, $23, $19,
             CASE WHEN EXISTS (SELECT 1 FROM request_metadata
                               WHERE record_id = $2 AND response_status > 0)
                  THEN 1 ELSE 0 END)
     ON CONFLICT (record_id, kind) DO UPDATE
     SET due_at = coalesce(work.due_at, excluded.due_at), priority = excluded.priority
     WHERE work.due_at IS NULL OR work.priority <> excluded.priority";

/// As `work::make_due`; nothing when no port speaks HTTP.
const ENUMERABLE: &str = "INSERT INTO work (record_id, kind, due_at)
     SELECT $2, $24, $19 WHERE $24 IS NOT NULL
     ON CONFLICT (record_id, kind) DO UPDATE SET due_at = $19 WHERE work.due_at IS NULL";

/// As `daemons::add_event`.
const EVENT: &str = "INSERT INTO events (id, type, daemon_name, hostname, timestamp, data)
     VALUES ($25, $26, $27, $28, $19, $29)";

/// As `idempotency::keep`; nothing without a key.
const KEY: &str = "INSERT INTO idempotency (key, route, body_sha256, status, answer, created_at)
     SELECT $30, $31, $32, $33, $34, $19 WHERE $30 IS NOT NULL";

/// The columns of a scan that are JSON.
#[derive(Debug, Default)]
pub(super) struct Columns {
    port_counts: String,
    udp_counts: Option<String>,
    open_ports: String,
    rest: String,
}

impl Columns {
    /// Of a submission that has a scan.
    pub(super) fn of(submission: &Submission) -> Result<Self> {
        let Ok(scan) = &submission.outcome else {
            return Ok(Self::default());
        };
        Ok(Self {
            port_counts: to_json(&scan.port_counts)?,
            udp_counts: scan.udp_counts.as_ref().map(to_json).transpose()?,
            open_ports: to_json(&scan.open_ports)?,
            rest: to_json(&scan.rest)?,
        })
    }
}

/// Stores a scan, ends its work, makes due what it makes possible, records that it is there, and
/// keeps the answer for a repetition.
pub(super) async fn write(
    c: &mut Conn,
    s: &Submission,
    scan: &NewScan,
    columns: Columns,
    known: &[Known],
    key: Option<Idempotency>,
    answer: &Answer,
) -> Result<()> {
    let (key, route, body) = match key {
        Some(key) => (
            Some(key.key),
            Some(key.route),
            Some(key.body_sha256.to_vec()),
        ),
        None => (None, None, None),
    };
    let next = TimeDelta::from_std(s.rescan_after).unwrap_or(TimeDelta::MAX);
    let due = s.now.checked_add_signed(next).map(micros);
    let event = event(s, scan)?;
    let written = sqlx::query(AssertSqlSafe(CHANGES.as_str()))
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
        .bind(columns.port_counts)
        .bind(columns.open_ports)
        .bind(i64::try_from(scan.open_ports.len()).unwrap_or(i64::MAX))
        .bind(columns.rest)
        .bind(micros(s.now))
        .bind((!known.is_empty()).then(|| to_json(&known)).transpose()?)
        .bind(s.kind.map(code))
        .bind(due)
        .bind(code(WorkKind::RyuAssessment))
        .bind(scan.web.then_some(code(WorkKind::SuzuEnum)))
        .bind(Uuid::now_v7())
        .bind(event.kind)
        .bind(&event.daemon_name)
        .bind(&event.hostname)
        .bind(&event.data)
        .bind(key)
        .bind(route)
        .bind(body)
        .bind(i64::from(answer.status))
        .bind(&answer.body)
        .bind(s.run.map(|run| run.id))
        .bind(&scan.host.name)
        .bind(&scan.host.state)
        .bind(&scan.host.reason)
        .bind(columns.udp_counts)
        .execute(&mut *c)
        .await;
    if let Err(problem) = written {
        dialect::undo_part(c).await?;
        return Err(failed(problem));
    }
    bell::note(event);
    Ok(())
}

fn event(s: &Submission, scan: &NewScan) -> Result<Told> {
    let (daemon_name, hostname) = daemons::name_and_host(scan.agent.as_deref());
    let data = json!({
        "scan_id": scan.id,
        "eggrecord_id": s.record_id,
        "target": scan.target,
        "scan_type": s.scan_type,
        "open_ports": scan.open_ports.len(),
    });
    Ok(Told {
        kind: "scan_completed",
        daemon_name,
        hostname,
        data: to_json(&data)?,
    })
}
