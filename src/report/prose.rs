//! Sentences that more than one format says.

use super::facts::{Issue, Status, Subject};
use super::{Head, Shown, amount, day};
use crate::api::RiskLevel;

/// What the report is made of.
pub(super) fn looked_at(head: &Head<'_>) -> String {
    let totals = head.totals;
    let targets = amount(totals.targets(), "target", "targets");
    let mut text = match totals.targets() - totals.assessed() {
        0 => format!("{targets}."),
        n => format!("{targets}, {} of them not assessed yet.", n),
    };
    if head.settings.not_assessed > 0 {
        let n = amount(head.settings.not_assessed, "target", "targets");
        text.push_str(&format!(" Left out: {n} without an assessment."));
    }
    text
}

/// What was left out because it was asked to be, and what for want of room.
pub(super) fn filter(head: &Head<'_>) -> String {
    let mut sentences = Vec::new();
    let (less_severe, no_room) = head.totals.left_out();
    if head.settings.min_severity > RiskLevel::Info {
        let n = amount(less_severe, "finding", "findings");
        let level = head.settings.min_severity;
        sentences.push(format!("{n} of less severity than {level} left out."));
    }
    if head.settings.shown == Shown::Open {
        sentences.push("Only findings that are open.".to_owned());
    }
    if no_room > 0 {
        let n = amount(no_room, "finding", "findings");
        sentences.push(format!("No room for {n} of least weight."));
    }
    sentences.join(" ")
}

/// Of which targets there is no more than a line, where that is so.
pub(super) fn at_length(head: &Head<'_>) -> Option<String> {
    let brief = head.brief();
    let told = head.parts.len() as u64 - brief;
    let which = match told {
        0 => "Of no target more is told".to_owned(),
        n => format!(
            "Of the worst {} all is told below, of the other {} no more",
            amount(n, "target", "targets"),
            crate::runtime::text::grouped(brief)
        ),
    };
    (brief > 0).then(|| {
        format!(
            "{which} than is in this list; they are counted above all the same. A report of fewer targets tells \
             all of them, as do the forms json and csv."
        )
    })
}

/// How many targets the list does not name.
pub(super) fn unlisted(more: u64) -> Option<String> {
    (more > 0).then(|| {
        let targets = amount(more, "more target is", "more targets are");
        format!("{targets} not in this list, none of them worse than its last; json has them.")
    })
}

/// The whole in a few sentences.
pub(super) fn summary(head: &Head<'_>) -> Vec<String> {
    let totals = head.totals;
    let mut first = match totals.open_told() {
        0 => "No finding is open.".to_owned(),
        n => format!(
            "{} open: {}.",
            amount(n, "finding is", "findings are"),
            by_severity(totals.open())
        ),
    };
    let worst = totals.risks().last_key_value();
    if let Some((risk, n)) = worst {
        let targets = amount(*n, "target", "targets");
        first.push_str(&format!(" The highest risk is {risk}, of {targets}."));
    }
    let mut second = Vec::new();
    if totals.exploited() > 0 {
        let n = amount(totals.exploited(), "finding is", "findings are");
        second.push(format!(
            "{n} of vulnerabilities that are exploited in the wild."
        ));
    }
    if totals.fresh() > 0 {
        let n = amount(totals.fresh(), "is", "are");
        second.push(format!("{n} new since the assessment before."));
    }
    let (accepted, false_positives, fixed) = totals.not_open();
    for (n, what) in [
        (accepted, "accepted"),
        (false_positives, "marked as false"),
        (fixed, "fixed"),
    ] {
        if n > 0 {
            second.push(format!("{} {what}.", amount(n, "is", "are")));
        }
    }
    let mut all = vec![first];
    if !second.is_empty() {
        all.push(second.join(" "));
    }
    all
}

/// `1 critical, 2 low`.
pub(super) fn by_severity(counts: &super::facts::Counts) -> String {
    let each = counts.iter().rev().filter(|(_, n)| **n > 0);
    let each: Vec<_> = each.map(|(level, n)| format!("{n} {level}")).collect();
    each.join(", ")
}

