//! The assessment in a sentence or two.

use crate::api::RiskLevel;

use super::found::Found;
use super::text::count;

/// "2 findings are critical", the worst levels first; nothing that is not sure.
pub fn levels(found: &[Found]) -> Vec<(RiskLevel, usize)> {
    let sure = || found.iter().filter(|found| found.is_sure());
    let of = |level| sure().filter(|found| found.wire.severity == level).count();
    let all = RiskLevel::ALL
        .into_iter()
        .rev()
        .map(|level| (level, of(level)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// A sentence or two: what the level is, by which finding, and what else there is.
pub fn threat(found: &[Found], level: RiskLevel) -> String {
    let unsure = found.iter().filter(|found| !found.is_sure()).count();
    let mut sure = found.iter().filter(|found| found.is_sure());
    let Some(worst) = sure.find(|found| found.wire.severity == level) else {
        return match unsure {
            0 => "Nothing of what is known of it is a finding.".to_owned(),
            _ => format!(
                "Nothing that is sure enough to count was found; {} may be so.",
                count(unsure, "finding", "findings")
            ),
        };
    };
    let wire = &worst.wire;
    let told: Vec<String> = levels(found)
        .into_iter()
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let all = format!(
        "{}: {}",
        count(found.len() - unsure, "finding", "findings"),
        told.join(", ")
    );
    let less = match unsure {
        0 => String::new(),
        _ => format!("; {unsure} more with a confidence below 0.5"),
    };
    format!(
        "Risk is {level}: {} ({}, confidence {:.2}, priority {:.1}). {all}{less}.",
        wire.title,
        super::text::word(&wire.location),
        wire.confidence,
        wire.priority.score,
    )
}
