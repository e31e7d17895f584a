//! Findings from the vulnerability database.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::api::{RiskLevel, SeenEvidence, Vulnerability};

use super::super::rules::Match;
use super::super::vulndb::{self, Certainty, End, Known, Product, Vulndb};
use super::found::{Found, Remedy, key};
use super::score;
use super::software::{self, Software};
use super::text::{clean, word};

/// What the database has is of this type.
pub const KIND: &str = "known_vulnerability";
/// Category of rules about vulnerabilities that are exploited.
pub const EXPLOITED: &str = "known-exploited";
/// Vulnerabilities of one product that are looked at, the worst first.
const MOST: usize = 1000;

/// A vulnerability in a place.
#[derive(Debug)]
pub struct Hit<'s> {
    pub known: Known,
    pub software: &'s Software,
    /// In hundredths.
    pub confidence: u64,
    /// All that showed it in this place.
    pub sources: BTreeSet<String>,
}

/// What the database says of a record.
#[derive(Debug, Default)]
pub struct Answers<'s> {
    /// What it has, by CVE and place; of several sightings the surest.
    pub hits: BTreeMap<(String, String), Hit<'s>>,
    /// By key of the software: what its distribution fixed.
    pub fixed: BTreeMap<software::Key, BTreeSet<String>>,
    /// By key of the software: where it has what.
    by_software: BTreeMap<software::Key, BTreeSet<(String, String)>>,
}

/// Asks for all software.
///
/// # Errors
/// The database is damaged.
pub fn ask<'s>(database: &Vulndb, all: &'s [Software]) -> Result<Answers<'s>, vulndb::Error> {
    let mut answers = Answers::default();
    // The same software often runs in several places.
    let mut asked: BTreeMap<(&[String], &str, &str, &str), Vec<Known>> = BTreeMap::new();
    for software in all {
        let product = Product {
            cpes: &software.cpes,
            name: &software.name,
            version: &software.version,
            banner: &software.banner,
        };
        let same = (product.cpes, product.name, product.version, product.banner);
        let known = match asked.get(&same) {
            Some(known) => known.clone(),
            None => {
                let known = worst(database.of(&product)?);
                asked.insert(same, known.clone());
                known
            }
        };
        for one in known {
            answers.take(one, software);
        }
    }
    Ok(answers)
}

fn worst(mut known: Vec<Known>) -> Vec<Known> {
    if known.len() > MOST {
        let base = |known: &Known| {
            known
                .cve
                .cvss
                .first()
                .map_or(0, |c| score::hundredths(c.score))
        };
        known.sort_by_cached_key(|known| std::cmp::Reverse((known.cve.kev.is_some(), base(known))));
        known.truncate(MOST);
    }
    known
}

impl<'s> Answers<'s> {
    fn take(&mut self, known: Known, software: &'s Software) {
        let id = known.cve.id.clone();
        if known.cve.rejected {
            return;
        }
        if let Certainty::Fixed { .. } = known.certainty {
            self.fixed.entry(software.key()).or_default().insert(id);
            return;
        }
        let new = Hit {
            confidence: score::confidence(known.confidence * software.confidence),
            sources: software.sources.clone(),
            known,
            software,
        };
        let at = (id, software.place.clone());
        let own = self.by_software.entry(software.key()).or_default();
        own.insert(at.clone());
        match self.hits.entry(at) {
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(new)),
            std::collections::btree_map::Entry::Occupied(mut old) => {
                let old = old.get_mut();
                let sources = &old.sources | &new.sources;
                if old.confidence < new.confidence {
                    *old = new;
                }
                old.sources = sources;
            }
        }
    }

    /// What is known of a product in any place.
    pub fn of<'a>(&'a self, key: &'a software::Key) -> impl Iterator<Item = &'a Hit<'s>> {
        let places = self.by_software.get(key).into_iter().flatten();
        places.filter_map(|at| self.hits.get(at))
    }

    /// A distribution fixed this vulnerability in this product, and it is nowhere else.
    pub fn is_fixed(&self, key: &software::Key, cve: &str) -> bool {
        self.fixed.get(key).is_some_and(|ids| ids.contains(cve))
            && self.of(key).all(|hit| hit.known.cve.id != cve)
    }
}

/// What the version is of: the software itself, or a product that its CPE names name besides.
pub fn named(hit: &Hit) -> (String, String) {
    let known = &hit.known;
    let own = hit.software.version.contains(&known.version);
    let name = match own || known.version.is_empty() {
        true => hit.software.name.as_str(),
        false => known.product.rsplit(':').next().unwrap_or_default(),
    };
    (name.replace('_', " "), known.version.clone())
}

