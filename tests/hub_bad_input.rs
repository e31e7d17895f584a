//! Whatever comes in, the answer is a 4xx in the shape of an error, never a 5xx.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

#[path = "hub_bad_input/bodies.rs"]
mod bodies;
#[path = "hub_bad_input/controls.rs"]
mod controls;
#[path = "hub_bad_input/fields.rs"]
mod fields;
mod hub_support;

use hub_support::{Bed, heartbeat, text};
use reqwest::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn check(name: &str, status: StatusCode, body: &Value, wanted: u16) {
    assert_eq!(status, wanted, "{name}: {body}");
    assert_eq!(body["success"], false, "{name}");
    assert!(!text(&body["error"]).is_empty(), "{name}");
    assert!(body["request_id"].is_string(), "{name}");
    for leak in [
        "SQL",
        "sqlite",
        "postgres",
        "constraint",
        "database",
        "panicked",
        "src/",
    ] {
        assert!(!body.to_string().contains(leak), "{name}: {body}");
    }
}

#[tokio::test]
async fn bad_paths_and_parameters() {
    let bed = Bed::start().await;
    let list = "/reconnaissance/api/daemon/kaze/eggrecords/";
    for (path, wanted) in [
        (format!("{list}?limit=-1"), 400),
        (format!("{list}?limit=1001"), 400),
        (format!("{list}?limit=abc"), 400),
        (format!("{list}?limit="), 400),
        (format!("{list}?limit=1.5"), 400),
        (format!("{list}?limit=99999999999999999999"), 400),
        (format!("{list}?lease=9"), 400),
        (format!("{list}?lease=86401"), 400),
        (format!("{list}?lease=10s"), 400),
        (format!("{list}?agent=kaze"), 400),
        (format!("{list}?agent=KAZE@a"), 400),
        (format!("{list}?agent=kaze@a%0Ab"), 400),
        (format!("{list}?agent=kaze@%20"), 400),
        ("/api/daemon/oak/eggrecords/".into(), 400),
        ("/api/daemon/KAZE/eggrecords/".into(), 400),
        ("/api/daemon/%2e%2e/eggrecords/".into(), 404),
        ("/api/daemon/ryu/eggrecords/?scan_type=x".into(), 400),
        ("/api/daemon/oak/health/".into(), 400),
        ("/api/daemon/%00/health/".into(), 400),
        ("/api/targets?limit=0".into(), 400),
        ("/api/targets?limit=1001".into(), 400),
        ("/api/targets?cursor=x".into(), 400),
        ("/api/targets/x".into(), 400),
        (
            "/api/targets/00000000-0000-0000-0000-000000000000".into(),
            404,
        ),
        ("/api/scans?limit=-5".into(), 400),
        ("/api/scans?cursor=%27%20OR%201=1".into(), 400),
        ("/api/scans/1".into(), 400),
        (
            "/api/scans/00000000-0000-0000-0000-000000000000".into(),
            404,
        ),
        ("/api/events?after=-1".into(), 400),
        ("/api/events?limit=x".into(), 400),
        ("/api/daemon/kaze/scan/".into(), 405),
        ("/api/daemon/kaze/heartbeat/".into(), 405),
        ("/api/eggrecords/create/".into(), 405),
        ("/api/daemon/leases/x".into(), 405),
        ("/".into(), 404),
        ("/api".into(), 404),
        ("/api/nope".into(), 404),
        ("/reconnaissance/api/targets".into(), 404),
        ("/etc/passwd".into(), 404),
        ("/api/daemon/kaze/../../etc".into(), 404),
    ] {
        let (status, body) = bed.get(&path).await;
        check(&path, status, &body, wanted);
    }
    for path in ["/api/daemon/leases/x", "/api/targets/x"] {
        let (status, body) = bed.delete(path).await;
        check(path, status, &body, 400);
    }
    let (status, body) = bed.get("/api/scans?target=%27%3B--&scan_type=%FF").await;
    assert_eq!((status.as_u16(), &body["scans"]), (200, &json!([])));
}

