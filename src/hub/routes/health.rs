//! How the hub and its agents are.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::super::error::ApiError;
use super::super::extract::is_agent_name;
use super::super::state::Hub;
use super::super::store::Daemon;
use super::Reply;
use crate::api::AgentStatus;

/// A heartbeat is never too old before this.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// `GET /healthz`: the hub lives.
pub(super) async fn alive() -> Response {
    Json(json!({ "success": true, "status": "ok" })).into_response()
}

/// `GET /readyz`: the hub can do its work.
pub(super) async fn ready(State(hub): State<Arc<Hub>>) -> Reply {
    hub.store.check().await?;
    Ok(
        Json(json!({ "success": true, "status": "ready", "database": "connected" }))
            .into_response(),
    )
}

/// `GET /daemon/{personality}/health/`: what the agent's last heartbeat says of it. With agents of
/// one name on several hosts it is the one heard last.
pub(super) async fn agent(State(hub): State<Arc<Hub>>, Path(personality): Path<String>) -> Reply {
    if !is_agent_name(&personality) {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    let now = hub.clock.now();
    let daemons = match hub.store.daemons().await {
        Ok(daemons) => daemons,
        Err(problem) => {
            tracing::warn!(%problem, "health could not be read");
            return health_answer(&personality, None, "disconnected", now);
        }
    };
    let last = daemons
        .into_iter()
        .filter(|d| d.personality == personality || d.heartbeat.agent == personality)
        .max_by_key(|d| d.seen_at);
    if last.is_none() && personality.parse::<crate::api::Personality>().is_err() {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    health_answer(&personality, last.as_ref(), "connected", now)
}

/// The fields of the earlier server; those of an error, too, when it is not healthy.
fn health_answer(
    personality: &str,
    daemon: Option<&Daemon>,
    database: &str,
    now: DateTime<Utc>,
) -> Reply {
    let (status, reason) = match daemon {
        Some(daemon) => judge(daemon, now),
        None if database == "connected" => {
            ("unhealthy", Some("it never sent a heartbeat".to_owned()))
        }
        None => ("unhealthy", Some("the database does not answer".to_owned())),
    };
    let fields: Map<String, Value> = [
        ("success", json!(true)),
        ("status", json!(status)),
        ("personality", json!(personality)),
        ("database", json!(database)),
        (
            "functional",
            json!(matches!(status, "healthy" | "degraded")),
        ),
        ("timestamp", json!(now)),
        ("pid", json!(daemon.map(|d| d.heartbeat.pid))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if status == "healthy" {
        return Ok(Json(fields).into_response());
    }
    let text = format!("{personality} is {status}: {}", reason.unwrap_or_default());
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).with(fields))
}

/// Status of an agent, and why it is not healthy.
fn judge(daemon: &Daemon, now: DateTime<Utc>) -> (&'static str, Option<String>) {
    let own = &daemon.heartbeat;
    if own.status == AgentStatus::Stopped {
        return ("stopped", Some("it said that it stops".to_owned()));
    }
    let age = now - daemon.seen_at;
    // Bounded when it was taken.
    let limit = TimeDelta::milliseconds((own.interval_s * 3000.0) as i64).max(GRACE);
    if age > limit {
        let seconds = age.num_seconds();
        return (
            "unhealthy",
            Some(format!("its last heartbeat is {seconds} s old")),
        );
    }
    let status = match own.status {
        AgentStatus::Healthy => return ("healthy", None),
        AgentStatus::Degraded => "degraded",
        AgentStatus::Unhealthy => "unhealthy",
        AgentStatus::Paused => "paused",
        AgentStatus::Stopped => "stopped",
    };
    (status, Some(own.status_text.clone()))
}

/// `GET /api/health`: all agents that were heard of.
pub(super) async fn fleet(State(hub): State<Arc<Hub>>) -> Reply {
    let now = hub.clock.now();
    let daemons = hub.store.daemons().await?;
    let mut all_well = true;
    let list: Vec<_> = daemons
        .iter()
        .map(|daemon| {
            let (status, reason) = judge(daemon, now);
            // One that stopped or was paused on purpose is no worry.
            all_well &= matches!(status, "healthy" | "stopped" | "paused");
            let own = &daemon.heartbeat;
            json!({
                "name": own.agent,
                "host": own.host,
                "version": own.version,
                "status": status,
                "pid": own.pid,
                "startTime": own.started_at,
                "lastHeartbeat": daemon.seen_at,
                "uptime": (now - own.started_at).num_seconds().max(0),
                "memoryUsage": own.memory_bytes,
                "cpuUsage": own.cpu_s,
                "healthy": status == "healthy",
                "reason": reason,
                "last_activity": own.last_activity,
                "queue_depth": own.queue_depth,
                "error_count": own.error_count,
            })
        })
        .collect();
    Ok(Json(json!({
        "overall": if all_well { "HEALTHY" } else { "DEGRADED" },
        "totalDaemons": list.len(),
        "daemons": list,
        "startTime": hub.started_at,
        "systemUptime": (now - hub.started_at).num_seconds().max(0),
    }))
    .into_response())
}
