//! Targets by the thousand.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Caller, Object, Post};
use super::super::gate::{Verdict, by_rules};
use super::super::plan::{Common, Written, check_network, violation};
use super::super::state::Hub;
use super::super::store::NewRecord;
use super::targets::check_texts;
use super::{Reply, kept, repeated, to_keep};
use crate::api::{ImportAnswer, ImportError, NewTarget};

/// Lines of one request.
const LINES_MAX: usize = 100_000;
/// Records of one transaction: agents' requests come in between.
const BATCH: usize = 2000;
/// Refusals that one request records as events; its answer names all.
const EVENTS_MAX: usize = 10;

/// Longest answer that is kept. A longer one names errors; to import the same again changes nothing.
const KEPT_MAX: usize = 64 * 1024;

/// `POST /api/targets/import`: a target a line, as JSON. What is good is taken, whatever is wrong
/// with the rest; sending it again changes nothing. No name is looked up: one that no rule speaks of
/// is taken, and its addresses decide each time that it is about to be handed out.
pub(super) async fn import(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    if let Some(answer) = repeated(&hub, post.key()).await? {
        return kept(answer);
    }
    let text = std::str::from_utf8(post.bytes())
        .map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    if text.lines().count() > LINES_MAX {
        return Err(ApiError::field(
            "body",
            "range",
            format!("one request can have {LINES_MAX} lines; send the rest in another"),
        ));
    }
    let mut answer = ImportAnswer::default();
    let mut records = Vec::with_capacity(BATCH);
    let lines = text.lines().enumerate();
    for (i, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match read(&hub, line) {
            Ok((record, decided)) => {
                answer.undecided += u64::from(!decided);
                records.push(record);
            }
            Err(error) => answer.errors.push(ImportError {
                line: i + 1,
                ..error
            }),
        }
        if records.len() == BATCH {
            add(&hub, std::mem::take(&mut records), &mut answer).await?;
        }
    }
    add(&hub, records, &mut answer).await?;
    let refused = answer.errors.iter().filter(|e| e.refused);
    for error in refused.take(EVENTS_MAX) {
        let event = violation(caller.agent(), &error.target, &error.message, "entry");
        hub.record_event(event).await;
    }
    if answer.created > 0 {
        let object = format!("{} targets", answer.created);
        let new = json!({ "count": answer.created });
        hub.audit(&identity, "target.import", object, None, Some(new))
            .await;
    }
    answer.success = answer.errors.is_empty();
    let answer = to_keep(StatusCode::OK, &answer);
    match post.key().cloned() {
        Some(key) if answer.body.len() <= KEPT_MAX => {
            let now = hub.clock.now();
            kept(hub.store.keep_answer(key, answer, now).await?)
        }
        _ => kept(answer),
    }
}

async fn add(
    hub: &Hub,
    records: Vec<NewRecord>,
    answer: &mut ImportAnswer,
) -> Result<(), ApiError> {
    if records.is_empty() {
        return Ok(());
    }
    let all = records.len() as u64;
    let new = hub.store.import(records, hub.clock.now()).await?;
    answer.created += new;
    answer.existing += all.saturating_sub(new);
    Ok(())
}

/// The record of a line, and whether rules alone let it in.
fn read(hub: &Hub, line: &str) -> Result<(NewRecord, bool), ImportError> {
    let bad = |target: &str, message: String| ImportError {
        line: 0,
        target: target.to_owned(),
        message,
        refused: false,
    };
    let Object(new) = serde_json::from_str::<Object<NewTarget>>(line)
        .map_err(|e| bad("", format!("is not a target as JSON: {e}")))?;
    check_texts(&new).map_err(|(field, problem)| bad(&new.target, format!("{field} {problem}")))?;
    let written = Written::parse(&new.target).map_err(|problem| bad(&new.target, problem))?;
    let refused = |rule: String| ImportError {
        refused: true,
        ..bad(&new.target, rule)
    };
    if let Written::Network(net) = written {
        check_network(hub, net).map_err(|r| refused(r.rule))?;
    }
    let common = Common {
        group: new.group.clone(),
        projectegg: new.project.clone(),
        alive: new.alive,
    };
    let record = common.record(written);
    match by_rules(&hub.live().scope, &record) {
        Ok(Verdict::Allowed) => Ok((record, true)),
        Ok(Verdict::Refused(refusal) | Verdict::Unresolved(refusal)) => Err(refused(refusal.rule)),
        Err(_) => Ok((record, false)),
    }
}