#[tokio::test]
async fn bad_scans() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let port = |port: Value| json!({ "eggrecord_id": id, "result": { "open_ports": [port] } });
    let result =
        |name: &str, value: Value| json!({ "eggrecord_id": id, "result": { name: value } });
    let with = |name: &str, value: Value| json!({ "eggrecord_id": id, name: value });
    for (body, wanted) in [
        (json!([1]), 422),
        (json!("x"), 422),
        (json!(null), 422),
        (json!(5), 422),
        (json!({}), 400),
        (json!({ "eggrecord_id": null }), 400),
        (json!({ "eggrecord_id": "" }), 400),
        (json!({ "eggrecord_id": 0 }), 400),
        (json!({ "eggrecord_id": 7 }), 422),
        (json!({ "eggrecord_id": "not-a-uuid" }), 422),
        (json!({ "eggrecord_id": [id] }), 422),
        (
            json!({ "eggrecord_id": "99999999-9999-4999-8999-999999999999" }),
            404,
        ),
        (with("target", json!(5)), 422),
        (with("target", json!({})), 422),
        (with("scan_type", json!(["kaze_port_scan"])), 422),
        (with("scan_type", json!("kumo_spider")), 422),
        (with("scan_type", json!("a b")), 422),
        (with("scan_type", json!("x".repeat(101))), 422),
        (with("result", json!([])), 422),
        (with("result", json!("open")), 422),
        (with("result", json!(1)), 422),
        (result("open_ports", json!("80")), 422),
        (result("open_ports", json!({ "80": "open" })), 422),
        (result("open_ports", json!([80, 443])), 422),
        (result("success", json!("yes")), 422),
        (result("skipped", json!(1)), 422),
        (result("ip_address", json!("localhost")), 422),
        (result("ip_address", json!(5)), 422),
        (result("ip_address", json!("8.8.8.8")), 403),
        (result("ports_scanned", json!(-1)), 422),
        (result("ports_scanned", json!(65_537)), 422),
        (result("ports_scanned", json!("many")), 422),
        (result("scan_duration", json!(-0.5)), 422),
        (result("scan_duration", json!([])), 422),
        (result("started_at", json!("yesterday")), 422),
        (result("finished_at", json!(0)), 422),
        (result("port_counts", json!([1, 2, 3, 4])), 422),
        (result("port_counts", json!({ "open": -1 })), 422),
        (
            result(
                "port_counts",
                json!({ "open": 4294967295_u32, "closed": 1, "filtered": 0, "unreachable": 0 }),
            ),
            422,
        ),
        (result("udp_counts", json!(7)), 422),
        (result("udp_counts", json!({ "open": 65_537 })), 422),
        (result("hostname", json!(["a"])), 422),
        (result("host_state", json!(1)), 422),
        (result("host_state_reason", json!({})), 422),
        (result("engine", json!(false)), 422),
        (port(json!({})), 422),
        (port(json!({ "service_name": "http" })), 422),
        (port(json!({ "port": null })), 422),
        (port(json!({ "port": 0 })), 422),
        (port(json!({ "port": 65_536 })), 422),
        (port(json!({ "port": -1 })), 422),
        (port(json!({ "port": 80.5 })), 422),
        (port(json!({ "port": "http" })), 422),
        (port(json!({ "port": "80/tcp" })), 422),
        (port(json!({ "port": "" })), 422),
        (port(json!({ "port": true })), 422),
        (port(json!({ "port": [80] })), 422),
        (port(json!({ "port": 80, "protocol": "icmp" })), 422),
        (port(json!({ "port": 80, "protocol": 6 })), 422),
        (port(json!({ "port": 80, "service_name": {} })), 422),
        (port(json!({ "port": 80, "tls": "yes" })), 422),
        (port(json!({ "port": 80, "tls": {} })), 422),
        (port(json!({ "port": 80, "confidence": "high" })), 422),
        (port(json!({ "port": 80, "service_cpe": [1] })), 422),
        (port(json!({ "port": 80, "service_details": "x" })), 422),
        (
            port(json!({ "port": 80, "service_details": { "a": 1 } })),
            422,
        ),
        (port(json!({ "port": 80, "waf": 1 })), 422),
        (port(Value::Null), 422),
    ] {
        let (status, answer) = bed
            .post("/reconnaissance/api/daemon/kaze/scan/", body.clone())
            .await;
        check(&body.to_string(), status, &answer, wanted);
        if wanted == 422 {
            let first = &answer["validation_errors"][0];
            for field in ["field", "message", "type"] {
                assert!(!text(&first[field]).is_empty(), "{body}: {answer}");
            }
        }
    }
    for p in ["kumo", "suzu", "oak", "x%2Fy"] {
        let (status, answer) = bed.post(&format!("/api/daemon/{p}/scan/"), json!({})).await;
        check(p, status, &answer, 400);
        assert_eq!(answer["error"], "Invalid personality for scan submission");
    }
    let (_, answer) = bed.post("/api/daemon/kaze/scan/", json!({})).await;
    assert_eq!(answer["error"], "eggrecord_id required");
    let (_, answer) = bed.post("/api/daemon/kaze/scan/", port(json!({}))).await;
    assert_eq!(
        answer["validation_errors"][0]["field"],
        "result.open_ports[0].port"
    );
    assert!(bed.scans().await.is_empty(), "none of it was stored");
}

