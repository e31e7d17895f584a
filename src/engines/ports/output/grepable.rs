use std::fmt::Write as _;
use std::io::{self, Write};

use crate::api::PortCounts;

use super::escape::visible;
use super::{FoundPort, HostScan, HostStatus, Results};
use crate::engines::ports::services::in_clear;

/// nmap's `-oG`: a line for the status of a host and one for its ports, fields divided by tabs,
/// sections of a port by slashes.
pub(super) fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let run = &results.run;
    writeln!(
        out,
        "# recon {} scan initiated {} as: {}",
        run.version,
        run.started_at.format("%a %b %e %H:%M:%S %Y"),
        visible(&run.command)
    )?;
    let udp = udp_count(&run.udp_ports);
    writeln!(
        out,
        "# Ports scanned: TCP({};{}) UDP({udp};{}) SCTP(0;) PROTOCOLS(0;)",
        run.ports.len(),
        run.ports.to_numbers(),
        run.udp_ports
    )?;
    for host in &results.hosts {
        let name = host.name().or(host.hostname.as_deref());
        let name = name.map(field).unwrap_or_default();
        let status = match host.status {
            HostStatus::Unreachable => "Down",
            HostStatus::Up | HostStatus::AssumedUp => "Up",
        };
        let head = format!("Host: {} ({name})", host.ip_address);
        writeln!(out, "{head}\tStatus: {status}")?;
        if status == "Up" {
            writeln!(out, "{head}\t{}", ports(host))?;
        }
    }
    writeln!(
        out,
        "# recon {} at {} -- {}",
        if run.incomplete {
            "interrupted"
        } else {
            "done"
        },
        run.finished_at.format("%a %b %e %H:%M:%S %Y"),
        super::xml::summary(run)
    )
}

/// Number of ports in a list of numbers and ranges.
pub(super) fn udp_count(numbers: &str) -> usize {
    crate::engines::ports::PortSet::udp(numbers).map_or(0, |set| set.len())
}

fn ports(host: &HostScan) -> String {
    let mut text = String::new();
    if !host.open_ports.is_empty() {
        let ports: Vec<String> = host.open_ports.iter().map(port).collect();
        let _ = write!(text, "Ports: {}", ports.join(", "));
    }
    // nmap names one, the most frequent.
    if let Some((state, count)) = others(&host.port_counts, &host.udp_counts).first() {
        let tab = if text.is_empty() { "" } else { "\t" };
        let _ = write!(text, "{tab}Ignored State: {state} ({count})");
    }
    text
}

/// The states that are only counted, in nmap's words, the most frequent first. A UDP port that gives
/// no answer may be open.
pub(super) fn others(tcp: &PortCounts, udp: &PortCounts) -> Vec<(&'static str, u32)> {
    let mut others = vec![
        ("closed", tcp.closed + udp.closed),
        ("filtered", tcp.filtered + tcp.unreachable + udp.unreachable),
        ("open|filtered", udp.filtered),
    ];
    others.retain(|(_, count)| *count > 0);
    others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    others
}

/// `port/state/protocol/owner/service/rpc info/version/`.
fn port(found: &FoundPort) -> String {
    let port = &found.port;
    let service = match in_clear(&port.service) {
        Some(plain) => format!("ssl|{plain}"),
        None => port.service.clone(),
    };
    let version = [port.product.as_str(), port.version.as_str()].join(" ");
    format!(
        "{}/{}/{}//{}//{}/",
        port.port,
        field(&found.state),
        field(&port.protocol),
        field(&service),
        field(version.trim())
    )
}

/// A text as a field: what divides fields and ports in it would forge them.
fn field(text: &str) -> String {
    visible(text).replace('/', "|").replace(',', ";")
}
