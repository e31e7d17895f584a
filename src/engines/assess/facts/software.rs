//! Software, from whatever shows it: each name and version is one fact, however often it was seen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::api::{AssessedPort, AssessmentContext, ScanPort};

use super::{Facts, Kind, Subject, ports};

/// How sure a technology is that a spider recognised.
const BY_SPIDER: f64 = 0.9;

/// Names that probes give to what spiders, or other probes, call otherwise. In lower case.
const ALIASES: [(&str, &str); 20] = [
    ("apache httpd", "Apache HTTP Server"),
    ("apache", "Apache HTTP Server"),
    ("microsoft iis httpd", "Microsoft IIS"),
    ("iis", "Microsoft IIS"),
    ("caddy httpd", "Caddy"),
    ("squid http proxy", "Squid"),
    ("varnish http accelerator", "Varnish"),
    ("werkzeug httpd", "Werkzeug"),
    ("microsoft kestrel httpd", "Kestrel"),
    ("apache tomcat/coyote jsp engine", "Apache Tomcat"),
    ("elasticsearch rest api", "Elasticsearch"),
    ("opensearch rest api", "OpenSearch"),
    ("couchdb httpd", "Apache CouchDB"),
    ("influxdb http admin", "InfluxDB"),
    ("redis key-value store", "Redis"),
    ("valkey key-value store", "Valkey"),
    ("postgresql db", "PostgreSQL"),
    ("tornado httpd", "Tornado"),
    ("splunkd httpd", "Splunk"),
    ("miniserv (webmin httpd)", "Webmin"),
];

/// Words of a version or banner that a distribution put there.
pub const DISTRIBUTIONS: [&str; 19] = [
    "debian",
    "ubuntu",
    "+deb",
    ".el7",
    ".el8",
    ".el9",
    ".el10",
    "red hat",
    "raspbian",
    "(centos",
    "fedora",
    "(rocky",
    "(almalinux",
    "(oracle linux",
    "(amazon",
    ".amzn",
    "suse)",
    "(suse",
    "(alpine",
];

/// One name as it is called here.
pub fn name(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(other, _)| *other == lower);
    alias.map_or(name, |(_, known)| known)
}

#[derive(Default)]
struct Software {
    name: String,
    version: String,
    category: String,
    cpe: Vec<String>,
    places: Vec<String>,
    sources: Vec<String>,
    confidence: f64,
    backports: bool,
}

/// By name in lower case and version.
type All = BTreeMap<(String, String), Software>;

fn note(all: &mut All, seen: Software) {
    let key = (seen.name.to_ascii_lowercase(), seen.version.clone());
    let known = all.entry(key).or_insert_with(|| Software {
        name: seen.name.clone(),
        version: seen.version.clone(),
        ..Software::default()
    });
    if known.category.is_empty() {
        known.category = seen.category;
    }
    known.confidence = known.confidence.max(seen.confidence);
    known.backports |= seen.backports;
    let both = [
        (&mut known.cpe, seen.cpe),
        (&mut known.places, seen.places),
        (&mut known.sources, seen.sources),
    ];
    for (have, more) in both {
        for one in more {
            if !have.contains(&one) {
                have.push(one);
            }
        }
    }
}

/// A version, when it is one: nmap also says `9.6.0 or later`, `3.X - 4.X`, `8.1.2 or 8.1.10 - 8.1.23`,
/// and which of these it is nobody knows.
fn one_version(version: &str) -> &str {
    let several = [" - ", " or ", ".X", ".x"];
    match several.iter().any(|words| version.contains(words)) {
        true => "",
        false => version,
    }
}

/// The version of a port's product, when it is known. nmap (to 7.94) says 4.6.2 of every Samba that speaks
/// SMB 1: the number stands in its table, and was not told by the host.
pub fn told_version(port: &ScanPort) -> &str {
    match is_of_a_table(port) {
        true => "",
        false => one_version(&port.version),
    }
}

fn is_of_a_table(port: &ScanPort) -> bool {
    port.product == "Samba smbd" && port.version == "4.6.2" && !port.banner.contains("4.6.2")
}

