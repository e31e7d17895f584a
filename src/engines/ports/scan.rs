use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use chrono::Utc;

use crate::api::{OpenPort, PortCounts, PortState};

use super::nmap::{Nmap, NmapError};
use super::report::{HostTally, Reason, ScanReport, Sweep};
use super::targets::scan_named;
use super::{Checkpoint, Observer, Plan, ScanError, ScanOptions, Targets, services, table};

/// Scans one host: sweeps its ports and, if the options say so, finds out which services the open
/// ones carry. `target` is the target as given; if it is a name, TLS and HTTP are asked for that
/// name.
///
/// Needs a tokio runtime (any flavour) with time and I/O; the sweep itself runs on threads of its
/// own. A scan that is cancelled or that exceeds `max_time` returns what it found, `incomplete`.
///
/// # Errors
/// When there could be no scan at all. A host that does not answer is no error: the counts tell.
pub async fn scan_host(
    addr: IpAddr,
    target: &str,
    options: &ScanOptions,
    observer: &dyn Observer,
) -> Result<ScanReport, ScanError> {
    let scanned = scan_host_thorough(addr, target, options, None, observer).await;
    scanned.map(|(report, _)| report)
}

/// Scans one host thoroughly: sweeps its ports, asks the open ones by own probes what they carry,
/// and has nmap, where there is one, say what they could not.
/// nmap's failure is told in the second value; the report is whole all the same.
///
/// # Errors
/// When there could be no scan at all.
pub async fn scan_host_thorough(
    addr: IpAddr,
    target: &str,
    options: &ScanOptions,
    nmap: Option<&Nmap>,
    observer: &dyn Observer,
) -> Result<(ScanReport, Option<NmapError>), ScanError> {
    let targets = Targets::from(addr);
    let (mut run, failure) = scan_named(&targets, target, options, nmap, observer).await?;
    // Of one target there is always a report.
    let report = run.hosts.pop().ok_or(ScanError::WorkerLost)?;
    Ok((report, failure))
}

/// The plans of TCP, as it was when an earlier scan is gone on with, and of UDP.
pub(super) fn plans(targets: &Targets, options: &ScanOptions) -> Result<(Plan, Plan), ScanError> {
    let seed = options.resume.map_or_else(rand::random, |at| at.seed);
    let plan = Plan::new(targets.clone(), &options.ports, seed);
    let udp = Plan::new(targets.clone(), &options.udp_ports, seed);
    match options.resume {
        _ if plan.is_empty() && udp.is_empty() => Err(ScanError::NoPorts),
        Some(Checkpoint { total, .. }) if total != plan.len() => Err(ScanError::OtherScan {
            expected: plan.len(),
            found: total,
        }),
        _ => Ok((plan, udp)),
    }
}

/// The address as a socket address, without a port.
pub(super) fn socket_addr(addr: IpAddr, scope_id: u32) -> SocketAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, scope_id).into(),
        v4 => SocketAddr::new(v4, 0),
    }
}

/// An open port of which nothing but its number is known.
pub(super) fn open_port(port: u16) -> OpenPort {
    OpenPort {
        port,
        protocol: "tcp".to_owned(),
        service_name: table::usual_service(port).to_owned(),
        state_reason: "syn-ack".to_owned(),
        confidence: if table::usual_service(port).is_empty() {
            0.0
        } else {
            services::BY_NUMBER
        },
        ..OpenPort::default()
    }
}

fn by_state(reasons: &[Reason]) -> PortCounts {
    let of = |state| {
        let reasons = reasons.iter().filter(|reason| reason.state == state);
        reasons.map(|reason| reason.ports).sum()
    };
    PortCounts {
        open: of(PortState::Open),
        closed: of(PortState::Closed),
        filtered: of(PortState::Filtered),
        unreachable: of(PortState::Unreachable),
    }
}

impl ScanReport {
    /// Takes what a sweep found on this host, whose ports were `ports` in number. `open` is sorted;
    /// `elsewhere`: it answered the other sweep.
    pub(super) fn take_sweep(
        &mut self,
        swept: &Sweep,
        tally: &HostTally,
        elsewhere: bool,
        open: Vec<u16>,
        ports: usize,
    ) {
        self.reasons = tally.reasons(swept.refusal, elsewhere);
        self.counts = by_state(&self.reasons);
        if self.is_unreachable() {
            self.reason = Some(match swept.last_error {
                Some(errno) => format!("cannot connect: {}", std::io::Error::from(errno)),
                None => "host or network unreachable".to_owned(),
            });
        }
        self.open = open.into_iter().map(open_port).collect();
        self.incomplete = swept.incomplete && (self.counts.total() as usize) < ports;
        self.rtt = tally.rtt;
    }

    /// Takes what the sweep of UDP found, after that of TCP.
    pub(super) fn take_udp(
        &mut self,
        swept: &Sweep,
        tally: &HostTally,
        elsewhere: bool,
        mut open: Vec<OpenPort>,
        ports: usize,
    ) {
        self.udp_reasons = tally.reasons(swept.refusal, elsewhere);
        self.udp_counts = by_state(&self.udp_reasons);
        open.sort_unstable_by_key(|port| port.port);
        self.open.append(&mut open);
        match (self.is_unreachable(), &self.reason, swept.last_error) {
            (false, ..) => self.reason = None,
            (true, None, Some(errno)) => {
                let error = std::io::Error::from(errno);
                self.reason = Some(format!("cannot be reached: {error}"));
            }
            (true, ..) => {}
        }
        self.incomplete |= swept.incomplete && (self.udp_counts.total() as usize) < ports;
        self.rtt = self.rtt.or(tally.rtt);
    }

    /// A step of the scan that started then is over.
    pub(super) fn finish(&mut self, start: Instant) {
        self.duration += start.elapsed();
        self.finished_at = Utc::now();
    }
}
