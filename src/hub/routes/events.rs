//! What happened.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use super::super::extract::Params;
use super::super::state::Hub;
use super::super::store::EventQuery;
use super::Reply;
use crate::api::EventList;

/// `GET /api/events`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let query = EventQuery {
        after: params.integer("after", 0, 0..=i64::MAX)?,
        limit: params.integer("limit", 100, 1..=1000)?,
    };
    let after = query.after;
    let events = hub.store.events(query).await?;
    Ok(Json(EventList {
        last_seq: events.last().map_or(after, |e| e.seq),
        events,
    })
    .into_response())
}
