use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;

use crate::api::{EggRecord, Personality, ScanResult, ScanSubmission, WorkKind};
use crate::engines::ports::{Nmap, ScanOptions};
use crate::fleet::{ScanSettings, Settings};
use crate::runtime::{
    Config, Context, CycleReport, Done, LeasedWork, Options, Outbox, Show, Task, WorkError,
    lease_cycle, text,
};

use super::{by_hand, long};

/// What differs between the port scanning agents.
pub trait PortScanner {
    /// Who asks for work.
    const PERSONALITY: Personality;
    /// What for; also the `scan_type` of the results.
    const KIND: WorkKind;

    /// The nmap that is asked what listens on the open ports; our own probes without one.
    fn nmap(&self) -> Option<&Nmap>;
}

/// The settings of a port scanner.
pub fn of(settings: &Settings) -> Result<Cow<'_, ScanSettings>, String> {
    match settings {
        Settings::Scan(settings) => Ok(Cow::Borrowed(settings)),
        Settings::Assess(settings) => Ok(Cow::Owned(settings.scan())),
        _ => Err("these are not the settings of a port scanner".to_owned()),
    }
}

/// Whether a port scanner can use these settings.
pub fn check(settings: &Settings) -> Result<(), String> {
    ScanOptions::of(&*of(settings)?, 0)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// One cycle of a port scanner.
pub async fn cycle<S: PortScanner>(
    scanner: &mut S,
    ctx: &Context,
    outbox: &mut Outbox,
) -> CycleReport {
    lease_cycle(&mut Leased(scanner), ctx, outbox).await;
    let config = ctx.config();
    let wait = of(&config.agent.settings).map_or(Duration::from_secs(30), |s| s.scan_interval.0);
    CycleReport { wait }
}

/// A scan by hand of all targets that the command line names.
pub async fn once<S: PortScanner>(
    scanner: &S,
    options: &Options,
    ctx: &Context,
    show: &dyn Show,
) -> Result<(), Vec<WorkError>> {
    let config = ctx.config();
    let settings = of(&config.agent.settings).map_err(|e| vec![WorkError::Failed(e)])?;
    by_hand::once(scanner, &settings, options, ctx, show).await
}

struct Leased<'a, S>(&'a mut S);

impl<S: PortScanner> LeasedWork for Leased<'_, S> {
    const PERSONALITY: Personality = S::PERSONALITY;
    const KIND: WorkKind = S::KIND;
    const SUBMIT: &'static str = "scan";
    const DOING: &'static str = "scanning";

    fn batch(config: &Config) -> (u32, Duration) {
        of(&config.agent.settings)
            .map_or((1, Duration::from_secs(600)), |s| (s.max_scans, s.lease.0))
    }

    async fn work(&mut self, task: &Task<'_>, ctx: &Context) -> Result<Done, WorkError> {
        let result = long::scan(self.0, task, ctx).await?;
        let counts = result.port_counts;
        if counts.total() > 0 && counts.total() == counts.unreachable {
            return Err(WorkError::Failed(format!("{} is unreachable", task.addr)));
        }
        let found = result.open_ports.len() as u64;
        tracing::info!(
            EVENT = "scan_completed",
            TARGET = %text::display(task.target, 120),
            EGGRECORD_ID = %task.record.id,
            SCAN_TYPE = %S::KIND,
            "{}: {found} open of {} ports in {:.2} s by {}",
            text::display(task.target, 120),
            result.ports_scanned,
            result.scan_duration,
            result.engine
        );
        let body = submission(S::KIND, task.record, task.target, result);
        Ok(Done {
            parts: Vec::new(),
            body: json!(body),
            found,
        })
    }

    fn failure(target: &str, record: &EggRecord, reason: &str) -> serde_json::Value {
        let result = ScanResult {
            success: false,
            reason: Some(reason.to_owned()),
            target: target.to_owned(),
            ..ScanResult::default()
        };
        json!(submission(S::KIND, record, target, result))
    }
}

pub(super) fn submission(
    kind: WorkKind,
    record: &EggRecord,
    target: &str,
    result: ScanResult,
) -> ScanSubmission {
    ScanSubmission {
        eggrecord_id: record.id,
        target: target.to_owned(),
        scan_type: kind.to_string(),
        result,
    }
}
