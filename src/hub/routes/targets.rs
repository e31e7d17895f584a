//! Targets.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{self, Caller, Params, Post, has_controls};
use super::super::plan::{Common, Plan, RECORDS_MAX, Written};
use super::super::state::Hub;
use super::super::store::{Created, StoreError, TargetChange, TargetQuery, TargetSort};
use super::export::{self, Format, Row};
use super::{Reply, kept, repeated, to_keep};
use crate::api::{
    ChangeTarget, CreateTargets, CreateTargetsAnswer, NewTarget, RefusedTarget, Target, TargetList,
    WorkKind,
};

/// Longest name of a group.
const GROUP_MAX: usize = 255;
/// So many of the targets of one request are named in the audit trail.
const AUDITED_MAX: usize = 100;
/// Records of one transaction that changes or removes what a network became.
const EXPANDED_AT_ONCE: u32 = 1000;

/// `POST /api/targets`.
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    let (wish, key) = post.json::<CreateTargets>()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    if wish.targets.is_empty() || wish.targets.len() > RECORDS_MAX {
        return Err(ApiError::field(
            "targets",
            "range",
            format!("must have 1 to {RECORDS_MAX} entries"),
        ));
    }
    let mut plan = Plan::default();
    for (i, new) in wish.targets.into_iter().enumerate() {
        check_texts(&new).map_err(|(field, problem)| {
            ApiError::field(format!("targets[{i}].{field}"), "range", problem)
        })?;
        let common = Common {
            group: new.group,
            projectegg: new.project,
            alive: new.alive,
        };
        plan.add(&hub, &format!("targets[{i}].target"), &new.target, &common);
    }
    let plan = plan.finish(&hub, caller.agent()).await?;
    if !plan.refused.is_empty() {
        return Err(refusal(plan.refused));
    }
    let skipped = plan.skipped;
    let (tell, made) = oneshot::channel();
    let render = move |created: &Created| {
        tell.send(names(created)).ok();
        let answer = CreateTargetsAnswer {
            success: true,
            created: created.created.clone(),
            existing: created.existing.clone(),
            refused: Vec::new(),
            skipped,
        };
        to_keep(StatusCode::OK, &answer)
    };
    let now = hub.clock.now();
    let answer = hub
        .store
        .create_records(plan.records, key, now, Box::new(render))
        .await?;
    note_created(&hub, &identity, made).await;
    kept(answer)
}

/// The names of new targets, for the audit trail.
pub(super) fn names(created: &Created) -> Vec<String> {
    created.created.iter().map(|t| t.target.clone()).collect()
}

/// Notes new targets in the audit trail. A repetition, of which nobody tells, made none.
pub(super) async fn note_created(
    hub: &Hub,
    identity: &Identity,
    mut made: oneshot::Receiver<Vec<String>>,
) {
    let names = made.try_recv().unwrap_or_default();
    let object = match names.as_slice() {
        [] => return,
        [one] => one.clone(),
        many => format!("{} targets", many.len()),
    };
    let shown: Vec<_> = names.iter().take(AUDITED_MAX).collect();
    let new = json!({ "count": names.len(), "targets": shown });
    hub.audit(identity, "target.create", object, None, Some(new))
        .await;
}

/// The free texts of a target; an error names the field and what is wrong with it.
pub(super) fn check_texts(new: &NewTarget) -> Result<(), (&'static str, String)> {
    for (field, text) in [("group", &new.group), ("project", &new.project)] {
        check_text(text.as_deref()).map_err(|problem| (field, problem))?;
    }
    Ok(())
}

fn check_text(text: Option<&str>) -> Result<(), String> {
    match text {
        Some(text) if text.len() > GROUP_MAX => Err(format!("must be {GROUP_MAX} bytes at most")),
        Some(text) if has_controls(text) => Err("must not have control characters".to_owned()),
        _ => Ok(()),
    }
}

/// 403 that names each refused target and its rule.
pub(super) fn refusal(refused: Vec<RefusedTarget>) -> ApiError {
    let text = match refused.as_slice() {
        [one] => format!("{} is out of scope: {}", one.target, one.rule),
        many => format!(
            "{} targets are out of scope, so none was added; the first is {}: {}",
            many.len(),
            many.first().map_or("", |r| &r.target),
            many.first().map_or("", |r| &r.rule),
        ),
    };
    let mut extra = Map::new();
    if let Ok(Value::Array(list)) = serde_json::to_value(&refused) {
        extra.insert("created".to_owned(), Value::Array(Vec::new()));
        extra.insert("existing".to_owned(), Value::Array(Vec::new()));
        extra.insert("refused".to_owned(), Value::Array(list));
    }
    ApiError::forbidden(text).with(extra)
}

/// `GET /api/targets`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, params: Params) -> Reply {
    let format = Format::of(&params)?;
    let mut query = query(&hub, &params)?;
    if format != Format::Json {
        let rows = params.integer("limit", u64::MAX, 1..=u64::MAX)?;
        let page = move |query, limit| page(Arc::clone(&hub), TargetQuery { limit, ..query });
        return Ok(export::stream(format, rows, query, page));
    }
    query.limit = params.integer("limit", 100, 1..=1000)?;
    let by_text = by_text(&query);
    let page = hub.store.targets(query).await?;
    let next_cursor = match page.next_key {
        next if by_text => next,
        _ => page.next.map(|id| id.to_string()),
    };
    Ok(Json(TargetList {
        targets: page.items,
        next_cursor,
    })
    .into_response())
}

