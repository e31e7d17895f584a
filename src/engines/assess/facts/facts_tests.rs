use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::api::{AssessedPort, ScanPort};

pub(in super::super) fn day(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(in super::super) fn context(value: serde_json::Value) -> AssessmentContext {
    let mut context: AssessmentContext = serde_json::from_value(value).unwrap();
    if context.as_of == DateTime::<Utc>::default() {
        context.as_of = day("2026-01-01T00:00:00Z");
    }
    context
}

fn port(value: serde_json::Value) -> AssessedPort {
    let mut full = json!({
        "protocol": "tcp", "service": "", "product": "", "version": "", "cpe": [], "confidence": 1.0,
    });
    full.as_object_mut()
        .unwrap()
        .extend(value.as_object().unwrap().clone());
    AssessedPort {
        scan_type: "kaze_port_scan".to_owned(),
        seen_at: day("2025-12-31T00:00:00Z"),
        port: serde_json::from_value::<ScanPort>(full).unwrap(),
    }
}

fn known(subject: &Subject) -> BTreeMap<String, String> {
    let known = subject.known();
    known
        .map(|(name, value)| (name, value.to_string()))
        .collect()
}

#[test]
fn a_guessed_service_is_no_service() {
    let mut context = context(json!({ "target": "8.8.8.8" }));
    context.ports = vec![
        port(json!({ "port": 6379, "service": "redis", "confidence": 0.3 })),
        port(json!({ "port": 443, "service": "https", "product": "nginx",
                     "details": { "http.status": "200", "no.such": "x", "ssh.kex": "a b" } })),
    ];
    let facts = Facts::of(&context);
    let services = facts.all(Kind::Service);
    assert_eq!(services[0].text("service"), "");
    assert_eq!(services[0].text("usual"), "redis");
    assert_eq!(services[0].sources, ["scan:kaze_port_scan/tcp/6379"]);
    let web = known(&services[1]);
    assert_eq!(
        (web["service"].as_str(), web["tls"].as_str()),
        ("http", "yes")
    );
    assert_eq!(web["ssh.kex"], "a, b");
    assert_eq!(web["public"], "yes");
    assert!(!web.contains_key("no.such"));
    assert_eq!(facts.all(Kind::Host)[0].text("name"), "8.8.8.8");
}

#[test]
fn days_of_a_certificate_count_from_the_evidence() {
    let mut context = context(json!({ "target": "h", "as_of": "2026-01-10T12:00:00Z" }));
    context.ports = vec![port(json!({ "port": 443, "service": "https", "tls": {
        "version": "TLSv1.2", "cipher": "TLS_RSA_WITH_AES_128_GCM_SHA256", "certificate": {
            "subject": "CN=h", "issuer": "CN=i", "serial_number": "1", "self_signed": false,
            "not_before": "2025-10-12T12:00:00Z", "not_after": "2026-01-10T11:00:00Z", "sha256": "",
        } } }))];
    let facts = Facts::of(&context);
    let tls = known(&facts.all(Kind::Tls)[0]);
    let days = ["days_left", "days_old", "validity_days"].map(|name| tls[name].as_str());
    assert_eq!(days, ["-1", "90", "89"]);
    assert_eq!(
        (tls["versions"].as_str(), tls["deep"].as_str()),
        ("TLSv1.2", "no")
    );
    assert_eq!(facts.public, None);
}

#[test]
fn answers_of_others_are_no_facts() {
    let context = context(json!({ "target": "site.example", "exchanges": [
        { "url": "https://site.example/a?b=1", "method": "GET", "status": 200,
          "headers": { "content-type": "text/html", "server": "nginx/1.22.1",
                       "strict-transport-security": "max-age=\"300\"",
                       "content-security-policy": "default-src 'self'; frame-ancestors 'none'" },
          "seen": { "cookies": [{ "name": "PHPSESSID" }, { "name": "csrftoken" }] } },
        { "url": "https://cdn.example/x.js", "method": "GET", "status": 200, "headers": {} },
        { "url": "https://www.site.example/", "method": "GET", "status": 0, "headers": {} },
    ], "pages": [{ "url": "https://site.example/a?b=1", "status": 200, "title": "A" },
                 { "url": "https://site.example/gone", "status": 404 }] }));
    let facts = Facts::of(&context);
    let http = facts.all(Kind::Http);
    let one = known(&http[0]);
    assert_eq!(one["title"], "A");
    assert_eq!(one["hsts_max_age"], "300");
    assert_eq!(
        (one["csp_scripts"].as_str(), one["frame_ancestors"].as_str()),
        ("'self'", "yes")
    );
    assert_eq!(one["header.server"], "nginx/1.22.1");
    assert_eq!(http[0].place, "https://site.example");
    assert_eq!(http[0].anchor, "tcp/443");
    // The page of which no headers are known, and nothing of the content network.
    assert_eq!(http.len(), 2);
    assert_eq!(http[1].sources, ["page:https://site.example/gone"]);
    let cookies: Vec<_> = facts.all(Kind::Cookie).iter().map(known).collect();
    let sessions = cookies.iter().map(|cookie| cookie["session"].as_str());
    assert_eq!(sessions.collect::<Vec<_>>(), ["yes", "no"]);
    let paths: Vec<_> = facts
        .all(Kind::Path)
        .iter()
        .map(|p| p.text("path"))
        .collect();
    assert_eq!(paths, ["/a"]);
}

#[test]
fn a_path_of_both_agents_is_one_fact() {
    let context = context(json!({ "target": "10.0.0.9", "ports": [], "paths": [
        { "path": "/.git/HEAD", "status": 200, "size": 23 },
        { "path": "http://10.0.0.9:8080/admin", "status": 401 },
    ], "pages": [{ "url": "http://10.0.0.9/.git/HEAD", "status": 200 }] }));
    let facts = Facts::of(&context);
    let paths = facts.all(Kind::Path);
    assert_eq!(paths.len(), 2);
    assert_eq!(paths[0].sources, ["path:/.git/HEAD"]);
    assert_eq!(paths[0].place, "http://10.0.0.9");
    assert_eq!(
        (paths[1].text("path"), paths[1].anchor.as_str()),
        ("/admin", "tcp/8080")
    );
    assert_eq!(facts.public, Some(false));
}

#[test]
fn software_is_one_fact_however_often_it_is_seen() {
    let mut context = context(json!({ "target": "h", "technologies": [
        { "name": "nginx", "version": "1.22.1", "category": "web server" }, { "name": "PHP" } ],
        "cms": [{ "name": "WordPress", "version": "6.1", "confidence": 0.7 }] }));
    let ssh = json!({ "port": 22, "service": "ssh", "product": "OpenSSH",
                      "version": "9.2p1 Debian-2+deb12u3" });
    let web = json!({ "port": 80, "service": "http", "product": "nginx", "version": "1.22.1" });
    let bare = json!({ "port": 81, "service": "http", "product": "nginx" });
    context.ports = vec![port(ssh), port(web), port(bare)];
    let facts = Facts::of(&context);
    let all: Vec<_> = facts.all(Kind::Technology).iter().map(known).collect();
    let names: Vec<_> = all.iter().map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["nginx", "OpenSSH", "PHP", "WordPress"]);
    assert_eq!(all[0]["places"], "tcp/80, web");
    assert_eq!(
        (all[1]["version"].as_str(), all[1]["backports"].as_str()),
        ("9.2p1", "yes")
    );
    assert_eq!(
        facts.all(Kind::Technology)[0].sources,
        ["scan:kaze_port_scan/tcp/80", "web:nginx"]
    );
}

