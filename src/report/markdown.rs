//! A report as GitHub flavoured Markdown. Texts of strangers are text there ([`Text::markdown`]).

use std::fmt::Write as _;

use super::facts::{Evidence, Issue, Subject};
use super::parts::Part;
use super::{Head, Text, amount, day, prose, time};
use crate::api::RiskLevel;

/// Things to do first that are told of all targets.
const ACTIONS_MOST: usize = 20;

/// The end of the document.
pub(super) const AFTER: &str = "\n---\n\n\
The risk of a target is that of its worst open finding that is sure by 50 % at least. The priority of a finding is the product of its \
factors with 10, at most 100. Findings rest on versions, settings and answers to ordinary requests; nothing was \
exploited.\n";

/// Lines of text; writing to memory does not fail.
macro_rules! say {
    ($out:expr, $($part:tt)*) => {{ let _ = writeln!($out, $($part)*); }};
}

/// All that goes before the targets.
pub(super) fn before(head: &Head<'_>) -> String {
    let mut out = String::new();
    let asked = match head.settings.asked.as_slice() {
        [] => "all that was assessed".to_owned(),
        names => Text::cut(&names.join(", "), 120).markdown(),
    };
    say!(out, "# Attack surface: {asked}\n");
    let mut line = head
        .time
        .map_or_else(String::new, |at| format!("As of {}. ", time(at)));
    line = format!("{line}{} {}", prose::looked_at(head), prose::filter(head));
    say!(out, "{}\n", line.trim_end());
    say!(out, "## Summary\n");
    for sentence in prose::summary(head) {
        say!(out, "{sentence}\n");
    }
    severities(&mut out, head);
    actions(&mut out, head);
    say!(out, "## Targets\n");
    let (listed, more) = head.listed();
    if listed.is_empty() {
        say!(out, "There is none to tell of.\n");
        return out;
    }
    if let Some(sentence) = prose::at_length(head) {
        say!(out, "{sentence}\n");
    }
    say!(
        out,
        "| Risk | Target | Priority | Critical | High | Medium | Low | Info |"
    );
    say!(
        out,
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for part in listed {
        row(&mut out, part);
    }
    if let Some(sentence) = prose::unlisted(more) {
        say!(out, "\n{sentence}");
    }
    out
}

fn severities(out: &mut String, head: &Head<'_>) {
    say!(out, "| Severity | Open findings | Targets of this risk |");
    say!(out, "| --- | ---: | ---: |");
    for level in RiskLevel::ALL.into_iter().rev() {
        let of = |counts: &super::facts::Counts| counts.get(&level).copied().unwrap_or(0);
        let (open, risks) = (of(head.totals.open()), of(head.totals.risks()));
        say!(out, "| {level} | {open} | {risks} |");
    }
    say!(out, "");
}

fn actions(out: &mut String, head: &Head<'_>) {
    let actions = head.totals.actions(ACTIONS_MOST);
    if actions.is_empty() {
        return;
    }
    say!(out, "## What to do first\n");
    for action in actions {
        let others = match action.targets {
            0 | 1 => String::new(),
            n => format!(" and {}", amount(n - 1, "other", "others")),
        };
        say!(
            out,
            "1. {} ({}{others}; priority {}{})",
            action.action.markdown(),
            action.target.markdown(),
            prose::figure(action.priority),
            work(&action.effort)
        );
    }
    say!(out, "");
}

fn work(effort: &Text) -> String {
    match effort.is_empty() {
        true => String::new(),
        false => format!("; {} work", effort.markdown()),
    }
}

fn row(out: &mut String, part: &Part) {
    let risk = part.risk.map_or("not assessed", RiskLevel::as_str);
    let open: Vec<_> = RiskLevel::ALL.into_iter().rev().collect();
    let open: Vec<_> = open
        .into_iter()
        .map(|level| part.open.get(&level).copied().unwrap_or(0).to_string())
        .collect();
    let (target, score) = (part.target.markdown(), prose::figure(part.score));
    say!(
        out,
        "| {risk} | {target} | {score} | {} |",
        open.join(" | ")
    );
}

/// All that is told of a target.
pub(super) fn target(subject: &Subject) -> String {
    let mut out = String::new();
    say!(out, "\n## Target {}\n", subject.target.markdown());
    head(&mut out, subject);
    steps(&mut out, subject);
    ways(&mut out, subject);
    say!(out, "### Open findings\n");
    if subject.open_issues().next().is_none() {
        say!(out, "None.\n");
    }
    for issue in subject.open_issues() {
        finding(&mut out, issue);
    }
    let n = subject.left_out.less_severe + subject.left_out.no_room;
    if n > 0 {
        say!(out, "{} left out.\n", amount(n, "finding", "findings"));
    }
    if !subject.narrative.is_empty() {
        say!(out, "### At length\n");
        for line in subject.narrative.lines() {
            say!(out, "{}\n", line.markdown());
        }
    }
    ports(&mut out, subject);
    changes(&mut out, subject);
    decided(&mut out, subject);
    fixed(&mut out, subject);
    out
}

fn head(out: &mut String, subject: &Subject) {
    let mut line = String::new();
    if let Some(address) = subject
        .ip_address
        .as_ref()
        .filter(|a| **a != subject.target)
    {
        let _ = write!(line, "Address {}. ", address.markdown());
    }
    if let Some(group) = &subject.group {
        let _ = write!(line, "Group {}. ", group.markdown());
    }
    if let Some(at) = subject.assessed_at {
        let _ = write!(line, "Assessed {}. ", time(at));
    }
    if !line.is_empty() {
        say!(out, "{}\n", line.trim_end());
    }
    for line in subject.threat_summary.lines() {
        say!(out, "{}\n", line.markdown());
    }
    say!(out, "{}\n", prose::risk(subject).join(" "));
}

fn steps(out: &mut String, subject: &Subject) {
    if subject.remediation_priorities.is_empty() {
        return;
    }
    say!(out, "### What to do first\n");
    for step in &subject.remediation_priorities {
        let priority = match step.priority {
            Some(priority) => format!(
                " (priority {}{})",
                prose::figure(priority),
                work(&step.effort)
            ),
            None => String::new(),
        };
        let reason = match step.reason.is_empty() {
            true => String::new(),
            false => format!(": {}", step.reason.markdown()),
        };
        say!(out, "1. **{}**{priority}{reason}", filled(&step.action));
    }
    say!(out, "");
}

fn ways(out: &mut String, subject: &Subject) {
    if subject.attack_vectors.is_empty() {
        return;
    }
    say!(out, "### Ways in\n");
    for way in &subject.attack_vectors {
        say!(out, "#### {}: {}\n", way.severity, way.title.markdown());
        for step in &way.steps {
            let mut line = [&step.technique, &step.name]
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(Text::markdown)
                .collect::<Vec<_>>()
                .join(" ");
            if !line.is_empty() && !step.does.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&step.does.markdown());
            let rests: Vec<_> = step
                .findings
                .iter()
                .map(|key| keyed(subject, key))
                .collect();
            if !rests.is_empty() {
                let _ = write!(line, " (rests on: {})", rests.join("; "));
            }
            say!(out, "1. {line}");
        }
        say!(out, "");
    }
}

