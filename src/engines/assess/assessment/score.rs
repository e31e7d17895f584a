//! How bad a finding is, and what to see to first.
//!
//! # Severity
//!
//! That of a rule's finding is what the rule says for a record that is public, is not, or of which that is
//! not known. That of a known vulnerability:
//!
//! 1. Its CVSS base score, of version 3.1 where there is one: nearly all vulnerabilities have it, so that
//!    one can be held against another. Else 4.0, 3.0, 2.0 in this order; where nobody has scored it yet,
//!    5.0 is assumed and said.
//! 2. The level by the scale of CVSS (v3.1 specification §5, v4.0 specification §6: none 0, low to 3.9, medium to
//!    6.9, high to 8.9, critical). Scores of 2.0 are high at most, as NVD has it.
//! 3. In CISA's catalogue of known exploited vulnerabilities (KEV; Binding Operational Directive 22-01):
//!    one level more, and high at least.
//! 4. Where a packaged rule about the same vulnerability says worse, that.
//! 5. Of a confidence below 0.5: one level less.
//!
//! # Priority
//!
//! `min(100, 10 × base × exploited × likelihood × exposure × confidence)`, in decimals of fixed length, so
//! that every machine has the same: each factor has two places after the point, the score has one.
//!
//! | factor | of a known vulnerability | of a rule's finding |
//! |---|---|---|
//! | base | the base score; 5.0 where there is none | 9.5, 8, 5.5, 2, 0.5 from critical to info, about the middle of CVSS's ranges |
//! | exploited | 1.60 ransomware uses it (KEV), 1.50 in KEV, 1.30 a rule says that it is exploited, else 1 | 1.30 in the category `known-exploited`, else 1 |
//! | likelihood | 0.80 + 0.40 × EPSS; 1.20 if in KEV, as FIRST asks to believe evidence before EPSS; 0.90 without a score | 1: what is seen needs no forecast |
//! | exposure | 1 public, 0.70 not public, 0.85 not known; times 0.50 if its vector needs a login or somebody on the host (`AV:L`, `AV:P`) | the same, but 1 where the rule has a level of its own for such an address |
//! | confidence | of the version times that of the match | of the evidence times that of the rule |
//!
//! EPSS is the probability of exploitation within 30 days (FIRST). The weights are ours: they order findings and
//! claim nothing else.

use crate::api::{COUNTS_FROM, CvssBase, Priority, PriorityFactor, RiskLevel};

use super::super::rules::Match;
use super::super::vulndb::{Cvss, Details};

/// Confidence from which on a finding counts for the record, hundredths.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is from 0 to 1
pub const SURE: u64 = (COUNTS_FROM * 100.0) as u64;
/// Base score of what nobody has scored, hundredths.
const UNSCORED: u64 = 500;

