use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::order::Order;
use super::resume::Saved;
use crate::api::{ExitCode, PortCounts};
use crate::cli::Failure;
use crate::engines::ports::output::{
    FoundPort, HostScan, HostStatus, Results, RunCounts, RunFacts,
};
use crate::engines::ports::{Checkpoint, PortSet, ScanOptions, ScanReport, ScanRun, Targets};

/// Of more targets than this only hosts with open ports are kept, as [`ScanRun::hosts`] has them.
const KEEP_ALL: u64 = 1 << 16;

/// A service that was named with no more certainty than this was named by its port number.
const BY_NUMBER: f64 = 0.3;

/// What was found so far: by an earlier part of the scan, if it was interrupted, and by this one.
#[derive(Debug)]
pub struct Gathered {
    order: Order,
    /// Number of addresses.
    targets: u64,
    /// Number of TCP ports tried on each.
    ports: u64,
    began: Instant,
    /// What the file says, as far as it is still true.
    earlier: Saved,
    hosts_before: BTreeMap<IpAddr, HostScan>,
    hosts: BTreeMap<IpAddr, HostScan>,
    counts: RunCounts,
    udp_counts: RunCounts,
    engine: String,
    notes: Vec<String>,
    /// The engine goes on from a checkpoint: it does not come by again by what was decided before.
    goes_on: bool,
    /// The engine got to its end.
    whole: bool,
}

impl Gathered {
    /// Nothing yet, or what an earlier part found.
    pub fn new(order: Order, saved: Option<Saved>) -> Self {
        let mut earlier = saved.unwrap_or_else(|| Saved::new(order.clone(), Utc::now()));
        let hosts = std::mem::take(&mut earlier.hosts);
        Self {
            targets: order.targets().map_or(0, |targets| targets.len()),
            ports: order.tcp_ports(),
            began: Instant::now(),
            hosts_before: hosts.into_iter().map(|h| (h.ip_address, h)).collect(),
            hosts: BTreeMap::new(),
            counts: RunCounts::default(),
            udp_counts: RunCounts::default(),
            engine: String::new(),
            notes: Vec::new(),
            whole: false,
            goes_on: earlier.checkpoint.is_some(),
            earlier,
            order,
        }
    }

    /// What is left to be scanned, and how.
    ///
    /// # Errors
    /// The order, or what the file says is left of it, does not read.
    pub fn rest(&mut self) -> Result<(Targets, ScanOptions), Failure> {
        let mut options = self.order.options()?;
        let all = self.order.targets()?;
        options.resume = self.earlier.checkpoint;
        let left = match (&self.earlier.checkpoint, &self.earlier.left) {
            // The checkpoint is a place in the order of just these.
            (Some(_), Some(left)) => {
                let left = left.parse::<Targets>();
                left.map_err(|error| Failure::new(ExitCode::Usage, error))?
                    .and(&all)
            }
            (Some(_), None) => all,
            (None, _) => {
                let complete = self.hosts_before.values().filter(|host| !host.incomplete);
                all.without(&complete.map(|host| host.ip_address).collect())
            }
        };
        self.earlier.left = Some(left.to_string());
        Ok((left, options))
    }

    /// The ports that an earlier part found open on hosts that it did not complete: going on from a
    /// checkpoint, the engine does not come by them again, and nobody has asked what they are.
    pub fn unprobed(&self) -> Option<(Targets, ScanOptions)> {
        let options = self.order.options().ok()?;
        if !self.goes_on || !options.services {
            return None;
        }
        let open = |host: &HostScan| host.incomplete && host.open_ports.iter().any(unnamed);
        let hosts: Vec<&HostScan> = self
            .hosts_before
            .values()
            .filter(|host| open(host))
            .collect();
        let ports = |protocol: &str| -> PortSet {
            let ports = hosts.iter().flat_map(|host| &host.open_ports);
            let ports = ports.filter(|found| unnamed(found) && found.port.protocol == protocol);
            ports.map(|found| found.port.port).collect()
        };
        let options = ScanOptions {
            ports: ports("tcp"),
            udp_ports: ports("udp"),
            resume: None,
            ..options
        };
        let targets: Targets = hosts.iter().map(|host| host.ip_address).collect();
        (!targets.is_empty()).then_some((targets, options))
    }

    /// A port is open.
    pub fn open(&mut self, addr: IpAddr, port: FoundPort) {
        let addr = addr.to_canonical();
        let host = self
            .hosts
            .entry(addr)
            .or_insert_with(|| begun(addr, &self.order));
        if !host.incomplete || host.open_ports.iter().any(|p| key(p) == key(&port)) {
            return;
        }
        if port.port.protocol == "udp" {
            host.udp_counts.open += 1;
        } else {
            host.port_counts.open += 1;
            host.ports_scanned += 1;
        }
        host.open_ports.push(port);
    }

