//! What the routes that take results have in common.

use serde_json::Value;
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Caller;
use super::super::state::Hub;
use super::super::store::{Attempt, Delivered, Record, RunFacts, StoreError};
use super::fields::Fields;
use crate::api::{Personality, WorkKind};

/// Longest list in a result.
pub(super) const LIST_MAX: usize = 10_000;

/// Sentences that an agent says of a run that are kept.
const NOTES_MAX: usize = 100;

/// What an agent says of a run as a whole.
#[derive(Debug, Default)]
pub(super) struct RawRun {
    pub(super) run_id: Value,
    pub(super) finished_at: Value,
    pub(super) complete: Value,
    pub(super) notes: Value,
    pub(super) calibration: Value,
}

impl RawRun {
    /// With a name of the run when it has none of its own.
    pub(super) fn read(&self, fields: &mut Fields, name: impl FnOnce() -> String) -> RunFacts {
        let run = fields.text("result.run_id", &self.run_id);
        RunFacts {
            run: run.unwrap_or_else(name),
            finished_at: fields.time("result.finished_at", &self.finished_at),
            complete: fields.flag("result.complete", &self.complete),
            notes: sentences(fields, "result.notes", &self.notes),
            calibration: sentences(fields, "result.calibration", &self.calibration),
        }
    }
}

/// A list of texts, or a text.
fn sentences(fields: &mut Fields, field: &str, value: &Value) -> Vec<String> {
    let list = match value {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts = list.iter().take(NOTES_MAX);
    let texts = texts.filter_map(|text| fields.text(field, text));
    texts.collect()
}

/// The record of a result, and how the agent calls it: for the answer, which earlier daemons read.
/// What is stored is the record's own name.
pub(super) struct Subject {
    record: Record,
    pub(super) called: String,
}

impl Subject {
    /// Finds the record.
    pub(super) async fn find(
        hub: &Hub,
        id: Uuid,
        called: Option<String>,
    ) -> Result<Self, ApiError> {
        let record = hub.store.record(id).await?;
        let record = record.ok_or(StoreError::UnknownRecord)?;
        let called = called.unwrap_or_else(|| record.data.key.clone());
        Ok(Self { record, called })
    }

    /// Its name.
    pub(super) fn key(&self) -> &str {
        &self.record.data.key
    }

    /// The result as it goes to the store.
    pub(super) fn deliver<T>(
        self,
        hub: &Hub,
        caller: &Caller,
        personality: Personality,
        kind: WorkKind,
        outcome: Result<T, Attempt>,
    ) -> Delivered<T> {
        Delivered {
            id: Uuid::now_v7(),
            record_id: self.record.id,
            target: self.record.data.key,
            caller: caller.owner(personality.as_str()),
            agent: caller.agent().map(str::to_owned),
            rescan_after: hub.live().rescan_after(Some(kind)),
            now: hub.clock.now(),
            outcome,
        }
    }
}

/// The attempt, when a result says that it failed.
pub(super) fn failed(
    fields: &mut Fields,
    success: &Value,
    reason: &Value,
    error: &Value,
) -> Option<Attempt> {
    if fields.flag("result.success", success) != Some(false) {
        return None;
    }
    let reason = fields
        .text("result.reason", reason)
        .or_else(|| fields.text("result.error", error))
        .unwrap_or_else(|| "the agent gave no reason".to_owned());
    Some(Attempt { reason })
}

/// What is said of an attempt.
pub(super) fn attempt_message(target: &str) -> String {
    format!("Attempt recorded for {target}; it is tried again later")
}
