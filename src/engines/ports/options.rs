use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::api::OpenPort;

use super::{Checkpoint, PortSet, ScanReport};

/// Which engine sends the probes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Engine {
    /// SYN where the process may open raw sockets, else connect.
    #[default]
    Auto,
    /// `connect(2)`; needs no privilege.
    Connect,
    /// Half-open over raw IP sockets; needs CAP_NET_RAW.
    Syn,
}

/// How to scan.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOptions {
    /// Which engine sends the probes of TCP.
    pub engine: Engine,
    /// The SYN engine sends to IPv4 by packet sockets, past the machine's firewall, and hears by a
    /// packet ring. Where that cannot be it uses raw IP sockets, with a note.
    pub packet_ring: bool,
    /// TCP ports to try.
    pub ports: PortSet,
    /// UDP ports to try; none by default.
    pub udp_ports: PortSet,
    /// Connections in flight at most; 0 = as many as RLIMIT_NOFILE has room for (at most 16,384).
    pub concurrency: usize,
    /// How long an attempt may wait for an answer, before the round-trip time is known and at most.
    /// The time that is really waited adapts to the measured round-trip time (RFC 6298).
    pub connect_timeout: Duration,
    /// Further attempts for a port that gives no answer. When packets are seen to be lost, more
    /// are made: as many as the measured loss asks for, at most eight; 0 means one attempt whatever
    /// happens.
    pub retries: u32,
    /// The whole scan, service probes included, ends after this; what was found is kept.
    /// Zero = no limit.
    pub max_time: Duration,
    /// Packets or connection attempts a second to each host, service probes included; a hard cap.
    /// 0 = none.
    pub max_rate: u32,
    /// The same for all hosts together. 0 = none.
    pub max_rate_total: u32,
    /// Find out which services the open ports carry.
    pub services: bool,
    /// Ask more of each service: which TLS versions and cipher suites it accepts. Many connections.
    pub deep: bool,
    /// Ask the system's resolver for the names of hosts that have open ports.
    pub dns: bool,
    /// The names under which addresses are scanned, if they were named so: TLS and HTTP ask for them.
    pub names: BTreeMap<IpAddr, String>,
    /// Time for all probes of one port.
    pub service_timeout: Duration,
    /// Interface index of a link-local IPv6 target (RFC 4007 zone); else 0.
    pub scope_id: u32,
    /// Where an earlier scan of the same targets and ports had got to.
    pub resume: Option<Checkpoint>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            packet_ring: false,
            ports: PortSet::default(),
            udp_ports: std::iter::empty().collect(),
            concurrency: 0,
            connect_timeout: Duration::from_millis(1500),
            retries: 1,
            max_time: Duration::from_secs(15 * 60),
            max_rate: 0,
            max_rate_total: 0,
            services: true,
            deep: false,
            dns: false,
            names: BTreeMap::new(),
            service_timeout: Duration::from_secs(6),
            scope_id: 0,
            resume: None,
        }
    }
}

/// How far a scan has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps done: ports decided, then services of the open ones.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
    /// Ports found open.
    pub open: u64,
    /// Packets or connection attempts sent.
    pub sent: u64,
    /// Probes that were answered, whatever the answer was.
    pub answered: u64,
}

/// What the caller hears of a scan while it runs. The methods are called from the work itself, each
/// time that it got further, so that a watchdog may be fed from them; they must be cheap.
pub trait Observer: Send + Sync {
    /// The scan got further. Also called for progress that ends no step, such as an attempt that
    /// timed out and will be made again.
    fn progress(&self, progress: &Progress);

    /// A port was found open; its service is not known yet. `port` makes what there is to say of it, for
    /// those who want to hear it: a large network has very many.
    fn open(&self, _addr: IpAddr, _port: &dyn Fn() -> OpenPort) {}

    /// Everything about a host is known that the scan will find out. Told once of each host that the
    /// run is about ([`ScanRun::hosts`](super::ScanRun::hosts)).
    fn host(&self, _report: &ScanReport) {}

    /// A scan that ends now could go on from here. Told about once a second.
    fn checkpoint(&self, _checkpoint: &Checkpoint) {}

    /// The caller wants the scan to end now. Asked at least ten times a second.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _: &Progress) {}
}
