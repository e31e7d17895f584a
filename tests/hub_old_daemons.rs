//! What the unmodified Python and Go daemons of the earlier system send, and what becomes of it.
//! They name no agent, send no key, and look at little more than `success`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::{Bed, text};
use serde_json::{Value, json};

const BASE: &str = "/reconnaissance/api/daemon";

/// A list, as a daemon asks for it.
async fn list(bed: &Bed, query: &str) -> Vec<Value> {
    let (status, body) = bed.get(&format!("{BASE}/{query}")).await;
    assert_eq!(
        (status.as_u16(), &body["success"]),
        (200, &json!(true)),
        "{body}"
    );
    body["eggrecords"].as_array().unwrap().clone()
}

async fn send(bed: &Bed, path: &str, body: Value) -> Value {
    let (status, answer) = bed.post(&format!("{BASE}/{path}/"), body).await;
    assert_eq!(
        (status.as_u16(), &answer["success"]),
        (200, &json!(true)),
        "{answer}"
    );
    answer
}

async fn summary(bed: &Bed, id: &str) -> Value {
    let (status, body) = bed.get(&format!("/api/eggrecords/{id}/summary")).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

fn port(number: usize, status: &str) -> Value {
    json!({
        "port": number, "status": status, "protocol": "tcp",
        "service_name": if number == 80 { "http".to_owned() } else { format!("unknown-{number}") },
        "service_product": "", "service_version": "", "service_info": "",
        "scan_time": 0.003_141_592_6, "timestamp": "2026-11-21T04:31:30.666927", "cached": false,
    })
}

/// Python ryu: every port has an object, and the strategy is half a megabyte of text.
#[tokio::test]
async fn ten_megabytes_of_ports() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    assert_eq!(
        list(&bed, "ryu/eggrecords/?limit=5&scan_type=ryu_port_scan")
            .await
            .len(),
        1
    );
    let results: Vec<_> = (1..=65_535)
        .map(|n| port(n, if n == 80 { "open" } else { "closed" }))
        .collect();
    let body = json!({
        "eggrecord_id": id, "target": "127.0.0.1", "scan_type": "ryu_port_scan",
        "result": {
            "success": true, "target": "127.0.0.1", "ip_address": "127.0.0.1",
            "ports_scanned": 65_535, "open_ports_count": 1, "scan_duration": 71.5,
            "open_ports": [port(80, "open")], "results": results,
            "waf_detection": { "detected": false, "waf": null }, "ssl_analysis": {},
            "strategy_used": "x".repeat(448 * 1024), "nmap_entries_created": 0,
        },
    });
    assert!(body.to_string().len() > 10_000_000);
    let answer = send(&bed, "ryu/scan", body).await;
    assert_eq!(answer["message"], "Scan result submitted for 127.0.0.1");
    assert_eq!(answer["open_ports_found"], 1);
    assert_eq!(answer["scan_status"], "completed");
    let scan = bed.scans().await.remove(0);
    assert_eq!(scan["ports_scanned"], 65_535);
    assert_eq!(scan["open_ports"][0]["service"], "http");
    assert!(
        scan.to_string().len() < 2000,
        "what is of no use is not kept"
    );
    assert!(
        list(&bed, "ryu/eggrecords/?limit=5&scan_type=ryu_port_scan")
            .await
            .is_empty()
    );
}

