//! Every event that this hub records is in its journal as well, with the fields that scripts know.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

use super::state::Hub;
use super::store::Told;
use crate::runtime::text::display;

/// Longest text of one field.
const TEXT_MAX: usize = 200;
/// Longest text of what an event says.
const DATA_MAX: usize = 2000;

/// What of an event's data has a field of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Facts {
    eggrecord_id: Option<String>,
    target: Option<String>,
    scan_type: Option<String>,
}

/// Writes until the hub stops.
pub(super) async fn run(hub: Arc<Hub>) {
    let mut told = hub.store.events_told();
    loop {
        let event = tokio::select! {
            biased;
            event = told.recv() => event,
            () = hub.stopping.cancelled() => return,
        };
        match event {
            Ok(event) => write(&event),
            Err(RecvError::Lagged(missed)) => {
                warn!(
                    missed,
                    "too many events at once for the journal; the database has them"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn write(event: &Told) {
    // What is no object, or has other types, has no such fields.
    let facts: Facts = serde_json::from_str(&event.data).unwrap_or_default();
    let shown = |text: &Option<String>| text.as_deref().map(|t| display(t, TEXT_MAX));
    let (id, target) = (shown(&facts.eggrecord_id), shown(&facts.target));
    let (scan_type, daemon) = (shown(&facts.scan_type), shown(&event.daemon_name));
    let hostname = shown(&event.hostname);
    let text = format!("{} {}", event.kind, display(&event.data, DATA_MAX));
    // The macro knows no level that is not constant.
    macro_rules! write {
        ($level:ident) => {
            $level!(
                EVENT = event.kind,
                EGGRECORD_ID = id,
                TARGET = target,
                SCAN_TYPE = scan_type,
                DAEMON = daemon,
                DAEMON_HOST = hostname,
                "{text}"
            )
        };
    }
    match event.kind {
        "scope_violation_blocked" | "webhook_failed" => write!(warn),
        _ => write!(info),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_has_its_fields_and_forges_nothing() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let data = serde_json::json!({ "target": "a\u{1b}\nb\u{202e}c", "rule": "x" });
        tracing::subscriber::with_default(subscriber, || {
            write(&Told {
                kind: "scope_violation_blocked",
                daemon_name: Some("kaze".to_owned()),
                hostname: None,
                data: data.to_string(),
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("EVENT=\"scope_violation_blocked\""), "{text}");
        assert!(text.contains("WARN") && text.contains("DAEMON=\"kaze\""));
        assert!(text.contains("TARGET=") && !text.contains("DAEMON_HOST"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
