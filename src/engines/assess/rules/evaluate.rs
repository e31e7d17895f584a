//! What rules find among the facts of a record.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::facts::{Facts, Subject, Value};
use super::{Rule, RuleSet};
use crate::api::RiskLevel;

/// Facts that one finding shows.
const EVIDENCE_MAX: usize = 10;
/// Findings of one rule: a host with more places than this is no host but a trap.
const PLACES_MAX: usize = 1000;

/// What shows a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// Where it was seen ([`super::super::facts`] says how these are written).
    pub sources: Vec<String>,
    /// The fields that the rule shows, as far as they are known. Strangers may have written them.
    pub fields: Vec<(String, Value)>,
}

/// A rule that found something in a place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match<'r> {
    /// The rule.
    #[serde(serialize_with = "id_of")]
    pub rule: &'r Rule,
    /// How bad it is here.
    pub severity: RiskLevel,
    /// Whether the record is public, which may have decided that; `None`: not known.
    pub public: Option<bool>,
    /// How sure it is: of the surest evidence, 0 to 1.
    pub confidence: f64,
    /// Where it is: with the rule it is what makes it the same finding again.
    pub place: String,
    /// What ties it to findings in the same place of another name (`tcp/443`).
    pub anchor: String,
    /// What shows it; 10 at most.
    pub evidence: Vec<Evidence>,
    /// Number of facts that show it.
    pub total: usize,
    /// Rules that found something as well, which this one says already.
    pub also: Vec<String>,
}

fn id_of<S: serde::Serializer>(rule: &&Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rule.id)
}

/// Two rules of one id are the same.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Match<'_> {
    /// What makes it the same finding again: rule and place.
    pub fn key(&self) -> (&str, &str) {
        (&self.rule.id, &self.place)
    }
}

impl Rule {
    /// What it finds, one for each place, in the order of the places.
    pub fn matches(&self, facts: &Facts) -> Vec<Match<'_>> {
        let all = facts.all(self.subject);
        if all.is_empty() {
            return Vec::new();
        }
        let mut answers = Vec::new();
        self.condition.ask(facts, &mut answers);
        let mut found = BTreeMap::<&str, Match<'_>>::new();
        for subject in all {
            if !self.condition.holds(subject, facts.as_of, &answers) {
                continue;
            }
            if found.len() >= PLACES_MAX && !found.contains_key(subject.place.as_str()) {
                continue;
            }
            let one = found
                .entry(&subject.place)
                .or_insert_with(|| self.match_in(subject, facts.public));
            one.total += 1;
            one.confidence = one.confidence.max(subject.confidence * self.confidence);
            if one.evidence.len() < EVIDENCE_MAX {
                one.evidence.push(self.evidence_of(subject));
            }
        }
        found.into_values().collect()
    }

    fn match_in(&self, subject: &Subject, public: Option<bool>) -> Match<'_> {
        Match {
            rule: self,
            severity: self.severity.at(public),
            public,
            confidence: 0.0,
            place: subject.place.clone(),
            anchor: subject.anchor.clone(),
            evidence: Vec::new(),
            total: 0,
            also: Vec::new(),
        }
    }

    fn evidence_of(&self, subject: &Subject) -> Evidence {
        let fields = self.evidence.iter();
        Evidence {
            sources: subject.sources.clone(),
            fields: fields
                .filter_map(|name| Some((name.clone(), subject.get(name)?.clone())))
                .collect(),
        }
    }
}

impl RuleSet {
    /// What all rules find, the worst first, then by rule and place. What another finding in the same
    /// place says already is in its `also`.
    pub fn evaluate(&self, facts: &Facts) -> Vec<Match<'_>> {
        let mut found: Vec<Match<'_>> = self.iter().flat_map(|rule| rule.matches(facts)).collect();
        found.sort_by(|a, b| {
            let worst = b.severity.cmp(&a.severity);
            let surest = b.confidence.total_cmp(&a.confidence);
            worst.then(surest).then_with(|| a.key().cmp(&b.key()))
        });
        let found = without_superseded(found);
        let mut found = one_of_each_group(found);
        found.sort_by(|a, b| {
            let worst = b.severity.cmp(&a.severity);
            worst.then_with(|| a.key().cmp(&b.key()))
        });
        found
    }
}

/// Takes out what another rule, in the same place, says already. Of two that supersede each other the
/// first stays.
fn without_superseded(found: Vec<Match<'_>>) -> Vec<Match<'_>> {
    let mut kept: Vec<Match<'_>> = Vec::with_capacity(found.len());
    // By anchor and superseded rule: which of the found ones does it.
    let mut by = BTreeMap::<(String, String), (usize, String)>::new();
    for (at, one) in found.iter().enumerate() {
        for id in &one.rule.supersedes {
            by.entry((one.anchor.clone(), id.clone()))
                .or_insert((at, one.rule.id.clone()));
        }
    }
    let mut also = BTreeMap::<(String, String), BTreeSet<String>>::new();
    for (at, one) in found.into_iter().enumerate() {
        let key = (one.anchor.clone(), one.rule.id.clone());
        let Some((other, id)) = by.get(&key) else {
            kept.push(one);
            continue;
        };
        let mutual = one.rule.supersedes.contains(id);
        if mutual && at < *other {
            kept.push(one);
            continue;
        }
        also.entry((one.anchor, id.clone()))
            .or_default()
            .insert(one.rule.id.clone());
    }
    for one in &mut kept {
        let more = also.remove(&(one.anchor.clone(), one.rule.id.clone()));
        one.also.extend(more.into_iter().flatten());
    }
    kept
}

/// Of one group only the first is kept of one place; they are sorted, the worst first.
fn one_of_each_group(found: Vec<Match<'_>>) -> Vec<Match<'_>> {
    let mut kept: Vec<Match<'_>> = Vec::with_capacity(found.len());
    let mut first = BTreeMap::<(String, String), usize>::new();
    for one in found {
        let Some(group) = &one.rule.group else {
            kept.push(one);
            continue;
        };
        let key = (group.clone(), one.anchor.clone());
        match first.get(&key).and_then(|at| kept.get_mut(*at)) {
            Some(worse) if worse.rule.id != one.rule.id => {
                if !worse.also.contains(&one.rule.id) {
                    worse.also.push(one.rule.id.clone());
                }
            }
            Some(_) => kept.push(one),
            None => {
                first.insert(key, kept.len());
                kept.push(one);
            }
        }
    }
    kept
}
