//! Control characters, of which PostgreSQL takes no NUL, wherever a request has text; and times that
//! nothing can be computed with. On both databases.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use recon::hub::Database;
use reqwest::Method;
use serde_json::{Value, json};

use super::check;
use super::hub_support::{Bed, heartbeat, scope};

/// A server of its own; it ends when its standard input does.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres"))
            .args(["fsync=off", "shared_buffers=32MB"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut url).unwrap();
        assert!(!url.is_empty(), "tests/postgres did not start a server");
        Self {
            child,
            url: format!("{}/postgres", url.trim()),
        }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn on_sqlite() {
    let bed = Bed::start().await;
    every_text_without_controls(&bed).await;
    bed.end().await;
}

#[tokio::test]
async fn on_postgres() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let database = Database::Postgres(server.url.clone());
    let scope = scope(&["127.0.0.0/8", "10.0.0.0/16", "*.example.org"], &[]);
    let bed = Bed::configured(scope, |mut config, _| {
        config.database = database;
        config
    });
    let bed = bed.await;
    every_text_without_controls(&bed).await;
    bed.end().await;
    server.end();
}

async fn every_text_without_controls(bed: &Bed) {
    let id = bed.add_one("127.0.0.1").await;
    for path in PATHS {
        let (status, answer) = bed.get(path).await;
        check(path, status, &answer, 400);
    }
    let patch = format!("/api/targets/{id}");
    for (path, body) in refused() {
        let (status, answer) = bed.post(path, body.clone()).await;
        check(&format!("{path} {body}"), status, &answer, 422);
    }
    let request = bed.request(Method::PATCH, &patch);
    let (status, answer) = bed.send(request.json(&json!({ "group": "a\0b" }))).await;
    check("PATCH", status, &answer, 422);
    for (path, body) in tidied(&id) {
        let (status, answer) = bed.post(path, body.clone()).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
    }
    // One bad line is named, and the others are taken.
    let lines = "{\"target\":\"10.0.0.1\"}\n{\"target\":\"10.0.0.2\",\"group\":\"a\\u0000\"}\n";
    let request = bed.request(Method::POST, "/api/targets/import");
    let request = request.header("Content-Type", "application/x-ndjson");
    let (status, answer) = bed.send(request.body(lines)).await;
    assert_eq!((status.as_u16(), &answer["created"]), (200, &json!(1)));
    assert_eq!(answer["errors"][0]["line"], 2, "{answer}");
    everything_can_be_shown(bed, &id).await;
}

const PATHS: &[&str] = &[
    "/api/targets?q=%00",
    "/api/targets?group=%00",
    "/api/targets?project=a%1Fb",
    "/api/targets?target=%00",
    "/api/targets?sort=target&cursor=%00",
    "/api/targets?group=%C2%85",
    "/api/targets?format=csv&group=%00",
    "/api/scans?target=%00",
    "/api/scans?scan_type=%00",
    "/api/findings?type=%00",
    "/api/findings?status=%00",
    "/api/findings?target=%00",
    "/api/changes?target=%00",
    "/api/changes?type=%00",
    "/api/changes?since=-262143-01-01T00:00:00Z",
    "/api/changes?since=1969-12-31T23:59:59Z",
    "/api/changes?since=%2B262142-12-31T23:59:59Z",
    "/api/events?since=-262143-01-01T00:00:00Z",
    "/api/events?types=%00",
    "/api/assessments?target=%00",
    "/api/suzu%00/progress/",
    "/api/%00/progress/",
    "/api/daemon/%00/health/",
    "/api/daemon/kaze/eggrecords/?agent=%00",
    "/api/daemon/ryu/eggrecords/?scan_type=%00",
    "/reconnaissance/api/findings?nobody_knows%00=%00",
];

