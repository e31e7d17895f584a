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
use super::super::store::{FindingQuery, StoreError};
use super::Reply;
use super::export::{self, Format, Row};
use super::order::oldest_first;
use crate::api::{Finding, FindingList, RiskLevel};

/// `GET /findings`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
    let (target, record_id) = of_target(&params)?;
    let mut query = FindingQuery {
        limit: 0,
        before: params.cursor()?,
        oldest_first: oldest_first(&params)?,
        target,
        record_id,
        severity: level(&params, "severity")?,
        kind: params.text("type").map(str::to_owned),
        status: params.text("status").map(str::to_owned),
    };
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), FindingQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let page = hub.store.findings(query).await?;
    Ok(Json(FindingList {
        findings: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

async fn page(
    hub: Arc<Hub>,
    query: FindingQuery,
) -> Result<(Vec<Finding>, Option<FindingQuery>), StoreError> {
    let found = hub.store.findings(query.clone()).await?;
    let rest = found.next.map(|id| FindingQuery {
        before: Some(id),
        ..query
    });
    Ok((found.items, rest))
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "target",
        "type",
        "severity",
        "category",
        "title",
        "location",
        "evidence",
        "status",
        "discovered_by",
        "first_seen_at",
        "last_seen_at",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.target.clone(),
            self.kind.clone(),
            self.severity.as_str().to_owned(),
            self.category.clone(),
            self.title.clone(),
            self.location.clone(),
            export::json(&self.evidence),
            self.status.clone(),
            self.discovered_by.clone().unwrap_or_default(),
            self.first_seen_at.to_rfc3339(),
            self.last_seen_at.to_rfc3339(),
        ]
    }
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
