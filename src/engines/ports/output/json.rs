use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{HostScan, Results, RunFacts};
use crate::api::hides;

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
    writeln!(out, "{}", safe(text))
}

/// One host as a line.
///
/// # Errors
/// It cannot be written.
pub fn line(host: &HostScan, out: &mut dyn Write) -> io::Result<()> {
    // In one write, so that lines stay whole in a pipe that others read.
    let mut text = safe(serde_json::to_string(host)?);
    text.push('\n');
    out.write_all(text.as_bytes())
}

/// The same JSON, in which what steers a terminal is written as `\uNNNN` even where JSON does not ask
/// for it (DEL, C1, formatting characters). Outside of strings there is none of it but line ends.
fn safe(text: String) -> String {
    let steers = |c: char| c != '\n' && hides(c);
    if !text.contains(steers) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if !steers(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to memory does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}
