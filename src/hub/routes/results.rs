//! What the routes that take results have in common.

use serde_json::Value;
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Caller;
use super::super::state::Hub;
use super::super::store::{Attempt, Delivered, Record, StoreError};
use super::fields::Fields;
use crate::api::{Personality, WorkKind};

/// Longest list in a result.
pub(super) const LIST_MAX: usize = 10_000;

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
