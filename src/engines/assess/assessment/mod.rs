//! The assessment: everything that is known of a record, as findings, ways in, what to do and a text.
//!
//! ```text
//! context ── facts ── rules ──────┐
//!    └────── software ── database ┴ part ── findings ── ways in (chains)
//!                                              ├─────── what to do (remedies)
//!                                              └─────── the text (narrative)
//! ```
//!
//! The same context, rules and database give the same bytes: there is no clock, no network, no chance, and no
//! list is read in an order that means nothing ([`order`]). How bad a finding is, and what comes first, is
//! reckoned in [`score`]. What strangers wrote passes [`text`] on its way, all of it.
//!
//! # What is a finding
//!
//! What a rule found, one for each place; and what the database has of software whose version is known, one
//! for each CVE and place, the surest where several sources say it. What a distribution has mended is none.
//! What it may have mended is one of low confidence, and says so. [`ruled`] has what becomes of a rule that
//! says what the database says as well. 2,000 are kept, those to see to first, as far as 2 MiB hold
//! them; the narrative tells how many were left out.
//!
//! # The level of the record
//!
//! That of its worst finding whose confidence is 0.5 or more; `info` without one.

mod chain_table;
mod chains;
mod found;
mod known;
mod narrative;
mod order;
mod remedies;
mod ruled;
mod score;
mod software;
mod summary;
mod text;

#[cfg(test)]
mod assessment_tests;

use std::collections::BTreeSet;

use super::facts::Facts;
use super::rules::RuleSet;
use super::vulndb::{self, Vulndb};
use crate::api::{AssessmentContext, AssessmentSubmission, LookedFor, RiskLevel};

use found::Found;
use known::Answers;
use narrative::Told;
use software::WEB;

/// Findings of an assessment.
const FINDINGS_MAX: usize = 2000;
/// Bytes of JSON of the findings, with their keys once more for what ends them.
const FINDINGS_BYTES: usize = 2 * 1024 * 1024;

/// Assesses a record by what the hub knows of it. The same input gives the same bytes.
///
/// # Errors
///
/// The database is damaged.
pub fn assess(
    context: &AssessmentContext,
    rules: &RuleSet,
    database: Option<&Vulndb>,
) -> Result<AssessmentSubmission, vulndb::Error> {
    let context = order::canonical(context);
    let context = context.as_ref();
    let facts = Facts::of(context);
    let all = software::all(context);
    let answers = match database {
        Some(database) => known::ask(database, &all)?,
        None => Answers::default(),
    };
    let (found, left_out) = findings(&facts, rules, &answers);
    let risk_level = level(&found);
    let ways = chains::all(&found, facts.public);
    let (steps, steps_left_out) = remedies::all(&found, database)?;
    let narrative = narrative::tell(&Told {
        context,
        facts: &facts,
        database,
        software: &all,
        answers: &answers,
        found: &found,
        left_out,
        level: risk_level,
        ways: &ways,
        steps: &steps,
        steps_left_out,
    });
    Ok(AssessmentSubmission {
        eggrecord_id: context.eggrecord_id,
        target: context.target.clone(),
        risk_level,
        threat_summary: summary::threat(&found, risk_level),
        vulnerabilities: found.into_iter().map(|found| found.wire).collect(),
        attack_vectors: ways,
        remediation_priorities: steps,
        narrative,
        lease_id: None,
        // What else it looked for, whoever chose rules and database knows.
        looked_for: (left_out > 0).then(|| LookedFor {
            left_out: u64::try_from(left_out).unwrap_or(u64::MAX),
            ..LookedFor::default()
        }),
    })
}

/// The level of the record.
fn level(found: &[Found]) -> RiskLevel {
    let sure = found.iter().filter(|found| found.is_sure());
    let worst = sure.map(|found| found.wire.severity).max();
    worst.unwrap_or(RiskLevel::Info)
}

/// All findings, what to see to first first, and how many more there were.
fn findings(facts: &Facts, rules: &RuleSet, answers: &Answers) -> (Vec<Found>, usize) {
    let web = software::web_anchors(facts);
    let mut ruled = ruled::part(rules.evaluate(facts), facts, answers);
    let mut found: Vec<Found> = Vec::new();
    for (place, hit) in &answers.hits {
        let by = ruled.merged.remove(place).unwrap_or_default();
        let by: Vec<_> = by.iter().collect();
        let anchors = match hit.software.place.as_str() {
            WEB => web.clone(),
            place => BTreeSet::from([place.to_owned()]),
        };
        found.push(known::finding(hit, facts.public, &by, anchors));
    }
    let own = ruled.own.iter();
    found.extend(own.map(|one| ruled::finding(one, facts, &web)));
    found.sort_by(Found::order);
    // Two places of one name, once what acts in them is written out.
    let mut keys = BTreeSet::new();
    found.retain(|one| keys.insert(one.wire.key.clone()));
    cut(found)
}

/// As many as there is room for.
fn cut(mut found: Vec<Found>) -> (Vec<Found>, usize) {
    let total = found.len();
    let mut bytes = 0_usize;
    let fit = found.iter().take(FINDINGS_MAX).take_while(|found| {
        let json = serde_json::to_string(&found.wire).map_or(FINDINGS_BYTES, |text| text.len());
        bytes += json + found.wire.key.len() + 8;
        bytes <= FINDINGS_BYTES
    });
    let fit = fit.count();
    found.truncate(fit);
    (found, total - fit)
}
