use std::time::Duration;

use crate::api::OpenPort;

use super::PortSet;

/// How to scan one host.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOptions {
    /// Ports to try.
    pub ports: PortSet,
    /// Connections in flight at most; 0 = as many as RLIMIT_NOFILE has room for (at most 8,192).
    pub concurrency: usize,
    /// How long an attempt may wait for an answer, before the round-trip time is known and at most.
    /// The time that is really waited adapts to the measured round-trip time (RFC 6298).
    pub connect_timeout: Duration,
    /// Further attempts for a port that gives no answer. When packets are seen to be lost, up to
    /// three more are made as long as they help; 0 means one attempt whatever happens.
    pub retries: u32,
    /// The whole scan, service probes included, ends after this; what was found is kept.
    /// Zero = no limit.
    pub max_time: Duration,
    /// Connection attempts a second to the host, service probes included; a hard cap. 0 = none.
    pub max_rate: u32,
    /// Find out which services the open ports carry.
    pub services: bool,
    /// Time for all probes of one port.
    pub service_timeout: Duration,
    /// Interface index of a link-local IPv6 target (RFC 4007 zone); else 0.
    pub scope_id: u32,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            ports: PortSet::default(),
            concurrency: 0,
            connect_timeout: Duration::from_millis(1500),
            retries: 1,
            max_time: Duration::from_secs(15 * 60),
            max_rate: 0,
            services: true,
            service_timeout: Duration::from_secs(6),
            scope_id: 0,
        }
    }
}

/// What the caller hears of a scan while it runs. The methods are called from the work itself, each
/// time that it got further, so that a watchdog may be fed from them; they must be cheap.
pub trait Observer: Send + Sync {
    /// The scan got further: so many of the steps (ports, then services of the open ones) are done
    /// and so many ports found open. Also called for progress that ends no step, such as an attempt
    /// that timed out and will be made again.
    fn progress(&self, done: u64, total: u64, open: u64);

    /// A port was found open; its service is not known yet.
    fn open(&self, _port: &OpenPort) {}

    /// The caller wants the scan to end now. Asked at least ten times a second.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _done: u64, _total: u64, _open: u64) {}
}
