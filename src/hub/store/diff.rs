//! What a port scan shows that is otherwise than before.
//!
//! A scan is compared with what is known of its record from the scans of its type before: the one
//! before it, and what that one did not look at itself. So a scan that broke off, or one of fewer
//! ports, neither closes what it never asked nor makes the next whole scan open it anew:
//!
//! * A port that is not known to be open is `port_opened`. (After a change of what is scanned this
//!   may be the first time that anybody asked. It is told all the same: an open port that nobody
//!   hears of is worse than one that is heard of late.)
//! * A known port that is not open now is `port_closed` if this scan looked at it. A scan that broke
//!   off, or could not reach the host or network for some ports, looked at nothing for certain. Else
//!   its command says which ports it looked at (`-p 22,8000-8100`); where it does not, or only by a
//!   name (`-p top1000`), it looked at what the other scan did if the name is the same, or if it
//!   scanned at least as many ports; one that says neither looked at everything.
//! * TCP is looked at unless the command says otherwise (`-sU`, `-p U:53`); any other protocol, where
//!   the command or an open port shows it.
//! * `service_changed` and `certificate_changed` need both sides to be known: a service that was not
//!   recognised this time, or was only guessed from the number of its port, is no change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::NewScan;
use crate::api::{CertificateFacts, ScanPort};

/// Differences of one scan that are told one by one. A host that answers on every port would else
/// make a hundred thousand rows; the rest is counted.
const SINGLE_MAX: usize = 500;
/// A service of this confidence or less is known by the number of its port only.
const GUESSED: f64 = 0.3;
/// Longest name of a set of ports that is kept.
const NAME_MAX: usize = 64;

/// Which ports a scan looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Looked {
    /// How many; 0: it did not say.
    scanned: u32,
    /// The name of their set, where it has one (`top1000`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A port that is known to be open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    port: ScanPort,
    /// What the scan that saw it looked at.
    looked: Looked,
}

impl Known {
    /// The port.
    pub(super) fn port(&self) -> &ScanPort {
        &self.port
    }

    /// The same.
    pub(super) fn into_port(self) -> ScanPort {
        self.port
    }
}

/// The scan before.
#[derive(Debug, Clone, Default)]
pub(super) struct Earlier {
    /// Its open ports.
    pub(super) open_ports: Vec<ScanPort>,
    /// What was known beyond them.
    pub(super) known: Vec<Known>,
    /// Number of ports scanned; 0: it did not say.
    pub(super) ports_scanned: u32,
    /// Its command.
    pub(super) scan_command: String,
}

