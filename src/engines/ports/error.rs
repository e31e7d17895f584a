use std::io;
use std::net::IpAddr;

/// A scan that could not be made. A scan that ended early is no error: it is `incomplete`.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Every attempt is refused by this machine itself (firewall, sandbox, route `prohibit`).
    #[error("connections to {addr} are not permitted on this machine: {source}")]
    NotPermitted {
        /// The target.
        addr: IpAddr,
        /// EPERM, EACCES or EAFNOSUPPORT.
        source: io::Error,
    },
    /// This machine has no address from which the target can be reached.
    #[error("no local address leads to {addr}: {source}")]
    NoLocalAddress {
        /// The target.
        addr: IpAddr,
        /// EADDRNOTAVAIL or EINVAL (link-local target without an interface).
        source: io::Error,
    },
    /// There is nothing to scan.
    #[error("the set of ports is empty")]
    NoPorts,
    /// An earlier scan cannot be gone on with: it had other targets or ports.
    #[error("the checkpoint is of another scan: it has {found} probes, this one has {expected}")]
    OtherScan {
        /// Probes of this scan.
        expected: u64,
        /// Probes of the scan that the checkpoint is of.
        found: u64,
    },
    /// A worker thread or its epoll instance could not be made.
    #[error("cannot start the scan: {0}")]
    Start(#[source] io::Error),
    /// A worker ended without saying why; the results would have holes.
    #[error("a scan worker ended before its work was done")]
    WorkerLost,
}