/// Python ryu asks for its assessments without `scan_type`, and posts them to a path of its own.
#[tokio::test]
async fn assessments_of_ryu() {
    let bed = Bed::start().await;
    let ids = bed
        .add(&["127.0.0.1".into(), "127.0.0.2".into(), "127.0.0.3".into()])
        .await;
    assert!(
        list(&bed, "ryu/eggrecords/?limit=2").await.is_empty(),
        "nothing to assess"
    );
    for id in &ids[..2] {
        let result = json!({ "success": true, "open_ports": [port(80, "open")] });
        let body = json!({ "eggrecord_id": id, "target": "x", "scan_type": "kage_port_scan",
                           "result": result });
        send(&bed, "kage/scan", body).await;
    }
    let entry = json!({ "target_url": "http://127.0.0.2/", "response_status": 200 });
    let body = json!({ "eggrecord_id": ids[1], "target": "http://127.0.0.2",
                       "result": { "request_metadata": [entry] } });
    send(&bed, "kumo/spider", body).await;
    let due = list(&bed, "ryu/eggrecords/?limit=2").await;
    let found: Vec<_> = due
        .iter()
        .map(|r| (text(&r["id"]), &r["priority"]))
        .collect();
    let (one, zero) = (json!(1), json!(0));
    assert_eq!(found, [(ids[1].clone(), &one), (ids[0].clone(), &zero)]);
    let body = json!({
        "eggrecord_id": ids[1], "risk_level": "medium",
        "threat_summary": "Threat assessment for 127.0.0.2", "vulnerabilities": {},
        "attack_vectors": {}, "remediation_priorities": {},
        "narrative": "Assessment performed for 127.0.0.2",
    });
    let answer = send(&bed, "assessment", body).await;
    let message = format!("Assessment submitted for eggrecord {}", ids[1]);
    assert_eq!(answer["message"], message);
    let (_, all) = bed
        .get("/api/assessments?target=127.0.0.2&risk_level=medium")
        .await;
    assert_eq!(all["assessments"].as_array().unwrap().len(), 1);
    assert_eq!(
        all["assessments"][0]["narrative"],
        "Assessment performed for 127.0.0.2"
    );
    assert_eq!(bed.events("assessment_completed").await.len(), 1);
    bed.clock
        .advance(TimeDelta::hours(7 * 24) - TimeDelta::minutes(1));
    assert_eq!(
        list(&bed, "ryu/eggrecords/").await.len(),
        1,
        "only what was not assessed"
    );
    bed.clock.advance(TimeDelta::minutes(1));
    assert_eq!(text(&list(&bed, "ryu/eggrecords/").await[0]["id"]), ids[1]);
}

/// Python kumo: https fails, http answers; scripts are sent whole, secrets and all.
#[tokio::test]
async fn a_spider_with_secrets() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    assert_eq!(list(&bed, "kumo/eggrecords/?limit=3").await.len(), 1);
    let secret = "AKIAABCDEFGHIJKLMNOP";
    let page = |url: &str, secrets: Value| {
        json!({
            "target_url": url, "request_method": "GET", "response_status": 200,
            "response_time_ms": 12.5, "user_agent": "Kumo-Spider/2.0 (EGO Security Scanner)",
            "timestamp": "2026-11-21T04:31:30.666927", "error": null,
            "javascript_analysis": {
                "external_js_files": [{ "url": "http://127.0.0.1/a.js", "src": "/a.js",
                    "type": "", "async": false, "defer": false,
                    "content": format!("k='{secret}'").repeat(4000), "secrets": secrets }],
                "inline_js_blocks": [{ "type": "", "content": format!("k='{secret}'") }],
                "event_handlers": [], "secrets_found": secrets,
                "api_endpoints": [
                    { "url": format!("http://127.0.0.1/api?k={secret}"), "original": "/api" }],
                "parameters_extracted": [{ "name": "k", "type": "query", "context": secret }],
                "custom_functions": [], "config_objects": [{ "name": "c", "content": secret }],
            },
        })
    };
    let secrets = json!([{ "type": "aws_key", "value": secret,
                           "context": format!("var k='{secret}';"), "position": 7 }]);
    let down = json!({ "target_url": "https://127.0.0.1", "request_method": "GET",
        "response_status": 0, "response_time_ms": 0, "error": "refused",
        "javascript_analysis": {} });
    let entries = json!([
        down,
        page("http://127.0.0.1/", secrets),
        page("http://127.0.0.1/b", json!([])),
        page("http://127.0.0.1/b", json!([]))
    ]);
    let body = json!({
        "eggrecord_id": id, "target": "http://127.0.0.1",
        "result": { "success": true, "target": "127.0.0.1", "pages_spidered": 2,
            "metadata_entries_created": 0, "spider_duration": 0.5,
            "pages": [{ "url": "http://127.0.0.1/", "headers": { "X": "y" }, "cookies": [] }],
            "request_metadata": entries },
    });
    let answer = send(&bed, "kumo/spider", body.clone()).await;
    assert_eq!(
        answer["message"],
        "Spider result submitted for http://127.0.0.1"
    );
    assert_eq!(
        (&answer["requests_inserted"], &answer["secrets_found"]),
        (&json!(3), &json!(1))
    );
    let again = send(&bed, "spider", body).await;
    assert_eq!(again["requests_inserted"], 0, "the same run");
    let (_, found) = bed
        .get("/api/findings?target=127.0.0.1&severity=high&status=open")
        .await;
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{found}");
    assert_eq!(
        findings[0]["location"], "http://127.0.0.1/",
        "not the last page's"
    );
    assert_eq!(findings[0]["type"], "exposed_secret");
    assert_eq!(findings[0]["evidence"]["value_preview"], "AKIA…");
    assert_eq!(findings[0]["evidence"]["context"], "var k='AKIA…';");
    assert_eq!(text(&findings[0]["evidence"]["value_sha256"]).len(), 64);
    let data = summary(&bed, &id).await;
    assert_eq!(data["statistics"]["javascript_secrets_count"], 1);
    assert_eq!(data["statistics"]["javascript_endpoints_count"], 2);
    assert_eq!(data["ryu_assessment"], Value::Null, "no fake assessment");
    let (_, events) = bed.get("/api/events?limit=1000").await;
    for kept in [&data, &found, &events] {
        assert!(!kept.to_string().contains(secret), "{kept}");
    }
    assert!(list(&bed, "kumo/eggrecords/?limit=3").await.is_empty());
}

