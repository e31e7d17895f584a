//! The body of a scan submission, from our agents and from the earlier daemons.
//!
//! What is of no use is never held in memory (the line for each closed port), what is merely untidy
//! is tidied (ports as text, `null` for nothing, control characters), and what is wrong is named by
//! field.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::error::ApiError;
use super::super::extract::Object;
use super::super::store::{Attempt, HostFacts, NewScan, Run};
use super::fields::{Fields, OBJECT_MAX, is_nothing};
use crate::api::{PortCounts, ScanPort, WebPort, WorkKind};

/// The body as sent. Fields that are not named here are skipped while it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    eggrecord_id: Value,
    #[serde(default)]
    target: Value,
    #[serde(default)]
    scan_type: Value,
    #[serde(default)]
    result: Option<Object<RawResult>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawResult {
    success: Value,
    skipped: Value,
    reason: Value,
    error: Value,
    ip_address: Value,
    hostname: Value,
    host_state: Value,
    host_state_reason: Value,
    ports_scanned: Value,
    port_counts: Value,
    udp_counts: Value,
    open_ports: Value,
    scan_duration: Value,
    engine: Value,
    scan_command: Value,
    incomplete: Value,
    started_at: Value,
    finished_at: Value,
    waf_detection: Value,
    ssl_analysis: Value,
    partial: Value,
    run: Value,
    seq: Value,
}

/// The body after its check.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) record_id: Uuid,
    pub(super) target: Option<String>,
    pub(super) scan_type: String,
    pub(super) kind: Option<WorkKind>,
    pub(super) run: Option<Run>,
    pub(super) outcome: Outcome,
}

/// A scan, or an attempt that did not become one.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Target and agent are still to be filled in; so is the command, when it is empty.
    Scan(Box<NewScan>),
    Attempt(Attempt),
}

impl Body {
    /// Checks everything.
    pub(super) fn check(self, own: WorkKind, now: DateTime<Utc>) -> Result<Parsed, ApiError> {
        let mut fields = Fields::default();
        if is_nothing(&self.eggrecord_id) {
            return Err(ApiError::bad_request("eggrecord_id required"));
        }
        let record_id = self.eggrecord_id.as_str().and_then(|t| t.parse().ok());
        if record_id.is_none() {
            fields.wrong("eggrecord_id", "value", "must be a UUID");
        }
        let target = fields.target(&self.target);
        let scan_type = fields
            .text("scan_type", &self.scan_type)
            .unwrap_or_else(|| own.as_str().to_owned());
        let kind = fields.scan_type(&scan_type);
        let raw = self.result.unwrap_or_default().0;
        let failed = fields.flag("result.success", &raw.success) == Some(false)
            || fields.flag("result.skipped", &raw.skipped) == Some(true);
        let run = fields.run(&raw, failed, kind);
        let outcome = if failed {
            let reason = fields
                .text("result.reason", &raw.reason)
                .or_else(|| fields.text("result.error", &raw.error));
            Outcome::Attempt(Attempt {
                reason: reason.unwrap_or_else(|| "the agent gave no reason".to_owned()),
            })
        } else {
            Outcome::Scan(Box::new(fields.scan(raw, now)))
        };
        match record_id {
            Some(record_id) if fields.errors.is_empty() => Ok(Parsed {
                record_id,
                target,
                scan_type,
                kind,
                run,
                outcome,
            }),
            _ => Err(ApiError::invalid(fields.errors)),
        }
    }
}

impl Fields {
    /// A type of one of ours must be a port scan; another is stored under its name.
    fn scan_type(&mut self, text: &str) -> Option<WorkKind> {
        let kind = text.parse().ok();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if matches!(
            kind,
            Some(WorkKind::KumoSpider | WorkKind::SuzuEnum | WorkKind::RyuAssessment)
        ) {
            self.wrong("scan_type", "value", "is not a port scan");
        } else if text.len() > 100 || !text.bytes().all(plain) {
            self.wrong(
                "scan_type",
                "value",
                "must be 1 to 100 letters, digits, '_', '-' or '.'",
            );
        }
        kind
    }

