//! What to do: each thing once, however many findings it ends, and what helps most first.
//!
//! Findings of versions of one product are ended by one upgrade; others by what their rules say, and those
//! that say the same are ended together. The order is: the highest priority that a step ends, then the
//! least work, then the most findings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::api::RemediationStep;

use super::super::vulndb::version::{Scheme, compare};
use super::super::vulndb::{self, Certainty, End, Product, Vulndb};
use super::found::{Found, Remedy};
use super::score;
use super::software;
use super::text::{count, list, word};

/// Steps of an assessment.
const MOST: usize = 200;
/// How often a version is looked up that ends others, before none is named.
const TRIES: usize = 12;
/// Findings and places that a step names.
const NAMED: usize = 3;

/// What ends findings together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Another version of this software.
    Upgrade(software::Key),
    /// Nobody knows a version that ends it.
    Unended(software::Key),
    /// What rules say.
    Action(String),
}

/// `None`: nothing needs to be done.
fn what(found: &Found) -> Option<What> {
    Some(match &found.remedy {
        Remedy::Nothing => return None,
        Remedy::Action => What::Action(found.wire.remediation.clone()),
        Remedy::Upgrade {
            name, version, end, ..
        } => {
            let key = software::key(name, version);
            match end {
                End::Open if found.of_cve => What::Unended(key),
                _ => What::Upgrade(key),
            }
        }
    })
}

/// All steps, what helps most first, and how many there was no room for.
///
/// # Errors
/// The database is damaged.
pub fn all(
    found: &[Found],
    database: Option<&Vulndb>,
) -> Result<(Vec<RemediationStep>, usize), vulndb::Error> {
    let mut groups: BTreeMap<What, Vec<&Found>> = BTreeMap::new();
    for one in found {
        if let Some(what) = what(one) {
            groups.entry(what).or_default().push(one);
        }
    }
    let mut steps = Vec::with_capacity(groups.len());
    for (what, found) in groups {
        steps.push(step(&what, &found, database)?);
    }
    let work = |step: &RemediationStep| match step.effort.as_str() {
        "low" => 0,
        "medium" => 1,
        _ => 2,
    };
    steps.sort_by_cached_key(|step| {
        let ended = Reverse(score::hundredths(step.priority));
        let most = Reverse(step.findings.len());
        (ended, work(step), most, step.action.clone())
    });
    let left_out = steps.len().saturating_sub(MOST);
    steps.truncate(MOST);
    for (rank, step) in (1..).zip(&mut steps) {
        step.rank = rank;
    }
    Ok((steps, left_out))
}

/// One step; its findings are in order of priority.
fn step(
    what: &What,
    found: &[&Found],
    database: Option<&Vulndb>,
) -> Result<RemediationStep, vulndb::Error> {
    let first = found.first();
    let (action, effort) = match (what, first.map(|found| &found.remedy)) {
        (What::Upgrade(_), Some(Remedy::Upgrade { name, version, .. })) => {
            upgrade(name, version, found, database)?
        }
        (What::Unended(_), Some(Remedy::Upgrade { name, version, .. })) => {
            let of = format!("{} {}", word(name), word(version));
            let action = format!(
                "See what the makers of {of} say of {}, for which nobody names a corrected version, and restrict who reaches it",
                list(&names(found), NAMED)
            );
            (action, "medium".to_owned())
        }
        _ => {
            let effort = first.map_or("", |found| &found.wire.effort);
            let action = first.map_or("", |found| &found.wire.remediation);
            (action.to_owned(), effort.to_owned())
        }
    };
    let scores = found.iter().map(|found| found.wire.priority.score);
    Ok(RemediationStep {
        rank: 0,
        action,
        reason: reason(found),
        effort,
        priority: scores.fold(0.0, f64::max),
        findings: found.iter().map(|found| found.wire.key.clone()).collect(),
    })
}

