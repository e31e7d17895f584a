//! Bad bodies for every POST route: a good one, with one thing wrong at a time.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::check;
use super::hub_support::{Bed, heartbeat, text};

/// What a field takes, by which it is known what it must not take.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Takes {
    /// The id of a record.
    Record,
    Text,
    Flag,
    /// 0 or more.
    Number,
    /// A whole one, 0 or more.
    Count,
    List,
    Object,
    /// A list or an object.
    Either,
    /// From 1 to 65535.
    Port,
    /// What is in this list (JSON) is wrong.
    Not(&'static str),
}
use Takes::{Count, Either, Flag, List, Not, Number, Object, Port, Record, Text};

impl Takes {
    /// Wrong values, and the statuses that they get.
    fn wrong(self) -> Vec<(Value, u16)> {
        let list = |values: Value| -> Vec<(Value, u16)> {
            let values = values.as_array().unwrap().clone();
            values.into_iter().map(|v| (v, 422)).collect()
        };
        let unknown = "99999999-9999-4999-8999-999999999999";
        match self {
            Record => vec![
                (Value::Null, 400),
                (json!(""), 400),
                (json!(0), 400),
                (json!(false), 400),
                (json!(true), 422),
                (json!(-1), 422),
                (json!("x"), 422),
                (json!("' OR 1=1 --"), 422),
                (json!("11111111-1111-4111-8111-11111111111"), 422),
                (json!("\u{0}"), 422),
                (json!([unknown]), 422),
                (json!({ "id": unknown }), 422),
                (json!("9".repeat(100_000)), 422),
                (json!(unknown), 404),
            ],
            Text => list(json!([5, -1.5, true, [], ["x"], {}, { "$ne": null }])),
            Flag => list(json!(["yes", "", 1, 0, [], {}])),
            Number => list(json!(["x", "1", -1, -0.001, -1e300, true, [], [1], {}])),
            Count => list(json!([
                "x",
                "1",
                -1,
                1.5,
                1e30,
                18_446_744_073_709_551_615_u64,
                true,
                [],
                {}
            ])),
            List => list(json!(["x", "", 5, true, {}, { "0": 1 }])),
            Object => list(json!(["x", "", 5, true, [], [{}]])),
            Either => list(json!([
                "x",
                "",
                5,
                false,
                "y".repeat(70_000),
                ["z".repeat(70_000)]
            ])),
            Port => list(json!([
                null,
                0,
                -1,
                65_536,
                80.5,
                1e10,
                "",
                "x",
                "80/tcp",
                true,
                [80],
                {}
            ])),
            Not(values) => list(serde_json::from_str(values).unwrap()),
        }
    }
}

struct Route {
    path: &'static str,
    good: Value,
    /// Fields by JSON pointer.
    fields: &'static [(&'static str, Takes)],
}