fn keyed(subject: &Subject, key: &Text) -> String {
    match subject.issue(key) {
        Some(issue) => format!(
            "{}, {}",
            issue.title.markdown(),
            issue.location.markdown_place()
        ),
        None => key.markdown(),
    }
}

/// A text where something must stand.
fn filled(text: &Text) -> String {
    match text.markdown() {
        text if text.is_empty() => "\\-".to_owned(),
        text => text,
    }
}

fn finding(out: &mut String, issue: &Issue) {
    let new = if issue.new { " (new)" } else { "" };
    say!(
        out,
        "#### {}: {}{new}\n",
        issue.severity,
        issue.title.markdown()
    );
    fact(out, "Where", &issue.location.markdown_place());
    fact(out, "Why", &issue.reason.markdown());
    known_as(out, issue);
    reckoned(out, issue);
    fact(out, "Distribution", &markdown(issue.distribution.as_ref()));
    for piece in &issue.evidence {
        fact(out, "Evidence", &evidence(piece));
    }
    fact(out, "What to do", &issue.remediation.markdown());
    let references: Vec<_> = issue.references.iter().map(Text::markdown_link).collect();
    fact(out, "Read on", &references.join(", "));
    if let Some(decision) = issue.decision.as_ref().filter(|d| d.lapsed) {
        let until = decision.until.map(day).unwrap_or_default();
        let (was, reason) = (decision.status.words(), decision.reason.markdown());
        fact(out, "Was", &format!("{was} until {until}: {reason}"));
    }
    fact(out, "Seen", &prose::life(issue));
    say!(out, "");
}

fn fact(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        say!(out, "- {name}: {text}");
    }
}

/// What others call it.
fn known_as(out: &mut String, issue: &Issue) {
    fact(out, "Vulnerability", &markdown(issue.cve.as_ref()));
    if let Some(cvss) = &issue.cvss {
        let (version, score) = (cvss.version.markdown(), prose::figure(cvss.score));
        say!(out, "- CVSS {version}: {score} {}", cvss.vector.markdown());
    }
    fact(out, "Likelihood", &prose::likelihood(issue));
    let cwe: Vec<_> = issue.cwe.iter().map(|n| format!("CWE-{n}")).collect();
    fact(out, "Weakness", &cwe.join(", "));
    let attack: Vec<_> = issue.attack.iter().map(Text::markdown).collect();
    fact(out, "ATT&amp;CK", &attack.join(", "));
    if let Some(confidence) = issue.confidence {
        fact(out, "Sure", &prose::percent(confidence));
    }
}

