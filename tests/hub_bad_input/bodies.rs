//! Bad bodies for every POST route: a good one, with one thing wrong at a time.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::check;
use super::fields::{
    ASSESSMENT, CREATE, ENUMERATION, HEARTBEAT, PROGRESS, SCAN, SPIDER, TARGETS, Takes,
};
use super::hub_support::{Bed, heartbeat, text};

struct Route {
    path: &'static str,
    good: Value,
    /// Fields by JSON pointer.
    fields: &'static [(&'static str, Takes)],
}

fn routes(id: &str) -> Vec<Route> {
    let spider = json!({ "eggrecord_id": id, "target": "http://127.0.0.1", "result": {
        "technologies": [{ "name": "nginx", "version": "1.18" }],
        "request_metadata": [{ "target_url": "http://127.0.0.1/", "response_status": 200,
            "javascript_analysis": { "secrets_found": [{ "type": "t", "value": "0123456789" }],
                                     "api_endpoints": ["/api"] } }] } });
    let enumeration = json!({ "eggrecord_id": id, "result": {
        "paths_discovered": [{ "path": "/admin", "status": 200, "priority_score": 0.5 }],
        "enumeration_results": [{ "tool": "dirsearch" }],
        "enumeration_metadata": { "tool_used": "dirsearch" },
        "cms_detection": { "cms": "wordpress", "confidence": 0.5 } } });
    let assessment = json!({ "eggrecord_id": id, "risk_level": "high" });
    let scan = json!({ "eggrecord_id": id, "result": {
        "open_ports": [{ "port": 80, "service_name": "http" }] } });
    let of = |path, good: &Value, fields| Route {
        path,
        good: good.clone(),
        fields,
    };
    vec![
        of("/api/daemon/kage/scan/", &scan, SCAN),
        of("/api/daemon/kumo/spider/", &spider, SPIDER),
        of("/reconnaissance/api/daemon/spider/", &spider, &SPIDER[..3]),
        of(
            "/reconnaissance/api/daemon/enumeration/",
            &enumeration,
            ENUMERATION,
        ),
        of(
            "/api/daemon/suzu/enumeration",
            &enumeration,
            &ENUMERATION[..3],
        ),
        of("/api/daemon/ryu/assessment/", &assessment, ASSESSMENT),
        of("/api/daemon/assessment", &assessment, &ASSESSMENT[..3]),
        of(
            "/api/daemon/suzu/progress/",
            &json!({ "progress_percent": 5 }),
            PROGRESS,
        ),
        of(
            "/api/daemon/kaze/heartbeat/",
            &heartbeat("kaze", "a", &[]),
            HEARTBEAT,
        ),
        of(
            "/api/targets",
            &json!({ "targets": [{ "target": "127.0.0.8" }] }),
            TARGETS,
        ),
        of(
            "/api/eggrecords/create/",
            &json!({ "domain": "127.0.0.9" }),
            CREATE,
        ),
    ]
}

/// All that the hub shows of what it keeps.
async fn everything(bed: &Bed, id: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/api/targets?limit=1000",
        "/api/scans?limit=1000",
        "/api/findings?limit=1000",
        "/api/assessments?limit=1000",
        "/api/events?limit=1000",
        "/api/suzu/progress",
    ] {
        all.push(bed.get(path).await.1);
    }
    all.push(bed.get("/api/health").await.1["totalDaemons"].clone());
    all.push(bed.get(&format!("/api/eggrecords/{id}/summary")).await.1);
    all
}

/// The body with another value in the place of one.
fn with(good: &Value, pointer: &str, value: Value) -> Value {
    let mut body = good.clone();
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value;
        return body;
    }
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

/// Bodies that are wrong for any route, and their statuses.
fn raw(good: &Value) -> Vec<(&'static str, Vec<u8>, u16)> {
    let text = good.to_string();
    let open = text.trim_end_matches('}');
    let closing = &text[open.len()..];
    let more = |member: &str| format!("{open}{},{member}}}", &closing[1..]).into_bytes();
    let first = good.as_object().unwrap().keys().next().unwrap();
    let deep = |n| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    vec![
        ("nothing", Vec::new(), 400),
        ("space", b" \n".to_vec(), 400),
        ("cut off", text.as_bytes()[..text.len() - 1].to_vec(), 400),
        ("a list", b"[]".to_vec(), 422),
        ("a list of it", format!("[{text}]").into_bytes(), 422),
        ("text", b"\"x\"".to_vec(), 422),
        ("a number", b"5".to_vec(), 422),
        ("null", b"null".to_vec(), 422),
        ("true", b"true".to_vec(), 422),
        ("it twice", format!("{text}{text}").into_bytes(), 400),
        ("NaN", more("\"x\":NaN"), 400),
        ("Infinity", more("\"x\":-Infinity"), 400),
        ("no quotes", more("x:1"), 400),
        ("single quotes", b"{'a':1}".to_vec(), 400),
        (
            "a comma too many",
            format!("{},}}", &text[..text.len() - 1]).into_bytes(),
            400,
        ),
        ("a comment", format!("/**/{text}").into_bytes(), 400),
        ("not UTF-8", [&b"{\"\xff\xfe\":1}"[..]].concat(), 400),
        (
            "half a surrogate",
            format!("{{\"{first}\":\"\\ud800\"}}").into_bytes(),
            400,
        ),
        (
            "UTF-16",
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            400,
        ),
        (
            "a bare newline in text",
            format!("{{\"{first}\":\"a\nb\"}}").into_bytes(),
            400,
        ),
        ("a form", b"eggrecord_id=1&target=x".to_vec(), 400),
        ("XML", b"<?xml version='1.0'?><a/>".to_vec(), 400),
        ("deep", deep(100_000).into_bytes(), 422),
        (
            "a field twice",
            format!("{{\"{first}\":null,\"{first}\":null}}").into_bytes(),
            422,
        ),
        ("bytes", (0..=255).collect(), 400),
    ]
}

