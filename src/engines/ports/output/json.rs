use std::io::{self, IsTerminal, Write};

use serde_json::json;

use super::{HostScan, Results};

/// One document; indented on a terminal.
pub(super) fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let document = json!({ "scans": results.hosts, "run": results.run });
    if io::stdout().is_terminal() {
        serde_json::to_writer_pretty(&mut *out, &document)?;
    } else {
        serde_json::to_writer(&mut *out, &document)?;
    }
    writeln!(out)
}

/// One host as a line.
///
/// # Errors
/// It cannot be written.
pub fn line(host: &HostScan, out: &mut dyn Write) -> io::Result<()> {
    // In one write, so that lines stay whole in a pipe that others read.
    let mut text = serde_json::to_vec(host)?;
    text.push(b'\n');
    out.write_all(&text)
}
