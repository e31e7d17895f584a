//! What a hostile client tries: another's work, silent connections, web pages, invented targets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::time::Duration;

use hub_support::access::{Root, closed};
use hub_support::{Bed, scan, scope, text};
use reqwest::header::ALLOW;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const API: &str = "/reconnaissance/api";

#[tokio::test]
async fn a_bound_token_ends_no_work_of_another_kind() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let wish = json!({ "targets": [{ "target": "127.0.0.1" }] });
    let (_, added) = root.send(Method::POST, "/api/targets", Some(wish)).await;
    let record = text(&added["created"][0]["id"]);
    let lease = async |agent: &str, work: &str| {
        let path = format!("{API}/daemon/{agent}/eggrecords/?agent={agent}@a&{work}");
        let leased = root.get(&path).await;
        leased["count"].as_u64().unwrap()
    };
    let (kage, ryu) = ("scan_type=", "scan_type=ryu_port_scan");
    assert_eq!((lease("kage", kage).await, lease("ryu", ryu).await), (1, 1));
    let wish = json!({ "role": "agent", "agent": "kaze", "host": "a" });
    let (_, kaze) = root.token(wish).await;
    let send = async |kind: &str| {
        let request = bed.request(Method::POST, &format!("{API}/daemon/kaze/scan/"));
        let request = request.bearer_auth(&kaze).json(&scan(&record, kind));
        bed.send(request).await
    };
    for other in ["kage", "ryu"] {
        let (status, body) = send(other).await;
        assert_eq!(status, 403, "{other}: {body}");
        let error = text(&body["error"]);
        assert!(error.contains("the token is for kaze@a"), "{error}");
    }
    assert_eq!(root.get("/api/scans").await["scans"], json!([]));
    let held = (lease("kage", kage).await, lease("ryu", ryu).await);
    assert_eq!(held, (0, 0), "their leases last");
    assert_eq!(send("kaze").await.0, 200);
    bed.end().await;
}

/// A connection that sent one byte.
async fn silent(bed: &Bed) -> TcpStream {
    let mut stream = TcpStream::connect(bed.address).await.unwrap();
    stream.write_all(b"G").await.unwrap();
    stream
}

/// Whether the hub answers on a new connection.
async fn answers(bed: &Bed) -> bool {
    let mut stream = TcpStream::connect(bed.address).await.unwrap();
    talks(&mut stream).await
}

