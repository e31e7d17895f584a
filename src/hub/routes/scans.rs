//! Stored scans.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::super::error::ApiError;
use super::super::extract::{self, Params};
use super::super::plan::Written;
use super::super::state::Hub;
use super::super::store::ScanQuery;
use super::Reply;
use crate::api::ScanList;

/// `GET /api/scans`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let target = params.text("target");
    let record_id = target.and_then(|t| t.parse().ok());
    let target = target
        .map(|text| Written::parse(text).map_or_else(|_| text.to_owned(), |written| written.key()));
    let query = ScanQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        before: params.cursor()?,
        target,
        record_id,
        scan_type: params.text("scan_type").map(str::to_owned),
    };
    let page = hub.store.scans(query).await?;
    Ok(Json(ScanList {
        scans: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

/// `GET /api/scans/{id}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    let scan = hub.store.scan(extract::id(&id)?).await?;
    let scan = scan.ok_or_else(|| ApiError::not_found("there is no scan with this id"))?;
    Ok(Json(scan).into_response())
}