#[tokio::test]
async fn every_route_refuses_every_bad_body() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let before = everything(&bed, &id).await;
    let mut cases = 0;
    for route in routes(&id) {
        for (pointer, takes) in route.fields {
            for (value, wanted) in takes.wrong() {
                let name: String = format!("{} {pointer} {value}", route.path)
                    .chars()
                    .take(200)
                    .collect();
                let (status, answer) = bed
                    .post(route.path, with(&route.good, pointer, value))
                    .await;
                check(&name, status, &answer, wanted);
                if wanted == 422 {
                    let error = &answer["validation_errors"][0];
                    assert!(!text(&error["field"]).is_empty(), "{name}: {answer}");
                    assert!(!text(&error["message"]).is_empty(), "{name}: {answer}");
                }
                cases += 1;
            }
        }
        for (name, body, wanted) in raw(&route.good) {
            let request = bed.request(Method::POST, route.path);
            let (status, answer) = bed
                .send(request.header(CONTENT_TYPE, "application/json").body(body))
                .await;
            check(&format!("{} {name}", route.path), status, &answer, wanted);
            cases += 1;
        }
    }
    assert!(cases >= 300, "{cases}");
    let after = everything(&bed, &id).await;
    assert_eq!(before, after, "nothing was written");
}

#[tokio::test]
async fn every_route_refuses_wrong_methods_types_and_headers() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let before = everything(&bed, &id).await;
    for route in routes(&id) {
        for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let request = bed.request(method.clone(), route.path).json(&route.good);
            let (status, answer) = bed.send(request).await;
            check(&format!("{method} {}", route.path), status, &answer, 405);
        }
        for content in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/jsonx",
            "",
        ] {
            let request = bed.request(Method::POST, route.path);
            let request = request
                .header(CONTENT_TYPE, content)
                .body(route.good.to_string());
            let (status, answer) = bed.send(request).await;
            check(&format!("{} {content}", route.path), status, &answer, 415);
        }
        for (name, value) in [("empty", String::new()), ("long", "k".repeat(256))] {
            let request = bed.request(Method::POST, route.path).json(&route.good);
            let (status, answer) = bed.send(request.header("Idempotency-Key", value)).await;
            check(&format!("{} key {name}", route.path), status, &answer, 400);
        }
    }
    let many: Vec<_> = (0..10_001).map(|n| json!(format!("/{n}"))).collect();
    let body = json!({ "eggrecord_id": id, "result": { "paths": many } });
    let (status, answer) = bed.post("/api/daemon/enumeration", body).await;
    check("paths", status, &answer, 422);
    let body =
        json!({ "eggrecord_id": id, "result": { "request_metadata": vec![json!({}); 10_001] } });
    let (status, answer) = bed.post("/api/daemon/spider", body).await;
    check("requests", status, &answer, 422);
    let body = json!({ "cms_detected": "x".repeat(5000) });
    let (status, answer) = bed.post("/api/daemon/suzu/progress", body).await;
    check("progress", status, &answer, 422);
    for path in ["/api/daemon/A/progress", "/api/daemon/%20/progress"] {
        let (status, answer) = bed.post(path, json!({})).await;
        check(path, status, &answer, 400);
    }
    assert_eq!(before, everything(&bed, &id).await, "nothing was written");
}

/// What the tables above start from is good, each on a hub of its own.
#[tokio::test]
async fn the_good_bodies_are_good() {
    let mut paths = BTreeSet::new();
    for n in 0..11 {
        let bed = Bed::start().await;
        let id = bed.add_one("127.0.0.1").await;
        let route = routes(&id).swap_remove(n);
        let (status, answer) = bed.post(route.path, route.good).await;
        assert_eq!(status, 200, "{}: {answer}", route.path);
        paths.insert(route.path);
    }
    assert_eq!(paths.len(), 11);
}

#[tokio::test]
async fn bad_filters() {
    let bed = Bed::start().await;
    let unknown = "/api/eggrecords/99999999-9999-4999-8999-999999999999/summary";
    for (path, wanted) in [
        ("/api/findings?limit=0", 400),
        ("/api/findings?limit=1001", 400),
        ("/api/findings?cursor=x", 400),
        ("/api/findings?severity=banana", 400),
        ("/api/findings?record=x", 400),
        ("/api/assessments?limit=x", 400),
        ("/api/assessments?cursor=1", 400),
        ("/api/assessments?risk_level=HIGHEST", 400),
        ("/api/assessments?record=1", 400),
        ("/api/eggrecords/x/summary", 400),
        (unknown, 404),
        ("/api/oak/progress", 400),
        ("/api/findings?status=%25", 400),
        ("/api/%00/progress", 400),
        ("/api/daemon/suzu/progress", 405),
        ("/api/daemon/kumo/spider", 405),
        ("/api/daemon/kage/spider", 404),
        ("/api/daemon/enumeration/x", 404),
    ] {
        let (status, answer) = bed.get(path).await;
        check(path, status, &answer, wanted);
    }
    for path in [
        "/api/findings?target=%27%3B--&type=%FF&category=%25",
        "/reconnaissance/api/assessments/?target=x&risk=low",
    ] {
        let (status, answer) = bed.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
}