#[test]
fn the_same_form_on_every_page_is_one_fact() {
    let form = |page: &str, action: &str| {
        json!({ "page": page, "method": "POST", "action": action, "enctype": "",
                "inputs": [{ "name": "user", "type": "text" }, { "name": "pass", "type": "password" },
                           { "name": "csrf_token", "type": "hidden" }] })
    };
    let context = context(json!({ "target": "h.example", "forms": [
        form("http://h.example/", "/login"),
        form("http://h.example/b", "http://h.example/login"),
        form("http://h.example/c", "https://sso.example/"),
        form("http://other.example/", "/x"),
    ] }));
    let facts = Facts::of(&context);
    let forms: Vec<_> = facts.all(Kind::Form).iter().map(known).collect();
    assert_eq!(forms.len(), 2);
    assert_eq!(
        (forms[0]["password"].as_str(), forms[0]["token"].as_str()),
        ("yes", "yes")
    );
    assert_eq!(
        (
            forms[1]["elsewhere"].as_str(),
            forms[1]["action_scheme"].as_str()
        ),
        ("yes", "https")
    );
}

#[test]
fn several_versions_are_none() {
    let mut context = context(json!({ "target": "8.8.8.8" }));
    for version in [
        "9.6.0 or later",
        "3.X - 4.X",
        "8.1.2 or 8.1.10 - 8.1.23",
        "5.x",
    ] {
        context.ports = vec![port(
            json!({ "port": 5432, "service": "postgresql", "product": "PostgreSQL DB",
                         "version": version }),
        )];
        let facts = Facts::of(&context);
        let service = &facts.all(Kind::Service)[0];
        assert_eq!(service.text("version"), "", "{version}");
        let software = &facts.all(Kind::Technology)[0];
        assert_eq!(software.text("version"), "", "{version}");
    }
}

