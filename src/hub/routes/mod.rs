//! All routes: the table of them (`table`), and one file a resource.

mod assessment;
mod assessment_findings;
mod audit;
mod changes;
mod control;
mod create;
mod eggrecords;
mod enumeration;
mod events;
mod export;
mod fields;
mod findings;
mod fleet_health;
mod health;
mod heartbeat;
mod leases;
mod metrics;
mod openapi;
mod order;
mod progress;
mod results;
pub(super) mod roles;
mod scan_body;
mod scan_submit;
mod scans;
mod secrets;
mod spider;
mod spider_web;
mod storage;
mod summary;
mod table;
mod target_import;
mod targets;
mod tokens;
mod web;
mod webhooks;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

use super::error::{ApiError, shape};
use super::guard::guard;
use super::state::Hub;
use super::store::{Answer, Idempotency};
pub(super) use fleet_health::fleet;
pub(super) use storage::remove_left_copies;

/// Largest body of most requests.
const BODY_MAX: usize = 1024 * 1024;

/// Everything that the hub answers to.
pub(super) fn service(hub: Arc<Hub>) -> NormalizePath<Router> {
    let routes = table::all()
        .into_router()
        .route_layer(from_fn_with_state(Arc::clone(&hub), metrics::measure))
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&hub), guard))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn(shape))
        .with_state(hub);
    NormalizePathLayer::trim_trailing_slash().layer(routes)
}

fn on_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "a request panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// What a handler gives.
type Reply = Result<Response, ApiError>;

/// An answer that a store made or kept.
fn kept(answer: Answer) -> Reply {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    if !status.is_success()
        && let Ok(body) = serde_json::from_str(&answer.body)
    {
        // Each repetition has a request id of its own.
        return Err(ApiError::of(status, body));
    }
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((status, json, answer.body).into_response())
}

/// The answer to the same request before. It is looked for where the request may else be refused for
/// what has changed since: its target is gone, or out of scope.
async fn repeated(hub: &Hub, key: Option<&Idempotency>) -> Result<Option<Answer>, ApiError> {
    match key {
        Some(key) => Ok(hub.store.kept_answer(key.clone()).await?),
        None => Ok(None),
    }
}

/// An answer to be kept by a store.
fn to_keep<T: serde::Serialize>(status: StatusCode, body: &T) -> Answer {
    Answer {
        status: status.as_u16(),
        // Our own types always have a JSON form.
        body: serde_json::to_string(body).unwrap_or_default(),
    }
}
