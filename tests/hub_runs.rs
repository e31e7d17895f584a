//! Results that stream in while a scan goes on, over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::{Bed, scan, text};
use serde_json::{Value, json};
use uuid::Uuid;

const SUBMIT: &str = "/reconnaissance/api/daemon/kaze/scan/?agent=kaze@a";

/// Part `seq` of a run that has found this port.
fn part(id: &str, run: Uuid, seq: u32, port: u16) -> Value {
    let mut body = scan(id, "kaze");
    body["result"] = json!({
        "partial": true, "run": run, "seq": seq, "ports_scanned": 100, "ip_address": "127.0.0.1",
        "open_ports": [{ "port": port, "protocol": "tcp" }],
    });
    body
}

#[tokio::test]
async fn a_scan_shows_while_it_goes_on() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    bed.lease("kaze", "kaze@a", 1).await;
    let run = Uuid::now_v7();
    let (status, answer) = bed.post_keyed(SUBMIT, "1", &part(&id, run, 1, 22)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["scan_status"], "running");
    let scans = bed.scans().await;
    assert_eq!(scans[0]["scan_status"], "running");
    assert_eq!(scans[0]["open_ports"][0]["port"], 22);
    let events = bed.events("scan_progress").await;
    assert_eq!(events[0]["data"]["scan_id"], scans[0]["id"]);
    assert_eq!(events[0]["data"]["open_ports"], 1);

    let mut whole = scan(&id, "kaze");
    whole["result"]["run"] = json!(run);
    let (status, _) = bed.post_keyed(SUBMIT, "2", &whole).await;
    assert_eq!(status, 200);
    let late = bed.post_keyed(SUBMIT, "3", &part(&id, run, 2, 9)).await;
    assert_eq!(late.0, 409);
    assert_eq!(late.1["skip_reason"], "run_is_over");
    let after = bed.scans().await;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0]["id"], scans[0]["id"]);
    assert_eq!(after[0]["scan_status"], "completed");
}

#[tokio::test]
async fn what_is_no_part_is_named() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let run = Uuid::now_v7();
    let with = |field: &str, value: Value| {
        let mut body = part(&id, run, 1, 22);
        body["result"][field] = value;
        body
    };
    let mut foreign = part(&id, run, 1, 22);
    foreign["scan_type"] = json!("my_scan");
    for (body, field) in [
        (with("run", Value::Null), "result.run"),
        (with("run", json!("x")), "result.run"),
        (with("seq", json!(-1)), "result.seq"),
        (with("seq", json!(1.5)), "result.seq"),
        (with("seq", json!(4_294_967_296_u64)), "result.seq"),
        (with("partial", json!("yes")), "result.partial"),
        (with("success", json!(false)), "result.partial"),
        (foreign, "scan_type"),
    ] {
        let (status, answer) = bed.post(SUBMIT, body).await;
        assert_eq!(status, 422, "{field}: {answer}");
        assert_eq!(answer["validation_errors"][0]["field"], field);
    }
    assert_eq!(bed.scans().await.len(), 0);
}

/// As an agent that was killed and began anew.
#[tokio::test]
async fn an_agent_goes_on_with_what_it_held() {
    let bed = Bed::start().await;
    bed.add_one("127.0.0.1").await;
    let held = bed.lease("kaze", "kaze@a", 1).await;
    let (id, lease) = (text(&held[0]["id"]), text(&held[0]["lease_id"]));
    bed.add_one("127.0.0.2").await;
    let path = |agent: &str, resume: &str| {
        format!("/api/daemon/kaze/eggrecords?agent={agent}&limit=1&resume={resume}")
    };
    let (_, other) = bed.get(&path("kaze@b", &lease)).await;
    assert_ne!(other["eggrecords"][0]["id"], id.as_str(), "it is a's");
    let (_, own) = bed.get(&path("kaze@a", &lease)).await;
    assert_eq!(own["eggrecords"][0]["id"], id.as_str());
    assert_eq!(own["eggrecords"][0]["lease_id"], lease.as_str());
    assert_eq!(own["count"], 1, "no more than it asked for");
    bed.clock.advance(TimeDelta::seconds(601));
    let (_, taken) = bed.get(&path("kaze@b", "")).await;
    assert_eq!(taken["count"], 1);
    for bad in ["x", "1,2", &vec![lease.as_str(); 33].join(",")] {
        assert_eq!(bed.get(&path("kaze@a", bad)).await.0, 400, "{bad}");
    }
}