#[tokio::test]
async fn bad_targets_and_heartbeats() {
    let bed = Bed::start().await;
    let target = |t: Value| json!({ "targets": [{ "target": t }] });
    let mut beat = heartbeat("kaze", "a", &[]);
    let bad_beat = |name: &str, value: Value| {
        let mut bad = beat.clone();
        bad[name] = value;
        bad
    };
    let many: Vec<_> = (0..10_241)
        .map(|n| json!({ "target": format!("h{n}") }))
        .collect();
    let cases = [
        ("/api/targets", json!({}), 422),
        ("/api/targets", json!({ "targets": [] }), 422),
        ("/api/targets", json!({ "targets": "x" }), 422),
        ("/api/targets", json!({ "targets": ["127.0.0.1"] }), 422),
        ("/api/targets", json!({ "targets": many }), 422),
        ("/api/targets", json!([{ "target": "127.0.0.1" }]), 422),
        ("/api/targets", target(Value::Null), 422),
        ("/api/targets", target(json!("")), 422),
        ("/api/targets", target(json!("http://127.0.0.1/")), 422),
        ("/api/targets", target(json!("10.0.0.0/33")), 422),
        ("/api/targets", target(json!("300.1.1.1")), 422),
        ("/api/targets", target(json!("a b")), 422),
        ("/api/targets", target(json!("a\u{0}b")), 422),
        ("/api/targets", target(json!("-a.example.org")), 422),
        ("/api/targets", target(json!("*.example.org")), 422),
        ("/api/targets", target(json!("x".repeat(300))), 422),
        ("/api/targets", target(json!("10.0.0.0/20/1")), 422),
        ("/api/targets", target(json!("0.0.0.0/0")), 403),
        ("/api/targets", target(json!("169.254.169.254")), 403),
        ("/api/targets", target(json!("::ffff:8.8.8.8")), 403),
        (
            "/api/targets",
            json!({ "targets": [{ "target": "127.0.0.1", "alive": "no" }] }),
            422,
        ),
        (
            "/api/targets",
            json!({ "targets": [{ "target": "127.0.0.1", "group": "g".repeat(256) }] }),
            422,
        ),
        ("/api/eggrecords/create", json!({}), 400),
        ("/api/eggrecords/create", json!({ "domain": "" }), 400),
        ("/api/eggrecords/create", json!({ "domain": "a b" }), 422),
        ("/api/eggrecords/create", json!({ "domain": 5 }), 422),
        ("/api/eggrecords/create", json!({ "ip_address": "x" }), 422),
        ("/api/eggrecords/create", json!({ "cidr": "x" }), 422),
        (
            "/api/eggrecords/create",
            json!({ "domain": "127.0.0.1", "alive": 1 }),
            422,
        ),
        ("/api/daemon/kaze/heartbeat", json!({}), 422),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("agent", json!("a b")),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("host", json!("")),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("interval_s", json!(-1)),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("interval_s", json!(1e300)),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("status", json!("fine")),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("pid", json!(-1)),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("leases", json!(["x"])),
            422,
        ),
        (
            "/api/daemon/kaze/heartbeat",
            bad_beat("started_at", json!("x")),
            422,
        ),
        ("/api/daemon/KAZE/heartbeat", beat.take(), 400),
    ];
    for (path, body, wanted) in cases {
        let (status, answer) = bed.post(path, body.clone()).await;
        let name = body.to_string().chars().take(200).collect::<String>();
        check(&name, status, &answer, wanted);
    }
    let (_, list) = bed.get("/api/targets").await;
    assert_eq!(list["targets"], json!([]));
}