/// Names of findings: CVEs, or what rules say.
fn names(found: &[&Found]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for found in found {
        let wire = &found.wire;
        let name = wire.cve.clone().unwrap_or_else(|| wire.title.clone());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn reason(found: &[&Found]) -> String {
    let worst = found.iter().map(|found| found.wire.severity).max();
    let worst = worst.map_or("info", |level| level.as_str());
    let places: BTreeSet<String> = found.iter().map(|f| word(&f.wire.location)).collect();
    let places: Vec<String> = places.into_iter().collect();
    format!(
        "ends {} ({}) in {}; the worst is {worst}",
        count(found.len(), "finding", "findings"),
        list(&names(found), NAMED),
        list(&places, NAMED),
    )
}

/// What to upgrade to, and how much work that is.
fn upgrade(
    name: &str,
    version: &str,
    found: &[&Found],
    database: Option<&Vulndb>,
) -> Result<(String, String), vulndb::Error> {
    let of = format!("{} {}", word(name), word(version));
    let mut ends: Vec<&End> = Vec::new();
    let (mut product, mut maintained, mut outdated) = (None, false, false);
    for found in found {
        if let Remedy::Upgrade {
            product: named,
            end,
            packaged,
            unsupported,
            ..
        } = &found.remedy
        {
            maintained |= packaged;
            outdated |= unsupported;
            product = product.or(named.as_deref());
            if found.of_cve {
                ends.push(end);
            }
        }
    }
    let to = match target(&ends, product, database)? {
        Some(End::Before(version)) => format!("{} or later", word(&version)),
        Some(End::With(version)) => format!("a supported version after {}", word(&version)),
        _ => "a supported version".to_owned(),
    };
    // A rule knows its range, and not where that ends: the database's end alone may be too early.
    let by_rule = found.iter().any(|one| !one.of_cve);
    let kept = match to.ends_with("or later") {
        true if by_rule && !ends.is_empty() => ", the newest that is still maintained",
        true if outdated => ", a version that is still maintained",
        _ => "",
    };
    Ok(match maintained {
        true => (
            format!("Install the distribution's updates of {of}, or upgrade it to {to}{kept}"),
            "low".to_owned(),
        ),
        false => (format!("Upgrade {of} to {to}{kept}"), "medium".to_owned()),
    })
}

/// The smallest version that is known to be outside of all these ranges, and of those that the database has
/// of it in turn; `With`: it must be later than that. `None`: nobody tells.
fn target(
    ends: &[&End],
    product: Option<&str>,
    database: Option<&Vulndb>,
) -> Result<Option<End>, vulndb::Error> {
    let mut end = End::Open;
    for next in ends {
        end = later(end, next);
    }
    let (Some(product), Some(database)) = (product, database) else {
        return Ok((end != End::Open).then_some(end));
    };
    for _ in 0..TRIES {
        let version = match &end {
            End::Before(version) => version.clone(),
            // Which version comes after is not known, and neither is what it has.
            End::With(_) => return Ok(Some(end)),
            End::Open => return Ok(None),
        };
        let cpes = [format!("cpe:2.3:a:{product}:{version}")];
        let known = database.of(&Product {
            cpes: &cpes,
            ..Product::default()
        })?;
        let has = known.iter().filter(|known| {
            let fixed = matches!(known.certainty, Certainty::Fixed { .. });
            !fixed && !known.cve.rejected && score::confidence(known.confidence) >= score::SURE
        });
        let mut next = end.clone();
        for known in has {
            next = later(next, &known.end);
        }
        if next == end {
            return Ok(Some(end));
        }
        end = next;
    }
    Ok(None)
}

/// Which of two ends is the later one; one that is not known changes nothing.
fn later(a: End, b: &End) -> End {
    let text = |end: &End| match end {
        End::Open => None,
        End::Before(version) | End::With(version) => Some(version.clone()),
    };
    let Some(second) = text(b) else {
        return a;
    };
    let Some(first) = text(&a) else {
        return b.clone();
    };
    match compare(Scheme::Generic, &first, &second) {
        std::cmp::Ordering::Less => b.clone(),
        // With it is after before it.
        std::cmp::Ordering::Equal if matches!(b, End::With(_)) => b.clone(),
        _ => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_end_counts() {
        let before = |v: &str| End::Before(v.to_owned());
        let with = |v: &str| End::With(v.to_owned());
        assert_eq!(later(before("1.9"), &before("1.10")), before("1.10"));
        assert_eq!(later(End::Open, &with("1")), with("1"));
        assert_eq!(later(with("2"), &End::Open), with("2"));
        assert_eq!(later(before("2.0"), &with("2")), with("2"));
        assert_eq!(target(&[], None, None).unwrap(), None);
        assert_eq!(
            target(&[&before("1.2"), &before("1.3")], None, None).unwrap(),
            Some(before("1.3"))
        );
    }
}
