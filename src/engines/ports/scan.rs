use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::api::{OpenPort, PortCounts};

use super::nmap::{Nmap, NmapError, detect_with_nmap};
use super::rate::RateLimiter;
use super::report::ScanReport;
use super::sweep::{Sweep, sweep};
use super::{Observer, ScanError, ScanOptions, services, table};

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
    if options.ports.is_empty() {
        return Err(ScanError::NoPorts);
    }
    let start = Instant::now();
    let deadline = deadline(start, options);
    let limiter = Arc::new(RateLimiter::new(options.max_rate));
    let mut report = ScanReport::start(addr, options);
    let found = |port| observer.open(addr, &open_port(port));
    let peer = socket_addr(addr, options.scope_id);
    let swept = sweep(peer, options, &limiter, deadline, observer, found).await?;
    report.take_sweep(swept);
    if options.services && !report.incomplete {
        let job = services::Job::Services;
        services::detect(
            &mut report,
            target,
            options,
            &limiter,
            deadline,
            observer,
            job,
        )
        .await;
    }
    report.finish(start);
    Ok(report)
}

/// Finds out which services the open ports of a report carry, by own probes.
async fn detect_services(
    report: &mut ScanReport,
    target: &str,
    options: &ScanOptions,
    observer: &dyn Observer,
) {
    probe(report, target, options, observer, services::Job::Services).await;
}

/// Adds the facts of TLS to a report whose services are known already, as from nmap.
async fn detect_tls(
    report: &mut ScanReport,
    target: &str,
    options: &ScanOptions,
    observer: &dyn Observer,
) {
    probe(report, target, options, observer, services::Job::TlsFacts).await;
}

async fn probe(
    report: &mut ScanReport,
    target: &str,
    options: &ScanOptions,
    observer: &dyn Observer,
    job: services::Job,
) {
    let start = Instant::now();
    let limiter = Arc::new(RateLimiter::new(options.max_rate));
    let deadline = deadline(start, options);
    services::detect(report, target, options, &limiter, deadline, observer, job).await;
    report.finish(start);
}

/// Scans one host thoroughly: sweeps its ports, then has nmap find out which services the open ones
/// carry, where there is an nmap, and adds the facts of TLS; else, and if nmap fails, by own probes. nmap's failure is told in
/// the second value; the report is whole all the same.
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
    let start = Instant::now();
    let sweep_only = ScanOptions {
        services: false,
        ..options.clone()
    };
    let mut report = scan_host(addr, target, &sweep_only, observer).await?;
    if !options.services || report.incomplete {
        return Ok((report, None));
    }
    let left = |options: &ScanOptions| {
        let mut rest = options.clone();
        if !options.max_time.is_zero() {
            // Zero would be no limit at all.
            let left = options.max_time.saturating_sub(start.elapsed());
            rest.max_time = left.max(Duration::from_millis(1));
        }
        rest
    };
    let mut failure = None;
    if let Some(nmap) = nmap {
        match detect_with_nmap(nmap, &mut report, &left(options), observer).await {
            Ok(()) if report.incomplete => return Ok((report, None)),
            Ok(()) => {
                detect_tls(&mut report, target, &left(options), observer).await;
                return Ok((report, None));
            }
            Err(error) => failure = Some(error),
        }
    }
    detect_services(&mut report, target, &left(options), observer).await;
    Ok((report, failure))
}

/// When a scan that starts now must end.
fn deadline(start: Instant, options: &ScanOptions) -> Option<Instant> {
    (!options.max_time.is_zero()).then(|| start + options.max_time)
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

impl ScanReport {
    fn take_sweep(&mut self, swept: Sweep) {
        let answered = !swept.open.is_empty() || swept.closed > 0;
        self.counts = PortCounts {
            open: u32::try_from(swept.open.len()).unwrap_or(u32::MAX),
            closed: swept.closed,
            filtered: swept.silent,
            unreachable: 0,
        };
        // "No way" from a host that answers elsewhere is a filter that says so (RFC 1812 §5.2.7.1).
        if answered {
            self.counts.filtered += swept.no_route;
        } else {
            self.counts.unreachable = swept.no_route;
        }
        if self.is_unreachable() {
            self.reason = Some(match swept.last_error {
                Some(errno) => format!("cannot connect: {}", std::io::Error::from(errno)),
                None => "host or network unreachable".to_owned(),
            });
        }
        self.open = swept.open.into_iter().map(open_port).collect();
        self.open.sort_unstable_by_key(|open| open.port);
        self.incomplete = swept.incomplete;
        self.stats = swept.stats;
        self.rtt = swept.rtt;
    }

    /// A step of the scan that started then is over.
    pub(super) fn finish(&mut self, start: Instant) {
        self.duration += start.elapsed();
        self.finished_at = Utc::now();
    }
}