/// A factor, in hundredths.
struct Factor(&'static str, u64, String);

/// A finding's weight.
#[derive(Debug, Clone, Default)]
pub struct Weight {
    /// How bad it is.
    pub severity: RiskLevel,
    /// What to see to first.
    pub priority: Priority,
    /// The score that it rests on.
    pub cvss: Option<CvssBase>,
    /// How the severity came about, in words.
    pub why: String,
}

/// A number as hundredths; what is none, and what is negative, is 0.
pub fn hundredths(number: f64) -> u64 {
    let scaled = (number * 100.0).round();
    match scaled.is_finite() && scaled > 0.0 {
        // It is whole, positive and no more than this.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        true => scaled.min(1e6) as u64,
        false => 0,
    }
}

/// Hundredths as a number: the nearest to it, on every machine.
pub fn number(hundredths: u64) -> f64 {
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

/// A confidence, to two places.
pub fn confidence(number: f64) -> u64 {
    hundredths(number).min(100)
}

fn priority(factors: [Factor; 5]) -> Priority {
    // Ten times the product, in tenths: 10 × 10 × the product of the hundredths / 100^5, half up.
    let product: u128 = factors.iter().map(|f| u128::from(f.1)).product();
    let tenths = (product * 100 + 5_000_000_000) / 10_000_000_000;
    let tenths = u32::try_from(tenths).unwrap_or(u32::MAX).min(1000);
    Priority {
        score: f64::from(tenths) / 10.0,
        factors: factors
            .into_iter()
            .map(|Factor(name, value, why)| PriorityFactor {
                name: name.to_owned(),
                value: number(value),
                why,
            })
            .collect(),
    }
}

/// The level of a base score, tenths.
fn band(version: &str, tenths: u64) -> RiskLevel {
    match tenths {
        0 => RiskLevel::Info,
        1..=39 => RiskLevel::Low,
        40..=69 => RiskLevel::Medium,
        70..=89 => RiskLevel::High,
        _ if version == "2.0" => RiskLevel::High,
        _ => RiskLevel::Critical,
    }
}

fn raised(level: RiskLevel) -> RiskLevel {
    let mut worse = RiskLevel::ALL.into_iter().filter(|other| *other > level);
    worse.next().unwrap_or(level)
}

/// One level less.
pub fn lowered(level: RiskLevel) -> RiskLevel {
    let better = RiskLevel::ALL.into_iter().rev();
    let mut better = better.filter(|other| *other < level);
    better.next().unwrap_or(level)
}

fn exposure(public: Option<bool>) -> (u64, &'static str) {
    match public {
        Some(true) => (100, "the whole Internet can reach the address"),
        Some(false) => (70, "the address is not public"),
        None => (85, "whether the address is public is not known"),
    }
}

/// Which of its scores counts.
fn preferred(scores: &[Cvss]) -> Option<&Cvss> {
    let of = |version| scores.iter().find(move |cvss| cvss.version == version);
    ["3.1", "4.0", "3.0", "2.0"].into_iter().find_map(of)
}

/// Whether somebody must be on the host already.
pub fn is_local(cve: &Details) -> bool {
    preferred(&cve.cvss).is_some_and(|cvss| {
        let mut metrics = cvss.vector.split('/');
        metrics.any(|metric| matches!(metric, "AV:L" | "AV:P"))
    })
}

/// A known vulnerability; `by` are rules that say it, too.
pub fn known(cve: &Details, sure: u64, public: Option<bool>, by: &[&Match]) -> Weight {
    let cvss = preferred(&cve.cvss);
    let (base, told) = match cvss {
        Some(cvss) => {
            let base = hundredths(cvss.score).min(1000);
            let told = format!("CVSS {} base score {:.1}", cvss.version, cvss.score);
            (base, told)
        }
        None => (
            UNSCORED,
            "nobody has scored it yet, 5.0 is assumed".to_owned(),
        ),
    };
    let version = cvss.map_or("", |cvss| cvss.version);
    let mut severity = band(version, base / 10);
    let mut why = format!("{told} ({severity})");
    let exploited = exploited(cve, by);
    if cve.kev.is_some() {
        severity = raised(severity).max(RiskLevel::High);
        why.push_str(&format!("; {}: {severity}", exploited.2));
    }
    if let Some(rule) = by.iter().find(|found| found.severity > severity)
        && sure >= SURE
    {
        severity = rule.severity;
        why.push_str(&format!("; the rule {} says {severity}", rule.rule.id));
    }
    if sure < SURE {
        severity = lowered(severity);
        why.push_str(&format!("; not sure: {severity}"));
    }
    let (mut reach, open) = exposure(public);
    let mut reached = open.to_owned();
    if is_local(cve) {
        reach /= 2;
        reached.push_str("; who uses it must be on the host already");
    }
    let likelihood = likelihood(cve);
    let base = Factor("base", base, told);
    let reach = Factor("exposure", reach, reached);
    Weight {
        severity,
        priority: priority([base, exploited, likelihood, reach, surety(sure)]),
        cvss: cvss.map(|cvss| CvssBase {
            version: cvss.version.to_owned(),
            vector: super::text::clean(&cvss.vector),
            score: number(hundredths(cvss.score)),
        }),
        why,
    }
}

fn surety(sure: u64) -> Factor {
    let why = match sure {
        0..SURE => "it may well not be so",
        SURE..90 => "likely, not certain",
        _ => "as good as certain",
    };
    Factor("confidence", sure, why.to_owned())
}

fn exploited(cve: &Details, by: &[&Match]) -> Factor {
    let (value, why) = match &cve.kev {
        Some(kev) if kev.ransomware => (160, "ransomware uses it (CISA KEV"),
        Some(_) => (150, "it is exploited (CISA KEV"),
        None => {
            let said = by.iter().find(|found| is_exploited(found));
            return match said {
                Some(said) => {
                    let why = format!("the rule {} says that it is exploited", said.rule.id);
                    Factor("exploited", 130, why)
                }
                None => Factor("exploited", 100, "not in CISA's catalogue".to_owned()),
            };
        }
    };
    let since = cve.kev.as_ref().map_or("", |kev| kev.added.as_str());
    let why = format!("{why}, since {})", super::text::word(since));
    Factor("exploited", value, why)
}

fn is_exploited(found: &Match) -> bool {
    found.rule.category == "known-exploited"
}

fn likelihood(cve: &Details) -> Factor {
    let of = |value, why: &str| Factor("likelihood", value, why.to_owned());
    if cve.kev.is_some() {
        return of(120, "exploitation was seen, which goes before any forecast");
    }
    match cve.epss {
        Some(epss) => {
            let percent = hundredths(epss.score).min(100);
            // Of 0.40, to two places, half up.
            let value = 80 + (percent * 40 + 50) / 100;
            let why = format!("EPSS {:.2} within 30 days", number(percent));
            Factor("likelihood", value, why)
        }
        None => of(90, "no EPSS score is known"),
    }
}

/// What a rule found.
pub fn rule(found: &Match, sure: u64) -> Weight {
    let severity = found.severity;
    let base = match severity {
        RiskLevel::Info => 50,
        RiskLevel::Low => 200,
        RiskLevel::Medium => 550,
        RiskLevel::High => 800,
        RiskLevel::Critical => 950,
    };
    let said = &found.rule.severity;
    let own = match found.public {
        Some(true) => said.public.is_some(),
        Some(false) => said.private.is_some(),
        None => false,
    };
    let (reach, reached) = match own {
        true => (100, "the rule's level counts it already"),
        false => exposure(found.public),
    };
    let exploited = match is_exploited(found) {
        true => Factor(
            "exploited",
            130,
            "the rule says that it is exploited".to_owned(),
        ),
        false => Factor("exploited", 100, "no particular vulnerability".to_owned()),
    };
    let factors = [
        Factor("base", base, format!("{severity} by the rule")),
        exploited,
        Factor(
            "likelihood",
            100,
            "it was seen, and needs no forecast".to_owned(),
        ),
        Factor("exposure", reach, reached.to_owned()),
        surety(sure),
    ];
    Weight {
        severity,
        priority: priority(factors),
        cvss: None,
        why: said.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::assess::vulndb::{Epss, Kev};

    fn cve(version: &'static str, score: f64) -> Details {
        Details {
            id: "CVE-2021-41773".to_owned(),
            title: String::new(),
            description: String::new(),
            cvss: vec![Cvss {
                version,
                vector: "CVSS:3.1/AV:N/AC:L".to_owned(),
                score,
            }],
            cwe: Vec::new(),
            kev: None,
            epss: None,
            published: None,
            references: Vec::new(),
            rejected: false,
        }
    }

    #[test]
    fn the_scale_of_cvss_has_these_edges() {
        for (score, level) in [
            (0.0, RiskLevel::Info),
            (0.1, RiskLevel::Low),
            (3.9, RiskLevel::Low),
            (4.0, RiskLevel::Medium),
            (6.9, RiskLevel::Medium),
            (7.0, RiskLevel::High),
            (8.9, RiskLevel::High),
            (9.0, RiskLevel::Critical),
            (10.0, RiskLevel::Critical),
        ] {
            let weight = known(&cve("3.1", score), 100, None, &[]);
            assert_eq!(weight.severity, level, "{score}");
        }
        let old = known(&cve("2.0", 10.0), 100, None, &[]);
        assert_eq!(old.severity, RiskLevel::High);
    }

    #[test]
    fn the_arithmetic_can_be_done_by_hand() {
        let mut cve = cve("3.1", 7.5);
        cve.epss = Some(Epss {
            score: 0.5,
            percentile: 0.9,
        });
        // 10 × 7.5 × 1 × 1.00 × 1 × 0.95
        let weight = known(&cve, 95, Some(true), &[]);
        assert_eq!(
            (weight.severity, weight.priority.score),
            (RiskLevel::High, 71.3)
        );
        // 10 × 7.5 × 1 × 1 × 0.7 × 0.38
        let weight = known(&cve, 38, Some(false), &[]);
        assert_eq!(
            (weight.severity, weight.priority.score),
            (RiskLevel::Medium, 20.0)
        );
        cve.kev = Some(Kev {
            added: "2021-11-03".to_owned(),
            ransomware: true,
            ..Kev::default()
        });
        let weight = known(&cve, 95, Some(true), &[]);
        assert_eq!(
            (weight.severity, weight.priority.score),
            (RiskLevel::Critical, 100.0)
        );
        let values: Vec<f64> = weight.priority.factors.iter().map(|f| f.value).collect();
        assert_eq!(values, [7.5, 1.6, 1.2, 1.0, 0.95]);
    }

    #[test]
    fn what_is_no_number_weighs_nothing() {
        for odd in [f64::NAN, f64::INFINITY, -1.0, f64::NEG_INFINITY] {
            assert_eq!(confidence(odd), 0, "{odd}");
        }
        assert_eq!(confidence(7.0), 100);
        assert_eq!(hundredths(0.285), 28);
    }

    #[test]
    fn three_one_goes_before_four() {
        let mut cve = cve("4.0", 9.3);
        cve.cvss.push(Cvss {
            version: "3.1",
            vector: String::new(),
            score: 5.0,
        });
        assert_eq!(known(&cve, 100, None, &[]).severity, RiskLevel::Medium);
        cve.cvss.clear();
        assert_eq!(known(&cve, 100, None, &[]).severity, RiskLevel::Medium);
    }
}