/// The finding; `by` are the rules that it takes the place of.
pub fn finding(hit: &Hit, public: Option<bool>, by: &[&Match], anchors: BTreeSet<String>) -> Found {
    let (cve, software) = (&hit.known.cve, hit.software);
    let mut weight = score::known(cve, hit.confidence, public, by);
    let unimportant = matches!(hit.known.certainty, Certainty::Unimportant { .. });
    if unimportant {
        weight.severity = weight.severity.min(RiskLevel::Low);
        weight
            .why
            .push_str("; the distribution rates it unimportant: no more than low");
    }
    let (name, version) = named(hit);
    let of = format!("{} {}", word(&name), word(&version));
    let said = match (cve.title.as_str(), cve.description.as_str()) {
        ("", "") => String::new(),
        ("", text) => format!(": {}", sentence(text)),
        (title, _) => format!(": {}", clean(title)),
    };
    let mut reason = weight.why;
    for rule in by {
        reason.push_str(&format!(
            "; {}: {}",
            rule.rule.title, rule.rule.severity.reason
        ));
    }
    if let Certainty::Likely { unknown } = &hit.known.certainty {
        reason.push_str(&format!("; not known: {}", clean(unknown)));
    }
    if !cve.description.is_empty() {
        reason.push_str(&format!(". {}", clean(&cve.description)));
    }
    let local = score::is_local(cve);
    let packaged = software.is_packaged();
    let vulnerability = Vulnerability {
        key: key(&cve.id, &software.place),
        kind: KIND.to_owned(),
        category: "known-vulnerability".to_owned(),
        title: format!("{} in {of}{said}", cve.id),
        severity: weight.severity,
        priority: weight.priority,
        confidence: score::number(hit.confidence),
        location: clean(&software.place),
        reason,
        cve: Some(cve.id.clone()),
        cwe: cve.cwe.clone(),
        attack: vec![if local { "T1068" } else { "T1190" }.to_owned()],
        cvss: weight.cvss,
        kev: cve.kev.is_some(),
        epss: cve.epss.map(|epss| epss.score),
        distribution: distribution(&hit.known.certainty),
        evidence: vec![evidence(hit)],
        remediation: match unimportant {
            true => format!(
                "Nothing, unless you know better: the distribution of {of} sees nothing to act on"
            ),
            false => remedy(&of, &hit.known.end, packaged),
        },
        effort: if packaged { "low" } else { "medium" }.to_owned(),
        references: references(cve),
    };
    let mut ids = vec![KIND.to_owned()];
    for rule in by {
        ids.push(rule.rule.id.clone());
        // That it is exploited is what the rule adds.
        if rule.rule.category == EXPLOITED {
            ids.push(EXPLOITED.to_owned());
        }
    }
    Found {
        ids,
        anchors,
        remedy: match unimportant {
            true => Remedy::Nothing,
            false => Remedy::Upgrade {
                name,
                version,
                product: Some(hit.known.product.clone()),
                end: hit.known.end.clone(),
                packaged,
                unsupported: by.iter().any(|rule| super::ruled::is_unsupported(rule)),
            },
        },
        of_cve: true,
        local,
        wire: vulnerability,
    }
}

/// The first sentence, no longer than a title.
fn sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    let text = clean(&text[..end]);
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn distribution(certainty: &Certainty) -> Option<String> {
    match certainty {
        Certainty::PossiblyFixed { distribution } => {
            let name = distribution.name();
            Some(format!(
                "possibly fixed by the distribution: {name} made the package, and keeps the version number when it mends it"
            ))
        }
        Certainty::Unimportant { distribution } => Some(format!(
            "rated unimportant by the distribution: {} made the package, and sees nothing in it to act on",
            distribution.name()
        )),
        _ => None,
    }
}

fn evidence(hit: &Hit) -> SeenEvidence {
    let software = hit.software;
    let mut fields: BTreeMap<String, Json> = BTreeMap::new();
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            fields.insert(name.to_owned(), Json::String(clean(text)));
        }
    };
    put("product", &software.name);
    put("version", &software.version);
    put("banner", &software.banner);
    put("affected", &hit.known.why);
    put("database_product", &hit.known.product);
    if !software.cpes.is_empty() {
        let cpes = software
            .cpes
            .iter()
            .take(5)
            .map(|cpe| Json::String(clean(cpe)));
        fields.insert("cpe".to_owned(), Json::Array(cpes.collect()));
    }
    SeenEvidence {
        sources: hit
            .sources
            .iter()
            .take(10)
            .map(|source| clean(source))
            .collect(),
        fields,
    }
}

/// What to do about one vulnerability alone.
fn remedy(of: &str, end: &End, packaged: bool) -> String {
    let to = match end {
        End::Before(version) => format!("to {} or later", word(version)),
        End::With(version) => format!("to a version after {}", word(version)),
        End::Open => {
            return format!(
                "See what the makers of {of} say of it: nobody names a corrected version; restrict who reaches it"
            );
        }
    };
    match packaged {
        true => format!("Install the distribution's updates of {of}, or upgrade it {to}"),
        false => format!("Upgrade {of} {to}"),
    }
}

fn references(cve: &vulndb::Details) -> Vec<String> {
    let mut all = vec![format!("https://nvd.nist.gov/vuln/detail/{}", cve.id)];
    let more = cve.references.iter().map(|url| clean(url));
    all.extend(more.filter(|url| url.starts_with("https://") || url.starts_with("http://")));
    all.dedup();
    all
}
