//! A leased scan, however long it takes: what it has found goes to the hub while it goes on, and how
//! far it is to disk, so that the next process goes on there.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use uuid::Uuid;

use crate::api::{OpenPort, PortCounts, ScanResult};
use crate::engines::ports::{
    Checkpoint, Observer, PortSet, Progress, ScanOptions, ScanReport, scan_host_thorough,
};
use crate::runtime::{Context, HubError, Submitted, Task, WorkError, text};

use super::resume::{Kept, Which, merged, number};
use super::scan::{self, PortScanner};

#[cfg(test)]
#[path = "long_tests.rs"]
mod tests;

/// Between two parts of a result, if there is something new to tell.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Between two writings of how far the scan is; engines tell about once a second.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// Writing it takes no more than this share of the time: a target that has all ports open makes it
/// long.
const KEEP_SHARE: u32 = 20;

/// Sweep and services. Should nmap fail, our own probes have done its part.
pub(super) async fn scan<S: PortScanner>(
    scanner: &S,
    task: &Task<'_>,
    ctx: &Context,
) -> Result<ScanResult, WorkError> {
    let settings = scan::of(&task.config.agent.settings).map_err(WorkError::Failed)?;
    let options = ScanOptions::of(&settings, task.config.max_rate)
        .map_err(|e| WorkError::Failed(e.to_string()))?;
    let long = Long::begin::<S>(task, ctx, &options, TELL_EVERY);
    match one(scanner, &long, &options).await {
        Err(WorkError::Failed(why)) if long.begun.engine().is_some() => {
            // It may be what it was to go on with.
            task.checkpoints.discard(task.record.id, &why);
            let long = Long::begin::<S>(task, ctx, &options, TELL_EVERY);
            one(scanner, &long, &options).await
        }
        done => done,
    }
}

async fn one<S: PortScanner>(
    scanner: &S,
    long: &Long<'_>,
    options: &ScanOptions,
) -> Result<ScanResult, WorkError> {
    let options = ScanOptions {
        resume: long.begun.engine(),
        ..options.clone()
    };
    let report = tokio::select! {
        report = long.run(scanner, &options) => report?,
        never = long.tell() => match never {},
    };
    Ok(long.result(report))
}

/// A scan under way.
struct Long<'a> {
    task: &'a Task<'a>,
    ctx: &'a Context,
    /// Where this process began.
    begun: Kept,
    start: Instant,
    tell_every: Duration,
    /// Path of the submission.
    path: String,
    now: Mutex<Now>,
}

/// How far it is.
struct Now {
    progress: Progress,
    /// All that was found, by earlier processes too.
    open: BTreeMap<(u16, String), OpenPort>,
    /// What the engine says of its place is of the scan itself.
    sweeping: bool,
    kept_at: Instant,
    keep_after: Duration,
    /// Open ports that the hub was told of.
    told: usize,
    /// The hub has, or may have, a part of the result.
    streamed: bool,
}

impl<'a> Long<'a> {
    fn begin<S: PortScanner>(
        task: &'a Task<'a>,
        ctx: &'a Context,
        options: &ScanOptions,
        tell_every: Duration,
    ) -> Self {
        let which = Which {
            kind: S::KIND,
            target: task.target,
            address: task.addr,
            options,
        };
        let begun = found(task, &which).unwrap_or_else(|| Kept::begin(&which));
        let start = Instant::now();
        let now = Now {
            progress: Progress::default(),
            open: begun.open.iter().cloned().map(keyed).collect(),
            sweeping: true,
            kept_at: start,
            keep_after: KEEP_EVERY,
            told: 0,
            // An earlier process may have told.
            streamed: begun.engine().is_some(),
        };
        Self {
            task,
            ctx,
            begun,
            start,
            tell_every,
            path: format!("daemon/{}/scan/", S::PERSONALITY),
            now: Mutex::new(now),
        }
    }

