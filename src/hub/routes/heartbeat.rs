//! Signs of life.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::super::access::Identity;
use super::super::error::{ApiError, field_error};
use super::super::extract::{Post, is_agent_name, is_host};
use super::super::state::Hub;
use super::Reply;
use crate::api::{Heartbeat, HeartbeatAnswer};

/// Leases that one heartbeat can renew.
const LEASES_MAX: usize = 10_000;

/// `POST /daemon/{personality}/heartbeat/`.
pub(super) async fn take(
    State(hub): State<Arc<Hub>>,
    Path(personality): Path<String>,
    identity: Identity,
    post: Post,
) -> Reply {
    if !is_agent_name(&personality) {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    let (heartbeat, _) = post.json::<Heartbeat>()?;
    check(&heartbeat)?;
    identity.may_be(&heartbeat.agent, &heartbeat.host)?;
    let now = hub.clock.now();
    let leases = hub.store.heartbeat(personality, heartbeat, now).await?;
    Ok(Json(HeartbeatAnswer {
        success: true,
        leases,
        ..HeartbeatAnswer::default()
    })
    .into_response())
}

fn check(heartbeat: &Heartbeat) -> Result<(), ApiError> {
    let rules = [
        (
            "agent",
            is_agent_name(&heartbeat.agent),
            "must be 1 to 64 of a-z, 0-9, '-', '_'",
        ),
        ("host", is_host(&heartbeat.host), "must be a host name"),
        (
            "interval_s",
            (0.1..=86_400.0).contains(&heartbeat.interval_s),
            "must be from 0.1 to 86400",
        ),
        (
            "leases",
            heartbeat.leases.len() <= LEASES_MAX,
            "must be 10,000 at most",
        ),
        (
            "status_text",
            heartbeat.status_text.len() <= 4096,
            "must be 4096 bytes at most",
        ),
    ];
    let errors: Vec<_> = rules
        .into_iter()
        .filter(|(_, good, _)| !good)
        .map(|(field, _, message)| field_error(field, "value", message))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(errors))
    }
}
