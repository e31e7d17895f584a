//! The part of one target.

use maud::{Markup, html};

use super::super::facts::{Evidence, Issue, Step, Subject, Way};
use super::super::{Text, amount, day, prose, time};
use super::pieces::{figure, level, references, risk};

/// All that is told of a target.
pub(in super::super) fn target(subject: &Subject) -> String {
    let name = format!("n-{}", subject.eggrecord_id);
    let page = html! {
        section.target id={ "t-" (subject.eggrecord_id) } aria-labelledby=(name) {
            h2 id=(name) { (risk(subject.risk_level)) " " (subject.target) }
            (head(subject))
            (steps(subject))
            (ways(subject))
            (findings(subject))
            (narrative(subject))
            (ports(subject))
            (changes(subject))
            (decided(subject))
            (fixed(subject))
        }
        "\n"
    };
    page.into_string()
}

fn head(subject: &Subject) -> Markup {
    html! {
        p.soft {
            @if let Some(address) = &subject.ip_address {
                @if *address != subject.target { "Address " (address) ". " }
            }
            @if let Some(group) = &subject.group { "Group " (group) ". " }
            @if let Some(at) = subject.assessed_at {
                "Assessed " (time(at))
                @if let Some(agent) = &subject.agent { " by " (agent) }
                ". "
            }
            @if let Some(at) = subject.newest_at { "Newest evidence " (time(at)) "." }
        }
        @for line in subject.threat_summary.lines() { p.lead { (line) } }
        p {
            @for sentence in prose::risk(subject) { (sentence) " " }
            @if let Some(first) = subject.open_issues().next() {
                "First: " a href={ "#f-" (first.fingerprint) } { (first.title) }
                @if first.priority.is_some() { ", priority " (figure(first.score())) }
                "."
            }
        }
    }
}

fn steps(subject: &Subject) -> Markup {
    let ends = |step: &Step| step.findings.iter().any(|key| subject.issue(key).is_some());
    html! {
        @if !subject.remediation_priorities.is_empty() {
            h3 { "What to do first" }
            ol { @for step in &subject.remediation_priorities {
                li {
                    strong { (step.action) }
                    @if !step.effort.is_empty() { " " span.tag { (step.effort) " work" } }
                    @if let Some(priority) = step.priority { " " span.tag { "priority " (figure(priority)) } }
                    @if !step.reason.is_empty() { div { (step.reason) } }
                    @if ends(step) { div.soft { "Ends: " (keys(subject, &step.findings)) } }
                }
            } }
        }
    }
}

/// Findings by their keys, those that are told as links to them.
fn keys(subject: &Subject, keys: &[Text]) -> Markup {
    html! {
        @for (at, key) in keys.iter().enumerate() {
            @if at > 0 { "; " }
            @match subject.issue(key) {
                Some(issue) => a href={ "#f-" (issue.fingerprint) } {
                    (issue.title) @if !issue.location.is_empty() { " (" (issue.location) ")" }
                },
                None => (key),
            }
        }
    }
}

fn ways(subject: &Subject) -> Markup {
    html! {
        @if !subject.attack_vectors.is_empty() {
            h3 { "Ways in" }
            @for way in &subject.attack_vectors { (one_way(subject, way)) }
        }
    }
}

fn one_way(subject: &Subject, way: &Way) -> Markup {
    html! {
        div class={ "way " (way.severity.as_str()) } {
            h4 { (level(way.severity)) " " (way.title) }
            ol { @for step in &way.steps {
                li {
                    @if !step.technique.is_empty() || !step.name.is_empty() {
                        strong { (step.technique) " " (step.name) }
                        @if !step.does.is_empty() { ": " }
                    }
                    (step.does)
                    @if let Some(address) = prose::technique_address(step.technique.raw()) {
                        div.soft { (address) }
                    }
                    @if !step.findings.is_empty() {
                        div.soft { "Rests on: " (keys(subject, &step.findings)) }
                    }
                }
            } }
        }
    }
}

