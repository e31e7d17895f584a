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
use super::super::store::{ChangeQuery, StoreError};
use super::Reply;
use super::export::{self, Format, Row};
use super::order::oldest_first;
use crate::api::{CHANGE_TYPES, Change, ChangeList};

/// `GET /api/changes`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
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
    let mut query = ChangeQuery {
        limit: 0,
        before: params.cursor()?,
        oldest_first: oldest_first(&params)?,
        target,
        record_id: record.transpose()?.or(target_id),
        kind: kind.map(str::to_owned),
        since: params.time("since")?,
    };
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), ChangeQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let page = hub.store.changes(query).await?;
    Ok(Json(ChangeList {
        changes: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

async fn page(
    hub: Arc<Hub>,
    query: ChangeQuery,
) -> Result<(Vec<Change>, Option<ChangeQuery>), StoreError> {
    let found = hub.store.changes(query.clone()).await?;
    let rest = found.next.map(|id| ChangeQuery {
        before: Some(id),
        ..query
    });
    Ok((found.items, rest))
}

impl Row for Change {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "target",
        "type",
        "subject",
        "before",
        "after",
        "source_id",
        "created_at",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.target.clone(),
            self.kind.clone(),
            self.subject.clone(),
            export::json(&self.before),
            export::json(&self.after),
            self.source_id.to_string(),
            self.created_at.to_rfc3339(),
        ]
    }
}