/// The arithmetic of its priority.
fn reckoned(out: &mut String, issue: &Issue) {
    let Some(priority) = &issue.priority else {
        return;
    };
    let of = prose::arithmetic(issue).map(|text| format!(" of 100: {text}"));
    let score = prose::figure(priority.score);
    fact(out, "Priority", &(score + &of.unwrap_or_default()));
    for factor in &priority.factors {
        let value = prose::figure(factor.value);
        let (name, why) = (factor.name.markdown(), factor.why.markdown());
        say!(out, "  - {value} {name}: {why}");
    }
}

fn markdown(text: Option<&Text>) -> String {
    text.map(Text::markdown).unwrap_or_default()
}

fn evidence(piece: &Evidence) -> String {
    let fields: Vec<_> = piece
        .fields
        .iter()
        .map(|(name, value)| match name.is_empty() {
            true => value.markdown(),
            false => format!("{} = {}", name.markdown(), value.markdown()),
        })
        .collect();
    let sources: Vec<_> = piece.sources.iter().map(Text::markdown).collect();
    match sources.is_empty() {
        true => fields.join("; "),
        false => format!("{} (seen by {})", fields.join("; "), sources.join(", ")),
    }
}

fn ports(out: &mut String, subject: &Subject) {
    if subject.open_ports.is_empty() {
        return;
    }
    say!(out, "### Open ports\n");
    say!(out, "| Port | Service | Product | TLS | What it said |");
    say!(out, "| --- | --- | --- | --- | --- |");
    for port in &subject.open_ports {
        let mut tls = String::new();
        if let Some(facts) = &port.tls {
            tls = facts.version.markdown();
            let end = facts.not_after.map(|end| format!("until {}", day(end)));
            for more in end
                .into_iter()
                .chain(facts.problems.iter().map(Text::markdown))
            {
                let _ = write!(tls, ", {more}");
            }
        }
        let product = [&port.product, &port.version].map(Text::markdown).join(" ");
        say!(
            out,
            "| {}/{} | {} | {} | {tls} | {} |",
            port.port,
            port.protocol.markdown(),
            port.service.markdown(),
            product.trim(),
            port.banner.markdown()
        );
    }
    say!(out, "");
    if subject.left_out.ports > 0 {
        say!(out, "{} more.\n", subject.left_out.ports);
    }
}

fn changes(out: &mut String, subject: &Subject) {
    let Some(before) = subject.assessed_before else {
        return;
    };
    say!(out, "### Changes since {}\n", day(before));
    if subject.changes.is_empty() {
        say!(out, "None.\n");
        return;
    }
    say!(out, "| Seen | Change | What | Before | After |");
    say!(out, "| --- | --- | --- | --- | --- |");
    for change in &subject.changes {
        let kind = Text::new(&change.kind.raw().replace('_', " "));
        let texts = [&kind, &change.subject, &change.before, &change.after];
        let seen = change.created_at.map(day).unwrap_or_default();
        say!(
            out,
            "| {seen} | {} |",
            texts.map(Text::markdown).join(" | ")
        );
    }
    say!(out, "");
}

/// Findings that are not open: what they are, and what became of them.
fn settled<'a, const N: usize>(
    out: &mut String,
    title: &str,
    columns: [&str; N],
    issues: impl Iterator<Item = &'a Issue>,
    cells: impl Fn(&Issue) -> [String; N],
) {
    let mut issues = issues.peekable();
    if issues.peek().is_none() {
        return;
    }
    say!(out, "### {title}\n");
    say!(
        out,
        "| Severity | Finding | Where | {} |",
        columns.join(" | ")
    );
    say!(out, "| --- | --- | --- |{}", " --- |".repeat(N));
    for issue in issues {
        say!(
            out,
            "| {} | {} | {} | {} |",
            issue.severity,
            issue.title.markdown(),
            issue.location.markdown_place(),
            cells(issue).join(" | ")
        );
    }
    say!(out, "");
}

fn decided(out: &mut String, subject: &Subject) {
    let columns = ["Decision", "Reason", "By", "Until"];
    settled(
        out,
        "Accepted and false",
        columns,
        subject.decided(),
        |issue| {
            let decision = issue.decision.as_ref();
            let until = decision.and_then(|d| d.until);
            [
                issue.status.words().to_owned(),
                markdown(decision.map(|d| &d.reason)),
                markdown(decision.and_then(|d| d.by.as_ref())),
                until.map_or_else(|| "no end".to_owned(), day),
            ]
        },
    );
}

fn fixed(out: &mut String, subject: &Subject) {
    settled(
        out,
        "Fixed",
        ["First seen", "Fixed"],
        subject.fixed(),
        |issue| {
            [
                issue.first_seen_at.map(day).unwrap_or_default(),
                issue.fixed_at.map(day).unwrap_or_default(),
            ]
        },
    );
}
