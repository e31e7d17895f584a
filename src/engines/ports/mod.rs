//! The port engines: which ports of a host are open, and which services they carry.
//!
//! [`scan_targets`] sweeps the TCP and UDP ports of any number of hosts, then has the services of the
//! open ports found out: by own probes, and by nmap, where there is one, what those could not tell.
//! [`scan_streamed`] is the same and keeps no report once it was told; [`scan_host`] and
//! [`scan_host_thorough`] are the same for one host that has a name. All tell an [`Observer`] about
//! progress and keep what was found when they are ended early. May depend on `crate::api` and
//! `crate::fleet` only. Whoever calls has made sure that the targets are in scope.

mod error;
#[cfg(test)]
mod fake_nmap;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(test)]
mod fuzz_tests;
mod inputs;
mod limits;
mod listen;
mod nmap;
mod nmap_xml;
mod open;
mod options;
pub mod output;
mod plan;
mod portset;
mod profile;
mod progress;
pub(in crate::engines) mod rate;
mod report;
mod reverse;
mod rtt;
mod scan;
#[cfg(test)]
mod scan_tests;
mod services;
mod sweep;
mod syn;
pub(in crate::engines) mod table;
mod targets;
mod udp;

pub use error::ScanError;
pub use inputs::{InScope, Inputs, Refused, SettleError, Settled, in_scope, settle};
pub use nmap::{Nmap, NmapError, find_nmap};
pub use nmap_xml::{NmapHost, NmapRun, NmapXmlError, parse_nmap_xml};
pub use options::{Engine, Observer, Progress, ScanOptions, Unobserved};
pub use plan::{Plan, Probe, Targets, TargetsError};
pub use portset::{PortSet, PortSetError};
pub use profile::SettingsError;
pub use report::{Checkpoint, HostState, Reason, ScanReport, ScanRun, SweepStats};
pub use scan::{scan_host, scan_host_thorough};
pub use targets::{scan_streamed, scan_targets};
