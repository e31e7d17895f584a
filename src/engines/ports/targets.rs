use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::api::{OpenPort, PortState};

use super::limits::Groups;
use super::nmap::{Nmap, NmapError, detect_with_nmap};
use super::rate::Rates;
use super::report::{HostTally, ScanReport, ScanRun, Sweep, describe};
use super::scan::open_port;
use super::services::{self, Job};
use super::sweep::sweep;
use super::syn;
use super::{Checkpoint, Engine, Observer, Plan, Progress, ScanError, ScanOptions, Targets};

/// Hosts whose services are found out at the same time; how many ports of all of them are probed at
/// a time is bounded apart from that.
const HOSTS_AT_ONCE: usize = 64;

/// The same where nmap does it: each is a process.
const NMAPS_AT_ONCE: usize = 4;

/// Scans many hosts: sweeps their ports, and finds out which services the open ones carry: by nmap,
/// where there is one, else by own probes.
///
/// Needs a tokio runtime (any flavour) with time and I/O; the sweep itself runs on threads of its
/// own. A scan that is cancelled or that exceeds `max_time` returns what it found, `incomplete`.
///
/// # Errors
/// When there could be no scan at all. Hosts that do not answer are no error: the counts tell.
pub async fn scan_targets(
    targets: &Targets,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<ScanRun, ScanError> {
    let (run, _) = scan_named(targets, None, options, nmap, observer).await?;
    Ok(run)
}

/// As [`scan_targets`]. `name` is the single target as given. An nmap that failed is told of in the
/// second value.
pub(super) async fn scan_named(
    targets: &Targets,
    name: Option<&str>,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<(ScanRun, Option<NmapError>), ScanError> {
    let plan = Arc::new(plan(targets, options)?);
    let start = Instant::now();
    let scan = Scan {
        rates: Arc::new(Rates::new(options, targets.len())),
        plan,
        name,
        options,
        nmap,
        start,
        // Zero = no limit.
        deadline: (!options.max_time.is_zero()).then(|| start + options.max_time),
        observer,
    };
    scan.run().await
}

/// The plan, as it was when an earlier scan is gone on with.
fn plan(targets: &Targets, options: &ScanOptions) -> Result<Plan, ScanError> {
    let seed = options.resume.map_or_else(rand::random, |at| at.seed);
    let plan = Plan::new(targets.clone(), &options.ports, seed);
    match options.resume {
        _ if plan.is_empty() => Err(ScanError::NoPorts),
        Some(Checkpoint { total, .. }) if total != plan.len() => Err(ScanError::OtherScan {
            expected: plan.len(),
            found: total,
        }),
        _ => Ok(plan),
    }
}

/// A scan under way.
struct Scan<'a> {
    plan: Arc<Plan>,
    rates: Arc<Rates>,
    name: Option<&'a str>,
    options: &'a ScanOptions,
    nmap: Option<&'a Nmap>,
    start: Instant,
    deadline: Option<Instant>,
    observer: &'a dyn Observer,
}

/// Open ports by number of the host.
type Open = BTreeMap<u64, Vec<u16>>;

impl Scan<'_> {
    async fn run(&self) -> Result<(ScanRun, Option<NmapError>), ScanError> {
        let started_at = Utc::now();
        let (engine, mut notes) = self.engine();
        let mut open = Open::new();
        let targets = self.plan.targets();
        let found = |addr: IpAddr, port| {
            // An engine tells of nothing but what is in the plan.
            if let Some(host) = targets.place(addr) {
                open.entry(host).or_default().push(port);
                self.observer.open(addr, &open_port(port));
            }
        };
        let (plan, rates) = (Arc::clone(&self.plan), Arc::clone(&self.rates));
        let (options, deadline, observer) = (self.options, self.deadline, self.observer);
        let swept = match engine {
            Engine::Syn => syn::sweep(plan, options, rates, deadline, observer, found).await?,
            Engine::Auto | Engine::Connect => {
                sweep(plan, options, rates, deadline, observer, found).await?
            }
        };
        let mut run = ScanRun {
            engine: if engine == Engine::Syn {
                "syn"
            } else {
                "connect"
            }
            .to_owned(),
            targets: targets.len(),
            counts: counts(&swept.hosts),
            incomplete: swept.incomplete,
            checkpoint: swept.checkpoint,
            stats: swept.stats,
            started_at,
            ..ScanRun::default()
        };
        run.command = describe(&run.engine, targets, self.options);
        let (done, with_services) = self.reports(&swept, open, &run);
        run.hosts = done;
        let failure = self.services(with_services, &mut run).await;
        notes.extend(failure.as_ref().map(|error| format!("nmap: {error}")));
        run.notes = notes;
        run.hosts.sort_by_key(|report| report.addr);
        run.finished_at = Utc::now();
        run.duration = self.start.elapsed();
        Ok((run, failure))
    }

    /// Which engine sweeps, and what there is to say about that.
    fn engine(&self) -> (Engine, Vec<String>) {
        match (self.options.engine, syn::permitted()) {
            (Engine::Connect, _) => (Engine::Connect, Vec::new()),
            (_, Ok(())) => (Engine::Syn, Vec::new()),
            (_, Err(error)) => {
                let note =
                    format!("no raw sockets ({error}; CAP_NET_RAW is needed): scanned by connect");
                (Engine::Connect, vec![note])
            }
        }
    }

    /// The reports after the sweep: those that are complete, of which the observer has heard, and
    /// those of hosts whose services are still to be found out.
    fn reports(
        &self,
        swept: &Sweep,
        mut open: Open,
        run: &ScanRun,
    ) -> (Vec<ScanReport>, VecDeque<(u64, ScanReport)>) {
        let (mut done, mut rest) = (Vec::new(), VecDeque::new());
        let targets = self.plan.targets();
        let each = Groups::of(targets.len()).are_single();
        let all = if each { targets.len() } else { 0 };
        let hosts: Vec<u64> = match each {
            true => (0..all).collect(),
            false => open.keys().copied().collect(),
        };
        for host in hosts {
            let Some(addr) = targets.nth(host) else {
                continue;
            };
            let ports = open.remove(&host).unwrap_or_default();
            let tally = match each {
                true => swept.hosts.get(self.index(host)).copied(),
                false => None,
            };
            let tally = tally.unwrap_or_else(|| HostTally {
                open: u32::try_from(ports.len()).unwrap_or(u32::MAX),
                ..HostTally::default()
            });
            let report = self.report(addr, swept, &tally, ports, run);
            if report.open.is_empty() || !self.options.services || swept.incomplete {
                self.observer.host(&report);
                done.push(report);
            } else {
                rest.push_back((host, report));
            }
        }
        (done, rest)
    }

    fn index(&self, host: u64) -> usize {
        Groups::of(self.plan.targets().len()).index(host)
    }

    fn report(
        &self,
        addr: IpAddr,
        swept: &Sweep,
        tally: &HostTally,
        ports: Vec<u16>,
        run: &ScanRun,
    ) -> ScanReport {
        let single = run.targets == 1;
        let command = match single || !ports.is_empty() {
            true => describe(&run.engine, &addr, self.options),
            false => String::new(),
        };
        let mut report = ScanReport::start(addr, command);
        report.engine.clone_from(&run.engine);
        report.started_at = run.started_at;
        report.take_sweep(swept, tally, ports, self.plan.ports());
        if single {
            report.stats = swept.stats;
        }
        report.finish(self.start);
        report
    }

    /// Finds out the services of these hosts, of several at the same time, and puts their reports to
    /// the others. Returns the first failure of nmap.
    async fn services(
        &self,
        mut rest: VecDeque<(u64, ScanReport)>,
        run: &mut ScanRun,
    ) -> Option<NmapError> {
        let ports = rest
            .iter()
            .map(|(_, report)| report.open.len() as u64)
            .sum();
        let steps = Steps {
            observer: self.observer,
            done: AtomicU64::new(self.plan.len()),
            base: Progress {
                total: self.plan.len() + ports,
                open: ports,
                sent: run.stats.attempts,
                answered: run.stats.attempts.saturating_sub(run.stats.timeouts),
                ..Progress::default()
            },
        };
        let at_once = match self.nmap {
            Some(_) => NMAPS_AT_ONCE,
            None => HOSTS_AT_ONCE,
        };
        let mut failure = None;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < at_once
                && let Some((host, report)) = rest.pop_front()
            {
                running.push(self.services_of(host, report, &steps));
            }
            let Some((report, failed)) = running.next().await else {
                break;
            };
            failure = failure.or(failed);
            run.incomplete |= report.incomplete;
            if report.engine.len() > run.engine.len() {
                run.engine.clone_from(&report.engine);
            }
            self.observer.host(&report);
            run.hosts.push(report);
        }
        failure
    }

    async fn services_of(
        &self,
        host: u64,
        mut report: ScanReport,
        steps: &Steps<'_>,
    ) -> (ScanReport, Option<NmapError>) {
        let watch = Watch {
            steps,
            scanned: u64::from(report.counts.total()),
            done: AtomicU64::new(0),
        };
        // Ours come first: they are quick, and they stand whatever becomes of nmap.
        self.probe(host, &mut report, &watch, Job::Services).await;
        let Some(nmap) = self.nmap.filter(|_| !report.incomplete) else {
            return (report, None);
        };
        let asked = detect_with_nmap(nmap, &mut report, &self.rest(), &watch).await;
        if asked.is_ok() && !report.incomplete {
            self.probe(host, &mut report, &watch, Job::TlsFacts).await;
        }
        (report, asked.err())
    }

    async fn probe(&self, host: u64, report: &mut ScanReport, watch: &Watch<'_>, job: Job) {
        let start = Instant::now();
        let limiter = self.rates.of(host);
        let addr = report.addr.to_string();
        let named = self.options.names.get(&report.addr.to_canonical());
        let target = self.name.or(named.map(String::as_str)).unwrap_or(&addr);
        let (options, deadline) = (self.options, self.deadline);
        services::detect(report, target, options, &limiter, deadline, watch, job).await;
        report.finish(start);
    }

    /// The options of an nmap for one host: the time that is left, and its share of the rate.
    fn rest(&self) -> ScanOptions {
        let mut rest = self.options.clone();
        if let Some(deadline) = self.deadline {
            // Zero would be no limit at all.
            let left = deadline.saturating_duration_since(Instant::now());
            rest.max_time = left.max(Duration::from_millis(1));
        }
        let hosts = self.plan.targets().len().min(NMAPS_AT_ONCE as u64);
        let share = u64::from(rest.max_rate_total) / hosts.max(1);
        if rest.max_rate_total > 0 {
            let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
            rest.max_rate = match rest.max_rate {
                0 => share,
                rate => rate.min(share),
            };
        }
        rest
    }
}