impl Earlier {
    /// Every port that was known to be open.
    pub(super) fn ports(&self) -> impl Iterator<Item = &ScanPort> {
        self.open_ports
            .iter()
            .chain(self.known.iter().map(|known| &known.port))
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Type of change.
    pub(super) kind: &'static str,
    /// `443/tcp`.
    pub(super) subject: String,
    /// As it was.
    pub(super) before: Option<Value>,
    /// As it is.
    pub(super) after: Option<Value>,
}

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Compared {
    /// The differences.
    pub(super) differences: Vec<Difference>,
    /// What is known beyond the open ports of the scan, for the next comparison.
    pub(super) known: Vec<Known>,
}

/// Compares a scan with what was known before it.
pub(super) fn compare(earlier: Earlier, scan: &NewScan) -> Compared {
    let sight = Sight::of(scan);
    let mut before = baseline(earlier);
    let mut done = Compared::default();
    for port in &scan.open_ports {
        match before.remove(&key(port)) {
            None => done.differences.push(Difference {
                kind: "port_opened",
                subject: subject(port),
                before: None,
                after: Some(service(port)),
            }),
            Some(known) => {
                let merged = again(&known.port, port, &mut done.differences);
                if merged != *port {
                    done.known.push(Known {
                        port: merged,
                        looked: sight.looked.clone(),
                    });
                }
            }
        }
    }
    for known in before.into_values() {
        if sight.covers(&known) {
            done.differences.push(Difference {
                kind: "port_closed",
                subject: subject(&known.port),
                before: Some(service(&known.port)),
                after: None,
            });
        } else {
            done.known.push(known);
        }
    }
    done.differences = bounded(done.differences);
    done
}

/// Everything that was known to be open.
pub(super) fn baseline(earlier: Earlier) -> BTreeMap<(u16, String), Known> {
    let looked = Looked {
        scanned: earlier.ports_scanned,
        name: Ports::of(&earlier.scan_command).name(),
    };
    let seen = earlier.open_ports.into_iter().map(|port| Known {
        port,
        looked: looked.clone(),
    });
    // What is known beyond a scan says more of the same port than the scan itself.
    seen.chain(earlier.known)
        .map(|known| (key(&known.port), known))
        .collect()
}

/// Compares a port that is still open; gives what is known of it now.
fn again(before: &ScanPort, now: &ScanPort, differences: &mut Vec<Difference>) -> ScanPort {
    let mut merged = now.clone();
    let other = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    let (said_before, said_now) = (said(before), said(now));
    let other_service = said_before && said_now && before.service != now.service;
    let other_product = other(&before.product, &now.product);
    if !other_service {
        if said_before && !said_now {
            merged.service.clone_from(&before.service);
            merged.confidence = before.confidence;
        }
        if now.product.is_empty() {
            merged.product.clone_from(&before.product);
        }
        if now.version.is_empty() && !other_product {
            merged.version.clone_from(&before.version);
        }
        if certificate(now).is_none() && certificate(before).is_some() {
            merged.tls.clone_from(&before.tls);
        }
    }
    if other_service || other_product || other(&before.version, &now.version) {
        differences.push(Difference {
            kind: "service_changed",
            subject: subject(now),
            before: Some(service(before)),
            after: Some(service(&merged)),
        });
    }
    if let (Some(old), Some(new)) = (certificate(before), certificate(now))
        && !same_certificate(old, new)
    {
        differences.push(Difference {
            kind: "certificate_changed",
            subject: subject(now),
            before: Some(facts(old)),
            after: Some(facts(new)),
        });
    }
    merged
}

/// Whether the service was recognised, not guessed. Who names no confidence is believed.
fn said(port: &ScanPort) -> bool {
    !port.service.is_empty() && (port.confidence <= 0.0 || port.confidence > GUESSED)
}

fn certificate(port: &ScanPort) -> Option<&CertificateFacts> {
    port.tls.as_ref()?.certificate.as_ref()
}

fn same_certificate(a: &CertificateFacts, b: &CertificateFacts) -> bool {
    if a.sha256.is_empty() || b.sha256.is_empty() {
        return (&a.subject, &a.issuer, a.not_after) == (&b.subject, &b.issuer, b.not_after);
    }
    a.sha256.eq_ignore_ascii_case(&b.sha256)
}

fn facts(certificate: &CertificateFacts) -> Value {
    json!({
        "sha256": certificate.sha256,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_after": certificate.not_after,
    })
}

fn service(port: &ScanPort) -> Value {
    json!({ "service": port.service, "product": port.product, "version": port.version })
}

fn key(port: &ScanPort) -> (u16, String) {
    (port.port, port.protocol.clone())
}

fn subject(port: &ScanPort) -> String {
    format!("{}/{}", port.port, port.protocol)
}

/// The first ones, and for each type the number of the rest.
fn bounded(mut all: Vec<Difference>) -> Vec<Difference> {
    let rest = all.split_off(all.len().min(SINGLE_MAX));
    let mut counts = BTreeMap::<_, usize>::new();
    for one in rest {
        *counts.entry(one.kind).or_default() += 1;
    }
    all.extend(counts.into_iter().map(|(kind, n)| Difference {
        kind,
        subject: format!("{n} more ports"),
        before: None,
        after: Some(json!({ "count": n })),
    }));
    all
}

/// What a scan looked at.
pub(super) struct Sight {
    whole: bool,
    protocols: BTreeSet<String>,
    ports: Ports,
    looked: Looked,
}

impl Sight {
    fn of(scan: &NewScan) -> Self {
        let reached = scan.port_counts.unreachable == 0;
        let whole = scan.rest["incomplete"] != true && reached;
        let udp = scan.udp_counts.is_none_or(|udp| udp.unreachable == 0);
        let command = &scan.scan_command;
        Self::new(command, scan.ports_scanned, &scan.open_ports, whole, udp)
    }

