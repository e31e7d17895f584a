//! Stored findings, and what operators decide about them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::{DateTime, Datelike, Utc};
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{self, Params, Post, YEARS, has_controls};
use super::super::plan::Written;
use super::super::state::Hub;
use super::super::store::{FindingPage, FindingQuery, NewDecision, StoreError};
use super::export::{self, Format, Row};
use super::{Reply, kept, repeated, to_keep};
use crate::api::{DecideFinding, FINDING_STATES, Finding, FindingList, RiskLevel, Verdict};

/// Longest reason of a decision, bytes.
const REASON_MAX: usize = 2000;

/// `GET /findings`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
    let mut query = query(&params)?;
    hub.store.expire_decisions(hub.clock.now()).await?;
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), FindingQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let page = hub.store.findings(query).await?;
    let next_cursor = cursor(&page);
    Ok(Json(FindingList {
        findings: page.items,
        next_cursor,
    })
    .into_response())
}

fn query(params: &Params) -> Result<FindingQuery, ApiError> {
    let (target, record_id) = of_target(params)?;
    let (oldest_first, by_priority) = match params.text("sort") {
        None | Some("-created") => (false, false),
        Some("created") => (true, false),
        Some("-priority") => (false, true),
        Some(_) => {
            let problem = "sort must be created, -created or -priority";
            return Err(ApiError::bad_request(problem));
        }
    };
    let text = |name| params.text(name).map(str::to_owned);
    let mut query = FindingQuery {
        oldest_first,
        by_priority,
        target,
        record_id,
        group: text("group"),
        severity: level(params, "severity")?,
        min_severity: level(params, "min_severity")?,
        kind: text("type"),
        category: text("category"),
        cve: text("cve").map(|cve| cve.to_ascii_uppercase()),
        kev: params.flag("kev")? == Some(true),
        status: state(params)?,
        since: params.time("since")?,
        ..FindingQuery::default()
    };
    if by_priority {
        (query.before_priority, query.before) = place(params)?.unzip();
    } else {
        query.before = params.cursor()?;
    }
    Ok(query)
}

