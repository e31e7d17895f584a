use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::RwLock;

use super::limits::Groups;
use super::nmap::{Nmap, NmapError, detect_with_nmap};
use super::open::Open;
use super::progress::{Steps, Sweeps, Watch};
use super::rate::Rates;
use super::report::{HostTally, ScanReport, ScanRun, Sweep, counts, describe};
use super::reverse::Reverse;
use super::scan::{open_port, plans};
use super::services::{self, Job};
use super::sweep::sweep;
use super::{Checkpoint, Engine, Observer, Plan, Progress, ScanError, ScanOptions, Targets};
use super::{syn, udp};

/// Hosts whose services are found out at the same time; how many ports of all of them are probed at
/// a time is bounded apart from that.
const HOSTS_AT_ONCE: usize = 64;

/// The same where nmap does it: each is a process.
const NMAPS_AT_ONCE: usize = 4;

/// Scans many hosts: sweeps their TCP and UDP ports at the same time, and finds out which services the open ones carry: by nmap,
/// where there is one, else by own probes. No host is left out because it gives no answer.
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
    let scan = Scan::new(targets, options, nmap, observer)?;
    let (run, _) = scan.run().await?;
    Ok(run)
}

/// As [`scan_targets`], but the run has no hosts: what is found out about each is told to the observer
/// and forgotten, so that a large network takes little more memory than a small one.
///
/// # Errors
/// As [`scan_targets`].
pub async fn scan_streamed(
    targets: &Targets,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<ScanRun, ScanError> {
    let scan = Scan {
        keep: false,
        ..Scan::new(targets, options, nmap, observer)?
    };
    let (run, _) = scan.run().await?;
    Ok(run)
}

/// As [`scan_targets`], of the single target of that name. An nmap that failed is told of in the
/// second value.
pub(super) async fn scan_named(
    targets: &Targets,
    name: &str,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<(ScanRun, Option<NmapError>), ScanError> {
    let scan = Scan {
        name: Some(name),
        ..Scan::new(targets, options, nmap, observer)?
    };
    scan.run().await
}

/// A scan under way.
struct Scan<'a> {
    plan: Arc<Plan>,
    /// The same of UDP. It is small, and gone through anew when a scan goes on.
    udp: Plan,
    /// Who knows names, if they are wanted.
    reverse: Option<Reverse>,
    rates: Arc<Rates>,
    name: Option<&'a str>,
    options: &'a ScanOptions,
    nmap: Option<&'a Nmap>,
    /// What there is to say before the scan begins.
    notes: Vec<String>,
    /// Held by who talks to services, alone by an nmap that must keep to a cap on all hosts: its
    /// connections are nobody's to spread.
    talking: RwLock<()>,
    start: Instant,
    deadline: Option<Instant>,
    observer: &'a dyn Observer,
    /// The run has all reports in the end.
    keep: bool,
}

/// What both sweeps found.
struct Found {
    tcp: Sweep,
    /// Open TCP ports.
    open: Open,
    udp: udp::Swept,
}

impl<'a> Scan<'a> {
    fn new(
        targets: &Targets,
        options: &'a ScanOptions,
        nmap: Option<&'a Nmap>,
        observer: &'a dyn Observer,
    ) -> Result<Self, ScanError> {
        let (plan, udp) = plans(targets, options)?;
        let start = Instant::now();
        let (nmap, notes) = Nmap::within(options, nmap);
        Ok(Self {
            notes,
            talking: RwLock::new(()),
            rates: Arc::new(Rates::new(options, targets.len())),
            plan: Arc::new(plan),
            udp,
            reverse: options.dns.then(Reverse::of_system),
            name: None,
            options,
            nmap,
            start,
            // Zero = no limit.
            deadline: (!options.max_time.is_zero()).then(|| start + options.max_time),
            observer,
            keep: true,
        })
    }

    async fn run(&self) -> Result<(ScanRun, Option<NmapError>), ScanError> {
        let started_at = Utc::now();
        let (engine, mut notes) = self.engine();
        notes.extend(self.notes.iter().cloned());
        let sweeps = Sweeps::new(self.observer, [self.plan.len(), self.udp.len()]);
        let mut found = self.sweep(engine, &sweeps).await?;
        notes.append(&mut found.tcp.notes);
        let targets = self.plan.targets();
        let mut stats = found.tcp.stats;
        stats.add(&found.udp.sweep.stats);
        let mut run = ScanRun {
            engine: self.engine_name(engine),
            targets: targets.len(),
            counts: counts(&found.tcp.hosts, &found.udp.sweep.hosts),
            udp_counts: counts(&found.udp.sweep.hosts, &found.tcp.hosts),
            incomplete: found.tcp.incomplete || found.udp.sweep.incomplete,
            checkpoint: self.checkpoint(&found),
            stats,
            started_at,
            ..ScanRun::default()
        };
        run.command = describe(&run.engine, targets, self.options);
        let rest = self.reports(&mut found, &mut run);
        let failure = self.services(rest, found, &mut run, sweeps.sum()).await;
        notes.extend(failure.as_ref().map(|error| format!("nmap: {error}")));
        notes.extend(self.reverse.as_ref().and_then(Reverse::note));
        run.notes = notes;
        run.hosts.sort_by_key(|report| report.addr);
        run.finished_at = Utc::now();
        run.duration = self.start.elapsed();
        Ok((run, failure))
    }

    /// Sweeps TCP and UDP at the same time.
    async fn sweep(&self, engine: Engine, sweeps: &Sweeps<'_>) -> Result<Found, ScanError> {
        let mut open = Open::default();
        let (observe_tcp, observe_udp) = (sweeps.tcp(), sweeps.udp());
        let udp = udp::sweep(
            &self.udp,
            self.options,
            &self.rates,
            self.deadline,
            &observe_udp,
        );
        let tcp = self.sweep_tcp(engine, &observe_tcp, &mut open);
        let (tcp, udp) = tokio::try_join!(tcp, async { Ok(udp.await) })?;
        let udp = match (self.plan.is_empty(), udp.nothing_left()) {
            // Were there TCP ports, their sweep would have told.
            (true, Some(source)) => {
                let addr = self.udp.targets().nth(0);
                let addr = addr.unwrap_or(IpAddr::from([0, 0, 0, 0]));
                return Err(ScanError::NotPermitted { addr, source });
            }
            _ => udp,
        };
        Ok(Found { tcp, open, udp })
    }

    async fn sweep_tcp(
        &self,
        engine: Engine,
        observer: &dyn Observer,
        open: &mut Open,
    ) -> Result<Sweep, ScanError> {
        let done = self.options.resume.is_some_and(|at| at.place >= at.total);
        if self.plan.is_empty() || done {
            return Ok(self.no_sweep(observer));
        }
        let targets = self.plan.targets();
        let found = |addr: IpAddr, port| {
            // An engine tells of nothing but what is in the plan.
            let new = targets
                .place(addr)
                .is_some_and(|host| open.insert(host, port));
            if new {
                self.observer.open(addr, &|| open_port(port));
            }
            new
        };
        let (plan, rates) = (Arc::clone(&self.plan), Arc::clone(&self.rates));
        let (options, deadline) = (self.options, self.deadline);
        match engine {
            Engine::Syn => syn::sweep(plan, options, rates, deadline, observer, found).await,
            Engine::Auto | Engine::Connect => {
                sweep(plan, options, rates, deadline, observer, found).await
            }
        }
    }

    /// There is no TCP port to be tried, or an earlier scan has tried them all.
    fn no_sweep(&self, observer: &dyn Observer) -> Sweep {
        observer.progress(&Progress {
            done: self.plan.len(),
            total: self.plan.len(),
            ..Progress::default()
        });
        Sweep {
            hosts: vec![HostTally::default(); Groups::of(self.plan.targets().len()).len()],
            ..Sweep::default()
        }
    }

    /// Where it can go on. The UDP ports, which are few, are then gone through anew.
    fn checkpoint(&self, found: &Found) -> Option<Checkpoint> {
        let at_the_end = Checkpoint {
            seed: self.plan.seed(),
            place: self.plan.len(),
            total: self.plan.len(),
        };
        let udp = found.udp.sweep.incomplete.then_some(at_the_end);
        found.tcp.checkpoint.or(udp)
    }

    fn engine_name(&self, engine: Engine) -> String {
        let tcp = match engine {
            Engine::Syn => "syn",
            Engine::Auto | Engine::Connect => "connect",
        };
        match (self.plan.is_empty(), self.udp.is_empty()) {
            (_, true) => tcp.to_owned(),
            (true, false) => "udp".to_owned(),
            (false, false) => format!("{tcp} + udp"),
        }
    }

    /// Which engine sweeps, and what there is to say about that.
    fn engine(&self) -> (Engine, Vec<String>) {
        if self.plan.is_empty() {
            return (Engine::Connect, Vec::new());
        }
        match (self.options.engine, syn::permitted()) {
            (Engine::Connect, _) => {
                let note = "the packet ring is for the SYN engine: not used".to_owned();
                let notes = self.options.packet_ring.then_some(note);
                (Engine::Connect, notes.into_iter().collect())
            }
            (_, Ok(())) => (Engine::Syn, Vec::new()),
            (_, Err(error)) => {
                let note =
                    format!("no raw sockets ({error}; CAP_NET_RAW is needed): scanned by connect");
                (Engine::Connect, vec![note])
            }
        }
    }

    /// Tells of the hosts of which everything is known after the sweeps; returns the others.
    fn reports(&self, found: &mut Found, run: &mut ScanRun) -> Vec<u64> {
        let mut rest = Vec::new();
        let targets = self.plan.targets();
        let hosts: Vec<u64> = match Groups::of(targets.len()).are_single() {
            true => (0..targets.len()).collect(),
            false => {
                let udp = found.udp.open.keys().copied();
                let hosts = found.open.hosts().chain(udp).collect::<BTreeSet<u64>>();
                hosts.into_iter().collect()
            }
        };
        for host in hosts {
            let tcp = found.open.of(host).next().is_some();
            let udp = found.udp.open.contains_key(&host);
            let more = (self.options.services && tcp) || (self.reverse.is_some() && (tcp || udp));
            if more && !run.incomplete {
                rest.push(host);
            } else if let Some(report) = self.report(host, found, run) {
                self.done(report, run);
            }
        }
        rest
    }

    /// Everything about a host is known.
    fn done(&self, report: ScanReport, run: &mut ScanRun) {
        self.observer.host(&report);
        if self.keep {
            run.hosts.push(report);
        }
    }

    /// What a sweep counted of a host; of many hosts, the open ports only.
    fn tally(&self, host: u64, sweep: &Sweep, open: usize) -> HostTally {
        let groups = Groups::of(self.plan.targets().len());
        let tally = match groups.are_single() {
            true => sweep.hosts.get(groups.index(host)).copied(),
            false => None,
        };
        tally.unwrap_or_else(|| HostTally {
            open: u32::try_from(open).unwrap_or(u32::MAX),
            ..HostTally::default()
        })
    }

    /// What the sweeps found on a host.
    fn report(&self, host: u64, found: &mut Found, run: &ScanRun) -> Option<ScanReport> {
        let addr = self.plan.targets().nth(host)?;
        let single = run.targets == 1;
        let ports: Vec<u16> = found.open.of(host).collect();
        let udp = found.udp.open.remove(&host).unwrap_or_default();
        let command = match single {
            true => describe(&run.engine, &addr, self.options),
            // The run has it.
            false => String::new(),
        };
        let mut report = ScanReport::start(addr, command);
        report.engine.clone_from(&run.engine);
        report.started_at = run.started_at;
        let tcp_tally = self.tally(host, &found.tcp, ports.len());
        let udp_tally = self.tally(host, &found.udp.sweep, udp.len());
        let (tcp, all) = (&found.tcp, self.plan.ports());
        report.take_sweep(tcp, &tcp_tally, udp_tally.answers(), ports, all);
        if !self.udp.is_empty() {
            let (swept, all) = (&found.udp.sweep, self.udp.ports());
            report.take_udp(swept, &udp_tally, tcp_tally.answers(), udp, all);
        }
        if single {
            report.stats = run.stats;
        }
        report.finish(self.start);
        Some(report)
    }

    /// Finds out the services and names of these hosts, of several at the same time, and tells of them.
    /// Returns the first failure of nmap.
    async fn services(
        &self,
        rest: Vec<u64>,
        mut found: Found,
        run: &mut ScanRun,
        swept: Progress,
    ) -> Option<NmapError> {
        let ports = match self.options.services {
            true => rest
                .iter()
                .map(|host| found.open.of(*host).count() as u64)
                .sum(),
            false => 0,
        };
        let base = Progress {
            done: swept.total,
            total: swept.total + ports,
            ..swept
        };
        let steps = Steps::new(self.observer, base);
        let at_once = match self.nmap {
            Some(_) => NMAPS_AT_ONCE,
            None => HOSTS_AT_ONCE,
        };
        let mut failure = None;
        let mut running = FuturesUnordered::new();
        let mut rest = rest.into_iter();
        loop {
            while running.len() < at_once
                && let Some(host) = rest.next()
            {
                let report = self.report(host, &mut found, run);
                running.extend(report.map(|report| self.rest_of(host, report, &steps)));
            }
            let Some((report, failed)) = running.next().await else {
                break;
            };
            failure = failure.or(failed);
            run.incomplete |= report.incomplete;
            if report.engine.len() > run.engine.len() {
                run.engine.clone_from(&report.engine);
            }
            self.done(report, run);
        }
        failure
    }

    /// Services and name of a host.
    async fn rest_of(
        &self,
        host: u64,
        report: ScanReport,
        steps: &Steps<'_>,
    ) -> (ScanReport, Option<NmapError>) {
        let addr = report.addr;
        let name = async {
            match &self.reverse {
                Some(reverse) => reverse.name(addr).await,
                None => None,
            }
        };
        let services = async {
            match self.options.services && report.open_tcp().next().is_some() {
                true => self.services_of(host, report, steps).await,
                false => (report, None),
            }
        };
        let (name, (mut report, failure)) = tokio::join!(name, services);
        report.hostname = name;
        (report, failure)
    }

    async fn services_of(
        &self,
        host: u64,
        mut report: ScanReport,
        steps: &Steps<'_>,
    ) -> (ScanReport, Option<NmapError>) {
        let watch = steps.of(u64::from(report.counts.total()));
        // Ours come first: they are quick, and they stand whatever becomes of nmap.
        self.probe(host, &mut report, &watch, Job::Services).await;
        let Some(nmap) = self.nmap.filter(|_| !report.incomplete) else {
            return (report, None);
        };
        let alone = match self.options.max_rate_total {
            0 => None,
            _ => Some(self.talking.write().await),
        };
        let (options, limiter) = (self.rest(), self.rates.of(host));
        let asked = detect_with_nmap(nmap, &mut report, &options, &limiter, &watch).await;
        drop(alone);
        if asked.is_ok() && !report.incomplete {
            self.probe(host, &mut report, &watch, Job::TlsFacts).await;
        }
        (report, asked.err())
    }

    async fn probe(&self, host: u64, report: &mut ScanReport, watch: &Watch<'_>, job: Job) {
        let _talking = self.talking.read().await;
        let start = Instant::now();
        let limiter = self.rates.of(host);
        let addr = report.addr.to_string();
        let named = self.options.names.get(&report.addr.to_canonical());
        let target = self.name.or(named.map(String::as_str)).unwrap_or(&addr);
        let (options, deadline) = (self.options, self.deadline);
        services::detect(report, target, options, &limiter, deadline, watch, job).await;
        report.finish(start);
    }

    /// The options of an nmap for one host: the time that is left, and the lower of both caps.
    fn rest(&self) -> ScanOptions {
        let mut rest = self.options.clone();
        if let Some(deadline) = self.deadline {
            // Zero would be no limit at all.
            let left = deadline.saturating_duration_since(Instant::now());
            rest.max_time = left.max(Duration::from_millis(1));
        }
        let caps = [rest.max_rate, rest.max_rate_total];
        let caps = caps.into_iter().filter(|cap| *cap > 0);
        rest.max_rate = caps.min().unwrap_or(0);
        rest
    }
}
