//! A report for spreadsheets: one row a finding.

use super::facts::{Issue, Subject};
use super::prose::figure;
use crate::runtime::text::csv_line;

const COLUMNS: [&str; 33] = [
    "target",
    "group",
    "ip_address",
    "risk_level",
    "severity",
    "priority",
    "status",
    "title",
    "location",
    "type",
    "category",
    "cve",
    "cvss",
    "cvss_vector",
    "kev",
    "epss",
    "confidence",
    "cwe",
    "attack",
    "reason",
    "remediation",
    "effort",
    "references",
    "first_seen_at",
    "last_seen_at",
    "fixed_at",
    "reopened_at",
    "decision_reason",
    "decision_by",
    "decision_until",
    "eggrecord_id",
    "finding_id",
    "fingerprint",
];

/// The names of the columns.
pub(super) fn before() -> String {
    line(COLUMNS.map(str::to_owned))
}

/// The findings of a target; none, no row.
pub(super) fn target(subject: &Subject) -> String {
    let rows = subject.findings.iter();
    rows.map(|issue| line(row(subject, issue))).collect()
}

/// As RFC 4180 ends lines.
fn line(cells: [String; COLUMNS.len()]) -> String {
    csv_line(cells.iter().map(String::as_str)) + "\r\n"
}

fn row(subject: &Subject, issue: &Issue) -> [String; COLUMNS.len()] {
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map(|time| time.to_rfc3339()).unwrap_or_default()
    };
    let raw = |text: Option<&super::Text>| text.map(|text| text.raw().to_owned());
    let some = |text: Option<&super::Text>| raw(text).unwrap_or_default();
    let number = |number: Option<f64>| number.map(figure).unwrap_or_default();
    let cwe: Vec<_> = issue.cwe.iter().map(|n| format!("CWE-{n}")).collect();
    let joined = |texts: &[super::Text]| {
        let texts: Vec<_> = texts.iter().map(super::Text::raw).collect();
        texts.join(" ")
    };
    let decision = issue.decision.as_ref();
    [
        subject.target.raw().to_owned(),
        some(subject.group.as_ref()),
        some(subject.ip_address.as_ref()),
        (subject.risk_level).map_or_else(String::new, |risk| risk.as_str().to_owned()),
        issue.severity.as_str().to_owned(),
        number(issue.priority.as_ref().map(|p| p.score)),
        issue.status.as_str().to_owned(),
        issue.title.raw().to_owned(),
        issue.location.raw().to_owned(),
        issue.kind.raw().to_owned(),
        issue.category.raw().to_owned(),
        some(issue.cve.as_ref()),
        number(issue.cvss.as_ref().map(|cvss| cvss.score)),
        some(issue.cvss.as_ref().map(|cvss| &cvss.vector)),
        issue.kev.to_string(),
        number(issue.epss),
        number(issue.confidence),
        cwe.join(" "),
        joined(&issue.attack),
        issue.reason.raw().to_owned(),
        issue.remediation.raw().to_owned(),
        issue.effort.raw().to_owned(),
        joined(&issue.references),
        time(issue.first_seen_at),
        time(issue.last_seen_at),
        time(issue.fixed_at),
        time(issue.reopened_at),
        some(decision.map(|d| &d.reason)),
        some(decision.and_then(|d| d.by.as_ref())),
        time(decision.and_then(|d| d.until)),
        subject.eggrecord_id.to_string(),
        issue.id.map(|id| id.to_string()).unwrap_or_default(),
        issue.fingerprint.clone(),
    ]
}
