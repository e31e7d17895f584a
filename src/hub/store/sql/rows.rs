//! Between rows and domain types.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use uuid::Uuid;

use super::dialect::{Db, DbRow, failed};
use crate::api::{Change, Event, Scan, Target, TargetWork, WorkKind};
use crate::hub::store::{Daemon, NewRecord, Record, Result, StoreError};

/// Microseconds since 1970.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// And back.
pub(super) fn time(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::Internal(format!("{micros} is not a time")))
}

/// A time that may be missing.
pub(super) fn time_option(micros: Option<i64>) -> Result<Option<DateTime<Utc>>> {
    micros.map(time).transpose()
}

/// JSON for a column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Internal(e.to_string()))
}

/// JSON of a column.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| StoreError::Internal(e.to_string()))
}

/// A column.
pub(super) fn get<'r, T>(row: &'r DbRow, column: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, Db> + sqlx::Type<Db>,
{
    row.try_get(column).map_err(failed)
}

/// A number that is never negative.
pub(super) fn count<T: TryFrom<i64> + Default>(row: &DbRow, column: &'static str) -> Result<T> {
    Ok(T::try_from(get::<i64>(row, column)?).unwrap_or_default())
}

/// The number of a kind of work in the database: it stands in the index of what is due, once for
/// every target.
pub(super) fn code(kind: WorkKind) -> i64 {
    match kind {
        WorkKind::KagePortScan => 1,
        WorkKind::KazePortScan => 2,
        WorkKind::RyuPortScan => 3,
        WorkKind::KumoSpider => 4,
        WorkKind::SuzuEnum => 5,
        WorkKind::RyuAssessment => 6,
    }
}

/// A kind of work; none for one that a later version wrote.
pub(super) fn kind(row: &DbRow) -> Result<Option<WorkKind>> {
    let number: i64 = get(row, "kind")?;
    Ok(WorkKind::ALL.into_iter().find(|k| code(*k) == number))
}

/// A row of `egg_records`.
pub(super) fn record(row: &DbRow) -> Result<Record> {
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
pub(super) fn target(row: &DbRow) -> Result<Target> {
    let record = record(row)?;
    Ok(Target {
        id: record.id,
        target: record.data.key,
        ip_address: record.data.ip_address,
        cidr: record.data.cidr,
        group: record.data.group,
        project: record.data.projectegg,
        network: None,
        alive: record.data.alive,
        skip_scan: record.skip_scan,
        created_at: record.created_at,
        work: Vec::new(),
    })
}

/// A row of `work`, with the record that it belongs to.
pub(super) fn work(row: &DbRow) -> Result<Option<(Uuid, TargetWork)>> {
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
            attempts: count(row, "attempts")?,
        },
    )))
}

/// A row of `nmap`.
pub(super) fn scan(row: &DbRow) -> Result<Scan> {
    let udp_counts: Option<&str> = get(row, "udp_counts")?;
    Ok(Scan {
        id: get(row, "id")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        ip_address: get(row, "ip_address")?,
        hostname: get(row, "hostname")?,
        host_state: get(row, "host_state")?,
        host_state_reason: get(row, "host_state_reason")?,
        scan_type: get(row, "scan_type")?,
        agent: get(row, "agent")?,
        engine: get(row, "engine")?,
        scan_status: get(row, "scan_status")?,
        started_at: time_option(get(row, "started_at")?)?,
        finished_at: time(get(row, "finished_at")?)?,
        scan_duration: get(row, "scan_duration")?,
        ports_scanned: count(row, "ports_scanned")?,
        port_counts: from_json(get(row, "port_counts")?)?,
        udp_counts: udp_counts.map(from_json).transpose()?,
        open_ports: from_json(get(row, "open_ports")?)?,
    })
}

/// A row of `changes`.
pub(super) fn change(row: &DbRow) -> Result<Change> {
    let json = |column| -> Result<_> {
        let text: Option<&str> = get(row, column)?;
        Ok(text.map(from_json).transpose()?.unwrap_or_default())
    };
    Ok(Change {
        id: get(row, "id")?,
        kind: get(row, "type")?,
        eggrecord_id: get(row, "record_id")?,
        target: get(row, "target")?,
        subject: get(row, "subject")?,
        before: json("before")?,
        after: json("after")?,
        source_id: get(row, "source_id")?,
        created_at: time(get(row, "created_at")?)?,
    })
}

/// A row of `events`.
pub(super) fn event(row: &DbRow) -> Result<Event> {
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
pub(super) fn daemon(row: &DbRow) -> Result<Daemon> {
    Ok(Daemon {
        personality: get(row, "personality")?,
        heartbeat: from_json(get(row, "heartbeat")?)?,
        seen_at: time(get(row, "seen_at")?)?,
    })
}