#[test]
fn a_version_of_nmaps_table_is_none() {
    let samba = json!({ "port": 445, "service": "netbios-ssn", "product": "Samba smbd", "version": "4.6.2",
                        "cpe": ["cpe:/a:samba:samba:4.6.2"] });
    let mut own = samba.clone();
    own["banner"] = json!("Samba 4.6.2-Debian");
    for (port_of, version) in [(samba, ""), (own, "4.6.2")] {
        let mut context = context(json!({ "target": "8.8.8.8" }));
        context.ports = vec![port(port_of)];
        let facts = Facts::of(&context);
        for kind in [Kind::Service, Kind::Technology] {
            let fact = &facts.all(kind)[0];
            assert_eq!(fact.text("version"), version);
            assert_eq!(fact.get("cpe").is_none(), version.is_empty());
        }
    }
}

#[test]
fn a_later_scan_says_what_version_is_there_now() {
    let seen = |at: &str, number: u16, product: &str, version: &str| {
        let mut seen = port(
            json!({ "port": number, "service": "http", "product": product,
                                    "version": version }),
        );
        seen.seen_at = day(at);
        seen
    };
    let mut context = context(json!({ "target": "8.8.8.8" }));
    context.ports = vec![
        seen("2025-12-01T00:00:00Z", 80, "Apache httpd", "2.4.49"),
        seen(
            "2025-12-20T00:00:00Z",
            80,
            "Apache HTTP Server",
            "2.4.66 (Unix)",
        ),
        // Another port, another product, and what does not tell its version.
        seen("2025-12-01T00:00:00Z", 81, "Apache httpd", "2.4.50"),
        seen("2025-12-01T00:00:00Z", 80, "Grafana", "8.3.0"),
        seen("2025-12-21T00:00:00Z", 81, "Apache httpd", ""),
    ];
    let facts = Facts::of(&context);
    let mut all: Vec<_> = facts
        .all(Kind::Technology)
        .iter()
        .map(|f| f.text("version"))
        .collect();
    all.sort_unstable();
    assert_eq!(all, ["2.4.50", "2.4.66", "8.3.0"]);
}

#[test]
fn cookies_of_sessions() {
    for name in [
        "PHPSESSID",
        "connect.sid",
        "sid",
        "SSID",
        "auth",
        "X-Auth",
        ".ASPXAUTH",
        "authToken",
        "laravel_session",
        "remember_me",
        "sso",
        "sid2",
    ] {
        assert!(web::is_session(&name.to_ascii_lowercase()), "{name}");
    }
    for name in [
        "visid_incap_12",
        "sidebar",
        "side",
        "author",
        "lessons_done",
        "crossorigin",
        "theme",
        "inside",
        "_ga",
    ] {
        assert!(!web::is_session(name), "{name}");
    }
}