/// A host that is down was not spidered.
#[tokio::test]
async fn a_spider_that_reached_nothing() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    assert_eq!(list(&bed, "kumo/eggrecords/?limit=3").await.len(), 1);
    let entry = |url: &str| json!({ "target_url": url, "response_status": 0, "error": "refused" });
    let body = json!({ "eggrecord_id": id, "target": "https://127.0.0.1", "result": {
        "success": true,
        "request_metadata": [entry("https://127.0.0.1"), entry("http://127.0.0.1")] } });
    let answer = send(&bed, "kumo/spider", body).await;
    assert_eq!(answer["requests_inserted"], 0);
    assert_eq!(summary(&bed, &id).await["request_metadata"], json!([]));
    assert!(list(&bed, "kumo/eggrecords/").await.is_empty());
    bed.clock.advance(TimeDelta::minutes(5));
    assert_eq!(
        list(&bed, "kumo/eggrecords/").await.len(),
        1,
        "after a pause"
    );
}

/// Go kumo: five fields an entry, and the same body again when the answer was lost.
#[tokio::test]
async fn a_spider_in_go() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let body = json!({ "eggrecord_id": id, "target": "http://127.0.0.1", "result": {
        "success": true, "target": "127.0.0.1", "pages_spidered": 1, "spider_duration": 0.25,
        "request_metadata": [{ "target_url": "http://127.0.0.1/", "request_method": "GET",
            "response_status": 200, "response_time_ms": 0, "user_agent": "Kumo-Spider/2.0" }] } });
    for inserted in [1, 0] {
        let answer = send(&bed, "kumo/spider", body.clone()).await;
        assert_eq!(answer["requests_inserted"], inserted);
    }
    assert_eq!(
        summary(&bed, &id).await["statistics"]["request_metadata_count"],
        1
    );
}

/// Python suzu: a number in place of the paths, which are in the results of its tools.
#[tokio::test]
async fn an_enumeration_in_python() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let scan = json!({ "eggrecord_id": id, "result": { "open_ports": [
        { "port": 22 }, { "port": 80, "service_name": "http" }] } });
    send(&bed, "kaze/scan", scan).await;
    let due = list(&bed, "suzu/eggrecords/?limit=2").await;
    assert_eq!(due.len(), 1, "a web port, though not the first");
    assert!(due[0].get("egg_id_id").is_none());
    let body = |paths: Value| {
        json!({ "eggrecord_id": id, "target": "127.0.0.1", "result": {
            "success": true, "paths_discovered": paths.as_array().unwrap().len(),
            "enumeration_results": [{ "success": true, "tool": "dirsearch", "paths": paths }],
            "cms_detection": null, "enumeration_metadata": {}, "duration": 1.0,
            "results_stored": 0 } })
    };
    let answer = send(&bed, "enumeration", body(json!(["/admin", "/robots.txt"]))).await;
    assert_eq!(
        answer["message"],
        "Enumeration result submitted for 127.0.0.1"
    );
    assert_eq!(
        (&answer["paths_inserted"], &answer["format"]),
        (&json!(2), &json!("heuristics"))
    );
    assert!(
        list(&bed, "suzu/eggrecords/").await.is_empty(),
        "not every cycle again"
    );
    let objects = json!([{ "path": "/admin", "status": 200, "size": 12 }, { "path": "/new" }]);
    send(&bed, "enumeration", body(objects)).await;
    let data = summary(&bed, &id).await;
    assert_eq!(data["statistics"]["directory_enumeration_count"], 3);
    let paths = data["directory_enumeration"].as_array().unwrap();
    let admin = paths
        .iter()
        .find(|p| p["discovered_path"] == "/admin")
        .unwrap();
    assert_eq!(admin["path_status_code"], 200);
    assert_ne!(admin["created_at"], admin["last_seen_at"]);
    let changes = bed.events("change_detected").await;
    let new = changes
        .iter()
        .filter(|e| e["data"]["type"] == "path_appeared");
    let new: Vec<_> = new.map(|e| text(&e["data"]["subject"])).collect();
    assert_eq!(new, ["/new"]);
    bed.clock.advance(TimeDelta::days(30));
    assert_eq!(list(&bed, "suzu/eggrecords/").await.len(), 1);
}

