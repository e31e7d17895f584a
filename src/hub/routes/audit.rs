//! What operators changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::super::extract::Params;
use super::super::state::Hub;
use super::super::store::PageQuery;
use super::{Reply, order};
use crate::api::AuditList;

/// `GET /api/audit`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    order::only("-created", &params)?;
    let query = PageQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        before: params.cursor()?,
    };
    let page = hub.store.audit(query).await?;
    Ok(Json(AuditList {
        audit: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}
