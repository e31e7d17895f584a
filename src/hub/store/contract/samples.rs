//! Results to try a store with.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::api::RiskLevel;
use crate::hub::store::*;

const DAY: u64 = 24 * 3600;

pub(super) fn delivered<T>(id: Uuid, days: u64, now: DateTime<Utc>, outcome: T) -> Delivered<T> {
    Delivered {
        id: Uuid::now_v7(),
        record_id: id,
        target: "10.0.0.1".to_owned(),
        caller: "agent@a".to_owned(),
        agent: Some("agent@a".to_owned()),
        rescan_after: Duration::from_secs(days * DAY),
        now,
        outcome: Ok(outcome),
    }
}

pub(super) fn failed<T>(result: Delivered<T>) -> Delivered<T> {
    Delivered {
        outcome: Err(Attempt {
            reason: "nobody answered".to_owned(),
        }),
        ..result
    }
}

pub(super) fn request(url: &str) -> Request {
    Request {
        target_url: url.to_owned(),
        method: "GET".to_owned(),
        request_headers: Some(json!({ "Accept": "*/*" })),
        response_status: 200,
        response_headers: None,
        response_time_ms: 1.5,
        user_agent: "Kumo".to_owned(),
        javascript: Some(json!({ "api_endpoints": ["/api"] })),
        signs: None,
        endpoints: 1,
    }
}

pub(super) fn finding(mark: u8) -> NewFinding {
    NewFinding {
        fingerprint: [mark; 32],
        kind: "exposed_secret".to_owned(),
        severity: RiskLevel::High,
        priority: None,
        confidence: None,
        category: "javascript_secret".to_owned(),
        title: "Secret in a script".to_owned(),
        location: format!("http://10.0.0.1/{mark}"),
        cve: None,
        kev: false,
        evidence: json!({ "value_preview": "AKIA…" }),
        discovered_by: "kumo",
    }
}

pub(super) fn spider(run: &str, urls: &[&str]) -> Spider {
    Spider {
        facts: RunFacts {
            run: run.to_owned(),
            ..RunFacts::default()
        },
        requests: urls.iter().map(|u| request(u)).collect(),
        ..Spider::default()
    }
}

pub(super) fn paths(list: &[(&str, Option<u16>)]) -> Enumeration {
    Enumeration {
        paths: list
            .iter()
            .map(|(path, status)| FoundPath {
                path: (*path).to_owned(),
                status: *status,
                ..FoundPath::default()
            })
            .collect(),
        tool: "dirsearch".to_owned(),
        wordlist: "default".to_owned(),
        ..Enumeration::default()
    }
}

pub(super) fn assessment(risk_level: RiskLevel) -> NewAssessment {
    NewAssessment {
        risk_level,
        threat_summary: Some("summary\nof two lines".to_owned()),
        vulnerabilities: json!([{ "type": "x" }]),
        attack_vectors: json!({}),
        remediation_priorities: json!(["patch"]),
        narrative: None,
        findings: None,
        lease_id: None,
        looked_for: None,
    }
}

pub(super) fn render<T: std::fmt::Debug>() -> Render<T> {
    // A fresh id in the answer: only a repetition can give the same one twice.
    Box::new(|done: &T| Answer {
        status: 200,
        body: format!("{done:?} {}", Uuid::new_v4()),
    })
}
