use std::time::Instant;

use chrono::Utc;

use super::nmap::Nmap;
use super::report::ScanRun;
use super::scan::scan_host_thorough;
use super::{Observer, ScanError, ScanOptions, Targets};

/// Scans many hosts: sweeps their ports, and finds out which services the open ones carry.
///
/// # Errors
/// When there could be no scan at all.
pub async fn scan_targets(
    targets: &Targets,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<ScanRun, ScanError> {
    let start = Instant::now();
    let mut run = ScanRun {
        targets: targets.len(),
        started_at: Utc::now(),
        ..ScanRun::default()
    };
    for addr in targets.iter() {
        let (report, _) =
            scan_host_thorough(addr, &addr.to_string(), options, nmap, observer).await?;
        let counts = report.counts;
        for (sum, count) in run.counts.iter_mut().zip([
            counts.open,
            counts.closed,
            counts.filtered,
            counts.unreachable,
        ]) {
            *sum += u64::from(count);
        }
        run.engine.clone_from(&report.engine);
        run.command.clone_from(&report.command);
        run.incomplete |= report.incomplete;
        observer.host(&report);
        run.hosts.push(report);
        if observer.cancelled() {
            run.incomplete |= run.hosts.len() as u64 != run.targets;
            break;
        }
    }
    run.finished_at = Utc::now();
    run.duration = start.elapsed();
    Ok(run)
}