    async fn run<S: PortScanner>(
        &self,
        scanner: &S,
        options: &ScanOptions,
    ) -> Result<ScanReport, WorkError> {
        let mut report = self.sweep(scanner, options).await?;
        if options.services && !report.incomplete && !self.begun.open.is_empty() {
            self.services_of_before(scanner, options, &mut report)
                .await?;
        }
        if self.begun.engine().is_some() {
            self.begun.complete(&mut report);
        }
        Ok(report)
    }

    async fn sweep<S: PortScanner>(
        &self,
        scanner: &S,
        options: &ScanOptions,
    ) -> Result<ScanReport, WorkError> {
        let Task { addr, target, .. } = *self.task;
        let (report, failure) = scan_host_thorough(addr, target, options, scanner.nmap(), self)
            .await
            .map_err(|e| WorkError::Failed(format!("{addr}: {e}")))?;
        if let Some(error) = failure {
            self.ctx.vitals.update(|f| f.errors += 1);
            let target = text::display(target, 120);
            tracing::warn!(%error, TARGET = %target, "nmap failed; own probes stand");
        }
        Ok(report)
    }

    /// What listens on the ports that an earlier process found, it may not have come to ask.
    async fn services_of_before<S: PortScanner>(
        &self,
        scanner: &S,
        options: &ScanOptions,
        report: &mut ScanReport,
    ) -> Result<(), WorkError> {
        let tcp = |port: &&OpenPort| port.protocol == "tcp";
        let known: BTreeSet<u16> = report.open.iter().filter(tcp).map(|p| p.port).collect();
        let before = self.begun.open.iter().filter(tcp).map(|port| port.port);
        let ports: PortSet = before.filter(|port| !known.contains(port)).collect();
        if ports.is_empty() {
            return Ok(());
        }
        let again = ScanOptions {
            ports,
            udp_ports: std::iter::empty().collect(),
            resume: None,
            ..options.clone()
        };
        self.now().sweeping = false;
        let known = self.sweep(scanner, &again).await?;
        report.incomplete |= known.incomplete;
        report.counts.open += known.counts.open;
        report.open = merged(&report.open, &known.open);
        report.duration += known.duration;
        report.finished_at = known.finished_at;
        Ok(())
    }

    fn result(&self, report: ScanReport) -> ScanResult {
        let run = self.now().streamed.then_some(self.begun.run);
        ScanResult {
            run,
            ..report.into_result(self.task.target)
        }
    }

