//! Which software is where: what the vulnerability database is asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{AssessedPort, AssessmentContext};

use super::super::facts::{
    DISTRIBUTIONS, Facts, Kind, current, is_recognised, port_place, software_name, told_cpes,
    told_version,
};

/// How sure a technology is that a spider recognised.
const BY_SPIDER: f64 = 0.9;
/// How sure is what a server says of its modules.
const BY_MODULES: f64 = 0.85;
/// Software of one record that is asked for: more is no host but a trap.
const MOST: usize = 3000;
/// Modules of one server that are asked for.
const MODULES_MAX: usize = 12;
/// Ports of web servers that everything of the web is tied to.
const ANCHORS: usize = 16;
/// Longest version that is one.
const VERSION_MAX: usize = 100;

/// What ties findings together that are of one web server of which no port is known.
pub const WEB: &str = "web";

/// Software in one place.
#[derive(Debug, Clone)]
pub struct Software {
    /// What it is called, as strangers may have written it.
    pub name: String,
    /// Its version, likewise; never empty.
    pub version: String,
    /// CPE names.
    pub cpes: Vec<String>,
    /// What it said of itself.
    pub banner: String,
    /// Where it is (`tcp/80`, `web`).
    pub place: String,
    /// What it was seen in.
    pub sources: BTreeSet<String>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// What makes it the same software in another place: name in lower case, version as its makers number it.
pub type Key = (String, String);

impl Software {
    /// Name in lower case and version.
    pub fn key(&self) -> Key {
        key(&self.name, &self.version)
    }

    /// A distribution maintains it.
    pub fn is_packaged(&self) -> bool {
        let said = format!("{} {}", self.version, self.banner).to_ascii_lowercase();
        DISTRIBUTIONS.iter().any(|word| said.contains(word))
    }
}

/// Name in lower case, and the version's first word: the rest is the distribution's.
pub fn key(name: &str, version: &str) -> Key {
    let version = version.split_whitespace().next().unwrap_or_default();
    (software_name(name).to_lowercase(), version.to_owned())
}

/// All software of a record whose version is known, by place, name and version.
pub fn all(context: &AssessmentContext) -> Vec<Software> {
    let mut all = All::default();
    for port in current(context) {
        of_port(port, &mut all);
    }
    for technology in &context.technologies {
        let source = format!("web:{}", technology.name);
        all.of_web(&technology.name, &technology.version, source, BY_SPIDER);
    }
    for cms in &context.cms {
        let version = cms.version.as_deref().unwrap_or_default();
        let sure = match cms.confidence.is_finite() {
            true => cms.confidence.clamp(0.1, 1.0),
            false => 0.1,
        };
        all.of_web(&cms.name, version, format!("cms:{}", cms.name), sure);
    }
    all.by.into_values().take(MOST).collect()
}

#[derive(Default)]
struct All {
    /// By place and key.
    by: BTreeMap<(String, Key), Software>,
    /// At which ports each is.
    ports: BTreeMap<Key, BTreeSet<String>>,
}

impl All {
    fn note(&mut self, seen: Software) {
        // "4" may be any of ten years: what has one number only is no version.
        let numbers = seen.version.split(|c: char| !c.is_ascii_digit());
        let numbers = numbers.filter(|number| !number.is_empty()).count();
        if numbers < 2 || seen.version.len() > VERSION_MAX {
            return;
        }
        if seen.place != WEB {
            let places = self.ports.entry(seen.key()).or_default();
            places.insert(seen.place.clone());
        }
        match self.by.entry((seen.place.clone(), seen.key())) {
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(seen)),
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.confidence = known.confidence.max(seen.confidence);
                known.sources.extend(seen.sources);
            }
        }
    }

    /// What spiders and enumerations say. What a port says as well is there, and nowhere else.
    fn of_web(&mut self, name: &str, version: &str, source: String, confidence: f64) {
        let wanted = key(name, version);
        if let Some(places) = self.ports.get(&wanted) {
            for place in places {
                if let Some(software) = self.by.get_mut(&(place.clone(), wanted.clone())) {
                    software.sources.insert(source.clone());
                    software.confidence = software.confidence.max(confidence);
                }
            }
            return;
        }
        self.note(Software {
            name: software_name(name).to_owned(),
            version: version.to_owned(),
            cpes: Vec::new(),
            banner: String::new(),
            place: WEB.to_owned(),
            sources: BTreeSet::from([source]),
            confidence,
        });
    }
}

