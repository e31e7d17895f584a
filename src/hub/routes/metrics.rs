//! Metrics, and how they come about.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::error::ApiError;
use super::super::metrics;
use super::super::state::Hub;
use super::Reply;

/// The text format, in its newer form, which Prometheus asks for.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
pub(super) async fn show(State(hub): State<Arc<Hub>>) -> Reply {
    let text = metrics::text(&hub).await.map_err(|_| {
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Counts a request and takes its time, under the template of its route.
pub(super) async fn measure(
    State(hub): State<Arc<Hub>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let start = Instant::now();
    let response = next.run(request).await;
    let route = path.as_ref().map_or("", MatchedPath::as_str);
    let status = response.status().as_u16();
    hub.metrics
        .request(method.as_str(), route, status, start.elapsed());
    response
}
