//! Findings from rules, and which of them the vulnerability database says already.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{SeenEvidence, Vulnerability};

use super::super::facts::{Facts, Kind, Subject, Value};
use super::super::rules::Match;
use super::super::vulndb::{CveId, End};
use super::found::{Found, Remedy, key};
use super::known::Answers;
use super::score;
use super::software::{self, WEB};
use super::text::{clean, json};

/// Bytes of a finding's evidence; the first of it is kept in any case.
const EVIDENCE_MAX: usize = 8 * 1024;
/// What is left of the confidence of a version that a distribution maintains.
const PACKAGED: f64 = 0.5;

/// What the rules found.
#[derive(Debug, Default)]
pub struct Ruled<'r> {
    /// What the database does not say.
    pub own: Vec<Match<'r>>,
    /// By CVE and place of the database's finding: the rules that it takes the place of.
    pub merged: BTreeMap<(String, String), Vec<Match<'r>>>,
    /// What a distribution has mended: no findings.
    pub mended: Vec<Match<'r>>,
}

/// Parts what rules found by what the database says of the same software.
///
/// A rule that names CVEs in its references says nothing new where the database has one of them, and is
/// wrong where the distribution has fixed all of them. One that says that a product is no longer maintained
/// is part of the worst known vulnerability of the product, if that is sure and at least as bad.
pub fn part<'r>(found: Vec<Match<'r>>, facts: &Facts, answers: &Answers) -> Ruled<'r> {
    let mut ruled = Ruled::default();
    for one in found {
        let keys: Vec<software::Key> = software_of(&one, facts).into_iter().map(|s| s.0).collect();
        let cves = cves(&one);
        let outdated = one.rule.category == "outdated-software";
        if keys.is_empty() || (cves.is_empty() && !outdated) {
            ruled.own.push(one);
            continue;
        }
        let hits = || keys.iter().flat_map(|key| answers.of(key));
        let mut at: Vec<(String, String)> = Vec::new();
        if cves.is_empty() {
            let worst = hits().filter(|hit| hit.confidence >= score::SURE);
            let worst = worst
                .map(|hit| {
                    let weight = score::known(&hit.known.cve, hit.confidence, facts.public, &[]);
                    (
                        score::hundredths(weight.priority.score),
                        weight.severity,
                        hit,
                    )
                })
                .filter(|(_, severity, _)| *severity >= one.severity);
            let worst = worst.max_by(|a, b| {
                let order = (a.0, a.1).cmp(&(b.0, b.1));
                // Of several the first by name.
                order.then_with(|| b.2.known.cve.id.cmp(&a.2.known.cve.id))
            });
            // Wherever that one is.
            if let Some((_, _, worst)) = worst {
                let same = hits().filter(|hit| hit.known.cve.id == worst.known.cve.id);
                at.extend(same.map(place_of));
            }
        } else {
            let same = hits().filter(|hit| cves.contains(&hit.known.cve.id));
            at.extend(same.map(place_of));
        }
        if !at.is_empty() {
            for place in at {
                ruled.merged.entry(place).or_default().push(one.clone());
            }
            continue;
        }
        let fixed = |cve: &String| keys.iter().all(|key| answers.is_fixed(key, cve));
        match !cves.is_empty() && cves.iter().all(fixed) {
            true => ruled.mended.push(one),
            false => ruled.own.push(one),
        }
    }
    ruled
}

fn place_of(hit: &super::known::Hit) -> (String, String) {
    (hit.known.cve.id.clone(), hit.software.place.clone())
}

/// It is about a version that gets no corrections any more, rather than about one vulnerability.
pub fn is_unsupported(found: &Match) -> bool {
    found.rule.category == "outdated-software" && cves(found).is_empty()
}

/// The CVEs that a rule's references name.
fn cves(found: &Match) -> BTreeSet<String> {
    let references = found.rule.references.iter();
    references
        .filter_map(|url| CveId::parse(url.rsplit('/').next()?))
        .map(|id| id.to_string())
        .collect()
}