fn by_text(query: &TargetQuery) -> bool {
    matches!(query.sort, TargetSort::Target | TargetSort::TargetBackwards)
}

async fn page(
    hub: Arc<Hub>,
    query: TargetQuery,
) -> Result<(Vec<Target>, Option<TargetQuery>), StoreError> {
    let found = hub.store.targets(query.clone()).await?;
    let rest = found.next.map(|id| TargetQuery {
        after: Some(id),
        after_key: found.next_key,
        ..query
    });
    Ok((found.items, rest))
}

fn query(hub: &Hub, params: &Params) -> Result<TargetQuery, ApiError> {
    let sort = match params.text("sort") {
        None | Some("created") => TargetSort::Created,
        Some("-created") => TargetSort::Newest,
        Some("target") => TargetSort::Target,
        Some("-target") => TargetSort::TargetBackwards,
        Some(_) => {
            return Err(ApiError::bad_request(
                "sort must be created, target, -created or -target",
            ));
        }
    };
    let due = match params.text("due") {
        Some(kind) => {
            let kind = kind.parse::<WorkKind>().map_err(ApiError::bad_request)?;
            Some((kind, hub.clock.now()))
        }
        None => None,
    };
    let text = |name| params.text(name).map(str::to_owned);
    let key = text("target").map(|t| Written::parse(&t).map_or(t, |written| written.key()));
    let id = params.text("id").map(extract::id).transpose()?;
    let mut query = TargetQuery {
        id,
        key,
        text: text("q"),
        group: text("group"),
        project: text("project"),
        alive: params.flag("alive")?,
        skip_scan: params.flag("skip")?,
        due,
        sort,
        ..TargetQuery::default()
    };
    if by_text(&query) {
        query.after_key = text("cursor");
    } else {
        query.after = params.cursor()?;
    }
    Ok(query)
}

impl Row for Target {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "target",
        "ip_address",
        "cidr",
        "group",
        "project",
        "alive",
        "skip_scan",
        "created_at",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.target.clone(),
            self.ip_address.map(|a| a.to_string()).unwrap_or_default(),
            self.cidr.clone().unwrap_or_default(),
            self.group.clone().unwrap_or_default(),
            self.project.clone().unwrap_or_default(),
            self.alive.to_string(),
            self.skip_scan.to_string(),
            self.created_at.to_rfc3339(),
        ]
    }
}

/// `GET /api/targets/{id}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    let target = hub.store.target(extract::id(&id)?).await?;
    let target = target.ok_or_else(unknown)?;
    Ok(Json(target).into_response())
}

/// `PATCH /api/targets/{id}`; of a network with `?expanded=true` the same for the targets that its
/// addresses became.
pub(super) async fn change(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
    params: Params,
    post: Post,
) -> Reply {
    let id = extract::id(&id)?;
    let (wish, _) = post.json::<ChangeTarget>()?;
    if wish == ChangeTarget::default() {
        return Err(ApiError::field(
            "body",
            "missing",
            "must name alive, skip_scan or group",
        ));
    }
    check_text(wish.group.as_deref())
        .map_err(|problem| ApiError::field("group", "range", problem))?;
    let before = hub.store.target(id).await?.ok_or_else(unknown)?;
    let audited = json!(wish);
    let change = TargetChange {
        alive: wish.alive,
        skip_scan: wish.skip_scan,
        group: wish.group.map(|g| Some(g).filter(|g| !g.is_empty())),
    };
    let now = hub.clock.now();
    let changed = hub.store.change_target(id, change.clone(), now).await?;
    let changed = changed.ok_or_else(unknown)?;
    let old =
        json!({ "alive": before.alive, "skip_scan": before.skip_scan, "group": before.group });
    let object = changed.target.clone();
    hub.audit(&identity, "target.change", object, Some(old), Some(audited))
        .await;
    if params.flag("expanded")? == Some(true) {
        let mut after = None;
        loop {
            let change = change.clone();
            let some = hub
                .store
                .change_expanded(id, after, EXPANDED_AT_ONCE, change, now);
            after = match some.await? {
                None => break,
                last => last,
            };
        }
    }
    Ok(Json(changed).into_response())
}

/// `DELETE /api/targets/{id}`; of a network, the targets that its addresses became stay, unless
/// `?expanded=true`.
pub(super) async fn remove(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
    params: Params,
) -> Reply {
    let id = extract::id(&id)?;
    let target = hub.store.target(id).await?.ok_or_else(unknown)?;
    let mut expanded = 0;
    if params.flag("expanded")? == Some(true) {
        // Its own record goes last: should this take too long, it can be asked for again.
        loop {
            match hub.store.delete_expanded(id, EXPANDED_AT_ONCE).await? {
                0 => break,
                some => expanded += some,
            }
        }
    }
    if !hub.store.delete_target(id).await? {
        return Err(unknown());
    }
    let (object, old) = (target.target.clone(), json!(target));
    hub.audit(&identity, "target.delete", object, Some(old), None)
        .await;
    let body = json!({
        "success": true,
        "message": "Target removed; its scans are kept",
        "expanded_removed": expanded,
    });
    Ok(Json(body).into_response())
}

fn unknown() -> ApiError {
    ApiError::not_found("there is no target with this id")
}