    /// All about a host is known. Says what to show of it now, if nothing is to come.
    pub fn host(&mut self, report: &ScanReport) -> Option<HostScan> {
        let addr = self.take(report)?;
        let waits = self.hosts_before.get(&addr);
        let waits =
            waits.is_some_and(|host| host.incomplete && host.open_ports.iter().any(unnamed));
        (!report.incomplete && !waits).then(|| self.merged(addr))?
    }

    /// What was complete before this part began.
    pub fn complete_before(&self) -> Vec<HostScan> {
        let complete = self.hosts_before.values().filter(|host| !host.incomplete);
        complete.cloned().collect()
    }

    fn take(&mut self, report: &ScanReport) -> Option<IpAddr> {
        if self.targets > KEEP_ALL && report.open.is_empty() {
            return None;
        }
        let host = HostScan::of(report, &self.order.names, self.order.quality.scan_type());
        let addr = host.ip_address;
        self.hosts.insert(addr, host);
        Some(addr)
    }

    /// The engine can go on from here.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.earlier.checkpoint = Some(*checkpoint);
    }

    /// The engine has ended, early or not; the hosts were told before.
    pub fn finish(&mut self, run: &ScanRun) {
        self.counts = RunCounts::of(run.counts);
        self.udp_counts = RunCounts::of(run.udp_counts);
        self.engine.clone_from(&run.engine);
        self.notes.clone_from(&run.notes);
        self.whole = !run.incomplete;
        self.earlier.checkpoint = run.checkpoint.or(self.earlier.checkpoint);
    }

    /// What ports carry that an earlier part found open.
    pub fn take_services(&mut self, run: &ScanRun) {
        for report in &run.hosts {
            let Some(host) = self.hosts_before.get_mut(&report.addr.to_canonical()) else {
                continue;
            };
            for port in report.open.iter().cloned().map(FoundPort::from) {
                let mine = host.open_ports.iter_mut().find(|p| key(p) == key(&port));
                if let Some(mine) = mine {
                    *mine = port;
                }
            }
        }
        self.whole &= !run.incomplete;
    }

    /// The engine got to its end.
    pub fn is_whole(&self) -> bool {
        self.whole || (self.hosts.is_empty() && self.all_before())
    }

    /// An earlier part had completed every host.
    fn all_before(&self) -> bool {
        let complete = self.hosts_before.values().filter(|host| !host.incomplete);
        complete.count() as u64 == self.targets
    }

    /// The file to go on from.
    pub fn saved(&self) -> Saved {
        Saved {
            spent: self.spent(),
            counts: self.sum(&self.all()),
            hosts: self.all(),
            ..self.earlier.clone()
        }
    }

    /// Everything.
    pub fn results(&self) -> Results {
        let incomplete = !self.is_whole();
        let mut hosts = self.all();
        for host in &mut hosts {
            host.incomplete &= incomplete;
            host.settle();
        }
        let up = hosts.iter().filter(|host| host.status == HostStatus::Up);
        let options = self.order.options().unwrap_or_default();
        Results {
            run: RunFacts {
                command: self.order.command.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                engine: self.engine(&hosts),
                ports: options.ports,
                udp_ports: options.udp_ports.to_numbers(),
                targets: self.targets,
                hosts_up: up.count() as u64,
                port_counts: self.sum(&hosts),
                udp_counts: self.udp_sum(&hosts),
                started_at: self.earlier.started_at,
                finished_at: Utc::now(),
                scan_duration: self.spent(),
                incomplete,
                notes: self.notes.clone(),
            },
            hosts,
        }
    }

    fn engine(&self, hosts: &[HostScan]) -> String {
        match (self.engine.as_str(), hosts.first()) {
            ("", Some(host)) => host.engine.clone(),
            (engine, _) => engine.to_owned(),
        }
    }

    fn spent(&self) -> f64 {
        self.earlier.spent + self.began.elapsed().as_secs_f64()
    }

    /// UDP probes by state. A scan that goes on goes through them anew.
    fn udp_sum(&self, hosts: &[HostScan]) -> RunCounts {
        match self.targets > KEEP_ALL {
            true => self.udp_counts,
            false => total(hosts.iter().map(|host| host.udp_counts)),
        }
    }

    /// TCP probes by state. Exact as long as all hosts are kept.
    fn sum(&self, hosts: &[HostScan]) -> RunCounts {
        if self.targets > KEEP_ALL {
            return self.earlier.counts.plus(self.counts);
        }
        total(hosts.iter().map(|host| host.port_counts))
    }

    fn all(&self) -> Vec<HostScan> {
        let before = self.hosts_before.keys();
        let addrs: std::collections::BTreeSet<&IpAddr> = before.chain(self.hosts.keys()).collect();
        addrs
            .into_iter()
            .filter_map(|addr| self.merged(*addr))
            .collect()
    }

    fn merged(&self, addr: IpAddr) -> Option<HostScan> {
        match (self.hosts_before.get(&addr), self.hosts.get(&addr)) {
            (None, None) => None,
            (Some(host), None) | (None, Some(host)) => Some(host.clone()),
            // Scanned anew as a whole.
            (Some(_), Some(now)) if !self.goes_on && !now.incomplete => Some(now.clone()),
            (Some(before), Some(now)) => Some(merge(before, now, self.ports)),
        }
    }
}

