//! The hub over HTTP: changes, events, retention.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::{Bed, live, scope, text};
use recon::hub::{Keep, Live, Retention};
use serde_json::{Value, json};

/// Submits a scan of these ports; the next one comes an hour later.
async fn scan(bed: &Bed, id: &str, ports: &[u16]) {
    let open: Vec<_> = ports
        .iter()
        .map(|p| json!({ "port": p, "service_name": "http", "service_product": "<b>\u{1b}" }))
        .collect();
    let body = json!({
        "eggrecord_id": id, "target": "127.0.0.1", "scan_type": "kaze_port_scan",
        "result": { "success": true, "ports_scanned": 1000, "open_ports": open },
    });
    let path = "/api/daemon/kaze/scan?agent=kaze@a";
    let (status, answer) = bed.post(path, body).await;
    assert_eq!(status, 200, "{answer}");
    bed.clock.advance(TimeDelta::hours(1));
}

async fn changes(bed: &Bed, query: &str) -> Vec<String> {
    let (status, body) = bed.get(&format!("/api/changes{query}")).await;
    assert_eq!(status, 200, "{body}");
    let all = body["changes"].as_array().unwrap();
    all.iter()
        .map(|c| format!("{} {}", text(&c["type"]), text(&c["subject"])))
        .collect()
}

#[tokio::test]
async fn changes_are_listed() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    scan(&bed, &id, &[22]).await;
    assert!(changes(&bed, "").await.is_empty());
    scan(&bed, &id, &[22, 80]).await;
    let between = bed.clock.now().to_rfc3339().replace('+', "%2B");
    scan(&bed, &id, &[80]).await;
    let all = ["port_closed 22/tcp", "port_opened 80/tcp"];
    for same in ["", "?target=127.0.0.1", &format!("?record={id}")] {
        assert_eq!(changes(&bed, same).await, all, "{same}");
    }
    assert_eq!(changes(&bed, "?type=port_opened").await, all[1..]);
    let late = format!("?since={between}");
    assert_eq!(changes(&bed, &late).await, all[..1]);
    let (_, first) = bed.get("/api/changes?limit=1").await;
    let cursor = text(&first["next_cursor"]);
    assert_eq!(changes(&bed, &format!("?cursor={cursor}")).await, all[1..]);
    let told = bed.events("change_detected").await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["daemon_name"], "kaze");
    bed.end().await;
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let bed = Bed::start().await;
    for query in [
        "changes?type=nonsense",
        "changes?since=yesterday",
        "changes?record=1",
        "changes?target=a&record=0191b0a0-0000-7000-8000-000000000000",
        "changes?cursor=1",
        "changes?limit=0",
        "events?wait=31",
        "events?wait=-1",
        "events?types=a%27b",
        "events?since=1",
    ] {
        let (status, body) = bed.get(&format!("/api/{query}")).await;
        assert_eq!(status, 400, "{query}: {body}");
    }
    bed.end().await;
}

#[tokio::test]
async fn who_waits_is_answered_at_once() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let waiting = bed.get("/api/events?wait=30&types=change_detected,x");
    let acting = async {
        scan(&bed, &id, &[22]).await;
        scan(&bed, &id, &[23]).await;
    };
    let ((status, body), ()) = tokio::join!(waiting, acting);
    assert_eq!(status, 200);
    let events = body["events"].as_array().unwrap();
    assert!(events.iter().all(|e| e["type"] == "change_detected"));
    assert!(!events.is_empty());
    bed.end().await;
}

#[tokio::test]
async fn nobody_waits_for_a_hub_that_stops() {
    let bed = Bed::start().await;
    let url = bed.url("/api/events?wait=30");
    let http = bed.http.clone();
    let waiting = tokio::spawn(async move { http.get(url).send().await?.json::<Value>().await });
    // A second request is answered when the first one has been taken.
    bed.get("/api/events?wait=0").await;
    bed.end().await;
    if let Ok(body) = waiting.await.unwrap() {
        assert_eq!(body, json!({ "events": [], "last_seq": 0 }));
    }
}

#[tokio::test]
async fn events_go_on_where_a_reader_stopped() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    scan(&bed, &id, &[22]).await;
    let (_, first) = bed.get("/api/events").await;
    let last = &first["last_seq"];
    let since = bed.clock.now().to_rfc3339().replace('+', "%2B");
    scan(&bed, &id, &[22, 80]).await;
    let (_, second) = bed.get(&format!("/api/events?after={last}")).await;
    assert_eq!(second["events"].as_array().unwrap().len(), 2);
    assert_eq!(second.get("resync"), None);
    // A number that was never given: somebody put an older database in place.
    let end = second["last_seq"].as_i64().unwrap();
    for wait in [0, 30] {
        let path = format!("/api/events?after={}&wait={wait}", end + 1);
        let (_, beyond) = bed.get(&path).await;
        assert_eq!(
            beyond,
            json!({ "events": [], "last_seq": end, "resync": true })
        );
    }
    let (_, late) = bed.get(&format!("/api/events?since={since}")).await;
    assert_eq!(late, second);
    bed.end().await;
}

