use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::api::{AssessmentContext, Finding, ScanPort};

use super::web::Site;
use super::{Facts, Kind, Subject, is_public, ports, software, web};

/// Type of the findings that are secrets.
const SECRET: &str = "exposed_secret";

/// What words in banners and CPE names say of the operating system.
const SYSTEMS: [(&str, &str); 9] = [
    ("windows", "Windows"),
    ("microsoft-iis", "Windows"),
    ("debian", "Linux"),
    ("ubuntu", "Linux"),
    ("linux", "Linux"),
    ("red hat", "Linux"),
    ("freebsd", "FreeBSD"),
    ("openbsd_os", "OpenBSD"),
    ("routeros", "RouterOS"),
];

/// The facts of a context.
pub fn facts(context: &AssessmentContext) -> Facts {
    let addresses = addresses(context);
    let public = match addresses.is_empty() {
        true => None,
        false => Some(addresses.iter().any(|address| is_public(*address))),
    };
    let mut facts = Facts::new(&context.target, context.as_of, public);
    facts.add(host(context, &addresses));
    for port in &context.ports {
        ports::add(port, context.as_of, &mut facts);
    }
    let site = Site::of(context, &addresses);
    web::add(context, &site, &mut facts);
    software::add(context, &mut facts);
    for finding in &context.findings {
        facts.add(match finding.kind == SECRET {
            true => secret(finding, &site),
            false => other(finding),
        });
    }
    facts
}

/// Every address that is known of the record.
fn addresses(context: &AssessmentContext) -> BTreeSet<IpAddr> {
    let named = context.target.parse().ok();
    let scanned = context.scans.iter().filter_map(|scan| scan.ip_address);
    context
        .ip_address
        .into_iter()
        .chain(named)
        .chain(scanned)
        .collect()
}

fn host(context: &AssessmentContext, addresses: &BTreeSet<IpAddr>) -> Subject {
    let name = addresses
        .first()
        .map_or_else(|| context.target.clone(), IpAddr::to_string);
    let mut host = Subject::new(Kind::Host, format!("host:{name}"), &context.target);
    "host".clone_into(&mut host.anchor);
    let names = context
        .scans
        .iter()
        .filter_map(|scan| scan.hostname.clone());
    let services = context.ports.iter().map(|port| &port.port);
    let services = services.filter(|port| ports::is_recognised(port));
    let waf = context.ports.iter().any(|port| port.port.waf.is_some());
    let places = context.ports.iter().map(|port| ports::place(&port.port));
    host.set("name", context.target.as_str());
    host.set(
        "addresses",
        addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
    );
    host.set("hostnames", unique(names));
    host.set("ports", unique(places));
    host.set("port_count", context.ports.len());
    host.set("services", unique(services.map(ports::in_clear)));
    host.set(
        "systems",
        unique(context.ports.iter().flat_map(|p| systems(&p.port))),
    );
    host.set("firewalled", waf);
    host
}

/// Operating systems that a port speaks of.
fn systems(port: &ScanPort) -> Vec<String> {
    let mut said = format!("{} {} {}", port.product, port.version, port.banner);
    for cpe in port.cpe.iter().filter(|cpe| cpe.starts_with("cpe:/o:")) {
        said.push(' ');
        said.push_str(cpe);
    }
    said.make_ascii_lowercase();
    // Samba says Windows of itself, and OpenSSH is made by OpenBSD.
    let found = SYSTEMS.iter().filter(|(word, _)| said.contains(word));
    let names = found.map(|(_, system)| (*system).to_owned());
    let samba = said.contains("samba");
    names.filter(|name| !samba || name != "Windows").collect()
}

/// Each once, in order.
pub fn unique(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}

fn secret(finding: &Finding, site: &Site) -> Subject {
    let place = site.place(&finding.location);
    let mut secret = Subject::new(Kind::Secret, format!("finding:{}", finding.id), &place.0);
    secret.anchor = place.1;
    secret.confidence = 0.9;
    let kind = finding.evidence["secret_type"].as_str();
    secret.set("type", kind.unwrap_or("unknown"));
    secret.set("severity", finding.severity.as_str());
    secret.set("location", finding.location.as_str());
    secret.set("title", finding.title.as_str());
    secret
}

fn other(finding: &Finding) -> Subject {
    let source = format!("finding:{}", finding.id);
    let mut other = Subject::new(Kind::Finding, source, &finding.location);
    other.set("type", finding.kind.as_str());
    other.set("category", finding.category.as_str());
    other.set("severity", finding.severity.as_str());
    other.set("location", finding.location.as_str());
    other.set("title", finding.title.as_str());
    other.set_some("by", finding.discovered_by.as_deref());
    other
}
