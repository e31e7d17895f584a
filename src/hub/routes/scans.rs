//! Stored scans.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::super::error::ApiError;
use super::super::extract::{self, Params};
use super::super::plan::Written;
use super::super::state::Hub;
use super::super::store::{ScanQuery, StoreError};
use super::Reply;
use super::export::{self, Format, Row};
use super::order::oldest_first;
use crate::api::{Scan, ScanList, ScanPort};

/// `GET /api/scans`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
    let target = params.text("target");
    let record_id = target.and_then(|t| t.parse().ok());
    let target = target
        .map(|text| Written::parse(text).map_or_else(|_| text.to_owned(), |written| written.key()));
    let mut query = ScanQuery {
        limit: 0,
        before: params.cursor()?,
        target,
        record_id,
        scan_type: params.text("scan_type").map(str::to_owned),
        oldest_first: oldest_first(&params)?,
    };
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), ScanQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let page = hub.store.scans(query).await?;
    Ok(Json(ScanList {
        scans: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

async fn page(
    hub: Arc<Hub>,
    query: ScanQuery,
) -> Result<(Vec<Scan>, Option<ScanQuery>), StoreError> {
    let found = hub.store.scans(query.clone()).await?;
    let rest = found.next.map(|id| ScanQuery {
        before: Some(id),
        ..query
    });
    Ok((found.items, rest))
}

impl Row for Scan {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "eggrecord_id",
        "target",
        "ip_address",
        "scan_type",
        "agent",
        "engine",
        "scan_status",
        "finished_at",
        "scan_duration",
        "ports_scanned",
        "open_ports",
        "hostname",
        "host_state",
        "host_state_reason",
        "udp_ports_scanned",
    ];

    /// Open ports stand in one cell, as `22/tcp/ssh 443/tcp/https`.
    fn cells(&self) -> Vec<String> {
        let port = |p: &ScanPort| format!("{}/{}/{}", p.port, p.protocol, p.service);
        let ports: Vec<_> = self.open_ports.iter().map(port).collect();
        let udp = self.udp_counts;
        vec![
            self.id.to_string(),
            self.eggrecord_id.to_string(),
            self.target.clone(),
            self.ip_address.clone().unwrap_or_default(),
            self.scan_type.clone(),
            self.agent.clone().unwrap_or_default(),
            self.engine.clone(),
            self.scan_status.clone(),
            self.finished_at.to_rfc3339(),
            self.scan_duration.to_string(),
            self.ports_scanned.to_string(),
            ports.join(" "),
            self.hostname.clone().unwrap_or_default(),
            self.host_state.clone().unwrap_or_default(),
            self.host_state_reason.clone().unwrap_or_default(),
            udp.map(|counts| counts.total().to_string())
                .unwrap_or_default(),
        ]
    }
}

/// `GET /api/scans/{id}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    let scan = hub.store.scan(extract::id(&id)?).await?;
    let scan = scan.ok_or_else(|| ApiError::not_found("there is no scan with this id"))?;
    Ok(Json(scan).into_response())
}
