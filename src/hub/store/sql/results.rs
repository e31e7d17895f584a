//! Results other than port scans: what is alike for all of them, and the [`ResultStore`] made of the
//! files beside this one.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::SqlStore;
use super::daemons::{self, add_event};
use super::dialect::Conn;
use super::work::{self, Task};
use super::{assessments, enumerations, idempotency, progress, spiders, summary};
use crate::api::{Assessment, Progress, WorkKind};
use crate::hub::store::{
    Answer, Assessed, AssessmentQuery, Delivered, Enumerated, Enumeration, Idempotency,
    NewAssessment, NewChange, NewEvent, Page, ProgressUpdate, Render, Result, ResultStore, Spider,
    Spidered, Summary,
};

#[async_trait]
impl ResultStore for SqlStore {
    async fn submit_spider(
        &self,
        result: Delivered<Spider>,
        key: Option<Idempotency>,
        render: Render<Spidered>,
    ) -> Result<Answer> {
        let now = result.now;
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        Ok(render(&spiders::submit(c, &result).await?))
                    })
                    .await
                })
            })
            .await
    }

    async fn submit_enumeration(
        &self,
        result: Delivered<Enumeration>,
        key: Option<Idempotency>,
        render: Render<Enumerated>,
    ) -> Result<Answer> {
        let now = result.now;
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        Ok(render(&enumerations::submit(c, &result).await?))
                    })
                    .await
                })
            })
            .await
    }

    async fn submit_assessment(
        &self,
        result: Delivered<NewAssessment>,
        key: Option<Idempotency>,
        render: Render<Assessed>,
    ) -> Result<Answer> {
        let now = result.now;
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        Ok(render(&assessments::submit(c, &result).await?))
                    })
                    .await
                })
            })
            .await
    }

    async fn set_progress(
        &self,
        agent: String,
        update: ProgressUpdate,
        key: Option<Idempotency>,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Answer> {
        self.write
            .run(move |c| {
                Box::pin(async move {
                    idempotency::once(c, key, now, async |c: &mut _| {
                        progress::set(c, &agent, update, now).await?;
                        Ok(answer)
                    })
                    .await
                })
            })
            .await
    }

    async fn progress(&self, agent: &str) -> Result<Option<Progress>> {
        progress::get_of(&self.read, agent).await
    }

    async fn summary(&self, record: Uuid) -> Result<Option<Summary>> {
        summary::of(&self.read, record).await
    }

    async fn assessments(&self, query: AssessmentQuery) -> Result<Page<Assessment>> {
        assessments::list(&self.read, &query).await
    }
}

/// The work that a result finishes.
pub(super) fn task<T>(d: &Delivered<T>, kind: WorkKind) -> Task<'_> {
    Task {
        record_id: d.record_id,
        kind,
        caller: &d.caller,
        now: d.now,
    }
}

/// Ends the work of a result that is stored, and tells of it.
pub(super) async fn finish<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    kind: WorkKind,
    event: &'static str,
    data: Value,
) -> Result<()> {
    work::finish(c, &task(d, kind), d.rescan_after).await?;
    completed(c, d, event, data).await
}

/// Tells of a result that is stored.
pub(super) async fn completed<T>(
    c: &mut Conn,
    d: &Delivered<T>,
    event: &'static str,
    mut data: Value,
) -> Result<()> {
    data["result_id"] = d.id.to_string().into();
    data["eggrecord_id"] = d.record_id.to_string().into();
    data["target"] = d.target.clone().into();
    let (daemon_name, hostname) = daemons::name_and_host(d.agent.as_deref());
    let event = NewEvent {
        kind: event,
        daemon_name,
        hostname,
        data,
    };
    add_event(c, &event, d.now).await
}

/// A difference that a result shows.
pub(super) fn change<T>(
    d: &Delivered<T>,
    kind: &'static str,
    subject: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> NewChange {
    let (daemon_name, hostname) = daemons::name_and_host(d.agent.as_deref());
    NewChange {
        record_id: d.record_id,
        target: d.target.clone(),
        kind,
        subject: subject.to_owned(),
        before,
        after,
        source_id: d.id,
        daemon_name,
        hostname,
    }
}

/// Short enough for an index, whatever it stands for.
pub(super) fn digest(parts: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().to_vec()
}
