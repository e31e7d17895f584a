//! What is open.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::read::{list, number, some_text, text, when};
use crate::report::Text;

/// As many open ports are told of a target.
const PORTS_MOST: usize = 500;

/// An open port.
#[derive(Debug, Serialize)]
pub(in super::super) struct Port {
    pub(in super::super) port: u64,
    pub(in super::super) protocol: Text,
    pub(in super::super) service: Text,
    pub(in super::super) product: Text,
    pub(in super::super) version: Text,
    pub(in super::super) banner: Text,
    /// Of TLS: version, end of the certificate, what is wrong with it.
    pub(in super::super) tls: Option<Tls>,
    pub(in super::super) seen_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    confidence: f64,
}

/// How it speaks TLS.
#[derive(Debug, Serialize)]
pub(in super::super) struct Tls {
    pub(in super::super) version: Text,
    pub(in super::super) subject: Option<Text>,
    pub(in super::super) not_after: Option<DateTime<Utc>>,
    pub(in super::super) problems: Vec<Text>,
}

/// What is open by the last finished scan of each type, and how many more there was no room for. Of a
/// port that several of them saw, what the one says that is surest of the service.
pub(super) fn merged(scans: &[Value]) -> (Vec<Port>, u64) {
    let mut types = Vec::new();
    let mut ports: BTreeMap<(String, u64), Port> = BTreeMap::new();
    for scan in scans {
        let finished = scan["scan_status"].as_str().unwrap_or_default();
        let kind = &scan["scan_type"];
        if !finished.starts_with("completed") || types.contains(&kind) {
            continue;
        }
        types.push(kind);
        for entry in list(&scan["open_ports"]) {
            let Some(port) = port(entry, when(&scan["finished_at"])) else {
                continue;
            };
            let key = (port.protocol.raw().to_owned(), port.port);
            match ports.get(&key) {
                Some(known) if known.confidence >= port.confidence => {}
                _ => drop(ports.insert(key, port)),
            }
        }
    }
    let mut ports: Vec<_> = ports.into_values().collect();
    let left = ports.len().saturating_sub(PORTS_MOST) as u64;
    ports.truncate(PORTS_MOST);
    (ports, left)
}

fn port(value: &Value, seen_at: Option<DateTime<Utc>>) -> Option<Port> {
    const BANNER: usize = 200;
    let tls = &value["tls"];
    let certificate = &tls["certificate"];
    Some(Port {
        port: value["port"].as_u64()?,
        protocol: some_text(&value["protocol"]).unwrap_or_else(|| Text::new("tcp")),
        service: text(&value["service"]),
        product: text(&value["product"]),
        version: text(&value["version"]),
        banner: Text::cut(text(&value["banner"]).raw(), BANNER),
        tls: tls.is_object().then(|| Tls {
            version: text(&tls["version"]),
            subject: some_text(&certificate["subject"]),
            not_after: when(&certificate["not_after"]),
            problems: list(&tls["problems"]).map(text).collect(),
        }),
        seen_at,
        confidence: number(&value["confidence"]).unwrap_or(0.0),
    })
}
