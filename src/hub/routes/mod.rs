//! All routes, in one table; one file a resource.

mod assessment;
mod audit;
mod changes;
mod create;
mod eggrecords;
mod enumeration;
mod events;
mod export;
mod fields;
mod findings;
mod health;
mod heartbeat;
mod leases;
mod progress;
mod results;
pub(super) mod roles;
mod scan_body;
mod scan_submit;
mod scans;
mod secrets;
mod spider;
mod summary;
mod target_import;
mod targets;
mod tokens;
mod webhooks;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};
use tower_http::timeout::TimeoutLayer;

use super::error::{ApiError, shape};
use super::guard::guard;
use super::state::Hub;
use super::store::Answer;

/// A request takes no longer than this.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Largest body of most requests.
const BODY_MAX: usize = 1024 * 1024;
/// Largest body of a result: the earlier daemons send a line for each of 65,535 ports (10.6 MB), and
/// the texts of scripts.
const RESULT_BODY_MAX: usize = 32 * 1024 * 1024;
/// Largest body of an import.
const IMPORT_BODY_MAX: usize = 32 * 1024 * 1024;

/// Everything that the hub answers to.
pub(super) fn service(hub: Arc<Hub>) -> NormalizePath<Router> {
    let routes = Router::new()
        .nest("/reconnaissance/api", recon_api())
        .nest("/api", recon_api().merge(own_api()))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&hub), guard))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIME,
        ))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn(shape))
        .with_state(hub);
    NormalizePathLayer::trim_trailing_slash().layer(routes)
}

/// The routes of the earlier server, at their old paths and under `/api`.
fn recon_api() -> Router<Arc<Hub>> {
    Router::new()
        .route("/daemon/{personality}/eggrecords", get(eggrecords::list))
        .route(
            "/daemon/{personality}/scan",
            post(scan_submit::submit).layer(DefaultBodyLimit::max(RESULT_BODY_MAX)),
        )
        .route("/daemon/{personality}/heartbeat", post(heartbeat::take))
        .route("/daemon/{personality}/health", get(health::agent))
        .route("/daemon/leases/{id}", delete(leases::end))
        .route("/daemon/{personality}/progress", post(progress::take))
        .route("/{personality}/progress", get(progress::show))
        .route("/eggrecords/create", post(create::create))
        .route("/eggrecords/{uuid}/summary", get(summary::show))
        .route("/findings", get(findings::list))
        .route("/assessments", get(assessment::list))
        .merge(results_api())
}

/// Results other than scans. The second path of each is where the earlier documents or daemons look
/// for it.
fn results_api() -> Router<Arc<Hub>> {
    Router::new()
        .route("/daemon/kumo/spider", post(spider::submit))
        .route("/daemon/spider", post(spider::submit))
        .route("/daemon/ryu/assessment", post(assessment::submit))
        .route("/daemon/assessment", post(assessment::submit))
        .route("/daemon/enumeration", post(enumeration::submit))
        .route("/daemon/suzu/enumeration", post(enumeration::submit))
        .layer(DefaultBodyLimit::max(RESULT_BODY_MAX))
}

/// The routes that the earlier server has not.
fn own_api() -> Router<Arc<Hub>> {
    Router::new()
        .route("/targets", get(targets::list).post(targets::create))
        .route(
            "/targets/import",
            post(target_import::import).layer(DefaultBodyLimit::max(IMPORT_BODY_MAX)),
        )
        .route(
            "/targets/{id}",
            get(targets::show)
                .patch(targets::change)
                .delete(targets::remove),
        )
        .route("/scans", get(scans::list))
        .route("/scans/{id}", get(scans::show))
        .route("/changes", get(changes::list))
        .route("/events", get(events::list))
        .route("/webhooks", get(webhooks::list))
        .route("/health", get(health::fleet))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/tokens/local", post(tokens::rotate_local))
        .route("/audit", get(audit::list))
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

/// An answer to be kept by a store.
fn to_keep<T: serde::Serialize>(status: StatusCode, body: &T) -> Answer {
    Answer {
        status: status.as_u16(),
        // Our own types always have a JSON form.
        body: serde_json::to_string(body).unwrap_or_default(),
    }
}
