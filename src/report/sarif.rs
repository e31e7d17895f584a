//! SARIF 2.1.0 (OASIS), for what collects findings of many tools.
//!
//! A finding is a result; what it is (a CVE, else the id of the rule) is its rule. Accepted and false ones
//! are suppressed results with the reason. Fixed ones are left out: many readers take every result for an
//! open one. `security-severity` is GitHub's: its ranges are those of CVSS.
//!
//! GitHub refuses a whole file for one result without a file and a line, and for one whose file is an
//! `https:` address. A finding of ours is in no file; what stands there is where it is, as a path: host,
//! then path or port.

use std::collections::BTreeMap;
use std::io;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::facts::{Decision, Issue, Status, Subject};
use super::text::web_address;
use super::{Head, Text, prose};
use crate::api::RiskLevel;
use crate::runtime::text::safe_json;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The name of our fingerprints; the number grows when they are made in another way.
const FINGERPRINT: &str = "recon/v1";

/// Rules that are described; results of others have their id only.
const RULES_MOST: usize = 20_000;

/// Longest text of a message, characters.
const MESSAGE_LONGEST: usize = 2000;

/// Longest description of a rule, characters: GitHub takes 1,024, and a cut says how much is missing.
const DESCRIPTION_LONGEST: usize = 960;

/// Most tags of a rule, as GitHub shows them.
const TAGS_MOST: usize = 10;

/// Results in a report, of which GitHub's code scanning takes no more.
pub const RESULTS_MOST: u64 = 25_000;

/// What stands in a path as it is: the rest would end a part of it, or begin a scheme.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The end of the document.
pub(super) const AFTER: &str = "\n]}]}\n";

/// What is said of the rules of a report.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<String, Rule>);

#[derive(Debug)]
struct Rule {
    title: String,
    help: String,
    address: Option<String>,
    severity: f64,
    cwe: Vec<u64>,
}

impl Rules {
    /// Takes down what the findings of a target say of their rules. The least of what they say is taken, the
    /// worst of how bad it is: so their order does not matter.
    pub(super) fn note(&mut self, subject: &Subject) {
        for issue in subject.findings.iter().filter(|issue| is_told(issue)) {
            let id = rule_id(issue);
            if self.0.len() >= RULES_MOST && !self.0.contains_key(&id) {
                continue;
            }
            let address = issue.references.iter().find_map(web_address);
            let new = Rule {
                title: description(&issue.title, &id),
                help: message(issue.remediation.raw()),
                address,
                severity: security_severity(issue),
                cwe: issue.cwe.clone(),
            };
            match self.0.get_mut(&id) {
                None => drop(self.0.insert(id, new)),
                Some(rule) => rule.join(new),
            }
        }
    }
}

impl Rule {
    fn join(&mut self, other: Self) {
        self.severity = self.severity.max(other.severity);
        if (&other.title, &other.help) < (&self.title, &self.help) {
            self.title = other.title;
            self.help = other.help;
            self.address = other.address;
            self.cwe = other.cwe;
        }
    }

    fn described(&self, id: &str) -> Value {
        let tags = ["security".to_owned()].into_iter();
        let cwe = self.cwe.iter().map(|n| format!("external/cwe/cwe-{n}"));
        // A list of strangers may name one twice, which the schema forbids.
        let mut tags: Vec<_> = tags.chain(cwe).collect();
        tags.sort_unstable_by_key(|tag| (tag != "security", tag.clone()));
        tags.dedup();
        tags.truncate(TAGS_MOST);
        let mut rule = json!({
            "id": id,
            "shortDescription": { "text": self.title },
            "fullDescription": { "text": self.title },
            "help": { "text": if self.help.is_empty() { &self.title } else { &self.help } },
            "properties": { "tags": tags, "security-severity": format!("{:.1}", self.severity) },
        });
        if let Some(address) = &self.address {
            rule["helpUri"] = json!(address);
        }
        rule
    }
}

