//! What a hub says of three targets: one with all there is, one of an old agent, one with nothing to tell.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AtLength, Format, Known, Report, Settings, Shown};
use crate::api::RiskLevel;

/// A report of everything, in this form.
pub(crate) fn settings(format: Format) -> Settings {
    Settings {
        format,
        min_severity: RiskLevel::Info,
        shown: Shown::All,
        now: None,
        asked: Vec::new(),
        not_assessed: 0,
        at_length: AtLength::USUAL,
    }
}

/// A report as text.
pub(crate) fn written(settings: Settings, targets: &[Known]) -> String {
    let mut report = Report::new(settings).unwrap();
    for target in targets {
        report.add(target.clone()).unwrap();
    }
    let mut text = Vec::new();
    report.finish(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// All three.
pub(crate) fn all() -> Vec<Known> {
    vec![plain(), full(), old()]
}

/// A record's id by its number.
fn record(n: u128) -> Uuid {
    Uuid::from_u128(0x019a_9b3c_0000_7000_8000_0000_0000_0000 + n)
}

/// Everything that a hub can say.
pub(crate) fn full() -> Known {
    Known {
        id: record(1),
        target: "shop.example.org".to_owned(),
        group: Some("shop".to_owned()),
        address: Some("192.0.2.17".to_owned()),
        assessments: vec![
            assessment(),
            json!({
                "id": record(0x21), "risk_level": "high", "created_at": "2026-11-14T06:00:00Z",
                "vulnerabilities": [], "attack_vectors": [], "remediation_priorities": [],
            }),
        ],
        findings: findings(),
        scans: scans(),
        changes: vec![
            json!({ "type": "port_opened", "subject": "6379/tcp", "before": null,
                    "after": { "service": "redis", "product": "Redis", "version": "7.0.15" },
                    "created_at": "2026-11-20T03:10:00Z" }),
            json!({ "type": "certificate_changed", "subject": "443/tcp",
                    "before": { "subject": "CN=shop.example.org" }, "after": { "subject": "CN=old" },
                    "created_at": "2026-11-18T03:10:00Z" }),
        ],
    }
}

fn assessment() -> Value {
    json!({
        "id": record(0x20), "risk_level": "critical", "agent": "ryu@scan1", "created_at": "2026-11-21T06:00:00Z",
        "threat_summary": "A database answers without a login from the internet, and the web server has a hole that is used by criminals.",
        "vulnerabilities": [redis(), apache(), header(), listing(), cookie()],
        "attack_vectors": [{
            "id": "open-database", "title": "Data through an open database", "severity": "critical",
            "steps": [
                { "technique": "T1190", "name": "Exploit Public-Facing Application",
                  "does": "Somebody connects to Redis on tcp/6379; it asks for no login.",
                  "findings": ["redis-no-auth tcp/6379"] },
                { "technique": "T1078.001", "name": "Valid Accounts: Default Accounts",
                  "does": "What is stored there is read: sessions of users, as the names of keys say.",
                  "findings": [] },
            ],
        }],
        "remediation_priorities": [
            { "rank": 1, "action": "Let Redis listen on 127.0.0.1 only, and set requirepass",
              "reason": "ends that anybody reads and writes its data", "effort": "low", "priority": 100.0,
              "findings": ["redis-no-auth tcp/6379"] },
            { "rank": 2, "action": "Update Apache httpd to 2.4.51 or later", "reason": "ends CVE-2021-41773",
              "effort": "medium", "priority": 95.9, "findings": ["CVE-2021-41773 tcp/80"] },
        ],
        "narrative": "shop.example.org has four open ports (scan:kaze_port_scan).\n\nRedis 7.0.15 on tcp/6379 answers INFO without a login (scan:kaze_port_scan/tcp/6379).\nApache httpd 2.4.49 on tcp/80 says its version (http:GET http://shop.example.org/).",
    })
}

fn redis() -> Value {
    json!({
        "key": "redis-no-auth tcp/6379", "type": "redis-no-auth", "category": "missing-authentication",
        "title": "Redis answers without a login", "severity": "critical", "location": "tcp/6379",
        "reason": "Anybody who reaches it can read and change its data, and often run programs.",
        "priority": { "score": 100.0, "factors": [
            { "name": "base", "value": 9.5, "why": "critical by its rule" },
            { "name": "exposure", "value": 1.2, "why": "the address is public" },
            { "name": "confidence", "value": 0.95, "why": "it answered INFO" },
        ] },
        "confidence": 0.95, "cwe": [306], "attack": ["T1190"],
        "evidence": [{ "sources": ["scan:kaze_port_scan/tcp/6379"],
                       "fields": { "redis.auth": "none", "version": "7.0.15", "keys": 12 } }],
        "remediation": "Let it listen on 127.0.0.1 only, set requirepass, and put a firewall before it",
        "effort": "low", "references": ["https://redis.io/docs/latest/operate/oss_and_stack/management/security/"],
    })
}

fn apache() -> Value {
    json!({
        "key": "CVE-2021-41773 tcp/80", "type": "known_vulnerability", "category": "outdated",
        "title": "Apache httpd 2.4.49: path traversal and file disclosure", "severity": "high",
        "location": "tcp/80", "reason": "Files outside the document root are served.", "cve": "CVE-2021-41773",
        "priority": { "score": 95.9, "factors": [
            { "name": "base", "value": 7.5, "why": "CVSS 3.1" },
            { "name": "exploited", "value": 1.3, "why": "in CISA's catalogue" },
            { "name": "exposure", "value": 1.2, "why": "the address is public" },
            { "name": "confidence", "value": 0.82, "why": "by version alone" },
        ] },
        "confidence": 0.82, "cwe": [22], "attack": ["T1190"],
        "cvss": { "version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "score": 7.5 },
        "kev": true, "epss": 0.944, "distribution": "not a package of the distribution",
        "evidence": [{ "sources": ["http:GET http://shop.example.org/"],
                       "fields": { "server": "Apache/2.4.49 (Unix)" } }],
        "remediation": "Update Apache httpd to 2.4.51 or later", "effort": "medium",
        "references": ["https://nvd.nist.gov/vuln/detail/CVE-2021-41773", "CISA KEV 2021-11-03"],
    })
}

fn header() -> Value {
    json!({
        "key": "hsts-missing https://shop.example.org", "type": "hsts-missing", "category": "headers",
        "title": "No Strict-Transport-Security", "severity": "low", "location": "https://shop.example.org/",
        "reason": "The first request may go by http.", "priority": { "score": 21.6, "factors": [] },
        "confidence": 0.9, "cwe": [319],
        "evidence": [{ "sources": ["http:GET https://shop.example.org/"], "fields": { "status": 200 } }],
        "remediation": "Send Strict-Transport-Security", "effort": "low",
    })
}

fn listing() -> Value {
    json!({
        "key": "directory-listing /pub/", "type": "directory-listing", "category": "exposure",
        "title": "Directory listing", "severity": "medium", "location": "https://shop.example.org/pub/",
        "reason": "Names of files are told to everybody.", "confidence": 1.0, "priority": { "score": 40.0 },
        "evidence": [], "remediation": "Switch listings off", "effort": "low",
    })
}

fn cookie() -> Value {
    json!({
        "key": "cookie-no-secure sid", "type": "cookie-no-secure", "category": "cookies",
        "title": "Cookie without Secure", "severity": "low", "location": "https://shop.example.org/",
        "reason": "It may be sent by http.", "confidence": 1.0, "evidence": [],
    })
}

/// As the hub keeps them: with a life, and what the assessment said of them as evidence.
fn findings() -> Vec<Value> {
    let kept = |n: u128, of: Value, more: Value| {
        let mut kept = json!({
            "id": record(0x100 + n), "eggrecord_id": record(1), "target": "shop.example.org",
            "first_seen_at": "2026-10-05T06:00:00Z", "last_seen_at": "2026-11-21T06:00:00Z", "status": "open",
            "discovered_by": "ryu",
        });
        for (field, value) in of.as_object().unwrap() {
            match field.as_str() {
                "type" | "category" | "title" | "severity" | "location" => {}
                _ => kept["evidence"][field] = value.clone(),
            }
            if !["confidence", "evidence", "key", "priority"].contains(&field.as_str()) {
                kept[field] = value.clone();
            }
        }
        for (name, value) in more.as_object().unwrap() {
            kept[name] = value.clone();
        }
        kept
    };
    let decision = |status, reason, until: Value| {
        json!({ "status": status, "decision": {
            "status": status, "reason": reason, "by": "operator kim", "at": "2026-11-01T08:00:00Z", "until": until,
        } })
    };
    vec![
        kept(
            1,
            redis(),
            json!({ "first_seen_at": "2026-11-20T06:00:00Z" }),
        ),
        kept(
            2,
            apache(),
            json!({ "reopened_at": "2026-11-10T06:00:00Z" }),
        ),
        kept(3, header(), json!({})),
        kept(
            4,
            listing(),
            decision(
                "accepted",
                "Public mirror; meant to be listed",
                json!("2027-02-01T00:00:00Z"),
            ),
        ),
        kept(
            5,
            cookie(),
            decision(
                "false_positive",
                "The cookie holds the language only",
                Value::Null,
            ),
        ),
        json!({
            "id": record(0x106), "type": "exposed_secret", "category": "javascript_secret", "severity": "high",
            "title": "AWS access key in a script", "location": "https://shop.example.org/app.js",
            "evidence": { "value_sha256": "0f1e2d", "shown": "AKIA…" }, "status": "resolved",
            "discovered_by": "kumo", "first_seen_at": "2026-10-12T06:00:00Z",
            "last_seen_at": "2026-10-26T06:00:00Z", "fixed_at": "2026-11-02T06:00:00Z",
        }),
        kept(
            7,
            json!({ "key": "telnet tcp/23", "type": "telnet", "category": "clear-text", "severity": "medium",
                        "title": "Telnet", "location": "tcp/23" }),
            decision(
                "accepted",
                "Until the switch is replaced",
                json!("2026-11-15T00:00:00Z"),
            ),
        ),
    ]
}

fn scans() -> Vec<Value> {
    let scan = |kind: &str, status: &str, finished: &str, ports: Value| json!({ "scan_type": kind, "scan_status": status, "finished_at": finished, "open_ports": ports });
    vec![
        scan(
            "kage_port_scan",
            "running",
            "2026-11-21T05:30:00Z",
            json!([{ "port": 9, "protocol": "tcp" }]),
        ),
        scan(
            "kaze_port_scan",
            "completed",
            "2026-11-21T03:00:00Z",
            json!([
                { "port": 80, "protocol": "tcp", "service": "http", "product": "Apache httpd", "version": "2.4.49",
                  "banner": "HTTP/1.1 200 OK", "confidence": 1.0 },
                { "port": 443, "protocol": "tcp", "service": "https", "product": "Apache httpd", "version": "2.4.49",
                  "banner": "", "confidence": 1.0, "tls": { "version": "TLSv1.2", "cipher": "x",
                    "certificate": { "subject": "CN=shop.example.org", "not_after": "2026-12-24T00:00:00Z" },
                    "problems": ["weak signature"] } },
                { "port": 6379, "protocol": "tcp", "service": "redis", "product": "Redis", "version": "7.0.15",
                  "banner": "-ERR unknown command", "confidence": 1.0 },
            ]),
        ),
        scan(
            "kage_port_scan",
            "completed",
            "2026-11-20T03:00:00Z",
            json!([
                { "port": 23, "protocol": "tcp", "service": "telnet", "confidence": 0.3 },
                { "port": 6379, "protocol": "tcp", "service": "", "confidence": 0.0 },
            ]),
        ),
        scan(
            "kaze_port_scan",
            "completed",
            "2026-11-01T03:00:00Z",
            json!([{ "port": 8080, "protocol": "tcp" }]),
        ),
    ]
}

/// As an agent of others writes it: sentences where ours have objects, and nothing where it has nothing.
pub(crate) fn old() -> Known {
    Known {
        id: record(2),
        target: "198.51.100.4".to_owned(),
        assessments: vec![json!({
            "risk_level": "HIGH", "threat_summary": "Old software", "created_at": "2026-11-19T06:00:00Z",
            "vulnerabilities": ["OpenSSH 5.3 is old", { "name": "weak ciphers", "severity": "low" }],
            "attack_vectors": ["ssh by guessing"], "remediation_priorities": ["Update OpenSSH"],
            "narrative": null,
        })],
        ..Known::default()
    }
}

/// Nothing to tell, and words where lists should be.
pub(crate) fn plain() -> Known {
    Known {
        id: record(3),
        target: "203.0.113.9".to_owned(),
        address: Some("203.0.113.9".to_owned()),
        assessments: vec![json!({
            "risk_level": "info", "vulnerabilities": {}, "attack_vectors": {}, "remediation_priorities": {},
            "created_at": "2026-11-20T06:00:00Z",
        })],
        ..Known::default()
    }
}
