//! Driving agents: what runs, and start, stop, kill, restart, pause, resume; their journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::super::access::Identity;
use super::super::agents::{Done, unit_name};
use super::super::error::ApiError;
use super::super::extract::{Params, Post, is_agent_name};
use super::super::state::Hub;
use super::Reply;
use crate::api::{ControlAnswer, LogAnswer, LogLine};
use crate::fleet::AgentName;
use crate::systemd::{AgentState, Error, ErrorKind, Journal, Query, UnitState};

/// `GET /{personality}/status/`.
pub(super) async fn status(State(hub): State<Arc<Hub>>, Path(name): Path<String>) -> Reply {
    known(&hub, &name).await?;
    let unit = hub.agents.unit(&name).await?;
    let word = word(unit.state);
    let message = format!("{} is {word}", capital(&name));
    answer(&hub, StatusCode::OK, message, unit).await
}

/// `GET /{personality}/logs/`.
pub(super) async fn logs(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let limit = params.integer("limit", 50, 1..=1000)?;
    known(&hub, &name).await?;
    let query = Query {
        units: vec![unit_name(&name)],
        lines: Some(limit),
        ..Query::default()
    };
    let mut journal = Journal::open(&query)?;
    let mut data = Vec::new();
    while let Some(entry) = journal.next().await? {
        data.push(LogLine {
            timestamp: entry.time,
            level: entry.level.as_str().to_owned(),
            message: entry.message,
            pid: entry.pid,
        });
    }
    let message = match data.len() {
        0 => format!("The journal has nothing from {name}"),
        n => format!("The last {n} lines of {name}"),
    };
    let body = LogAnswer {
        success: true,
        data,
        message,
    };
    Ok(Json(body).into_response())
}

/// `POST /{personality}/start/`.
pub(super) async fn start(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "start").await
}

/// `POST /{personality}/stop/`.
pub(super) async fn stop(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "stop").await
}

/// `POST /{personality}/kill/`.
pub(super) async fn kill(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "kill").await
}

/// `POST /{personality}/restart/`.
pub(super) async fn restart(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "restart").await
}

/// `POST /{personality}/pause/`.
pub(super) async fn pause(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "pause").await
}

/// `POST /{personality}/resume/`.
pub(super) async fn resume(
    hub: State<Arc<Hub>>,
    name: Path<String>,
    identity: Identity,
    _: Post,
) -> Reply {
    act(hub, name, identity, "resume").await
}

async fn act(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    identity: Identity,
    action: &'static str,
) -> Reply {
    known(&hub, &name).await?;
    if name == "hub" {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("the hub cannot {action} itself; use reconctl {action} hub"),
        ));
    }
    hub.audit(&identity, &format!("agent.{action}"), &name, None, None)
        .await;
    let custom = hub.live().agents.get(&name).is_some_and(|a| a.custom);
    let done = match action {
        "start" => hub.agents.start(&name).await,
        "stop" => hub.agents.stop(&name).await,
        "kill" => hub.agents.kill(&name).await,
        "restart" => hub.agents.restart(&name).await,
        "pause" => hub.agents.pause(&name, custom).await,
        _ => hub.agents.resume(&name).await,
    }?;
    let (status, message, unit) = match done {
        Done::Now(unit) => (StatusCode::OK, said(action, &name), unit),
        Done::Already(unit) => {
            let message = format!("{name} is already {}", word(unit.state));
            (StatusCode::OK, message, unit)
        }
        Done::Underway(unit) => {
            let message = format!("{name} was told to {action} and is still at it");
            (StatusCode::ACCEPTED, message, unit)
        }
        Done::Not(why) => return Err(ApiError::new(StatusCode::CONFLICT, why)),
    };
    answer(&hub, status, message, unit).await
}

/// In the words of the earlier server.
fn said(action: &str, name: &str) -> String {
    match action {
        "start" => format!("{name} started successfully"),
        "restart" => format!("{name} restarted successfully"),
        "pause" => format!("{name} paused"),
        "resume" => format!("{name} resumed"),
        _ => format!("{name} stopped successfully"),
    }
}

/// The name must be that of an agent: the template's unit would take any.
async fn known(hub: &Hub, name: &str) -> Result<(), ApiError> {
    let is_name = is_agent_name(name) && name.parse::<AgentName>().is_ok();
    if is_name && hub.agents.knows(name, &hub.live().agents).await? {
        return Ok(());
    }
    Err(ApiError::not_found(format!("Invalid personality: {name}")))
}

async fn answer(hub: &Hub, status: StatusCode, message: String, unit: UnitState) -> Reply {
    let mut body = ControlAnswer {
        success: true,
        status: word(unit.state).to_owned(),
        message,
        total_scans: None,
        total_requests: None,
        total_enumerations: None,
        state: unit.state.as_str().to_owned(),
        pid: unit.pid,
        since: unit.since,
        restarts: unit.restarts,
        reason: unit.last_error.or(unit.status_text),
    };
    let work = unit.name.as_str();
    if matches!(work, "kage" | "kaze" | "ryu" | "kumo" | "suzu") {
        let totals = hub.totals.get(hub).await;
        let of = |kind: &str| Some(totals.as_ref()?.get(kind).copied().unwrap_or_default());
        match work {
            "kumo" => body.total_requests = of("kumo_spider"),
            "suzu" => body.total_enumerations = of("suzu_enum"),
            scanner => body.total_scans = of(&format!("{scanner}_port_scan")),
        }
    }
    Ok((status, Json(body)).into_response())
}

/// The earlier server knows `running` and `stopped`.
fn word(state: AgentState) -> &'static str {
    match state {
        AgentState::Running | AgentState::Degraded => "running",
        AgentState::Paused => "paused",
        AgentState::Starting => "starting",
        AgentState::Stopping => "stopping",
        AgentState::Restarting => "restarting",
        AgentState::Stopped | AgentState::Failed | AgentState::ImportFailed => "stopped",
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Other => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorKind::AccessDenied => StatusCode::FORBIDDEN,
            ErrorKind::NoSuchUnit => StatusCode::NOT_FOUND,
            ErrorKind::Masked | ErrorKind::Refused => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}