fn findings(subject: &Subject) -> Markup {
    let n = subject.open_issues().count() as u64;
    html! {
        h3 { "Open findings" @if n > 0 { " (" (n) ")" } }
        @if n == 0 { p { "None." } }
        @for issue in subject.open_issues() { (finding(issue)) }
        @if subject.left_out.less_severe > 0 {
            p.soft { (amount(subject.left_out.less_severe, "finding", "findings")) " of less severity left out." }
        }
        @if subject.left_out.no_room > 0 {
            p.soft { "No room for " (amount(subject.left_out.no_room, "finding", "findings")) " of least weight." }
        }
    }
}

fn finding(issue: &Issue) -> Markup {
    let severity = issue.severity.as_str();
    html! {
        article class={ "finding " (severity) } id={ "f-" (issue.fingerprint) } {
            h4 {
                (level(issue.severity)) " " (issue.title)
                @if issue.new { " " span.tag { "new" } }
            }
            @if !issue.reason.is_empty() { p { (issue.reason) } }
            dl.facts {
                (fact("Where", &issue.location))
                (known_as(issue))
                (reckoned(issue))
                @if let Some(distribution) = &issue.distribution { (fact("Distribution", distribution)) }
                @if !issue.evidence.is_empty() {
                    dt { "Evidence" } dd { @for piece in &issue.evidence { (evidence(piece)) } }
                }
                @if !issue.remediation.is_empty() {
                    dt { "What to do" }
                    dd {
                        (issue.remediation)
                        @if !issue.effort.is_empty() { " " span.tag { (issue.effort) " work" } }
                    }
                }
                @if !issue.references.is_empty() { dt { "Read on" } dd { (references(&issue.references)) } }
                (lapsed(issue))
                @let life = prose::life(issue);
                @if !life.is_empty() {
                    dt { "Seen" }
                    dd { (life) @if let Some(by) = &issue.discovered_by { ", by " (by) } }
                }
            }
        }
        "\n"
    }
}

fn fact(name: &str, text: &Text) -> Markup {
    html! { @if !text.is_empty() { dt { (name) } dd { (text) } } }
}

/// What others call it.
fn known_as(issue: &Issue) -> Markup {
    let likelihood = prose::likelihood(issue);
    let cwe: Vec<_> = issue.cwe.iter().map(|n| format!("CWE-{n}")).collect();
    html! {
        @if let Some(cve) = &issue.cve { (fact("Vulnerability", cve)) }
        @if let Some(cvss) = &issue.cvss {
            dt { "CVSS " (cvss.version) } dd { (figure(cvss.score)) " " code { (cvss.vector) } }
        }
        @if !likelihood.is_empty() { dt { "Likelihood" } dd { (likelihood) } }
        @if !cwe.is_empty() { dt { "Weakness" } dd { (cwe.join(", ")) } }
        @if !issue.attack.is_empty() {
            dt { "ATT&CK" }
            dd { @for (at, technique) in issue.attack.iter().enumerate() {
                @if at > 0 { ", " } (technique)
            } }
        }
        @if let Some(confidence) = issue.confidence { dt { "Sure" } dd { (prose::percent(confidence)) } }
    }
}

/// The arithmetic of its priority.
fn reckoned(issue: &Issue) -> Markup {
    html! {
        @if let Some(priority) = &issue.priority {
            dt { "Priority" }
            dd {
                strong { (figure(priority.score)) }
                @if let Some(arithmetic) = prose::arithmetic(issue) {
                    " of 100: " (arithmetic)
                    ul { @for factor in &priority.factors {
                        li { (figure(factor.value)) " " (factor.name) @if !factor.why.is_empty() { ": " (factor.why) } }
                    } }
                }
            }
        }
    }
}

fn evidence(piece: &Evidence) -> Markup {
    html! {
        @if !piece.sources.is_empty() {
            div.soft { @for (at, source) in piece.sources.iter().enumerate() {
                @if at > 0 { ", " } code { (source) }
            } }
        }
        @if !piece.fields.is_empty() {
            table.evidence { tbody { @for (name, value) in &piece.fields { tr {
                th scope="row" { (name) }
                td.mono { (value) }
            } } } }
        }
    }
}