    /// The run that it is of. A part of one must say so, and be of work that is leased.
    fn run(&mut self, raw: &RawResult, failed: bool, kind: Option<WorkKind>) -> Option<Run> {
        let partial = self.flag("result.partial", &raw.partial) == Some(true);
        let seq = self.number("result.seq", &raw.seq);
        if seq > f64::from(u32::MAX) || seq.fract() != 0.0 {
            self.wrong("result.seq", "range", "must be a whole number of 32 bits");
        }
        let run = self
            .text("result.run", &raw.run)
            .map(|text| text.parse::<Uuid>());
        match run {
            Some(Err(_)) => self.wrong("result.run", "value", "must be a UUID"),
            None if partial => self.wrong("result.run", "missing", "is needed with partial"),
            _ => {}
        }
        if partial && failed {
            self.wrong("result.partial", "value", "must not be with a failure");
        } else if partial && kind.is_none() {
            self.wrong("scan_type", "value", "has no partial results");
        }
        let id = run?.ok()?;
        Some(Run {
            id,
            // Checked above; a cast saturates.
            part: partial.then_some(seq as u32),
        })
    }

    fn scan(&mut self, raw: RawResult, now: DateTime<Utc>) -> NewScan {
        let ports = self.ports(raw.open_ports);
        let only_open = PortCounts {
            open: u32::try_from(ports.len()).unwrap_or(u32::MAX),
            ..PortCounts::default()
        };
        let counts = self.counts("result.port_counts", raw.port_counts);
        let udp_counts = self.counts("result.udp_counts", raw.udp_counts);
        let address = self
            .text("result.ip_address", &raw.ip_address)
            .and_then(|text| match text.parse::<IpAddr>() {
                Ok(address) => Some(address.to_canonical()),
                Err(_) => {
                    self.wrong("result.ip_address", "value", "must be an address");
                    None
                }
            });
        let duration = self.number("result.scan_duration", &raw.scan_duration);
        let scanned = self.number("result.ports_scanned", &raw.ports_scanned);
        if scanned > 65_536.0 {
            self.wrong("result.ports_scanned", "range", "must be 65536 at most");
        }
        let finished_at = self
            .time("result.finished_at", &raw.finished_at)
            .unwrap_or(now);
        let started_at = self.time("result.started_at", &raw.started_at);
        NewScan {
            id: Uuid::now_v7(),
            target: String::new(),
            ip_address: address,
            host: HostFacts {
                name: self.text("result.hostname", &raw.hostname),
                state: self.text("result.host_state", &raw.host_state),
                reason: self.text("result.host_state_reason", &raw.host_state_reason),
            },
            agent: None,
            engine: self.text("result.engine", &raw.engine).unwrap_or_default(),
            scan_command: self
                .text("result.scan_command", &raw.scan_command)
                .unwrap_or_default(),
            started_at: started_at.or_else(|| started(finished_at, duration)),
            finished_at,
            scan_duration: duration,
            ports_scanned: match (scanned as u32, counts) {
                // It does not say: that so many are open says nothing of how many were asked.
                (0, None) => 0,
                // Bounded above.
                (scanned, counts) => scanned.max(counts.unwrap_or(only_open).total()),
            },
            port_counts: counts.unwrap_or(only_open),
            udp_counts: udp_counts.filter(|counts| !counts.is_zero()),
            web: ports.iter().any(|port| WebPort::of(port).is_some()),
            open_ports: ports,
            rest: rest([
                ("incomplete", raw.incomplete),
                ("reason", raw.reason),
                ("waf_detection", raw.waf_detection),
                ("ssl_analysis", raw.ssl_analysis),
            ]),
        }
    }

    fn counts(&mut self, field: &str, value: Value) -> Option<PortCounts> {
        if value.is_null() {
            return None;
        }
        let parsed = Object::<PortCounts>::deserialize(value);
        let sound = |c: &PortCounts| {
            [c.open, c.closed, c.filtered, c.unreachable]
                .iter()
                .all(|n| *n <= 65_536)
        };
        match parsed {
            Ok(Object(counts)) if sound(&counts) => Some(counts),
            _ => {
                self.wrong(
                    field,
                    "value",
                    "must be an object of open, closed, filtered and unreachable, up to 65536 each",
                );
                None
            }
        }
    }