/// The CPE names of a port, without a version that nobody told.
pub fn told_cpes(port: &ScanPort) -> Vec<String> {
    let told = |cpe: &&String| !(is_of_a_table(port) && cpe.ends_with(":4.6.2"));
    port.cpe.iter().filter(told).cloned().collect()
}

/// What is there now: where a later scan of another kind read another version of the same product in the same
/// place, it was updated since, and the earlier sighting is over.
pub fn current(context: &AssessmentContext) -> Vec<&AssessedPort> {
    let told = |seen: &AssessedPort| {
        let port = &seen.port;
        let version = told_version(port).split_whitespace().next()?.to_owned();
        let product = name(&port.product).to_ascii_lowercase();
        let known = !product.is_empty() && ports::is_recognised(port);
        known.then(|| ((ports::place(port), product), version))
    };
    let mut latest: BTreeMap<(String, String), (DateTime<Utc>, String)> = BTreeMap::new();
    for seen in &context.ports {
        if let Some((what, version)) = told(seen) {
            let of = latest.entry(what).or_default();
            *of = std::mem::take(of).max((seen.seen_at, version));
        }
    }
    let is_over = |seen: &AssessedPort| {
        let last = told(seen).and_then(|(what, version)| Some((latest.get(&what)?, version)));
        last.is_some_and(|((at, last), version)| seen.seen_at < *at && version != *last)
    };
    context.ports.iter().filter(|seen| !is_over(seen)).collect()
}

/// Adds the software of ports, spiders and enumerations.
pub fn add(context: &AssessmentContext, facts: &mut Facts) {
    let mut all = All::new();
    for seen in current(context) {
        let port = &seen.port;
        if port.product.is_empty() {
            continue;
        }
        let said = format!("{} {}", port.version, port.banner).to_ascii_lowercase();
        // "9.2p1 Debian-2+deb12u3": what comes after the first word is the distribution's.
        let version = told_version(port).split_whitespace().next();
        let version = version.unwrap_or_default();
        note(
            &mut all,
            Software {
                name: name(&port.product).to_owned(),
                version: version.to_owned(),
                cpe: told_cpes(port),
                places: vec![ports::place(port)],
                sources: vec![format!("scan:{}/{}", seen.scan_type, ports::place(port))],
                confidence: match port.confidence > 0.0 && port.confidence <= 1.0 {
                    true => port.confidence,
                    false => 0.8,
                },
                backports: DISTRIBUTIONS.iter().any(|word| said.contains(word)),
                ..Software::default()
            },
        );
    }
    for technology in &context.technologies {
        let seen = Software {
            name: name(&technology.name).to_owned(),
            version: technology.version.clone(),
            category: technology.category.clone(),
            places: vec!["web".to_owned()],
            sources: vec![format!("web:{}", technology.name)],
            confidence: BY_SPIDER,
            ..Software::default()
        };
        note(&mut all, seen);
    }
    for cms in &context.cms {
        let seen = Software {
            name: name(&cms.name).to_owned(),
            version: cms.version.clone().unwrap_or_default(),
            category: "CMS".to_owned(),
            places: vec!["cms".to_owned()],
            sources: vec![format!("cms:{}", cms.name)],
            confidence: cms.confidence.clamp(0.1, 1.0),
            ..Software::default()
        };
        note(&mut all, seen);
    }
    for software in without_doubles(all) {
        facts.add(fact(software));
    }
}

/// What has a version somewhere needs no fact without one.
fn without_doubles(mut all: All) -> Vec<Software> {
    let versions = all.keys().filter(|(_, version)| !version.is_empty());
    let named: BTreeSet<String> = versions.map(|(name, _)| name.clone()).collect();
    all.retain(|(name, version), _| !version.is_empty() || !named.contains(name));
    all.into_values().collect()
}

fn fact(software: Software) -> Subject {
    let mut fact = Subject::new(Kind::Technology, String::new(), &software.name);
    fact.anchor = format!("technology:{}", software.name.to_ascii_lowercase());
    fact.sources = software.sources;
    fact.confidence = software.confidence;
    fact.set("name", software.name);
    fact.set("version", software.version);
    fact.set("category", software.category);
    fact.set("cpe", software.cpe);
    fact.set("places", software.places);
    fact.set("backports", software.backports);
    fact
}
