use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::fleet::Span;

use super::leases::Leases;
use super::{Backoff, Checkpoints, Context, HubError, Spool, Spooled, Submitted};

/// All that goes to the hub and must not be lost: results on their way, leases to be given back, and
/// when the hub may be asked again.
#[derive(Debug)]
pub struct Outbox {
    spool: Spool,
    leases: Leases,
    held: Vec<Uuid>,
    give_back: Vec<Uuid>,
    /// Held by an earlier process that got somewhere with their records: to be asked for again.
    resume: Vec<Uuid>,
    checkpoints: Checkpoints,
    state_dir: PathBuf,
    /// Records whose results are not on disk yet: their checkpoints stay until then.
    unsaved_records: Vec<Uuid>,
    unsaved: Vec<Spooled>,
    backoff: Backoff,
    /// The hub answered last time, but not with what was asked for.
    busy: bool,
    /// Results at which the hub itself failed (500): each waits on its own, and stops no other.
    sick: HashMap<Uuid, Backoff>,
}

/// Spooled results of one agent, bytes, above which it takes no new work.
const SPOOL_CAP: u64 = 64 << 20;

impl Outbox {
    /// Opens it in this state directory. Leases that an earlier process held and that no spooled
    /// result will end are to be gone on with, where it left a checkpoint, else to be given back.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let spool = Spool::open(state_dir.join("spool"), SPOOL_CAP)?;
        let leases = Leases::new(state_dir);
        let ended: Vec<Uuid> = spool
            .ids()?
            .into_iter()
            .filter_map(|id| spool.read(id)?.lease_id)
            .collect();
        let checkpoints = Checkpoints::new(state_dir);
        let begun = checkpoints.tidy(&ended);
        let left_over = leases.left_over().into_iter();
        let (resume, give_back) = left_over
            .filter(|id| !ended.contains(id))
            .partition(|id| begun.contains(id));
        Ok(Self {
            spool,
            leases,
            held: Vec::new(),
            give_back,
            resume,
            checkpoints,
            state_dir: state_dir.to_owned(),
            unsaved_records: Vec::new(),
            unsaved: Vec::new(),
            backoff: Backoff::new(),
            busy: false,
            sick: HashMap::new(),
        })
    }

    /// Why no new work should be taken now, if so.
    pub fn blocked(&self) -> Option<&'static str> {
        if !self.backoff.ready() {
            return Some("waiting for the hub");
        }
        if !self.unsaved.is_empty() {
            return Some("cannot write to the spool");
        }
        match self.spool.is_full() {
            Ok(false) => None,
            Ok(true) => Some("spool full"),
            Err(_) => Some("cannot read the spool"),
        }
    }

    /// Whether the next result will have a place.
    pub fn can_save(&self) -> bool {
        self.unsaved.is_empty()
    }

    /// Time until the hub may be asked again.
    pub fn retry_in(&self) -> Duration {
        self.backoff.remaining()
    }

    /// A heartbeat got through. That ends the wait for a hub that was not there, but not one that the
    /// hub itself asked for.
    pub fn heard(&mut self, ctx: &Context) {
        if !self.busy {
            self.hub_is_back(ctx);
        }
    }

    /// The hub did what was asked.
    pub fn hub_is_back(&mut self, ctx: &Context) {
        if self.backoff.failures() > 0 {
            tracing::info!(EVENT = "hub_reachable", "the hub is back");
        }
        self.backoff.succeeded();
        self.busy = false;
        ctx.vitals.update(|f| f.degraded = None);
    }

    /// The hub did not answer.
    pub fn hub_failed(&mut self, ctx: &Context, error: &HubError) {
        self.backoff.failed(error.retry_after());
        self.busy = matches!(error, HubError::Busy { .. });
        let failures = self.backoff.failures();
        let next = Span(Duration::from_secs(self.backoff.remaining().as_secs() + 1));
        if failures == 1 || failures == Backoff::ATTEMPTS {
            tracing::warn!(
                EVENT = "hub_unreachable",
                failures,
                "{error}; next attempt in {next}"
            );
        }
        ctx.vitals.update(|f| {
            f.errors += 1;
            f.degraded = Some(if let HubError::Token(advice) = error {
                advice.clone()
            } else if failures >= Backoff::ATTEMPTS {
                format!("hub down ({failures} attempts)")
            } else {
                format!("hub unreachable (attempt {failures})")
            });
        });
    }

    /// These leases are ours now.
    pub fn hold(&mut self, ctx: &Context, leases: impl IntoIterator<Item = Uuid>) {
        self.held.extend(leases);
        self.record(ctx);
    }

    /// Leases to ask for again.
    pub fn to_resume(&self) -> &[Uuid] {
        &self.resume
    }

    /// The hub was asked for them. Those that it did not give, if it holds them for us still, go
    /// back: an earlier hub does not know what was asked.
    pub fn asked_to_resume(&mut self, ctx: &Context) {
        let held = &self.held;
        let lost = self.resume.drain(..).filter(|id| !held.contains(id));
        self.give_back.extend(lost);
        self.record(ctx);
    }

    /// Where the agent keeps what is its own.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Where tasks keep how far they are.
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// The result of a record was put on its way: its checkpoint goes once that is on disk.
    pub fn finished(&mut self, record: Uuid) {
        self.unsaved_records.push(record);
        self.drop_checkpoints();
    }

    fn drop_checkpoints(&mut self) {
        if self.unsaved.is_empty() {
            for record in self.unsaved_records.drain(..) {
                self.checkpoints.remove(record);
            }
        }
    }

    /// These leases are no longer ours.
    pub fn forget(&mut self, ctx: &Context, gone: &[Uuid]) {
        self.held.retain(|id| !gone.contains(id));
        self.record(ctx);
    }

    /// This lease goes back to the hub as soon as the hub can take it.
    pub fn return_lease(&mut self, lease: Uuid) {
        self.held.retain(|id| *id != lease);
        self.give_back.push(lease);
    }

    /// Puts a result on its way. It is on disk when this returns; should the disk not take it, it
    /// stays in memory, nothing new is begun, and it is tried again.
    pub fn put(&mut self, ctx: &Context, result: Spooled) {
        if let Err(error) = self.spool.put(&result) {
            tracing::error!(%error, TARGET = result.target, "cannot write the result to the spool");
            ctx.vitals
                .update(|f| f.degraded = Some("cannot write to the spool".to_owned()));
            self.unsaved.push(result);
        }
        self.count(ctx);
    }

    /// Sends what waits, oldest first, until the hub fails; then gives leases back.
    pub async fn drain(&mut self, ctx: &Context) {
        self.save_unsaved(ctx);
        self.count(ctx);
        if !self.backoff.ready() {
            return;
        }
        let waiting = match self.spool.ids() {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "cannot read the spool"),
        };
        for id in waiting {
            if self.backoff.ready()
                && self.sick.get(&id).is_none_or(Backoff::ready)
                && let Some(result) = self.spool.read(id)
            {
                self.send(ctx, result).await;
            }
        }
        // What could not be saved stays in the list until the hub has it: this may be dropped at any
        // await.
        for result in self.unsaved.clone() {
            if self.backoff.ready() {
                self.send(ctx, result).await;
            }
        }
        self.give_back(ctx).await;
        self.record(ctx);
        self.count(ctx);
    }

    fn save_unsaved(&mut self, ctx: &Context) {
        if self.unsaved.is_empty() {
            return;
        }
        let spool = &self.spool;
        self.unsaved.retain(|result| spool.put(result).is_err());
        self.drop_checkpoints();
        if !self.unsaved.is_empty() {
            ctx.vitals
                .update(|f| f.degraded = Some("cannot write to the spool".to_owned()));
        }
    }

    async fn send(&mut self, ctx: &Context, result: Spooled) {
        let hub = ctx.config().hub.clone();
        let body = RawValue::get(&result.body).as_bytes().to_vec();
        let request = hub.submit(&result.path, result.key, body);
        let limit = super::HubClient::SUBMIT_TIMEOUT;
        let answer = ctx.heart.bounded(limit, request).await.unwrap_or_else(|| {
            Err(HubError::Unreachable(format!(
                "no answer within {} s",
                limit.as_secs()
            )))
        });
        let done = match answer {
            Ok(submitted) => {
                self.hub_is_back(ctx);
                if submitted == Submitted::Superseded {
                    tracing::info!(TARGET = result.target, "the hub has a newer result");
                }
                self.spool.remove(result.id)
            }
            Err(HubError::Busy {
                status, message, ..
            }) if status.as_u16() == 500 => {
                tracing::error!(
                    TARGET = result.target,
                    "the hub failed at this result: {message}"
                );
                ctx.vitals.update(|f| f.errors += 1);
                self.sick.entry(result.id).or_default().failed(None);
                return;
            }
            Err(error) if error.is_transient() => {
                self.hub_failed(ctx, &error);
                return;
            }
            Err(error) => {
                tracing::error!(%error, TARGET = result.target, "result set aside in rejected/");
                ctx.vitals.update(|f| f.errors += 1);
                self.spool.reject(result.id)
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "cannot take a result out of the spool");
        }
        self.sick.remove(&result.id);
        self.unsaved.retain(|unsaved| unsaved.id != result.id);
        self.drop_checkpoints();
        if let Some(lease) = result.lease_id {
            self.held.retain(|id| *id != lease);
        }
    }

    async fn give_back(&mut self, ctx: &Context) {
        let hub = ctx.config().hub.clone();
        while self.backoff.ready()
            && let Some(lease) = self.give_back.last().copied()
        {
            let limit = super::HubClient::TIMEOUT;
            match ctx.heart.bounded(limit, hub.release(lease)).await {
                Some(Ok(())) => {
                    self.give_back.pop();
                }
                Some(Err(error)) => self.hub_failed(ctx, &error),
                None => self.hub_failed(ctx, &HubError::Unreachable("no answer".to_owned())),
            }
        }
    }

    fn record(&self, ctx: &Context) {
        let all = self.held.iter().chain(&self.give_back);
        let all: Vec<Uuid> = all.chain(&self.resume).copied().collect();
        if let Err(error) = self.leases.record(&all) {
            tracing::warn!(%error, "cannot record the leases in hand; after a crash they end by time");
        }
        ctx.vitals.update(|f| f.leases.clone_from(&self.held));
    }

    /// Tells how many results wait.
    pub fn count(&self, ctx: &Context) {
        let on_disk = self.spool.depth().map_or(0, |(files, _)| files);
        ctx.vitals
            .update(|f| f.spooled = on_disk + self.unsaved.len() as u64);
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