/// How many ports ended in which state: open, closed, filtered, unreachable.
fn counts(hosts: &[HostTally]) -> [u64; 4] {
    let mut counts = [0; 4];
    for reason in hosts.iter().flat_map(|tally| tally.reasons("")) {
        let state = match reason.state {
            PortState::Open => 0,
            PortState::Closed => 1,
            PortState::Filtered => 2,
            PortState::Unreachable => 3,
        };
        counts[state] += u64::from(reason.ports);
    }
    counts
}

/// Progress of the service probes of all hosts.
struct Steps<'a> {
    observer: &'a dyn Observer,
    done: AtomicU64,
    base: Progress,
}

/// Adds the progress of one host to that of all.
struct Watch<'a> {
    steps: &'a Steps<'a>,
    /// What its progress begins with: the ports that were swept.
    scanned: u64,
    /// Ports that were added.
    done: AtomicU64,
}

impl Observer for Watch<'_> {
    fn progress(&self, progress: &Progress) {
        let done = progress.done.saturating_sub(self.scanned);
        // nmap and the facts of TLS each go through all the ports: what is done stays done.
        let before = self.done.fetch_max(done, Ordering::Relaxed);
        let more = done.saturating_sub(before);
        let all = self.steps.done.fetch_add(more, Ordering::Relaxed) + more;
        self.steps.observer.progress(&Progress {
            done: all.min(self.steps.base.total),
            ..self.steps.base
        });
    }

    fn open(&self, addr: IpAddr, port: &OpenPort) {
        self.steps.observer.open(addr, port);
    }

    fn cancelled(&self) -> bool {
        self.steps.observer.cancelled()
    }
}
