//! Between rows and domain types.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::super::{NewRecord, Record, Result, StoreError};
use crate::api::{Event, Scan, Target, TargetWork, WorkKind};

/// Microseconds since 1970.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// And back.
pub(super) fn time(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::Internal(format!("{micros} is not a time")))
}

fn time_option(micros: Option<i64>) -> Result<Option<DateTime<Utc>>> {
    micros.map(time).transpose()
}

/// Sorts SQLite's errors: those that pass, and those that do not (sqlite.org/rescode.html).
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    const PASSING: [u32; 6] = [5, 6, 8, 10, 13, 14]; // BUSY LOCKED READONLY IOERR FULL CANTOPEN
    let passing = match &error {
        sqlx::Error::Database(db) => db
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| PASSING.contains(&(code & 0xff))),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Internal(error.to_string())
    }
}

/// JSON for a column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Internal(e.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| StoreError::Internal(e.to_string()))
}

fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(failed)
}

/// A kind of work; none for one that a later version wrote.
pub(super) fn kind(row: &SqliteRow) -> Result<Option<WorkKind>> {
    Ok(get::<&str>(row, "kind")?.parse().ok())
}

/// A row of `egg_records`.
pub(super) fn record(row: &SqliteRow) -> Result<Record> {
    let address: Option<&str> = get(row, "ip_address")?;
    Ok(Record {
        id: get(row, "id")?,
        data: NewRecord {
            key: get(row, "target_key")?,
            sub_domain: get(row, "sub_domain")?,
            domainname: get(row, "domainname")?,
            ip_address: address.and_then(|a| a.parse().ok()),
            cidr: get(row, "cidr")?,
            group: get(row, "eggname")?,
            projectegg: get(row, "projectegg")?,
            alive: get(row, "alive")?,
        },
        skip_scan: get(row, "skip_scan")?,
        created_at: time(get(row, "created_at")?)?,
        updated_at: time(get(row, "updated_at")?)?,
    })
}

/// A row of `egg_records` as a target without its work.
pub(super) fn target(row: &SqliteRow) -> Result<Target> {
    let record = record(row)?;
    Ok(Target {
        id: record.id,
        target: record.data.key,
        ip_address: record.data.ip_address,
        cidr: record.data.cidr,
        group: record.data.group,
        alive: record.data.alive,
        skip_scan: record.skip_scan,
        created_at: record.created_at,
        work: Vec::new(),
    })
}

/// A row of `work`, with the record that it belongs to.
pub(super) fn work(row: &SqliteRow) -> Result<Option<(Uuid, TargetWork)>> {
    let Some(kind) = kind(row)? else {
        return Ok(None);
    };
    Ok(Some((
        get(row, "record_id")?,
        TargetWork {
            kind,
            due_at: time_option(get(row, "due_at")?)?,
            last_done_at: time_option(get(row, "last_done_at")?)?,
            lease_owner: get(row, "lease_owner")?,
            attempts: get(row, "attempts")?,
        },
    )))
}

/// A row of `nmap`.
pub(super) fn scan(row: &SqliteRow) -> Result<Scan> {
    Ok(Scan {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        ip_address: get(row, "ip_address")?,
        scan_type: get(row, "scan_type")?,
        agent: get(row, "agent")?,
        engine: get(row, "engine")?,
        scan_status: get(row, "scan_status")?,
        started_at: time_option(get(row, "started_at")?)?,
        finished_at: time(get(row, "finished_at")?)?,
        scan_duration: get(row, "scan_duration")?,
        ports_scanned: get(row, "ports_scanned")?,
        port_counts: from_json(get(row, "port_counts")?)?,
        open_ports: from_json(get(row, "open_ports")?)?,
    })
}

/// A row of `events`.
pub(super) fn event(row: &SqliteRow) -> Result<Event> {
    Ok(Event {
        id: get(row, "id")?,
        seq: get(row, "seq")?,
        kind: get(row, "type")?,
        daemon_name: get(row, "daemon_name")?,
        hostname: get(row, "hostname")?,
        timestamp: time(get(row, "timestamp")?)?,
        data: from_json(get(row, "data")?)?,
    })
}

/// A row of `daemons`.
pub(super) fn daemon(row: &SqliteRow) -> Result<super::super::Daemon> {
    Ok(super::super::Daemon {
        personality: get(row, "personality")?,
        heartbeat: from_json(get(row, "heartbeat")?)?,
        seen_at: time(get(row, "seen_at")?)?,
    })
}
