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
use super::super::extract::{self, Caller, Params, Post};
use super::super::plan::{Common, Plan, RECORDS_MAX};
use super::super::state::Hub;
use super::super::store::{Created, TargetQuery};
use super::{Reply, kept, to_keep};
use crate::api::{CreateTargets, CreateTargetsAnswer, RefusedTarget, TargetList};

/// Longest name of a group.
const GROUP_MAX: usize = 255;
/// So many of the targets of one request are named in the audit trail.
const AUDITED_MAX: usize = 100;

/// `POST /api/targets`.
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    let (wish, key) = post.json::<CreateTargets>()?;
    if wish.targets.is_empty() || wish.targets.len() > RECORDS_MAX {
        return Err(ApiError::field(
            "targets",
            "range",
            format!("must have 1 to {RECORDS_MAX} entries"),
        ));
    }
    let mut plan = Plan::default();
    for (i, new) in wish.targets.into_iter().enumerate() {
        if new.group.as_ref().is_some_and(|g| g.len() > GROUP_MAX) {
            return Err(ApiError::field(
                format!("targets[{i}].group"),
                "range",
                format!("must be {GROUP_MAX} bytes at most"),
            ));
        }
        let common = Common {
            group: new.group,
            projectegg: None,
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
    let query = TargetQuery {
        limit: params.integer("limit", 100, 1..=1000)?,
        after: params.cursor()?,
        text: params.text("q").map(str::to_owned),
    };
    let page = hub.store.targets(query).await?;
    Ok(Json(TargetList {
        targets: page.items,
        next_cursor: page.next.map(|id| id.to_string()),
    })
    .into_response())
}

/// `GET /api/targets/{id}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Reply {
    let target = hub.store.target(extract::id(&id)?).await?;
    let target = target.ok_or_else(unknown)?;
    Ok(Json(target).into_response())
}

/// `DELETE /api/targets/{id}`.
pub(super) async fn remove(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    Path(id): Path<String>,
) -> Reply {
    let id = extract::id(&id)?;
    let target = hub.store.target(id).await?.ok_or_else(unknown)?;
    if !hub.store.delete_target(id).await? {
        return Err(unknown());
    }
    let (object, old) = (target.target.clone(), json!(target));
    hub.audit(&identity, "target.delete", object, Some(old), None)
        .await;
    let body = json!({
        "success": true,
        "message": "Target removed; its scans are kept",
    });
    Ok(Json(body).into_response())
}

fn unknown() -> ApiError {
    ApiError::not_found("there is no target with this id")
}
