//! Logs: native journal fields when standard error is the journal, else lines on standard error.
//!
//! Fields that scripts may rely on: `PERSONALITY` (the kind) and `AGENT` (the instance) on every
//! record; `EGGRECORD_ID`, `TARGET`, `SCAN_TYPE` and `EVENT` where they apply. `TARGET` comes with a
//! second value, the module that wrote the record, which the library adds: match it, do not print it. `RECON_LOG` (or `RUST_LOG`) chooses the level, in the
//! syntax of `tracing_subscriber`'s `EnvFilter`.

use std::fmt;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Starts logging for the agent of this name and kind.
///
/// # Errors
/// Logging was started before.
pub fn init(agent: &str, kind: &str) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_from_env("RECON_LOG")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if stderr_is_the_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        // The crate's defaults put INFO at notice and DEBUG at info; journalctl -p means the
        // syslog words.
        let layer = journal
            .with_field_prefix(None)
            .with_syslog_identifier(format!("recon-{agent}"))
            .with_priority_mappings(PriorityMappings {
                info: Priority::Informational,
                debug: Priority::Debug,
                ..PriorityMappings::new()
            })
            .with_custom_fields([("PERSONALITY", kind), ("AGENT", agent)]);
        return registry.with(layer).try_init();
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .event_format(TaggedLine {
            tag: agent.to_uppercase(),
        });
    registry.with(lines).try_init()
}

/// Whether standard error is a stream of the journal: `$JOURNAL_STREAM` holds its device and inode
/// (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Some((dev, ino)) = stream.split_once(':') else {
        return false;
    };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr().as_fd()) else {
        return false;
    };
    dev.parse() == Ok(stat.st_dev) && ino.parse() == Ok(stat.st_ino)
}

/// `2026-11-21 04:09:59 [KAZE] INFO: text key=value`, the line of the earlier daemons.
struct TaggedLine {
    tag: String,
}

impl<S, N> FormatEvent<S, N> for TaggedLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = chrono::Local::now().format("%Y-%m-%d %H:%M:%S");
        write!(
            writer,
            "{now} [{}] {}: ",
            self.tag,
            event.metadata().level()
        )?;
        for span in ctx
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{fields}: ")?;
            }
        }
        ctx.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
