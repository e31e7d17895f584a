//! What agents do now.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Post, is_agent_name};
use super::super::state::Hub;
use super::super::store::ProgressUpdate;
use super::fields::Fields;
use super::{Reply, kept, to_keep};
use crate::api::{Personality, Progress};

/// Largest value of a field that may be anything.
const VALUE_MAX: usize = 4096;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    status: Value,
    current_target: Value,
    current_eggrecord_id: Value,
    current_step: Value,
    progress_percent: Value,
    cycle_number: Value,
    enumerated_this_cycle: Value,
    total_in_queue: Value,
    paths_found: Value,
    cms_detected: Value,
    started_at: Value,
    estimated_completion: Value,
}

/// `POST /daemon/{personality}/progress/`.
pub(super) async fn take(
    State(hub): State<Arc<Hub>>,
    Path(personality): Path<String>,
    identity: Identity,
    post: Post,
) -> Reply {
    if !is_agent_name(&personality) {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    // For the five, who may was asked before.
    if personality.parse::<Personality>().is_err()
        && let Some((_, host)) = identity
            .own_agent()
            .as_deref()
            .and_then(|a| a.split_once('@'))
    {
        identity.may_be(&personality, host)?;
    }
    let (body, key) = post.json::<Body>()?;
    let mut fields = Fields::default();
    let update = fields.progress(body);
    fields.finish()?;
    let now = hub.clock.now();
    let said = json!({ "success": true, "message": "Progress updated" });
    let said = to_keep(StatusCode::OK, &said);
    let done = hub.store.set_progress(personality, update, key, said, now);
    kept(done.await?)
}

/// `GET /{personality}/progress/`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(personality): Path<String>) -> Reply {
    if !is_agent_name(&personality) {
        return Err(ApiError::bad_request("Invalid personality"));
    }
    let progress = match hub.store.progress(&personality).await? {
        Some(progress) => progress,
        // One of the five may not have begun.
        None if personality.parse::<Personality>().is_ok() => Progress::default(),
        None => return Err(ApiError::bad_request("Invalid personality")),
    };
    Ok(Json(json!({ "success": true, "progress": progress })).into_response())
}

impl Fields {
    /// What is not there keeps its value (status, cycle, paths) or is nothing (all else).
    fn progress(&mut self, body: Body) -> ProgressUpdate {
        let percent = self.number("progress_percent", &body.progress_percent);
        if percent > 100.0 {
            self.wrong("progress_percent", "range", "must be from 0 to 100");
        }
        let mut count = |name: &str, value: &Value| self.count(name, value, i64::MAX);
        let cycle_number = count("cycle_number", &body.cycle_number);
        let paths_found = count("paths_found", &body.paths_found);
        let done = count("enumerated_this_cycle", &body.enumerated_this_cycle);
        let queue = count("total_in_queue", &body.total_in_queue);
        ProgressUpdate {
            status: self.text("status", &body.status),
            cycle_number,
            paths_found,
            progress: Progress {
                current_target: self.text("current_target", &body.current_target),
                current_eggrecord_id: self.text("current_eggrecord_id", &body.current_eggrecord_id),
                current_step: self.text("current_step", &body.current_step),
                progress_percent: match body.progress_percent {
                    Value::Null => Value::from(0),
                    number => number,
                },
                enumerated_this_cycle: done.unwrap_or_default(),
                total_in_queue: queue.unwrap_or_default(),
                cms_detected: self.small("cms_detected", body.cms_detected),
                started_at: self.small("started_at", body.started_at),
                estimated_completion: self.small("estimated_completion", body.estimated_completion),
                ..Progress::default()
            },
        }
    }

    fn small(&mut self, field: &str, value: Value) -> Value {
        if value.to_string().len() > VALUE_MAX {
            self.wrong(field, "range", "must be 4096 bytes at most");
        }
        value
    }
}
