//! How the fleet is: the units of this host, and what agents say of themselves, wherever they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};

use super::super::agents::unit_name;
use super::super::state::Hub;
use super::super::store::Daemon;
use super::Reply;
use super::health::{judge, stale};
use crate::api::{DaemonHealth, FleetHealth};
use crate::runtime::host_name;

/// `GET /api/health`.
pub(super) async fn show(State(hub): State<Arc<Hub>>) -> Reply {
    Ok(Json(fleet(&hub).await?).into_response())
}

/// How the fleet is.
pub(in crate::hub) async fn fleet(hub: &Hub) -> Result<FleetHealth, super::ApiError> {
    let now = hub.clock.now();
    let heard = hub.store.daemons().await?;
    let mut rows = match here(hub).await {
        Ok(rows) => rows,
        Err(problem) => {
            tracing::debug!(%problem, "health is told from heartbeats alone");
            BTreeMap::new()
        }
    };
    let seen = !rows.is_empty();
    let host = host_name();
    let mut elsewhere = Vec::new();
    for daemon in &heard {
        let name = &daemon.heartbeat.agent;
        match rows.get_mut(name).filter(|_| daemon.heartbeat.host == host) {
            Some(row) => tell(row, daemon, now),
            None => {
                let critical = hub.live().agents.get(name).is_some_and(|a| a.critical);
                elsewhere.push(by_heartbeat(daemon, critical && !seen, now));
            }
        }
    }
    if !seen {
        elsewhere.extend(never_heard(hub, &heard));
    }
    let mut health = FleetHealth::of(rows.into_values().chain(elsewhere).collect());
    health.start_time = Some(hub.started_at);
    health.system_uptime = Some(seconds(now - hub.started_at));
    Ok(health)
}

/// The units of this host.
async fn here(hub: &Hub) -> Result<BTreeMap<String, DaemonHealth>, crate::systemd::Error> {
    let live = hub.live();
    let expected: Vec<String> = live.agents.keys().map(|name| unit_name(name)).collect();
    let expected = expected.as_slice();
    let (units, wanted) = hub
        .agents
        .read(|manager| async move {
            let units = manager.units(expected).await?;
            let wanted = manager.wanted(&units).await?;
            Ok((units, wanted))
        })
        .await?;
    let host = host_name();
    Ok(units
        .into_iter()
        .map(|unit| {
            let critical = live.agents.get(&unit.name).is_some_and(|a| a.critical);
            let mut row = unit.health(critical, wanted.contains(&unit.unit));
            row.host = Some(host.clone());
            (unit.name, row)
        })
        .collect())
}

/// Adds what an agent said of itself; what an earlier run of it said is no news of this one.
fn tell(row: &mut DaemonHealth, daemon: &Daemon, now: DateTime<Utc>) {
    let own = &daemon.heartbeat;
    row.last_heartbeat = Some(daemon.seen_at);
    row.last_activity = Some(own.last_activity);
    row.version = Some(own.version.clone());
    if row.pid != Some(own.pid) {
        return;
    }
    row.queue_depth = Some(own.queue_depth);
    row.error_count = Some(own.error_count);
    row.memory_usage = row.memory_usage.or(own.memory_bytes);
    row.cpu_usage = row.cpu_usage.or(own.cpu_s);
    if let Some(reason) = stale(daemon, now)
        && row.up
    {
        row.healthy = false;
        row.reason = Some(reason);
    }
}

/// An agent whose unit cannot be seen from here.
fn by_heartbeat(daemon: &Daemon, critical: bool, now: DateTime<Utc>) -> DaemonHealth {
    let own = &daemon.heartbeat;
    let (word, reason) = judge(daemon, now);
    // One that stopped or was paused on purpose is no worry.
    let (status, healthy) = match word {
        "healthy" => ("RUNNING", true),
        "paused" => ("PAUSED", true),
        "stopped" => ("STOPPED", false),
        "degraded" => ("DEGRADED", false),
        _ => ("FAILED", false),
    };
    let up = matches!(status, "RUNNING" | "PAUSED" | "DEGRADED");
    DaemonHealth {
        host: Some(own.host.clone()),
        version: Some(own.version.clone()),
        status: status.to_owned(),
        pid: Some(own.pid).filter(|_| up),
        start_time: Some(own.started_at),
        last_heartbeat: Some(daemon.seen_at),
        uptime: Some(seconds(now - own.started_at)).filter(|_| up),
        memory_usage: own.memory_bytes,
        cpu_usage: own.cpu_s,
        healthy,
        critical,
        wanted: status != "STOPPED",
        up,
        reason,
        last_activity: Some(own.last_activity),
        queue_depth: Some(own.queue_depth),
        error_count: Some(own.error_count),
        ..DaemonHealth::unknown(own.agent.clone())
    }
}

/// The critical agents of the fleet file that never said a word. The hub itself need not: it answers.
fn never_heard(hub: &Hub, heard: &[Daemon]) -> Vec<DaemonHealth> {
    let live = hub.live();
    let silent = live.agents.iter().filter(|(name, facts)| {
        let known = heard.iter().any(|d| d.heartbeat.agent == **name);
        facts.critical && name.as_str() != "hub" && !known
    });
    silent
        .map(|(name, _)| DaemonHealth {
            critical: true,
            wanted: true,
            reason: Some("it never sent a heartbeat".to_owned()),
            ..DaemonHealth::unknown(name.clone())
        })
        .collect()
}

fn seconds(time: chrono::TimeDelta) -> u64 {
    u64::try_from(time.num_seconds()).unwrap_or(0)
}
