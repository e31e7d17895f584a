//! How webhooks are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::super::state::Hub;
use super::Reply;
use crate::api::{WebhookList, WebhookState};

/// `GET /api/webhooks`.
pub(super) async fn list(State(hub): State<Arc<Hub>>) -> Reply {
    let webhooks = hub.store.webhooks().await?.into_iter();
    let webhooks = webhooks.map(|(name, progress)| WebhookState {
        name,
        position: progress.position,
        failing_since: progress.failing_since,
        delivered: progress.delivered,
        given_up: progress.given_up,
    });
    Ok(Json(WebhookList {
        webhooks: webhooks.collect(),
    })
    .into_response())
}
