//! What is open, by the last scans of several types together.
//!
//! The newest scan has the last word: a port that an older scan of another type found, and that a newer
//! one looked for and did not find, is closed. What the newest does not say of a port that is still open
//! (its service, its certificate) an older one may.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::diff::{Earlier, Sight, baseline};
use crate::api::{AssessedPort, ScanPort, TlsFacts};

/// A service of this confidence or less is known by the number of its port only.
const GUESSED: f64 = 0.3;

/// The last scan of a type.
pub(super) struct Seen {
    /// The type.
    pub(super) scan_type: String,
    /// Its end.
    pub(super) finished_at: DateTime<Utc>,
    /// What it found, and what is known beyond that.
    pub(super) found: Earlier,
    /// It got to its end and reached every port.
    pub(super) whole: bool,
    /// It reached every port of UDP.
    pub(super) udp: bool,
}

/// The open ports by transport and number.
pub(super) fn open_now(mut scans: Vec<Seen>) -> Vec<AssessedPort> {
    scans.sort_by(|a, b| {
        let newer = b.finished_at.cmp(&a.finished_at);
        newer.then_with(|| a.scan_type.cmp(&b.scan_type))
    });
    let mut open = BTreeMap::<(String, u16), AssessedPort>::new();
    let mut newer: Vec<Sight> = Vec::with_capacity(scans.len());
    for scan in scans {
        let Earlier {
            open_ports,
            ports_scanned,
            scan_command,
            ..
        } = &scan.found;
        let sight = Sight::new(
            scan_command,
            *ports_scanned,
            open_ports,
            scan.whole,
            scan.udp,
        );
        for known in baseline(scan.found).into_values() {
            let port = known.port();
            let key = (port.protocol.clone(), port.port);
            if let Some(seen) = open.get_mut(&key) {
                complete(seen, known.into_port(), &scan.scan_type);
                continue;
            }
            if newer.iter().any(|sight| sight.covers(&known)) {
                continue;
            }
            let seen = AssessedPort {
                scan_type: scan.scan_type.clone(),
                seen_at: scan.finished_at,
                port: known.into_port(),
            };
            open.insert(key, seen);
        }
        newer.push(sight);
    }
    open.into_values().collect()
}

/// Whether the service was recognised, not guessed. Who names no confidence is believed.
fn said(port: &ScanPort) -> bool {
    !port.service.is_empty() && (port.confidence <= 0.0 || port.confidence > GUESSED)
}

/// Adds what an older scan knows, unless the newer knows otherwise.
fn complete(seen: &mut AssessedPort, older: ScanPort, scan_type: &str) {
    let newer = &mut seen.port;
    if !said(newer) {
        if said(&older) {
            seen.port = older;
            scan_type.clone_into(&mut seen.scan_type);
        }
        return;
    }
    let other = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    if newer.service != older.service
        || other(&newer.product, &older.product)
        || other(&newer.version, &older.version)
    {
        return;
    }
    if newer.product.is_empty() {
        newer.product = older.product;
    }
    if newer.version.is_empty() {
        newer.version = older.version;
    }
    if newer.banner.is_empty() {
        newer.banner = older.banner;
    }
    if newer.cpe.is_empty() {
        newer.cpe = older.cpe;
    }
    newer.waf = newer.waf.take().or(older.waf);
    for (name, value) in older.details {
        newer.details.entry(name).or_insert(value);
    }
    newer.tls = with_versions(newer.tls.take(), older.tls);
}

/// Which versions and suites a server accepts only a deep scan says; it holds as long as the certificate
/// is the same.
fn with_versions(newer: Option<TlsFacts>, older: Option<TlsFacts>) -> Option<TlsFacts> {
    let (Some(mut newer), Some(older)) = (newer.clone(), older.clone()) else {
        return newer.or(older);
    };
    let hash = |tls: &TlsFacts| tls.certificate.as_ref().map(|c| c.sha256.clone());
    if newer.versions.is_empty() && hash(&newer) == hash(&older) {
        newer.versions = older.versions;
        newer.ciphers = older.ciphers;
    }
    Some(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16, service: &str, confidence: f64) -> ScanPort {
        ScanPort {
            port: number,
            protocol: "tcp".to_owned(),
            service: service.to_owned(),
            product: String::new(),
            version: String::new(),
            cpe: Vec::new(),
            banner: String::new(),
            tls: None,
            confidence,
            waf: None,
            details: BTreeMap::default(),
        }
    }

    fn scan(kind: &str, minutes: i64, command: &str, open: Vec<ScanPort>) -> Seen {
        Seen {
            scan_type: kind.to_owned(),
            finished_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minutes),
            found: Earlier {
                open_ports: open,
                scan_command: command.to_owned(),
                ..Earlier::default()
            },
            whole: true,
            udp: true,
        }
    }

    fn open(scans: Vec<Seen>) -> Vec<(u16, String, String)> {
        let open = open_now(scans).into_iter();
        open.map(|p| (p.port.port, p.port.service, p.scan_type))
            .collect()
    }

    fn one(number: u16, service: &str, kind: &str) -> (u16, String, String) {
        (number, service.to_owned(), kind.to_owned())
    }

    #[test]
    fn what_a_newer_scan_looked_for_in_vain_is_closed() {
        let old = || {
            let ports = vec![
                port(22, "ssh", 1.0),
                port(80, "http", 1.0),
                port(9999, "x", 1.0),
            ];
            scan("old", 1, "-p -", ports)
        };
        let new = scan("new", 2, "-p 1-1000", vec![port(80, "http", 1.0)]);
        let wanted = [one(80, "http", "new"), one(9999, "x", "old")];
        assert_eq!(open(vec![old(), new]), wanted);
        let mut broken = scan("new", 2, "-p 1-1000", vec![port(80, "http", 1.0)]);
        broken.whole = false;
        assert_eq!(open(vec![old(), broken]).len(), 3);
    }

    #[test]
    fn what_the_newer_does_not_know_the_older_says() {
        let mut full = port(443, "https", 1.0);
        full.product = "nginx".to_owned();
        full.details
            .insert("http.status".to_owned(), "200".to_owned());
        full.tls = Some(TlsFacts {
            versions: vec!["TLSv1.0".to_owned()],
            ..TlsFacts::default()
        });
        let bare = |service, confidence| {
            let mut port = port(443, service, confidence);
            port.tls = Some(TlsFacts::default());
            scan("new", 2, "-p -", vec![port])
        };
        let old = || scan("old", 1, "-p -", vec![full.clone()]);
        let same = open_now(vec![old(), bare("https", 1.0)]).remove(0);
        assert_eq!(
            (same.scan_type.as_str(), same.port.product.as_str()),
            ("new", "nginx")
        );
        assert_eq!(same.port.details["http.status"], "200");
        assert_eq!(same.port.tls.unwrap().versions, ["TLSv1.0"]);
        let guessed = open_now(vec![old(), bare("https", 0.3)]).remove(0);
        assert_eq!(guessed.scan_type, "old");
        assert_eq!(guessed.seen_at.timestamp(), 120, "it was seen by both");
        let other = open_now(vec![old(), bare("ssl/redis", 1.0)]).remove(0);
        assert!(other.port.product.is_empty());
    }
}
