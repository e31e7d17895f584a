//! How verbs print: JSON or tables, colours only on a terminal, and a closed pipe is no error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::Global;
use crate::runtime::text::safe_json;

impl Global {
    /// Whether to use colours on standard output: as `--color` says, else only on a terminal and
    /// with `NO_COLOR` unset (no-color.org).
    pub fn colors(&self) -> bool {
        match self.color {
            clap::ColorChoice::Always => true,
            clap::ColorChoice::Never => false,
            clap::ColorChoice::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        }
    }
}

/// Prints a value as JSON, indented on a terminal; what strangers have written steers none.
///
/// # Errors
/// Standard output cannot be written.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let json = match io::stdout().is_terminal() {
        true => serde_json::to_string_pretty(value)?,
        false => serde_json::to_string(value)?,
    };
    text(&(safe_json(json) + "\n"))
}

/// Prints text.
///
/// # Errors
/// Standard output cannot be written.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether an error is a reader that went away (`reconctl status | head`).
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
