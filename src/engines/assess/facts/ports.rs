//! Facts of open ports.

use chrono::{DateTime, Utc};

use crate::api::{AssessedPort, ScanPort, TlsFacts};
use crate::engines::ports::table;

use super::software::{told_cpes, told_version};
use super::{Facts, Kind, Subject, Type};

/// A service of this confidence or less is known by the number of its port only.
const GUESSED: f64 = 0.3;

/// Services over TLS that have a name of their own, and what they are in clear.
const OVER_TLS: [(&str, &str); 14] = [
    ("https", "http"),
    ("https-alt", "http"),
    ("imaps", "imap"),
    ("pop3s", "pop3"),
    ("smtps", "smtp"),
    ("ftps", "ftp"),
    ("ldaps", "ldap"),
    ("ircs", "irc"),
    ("amqps", "amqp"),
    ("mqtts", "mqtt"),
    ("nntps", "nntp"),
    ("telnets", "telnet"),
    ("domain-s", "domain"),
    ("sips", "sip"),
];

/// Names that are one service.
const SAME: [(&str, &str); 4] = [
    ("http-alt", "http"),
    ("http-proxy", "http"),
    ("submission", "smtp"),
    ("http2", "http"),
];

/// Whether the service was recognised, not guessed. Who names no confidence is believed.
pub fn is_recognised(port: &ScanPort) -> bool {
    !port.service.is_empty() && (port.confidence <= 0.0 || port.confidence > GUESSED)
}

/// `tcp/6379`.
pub fn place(port: &ScanPort) -> String {
    format!("{}/{}", port.protocol, port.port)
}

/// The service without its TLS.
pub fn in_clear(port: &ScanPort) -> String {
    plain(&port.service).to_owned()
}

fn plain(service: &str) -> &str {
    let service = service.strip_prefix("ssl/").unwrap_or(service);
    let known = OVER_TLS.iter().chain(&SAME);
    let mut known = known.filter(|(name, _)| *name == service);
    known.next().map_or(service, |(_, plain)| plain)
}

fn speaks_tls(service: &str) -> bool {
    let named = OVER_TLS.iter().any(|(name, _)| *name == service);
    named || service == "ssl" || service.starts_with("ssl/")
}

/// Adds the service of a port and its TLS.
pub fn add(seen: &AssessedPort, as_of: DateTime<Utc>, facts: &mut Facts) {
    let port = &seen.port;
    let source = format!("scan:{}/{}", seen.scan_type, place(port));
    let recognised = is_recognised(port);
    let starts_tls = port.details.contains_key("starttls");
    let mut service = Subject::new(Kind::Service, source.clone(), &place(port));
    service.confidence = confidence(port);
    service.set("port", port.port);
    service.set("protocol", port.protocol.as_str());
    if recognised {
        service.set("service", plain(&port.service));
    }
    service.set("usual", plain(usual(port)));
    service.set(
        "tls",
        speaks_tls(&port.service) || (port.tls.is_some() && !starts_tls),
    );
    service.set("starttls", starts_tls);
    service.set("product", port.product.as_str());
    service.set("version", told_version(port));
    service.set("banner", port.banner.as_str());
    service.set("cpe", told_cpes(port));
    service.set_some("waf", port.waf.as_deref());
    service.set("seen_at", seen.seen_at);
    for (name, value) in &port.details {
        detail(&mut service, name, value);
    }
    facts.add(service);
    if let Some(tls) = &port.tls {
        facts.add(tls_fact(port, tls, source, as_of));
    }
}

/// The service that usually has this port.
fn usual(port: &ScanPort) -> &'static str {
    match port.protocol.as_str() {
        "tcp" => table::usual_service(port.port),
        "udp" => table::udp().usual_service(port.port),
        _ => "",
    }
}

/// Who names no confidence (nmap of the earlier daemons) is believed, though not quite.
fn confidence(port: &ScanPort) -> f64 {
    match port.confidence.is_finite() && port.confidence > 0.0 {
        true => port.confidence.min(1.0),
        false => 0.8,
    }
}

/// A detail as a list, when it is one: entries stand between commas or spaces.
fn detail(service: &mut Subject, name: &str, value: &str) {
    let Some(slot) = Kind::Service.slot(name) else {
        return;
    };
    if Kind::Service.type_of(&slot) != Type::List {
        return service.set(name, value);
    }
    let commas = value.contains(", ") || !name.starts_with("ssh.") && !name.starts_with("ldap.");
    let entries: Vec<String> = match commas {
        true => value.split(", ").map(str::to_owned).collect(),
        false => value.split_ascii_whitespace().map(str::to_owned).collect(),
    };
    service.set(name, entries);
}

fn tls_fact(port: &ScanPort, tls: &TlsFacts, source: String, as_of: DateTime<Utc>) -> Subject {
    let mut fact = Subject::new(Kind::Tls, source, &place(port));
    let deep = !tls.versions.is_empty();
    let versions = match deep {
        true => tls.versions.clone(),
        false => vec![tls.version.clone()],
    };
    let mut ciphers: Vec<String> = tls.ciphers.values().flatten().cloned().collect();
    if ciphers.is_empty() {
        ciphers.push(tls.cipher.clone());
    }
    ciphers.sort_unstable();
    ciphers.dedup();
    fact.set("port", port.port);
    fact.set("service", plain(&port.service));
    fact.set("starttls", port.details.contains_key("starttls"));
    fact.set("version", tls.version.as_str());
    fact.set("versions", versions);
    fact.set("cipher", tls.cipher.as_str());
    fact.set("ciphers", ciphers);
    fact.set("deep", deep);
    fact.set("chain_length", tls.chain_length);
    fact.set("problems", tls.problems.clone());
    if let Some(certificate) = &tls.certificate {
        let days =
            |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).num_seconds().div_euclid(86_400);
        fact.set("subject", certificate.subject.as_str());
        fact.set("issuer", certificate.issuer.as_str());
        fact.set("names", certificate.subject_alt_names.clone());
        fact.set("not_before", certificate.not_before);
        fact.set("not_after", certificate.not_after);
        fact.set("days_left", days(as_of, certificate.not_after));
        fact.set("days_old", days(certificate.not_before, as_of));
        fact.set(
            "validity_days",
            days(certificate.not_before, certificate.not_after),
        );
        fact.set("self_signed", certificate.self_signed);
        fact.set("signature", certificate.signature_algorithm.as_str());
        fact.set_some("key_bits", certificate.key_bits);
    }
    fact
}
