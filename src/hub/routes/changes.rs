//! What is otherwise than before.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Params;
use super::super::plan::Written;
use super::super::state::Hub;
use super::super::store::ChangeQuery;
use super::Reply;
use crate::api::{CHANGE_TYPES, ChangeList};

/// `GET /api/changes`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let target = params.text("target");
    let target_id: Option<Uuid> = target.and_then(|t| t.parse().ok());
    let record = params.text("record").map(|text| {
        text.parse::<Uuid>()
            .map_err(|_| ApiError::bad_request("record must be the id of a target"))
    });
    if target.is_some() && record.is_some() {
        return Err(ApiError::bad_request("give target or record, not both"));
    }
    let kind = params.text("type");
    if kind.is_some_and(|kind| !CHANGE_TYPES.contains(&kind)) {
        let all = CHANGE_TYPES.join(", ");
        return Err(ApiError::bad_request(format!("type must be one of {all}")));
    }
    let target = target
        .map(|text| Written::parse(text).map_or_else(|_| text.to_owned(), |written| written.key()));
    let query = ChangeQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        before: params.cursor()?,
        target,
        record_id: record.transpose()?.or(target_id),
        kind: kind.map(str::to_owned),
        since: params.time("since")?,
    };
    let page = hub.store.changes(query).await?;
    Ok(Json(ChangeList {
        changes: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}
