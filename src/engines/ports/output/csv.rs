use std::io::{self, Write};

use csv::{Terminator, WriterBuilder};

use super::escape::visible;
use super::{FoundPort, HostScan, Results};

const COLUMNS: [&str; 17] = [
    "target",
    "ip_address",
    "port",
    "protocol",
    "state",
    "reason",
    "service",
    "product",
    "version",
    "info",
    "confidence",
    "cpe",
    "tls_version",
    "tls_subject",
    "tls_not_after",
    "incomplete",
    "hostname",
];

/// A header, then one open port a row (RFC 4180).
pub(super) fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(out);
    writer.write_record(COLUMNS)?;
    for host in &results.hosts {
        for port in &host.open_ports {
            writer.write_record(row(host, port).map(harmless))?;
        }
    }
    writer.flush()
}

fn row(host: &HostScan, found: &FoundPort) -> [String; COLUMNS.len()] {
    let port = &found.port;
    let tls = port.tls.as_ref();
    let certificate = tls.and_then(|tls| tls.certificate.as_ref());
    [
        host.target.clone(),
        host.ip_address.to_string(),
        port.port.to_string(),
        port.protocol.clone(),
        found.state.clone(),
        found.reason.clone(),
        port.service.clone(),
        port.product.clone(),
        port.version.clone(),
        port.banner.clone(),
        port.confidence.to_string(),
        port.cpe.join(" "),
        tls.map(|tls| tls.version.clone()).unwrap_or_default(),
        certificate.map(|c| c.subject.clone()).unwrap_or_default(),
        certificate
            .map(|c| c.not_after.to_rfc3339())
            .unwrap_or_default(),
        host.incomplete.to_string(),
        host.hostname.clone().unwrap_or_default(),
    ]
}

/// What begins like a formula is one to a spreadsheet, and texts come from strangers.
fn harmless(cell: String) -> String {
    let cell = visible(&cell);
    // Some spreadsheets look behind blanks, too.
    match cell.trim_start().starts_with(['=', '+', '-', '@']) {
        true => format!("'{cell}"),
        false => cell.into_owned(),
    }
}
