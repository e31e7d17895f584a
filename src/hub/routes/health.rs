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
use crate::runtime::host_name;
use crate::systemd::{AgentState, UnitState};

/// A heartbeat is never too old before this.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// `GET /healthz`: the hub lives.
pub(super) async fn alive() -> Response {
    Json(json!({ "success": true, "status": "ok" })).into_response()
}

/// `GET /readyz`: the hub can do its work.
pub(super) async fn ready(State(hub): State<Arc<Hub>>) -> Reply {
    hub.ready().await.map_err(|problem| {
        tracing::warn!(%problem, "the hub is not ready");
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the hub cannot write to its database now; its log says why",
        )
    })?;
    let mut answer = json!({ "success": true, "status": "ready", "database": "connected" });
    if let Some(problem) = hub.skew.problem() {
        answer["clock"] = json!(problem);
    }
    Ok(Json(answer).into_response())
}

/// `GET /daemon/{personality}/health/`: how the agent is, by its unit on this host and its last
/// heartbeat. With agents of one name on several hosts it is the one heard last.
pub(super) async fn agent(State(hub): State<Arc<Hub>>, Path(personality): Path<String>) -> Reply {
    if !is_agent_name(&personality) {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    let now = hub.clock.now();
    let daemons = match hub.store.daemons().await {
        Ok(daemons) => daemons,
        Err(problem) => {
            tracing::warn!(%problem, "health could not be read");
            let verdict = ("unhealthy", Some("the database does not answer".to_owned()));
            return health_answer(&personality, None, "disconnected", verdict, now);
        }
    };
    let last = daemons
        .into_iter()
        .filter(|d| d.personality == personality || d.heartbeat.agent == personality)
        .max_by_key(|d| d.seen_at);
    let name = last.as_ref().map_or(&personality, |d| &d.heartbeat.agent);
    let here = last
        .as_ref()
        .is_none_or(|d| d.heartbeat.host == host_name());
    let unit = match here {
        true => hub.agents.unit(name).await.ok(),
        false => None,
    };
    let known = personality.parse::<crate::api::Personality>().is_ok()
        || hub.live().agents.contains_key(&personality);
    if last.is_none() && !known {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    // A unit that never ran here says nothing about an agent that somebody started by hand.
    let unit = unit.filter(|u| last.is_none() || u.is_active() || u.invocation_id.is_some());
    let pid = match &unit {
        Some(unit) => unit.pid,
        None => last.as_ref().map(|d| d.heartbeat.pid),
    };
    let verdict = match (&unit, &last) {
        (Some(unit), last) => judge_unit(unit, last.as_ref(), now),
        (None, Some(last)) => judge(last, now),
        (None, None) => ("unhealthy", Some("it never sent a heartbeat".to_owned())),
    };
    health_answer(&personality, pid, "connected", verdict, now)
}

/// How an agent is by its unit, and by its heartbeat as far as that is of the same run.
fn judge_unit(
    unit: &UnitState,
    last: Option<&Daemon>,
    now: DateTime<Utc>,
) -> (&'static str, Option<String>) {
    let reason = || unit.last_error.clone().or_else(|| unit.status_text.clone());
    match unit.state {
        AgentState::Stopped => return ("stopped", reason().or(Some("it does not run".to_owned()))),
        AgentState::Paused => return ("paused", reason()),
        AgentState::Running | AgentState::Degraded => {}
        state => return ("unhealthy", reason().or(Some(state.to_string()))),
    }
    let of_this_run = last.filter(|d| Some(d.heartbeat.pid) == unit.pid);
    match of_this_run {
        Some(last) => match judge(last, now) {
            ("healthy", _) if unit.state == AgentState::Degraded => ("degraded", reason()),
            verdict => verdict,
        },
        None if unit.since.is_some_and(|since| now - since > GRACE) => (
            "unhealthy",
            Some("the hub has not heard of it since it started".to_owned()),
        ),
        None => ("healthy", None),
    }
}

/// The fields of the earlier server; those of an error, too, when it is not healthy.
fn health_answer(
    personality: &str,
    pid: Option<u32>,
    database: &str,
    (status, reason): (&'static str, Option<String>),
    now: DateTime<Utc>,
) -> Reply {
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
        ("pid", json!(pid)),
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

/// How an agent is by its heartbeat, and why it is not healthy.
pub(super) fn judge(daemon: &Daemon, now: DateTime<Utc>) -> (&'static str, Option<String>) {
    let own = &daemon.heartbeat;
    if own.status == AgentStatus::Stopped {
        return ("stopped", Some("it said that it stops".to_owned()));
    }
    if let Some(reason) = stale(daemon, now) {
        return ("unhealthy", Some(reason));
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

/// That its last heartbeat is too old, in words.
pub(super) fn stale(daemon: &Daemon, now: DateTime<Utc>) -> Option<String> {
    let age = now - daemon.seen_at;
    // Bounded when it was taken.
    let limit = TimeDelta::milliseconds((daemon.heartbeat.interval_s * 3000.0) as i64).max(GRACE);
    (age > limit).then(|| format!("its last heartbeat is {} s old", age.num_seconds()))
}