/// A state. A pipeline that asks for one that there is not must not be told that nothing is in it.
fn state(params: &Params) -> Result<Option<String>, ApiError> {
    match params.text("status") {
        Some(text) if !FINDING_STATES.contains(&text) => {
            let all = FINDING_STATES.join(", ");
            Err(ApiError::bad_request(format!(
                "status must be one of {all}"
            )))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// Where the next page begins: after this finding, or after this priority and finding.
fn cursor(page: &FindingPage) -> Option<String> {
    let id = page.next?;
    Some(match page.next_priority {
        Some(priority) => format!("{priority}:{id}"),
        None => id.to_string(),
    })
}

fn place(params: &Params) -> Result<Option<(f64, Uuid)>, ApiError> {
    let Some(text) = params.text("cursor") else {
        return Ok(None);
    };
    let place = text.split_once(':').and_then(|(priority, id)| {
        let priority: f64 = priority.parse().ok()?;
        Some((priority, id.parse().ok()?)).filter(|_| priority.is_finite())
    });
    let problem = "cursor must be next_cursor of an earlier answer in the same order";
    place
        .map(Some)
        .ok_or_else(|| ApiError::bad_request(problem))
}

async fn page(
    hub: Arc<Hub>,
    query: FindingQuery,
) -> Result<(Vec<Finding>, Option<FindingQuery>), StoreError> {
    let found = hub.store.findings(query.clone()).await?;
    let rest = found.next.map(|id| FindingQuery {
        before: Some(id),
        before_priority: found.next_priority,
        ..query
    });
    Ok((found.items, rest))
}

/// `GET /findings/{id}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    hub.store.expire_decisions(hub.clock.now()).await?;
    let finding = hub.store.finding(extract::id(&id)?).await?;
    Ok(Json(finding.ok_or_else(unknown)?).into_response())
}

/// `POST /findings/{id}/decision`.
pub(super) async fn decide(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
    post: Post,
) -> Reply {
    let id = extract::id(&id)?;
    let (wish, key) = post.json::<DecideFinding>()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    let now = hub.clock.now();
    let decision = NewDecision {
        verdict: wish.status,
        reason: reason(&wish)?,
        by: identity.name(),
        until: until(&wish, now)?,
        now,
    };
    hub.store.expire_decisions(now).await?;
    let before = hub.store.finding(id).await?.ok_or_else(unknown)?;
    let (tell, decided) = oneshot::channel();
    let render = move |finding: &Option<Finding>| match finding {
        Some(finding) => {
            tell.send(()).ok();
            to_keep(StatusCode::OK, finding)
        }
        None => to_keep(StatusCode::NOT_FOUND, &unknown_body()),
    };
    let answer = hub
        .store
        .decide_finding(id, decision, key, Box::new(render))
        .await?;
    note(&hub, &identity, &before, &wish, decided).await;
    kept(answer)
}

/// Notes a decision in the audit trail. A repetition, of which nobody tells, made none.
async fn note(
    hub: &Hub,
    identity: &Identity,
    before: &Finding,
    wish: &DecideFinding,
    mut decided: oneshot::Receiver<()>,
) {
    if decided.try_recv().is_err() {
        return;
    }
    let action = match wish.status {
        Verdict::Accepted => "finding.accept",
        Verdict::FalsePositive => "finding.false_positive",
        Verdict::Open => "finding.reopen",
    };
    let old = json!({
        "status": before.status, "decision": before.decision, "target": before.target,
        "title": before.title, "location": before.location,
    });
    let new = Some(json!(wish));
    hub.audit(identity, action, before.id.to_string(), Some(old), new)
        .await;
}

fn reason(wish: &DecideFinding) -> Result<Option<String>, ApiError> {
    let reason = wish.reason.as_deref().map(str::trim).unwrap_or_default();
    let wrong = |kind, message: &str| Err(ApiError::field("reason", kind, message));
    if reason.is_empty() && wish.status != Verdict::Open {
        return wrong(
            "missing",
            "is needed: whoever reads this later will want to know",
        );
    }
    if reason.len() > REASON_MAX {
        return wrong("range", "must be 2000 bytes at most");
    }
    if has_controls(reason) {
        return wrong("value", "must not have control characters");
    }
    Ok(Some(reason.to_owned()).filter(|reason| !reason.is_empty()))
}

fn until(wish: &DecideFinding, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(until) = wish.until else {
        return Ok(None);
    };
    let problem = match wish.status {
        Verdict::Open => "is for what is accepted or false",
        _ if until <= now => "must be in the future",
        _ if !YEARS.contains(&until.year()) => "must be before the year 10000",
        _ => return Ok(Some(until)),
    };
    Err(ApiError::field("until", "value", problem))
}

const UNKNOWN: &str = "there is no finding with this id";

fn unknown() -> ApiError {
    ApiError::not_found(UNKNOWN)
}

fn unknown_body() -> serde_json::Value {
    json!({ "success": false, "error": UNKNOWN })
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
        "priority",
        "confidence",
        "cve",
        "kev",
        "fixed_at",
        "reopened_at",
        "times_reopened",
        "decision",
        "decision_reason",
        "decided_by",
        "decided_at",
        "decided_until",
    ];

    fn cells(&self) -> Vec<String> {
        let time = |time: Option<DateTime<Utc>>| time.map(|t| t.to_rfc3339()).unwrap_or_default();
        let decision = self.decision.as_ref();
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
            self.priority.to_string(),
            self.confidence.map(|c| c.to_string()).unwrap_or_default(),
            self.cve.clone().unwrap_or_default(),
            self.kev.to_string(),
            time(self.fixed_at),
            time(self.reopened_at),
            self.times_reopened.to_string(),
            decision
                .map(|d| d.status.as_str().to_owned())
                .unwrap_or_default(),
            decision.map(|d| d.reason.clone()).unwrap_or_default(),
            decision.map(|d| d.by.clone()).unwrap_or_default(),
            time(decision.map(|d| d.at)),
            time(decision.and_then(|d| d.until)),
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