fn total(counts: impl Iterator<Item = PortCounts>) -> RunCounts {
    counts.fold(RunCounts::default(), |sum, counts| {
        sum.plus(RunCounts::of(
            [
                counts.open,
                counts.closed,
                counts.filtered,
                counts.unreachable,
            ]
            .map(u64::from),
        ))
    })
}

/// Nobody has asked what it is, or it would not say.
fn unnamed(found: &FoundPort) -> bool {
    found.port.confidence <= BY_NUMBER
}

fn key(found: &FoundPort) -> (&str, u16) {
    (&found.port.protocol, found.port.port)
}

/// A host of which only open ports are known so far.
fn begun(addr: IpAddr, order: &Order) -> HostScan {
    let now: DateTime<Utc> = Utc::now();
    let name = order.names.get(&addr).cloned();
    HostScan {
        target: name.unwrap_or_else(|| addr.to_string()),
        ip_address: addr,
        hostname: None,
        status: HostStatus::Up,
        status_reason: "syn-ack".to_owned(),
        scan_type: order.quality.scan_type().to_owned(),
        scan_status: "incomplete".to_owned(),
        engine: String::new(),
        started_at: now,
        finished_at: now,
        scan_duration: 0.0,
        round_trip: None,
        ports_scanned: 0,
        port_counts: PortCounts::default(),
        udp_counts: PortCounts::default(),
        incomplete: true,
        reason: None,
        open_ports: Vec::new(),
    }
}

/// One host of two parts of a scan. Ports that both have decided (the engine goes on from a place
/// before which all is decided, not from the last one that is) count once.
fn merge(before: &HostScan, now: &HostScan, ports: u64) -> HostScan {
    let udp_known = now.udp_counts.total() >= before.udp_counts.total();
    if u64::from(now.ports_scanned) >= ports && udp_known {
        return now.clone();
    }
    let mut open = before.open_ports.clone();
    for found in &now.open_ports {
        match open.iter_mut().find(|mine| key(mine) == key(found)) {
            Some(mine) if mine.port.confidence > found.port.confidence => {}
            Some(mine) => *mine = found.clone(),
            None => open.push(found.clone()),
        }
    }
    let (a, b) = (before.port_counts, now.port_counts);
    let mut counts = PortCounts {
        open: number(&open, "tcp"),
        closed: a.closed + b.closed,
        filtered: a.filtered + b.filtered,
        unreachable: a.unreachable + b.unreachable,
    };
    let most = u32::try_from(ports).unwrap_or(u32::MAX);
    let mut excess = counts.total().saturating_sub(most);
    for state in [
        &mut counts.filtered,
        &mut counts.closed,
        &mut counts.unreachable,
    ] {
        let less = excess.min(*state);
        *state -= less;
        excess -= less;
    }
    let up = [before.status, now.status].contains(&HostStatus::Up);
    let answered = if now.status == HostStatus::Up {
        now
    } else {
        before
    };
    let reason = if up { answered } else { now };
    let mut host = HostScan {
        status: if up { HostStatus::Up } else { now.status },
        status_reason: reason.status_reason.clone(),
        hostname: now.hostname.clone().or_else(|| before.hostname.clone()),
        udp_counts: merge_udp(before, now, number(&open, "udp")),
        started_at: before.started_at,
        scan_duration: before.scan_duration + now.scan_duration,
        round_trip: now.round_trip.or(before.round_trip),
        ports_scanned: counts.total(),
        port_counts: counts,
        reason: now.reason.clone().filter(|_| !up),
        open_ports: open,
        ..now.clone()
    };
    host.settle();
    host
}

/// Number of ports of a protocol.
fn number(ports: &[FoundPort], protocol: &str) -> u32 {
    let those = ports.iter().filter(|found| found.port.protocol == protocol);
    u32::try_from(those.count()).unwrap_or(u32::MAX)
}

/// Each part goes through all UDP ports: what the longer one counted, but for those that only the
/// other one saw open.
fn merge_udp(before: &HostScan, now: &HostScan, open: u32) -> PortCounts {
    let longer = match now.udp_counts.total() >= before.udp_counts.total() {
        true => now.udp_counts,
        false => before.udp_counts,
    };
    let more = open.saturating_sub(longer.open);
    PortCounts {
        open,
        filtered: longer.filtered.saturating_sub(more),
        ..longer
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