#[tokio::test]
async fn bad_bodies_and_headers() {
    let bed = Bed::start().await;
    let post = |body: Vec<u8>| {
        bed.request(Method::POST, "/api/daemon/kaze/scan/")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
    };
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    for (name, body, wanted) in [
        ("nothing", Vec::new(), 400),
        ("cut off", b"{\"eggrecord_id\": \"".to_vec(), 400),
        ("no JSON", b"{nope".to_vec(), 400),
        ("more after it", b"{\"eggrecord_id\":null} x".to_vec(), 400),
        ("not UTF-8", b"{\"eggrecord_id\":\"\xff\"}".to_vec(), 400),
        (
            "a number without end",
            b"{\"eggrecord_id\":1e999}".to_vec(),
            400,
        ),
        (
            "the same field twice",
            b"{\"target\":\"a\",\"target\":\"b\"}".to_vec(),
            422,
        ),
        ("deep", deep, 422),
        (
            "deep inside",
            format!("{{\"target\":{}1{}}}", "[".repeat(200), "]".repeat(200)).into(),
            400,
        ),
        ("33 MiB", vec![b' '; 33 * 1024 * 1024], 413),
    ] {
        let (status, answer) = bed.send(post(body)).await;
        check(name, status, &answer, wanted);
    }
    let large = bed
        .request(Method::POST, "/api/targets")
        .header(CONTENT_TYPE, "application/json")
        .body(vec![b' '; 1024 * 1024 + 1]);
    let (status, answer) = bed.send(large).await;
    check("1 MiB", status, &answer, 413);

    let key = |value: HeaderValue| post(b"{}".to_vec()).header("Idempotency-Key", value);
    for (name, request, wanted) in [
        (
            "form",
            post(b"a=b".to_vec()).header(CONTENT_TYPE, "text/plain"),
            415,
        ),
        ("empty key", key(HeaderValue::from_static("")), 400),
        ("long key", key("k".repeat(256).parse().unwrap()), 400),
        (
            "key that is not text",
            key(HeaderValue::from_bytes(b"\xff").unwrap()),
            400,
        ),
        (
            "foreign host",
            bed.request(Method::GET, "/api/targets")
                .header(HOST, "evil.example"),
            403,
        ),
        (
            "foreign page",
            bed.request(Method::GET, "/api/targets")
                .header(ORIGIN, "http://evil.example"),
            403,
        ),
        (
            "hidden page",
            bed.request(Method::GET, "/api/targets")
                .header(ORIGIN, "null"),
            403,
        ),
        (
            "agent",
            bed.request(Method::GET, "/api/daemon/kaze/eggrecords/")
                .header("Recon-Agent", "x"),
            400,
        ),
        ("PUT", bed.request(Method::PUT, "/api/targets"), 405),
        ("OPTIONS", bed.request(Method::OPTIONS, "/api/targets"), 405),
    ] {
        // reqwest adds a second header rather than replace the first.
        let mut request = request.build().unwrap();
        if let Some(last) = request
            .headers()
            .get_all(CONTENT_TYPE)
            .iter()
            .next_back()
            .cloned()
        {
            request.headers_mut().insert(CONTENT_TYPE, last);
        }
        let response = bed.http.execute(request).await.unwrap();
        let status = response.status();
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        check(name, status, &answer, wanted);
    }
}

#[tokio::test]
async fn bad_http() {
    let bed = Bed::start().await;
    let long = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    let many = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    for (name, request, wanted) in [
        ("long header", long.as_str(), "431"),
        ("many headers", many.as_str(), "431"),
        ("no Host", "GET /healthz HTTP/1.1\r\n\r\n", "400"),
        (
            "two Hosts",
            "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
            "400",
        ),
        ("no HTTP", "hello\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(bed.address).await.unwrap();
        // The hub may answer and close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {wanted}"), "{name}");
    }
    assert_eq!(bed.get("/healthz").await.0, 200, "it still lives");
}