fn of_port(seen: &AssessedPort, all: &mut All) {
    let port = &seen.port;
    if port.product.is_empty() && port.cpe.is_empty() {
        return;
    }
    let confidence = match port.confidence > 0.0 && port.confidence <= 1.0 {
        true => port.confidence,
        false => 0.8,
    };
    let source = format!("scan:{}/{}", seen.scan_type, port_place(port));
    let software = Software {
        name: match port.product.is_empty() {
            true => named_by(&port.cpe),
            false => software_name(&port.product).to_owned(),
        },
        version: match port.version.is_empty() {
            true => version_by(&port.cpe),
            false => told_version(port).to_owned(),
        },
        cpes: told_cpes(port),
        banner: port.banner.clone(),
        place: port_place(port),
        sources: BTreeSet::from([source]),
        confidence: match is_recognised(port) {
            true => confidence,
            false => confidence.min(0.4),
        },
    };
    for (name, version) in modules(port.details.get("http.server"))
        .chain(modules(port.details.get("http.powered_by")))
        .take(MODULES_MAX)
    {
        if key(name, version).0 != software.key().0 {
            all.note(Software {
                name: software_name(name).to_owned(),
                version: version.to_owned(),
                cpes: Vec::new(),
                confidence: software.confidence.min(BY_MODULES),
                ..software.clone()
            });
        }
    }
    all.note(software);
}

/// `Apache/2.4.37 (Unix) OpenSSL/1.0.1f PHP/7.4.1`: all that have a version.
fn modules(header: Option<&String>) -> impl Iterator<Item = (&str, &str)> {
    let words = header.map(String::as_str).unwrap_or_default();
    words.split_ascii_whitespace().filter_map(|word| {
        let (name, version) = word.split_once('/')?;
        let end = version.find(|c: char| !c.is_ascii_alphanumeric() && !".-_+~".contains(c));
        let version = &version[..end.unwrap_or(version.len())];
        let sound = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (sound && version.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
    })
}

/// The fields of the first CPE name of an application.
fn fields(cpes: &[String]) -> impl Iterator<Item = &str> {
    let mut applications = cpes.iter().filter_map(|cpe| {
        cpe.strip_prefix("cpe:/a:")
            .or_else(|| cpe.strip_prefix("cpe:2.3:a:"))
    });
    applications.next().unwrap_or_default().split(':')
}

fn named_by(cpes: &[String]) -> String {
    fields(cpes).nth(1).unwrap_or_default().replace('_', " ")
}

fn version_by(cpes: &[String]) -> String {
    let version = fields(cpes).nth(2).unwrap_or_default();
    version.to_owned()
}

/// Where everything of a web server is tied to whose place is only "web": its ports, as far as there are
/// not more than a host has.
pub fn web_anchors(facts: &Facts) -> BTreeSet<String> {
    let web = [Kind::Http, Kind::Path, Kind::Form, Kind::Cookie];
    let seen = web.into_iter().flat_map(|kind| facts.all(kind));
    let mut anchors: BTreeSet<String> = seen.map(|fact| fact.anchor.clone()).collect();
    if anchors.is_empty() {
        let services = facts.all(Kind::Service).iter();
        let http = services.filter(|service| service.text("service") == "http");
        anchors.extend(http.map(|service| service.anchor.clone()));
    }
    let mut anchors: BTreeSet<String> = anchors.into_iter().take(ANCHORS).collect();
    anchors.insert(WEB.to_owned());
    anchors
}
