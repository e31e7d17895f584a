//! Webhooks, against a receiver of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use hub_support::{Bed, live, scan, scope, text};
use recon::hub::{Clock, Config, Live, Pace, Secret, Server, Webhook};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const KEY: &str = "of the operator's own";

/// What the receiver does with a request, when it is not to take it.
#[derive(Clone, Copy)]
enum Mishap {
    Status(u16),
    Silence,
    Elsewhere,
}

#[derive(Clone, Default)]
struct Receiver {
    mishaps: Arc<Mutex<VecDeque<Mishap>>>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn serve(&self, listener: TcpListener) {
        let routes = Router::new()
            .route("/hook", post(receive))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }

    fn seqs(&self) -> Vec<i64> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|e| e["seq"].as_i64().unwrap()).collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let mishap = receiver.mishaps.lock().unwrap().pop_front();
    match mishap {
        Some(Mishap::Status(code)) => return StatusCode::from_u16(code).unwrap().into_response(),
        Some(Mishap::Silence) => std::future::pending().await,
        Some(Mishap::Elsewhere) => return Redirect::temporary("/hook").into_response(),
        None => {}
    }
    let of = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(of("x-recon-timestamp").as_bytes());
    mac.update(b".");
    mac.update(&body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(of("x-recon-signature"), format!("sha256={hex}"));
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(of("x-recon-event"), text(&event["type"]));
    assert_eq!(of("x-recon-delivery"), text(&event["id"]));
    receiver.taken.lock().unwrap().push(event);
    StatusCode::NO_CONTENT.into_response()
}

fn hook(address: SocketAddr) -> Live {
    let webhook = Webhook {
        name: "soc".to_owned(),
        url: format!("http://{address}/hook").parse().unwrap(),
        types: vec!["scan_completed".to_owned(), "webhook_failed".to_owned()],
        secret: Secret::new(KEY),
        pace: Pace {
            timeout: Duration::from_millis(300),
            retry_first: Duration::from_millis(5),
            retry_max: Duration::from_millis(50),
            ..Pace::default()
        },
    };
    Live {
        webhooks: vec![webhook],
        ..live(scope(&["127.0.0.0/8"], &[]))
    }
}