    /// Tells the hub of what there is, now and then. What it does not take is not kept for it: the
    /// whole result comes, and the checkpoint has what was found until then.
    async fn tell(&self) -> Infallible {
        // Only a hub of ours leases, and knows that a part is no scan.
        while self.task.record.lease_id.is_some() {
            tokio::time::sleep(self.tell_every).await;
            let Some((part, count)) = self.part() else {
                continue;
            };
            match self.submit(part).await {
                Ok(Submitted::Stored) => self.now().told = count,
                // The lease is somebody else's by now.
                Ok(Submitted::Superseded) => break,
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "the hub does not take what there is so far");
                }
                Err(error) => {
                    tracing::warn!(%error, "the hub wants no part of a result");
                    break;
                }
            }
        }
        std::future::pending().await
    }

    async fn submit(&self, part: ScanResult) -> Result<Submitted, HubError> {
        let Task { record, target, .. } = *self.task;
        let body = scan::submission(self.begun.kind, record, target, part);
        let body = serde_json::to_vec(&body).map_err(|e| HubError::Nonsense(e.to_string()))?;
        self.now().streamed = true;
        let hub = &self.task.config.hub;
        hub.submit(&self.path, Uuid::now_v7(), body).await
    }

    /// What there is so far, and how many ports; none when the hub knows it.
    fn part(&self) -> Option<(ScanResult, usize)> {
        let now = self.now();
        let count = now.open.len();
        if count == now.told {
            return None;
        }
        let open_ports: Vec<OpenPort> = now.open.values().cloned().collect();
        let counts = |protocol| PortCounts {
            open: u32::try_from(number(&open_ports, protocol)).unwrap_or(u32::MAX),
            ..PortCounts::default()
        };
        let (tcp, udp) = (counts("tcp"), counts("udp"));
        let open = tcp.open;
        let place = self.begun.engine().map_or(0, |engine| engine.place);
        let decided = now.progress.done.max(place);
        let at = Utc::now();
        let since = at - self.begun.started_at;
        let part = ScanResult {
            success: true,
            target: self.task.target.to_owned(),
            ip_address: Some(self.task.addr),
            // There are no more ports; the services of the open ones are steps, too.
            ports_scanned: u32::try_from(decided.min(65_535)).unwrap_or(open).max(open),
            port_counts: tcp,
            udp_counts: udp,
            open_ports,
            open_ports_count: tcp.open + udp.open,
            scan_duration: (self.begun.spent + self.start.elapsed()).as_secs_f64(),
            incomplete: true,
            started_at: Some(self.begun.started_at),
            finished_at: Some(at),
            partial: true,
            run: Some(self.begun.run),
            // It grows over restarts, too, without being kept.
            seq: u32::try_from(since.num_seconds()).ok(),
            ..ScanResult::default()
        };
        Some((part, count))
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, kept: Kept) {
        let record = self.task.record;
        let saved = self.task.checkpoints.save(record.id, record.lease_id, kept);
        if let Err(error) = saved {
            tracing::debug!(%error, "cannot write a checkpoint: after a crash the scan begins anew");
        }
    }
}

fn keyed(port: OpenPort) -> ((u16, String), OpenPort) {
    ((port.port, port.protocol.clone()), port)
}

/// How far an earlier process was with the same scan.
fn found(task: &Task<'_>, which: &Which<'_>) -> Option<Kept> {
    let record = task.record.id;
    let kept: Kept = task.checkpoints.load(record)?;
    if let Some(why) = kept.is_other(which) {
        task.checkpoints.discard(record, &why);
        return None;
    }
    let kept = kept.resumed();
    tracing::info!(
        EVENT = "scan_resumed",
        TARGET = %text::display(task.target, 120),
        EGGRECORD_ID = %record,
        PLACE = kept.engine.place,
        "{}: goes on at {} of {}, {} open so far",
        text::display(task.target, 120),
        kept.engine.place,
        kept.engine.total,
        kept.open.len()
    );
    // At once, so that one who does not get further is known.
    let saved = task
        .checkpoints
        .save(record, task.record.lease_id, kept.clone());
    if let Err(error) = saved {
        tracing::debug!(%error, "cannot write a checkpoint");
    }
    Some(kept)
}

impl Observer for Long<'_> {
    fn progress(&self, progress: &Progress) {
        self.ctx.heart.beat();
        if progress.total > 0 {
            // A percentage needs no more than the 52 bits that a float has.
            #[allow(clippy::cast_precision_loss)]
            let percent = progress.done as f64 * 100.0 / progress.total as f64;
            let vitals = &self.ctx.vitals;
            vitals.update(|f| f.progress_percent = Some(percent));
        }
        self.now().progress = *progress;
    }

    fn open(&self, _: std::net::IpAddr, port: &dyn Fn() -> OpenPort) {
        let (key, port) = keyed(port());
        self.now().open.insert(key, port);
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) {
        let mut now = self.now();
        if !now.sweeping || now.kept_at.elapsed() < now.keep_after {
            return;
        }
        let began = Instant::now();
        let open = now.open.values().cloned().collect();
        let spent = self.start.elapsed();
        self.keep(self.begun.at(*checkpoint, &now.progress, open, spent));
        now.kept_at = Instant::now();
        now.keep_after = KEEP_EVERY.max(began.elapsed() * KEEP_SHARE);
    }
}