#[tokio::test]
async fn what_is_old_goes_and_the_last_scan_stays() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    scan(&bed, &id, &[22]).await;
    scan(&bed, &id, &[22, 80]).await;
    let mut retention = Retention::default();
    retention.enforce(&bed.hub).await.unwrap();
    assert_eq!(bed.scans().await.len(), 2);
    assert_eq!(changes(&bed, "").await.len(), 1);
    bed.clock.advance(TimeDelta::days(91));
    retention.enforce(&bed.hub).await.unwrap();
    assert!(bed.events("scan_completed").await.is_empty());
    assert_eq!(bed.scans().await.len(), 2);
    bed.clock.advance(TimeDelta::days(300));
    let base = live(scope(&["127.0.0.0/8"], &[]));
    let for_ever = Keep {
        changes: std::time::Duration::ZERO,
        ..base.keep
    };
    bed.hub.set_live(Live {
        keep: for_ever,
        ..base.clone()
    });
    retention.enforce(&bed.hub).await.unwrap();
    let left = bed.scans().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["open_ports"].as_array().unwrap().len(), 2);
    assert_eq!(changes(&bed, "").await.len(), 1, "0 keeps all");
    bed.hub.set_live(base);
    retention.enforce(&bed.hub).await.unwrap();
    assert!(changes(&bed, "").await.is_empty());
    bed.end().await;
}

/// One row of a clock that was wrong for a moment, and more old ones than one step removes.
#[tokio::test]
async fn a_time_in_the_future_does_not_end_retention() {
    let bed = Bed::start().await;
    let targets: Vec<_> = (0..600)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    bed.clock.advance(TimeDelta::days(1000));
    let first = bed.add_one("127.0.0.1").await;
    scan(&bed, &first, &[22]).await;
    bed.clock.advance(TimeDelta::days(-1000));
    for id in bed.add(&targets).await {
        let body = json!({ "eggrecord_id": id, "target": "x", "scan_type": "kaze_port_scan",
                           "result": { "success": true, "ports_scanned": 1, "open_ports": [] } });
        let (status, answer) = bed.post("/api/daemon/kaze/scan?agent=kaze@a", body).await;
        assert_eq!(status, 200, "{answer}");
    }
    bed.clock.advance(TimeDelta::days(91));
    Retention::default().enforce(&bed.hub).await.unwrap();
    assert_eq!(bed.events("scan_completed").await.len(), 1);
    bed.end().await;
}

/// What `reconctl` prints.
async fn reconctl(bed: &Bed, args: &[&str]) -> String {
    let mut all = vec!["--hub".to_owned(), bed.url("")];
    all.extend(args.iter().map(|a| (*a).to_owned()));
    let run = move || {
        let mut command = assert_cmd::Command::cargo_bin("reconctl").unwrap();
        command.args(all).assert().success().get_output().clone()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn reconctl_shows_changes_and_events() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    scan(&bed, &id, &[22]).await;
    scan(&bed, &id, &[22, 80]).await;
    let json: Value = serde_json::from_str(&reconctl(&bed, &["--json", "changes"]).await).unwrap();
    assert_eq!(json["changes"][0]["subject"], "80/tcp");
    let table = reconctl(&bed, &["changes", "--target", "127.0.0.1", "--since", "7d"]).await;
    assert!(table.contains("port_opened"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table}");
    let none = reconctl(&bed, &["--jsonl", "changes", "--type", "risk_changed"]).await;
    assert_eq!(none, "");

    let events = &["events", "--type", "change_detected"];
    let lines = reconctl(&bed, events).await;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        lines.contains("kaze@a") && !lines.contains('\u{1b}'),
        "{lines}"
    );
    let json = reconctl(&bed, &["--json", "events", "--limit", "2"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 2);
    let lines = reconctl(&bed, &["changes", "export", "--type", "port_opened"]).await;
    let line: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!(line["subject"], "80/tcp");
    let follow = &["--jsonl", "events", "-f", "--limit", "3"];
    assert_eq!(reconctl(&bed, follow).await.lines().count(), 3);
    bed.end().await;
}