    /// Of its command, the number of ports scanned and those that were open; whether it got to its end
    /// and reached them all, and those of UDP.
    pub(super) fn new(
        command: &str,
        scanned: u32,
        open: &[ScanPort],
        whole: bool,
        udp: bool,
    ) -> Self {
        let ports = Ports::of(command);
        let open = open.iter().map(|port| port.protocol.clone());
        let mut protocols: BTreeSet<_> = protocols(command, &ports).chain(open).collect();
        if !udp {
            protocols.remove("udp");
        }
        Self {
            protocols,
            whole,
            looked: Looked {
                scanned,
                name: ports.name(),
            },
            ports,
        }
    }

    pub(super) fn covers(&self, known: &Known) -> bool {
        let scanned = self.looked.scanned;
        self.whole
            && self.protocols.contains(&known.port.protocol)
            && match &self.ports {
                Ports::Numbers(ranges) => ranges.iter().any(|range| range.has(&known.port)),
                Ports::Name(name) if known.looked.name.as_ref() == Some(name) => true,
                Ports::Name(_) => scanned > 0 && scanned >= known.looked.scanned,
                Ports::Unsaid => scanned == 0 || scanned >= known.looked.scanned,
            }
    }
}

/// The ports that a command names.
#[derive(Debug, PartialEq)]
enum Ports {
    /// These.
    Numbers(Vec<Range>),
    /// A set with a name.
    Name(String),
    /// It does not say.
    Unsaid,
}

impl Ports {
    /// Of the first `-p`: one that follows asks for services on what was found open.
    fn of(command: &str) -> Self {
        let mut words = command.split_whitespace();
        let Some(option) = words.find(|word| word.starts_with("-p") && !word.starts_with("--"))
        else {
            return Self::Unsaid;
        };
        let text = match &option[2..] {
            "" => words.next().unwrap_or_default(),
            joined => joined,
        };
        let text = text.trim_end_matches(';');
        if text == "-" {
            return Self::Numbers(vec![Range::default()]);
        }
        let mut protocol = None;
        let ranges: Option<Vec<_>> = text
            .split(',')
            .map(|part| Range::parse(part, &mut protocol))
            .collect();
        match ranges {
            Some(ranges) => Self::Numbers(ranges),
            None if (1..=NAME_MAX).contains(&text.len()) => Self::Name(text.to_owned()),
            None => Self::Unsaid,
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Ports from one to another.
#[derive(Debug, PartialEq)]
struct Range {
    from: u16,
    to: u16,
    /// Of this protocol alone.
    protocol: Option<&'static str>,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            from: 0,
            to: u16::MAX,
            protocol: None,
        }
    }
}

impl Range {
    /// `22`, `8000-8100`, `U:53`. A protocol holds for what follows it, too.
    fn parse(text: &str, protocol: &mut Option<&'static str>) -> Option<Self> {
        let text = match text.split_once(':') {
            Some((letter, rest)) => {
                *protocol = Some(match letter {
                    "T" => "tcp",
                    "U" => "udp",
                    "S" => "sctp",
                    _ => return None,
                });
                rest
            }
            None => text,
        };
        let (from, to) = match text.split_once('-') {
            Some((from, to)) => (from, to),
            None => (text, text),
        };
        Some(Self {
            from: from.parse().ok()?,
            to: to.parse().ok()?,
            protocol: *protocol,
        })
    }

    fn has(&self, port: &ScanPort) -> bool {
        (self.from..=self.to).contains(&port.port)
            && self
                .protocol
                .is_none_or(|protocol| protocol == port.protocol)
    }
}

/// The protocols that a command names, by nmap's letters for ways to scan (`-sU`, `-sSU`) or before
/// its ports; TCP when it names none.
fn protocols(command: &str, ports: &Ports) -> impl Iterator<Item = String> {
    // What follows asks for services on what was found open.
    let first = command.split(';').next().unwrap_or_default();
    let ways = first
        .split_whitespace()
        .filter_map(|w| w.strip_prefix("-s"));
    let mut named: BTreeSet<_> = ways.flat_map(str::chars).filter_map(protocol).collect();
    if let Ports::Numbers(ranges) = ports {
        named.extend(ranges.iter().filter_map(|range| range.protocol));
    }
    if named.is_empty() {
        named.insert("tcp");
    }
    named.into_iter().map(str::to_owned)
}

fn protocol(letter: char) -> Option<&'static str> {
    match letter {
        'A' | 'F' | 'I' | 'M' | 'N' | 'S' | 'T' | 'W' | 'X' => Some("tcp"),
        'U' => Some("udp"),
        'Y' | 'Z' => Some("sctp"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
