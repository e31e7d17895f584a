//! What a scan found, as others read it: JSON, JSON lines, nmap's XML and greppable forms, CSV. One
//! file a form. Everything that came from the network is escaped for the form that it is written in.

mod csv;
mod escape;
#[cfg(test)]
mod fuzz_tests;
mod grepable;
mod json;
#[cfg(test)]
mod output_tests;
mod xml;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::api::{OpenPort, PortCounts, ScanPort};

use super::{HostState, PortSet, ScanReport};

pub(super) use escape::visible;
pub use json::line;

/// A form of output for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One document, `{"scans": […], "run": {…}}`.
    Json,
    /// One host a line.
    Jsonl,
    /// nmap's XML (nmap.dtd, `nmap -oX`).
    Xml,
    /// nmap's greppable form (`nmap -oG`).
    Greppable,
    /// One open port a row, RFC 4180.
    Csv,
}

/// Whether a host is there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostStatus {
    /// It answered.
    Up,
    /// Nothing answered; it was scanned all the same.
    AssumedUp,
    /// The network says that it cannot be reached.
    Unreachable,
}

/// What was found out about one host: the words are those of a stored scan (`reconctl scans`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostScan {
    /// The name under which it was named, else its address.
    pub target: String,
    /// Its address.
    pub ip_address: IpAddr,
    /// The name that the DNS has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Whether it is there.
    pub status: HostStatus,
    /// What says so, in nmap's words (`syn-ack`, `udp-response`; `user-set`: nothing did).
    #[serde(default)]
    pub status_reason: String,
    /// Kind of scan (`kaze_port_scan`).
    pub scan_type: String,
    /// `completed` or `completed_no_ports`; `incomplete` when it did not get to its end.
    pub scan_status: String,
    /// Which engine did it.
    pub engine: String,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Seconds.
    pub scan_duration: f64,
    /// Smoothed round-trip time in seconds, if anything answered.
    pub round_trip: Option<f64>,
    /// Number of TCP ports that were decided.
    pub ports_scanned: u32,
    /// How many ended in which state.
    pub port_counts: PortCounts,
    /// The same of UDP ports; `filtered` are those that gave no answer (nmap: open|filtered).
    #[serde(default, skip_serializing_if = "PortCounts::is_zero")]
    pub udp_counts: PortCounts,
    /// It did not get to its end: more ports may be open.
    pub incomplete: bool,
    /// Why nothing could be reached, when nothing could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The open ports by number, those of TCP first.
    pub open_ports: Vec<FoundPort>,
}

/// An open port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundPort {
    /// Always `open`.
    pub state: String,
    /// Why it is called that (`syn-ack`).
    pub reason: String,
    /// The rest, as of a stored scan.
    #[serde(flatten)]
    pub port: ScanPort,
}

/// The scan as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The command line.
    pub command: String,
    /// Version of recon.
    pub version: String,
    /// Which engines did it.
    pub engine: String,
    /// TCP ports that were tried.
    pub ports: PortSet,
    /// UDP ports that were tried, as numbers.
    pub udp_ports: String,
    /// Number of addresses.
    pub targets: u64,
    /// Hosts that answered.
    pub hosts_up: u64,
    /// How many TCP probes ended in which state.
    pub port_counts: RunCounts,
    /// The same of UDP.
    #[serde(default, skip_serializing_if = "RunCounts::is_zero")]
    pub udp_counts: RunCounts,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Seconds of work; of a scan that was resumed, of all its parts.
    pub scan_duration: f64,
    /// It did not get to its end.
    pub incomplete: bool,
    /// What the user should know of how it went: another engine than was asked for, nmap that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// As [`PortCounts`], of all hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounts {
    /// Accepted.
    pub open: u64,
    /// Refused.
    pub closed: u64,
    /// No answer, or filtered by ICMP.
    pub filtered: u64,
    /// Host or network unreachable.
    pub unreachable: u64,
}

impl RunCounts {
    /// No probe was decided.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// From a run's sums (`ScanRun::counts`, `ScanRun::udp_counts`).
    pub fn of([open, closed, filtered, unreachable]: [u64; 4]) -> Self {
        Self {
            open,
            closed,
            filtered,
            unreachable,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            closed: self.closed + other.closed,
            filtered: self.filtered + other.filtered,
            unreachable: self.unreachable + other.unreachable,
        }
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The scan.
    pub run: RunFacts,
    /// The hosts, by address.
    pub hosts: Vec<HostScan>,
}

impl HostScan {
    /// What a report says; `names` are the names under which addresses were named.
    pub fn of(report: &ScanReport, names: &BTreeMap<IpAddr, String>, scan_type: &str) -> Self {
        let addr = report.addr.to_canonical();
        let name = names.get(&addr).cloned();
        let state = report.host_state();
        let status = match state {
            HostState::Up(_) => HostStatus::Up,
            HostState::AssumedUp => HostStatus::AssumedUp,
            HostState::Unreachable(_) => HostStatus::Unreachable,
        };
        let mut host = Self {
            target: name.unwrap_or_else(|| addr.to_string()),
            ip_address: addr,
            hostname: report.hostname.clone(),
            status,
            status_reason: state.reason().to_owned(),
            scan_type: scan_type.to_owned(),
            scan_status: String::new(),
            engine: report.engine.clone(),
            started_at: report.started_at,
            finished_at: report.finished_at,
            scan_duration: report.duration.as_secs_f64(),
            round_trip: report.rtt.map(|rtt| rtt.as_secs_f64()),
            ports_scanned: report.counts.total(),
            port_counts: report.counts,
            udp_counts: report.udp_counts,
            incomplete: report.incomplete,
            reason: report.reason.clone(),
            open_ports: report.open.iter().cloned().map(Into::into).collect(),
        };
        host.settle();
        host
    }

    /// Sets what follows from the rest: order, and status in a word.
    pub fn settle(&mut self) {
        self.open_ports.sort_by(|a, b| {
            a.port
                .protocol
                .cmp(&b.port.protocol)
                .then(a.port.port.cmp(&b.port.port))
        });
        let word = match (self.incomplete, self.open_ports.is_empty()) {
            (true, _) => "incomplete",
            (false, true) => "completed_no_ports",
            (false, false) => "completed",
        };
        word.clone_into(&mut self.scan_status);
    }

    /// The name, when it was named by one.
    pub fn name(&self) -> Option<&str> {
        Some(self.target.as_str()).filter(|target| target.parse::<IpAddr>().is_err())
    }
}

impl From<OpenPort> for FoundPort {
    fn from(mut port: OpenPort) -> Self {
        Self {
            state: "open".to_owned(),
            reason: std::mem::take(&mut port.state_reason),
            port: port.into(),
        }
    }
}

/// Writes all that was found.
///
/// # Errors
/// It cannot be written.
pub fn write(format: Format, results: &Results, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => json::write(results, out),
        Format::Jsonl => results.hosts.iter().try_for_each(|host| line(host, out)),
        Format::Xml => xml::write(results, out),
        Format::Greppable => grepable::write(results, out),
        Format::Csv => csv::write(results, out),
    }
}
