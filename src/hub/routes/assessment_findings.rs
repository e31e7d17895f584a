//! The findings that an assessment names.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::store::NewFinding;
use super::fields::{Fields, tidy};
use crate::api::Vulnerability;

/// Findings of one assessment, at most.
const FINDINGS_MAX: usize = 2000;
/// Longest key, bytes.
const KEY_MAX: usize = 1024;
/// Longest type, category and CVE number, bytes: they stand in indexes.
const WORD_MAX: usize = 255;
/// The fields of an entry that have columns; all others are its evidence.
const COLUMNS: [&str; 5] = ["type", "category", "severity", "title", "location"];

impl Fields {
    /// The findings among the entries of `vulnerabilities`, those with a key, each key once. None when it
    /// is the list of another agent, in which no entry has one; an empty list names none.
    pub(super) fn named_findings(&mut self, value: &Value) -> Option<Vec<NewFinding>> {
        let entries = value.as_array()?;
        let keyed = entries.iter().enumerate();
        let keyed: Vec<_> = keyed
            .filter_map(|(n, entry)| Some((n, entry, key(entry)?)))
            .collect();
        if keyed.is_empty() && !entries.is_empty() {
            return None;
        }
        if keyed.len() > FINDINGS_MAX {
            let message = format!("must have {FINDINGS_MAX} entries with a key at most");
            self.wrong("vulnerabilities", "range", &message);
            return None;
        }
        let findings = keyed.into_iter().filter_map(|(n, entry, key)| {
            self.named_finding(&format!("vulnerabilities[{n}]"), entry, key)
        });
        Some(findings.collect())
    }

    fn named_finding(&mut self, at: &str, entry: &Value, key: &str) -> Option<NewFinding> {
        let read = serde_path_to_error::deserialize::<_, Vulnerability>(entry);
        let read = match read {
            Ok(read) => read,
            Err(problem) => {
                let path = match problem.path().to_string() {
                    path if path == "." => at.to_owned(),
                    path => format!("{at}.{path}"),
                };
                self.wrong(path, "type", &problem.into_inner().to_string());
                return None;
            }
        };
        self.within_bounds(at, &read);
        let or = |text: String, other: &str| if text.is_empty() { tidy(other) } else { text };
        let kind = or(tidy(&read.kind), "vulnerability");
        let mut evidence: Map<String, Value> = entry.as_object().cloned().unwrap_or_default();
        evidence.retain(|name, _| !COLUMNS.contains(&name.as_str()));
        Some(NewFinding {
            fingerprint: fingerprint(key),
            severity: read.severity,
            priority: Some(read.priority.score),
            // Who names no confidence is believed.
            confidence: (read.confidence > 0.0).then_some(read.confidence),
            category: tidy(&read.category),
            title: or(tidy(&read.title), key),
            location: tidy(&read.location),
            cve: read.cve.as_deref().map(tidy).filter(|cve| !cve.is_empty()),
            kev: read.kev,
            evidence: Value::Object(evidence),
            discovered_by: "ryu",
            kind,
        })
    }

    fn within_bounds(&mut self, at: &str, read: &Vulnerability) {
        let share = |n: f64| (0.0..=1.0).contains(&n);
        let word = |text: &str| text.len() <= WORD_MAX;
        let rules = [
            (
                "key",
                read.key.len() <= KEY_MAX,
                "must be 1024 bytes at most",
            ),
            ("type", word(&read.kind), "must be 255 bytes at most"),
            (
                "category",
                word(&read.category),
                "must be 255 bytes at most",
            ),
            (
                "cve",
                read.cve.as_deref().is_none_or(word),
                "must be 255 bytes at most",
            ),
            (
                "priority.score",
                (0.0..=100.0).contains(&read.priority.score),
                "must be from 0 to 100",
            ),
            ("confidence", share(read.confidence), "must be from 0 to 1"),
            ("epss", read.epss.is_none_or(share), "must be from 0 to 1"),
        ];
        for (field, good, message) in rules {
            if !good {
                self.wrong(format!("{at}.{field}"), "range", message);
            }
        }
    }
}

/// What makes an entry a finding of ours.
fn key(entry: &Value) -> Option<&str> {
    let key = entry.get("key")?.as_str()?;
    Some(key).filter(|key| !key.trim().is_empty())
}

fn fingerprint(key: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in ["ryu", key] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> (Option<Vec<NewFinding>>, Vec<(String, String)>) {
        let mut fields = Fields::default();
        let found = fields.named_findings(value);
        let errors = fields.errors.into_iter();
        (found, errors.map(|e| (e.field, e.kind)).collect())
    }

    #[test]
    fn only_entries_with_a_key_are_findings() {
        for others in [
            json!(null),
            json!({}),
            json!([{ "type": "x" }]),
            json!(["text", 5]),
        ] {
            assert!(read(&others).0.is_none(), "{others}");
        }
        for no_key in [json!(""), json!(" "), json!(5), json!(null)] {
            assert!(read(&json!([{ "key": no_key }])).0.is_none(), "{no_key}");
        }
        assert_eq!(read(&json!([])).0.unwrap().len(), 0);
        let mixed = json!([{ "type": "x" }, { "key": "k tcp/1" }]);
        assert_eq!(read(&mixed).0.unwrap().len(), 1);
    }

    /// Nothing of it is lost, and nothing in it moves a cursor.
    #[test]
    fn an_entry_becomes_a_finding() {
        let entry = json!({
            "key": "CVE-2021-41773 tcp/80", "type": "known_vulnerability", "category": "c",
            "title": "old\u{1b}[2J", "severity": "critical", "location": "tcp/80",
            "priority": { "score": 97.5, "factors": [{ "name": "base", "value": 9.8, "why": "w" }] },
            "confidence": 0.9, "cve": "CVE-2021-41773", "kev": true, "epss": 0.94, "new": [1],
        });
        let (found, errors) = read(&json!([entry]));
        assert_eq!(errors, []);
        let found = found.unwrap().remove(0);
        assert_eq!(found.title, "old\\u{1b}[2J");
        assert_eq!((found.priority, found.confidence), (Some(97.5), Some(0.9)));
        assert_eq!(
            (found.cve.as_deref(), found.kev),
            (Some("CVE-2021-41773"), true)
        );
        let evidence = found.evidence.as_object().unwrap();
        let names: Vec<_> = evidence.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["confidence", "cve", "epss", "kev", "key", "new", "priority"]
        );
        assert_eq!(found.fingerprint, fingerprint("CVE-2021-41773 tcp/80"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (_, errors) = read(&json!([
            { "key": "a", "severity": "banana" },
            { "key": "b", "priority": { "score": "high" } },
            { "key": "c", "priority": { "score": 101 }, "confidence": -1 },
            { "key": "d".repeat(1025) },
            { "key": "e", "evidence": [{ "sources": 5 }] },
        ]));
        let fields: Vec<_> = errors.iter().map(|(field, _)| field.as_str()).collect();
        let wanted = [
            "vulnerabilities[0].severity",
            "vulnerabilities[1].priority.score",
            "vulnerabilities[2].priority.score",
            "vulnerabilities[2].confidence",
            "vulnerabilities[3].key",
            "vulnerabilities[4].evidence[0].sources",
        ];
        assert_eq!(fields, wanted);
        let many: Vec<_> = (0..=FINDINGS_MAX)
            .map(|n| json!({ "key": n.to_string() }))
            .collect();
        assert_eq!(read(&json!(many)).1[0].0, "vulnerabilities");
    }
}
