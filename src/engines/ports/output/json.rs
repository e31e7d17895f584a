use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{HostScan, Results, RunFacts};
use crate::api::safe_json;

/// The whole; the names are stable.
#[derive(Serialize)]
struct Document<'a> {
    scans: &'a [HostScan],
    run: &'a RunFacts,
}

/// One document; indented on a terminal.
pub(super) fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        scans: &results.hosts,
        run: &results.run,
    };
    let text = match io::stdout().is_terminal() {
        true => serde_json::to_string_pretty(&document)?,
        false => serde_json::to_string(&document)?,
    };
    writeln!(out, "{}", safe_json(text))
}

/// One host as a line.
///
/// # Errors
/// It cannot be written.
pub fn line(host: &HostScan, out: &mut dyn Write) -> io::Result<()> {
    // In one write, so that lines stay whole in a pipe that others read.
    let mut text = safe_json(serde_json::to_string(host)?);
    text.push('\n');
    out.write_all(text.as_bytes())
}
