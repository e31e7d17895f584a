use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::fleet::Span;

use super::leases::Leases;
use super::{Backoff, Context, HubError, Spool, Spooled, Submitted};

/// All that goes to the hub and must not be lost: results on their way, leases to be given back, and
/// when the hub may be asked again.
#[derive(Debug)]
pub struct Outbox {
    spool: Spool,
    leases: Leases,
    held: Vec<Uuid>,
    give_back: Vec<Uuid>,
    unsaved: Vec<Spooled>,
    backoff: Backoff,
}

/// Spooled results of one agent, bytes, above which it takes no new work.
const SPOOL_CAP: u64 = 256 << 20;

impl Outbox {
    /// Opens it in this state directory. Leases that an earlier process held and that no spooled
    /// result will end are to be given back.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let spool = Spool::open(state_dir.join("spool"), SPOOL_CAP)?;
        let leases = Leases::new(state_dir);
        let ended: Vec<Uuid> = spool.list()?.iter().filter_map(|r| r.lease_id).collect();
        let left_over = leases.left_over();
        let give_back = left_over
            .into_iter()
            .filter(|id| !ended.contains(id))
            .collect();
        Ok(Self {
            spool,
            leases,
            held: Vec::new(),
            give_back,
            unsaved: Vec::new(),
            backoff: Backoff::new(),
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

    /// Time until the hub may be asked again.
    pub fn retry_in(&self) -> Duration {
        self.backoff.remaining()
    }

    /// The hub answered.
    pub fn hub_is_back(&mut self, ctx: &Context) {
        if self.backoff.failures() > 0 {
            tracing::info!(EVENT = "hub_reachable", "the hub is back");
        }
        self.backoff.succeeded();
        ctx.vitals.update(|f| f.degraded = None);
    }

    /// The hub did not answer.
    pub fn hub_failed(&mut self, ctx: &Context, error: &HubError) {
        self.backoff.failed(error.retry_after());
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
            f.degraded = Some(if failures >= Backoff::ATTEMPTS {
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
            self.unsaved.push(result);
        }
        self.count(ctx);
    }

    /// Sends what waits, oldest first, until the hub fails; then gives leases back.
    pub async fn drain(&mut self, ctx: &Context) {
        self.count(ctx);
        if !self.backoff.ready() {
            return;
        }
        self.save_unsaved();
        let waiting = match self.spool.list() {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "cannot read the spool"),
        };
        for result in waiting.into_iter().chain(std::mem::take(&mut self.unsaved)) {
            if self.backoff.ready() {
                self.send(ctx, result).await;
            } else if !self.on_disk(&result) {
                self.unsaved.push(result);
            }
        }
        self.give_back(ctx).await;
        self.record(ctx);
        self.count(ctx);
    }

    fn save_unsaved(&mut self) {
        let spool = &self.spool;
        self.unsaved.retain(|result| spool.put(result).is_err());
    }

    fn on_disk(&self, result: &Spooled) -> bool {
        self.spool.contains(result.id)
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
            Err(error) if error.is_transient() => {
                self.hub_failed(ctx, &error);
                if !self.on_disk(&result) {
                    self.unsaved.push(result);
                }
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
        let all: Vec<Uuid> = self.held.iter().chain(&self.give_back).copied().collect();
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
