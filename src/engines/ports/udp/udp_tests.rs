//! Sweeps of ports that the test itself holds: a service that answers, one that is silent, and a closed
//! one: a port whose socket is connected elsewhere. The kernel has nobody for a datagram from any
//! other peer and says "port unreachable", and no other program can take the port.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::api::PortCounts;
use crate::engines::ports::{HostState, ScanError, ScanReport, Targets, scan_host, scan_targets};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn held(addr: IpAddr) -> UdpSocket {
    UdpSocket::bind((addr, 0)).unwrap()
}

/// A closed port, as long as the sockets live.
fn closed(addr: IpAddr) -> [UdpSocket; 2] {
    let (port, peer) = (held(addr), held(addr));
    port.connect(peer.local_addr().unwrap()).unwrap();
    [port, peer]
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

/// What a service does with the datagrams that it gets.
type Service = fn(&UdpSocket, &[u8], SocketAddr, usize);

/// A service on a port; ends when it is told to.
struct Serving {
    addr: SocketAddr,
    thread: Option<std::thread::JoinHandle<usize>>,
}

impl Serving {
    fn start(addr: IpAddr, service: Service) -> Self {
        let socket = held(addr);
        let addr = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            for count in 0.. {
                let (len, from) = socket.recv_from(&mut buffer).unwrap();
                if &buffer[..len] == b"end" {
                    return count;
                }
                service(&socket, &buffer[..len], from, count);
            }
            0
        });
        Self {
            addr,
            thread: Some(thread),
        }
    }

    /// How many datagrams it got.
    fn end(mut self) -> usize {
        let socket = held(self.addr.ip());
        socket.send_to(b"end", self.addr).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

fn options(ports: impl IntoIterator<Item = u16>) -> ScanOptions {
    ScanOptions {
        ports: crate::engines::ports::PortSet::none(),
        udp_ports: ports.into_iter().collect(),
        services: false,
        ..ScanOptions::default()
    }
}

#[derive(Default)]
struct Watch {
    whole: Mutex<Progress>,
    opened: Mutex<Vec<(IpAddr, u16, String)>>,
    cancel: AtomicBool,
}

impl Observer for Watch {
    fn progress(&self, progress: &Progress) {
        *self.whole.lock().unwrap() = *progress;
    }

    fn open(&self, addr: IpAddr, port: &dyn Fn() -> OpenPort) {
        let port = port();
        let open = (addr, port.port, port.protocol.clone());
        self.opened.lock().unwrap().push(open);
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

fn sip(socket: &UdpSocket, _: &[u8], from: SocketAddr, _: usize) {
    // Known on every port.
    let answer = b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n";
    socket.send_to(answer, from).unwrap();
}

async fn one(addr: IpAddr, options: &ScanOptions, watch: &Watch) -> ScanReport {
    scan_host(addr, "localhost", options, watch).await.unwrap()
}

async fn open_closed_and_silent(addr: IpAddr) {
    let (service, silent, shut) = (Serving::start(addr, sip), held(addr), closed(addr));
    let options = options([service.addr.port(), port(&silent), port(&shut[0])]);
    let watch = Watch::default();
    let report = one(addr, &options, &watch).await;
    let expected = PortCounts {
        open: 1,
        closed: 1,
        filtered: 1,
        unreachable: 0,
    };
    assert_eq!(report.udp_counts, expected);
    assert_eq!(report.counts, PortCounts::default());
    assert_eq!(report.engine, "udp");
    let reasons: Vec<&str> = report.udp_reasons.iter().map(|r| r.reason).collect();
    assert_eq!(reasons, ["udp-response", "port-unreach", "no-response"]);
    assert_eq!(report.host_state(), HostState::Up("udp-response"));
    let [open] = &report.open[..] else {
        panic!("{:?}", report.open);
    };
    assert_eq!(
        (open.port, open.protocol.as_str()),
        (service.addr.port(), "udp")
    );
    assert_eq!(
        (open.service_name.as_str(), open.state_reason.as_str()),
        ("sip", "udp-response")
    );
    assert_eq!(open.service_version, "5.6.3");
    let told = watch.opened.lock().unwrap().clone();
    assert_eq!(told, [(addr, service.addr.port(), "udp".to_owned())]);
    let progress = *watch.whole.lock().unwrap();
    assert_eq!((progress.done, progress.total, progress.open), (3, 3, 1));
    // The silent one was asked twice, the others once.
    assert_eq!((progress.sent, progress.answered), (4, 2));
    assert_eq!((report.stats.attempts, report.stats.retries), (4, 1));
    assert_eq!(service.end(), 1);
    let mut buffer = [0; 64];
    silent.set_nonblocking(true).unwrap();
    for _ in 0..2 {
        assert_eq!(silent.recv(&mut buffer).unwrap(), 4);
    }
    assert!(silent.recv(&mut buffer).is_err());
    assert!(report.rtt.is_some() && !report.incomplete);
    let result = report.into_result("localhost");
    assert!(result.success);
    assert_eq!((result.ports_scanned, result.udp_counts), (0, expected));
    assert_eq!(result.host_state.as_deref(), Some("up"));
}

#[tokio::test]
async fn open_closed_and_silent_ports_of_ipv4() {
    open_closed_and_silent(LOOPBACK).await;
}

#[tokio::test]
async fn open_closed_and_silent_ports_of_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    open_closed_and_silent("::1".parse().unwrap()).await;
}

#[tokio::test]
async fn an_answer_to_the_second_datagram_counts() {
    let second = Serving::start(LOOPBACK, |socket, _, from, count| {
        if count > 0 {
            socket.send_to(b"", from).unwrap();
        }
    });
    let report = one(LOOPBACK, &options([second.addr.port()]), &Watch::default()).await;
    assert_eq!(report.udp_counts.open, 1);
    assert_eq!((report.stats.retries, report.stats.late_answers), (1, 1));
    assert_eq!(second.end(), 2);
}

#[tokio::test]
async fn who_is_not_the_target_is_not_heard() {
    // The answer comes from another port.
    let other = Serving::start(LOOPBACK, |_, _, from, _| {
        held(LOOPBACK).send_to(b"here", from).unwrap();
    });
    let report = one(LOOPBACK, &options([other.addr.port()]), &Watch::default()).await;
    assert_eq!((report.udp_counts.open, report.udp_counts.filtered), (0, 1));
    assert_eq!(report.host_state(), HostState::AssumedUp);
    other.end();
}

#[tokio::test]
async fn tcp_and_udp_of_many_hosts_are_kept_apart() {
    let hosts: Vec<IpAddr> = (1..=3).map(|n| IpAddr::from([127, 0, 0, n])).collect();
    let tcp: Vec<_> = hosts
        .iter()
        .map(|addr| std::net::TcpListener::bind((*addr, 0)).unwrap())
        .collect();
    let udp: Vec<Serving> = hosts
        .iter()
        .map(|addr| Serving::start(*addr, sip))
        .collect();
    let options = ScanOptions {
        ports: tcp.iter().map(|l| l.local_addr().unwrap().port()).collect(),
        services: true,
        service_timeout: Duration::from_millis(50),
        engine: crate::engines::ports::Engine::Connect,
        ..options(udp.iter().map(|service| service.addr.port()))
    };
    let watch = Watch::default();
    let targets: Targets = "127.0.0.1-3".parse().unwrap();
    let run = scan_targets(&targets, &options, None, &watch)
        .await
        .unwrap();
    assert_eq!(run.engine, "connect + udp");
    assert_eq!(run.hosts.len(), 3);
    assert_eq!(
        run.counts.iter().sum::<u64>(),
        3 * options.ports.len() as u64
    );
    assert_eq!(
        run.udp_counts.iter().sum::<u64>(),
        3 * options.udp_ports.len() as u64
    );
    for (host, (tcp, udp)) in run.hosts.iter().zip(tcp.iter().zip(&udp)) {
        let (tcp, udp) = (tcp.local_addr().unwrap().port(), udp.addr.port());
        let open: Vec<(&str, u16)> = host
            .open
            .iter()
            .map(|open| (open.protocol.as_str(), open.port))
            .collect();
        assert!(open.contains(&("tcp", tcp)) && open.contains(&("udp", udp)));
        assert!(open.is_sorted(), "{open:?}");
        let count = |protocol| open.iter().filter(|(p, _)| *p == protocol).count();
        assert_eq!(host.counts.open as usize, count("tcp"));
        assert_eq!(host.udp_counts.open as usize, count("udp"));
    }
    let progress = *watch.whole.lock().unwrap();
    assert_eq!(progress.done, progress.total);
    let probes = 3 * (options.ports.len() + options.udp_ports.len()) as u64;
    assert_eq!(progress.total, probes + run.counts[0]);
    for service in udp {
        service.end();
    }
}

#[tokio::test]
async fn a_cancelled_scan_can_go_on() {
    let silent: Vec<UdpSocket> = (0..5).map(|_| held(LOOPBACK)).collect();
    let watch = Watch::default();
    watch.cancel.store(true, Ordering::Relaxed);
    let slow = ScanOptions {
        max_rate: 1,
        ..options(silent.iter().map(port))
    };
    let run = scan_targets(&LOOPBACK.into(), &slow, None, &watch)
        .await
        .unwrap();
    assert!(run.incomplete && run.hosts[0].incomplete);
    assert!(run.udp_counts.iter().sum::<u64>() < 5);
    let service = Serving::start(LOOPBACK, sip);
    let rest = ScanOptions {
        resume: run.checkpoint,
        ..options([service.addr.port()])
    };
    let run = scan_targets(&LOOPBACK.into(), &rest, None, &Watch::default())
        .await
        .unwrap();
    assert_eq!((run.incomplete, run.udp_counts), (false, [1, 0, 0, 0]));
    service.end();
}

#[tokio::test]
async fn nothing_to_do_is_an_error() {
    let none = options([]);
    let run = scan_targets(&LOOPBACK.into(), &none, None, &Watch::default()).await;
    assert!(matches!(run, Err(ScanError::NoPorts)));
}

#[test]
fn few_descriptors_make_it_slower_only() {
    let plan = |targets: &str| {
        let ports = "1-1000".parse().unwrap();
        Plan::new(targets.parse().unwrap(), &ports, 1)
    };
    let options = options([]);
    let limit = FdBudget::of_process().limit() / SHARE_OF_DESCRIPTORS;
    assert_eq!(at_once(&plan("10.0.0.1"), &options), limit.clamp(1, 256));
    assert_eq!(
        at_once(&plan("10.0.0.0/8"), &options),
        limit.clamp(1, MOST_AT_ONCE)
    );
    let few = ScanOptions {
        concurrency: 3,
        ..options
    };
    assert_eq!(at_once(&plan("10.0.0.0/8"), &few), 3);
}