/// Whether the hub answers on this connection.
async fn talks(stream: &mut TcpStream) -> bool {
    let head = b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = Vec::new();
    while stream.write_all(head).await.is_ok() && !answer.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await {
            Ok(n) if n > 0 => answer.extend(&part[..n]),
            _ => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let scope = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(scope, |config, dir| {
        config
            .first_request(Duration::from_secs(3600))
            .control_socket(dir.join("control.sock"))
    })
    .await;
    let mut crowd = Vec::new();
    for _ in 0..256 {
        crowd.push(silent(&bed).await);
    }
    assert!(!answers(&bed).await, "there are places for others only");
    Root::of(&bed).get("/healthz").await;
    crowd.clear();
    while !answers(&bed).await {}
    bed.end().await;
}

#[tokio::test]
async fn who_sends_no_request_loses_the_connection() {
    let scope = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(scope, |config, _| {
        config.first_request(Duration::from_millis(300))
    })
    .await;
    let mut polite = TcpStream::connect(bed.address).await.unwrap();
    assert!(talks(&mut polite).await);
    let mut silent = silent(&bed).await;
    let end = silent.read(&mut [0; 16]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert!(talks(&mut polite).await, "between requests there is time");
    bed.end().await;
}

#[tokio::test]
async fn web_pages_of_others_get_no_work() {
    let bed = Bed::start().await;
    bed.add_one("127.0.0.1").await;
    let lease = format!("{API}/daemon/kaze/eggrecords/");
    let ask = async |path: &str, site: &'static str, how: [&'static str; 2]| {
        let request = bed.request(Method::GET, path);
        let request = request
            .header("Sec-Fetch-Site", site)
            .header("Sec-Fetch-Mode", how[0])
            .header("Sec-Fetch-Dest", how[1]);
        bed.send(request).await
    };
    let (image, link) = (["no-cors", "image"], ["navigate", "document"]);
    let frame = ["navigate", "iframe"];
    for (path, site, how) in [
        (lease.as_str(), "cross-site", image),
        (&lease, "same-site", image),
        (&lease, "cross-site", link),
        ("/api/targets", "cross-site", image),
        ("/api/targets", "cross-site", frame),
        ("/healthz", "cross-site", image),
    ] {
        let (status, body) = ask(path, site, how).await;
        assert_eq!(status, 403, "{path} {site} {how:?}: {body}");
        let error = text(&body["error"]);
        assert!(error.contains("another site"), "{error}");
    }
    // A link to what only reads; the hub's own page; what somebody typed.
    for (path, site, how) in [
        ("/api/targets", "cross-site", link),
        ("/healthz", "cross-site", link),
        ("/api/targets", "same-origin", ["cors", "empty"]),
    ] {
        assert_eq!(ask(path, site, how).await.0, 200, "{path} {site} {how:?}");
    }
    let (_, body) = ask(&lease, "none", link).await;
    assert_eq!(body["count"], 1, "nothing was leased before");
    bed.end().await;
}

#[tokio::test]
async fn looking_leases_nothing() {
    let bed = Bed::start().await;
    bed.add_one("127.0.0.1").await;
    for prefix in ["/api", API] {
        let path = format!("{prefix}/daemon/kaze/eggrecords/?agent=kaze@a");
        let response = bed.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET");
    }
    let looked = bed.request(Method::HEAD, "/api/targets");
    assert_eq!(looked.send().await.unwrap().status(), 200);
    assert_eq!(bed.lease("kaze", "kaze@a", 10).await.len(), 1);
    bed.end().await;
}

/// What the agent calls its target is said back to it, and stored nowhere.
#[tokio::test]
async fn results_are_stored_under_the_records_own_name() {
    let bed = Bed::start().await;
    let added = bed
        .add(&["10.0.3.3".to_owned(), "www.example.org".to_owned()])
        .await;
    let stored = async |list: &str, name: &str| -> Vec<Value> {
        let (_, body) = bed.get(&format!("/api/{list}?target={name}")).await;
        body[list].as_array().unwrap().clone()
    };
    for (id, name) in added.iter().zip(["10.0.3.3", "www.example.org"]) {
        let of = |extra: Value| {
            let mut body = json!({ "eggrecord_id": id, "target": "8.8.8.8" });
            body.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            body
        };
        let entry = json!({ "javascript_analysis": { "secrets_found": [
            { "type": "api_key", "value": "AKIAIOSFODNN7EXAMPLE" }] } });
        for (path, body, says) in [
            (
                "/daemon/kaze/scan/",
                of(json!({ "result": { "open_ports": [{ "port": 22 }] } })),
                "Scan result submitted for 8.8.8.8",
            ),
            (
                "/daemon/kumo/spider/",
                of(json!({ "result": { "request_metadata": [entry] } })),
                "Spider result submitted for 8.8.8.8",
            ),
            (
                "/daemon/enumeration/",
                of(json!({ "result": { "paths": ["/admin"] } })),
                "Enumeration result submitted for 8.8.8.8",
            ),
            (
                "/daemon/ryu/assessment/",
                of(json!({ "risk_level": "low" })),
                "Assessment submitted for eggrecord",
            ),
        ] {
            let (status, answer) = bed.post(&format!("{API}{path}"), body).await;
            assert_eq!(status, 200, "{path}: {answer}");
            let message = text(&answer["message"]);
            assert!(message.starts_with(says), "{message}");
        }
        let scans = stored("scans", name).await;
        assert_eq!(scans.len(), 1, "{scans:?}");
        assert_eq!(scans[0]["target"], name);
        for list in ["assessments", "findings"] {
            let found = stored(list, name).await;
            assert!(!found.is_empty(), "{list} of {name}");
            assert!(found.iter().all(|f| f["target"] == name), "{found:?}");
        }
        for list in ["scans", "assessments", "findings", "changes"] {
            let all = stored(list, "8.8.8.8").await;
            assert_eq!(all, Vec::<Value>::new(), "{list}");
        }
        let (_, all) = bed.get(&format!("/api/findings?record={id}")).await;
        assert!(!all.to_string().contains("8.8.8.8"), "{all}");
        let (_, summary) = bed.get(&format!("/api/eggrecords/{id}/summary/")).await;
        assert!(!summary.to_string().contains("8.8.8.8"), "{summary}");
    }
    let events = bed.get("/api/events?limit=1000").await.1;
    assert!(!events.to_string().contains("8.8.8.8"), "{events}");
    bed.end().await;
}

#[tokio::test]
async fn what_a_body_lacks_is_named() {
    let bed = Bed::start().await;
    let heartbeat = format!("{API}/daemon/kaze/heartbeat/");
    for body in ["", " \n"] {
        let request = bed.request(Method::POST, &heartbeat).body(body);
        let request = request.header("Content-Type", "application/json");
        let (status, answer) = bed.send(request).await;
        assert_eq!(status, 400, "{answer}");
        let error = text(&answer["error"]);
        assert!(error.contains("send a JSON object"), "{error}");
        assert!(!error.contains("line 1"), "{error}");
    }
    for (path, body, field) in [
        (heartbeat.as_str(), json!({}), "agent"),
        ("/api/targets", json!({}), "targets"),
        (
            "/api/targets",
            json!({ "targets": [{}] }),
            "targets[0].target",
        ),
    ] {
        let (status, answer) = bed.post(path, body).await;
        assert_eq!(status, 422, "{answer}");
        let first = &answer["validation_errors"][0];
        assert_eq!(first["field"], field, "{answer}");
        assert_eq!(first["type"], "missing");
        assert_eq!(answer["error"], format!("{field}: is needed"));
    }
    bed.end().await;
}
