//! The web side of a target: for agents before they begin, and for readers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::error::ApiError;
use super::super::extract::{self, Params};
use super::super::state::Hub;
use super::super::store::{Page, StoreError, WebQuery};
use super::Reply;
use super::export::{self, Format, Row};
use super::order::oldest_first;
use crate::api::{
    Personality, WebEndpoint, WebEndpointList, WebForm, WebFormList, WebPage, WebPageList,
};

/// Longest text that is looked for.
const SOUGHT_MAX: usize = 200;

/// `GET /daemon/{kumo,suzu}/context/{record_id}/`.
pub(super) async fn context(
    State(hub): State<Arc<Hub>>,
    Path((personality, id)): Path<(String, String)>,
) -> Reply {
    let enumerator = match personality.parse().map_err(ApiError::bad_request)? {
        Personality::Kumo => false,
        Personality::Suzu => true,
        _ => return Err(ApiError::bad_request("only kumo and suzu have a context")),
    };
    let context = hub.store.web_context(extract::id(&id)?, enumerator).await?;
    let context = context.ok_or(StoreError::UnknownRecord)?;
    Ok(Json(context).into_response())
}

/// `GET /daemon/ryu/context/{record_id}/`.
pub(super) async fn evidence(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    // What was decided about a finding until now holds no more.
    hub.store.expire_decisions(hub.clock.now()).await?;
    let context = hub.store.assessment_context(extract::id(&id)?).await?;
    Ok(Json(context.ok_or(StoreError::UnknownRecord)?).into_response())
}

/// `GET /api/targets/{id}/pages`.
pub(super) async fn pages(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    params: Params,
) -> Reply {
    let mut query = query(&hub, &id, &params).await?;
    query.status = match params.text("status") {
        Some(_) => Some(params.integer("status", 0, 0..=999)?),
        None => None,
    };
    let page = move |query: WebQuery| {
        let hub = Arc::clone(&hub);
        async move { hub.store.web_pages(query).await }
    };
    let list = |page: Page<WebPage>| WebPageList {
        next_cursor: page.next.map(|id| id.to_string()),
        pages: page.items,
    };
    answer(&params, query, page, list).await
}

/// `GET /api/targets/{id}/forms`.
pub(super) async fn forms(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    params: Params,
) -> Reply {
    let mut query = query(&hub, &id, &params).await?;
    query.method = params.text("method").map(str::to_ascii_uppercase);
    let page = move |query: WebQuery| {
        let hub = Arc::clone(&hub);
        async move { hub.store.web_forms(query).await }
    };
    let list = |page: Page<WebForm>| WebFormList {
        next_cursor: page.next.map(|id| id.to_string()),
        forms: page.items,
    };
    answer(&params, query, page, list).await
}

/// `GET /api/targets/{id}/endpoints`.
pub(super) async fn endpoints(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    params: Params,
) -> Reply {
    let mut query = query(&hub, &id, &params).await?;
    query.method = params.text("method").map(str::to_ascii_uppercase);
    let page = move |query: WebQuery| {
        let hub = Arc::clone(&hub);
        async move { hub.store.web_endpoints(query).await }
    };
    let list = |page: Page<WebEndpoint>| WebEndpointList {
        next_cursor: page.next.map(|id| id.to_string()),
        endpoints: page.items,
    };
    answer(&params, query, page, list).await
}

/// What all three lists have in common.
async fn query(hub: &Hub, id: &str, params: &Params) -> Result<WebQuery, ApiError> {
    let contains = params.text("q");
    if contains.is_some_and(|text| text.len() > SOUGHT_MAX) {
        let message = format!("q must have {SOUGHT_MAX} bytes at most");
        return Err(ApiError::bad_request(message));
    }
    let record = hub.store.record(extract::id(id)?).await?;
    let record = record.ok_or_else(|| ApiError::not_found("there is no target with this id"))?;
    Ok(WebQuery {
        record_id: record.id,
        before: params.cursor()?,
        oldest_first: oldest_first(params)?,
        contains: contains.map(str::to_owned),
        ..WebQuery::default()
    })
}

/// One page of a list, or all of it as an export.
async fn answer<T, L, F, P>(
    params: &Params,
    query: WebQuery,
    page: F,
    list: impl FnOnce(Page<T>) -> L,
) -> Result<Response, ApiError>
where
    T: Row + Send + 'static,
    L: Serialize,
    F: Fn(WebQuery) -> P + Clone + Send + 'static,
    P: Future<Output = Result<Page<T>, StoreError>> + Send,
{
    let format = Format::of(params)?;
    if format == Format::Json {
        let limit = params.integer("limit", 100, 1..=1000)?;
        let page = page(WebQuery { limit, ..query }).await?;
        return Ok(Json(list(page)).into_response());
    }
    let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
    let pages = move |query: WebQuery, limit| {
        let found = page(WebQuery {
            limit,
            ..query.clone()
        });
        async move {
            let found = found.await?;
            let rest = found.next.map(|id| WebQuery {
                before: Some(id),
                ..query
            });
            Ok((found.items, rest))
        }
    };
    Ok(export::stream(format, rows, query, pages))
}

impl Row for WebPage {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "url",
        "status",
        "content_type",
        "length",
        "title",
        "content_hash",
        "depth",
        "truncated",
        "first_seen_at",
        "last_seen_at",
        "gone_at",
    ];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.url.clone(),
            self.status.to_string(),
            text(&self.content_type),
            self.length.map(|n| n.to_string()).unwrap_or_default(),
            text(&self.title),
            text(&self.content_hash),
            self.depth.to_string(),
            self.truncated.to_string(),
            self.first_seen_at.to_rfc3339(),
            self.last_seen_at.to_rfc3339(),
            self.gone_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        ]
    }
}

impl Row for WebForm {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "page",
        "method",
        "action",
        "enctype",
        "inputs",
        "first_seen_at",
        "last_seen_at",
    ];

    /// Inputs stand in one cell, as `user:text pass:password`.
    fn cells(&self) -> Vec<String> {
        let inputs = self.inputs.iter();
        let inputs: Vec<_> = inputs.map(|i| format!("{}:{}", i.name, i.kind)).collect();
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.page.clone(),
            self.method.clone(),
            self.action.clone(),
            self.enctype.clone(),
            inputs.join(" "),
            self.first_seen_at.to_rfc3339(),
            self.last_seen_at.to_rfc3339(),
        ]
    }
}

impl Row for WebEndpoint {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "url",
        "method",
        "parameters",
        "source",
        "kind",
        "first_seen_at",
        "last_seen_at",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.url.clone(),
            self.method.clone(),
            self.parameters.join(" "),
            self.source.clone(),
            self.kind.clone(),
            self.first_seen_at.to_rfc3339(),
            self.last_seen_at.to_rfc3339(),
        ]
    }
}
