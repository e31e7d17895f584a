use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::api::{EggRecord, Personality, WorkKind};

use super::outbox::Outbox;
use super::{
    Checkpoints, Config, Context, HubClient, HubError, Phase, ResolveError, Spooled,
    resolve_in_scope,
};

/// Work that an agent leases from the hub, one target at a time.
pub trait LeasedWork {
    /// Who asks.
    const PERSONALITY: Personality;
    /// What for.
    const KIND: WorkKind;
    /// Path of the submission, below `daemon/{personality}/`.
    const SUBMIT: &'static str;
    /// What it does, for the status line (`scanning`).
    const DOING: &'static str;
    /// Whether it sends anything to the target. What does not needs neither its address nor the scope.
    const SENDS: bool = true;

    /// How many targets to take in one cycle, and for how long.
    fn batch(config: &Config) -> (u32, Duration);

    /// Does it. The future may be dropped at any await when the time to stop is over.
    ///
    /// # Errors
    /// The target could not be worked on.
    fn work(
        &mut self,
        task: &Task<'_>,
        ctx: &Context,
    ) -> impl Future<Output = Result<Done, WorkError>>;

    /// The body that tells the hub that an attempt failed.
    fn failure(task_target: &str, record: &EggRecord, reason: &str) -> serde_json::Value;
}

/// One target in hand.
#[derive(Debug)]
pub struct Task<'a> {
    /// The record.
    pub record: &'a EggRecord,
    /// Its name, or its address as text.
    pub target: &'a str,
    /// The address, resolved once and in scope; of work that sends nothing the unspecified one.
    pub addr: IpAddr,
    /// The configuration for the whole task.
    pub config: &'a Config,
    /// Where it may keep how far it is.
    pub checkpoints: &'a Checkpoints,
    /// Where it may keep what else it has, in a folder of its own.
    pub state_dir: &'a Path,
}

/// What a task yields.
#[derive(Debug)]
pub struct Done {
    /// Submissions that go before it, each whole, where one would be too large.
    pub parts: Vec<Box<RawValue>>,
    /// The body of the submission.
    pub body: serde_json::Value,
    /// How much was found, for the status line.
    pub found: u64,
}

/// Why a task yields nothing.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The target could not be worked on; the hub is told and tries again later.
    #[error("{0}")]
    Failed(String),
    /// The agent is to stop; the lease goes back.
    #[error("interrupted")]
    Interrupted,
    /// The target is to be left alone now; the lease goes back.
    #[error("{0}")]
    NotNow(String),
}

/// One cycle: lease, work, spool, send.
pub async fn lease_cycle<W: LeasedWork>(worker: &mut W, ctx: &Context, outbox: &mut Outbox) {
    if let Some(why) = outbox.blocked() {
        return ctx.doing(why);
    }
    let records = match lease::<W>(ctx, outbox.to_resume()).await {
        Ok(records) => records,
        Err(error) => {
            outbox.hub_failed(ctx, &error);
            return ctx.doing("waiting for work");
        }
    };
    outbox.hub_is_back(ctx);
    outbox.hold(ctx, records.iter().filter_map(|r| r.lease_id));
    outbox.asked_to_resume(ctx);
    let count = records.len();
    for (n, record) in records.iter().enumerate() {
        let lost = |lease| ctx.vitals.update(|f| f.lost.remove(&lease));
        if record.lease_id.is_some_and(lost) {
            // Somebody else has it by now.
            outbox.forget(ctx, record.lease_id.as_slice());
            continue;
        }
        if ctx.control.phase() != Phase::Run || !outbox.can_save() {
            for record in &records[n..] {
                record
                    .lease_id
                    .into_iter()
                    .for_each(|lease| outbox.return_lease(lease));
            }
            break;
        }
        let target = record.target().unwrap_or_default();
        ctx.vitals.update(|f| f.target = Some(target.clone()));
        ctx.doing(&format!(
            "{} {} ({}/{count})",
            W::DOING,
            shown(&target),
            n + 1
        ));
        one(worker, ctx, outbox, record, &target).await;
        ctx.vitals
            .update(|f| (f.target, f.progress_percent) = (None, None));
        outbox.drain(ctx).await;
    }
    outbox.drain(ctx).await;
    ctx.doing("waiting for work");
}

fn shown(target: &str) -> String {
    super::text::display(target, 80)
}