/// A decision that holds no more.
fn lapsed(issue: &Issue) -> Markup {
    html! {
        @if let Some(decision) = issue.decision.as_ref().filter(|d| d.lapsed) {
            dt { "Was " (decision.status.words()) }
            dd { (decision.reason) @if let Some(until) = decision.until { ", until " (time(until)) } }
        }
    }
}

fn narrative(subject: &Subject) -> Markup {
    html! {
        @if !subject.narrative.is_empty() {
            h3 { "At length" }
            @for line in subject.narrative.lines() { p { (line) } }
        }
    }
}

fn ports(subject: &Subject) -> Markup {
    html! {
        @if !subject.open_ports.is_empty() {
            h3 { "Open ports" }
            table {
                thead { tr {
                    th scope="col" { "Port" }
                    th scope="col" { "Service" }
                    th scope="col" { "Product" }
                    th scope="col" { "TLS" }
                    th scope="col" { "What it said" }
                } }
                tbody { @for port in &subject.open_ports { tr {
                    th.t scope="row" { (port.port) "/" (port.protocol) }
                    td { (port.service) }
                    td { (port.product) " " (port.version) }
                    td {
                        @if let Some(tls) = &port.tls {
                            (tls.version)
                            @if let Some(end) = tls.not_after { ", until " (day(end)) }
                            @for problem in &tls.problems { ", " (problem) }
                        }
                    }
                    td.mono { (port.banner) }
                } } }
            }
            @if subject.left_out.ports > 0 {
                p.soft { (amount(subject.left_out.ports, "more port is", "more ports are")) " open." }
            }
        }
    }
}

fn changes(subject: &Subject) -> Markup {
    html! {
        @if let Some(before) = subject.assessed_before {
            h3 { "Changes since " (day(before)) }
            @if subject.changes.is_empty() {
                p { "None." }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "Seen" }
                        th scope="col" { "Change" }
                        th scope="col" { "What" }
                        th scope="col" { "Before" }
                        th scope="col" { "After" }
                    } }
                    tbody { @for change in &subject.changes { tr {
                        td.t { @if let Some(at) = change.created_at { (day(at)) } }
                        td { (Text::new(&change.kind.raw().replace('_', " "))) }
                        td { (change.subject) }
                        td { (change.before) }
                        td { (change.after) }
                    } } }
                }
                @if subject.left_out.changes > 0 { p.soft { "There are more: reconctl changes." } }
            }
        }
    }
}

/// Findings that are not open: what they are, and what became of them.
fn settled<'a>(
    title: &str,
    columns: &[&str],
    issues: impl Iterator<Item = &'a Issue>,
    cells: impl Fn(&Issue) -> Markup,
) -> Markup {
    let mut issues = issues.peekable();
    html! {
        @if issues.peek().is_some() {
            h3 { (title) }
            table {
                thead { tr {
                    th scope="col" { "Severity" }
                    th scope="col" { "Finding" }
                    @for column in columns { th scope="col" { (column) } }
                } }
                tbody { @for issue in issues { tr id={ "f-" (issue.fingerprint) } {
                    td { (level(issue.severity)) }
                    th scope="row" { (issue.title) div.soft { (issue.location) } }
                    (cells(issue))
                } } }
            }
        }
    }
}

fn decided(subject: &Subject) -> Markup {
    let columns = ["Decision", "Reason", "By", "Until"];
    settled("Accepted and false", &columns, subject.decided(), |issue| {
        let decision = issue.decision.as_ref();
        html! {
            td { (issue.status.words()) }
            td { @if let Some(decision) = decision { (decision.reason) } }
            td { @if let Some(by) = decision.and_then(|d| d.by.as_ref()) { (by) } }
            td.t { (decision.and_then(|d| d.until).map_or_else(|| "no end".to_owned(), day)) }
        }
    })
}

fn fixed(subject: &Subject) -> Markup {
    settled(
        "Fixed",
        &["First seen", "Fixed"],
        subject.fixed(),
        |issue| {
            html! {
                td.t { @if let Some(at) = issue.first_seen_at { (day(at)) } }
                td.t { @if let Some(at) = issue.fixed_at { (day(at)) } }
            }
        },
    )
}