const SCAN: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/scan_type", Not(r#"[5, [], "a b", "kumo_spider", "ä"]"#)),
    ("/result", Object),
    ("/result/success", Flag),
    ("/result/open_ports", List),
    ("/result/open_ports/0", Not(r#"[null, 80, "80", true, []]"#)),
    ("/result/open_ports/0/port", Port),
    ("/result/open_ports/0/protocol", Not(r#"["icmp", 6, []]"#)),
    ("/result/open_ports/0/service_name", Text),
    ("/result/scan_duration", Number),
    (
        "/result/ports_scanned",
        Not(r#"[-1, 65537, "many", [], 1e300]"#),
    ),
    (
        "/result/ip_address",
        Not(r#"["localhost", 5, "1.2.3", "::g"]"#),
    ),
    (
        "/result/started_at",
        Not(r#"["yesterday", 5, "2026-13-01T00:00:00Z"]"#),
    ),
];

const SPIDER: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/result", Object),
    ("/result/success", Flag),
    ("/result/run_id", Text),
    ("/result/technologies", List),
    (
        "/result/technologies/0",
        Not(r#"[null, 5, "", {}, [], {"name": 5}]"#),
    ),
    ("/result/technologies/0/version", Text),
    ("/result/request_metadata", List),
    (
        "/result/request_metadata/0",
        Not(r#"["x", 5, [], null, true]"#),
    ),
    ("/result/request_metadata/0/target_url", Text),
    (
        "/result/request_metadata/0/request_method",
        Not(r#"[5, "G T", "G\u0000T", "ä", []]"#),
    ),
    ("/result/request_metadata/0/request_headers", Object),
    ("/result/request_metadata/0/response_headers", Object),
    ("/result/request_metadata/0/response_status", Count),
    (
        "/result/request_metadata/0/response_status",
        Not("[1000, 70000]"),
    ),
    ("/result/request_metadata/0/response_time_ms", Number),
    ("/result/request_metadata/0/user_agent", Text),
    ("/result/request_metadata/0/javascript_analysis", Object),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found",
        List,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found/0",
        Not(r#"[null, "AKIA", 5, [], {}, {"value": 5}, {"value": ""}, {"type": "t"}]"#),
    ),
    (
        "/result/request_metadata/0/javascript_analysis/secrets_found/0/type",
        Text,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/api_endpoints",
        List,
    ),
    (
        "/result/request_metadata/0/javascript_analysis/external_js_files",
        List,
    ),
];

const ENUMERATION: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    ("/result", Object),
    ("/result/success", Flag),
    (
        "/result/paths_discovered",
        Not(r#"["x", true, {}, -1, 1.5]"#),
    ),
    ("/result/paths_discovered/0", Not("[5, true, []]")),
    ("/result/paths_discovered/0/path", Text),
    ("/result/paths_discovered/0/status", Count),
    ("/result/paths_discovered/0/status", Not("[1000, 65536]")),
    ("/result/paths_discovered/0/size", Count),
    ("/result/paths_discovered/0/content_type", Text),
    ("/result/paths_discovered/0/priority_score", Number),
    (
        "/result/paths_discovered/0/priority_score",
        Not("[1.01, 1e300]"),
    ),
    ("/result/paths_discovered/0/priority_factors", Either),
    ("/result/paths_discovered/0/response_time", Number),
    ("/result/enumeration_results", List),
    (
        "/result/enumeration_results/0",
        Not(r#"["x", 5, [], null]"#),
    ),
    ("/result/enumeration_metadata", Object),
    ("/result/enumeration_metadata/tool_used", Text),
    ("/result/enumeration_metadata/wordlist_used", Text),
    ("/result/cms_detection", Object),
    ("/result/cms_detection/cms", Text),
    ("/result/cms_detection/version", Text),
    ("/result/cms_detection/confidence", Number),
];

const ASSESSMENT: &[(&str, Takes)] = &[
    ("/eggrecord_id", Record),
    ("/target", Text),
    (
        "/risk_level",
        Not(r#"["banana", "", "medium high", 5, true, [], ["low"], {}]"#),
    ),
    ("/threat_summary", Text),
    ("/narrative", Text),
    ("/vulnerabilities", Either),
    ("/attack_vectors", Either),
    ("/remediation_priorities", Either),
];

const PROGRESS: &[(&str, Takes)] = &[
    ("/status", Text),
    ("/current_target", Text),
    ("/current_eggrecord_id", Text),
    ("/current_step", Text),
    ("/progress_percent", Number),
    ("/progress_percent", Not("[101, 1e300]")),
    ("/cycle_number", Count),
    ("/enumerated_this_cycle", Count),
    ("/total_in_queue", Count),
    ("/paths_found", Count),
];

const HEARTBEAT: &[(&str, Takes)] = &[
    ("/agent", Not(r#"[null, 5, "", "A B", "ä", []]"#)),
    ("/host", Not(r#"[null, 5, "", "a b", []]"#)),
    ("/pid", Not(r#"[null, -1, "x", 1e30, []]"#)),
    ("/status", Not(r#"["fine", "", "HEALTHY"]"#)),
    ("/started_at", Not(r#"[null, "x", 5]"#)),
    ("/interval_s", Not(r#"[null, -1, 0, 1e300, "x"]"#)),
    ("/leases", Not(r#"["x", ["x"], [5], {}]"#)),
];

const TARGETS: &[(&str, Takes)] = &[
    ("/targets", Not(r#"[null, [], "x", 5, {}, ["127.0.0.9"]]"#)),
    (
        "/targets/0/target",
        Not(r#"[null, "", "a b", "http://x/", "10.0.0.0/33", 5, [], "x\u0000"]"#),
    ),
    ("/targets/0/group", Text),
    ("/targets/0/alive", Flag),
];

const CREATE: &[(&str, Takes)] = &[
    (
        "/domain",
        Not(r#"["a b", 5, [], {}, "http://x/", "10.0.0.0/8"]"#),
    ),
    ("/ip_address", Not(r#"["x", 5, [], "10.0.0.0/8"]"#)),
    ("/cidr", Not(r#"["x", 5, [], "10.0.0.0/33"]"#)),
    ("/alive", Flag),
    ("/eggname", Text),
];

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
        "/api/findings?target=%27%3B--%00&type=%FF&status=%25",
        "/reconnaissance/api/assessments/?target=x&risk=low",
    ] {
        let (status, answer) = bed.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
}