/// Go suzu: bare paths. They end the enumeration, and are no spidering.
#[tokio::test]
async fn an_enumeration_in_go() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let body = json!({ "eggrecord_id": id, "target": "http://127.0.0.1", "result": {
        "success": true, "tool": "gobuster", "paths_found": 2, "paths": ["/admin", "api"],
        "raw_output": "…" } });
    let answer = send(&bed, "enumeration", body).await;
    assert_eq!(
        (&answer["paths_inserted"], &answer["format"]),
        (&json!(2), &json!("legacy"))
    );
    assert_eq!(
        list(&bed, "kumo/eggrecords/").await.len(),
        1,
        "not spidered"
    );
    assert!(
        list(&bed, "ryu/eggrecords/").await.is_empty(),
        "no HTTP data"
    );
    let data = summary(&bed, &id).await;
    assert_eq!(
        data["directory_enumeration"][0]["enumeration_tool"],
        "gobuster"
    );
    assert_eq!(data["request_metadata"], json!([]));
    let failed = json!({ "eggrecord_id": id, "target": "x", "result": {
        "success": false, "tool": "gobuster", "paths_found": 0, "paths": null,
        "error": "exit status 1" } });
    let answer = send(&bed, "suzu/enumeration", failed).await;
    assert_eq!(answer["paths_inserted"], 0);
}

/// One cycle of Python suzu.
#[tokio::test]
async fn progress_of_suzu() {
    let bed = Bed::start().await;
    let update = json!({ "status": "enumerating", "current_target": "127.0.0.1",
        "current_eggrecord_id": "x", "current_step": "scoring", "progress_percent": 80,
        "cycle_number": 4, "enumerated_this_cycle": 1, "total_in_queue": 2, "paths_found": 3,
        "cms_detected": "wordpress", "started_at": 1_700_000_000.5,
        "estimated_completion": null });
    let answer = send(&bed, "suzu/progress", update).await;
    assert_eq!(answer["message"], "Progress updated");
    send(&bed, "suzu/progress", json!({ "progress_percent": 100 })).await;
    let (_, shown) = bed.get("/api/suzu/progress/").await;
    let progress = &shown["progress"];
    assert_eq!(progress["status"], "enumerating");
    assert_eq!(
        (&progress["cycle_number"], &progress["paths_found"]),
        (&json!(4), &json!(3))
    );
    assert_eq!(progress["current_target"], Value::Null);
    assert_eq!(
        (&progress["progress_percent"], &progress["total_in_queue"]),
        (&json!(100), &json!(0))
    );
    assert!(progress["last_updated"].is_string());
    assert_eq!(
        bed.get("/api/kage/progress").await.1["progress"]["status"],
        "idle"
    );
    send(&bed, "kage-2/progress", json!({ "status": "completed" })).await;
    assert_eq!(
        bed.get("/api/kage-2/progress").await.1["progress"]["status"],
        "completed"
    );
}

/// Not all say how many ports they scanned: that is not as many as are open.
#[tokio::test]
async fn a_port_that_closes() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    for open in [vec![22, 80], vec![22]] {
        let open: Vec<_> = open.into_iter().map(|n| port(n, "open")).collect();
        let body = json!({ "eggrecord_id": id, "target": "127.0.0.1",
            "scan_type": "kage_port_scan", "result": { "success": true, "open_ports": open } });
        send(&bed, "kage/scan", body).await;
        bed.clock.advance(TimeDelta::days(1));
    }
    let told = bed.events("change_detected").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["type"], "port_closed");
    assert_eq!(told[0]["data"]["subject"], "80/tcp");
}
