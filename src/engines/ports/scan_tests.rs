//! Scans of ports that the test itself holds: some listening, some bound only (so that they refuse
//! and no other program can take them).

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::api::OpenPort;

use super::*;

/// Ports of this test on one address.
struct Ports {
    addr: IpAddr,
    listening: Vec<TcpListener>,
    bound: Vec<socket2::Socket>,
}

impl Ports {
    fn new(addr: &str, listening: usize, bound: usize) -> Self {
        let addr: IpAddr = addr.parse().unwrap();
        let any = SocketAddr::new(addr, 0);
        let hold = || {
            let domain = socket2::Domain::for_address(any);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
            socket.bind(&any.into()).unwrap();
            socket
        };
        Self {
            addr,
            listening: (0..listening)
                .map(|_| TcpListener::bind(any).unwrap())
                .collect(),
            bound: (0..bound).map(|_| hold()).collect(),
        }
    }

    fn open(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .listening
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        ports.sort_unstable();
        ports
    }

    fn options(&self) -> ScanOptions {
        let bound = self.bound.iter().map(|socket| {
            let addr = socket.local_addr().unwrap().as_socket().unwrap();
            addr.port()
        });
        ScanOptions {
            ports: self.open().into_iter().chain(bound).collect(),
            services: false,
            // Root would scan by SYN.
            engine: Engine::Connect,
            ..ScanOptions::default()
        }
    }

    async fn scan(&self, options: &ScanOptions, observer: &dyn Observer) -> ScanReport {
        scan_host(self.addr, "localhost", options, observer)
            .await
            .unwrap()
    }
}

#[derive(Default)]
struct Watch {
    last: Mutex<(u64, u64, u64)>,
    calls: AtomicU64,
    whole: Mutex<Progress>,
    hosts: Mutex<Vec<IpAddr>>,
    checkpoints: AtomicU64,
    opened: Mutex<Vec<u16>>,
    cancel: AtomicBool,
}