/// What an operator writes is refused.
fn refused() -> Vec<(&'static str, Value)> {
    let target =
        |field: &str, text: &str| json!({ "targets": [{ "target": "10.0.0.3", field: text }] });
    vec![
        ("/api/targets", target("group", "a\0b")),
        ("/api/targets", target("project", "a\0b")),
        ("/api/targets", target("group", "a\nb")),
        ("/api/targets", target("target", "10.0.0.3\0")),
        (
            "/api/eggrecords/create/",
            json!({ "domain": "127.0.0.3", "eggname": "a\0" }),
        ),
        (
            "/api/eggrecords/create/",
            json!({ "domain": "127.0.0.3", "projectegg": "\0a" }),
        ),
        ("/api/daemon/kaze/heartbeat/", heartbeat("kaze\0", "a", &[])),
        ("/api/daemon/kaze/heartbeat/", heartbeat("kaze", "a\0", &[])),
    ]
}

/// What an agent found is kept, and tidied.
fn tidied(id: &str) -> Vec<(&'static str, Value)> {
    // Longer than an index takes, and nothing that could be made shorter.
    let long: String = (0..6000_u32)
        .map(|n| char::from_u32(0x4e00 + n * 7919 % 20_000).unwrap())
        .collect();
    let mut beat = heartbeat("kaze", "a", &[]);
    for field in ["status_text", "version", "current_target"] {
        beat[field] = json!("a\0b");
    }
    let port = json!({ "port": 80, "service_name": "a\0", "service_product": "\0",
        "service_info": "a\0", "service_details": { "a\0": "\0b" }, "waf": "\0", "service_cpe": ["a\0"], "tls": { "version": "\0", "cipher": "\0" } });
    let secret = json!({ "type": "a\0", "value": "AKIA\0BCDEFGH", "context": "AKIA\0BCDEFGH" });
    vec![
        ("/api/daemon/kaze/heartbeat/", beat),
        (
            "/api/daemon/kaze/scan/",
            json!({ "eggrecord_id": id, "target": "a\0b", "result": {
            "open_ports": [port], "engine": "a\0", "scan_command": "a\0", "incomplete": "\0",
            "reason": "\0", "started_at": "0001-01-01T00:00:00Z",
            "finished_at": "-262143-01-01T00:00:00Z" } }),
        ),
        (
            "/api/daemon/kage/scan/",
            json!({ "eggrecord_id": id, "target": long, "result": {
            "success": true, "finished_at": "9999-12-31T23:59:59Z" } }),
        ),
        (
            "/api/daemon/ryu/scan/",
            json!({ "eggrecord_id": id, "scan_type": "x", "result": {
            "success": false, "reason": "a\0b" } }),
        ),
        (
            "/api/daemon/kumo/spider/",
            json!({ "eggrecord_id": id, "target": "a\0b", "result": {
            "run_id": "\0", "technologies": [{ "name": "a\0", "version": "\0" }],
            "request_metadata": [{ "target_url": "http://127.0.0.1/\0", "user_agent": "\0a",
                "request_headers": { "a\0": "b\0" }, "response_status": 200,
                "javascript_analysis": { "secrets_found": [secret],
                    "api_endpoints": ["/\0"] } }] } }),
        ),
        (
            "/api/daemon/enumeration/",
            json!({ "eggrecord_id": id, "target": long, "result": {
            "paths_discovered": [{ "path": "/\0", "status": 200, "content_type": "\0a",
                "priority_factors": ["\0"] }, { "path": long, "status": 200 }],
            "enumeration_metadata": { "tool_used": "a\0", "wordlist_used": "a\0" },
            "cms_detection": { "cms": "a\0", "version": "a\0" } } }),
        ),
        (
            "/api/daemon/ryu/assessment/",
            json!({ "eggrecord_id": id, "target": "a\0",
            "risk_level": "low", "threat_summary": "a\0", "narrative": "a\0",
            "vulnerabilities": ["\0"] }),
        ),
        (
            "/api/daemon/suzu/progress/",
            json!({ "status": "a\0", "current_target": "a\0",
            "cms_detected": "\0", "started_at": "\0" }),
        ),
    ]
}

async fn everything_can_be_shown(bed: &Bed, id: &str) {
    let summary = format!("/api/eggrecords/{id}/summary");
    for path in [
        "/api/targets",
        "/api/scans",
        "/api/findings",
        "/api/assessments",
        "/api/changes",
        "/api/events?limit=1000",
        "/api/suzu/progress",
        "/api/health",
        &summary,
    ] {
        let (status, answer) = bed.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    assert_eq!(bed.scans().await.len(), 2);
}