/// Why the risk of a target is what it is. A text of strangers is none of this.
pub(super) fn risk(subject: &Subject) -> Vec<String> {
    let mut sentences = Vec::new();
    let Some(risk) = subject.risk_level else {
        sentences.push("It was not assessed yet.".to_owned());
        return sentences;
    };
    let open: u64 = subject.open.values().sum();
    let worst = subject.counting.last_key_value();
    let unsure = open - subject.counting.values().sum::<u64>();
    sentences.push(match worst {
        None if open == 0 => format!("Risk: {risk}. No finding is open."),
        None => format!("Risk: {risk}. No finding that is open counts."),
        Some((worst, n)) => {
            let what = amount(*n, "open finding is", "open findings are");
            match worst.cmp(&risk) {
                std::cmp::Ordering::Equal => format!(
                    "Risk: {risk}, that of its worst: {what} {worst}, of {open} that are open."
                ),
                std::cmp::Ordering::Greater => format!(
                    "Risk: {risk} when it was assessed; {what} {worst} now, of {open} that are open."
                ),
                std::cmp::Ordering::Less => format!(
                    "Risk: {risk} when it was assessed; the worst that is still to be seen to is {worst}."
                ),
            }
        }
    });
    if unsure > 0 {
        let what = amount(unsure, "finding is", "findings are");
        let does = if unsure == 1 { "does" } else { "do" };
        let sentence = format!("{what} less than 50 % sure, and {does} not count.");
        sentences.push(sentence);
    }
    match subject.risk_before {
        Some(before) if before != risk => {
            sentences.push(format!("It was {before} in the assessment before."));
        }
        Some(_) => sentences.push("It was the same in the assessment before.".to_owned()),
        None => {}
    }
    sentences
}

/// How the score of a finding was reckoned; nothing when nobody said.
pub(super) fn arithmetic(issue: &Issue) -> Option<String> {
    let priority = issue.priority.as_ref()?;
    if priority.factors.is_empty() {
        return None;
    }
    let product = priority.factors.iter().map(|f| f.value).product::<f64>() * 10.0;
    let factors: Vec<_> = priority.factors.iter().map(|f| figure(f.value)).collect();
    let capped = if product > 100.0 { ", at most 100" } else { "" };
    Some(format!(
        "10 × {} = {}{capped}",
        factors.join(" × "),
        figure((product * 10.0).round() / 10.0)
    ))
}

/// The CVSS base score, when there is one that can be.
pub(super) fn score(issue: &Issue) -> Option<f64> {
    let score = issue.cvss.as_ref()?.score;
    (0.0..=10.0).contains(&score).then_some(score)
}

/// A number without digits that say nothing.
pub(super) fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// When it was seen, fixed and seen again.
pub(super) fn life(issue: &Issue) -> String {
    let mut text = Vec::new();
    let mut say = |what: &str, time: Option<chrono::DateTime<chrono::Utc>>| {
        text.extend(time.map(|time| format!("{what} {}", day(time))));
    };
    say("first seen", issue.first_seen_at);
    say("last seen", issue.last_seen_at);
    say("came back", issue.reopened_at);
    if issue.status == Status::Fixed {
        say("fixed", issue.fixed_at);
    }
    text.join(", ")
}

/// What is known of how likely it is to be used.
pub(super) fn likelihood(issue: &Issue) -> String {
    let mut text = Vec::new();
    if issue.kev {
        text.push("exploited in the wild (CISA KEV)".to_owned());
    }
    if let Some(epss) = issue.epss {
        let percent = figure((epss * 1000.0).round() / 10.0);
        text.push(format!("EPSS {percent} % within 30 days"));
    }
    text.join(", ")
}

/// A percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).clamp(0.0, 100.0))
}

/// Where MITRE describes a technique; nothing for what is no number of one.
pub(super) fn technique_address(technique: &str) -> Option<String> {
    let (main, sub) = match technique.split_once('.') {
        Some((main, sub)) => (main, Some(sub)),
        None => (technique, None),
    };
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let right = digits(main.strip_prefix('T')?, 4) && sub.is_none_or(|sub| digits(sub, 3));
    right.then(|| match sub {
        Some(sub) => format!("https://attack.mitre.org/techniques/{main}/{sub}/"),
        None => format!("https://attack.mitre.org/techniques/{main}/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques() {
        let of = technique_address;
        assert_eq!(
            of("T1190").as_deref(),
            Some("https://attack.mitre.org/techniques/T1190/")
        );
        assert_eq!(
            of("T1078.001").as_deref(),
            Some("https://attack.mitre.org/techniques/T1078/001/")
        );
        for no in ["", "T119", "T1190/..", "X1190", "T1190.1", "T1190.001.002"] {
            assert_eq!(of(no), None, "{no}");
        }
    }

    #[test]
    fn figures() {
        assert_eq!(figure(9.8), "9.8");
        assert_eq!(figure(100.0), "100");
        assert_eq!(figure(0.125), "0.125");
        assert_eq!(figure(0.0), "0");
    }
}
