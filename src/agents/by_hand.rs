//! A port scanner by hand: all targets of the command line in one scan.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engines::ports::output::{HostScan, HostStatus};
use crate::engines::ports::{
    Inputs, Observer, Progress, ScanOptions, ScanReport, scan_streamed, settle,
};
use crate::fleet::ScanSettings;
use crate::runtime::{Context, Options, Phase, Show, WorkError, lookup, text};

use super::scan::PortScanner;

/// Scans all that the command line names, at once.
pub async fn once<S: PortScanner>(
    scanner: &S,
    settings: &ScanSettings,
    options: &Options,
    ctx: &Context,
    show: &dyn Show,
) -> Result<(), Vec<WorkError>> {
    let one = |why: String| vec![WorkError::Failed(why)];
    let config = ctx.config();
    let read = |texts: &[String]| Inputs::parse(texts).map_err(|e| one(e.to_string()));
    let (wanted, excluded) = (read(&options.target)?, read(&options.exclude)?);
    let now = chrono::Utc::now();
    let settled = settle(&wanted, &excluded, &config.scope, now, async |name| {
        lookup(name).await
    });
    let settled = settled
        .await
        .map_err(|e| one(format!("{e}; --scope says what may be touched")))?;
    for refused in &settled.refused {
        eprintln!("left out: {refused}");
    }
    let mut scan = ScanOptions::of(settings, config.max_rate).map_err(|e| one(e.to_string()))?;
    scan.names = settled.names.clone();
    // The settings' own limit is for one target of a daemon.
    if options.max_time.is_none() && settled.targets.len() > 1 {
        scan.max_time = std::time::Duration::ZERO;
    }
    // Nobody reads thousands of lines that say that nothing is open.
    let machine = options.json || options.jsonl;
    let watch = Watch {
        ctx,
        all: settled.targets.len() == 1 || (machine && settled.targets.len() <= SHOW_ALL),
        names: &settled.names,
        kind: S::KIND.as_str(),
        show,
    };
    let done = scan_streamed(&settled.targets, &scan, scanner.nmap(), &watch).await;
    let run = done.map_err(|e| one(e.to_string()))?;
    for note in &run.notes {
        show.note(&text::display(note, 300));
    }
    if run.targets > 1 {
        let [open, closed, filtered, unreachable] = run.counts.map(text::grouped);
        eprintln!(
            "{} addresses: {open} open, {closed} closed, {filtered} filtered, {unreachable} unreachable in {:.2} s",
            text::grouped(run.targets),
            run.duration.as_secs_f64(),
        );
    }
    if run.incomplete && ctx.control.phase() != Phase::Stop {
        return Err(one(
            "incomplete: --max-time was over before the scan".to_owned()
        ));
    }
    Ok(())
}

/// Of more hosts than this only those with open ports are shown.
const SHOW_ALL: u64 = 1 << 16;

struct Watch<'a> {
    ctx: &'a Context,
    /// Show hosts without open ports as well.
    all: bool,
    names: &'a BTreeMap<IpAddr, String>,
    kind: &'static str,
    show: &'a dyn Show,
}

impl Observer for Watch<'_> {
    fn progress(&self, _: &Progress) {
        self.ctx.heart.beat();
    }

    fn host(&self, report: &ScanReport) {
        if report.open.is_empty() && !self.all {
            return;
        }
        let host = HostScan::of(report, self.names, self.kind);
        self.show.item("scans", &host, || table(&host));
    }

    fn cancelled(&self) -> bool {
        self.ctx.control.phase() == Phase::Stop
    }
}

/// One host for people.
pub fn table(host: &HostScan) -> String {
    use std::fmt::Write as _;
    let counts = host.port_counts;
    let note = match (host.incomplete, host.status) {
        (true, _) => ", incomplete",
        (false, HostStatus::AssumedUp) => ", assumed up",
        (false, HostStatus::Up | HostStatus::Unreachable) => "",
    };
    let mut out = format!(
        "{} ({}): {} open, {} closed, {} filtered, {} unreachable in {:.2} s ({}{note})\n",
        text::display(&host.target, 120),
        host.ip_address,
        counts.open,
        counts.closed,
        counts.filtered,
        counts.unreachable,
        host.scan_duration,
        host.engine
    );
    for found in &host.open_ports {
        let port = &found.port;
        let what = [&port.product, &port.version]
            .map(|s| text::display(s, 60))
            .join(" ");
        let number = format!("{}/{}", port.port, port.protocol);
        let service = text::display(&port.service, 40);
        let _ = writeln!(out, "  {number:<10} {service:<14} {}", what.trim());
    }
    out.truncate(out.trim_end().len());
    out
}