/// A port that nobody listens on.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Waits until the hook is so.
async fn until(bed: &Bed, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let (_, body) = bed.get("/api/webhooks").await;
        if let Some(hook) = body["webhooks"].get(0)
            && so(hook)
        {
            return hook.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn scans(bed: &Bed, ids: &[String]) {
    for id in ids {
        let (status, _) = bed.post("/api/daemon/kaze/scan", scan(id, "kaze")).await;
        assert_eq!(status, 200);
    }
}

async fn targets(bed: &Bed, n: usize) -> Vec<String> {
    let names: Vec<_> = (1..=n).map(|n| format!("127.0.1.{n}")).collect();
    bed.add(&names).await
}

fn seqs(events: &[Value]) -> Vec<i64> {
    events.iter().map(|e| e["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn everything_arrives_in_order_whatever_goes_wrong() {
    let bed = Bed::start().await;
    let ids = targets(&bed, 12).await;
    scans(&bed, &ids[..1]).await;
    let address = nobody().await;
    bed.hub.set_live(hook(address));
    until(&bed, |_| true).await;
    scans(&bed, &ids[1..6]).await;
    until(&bed, |hook| !hook["failing_since"].is_null()).await;

    let receiver = Receiver::default();
    receiver.mishaps.lock().unwrap().extend([
        Mishap::Status(500),
        Mishap::Silence,
        Mishap::Elsewhere,
        Mishap::Status(404),
    ]);
    receiver
        .serve(TcpListener::bind(address).await.unwrap())
        .await;
    until(&bed, |hook| hook["delivered"] == 5).await;
    receiver
        .mishaps
        .lock()
        .unwrap()
        .push_back(Mishap::Status(503));
    scans(&bed, &ids[6..]).await;
    let state = until(&bed, |hook| hook["delivered"] == 11).await;
    assert_eq!(state["failing_since"], Value::Null);
    assert_eq!(state["given_up"], 0);
    let all = seqs(&bed.events("scan_completed").await);
    assert_eq!(receiver.seqs(), all[1..], "but what was before the hook");
    assert!(receiver.mishaps.lock().unwrap().is_empty());
    bed.end().await;
}

/// A hub over this database.
async fn hub(
    database: &std::path::Path,
    live: Live,
) -> (String, CancellationToken, tokio::task::JoinHandle<()>) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config::new(any, database.to_owned(), live);
    let server = Server::bind(config, Clock::default()).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let serving = tokio::spawn(server.run(stop.clone()));
    (format!("http://{address}"), stop, serving)
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("hub.db");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |url: String| -> Value {
        let answer = http.get(url).send().await.unwrap();
        answer.json().await.unwrap()
    };
    let of_violations = |address| {
        let mut live = hook(address);
        live.webhooks[0].types = vec!["scope_violation_blocked".to_owned()];
        live
    };
    let (url, stop, serving) = hub(&database, of_violations(nobody().await)).await;
    let until = async |so: fn(&Value) -> bool| {
        while !so(&get(format!("{url}/api/webhooks")).await["webhooks"][0]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(Value::is_object).await;
    let outside = serde_json::json!({ "targets": [{ "target": "10.0.0.1" }] });
    for _ in 0..5 {
        let request = http.post(format!("{url}/api/targets")).json(&outside);
        assert_eq!(request.send().await.unwrap().status(), 403);
    }
    until(|hook| hook["failing_since"].is_string()).await;
    let events = get(format!("{url}/api/events")).await;
    stop.cancel();
    serving.await.unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Receiver::default();
    receiver.serve(listener).await;
    let (_, stop, serving) = hub(&database, of_violations(address)).await;
    let wanted = seqs(events["events"].as_array().unwrap());
    assert_eq!(wanted.len(), 5);
    while receiver.seqs().len() < wanted.len() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(receiver.seqs(), wanted);
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn after_a_day_the_oldest_are_given_up_and_that_is_said() {
    let bed = Bed::start().await;
    let ids = targets(&bed, 8).await;
    let address = nobody().await;
    bed.hub.set_live(hook(address));
    until(&bed, |_| true).await;
    scans(&bed, &ids[..3]).await;
    until(&bed, |hook| !hook["failing_since"].is_null()).await;
    bed.clock.advance(TimeDelta::hours(20));
    scans(&bed, &ids[3..5]).await;
    bed.clock.advance(TimeDelta::hours(5));
    let state = until(&bed, |hook| hook["given_up"] != 0).await;
    assert_eq!(state["given_up"], 3);
    let said = bed.events("webhook_failed").await;
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["data"]["webhook"], "soc");
    assert_eq!(said[0]["data"]["given_up"], 3);
    assert!(!said[0].to_string().contains(&address.to_string()));

    let receiver = Receiver::default();
    receiver
        .serve(TcpListener::bind(address).await.unwrap())
        .await;
    scans(&bed, &ids[5..]).await;
    until(&bed, |hook| hook["delivered"] == 6).await;
    let mut wanted = seqs(&bed.events("scan_completed").await)[3..].to_vec();
    wanted.extend(seqs(&said));
    wanted.sort_unstable();
    assert_eq!(receiver.seqs(), wanted);
    bed.end().await;
}

#[tokio::test]
async fn a_reload_changes_the_hooks() {
    let bed = Bed::start().await;
    let ids = targets(&bed, 2).await;
    let receivers = [Receiver::default(), Receiver::default()];
    for (n, receiver) in receivers.iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut live = hook(listener.local_addr().unwrap());
        receiver.serve(listener).await;
        // The first in order of name is the one that `until` looks at.
        let name = ["soc", "new-soc"][n];
        live.webhooks[0].name = name.to_owned();
        bed.hub.set_live(live);
        until(&bed, |hook| hook["name"] == name).await;
        scans(&bed, &ids[n..=n]).await;
        until(&bed, |hook| hook["delivered"] == 1).await;
    }
    let all = seqs(&bed.events("scan_completed").await);
    let [first, second] = receivers.map(|r| r.seqs());
    assert_eq!([first, second].concat(), all);
    bed.end().await;
}

#[test]
fn the_key_comes_as_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = dir.path().join("recon.toml");
    let text = "[agents.hub.config]\ndatabase = \"sqlite:///nowhere/hub.db\"\n\
                [[agents.hub.config.webhooks]]\nname = \"soc\"\n\
                url = \"https://soc.example/x\"\nsecret = \"webhook-soc\"\n";
    std::fs::write(&fleet, text).unwrap();
    let check = || {
        let mut command = assert_cmd::Command::cargo_bin("recon-hub").unwrap();
        command
            .env("CREDENTIALS_DIRECTORY", dir.path())
            .args(["--check-config", "--fleet"])
            .arg(&fleet);
        command.assert()
    };
    let refused = check().code(78);
    let says = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(says.contains("soc: the credential webhook-soc"), "{says}");
    std::fs::write(dir.path().join("webhook-soc"), "key\n").unwrap();
    check().success();
}