async fn lease<W: LeasedWork>(ctx: &Context, resume: &[Uuid]) -> Result<Vec<EggRecord>, HubError> {
    let config = ctx.config();
    let (limit, time) = W::batch(&config);
    let request = config
        .hub
        .lease(W::PERSONALITY, W::KIND, limit, time, resume);
    ctx.heart
        .bounded(HubClient::LEASE_TIMEOUT, request)
        .await
        .unwrap_or_else(|| Err(HubError::Unreachable("no answer".to_owned())))
}

/// Works on one record and puts the result on its way.
async fn one<W: LeasedWork>(
    worker: &mut W,
    ctx: &Context,
    outbox: &mut Outbox,
    record: &EggRecord,
    target: &str,
) {
    let config = ctx.config();
    let checkpoints = outbox.checkpoints().clone();
    let state_dir = outbox.state_dir().to_owned();
    let place = Place {
        config: &config,
        checkpoints: &checkpoints,
        state_dir: &state_dir,
    };
    let outcome = tokio::select! {
        outcome = attempt(worker, ctx, &place, record, target) => outcome,
        () = ctx.out_of_time() => Err(WorkError::Interrupted),
    };
    let body = match outcome {
        Ok(done) => {
            for part in done.parts {
                let part = Spooled {
                    // The lease ends with the last one.
                    lease_id: None,
                    key: Uuid::now_v7(),
                    ..spooled::<W>(record, target, part)
                };
                outbox.put(ctx, part);
            }
            ctx.vitals.update(|f| {
                f.completed += 1;
                f.found += done.found;
            });
            done.body
        }
        Err(error @ (WorkError::Interrupted | WorkError::NotNow(_))) => {
            let why = match &error {
                WorkError::NotNow(why) => why,
                _ => "time to stop",
            };
            tracing::warn!(TARGET = %shown(target), EGGRECORD_ID = %record.id, "given up: {why}");
            record
                .lease_id
                .into_iter()
                .for_each(|lease| outbox.return_lease(lease));
            return;
        }
        Err(WorkError::Failed(reason)) => {
            ctx.vitals.update(|f| f.errors += 1);
            W::failure(target, record, &reason)
        }
    };
    match serde_json::value::to_raw_value(&body) {
        Ok(body) => {
            outbox.put(ctx, spooled::<W>(record, target, body));
            outbox.finished(record.id);
        }
        Err(error) => tracing::error!(%error, TARGET = target, "a result that is not JSON"),
    }
}

fn spooled<W: LeasedWork>(record: &EggRecord, target: &str, body: Box<RawValue>) -> Spooled {
    Spooled {
        id: Uuid::now_v7(),
        path: format!("daemon/{}/{}/", W::PERSONALITY, W::SUBMIT),
        key: record.lease_id.unwrap_or_else(Uuid::now_v7),
        lease_id: record.lease_id,
        target: target.to_owned(),
        body,
    }
}

/// What a task works with.
struct Place<'a> {
    config: &'a Config,
    checkpoints: &'a Checkpoints,
    state_dir: &'a Path,
}

/// Checks the scope, whatever the hub says, and does the work.
async fn attempt<W: LeasedWork>(
    worker: &mut W,
    ctx: &Context,
    place: &Place<'_>,
    record: &EggRecord,
    target: &str,
) -> Result<Done, WorkError> {
    if target.is_empty() {
        return Err(WorkError::Failed("the record names no target".to_owned()));
    }
    let addr = match W::SENDS {
        true => allowed(ctx, place.config, record, target).await?,
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let task = Task {
        record,
        target,
        addr,
        config: place.config,
        checkpoints: place.checkpoints,
        state_dir: place.state_dir,
    };
    worker.work(&task, ctx).await
}

/// The address of a target that something may be sent to now.
async fn allowed(
    ctx: &Context,
    config: &Config,
    record: &EggRecord,
    target: &str,
) -> Result<IpAddr, WorkError> {
    let addr = match resolve_in_scope(target, &config.scope, &ctx.heart).await {
        Ok(addr) => addr,
        Err(error @ ResolveError::OutOfScope(_)) => {
            tracing::warn!(
                EVENT = "scope_violation_blocked",
                TARGET = %shown(target),
                EGGRECORD_ID = %record.id,
                "refused: {error}"
            );
            return Err(WorkError::Failed(format!("scope: {error}")));
        }
        Err(error) => {
            tracing::warn!(TARGET = %shown(target), EGGRECORD_ID = %record.id, "{error}");
            return Err(WorkError::Failed(error.to_string()));
        }
    };
    let name = Some(target).filter(|t| t.parse::<IpAddr>().is_err());
    if let Some((until, blackout)) = config.scope.blackout(name, &[addr], chrono::Utc::now()) {
        return Err(WorkError::NotNow(blackout.says(until)));
    }
    Ok(addr)
}