/// The software that a finding is about: key, and where it is.
fn software_of(found: &Match, facts: &Facts) -> Vec<(software::Key, Vec<String>, bool)> {
    if found.rule.subject != Kind::Technology {
        return Vec::new();
    }
    let sources: BTreeSet<&String> = found.evidence.iter().flat_map(|e| &e.sources).collect();
    let versions: BTreeSet<String> = found
        .evidence
        .iter()
        .flat_map(|evidence| &evidence.fields)
        .filter(|(name, _)| name == "version")
        .map(|(_, value)| value.to_string())
        .collect();
    let all = facts.all(Kind::Technology).iter();
    let same = all.filter(|fact| fact.anchor == found.anchor);
    same.filter(|fact| fact.sources.iter().any(|source| sources.contains(source)))
        .filter(|fact| versions.is_empty() || versions.contains(fact.text("version")))
        .map(|fact| {
            let key = software::key(fact.text("name"), fact.text("version"));
            (key, places(fact), packaged(fact))
        })
        .collect()
}

fn places(fact: &Subject) -> Vec<String> {
    match fact.get("places") {
        Some(Value::List(places)) => places.clone(),
        _ => Vec::new(),
    }
}

fn packaged(fact: &Subject) -> bool {
    matches!(fact.get("backports"), Some(Value::Flag(true)))
}

/// The finding of a rule.
pub fn finding(found: &Match, facts: &Facts, web: &BTreeSet<String>) -> Found {
    let rule = found.rule;
    let software = software_of(found, facts);
    let by_version = matches!(
        rule.category.as_str(),
        "outdated-software" | "known-exploited"
    );
    let maintained = by_version && software.iter().any(|(_, _, packaged)| *packaged);
    let sure = match maintained {
        true => score::confidence(found.confidence * PACKAGED),
        false => score::confidence(found.confidence),
    };
    let weight = score::rule(found, sure);
    let remedy = match (by_version, software.first()) {
        (true, Some(((_, version), _, packaged))) => Remedy::Upgrade {
            name: found.place.clone(),
            version: version.clone(),
            product: None,
            end: End::Open,
            packaged: *packaged,
            unsupported: is_unsupported(found),
        },
        _ => Remedy::Action,
    };
    let mut ids = vec![rule.id.clone()];
    ids.extend(found.also.iter().cloned());
    let wire = Vulnerability {
        key: key(&rule.id, &found.place),
        kind: rule.id.clone(),
        category: rule.category.clone(),
        title: rule.title.clone(),
        severity: weight.severity,
        priority: weight.priority,
        confidence: score::number(sure),
        location: clean(&found.place),
        reason: weight.why,
        cwe: rule.cwe.clone(),
        attack: rule.attack.clone(),
        distribution: maintained.then(|| {
            "possibly fixed by the distribution: it maintains the package under the old version number"
                .to_owned()
        }),
        evidence: evidence(found),
        remediation: rule.remediation.action.clone(),
        effort: rule.remediation.effort.as_str().to_owned(),
        references: rule.references.clone(),
        ..Vulnerability::default()
    };
    Found {
        wire,
        ids,
        anchors: anchors(found, &software, web),
        remedy,
        of_cve: false,
        local: false,
    }
}

/// Where else something may be tied to it.
fn anchors(
    found: &Match,
    software: &[(software::Key, Vec<String>, bool)],
    web: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut anchors = BTreeSet::from([found.anchor.clone()]);
    for place in software.iter().flat_map(|(_, places, _)| places) {
        match place.as_str() {
            WEB | "cms" => anchors.extend(web.iter().cloned()),
            place => drop(anchors.insert(place.to_owned())),
        }
    }
    if found.anchor == WEB {
        anchors.extend(web.iter().cloned());
    }
    anchors
}

fn evidence(found: &Match) -> Vec<SeenEvidence> {
    let mut left = EVIDENCE_MAX;
    let mut kept = Vec::new();
    for one in &found.evidence {
        let fields = one.fields.iter();
        let mut seen = SeenEvidence {
            sources: one
                .sources
                .iter()
                .take(10)
                .map(|source| clean(source))
                .collect(),
            fields: fields
                .map(|(name, value)| (name.clone(), json(value)))
                .collect(),
        };
        let mut size = serde_json::to_string(&seen).map_or(usize::MAX, |text| text.len());
        if size > left && kept.is_empty() {
            // Fields of lists are the long ones; texts have their measure.
            seen.fields.retain(|_, value| !value.is_array());
            size = left;
        }
        if size > left {
            break;
        }
        left -= size;
        kept.push(seen);
    }
    kept
}
