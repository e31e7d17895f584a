//! The rules of the package.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::RuleSet;

/// They are read once for all tests of rules.
pub(super) fn packaged() -> RuleSet {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/rules");
    let loaded = RuleSet::load(&[directory]);
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    loaded.rules
}

#[test]
fn they_are_sound_and_pass_their_own_tests() {
    let rules = packaged();
    assert!(rules.len() >= 120, "{}", rules.len());
    let failures: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule.test())
        .map(|failure| format!("{}:{}: {}", failure.rule, failure.line, failure.message))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_is_in_the_file_of_its_name_and_knows_the_others() {
    let rules = packaged();
    let mut titles = BTreeSet::new();
    for rule in rules.iter() {
        let stem = rule.file.file_stem().and_then(|name| name.to_str());
        assert_eq!(stem, Some(rule.id.as_str()));
        assert!(
            titles.insert(&rule.title),
            "{}: {:?} twice",
            rule.id,
            rule.title
        );
        for other in &rule.supersedes {
            assert!(rules.get(other).is_some(), "{} supersedes {other}", rule.id);
        }
    }
}

/// No rule finds anything in a host of which nothing bad is known.
#[test]
fn nothing_is_found_where_nothing_is() {
    use super::super::facts::{Facts, Kind, Subject};
    let rules = packaged();
    let mut facts = Facts::new("10.0.0.1", chrono::DateTime::UNIX_EPOCH, Some(false));
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Secret) {
        facts.add(Subject::new(kind, format!("{kind}:x"), "x"));
    }
    let found: Vec<_> = rules.evaluate(&facts);
    let found: Vec<_> = found.iter().map(|found| &found.rule.id).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// What a host with well-known faults shows, and nothing else.
#[test]
fn a_host_with_well_known_faults() {
    use super::super::facts::Facts;
    use crate::api::AssessmentContext;
    let port = |number: u16, service: &str, more: serde_json::Value| {
        let mut port = serde_json::json!({
            "port": number, "protocol": "tcp", "service": service, "product": "", "version": "",
            "cpe": [], "confidence": 1.0,
        });
        let more = more.as_object().unwrap().clone();
        port.as_object_mut().unwrap().extend(more);
        serde_json::json!({ "scan_type": "kaze_port_scan", "seen_at": "2026-01-01T00:00:00Z",
                            "port": port })
    };
    let context: AssessmentContext = serde_json::from_value(serde_json::json!({
        "target": "8.8.8.8", "ip_address": "8.8.8.8", "as_of": "2026-01-01T00:00:00Z",
        "ports": [
            port(22, "ssh", serde_json::json!({ "product": "OpenSSH", "version": "9.9p1",
                "details": { "ssh.kex": "curve25519-sha256 kex-strict-s-v00@openssh.com",
                             "ssh.cipher": "chacha20-poly1305@openssh.com" } })),
            port(6379, "redis", serde_json::json!({ "product": "Redis key-value store",
                "version": "7.2.11", "banner": "+PONG" })),
            port(9, "discard", serde_json::json!({ "confidence": 0.3 })),
            port(443, "https", serde_json::json!({ "product": "nginx", "version": "1.28.0",
                "tls": { "version": "TLSv1.2", "cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                         "versions": ["TLSv1.0", "TLSv1.2", "TLSv1.3"], "chain_length": 2,
                         "ciphers": { "TLSv1.0": ["TLS_RSA_WITH_3DES_EDE_CBC_SHA"],
                                      "TLSv1.2": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"] },
                         "certificate": { "subject": "CN=h", "issuer": "CN=i", "serial_number": "1",
                             "not_before": "2025-12-01T00:00:00Z", "not_after": "2026-02-20T00:00:00Z",
                             "subject_alt_names": ["h.example.org"], "self_signed": false,
                             "sha256": "" } } })),
        ],
        "exchanges": [{ "url": "https://8.8.8.8/files/", "method": "GET", "status": 200,
            "headers": { "content-type": "text/html", "server": "nginx",
                         "x-frame-options": "DENY", "x-content-type-options": "nosniff",
                         "referrer-policy": "no-referrer", "permissions-policy": "camera=()",
                         "strict-transport-security": "max-age=31536000" },
            "seen": { "directory_listing": "nginx", "cookies": [{ "name": "session", "secure": true,
                      "http_only": true, "same_site": "Lax" }] } }],
        "pages": [{ "url": "https://8.8.8.8/files/", "status": 200, "title": "Index of /files/" }],
        "paths": [{ "path": "/.git/HEAD", "status": 200 }, { "path": "/secret", "status": 403 }],
    }))
    .unwrap();
    let rules = packaged();
    let found = rules.evaluate(&Facts::of(&context));
    let told: Vec<_> = found
        .iter()
        .map(|one| format!("{} {} {}", one.severity, one.rule.id, one.place))
        .collect();
    let wanted = [
        "critical redis-no-auth tcp/6379",
        "critical vcs-git https://8.8.8.8",
        "medium directory-listing https://8.8.8.8",
        "medium small-services tcp/9",
        "medium tls-10-11 tcp/443",
        "medium tls-3des tcp/443",
        "low csp-missing https://8.8.8.8",
        "low ssh-exposed tcp/22",
    ];
    assert_eq!(told, wanted, "{told:#?}");
    assert_eq!(found[0].also, ["redis-exposed"]);
    assert_eq!(found[1].evidence[0].sources, ["path:/.git/HEAD"]);
}
