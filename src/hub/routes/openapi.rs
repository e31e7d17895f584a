//! The document of all routes.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};

use super::super::openapi::document;
use super::table;

/// It does not change while the hub runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document(&table::all()).to_string());

/// `GET /openapi.json`.
pub(super) async fn show() -> Response {
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (json, DOCUMENT.as_str()).into_response()
}
