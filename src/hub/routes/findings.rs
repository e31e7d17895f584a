//! Stored findings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Params;
use super::super::plan::Written;
use super::super::state::Hub;
use super::super::store::FindingQuery;
use super::Reply;
use crate::api::{FindingList, RiskLevel};

/// `GET /findings`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let (target, record_id) = of_target(&params)?;
    let query = FindingQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        before: params.cursor()?,
        target,
        record_id,
        severity: level(&params, "severity")?,
        kind: params.text("type").map(str::to_owned),
        status: params.text("status").map(str::to_owned),
    };
    let page = hub.store.findings(query).await?;
    Ok(Json(FindingList {
        findings: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

/// What `target` (a name or an id) and `record` choose.
pub(super) fn of_target(params: &Params) -> Result<(Option<String>, Option<Uuid>), ApiError> {
    let target = params.text("target");
    let record = match params.text("record") {
        Some(text) => Some(
            text.parse()
                .map_err(|_| ApiError::bad_request("record must be a UUID"))?,
        ),
        None => target.and_then(|t| t.parse().ok()),
    };
    let target = target
        .map(|text| Written::parse(text).map_or_else(|_| text.to_owned(), |written| written.key()));
    Ok((target, record))
}

/// A level of risk.
pub(super) fn level(params: &Params, name: &str) -> Result<Option<RiskLevel>, ApiError> {
    params
        .text(name)
        .map(|text| {
            text.parse()
                .map_err(|problem| ApiError::bad_request(format!("{name} {problem}")))
        })
        .transpose()
}
