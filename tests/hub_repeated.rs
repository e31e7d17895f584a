//! The same request again, under its key: it is done once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::access::{Root, closed};
use hub_support::{Bed, live, scope, text};
use recon::hub::Retention;
use reqwest::Method;
use serde_json::{Value, json};

/// Sends it, has something change, sends it again: the answers are the same.
async fn twice(bed: &Bed, path: &str, body: &Value, change: impl AsyncFnOnce()) -> Value {
    let (status, first) = bed.post_keyed(path, "k", body).await;
    assert_eq!(status, 200, "{path}: {first}");
    change().await;
    let (status, second) = bed.post_keyed(path, "k", body).await;
    assert_eq!((status.as_u16(), &second), (200, &first), "{path}");
    let (status, third) = bed.post_keyed(path, "k", &json!({ "x": 1 })).await;
    assert!([400, 422].contains(&status.as_u16()), "{path}: {third}");
    first
}

#[tokio::test]
async fn a_token_is_made_once() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let send = async |key: &'static str, name: &'static str| {
        let request = root.0.post("http://localhost/api/tokens");
        let wish = json!({ "name": name, "role": "viewer" });
        bed.send(request.header("Idempotency-Key", key).json(&wish))
            .await
    };
    let (status, made) = send("k", "one").await;
    assert_eq!(status, 201, "{made}");
    let (status, again) = send("k", "one").await;
    assert_eq!(status, 409, "{again}");
    let id = text(&made["token"]["id"]);
    assert!(text(&again["error"]).contains(&id), "{again}");
    assert!(!again.to_string().contains(&text(&made["secret"])));
    assert_eq!(send("k", "other").await.0, 422);
    assert_eq!(send("l", "one").await.0, 201);
    let list = root.get("/api/tokens").await;
    let all = list["tokens"].as_array().unwrap();
    let named = all.iter().filter(|token| token["name"] == "one");
    assert_eq!(named.count(), 2);
    bed.end().await;
}

#[tokio::test]
async fn results_of_a_target_that_is_gone() {
    let bed = Bed::start().await;
    let entry = json!({ "target_url": "http://127.0.0.1/", "response_status": 200 });
    for (path, result) in [
        (
            "/api/daemon/kaze/scan",
            json!({ "open_ports": [{ "port": 22 }] }),
        ),
        (
            "/api/daemon/kumo/spider",
            json!({ "request_metadata": [entry] }),
        ),
        ("/api/daemon/enumeration", json!({ "paths": ["/"] })),
        ("/api/daemon/ryu/assessment", json!({})),
    ] {
        let id = bed.add_one("127.0.0.1").await;
        let body = json!({ "eggrecord_id": id, "risk_level": "low", "result": result });
        let gone = async || {
            let (status, _) = bed.delete(&format!("/api/targets/{id}")).await;
            assert_eq!(status, 200);
        };
        twice(&bed, path, &body, gone).await;
    }
    bed.end().await;
}

#[tokio::test]
async fn targets_that_are_out_of_scope_now() {
    let bed = Bed::start().await;
    let narrow = async || bed.hub.set_live(live(scope(&["192.0.2.1"], &[])));
    let wish = json!({ "targets": [{ "target": "127.0.0.1" }] });
    let first = twice(&bed, "/api/targets", &wish, narrow).await;
    assert_eq!(first["created"].as_array().unwrap().len(), 1);
    let wide = scope(&["127.0.0.0/8"], &[]);
    bed.hub.set_live(live(wide));
    let narrow = async || bed.hub.set_live(live(scope(&["192.0.2.1"], &[])));
    let wish = json!({ "domain": "127.0.0.2" });
    let first = twice(&bed, "/api/eggrecords/create", &wish, narrow).await;
    assert_eq!(first["created_count"], 1);
    bed.end().await;
}

#[tokio::test]
async fn an_import_counts_once() {
    let bed = Bed::start().await;
    let send = async |lines: &'static str| {
        let request = bed.request(Method::POST, "/api/targets/import").body(lines);
        let request = request.header("Content-Type", "application/x-ndjson");
        bed.send(request.header("Idempotency-Key", "k")).await
    };
    let lines = "{\"target\":\"10.0.0.1\"}\n{\"target\":\"10.0.0.2\"}\n";
    let (status, first) = send(lines).await;
    assert_eq!((status.as_u16(), &first["created"]), (200, &json!(2)));
    let (status, second) = send(lines).await;
    assert_eq!((status.as_u16(), &second), (200, &first));
    assert_eq!(send("{\"target\":\"10.0.0.3\"}").await.0, 422);
    assert_eq!(bed.count_targets().await, 2);
    bed.end().await;
}

#[tokio::test]
async fn old_progress_is_not_new() {
    let bed = Bed::start().await;
    let path = "/api/daemon/suzu/progress";
    let later = async || {
        let body = json!({ "status": "later" });
        assert_eq!(bed.post_keyed(path, "l", &body).await.0, 200);
    };
    twice(&bed, path, &json!({ "status": "first" }), later).await;
    let (_, now) = bed.get("/api/suzu/progress").await;
    assert_eq!(now["progress"]["status"], "later");
    bed.end().await;
}

/// As long as an agent may be cut off.
#[tokio::test]
async fn an_answer_is_kept_for_ninety_days() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let body = hub_support::scan(&id, "kaze");
    bed.post_keyed("/api/daemon/kaze/scan", "k", &body).await;
    for (days, same) in [(89, true), (2, false)] {
        bed.clock.advance(TimeDelta::days(days));
        Retention::default().enforce(&bed.hub).await.unwrap();
        bed.post_keyed("/api/daemon/kaze/scan", "k", &body).await;
        let scans = bed.scans().await.len();
        assert_eq!(scans == 1, same, "after {days} more days");
    }
    bed.end().await;
}