impl Observer for Watch {
    fn progress(&self, p: &Progress) {
        *self.last.lock().unwrap() = (p.done, p.total, p.open);
        *self.whole.lock().unwrap() = *p;
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn open(&self, _: IpAddr, port: &dyn Fn() -> OpenPort) {
        self.opened.lock().unwrap().push(port().port);
    }

    fn host(&self, report: &ScanReport) {
        self.hosts.lock().unwrap().push(report.addr);
    }

    fn checkpoint(&self, _: &Checkpoint) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

fn numbers(report: &ScanReport) -> Vec<u16> {
    report.open.iter().map(|open| open.port).collect()
}

#[tokio::test]
async fn finds_what_listens_and_tells_of_it() {
    let ports = Ports::new("127.0.0.1", 5, 20);
    let watch = Watch::default();
    let report = ports.scan(&ports.options(), &watch).await;
    assert_eq!(numbers(&report), ports.open());
    assert_eq!((report.counts.open, report.counts.closed), (5, 20));
    assert_eq!(report.counts.total(), 25);
    assert!(!report.incomplete);
    assert!(report.rtt.is_some());
    assert_eq!(*watch.last.lock().unwrap(), (25, 25, 5));
    let mut opened = watch.opened.lock().unwrap().clone();
    opened.sort_unstable();
    assert_eq!(opened, ports.open());
    let result = report.into_result("localhost");
    assert!(result.success);
    assert_eq!((result.ports_scanned, result.open_ports_count), (25, 5));
    assert_eq!(result.engine, "connect");
}

#[tokio::test]
async fn ipv6() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    let ports = Ports::new("::1", 3, 10);
    let report = ports.scan(&ports.options(), &Unobserved).await;
    assert_eq!(numbers(&report), ports.open());
    assert_eq!(report.counts.closed, 10);
}

#[tokio::test]
async fn one_connection_at_a_time_is_enough() {
    let ports = Ports::new("127.0.0.1", 4, 30);
    let options = ScanOptions {
        concurrency: 1,
        ..ports.options()
    };
    let report = ports.scan(&options, &Unobserved).await;
    assert_eq!(numbers(&report), ports.open());
    assert_eq!(report.counts.closed, 30);
}

#[tokio::test]
async fn a_cancelled_scan_keeps_what_it_has() {
    let ports = Ports::new("127.0.0.1", 1, 30);
    let watch = Watch::default();
    watch.cancel.store(true, Ordering::Relaxed);
    let options = ScanOptions {
        // So slow that it cannot end before it is asked.
        max_rate: 1,
        ..ports.options()
    };
    let report = ports.scan(&options, &watch).await;
    assert!(report.incomplete);
    assert!(report.counts.total() < 31);
}

#[tokio::test]
async fn a_scan_ends_at_its_time() {
    let ports = Ports::new("127.0.0.1", 1, 30);
    let options = ScanOptions {
        max_rate: 1,
        max_time: std::time::Duration::from_millis(1),
        ..ports.options()
    };
    let report = ports.scan(&options, &Unobserved).await;
    assert!(report.incomplete);
}

#[tokio::test]
async fn no_ports_is_an_error() {
    let options = ScanOptions {
        ports: std::iter::empty().collect(),
        ..ScanOptions::default()
    };
    let result = scan_host([127, 0, 0, 1].into(), "", &options, &Unobserved).await;
    assert!(matches!(result, Err(ScanError::NoPorts)));
}

/// Three hosts with ports of their own.
fn three() -> (Vec<Ports>, ScanOptions, Targets) {
    let hosts: Vec<Ports> = (1..=3)
        .map(|n| Ports::new(&format!("127.0.0.{n}"), 2, 5))
        .collect();
    let ports = hosts
        .iter()
        .flat_map(|host| host.options().ports.iter().collect::<Vec<_>>())
        .collect();
    let options = ScanOptions {
        ports,
        services: false,
        engine: Engine::Connect,
        ..ScanOptions::default()
    };
    (hosts, options, "127.0.0.1-3".parse().unwrap())
}

/// That each host has what it listens on, or more: other programs may listen there, too.
fn has_all(run: &ScanRun, hosts: &[Ports]) {
    assert_eq!(run.hosts.len(), hosts.len());
    for (report, ports) in run.hosts.iter().zip(hosts) {
        assert_eq!(report.addr, ports.addr);
        let found = numbers(report);
        assert!(ports.open().iter().all(|port| found.contains(port)));
    }
}

#[tokio::test]
async fn many_hosts_at_once() {
    let (hosts, options, targets) = three();
    let watch = Watch::default();
    let run = scan_targets(&targets, &options, None, &watch)
        .await
        .unwrap();
    has_all(&run, &hosts);
    let total = 3 * options.ports.len() as u64;
    assert_eq!(run.counts.iter().sum::<u64>(), total);
    assert_eq!((run.incomplete, run.checkpoint), (false, None));
    let progress = *watch.whole.lock().unwrap();
    assert_eq!((progress.done, progress.total), (total, total));
    assert_eq!(progress.open, run.counts[0]);
    assert!(progress.sent >= total && progress.answered >= total);
    assert_eq!(watch.hosts.lock().unwrap().len(), 3);
    for report in &run.hosts {
        let reasons: u32 = report.reasons.iter().map(|reason| reason.ports).sum();
        assert_eq!(reasons, report.counts.total());
    }
}

#[tokio::test]
async fn services_of_many_hosts() {
    let (hosts, options, targets) = three();
    // They accept and say nothing: only the time of a probe ends it.
    let options = ScanOptions {
        services: true,
        service_timeout: std::time::Duration::from_millis(50),
        ..options
    };
    let watch = Watch::default();
    let run = scan_targets(&targets, &options, None, &watch)
        .await
        .unwrap();
    has_all(&run, &hosts);
    let progress = *watch.whole.lock().unwrap();
    assert_eq!(progress.done, progress.total);
    assert_eq!(
        progress.total,
        3 * options.ports.len() as u64 + run.counts[0]
    );
    assert_eq!(watch.hosts.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_scan_goes_on_where_it_was() {
    let (hosts, options, targets) = three();
    let total = 3 * options.ports.len() as u64;
    let watch = Watch::default();
    watch.cancel.store(true, Ordering::Relaxed);
    let slow = ScanOptions {
        max_rate_total: 1,
        ..options.clone()
    };
    let first = scan_targets(&targets, &slow, None, &watch).await.unwrap();
    assert!(first.incomplete);
    let checkpoint = first.checkpoint.unwrap();
    assert_eq!(checkpoint.total, total);
    assert!(checkpoint.place <= first.counts.iter().sum::<u64>());
    let rest = ScanOptions {
        resume: Some(checkpoint),
        ..options.clone()
    };
    let second = scan_targets(&targets, &rest, None, &Unobserved)
        .await
        .unwrap();
    assert!(!second.incomplete);
    let decided = second.counts.iter().sum::<u64>();
    assert_eq!(decided, total - checkpoint.place);
    // Both together have it all.
    for ports in &hosts {
        let runs = first.hosts.iter().chain(&second.hosts);
        let found: Vec<u16> = runs
            .filter(|report| report.addr == ports.addr)
            .flat_map(numbers)
            .collect();
        assert!(ports.open().iter().all(|port| found.contains(port)));
    }
    let other = ScanOptions {
        ports: "1-7".parse().unwrap(),
        ..rest
    };
    let error = scan_targets(&targets, &other, None, &Unobserved).await;
    assert!(matches!(error, Err(ScanError::OtherScan { found, .. }) if found == total));
}
