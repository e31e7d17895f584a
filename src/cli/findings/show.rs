//! One finding with all that is known of it.

use std::fmt::Write;

use serde_json::Value;
use uuid::Uuid;

use super::super::hub_client::HubClient;
use super::super::table::printable;
use super::super::targets::{json_line, time};
use super::super::{Global, Outcome, output};
use super::PATH;
use crate::api::{ExitCode, Finding};

pub async fn run(global: &Global, hub: &HubClient, id: Uuid) -> Outcome {
    let finding: Finding = hub.get(&format!("{PATH}/{id}"), &[]).await?;
    if global.json {
        output::json(&finding)?;
    } else if global.jsonl {
        json_line(&finding)?;
    } else {
        output::text(&page(&finding))?;
    }
    Ok(ExitCode::Ok)
}

/// The whole of it for people. Every text may be a stranger's.
fn page(finding: &Finding) -> String {
    let evidence = &finding.evidence;
    let text = |name: &str| evidence[name].as_str().unwrap_or_default().to_owned();
    let number = |n: Option<f64>| n.map(|n| n.to_string()).unwrap_or_default();
    let mut page = String::new();
    for (name, value) in [
        ("title", finding.title.clone()),
        ("severity", finding.severity.to_string()),
        ("priority", finding.priority.to_string()),
        ("status", finding.status.clone()),
        ("target", finding.target.clone()),
        ("location", finding.location.clone()),
        ("type", finding.kind.clone()),
        ("category", finding.category.clone()),
        ("cve", finding.cve.clone().unwrap_or_default()),
        ("exploited", exploited(finding)),
        ("weakness", weaknesses(&evidence["cwe"])),
        ("ATT&CK", words(&evidence["attack"])),
        ("cvss", cvss(&evidence["cvss"])),
        ("epss", number(evidence["epss"].as_f64())),
        ("confidence", number(finding.confidence)),
        ("why", text("reason")),
        ("distribution", text("distribution")),
        ("to do", text("remediation")),
        ("effort", text("effort")),
        (
            "found by",
            finding.discovered_by.clone().unwrap_or_default(),
        ),
        ("first seen", time(finding.first_seen_at)),
        ("last seen", time(finding.last_seen_at)),
        ("fixed", finding.fixed_at.map(time).unwrap_or_default()),
        ("reopened", reopened(finding)),
        ("decision", decision(finding)),
        ("id", finding.id.to_string()),
    ] {
        line(&mut page, name, &value);
    }
    let factors = list(&evidence["priority"]["factors"]);
    if !factors.is_empty() {
        let how = "priority is 10 times the product of these, at most 100";
        line(&mut page, "reckoned", how);
    }
    for factor in factors {
        let why = factor["why"].as_str().unwrap_or_default();
        let value = factor["value"].as_f64().unwrap_or_default();
        let what = format!("{value:>5.2} {}: {why}", word(&factor["name"]));
        line(&mut page, "", &what);
    }
    for (n, reference) in list(&evidence["references"]).iter().enumerate() {
        let name = if n == 0 { "read on" } else { "" };
        line(&mut page, name, &word(reference));
    }
    seen(&mut page, evidence);
    page
}

fn line(page: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{name:<13} {}", printable(value));
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text as it is, anything else as JSON.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Texts in a line.
fn words(value: &Value) -> String {
    let words: Vec<String> = list(value).iter().map(word).collect();
    words.join(", ")
}

fn weaknesses(cwe: &Value) -> String {
    let all: Vec<String> = list(cwe)
        .iter()
        .map(|number| format!("CWE-{number}"))
        .collect();
    all.join(", ")
}

fn exploited(finding: &Finding) -> String {
    match finding.kev {
        true => "in the wild (CISA KEV)".to_owned(),
        false => String::new(),
    }
}

fn cvss(cvss: &Value) -> String {
    match cvss["score"].as_f64() {
        Some(score) => format!("{score} ({})", word(&cvss["vector"])),
        None => String::new(),
    }
}

fn reopened(finding: &Finding) -> String {
    match finding.reopened_at {
        Some(at) => format!("{} (times: {})", time(at), finding.times_reopened),
        None => String::new(),
    }
}

fn decision(finding: &Finding) -> String {
    let Some(decision) = &finding.decision else {
        return String::new();
    };
    let until = match decision.until {
        Some(until) => format!(" until {}", time(until)),
        None => String::new(),
    };
    format!(
        "{}{until}, by {} at {}: {}",
        decision.status.as_str(),
        decision.by,
        time(decision.at),
        decision.reason
    )
}

/// What is shown above is not shown once more.
const SHOWN: [&str; 15] = [
    "cwe",
    "attack",
    "key",
    "reason",
    "distribution",
    "remediation",
    "effort",
    "cvss",
    "epss",
    "kev",
    "cve",
    "confidence",
    "references",
    "priority",
    "evidence",
];

/// What shows it: where it was seen, field by field; of other finders whatever they say.
fn seen(page: &mut String, evidence: &Value) {
    for one in list(&evidence["evidence"]) {
        let sources: Vec<_> = list(&one["sources"]).iter().map(word).collect();
        line(page, "\nseen", &sources.join(", "));
        for (name, value) in one["fields"].as_object().into_iter().flatten() {
            line(page, &format!("  {}", printable(name)), &word(value));
        }
    }
    let all = evidence.as_object().into_iter().flatten();
    let mut rest = all.filter(|(name, _)| !SHOWN.contains(&name.as_str()));
    if let Some(first) = rest.next() {
        page.push('\n');
        for (name, value) in std::iter::once(first).chain(rest) {
            line(page, &printable(name), &word(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{FindingDecision, RiskLevel, Verdict};

    #[test]
    fn everything_is_told_and_nothing_moves_the_cursor() {
        let finding = Finding {
            title: "Old server\u{1b}[2J".to_owned(),
            severity: RiskLevel::Critical,
            priority: 97.5,
            cve: Some("CVE-2021-41773".to_owned()),
            kev: true,
            status: "accepted".to_owned(),
            evidence: json!({
                "key": "k", "reason": "it can be read", "remediation": "update",
                "cvss": { "version": "3.1", "vector": "AV:N", "score": 9.8 }, "cwe": [22],
                "priority": { "score": 97.5,
                              "factors": [{ "name": "base", "value": 9.8, "why": "CVSS" }] },
                "references": ["https://example.org/a"],
                "evidence": [{ "sources": ["scan:kaze_port_scan/tcp/80"],
                               "fields": { "banner": "Apache\u{7}" } }],
            }),
            decision: Some(FindingDecision {
                status: Verdict::Accepted,
                reason: "behind the wall".to_owned(),
                by: "root".to_owned(),
                at: "2026-11-21T06:00:00Z".parse().unwrap(),
                until: None,
            }),
            ..Finding::default()
        };
        let page = page(&finding);
        for part in [
            "severity      critical",
            "cvss          9.8 (AV:N)",
            "exploited     in the wild",
            "10 times the product",
            " 9.80 base: CVSS",
            "accepted, by root at 2026-11-21 06:00:00Z: behind the wall",
            "scan:kaze_port_scan/tcp/80",
            "banner",
            "weakness      CWE-22",
            "https://example.org/a",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains(['\u{1b}', '\u{7}']), "{page}");
    }
}