/// All that goes before the results.
pub(super) fn before(head: &Head<'_>, rules: &Rules) -> io::Result<String> {
    let rules: Vec<_> = rules
        .0
        .iter()
        .map(|(id, rule)| rule.described(id))
        .collect();
    let mut invocation = json!({ "executionSuccessful": true });
    if let Some(time) = head.time {
        invocation["endTimeUtc"] = json!(time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let driver = json!({
        "name": "recon",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    Ok(safe_json(format!(
        "{{\"$schema\":{},\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{{\"driver\":{driver}}},\
         \"invocations\":[{invocation}],\"results\":[\n",
        json!(SCHEMA)
    )))
}

/// The results of a target, one a line.
pub(super) fn target(subject: &Subject) -> io::Result<String> {
    let told = subject.findings.iter().filter(|issue| is_told(issue));
    let lines: Result<Vec<_>, _> = told
        .map(|issue| serde_json::to_string(&result(subject, issue)))
        .collect();
    Ok(safe_json(lines?.join(",\n")))
}

fn is_told(issue: &Issue) -> bool {
    issue.status != Status::Fixed
}

/// What the finding is.
fn rule_id(issue: &Issue) -> String {
    const MOST: usize = 200;
    let cve = issue.cve.as_ref();
    let names = [cve, Some(&issue.kind), Some(&issue.category)];
    let name = names.into_iter().flatten().find(|text| !text.is_empty());
    name.map_or_else(
        || "finding".to_owned(),
        |text| Text::cut(text.raw(), MOST).line(),
    )
}

fn result(subject: &Subject, issue: &Issue) -> Value {
    let mut properties = Map::from_iter([
        ("target".to_owned(), json!(subject.target)),
        ("severity".to_owned(), json!(issue.severity)),
        (
            "security-severity".to_owned(),
            json!(format!("{:.1}", security_severity(issue))),
        ),
    ]);
    let mut also = |name: &str, value: Value| drop(properties.insert(name.to_owned(), value));
    if let Some(priority) = &issue.priority {
        also("priority", json!(priority.score));
    }
    if let Some(confidence) = issue.confidence {
        also("confidence", json!(confidence));
    }
    if issue.kev {
        also("exploited", json!(true));
    }
    if let Some(id) = issue.id {
        // No `guid`, as the schema knows none of UUID version 7.
        also("finding", json!(id));
    }
    let mut result = json!({
        "ruleId": rule_id(issue),
        "level": level(issue.severity),
        "message": { "text": said(subject, issue) },
        "locations": [location(subject, issue)],
        "fingerprints": { FINGERPRINT: issue.fingerprint },
        "partialFingerprints": { FINGERPRINT: issue.fingerprint },
        "properties": properties,
    });
    if matches!(issue.status, Status::Accepted | Status::FalsePositive) {
        result["suppressions"] = json!([suppression(issue.status, issue.decision.as_ref())]);
    }
    result
}

fn said(subject: &Subject, issue: &Issue) -> String {
    let mut text = issue.title.raw().to_owned();
    let place = match issue.location.is_empty() {
        true => subject.target.raw().to_owned(),
        false if is_web(issue) => issue.location.raw().to_owned(),
        false => format!("{} {}", subject.target.raw(), issue.location.raw()),
    };
    for (between, more) in [(" (", place.as_str()), ("): ", issue.reason.raw())] {
        text.push_str(between);
        text.push_str(more);
    }
    let text = text.trim_end();
    message(text.strip_suffix(':').unwrap_or(text))
}

fn is_web(issue: &Issue) -> bool {
    web_address(&issue.location).is_some()
}

/// The text of a message (§3.11): braces mean arguments there, and `](` a link, which must not be of a
/// stranger's making.
fn message(text: &str) -> String {
    let text = Text::cut(text, MESSAGE_LONGEST).line();
    let text = text.replace('{', "{{").replace('}', "}}");
    text.replace("](", "] (")
}

/// What a rule is about; something must stand there.
fn description(title: &Text, id: &str) -> String {
    match title.is_empty() {
        true => message(id),
        false => message(Text::cut(title.raw(), DESCRIPTION_LONGEST).raw()),
    }
}

fn location(subject: &Subject, issue: &Issue) -> Value {
    let target = subject.target.line();
    let name = match issue.location.is_empty() {
        true => target.clone(),
        false => format!("{target} {}", issue.location.line()),
    };
    let mut location = json!({
        "logicalLocations": [{ "name": target, "fullyQualifiedName": name, "kind": "resource" }],
    });
    location["physicalLocation"] = json!({
        "artifactLocation": { "uri": place(subject, issue) },
        "region": { "startLine": 1 },
    });
    location
}

/// Where it is as a relative path: `shop.example.org/pub`, `shop.example.org/tcp/6379`.
fn place(subject: &Subject, issue: &Issue) -> String {
    let web = web_address(&issue.location).and_then(|address| url::Url::parse(&address).ok());
    let whole = match &web {
        Some(url) => {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}"));
            // Its path is encoded already.
            let path = percent_decode_str(url.path()).decode_utf8_lossy();
            format!("{host}{}/{path}", port.unwrap_or_default())
        }
        None => format!("{}/{}", subject.target.raw(), issue.location.raw()),
    };
    let whole = Text::cut(&whole, MESSAGE_LONGEST);
    // Those of dots lead elsewhere, also where they are encoded.
    let parts = whole
        .raw()
        .split('/')
        .filter(|part| !["", ".", ".."].contains(part));
    let parts: Vec<_> = parts
        .map(|part| utf8_percent_encode(part, PATH).to_string())
        .collect();
    match parts.is_empty() {
        true => "unknown".to_owned(),
        false => parts.join("/"),
    }
}

fn suppression(status: Status, decision: Option<&Decision>) -> Value {
    let reason = decision
        .map(|d| message(d.reason.raw()))
        .unwrap_or_default();
    json!({
        "kind": "external",
        "status": "accepted",
        "justification": reason,
        "properties": {
            "decision": status,
            "by": decision.and_then(|d| d.by.as_ref()),
            "at": decision.and_then(|d| d.at),
            "until": decision.and_then(|d| d.until),
        },
    })
}

fn level(severity: RiskLevel) -> &'static str {
    match severity {
        RiskLevel::Critical | RiskLevel::High => "error",
        RiskLevel::Medium => "warning",
        RiskLevel::Low | RiskLevel::Info => "note",
    }
}

/// The CVSS score, when it is of the range of the severity; else the middle of that range. So it never says
/// something else than the severity does.
fn security_severity(issue: &Issue) -> f64 {
    let (least, most, middle) = match issue.severity {
        RiskLevel::Critical => (9.0, 10.0, 9.5),
        RiskLevel::High => (7.0, 8.9, 8.0),
        RiskLevel::Medium => (4.0, 6.9, 5.5),
        RiskLevel::Low => (0.1, 3.9, 2.0),
        RiskLevel::Info => (0.0, 0.0, 0.0),
    };
    let score = prose::score(issue);
    score
        .filter(|score| (least..=most).contains(score))
        .unwrap_or(middle)
}

#[cfg(test)]
#[path = "sarif_tests.rs"]
mod tests;