    /// The open ports, by number and protocol; of one that comes twice, the first.
    fn ports(&mut self, value: Value) -> Vec<ScanPort> {
        let list = match value {
            Value::Null => return Vec::new(),
            Value::Array(list) if list.len() <= 65_536 => list,
            Value::Array(_) => {
                self.wrong(
                    "result.open_ports",
                    "range",
                    "must have 65536 entries at most",
                );
                return Vec::new();
            }
            _ => {
                self.wrong("result.open_ports", "type", "must be a list");
                return Vec::new();
            }
        };
        let mut ports = BTreeMap::new();
        for (i, item) in list.iter().enumerate() {
            let field = format!("result.open_ports[{i}]");
            let Some(item) = item.as_object() else {
                self.wrong(field, "type", "must be an object with a port");
                continue;
            };
            if let Some(port) = self.port(&field, item) {
                ports
                    .entry((port.port, port.protocol.clone()))
                    .or_insert(port);
            }
        }
        ports.into_values().collect()
    }

    fn port(&mut self, field: &str, item: &Map<String, Value>) -> Option<ScanPort> {
        let of = |name: &str| item.get(name).unwrap_or(&Value::Null);
        let path = |name: &str| format!("{field}.{name}");
        let number = self.port_number(&path("port"), of("port"));
        let mut text = |name: &str| self.text(&path(name), of(name)).unwrap_or_default();
        let mut protocol = text("protocol").to_ascii_lowercase();
        if protocol.is_empty() {
            "tcp".clone_into(&mut protocol);
        }
        let port = ScanPort {
            port: number.unwrap_or_default(),
            service: text("service_name"),
            product: text("service_product"),
            version: text("service_version"),
            banner: text("service_info"),
            cpe: self.names(&path("service_cpe"), of("service_cpe")),
            tls: self.tls(&path("tls"), of("tls")),
            confidence: self.number(&path("confidence"), of("confidence")).min(1.0),
            waf: self.text(&path("waf"), of("waf")),
            details: self.details(&path("service_details"), of("service_details")),
            protocol,
        };
        if !matches!(port.protocol.as_str(), "tcp" | "udp" | "sctp") {
            self.wrong(path("protocol"), "value", "must be tcp, udp or sctp");
        }
        number.map(|_| port)
    }

    /// A number, or text that is one, as some of the earlier daemons send.
    fn port_number(&mut self, field: &str, value: &Value) -> Option<u16> {
        let number = match value {
            Value::Null => {
                self.wrong(field, "missing", "is needed");
                return None;
            }
            Value::Number(n) => n.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => {
                self.wrong(field, "type", "must be a number");
                return None;
            }
        };
        let port = number
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| *n > 0);
        if port.is_none() {
            self.wrong(field, "range", "must be from 1 to 65535");
        }
        port
    }

    fn names(&mut self, field: &str, value: &Value) -> Vec<String> {
        match value {
            Value::Array(list) if list.len() <= 64 => list
                .iter()
                .filter_map(|name| self.text(field, name))
                .collect(),
            other => self.text(field, other).into_iter().collect(),
        }
    }

    /// Names and texts, as many and as long as one object may be.
    fn details(&mut self, field: &str, value: &Value) -> BTreeMap<String, String> {
        match value {
            Value::Object(map) if value.to_string().len() <= OBJECT_MAX => map
                .iter()
                .filter_map(|(name, text)| {
                    let name = self.text(field, &Value::from(name.as_str()))?;
                    Some((name, self.text(field, text)?))
                })
                .collect(),
            Value::Null => BTreeMap::new(),
            _ => {
                self.wrong(field, "type", "must be an object of texts");
                BTreeMap::new()
            }
        }
    }

    fn tls(&mut self, field: &str, value: &Value) -> Option<crate::api::TlsFacts> {
        if value.is_null() {
            return None;
        }
        match Object::deserialize(value) {
            Ok(Object(facts)) if value.to_string().len() <= OBJECT_MAX => Some(facts),
            _ => {
                self.wrong(field, "value", "must be the facts of a TLS handshake");
                None
            }
        }
    }
}

fn started(finished: DateTime<Utc>, seconds: f64) -> Option<DateTime<Utc>> {
    // A cast from too large a number saturates, and the subtraction then gives nothing.
    let span = TimeDelta::try_milliseconds((seconds * 1000.0) as i64)?;
    finished.checked_sub_signed(span)
}

/// What else is worth keeping, unless it is absurdly large.
fn rest<const N: usize>(members: [(&str, Value); N]) -> Value {
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null() && value.to_string().len() <= OBJECT_MAX)
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<Map<_, _>>()
        .into()
}
