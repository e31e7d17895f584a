//! A hub on a free port, and a client for it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod access;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recon::fleet::Scope;
use recon::hub::{Clock, Config, Hub, Live, Server};
use recon::systemd::Bus;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Bed {
    pub address: SocketAddr,
    pub hub: Arc<Hub>,
    pub clock: Clock,
    pub http: reqwest::Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    pub dir: tempfile::TempDir,
}

/// A scope of these rules.
pub fn scope(allow: &[&str], deny: &[&str]) -> Scope {
    let parse = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
    Scope::new(parse(allow), parse(deny))
}

/// Settings with this scope.
pub fn live(scope: Scope) -> Live {
    Live {
        scope,
        ..Live::default()
    }
}

impl Bed {
    pub async fn start() -> Self {
        Self::with(scope(&["127.0.0.0/8", "10.0.0.0/16", "*.example.org"], &[])).await
    }

    pub async fn with(scope: Scope) -> Self {
        Self::configured(scope, |config, _| config).await
    }

    /// With a configuration made of the usual one; the path is that of the bed's own directory.
    pub async fn configured(scope: Scope, change: impl FnOnce(Config, &Path) -> Config) -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), live(scope), change).await
    }

    /// With agents on this bus. That of the machine that runs the tests is never touched.
    pub async fn on_bus(live: Live, bus: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let change = |mut config: Config, _: &Path| {
            config.bus = Bus::Address(bus.to_owned());
            config
        };
        Self::in_directory(dir, live, change).await
    }

    /// With the database that is in this directory, and a control socket beside it.
    pub async fn over(dir: tempfile::TempDir, scope: Scope) -> Self {
        let change = |config: Config, dir: &Path| config.control_socket(dir.join("control.sock"));
        Self::in_directory(dir, live(scope), change).await
    }

    async fn in_directory(
        dir: tempfile::TempDir,
        live: Live,
        change: impl FnOnce(Config, &Path) -> Config,
    ) -> Self {
        let database: PathBuf = dir.path().join("hub.db");
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let clock = Clock::default();
        let mut config = Config::new(listen, database, live);
        config.bus = Bus::Address("unix:path=/nonexistent/bus".to_owned());
        let config = change(config, dir.path());
        let server = Server::bind(config, clock.clone()).await.unwrap();
        let (address, hub) = (server.address(), server.hub());
        let stop = CancellationToken::new();
        Self {
            address,
            hub,
            clock,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            serving: tokio::spawn(server.run(stop.clone())),
            stop,
            dir,
        }
    }

    /// Where its database is.
    pub fn directory(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Ends it; its database stays.
    pub async fn end_and_keep(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.dir
    }

    /// How many targets there are.
    pub async fn count_targets(&self) -> usize {
        let (_, body) = self.get("/api/targets?limit=1000").await;
        body["targets"].as_array().unwrap().len()
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
        (status, body)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).json(body);
        self.send(request.header("Idempotency-Key", key)).await
    }

    /// Adds targets and gives their ids.
    pub async fn add(&self, targets: &[String]) -> Vec<String> {
        let list: Vec<_> = targets.iter().map(|t| json!({ "target": t })).collect();
        let (status, body) = self.post("/api/targets", json!({ "targets": list })).await;
        assert_eq!(status, 200, "{body}");
        let created = body["created"].as_array().unwrap();
        created.iter().map(|t| text(&t["id"])).collect()
    }

    pub async fn add_one(&self, target: &str) -> String {
        self.add(&[target.to_owned()]).await.remove(0)
    }

    /// Leases work.
    pub async fn lease(&self, personality: &str, agent: &str, limit: u32) -> Vec<Value> {
        let path = format!(
            "/reconnaissance/api/daemon/{personality}/eggrecords/?limit={limit}&agent={agent}"
        );
        let (status, body) = self.get(&path).await;
        assert_eq!(status, 200, "{body}");
        let list = body["eggrecords"].as_array().unwrap().clone();
        assert_eq!(body["count"], list.len());
        list
    }

    pub async fn scans(&self) -> Vec<Value> {
        let (status, body) = self.get("/api/scans?limit=1000").await;
        assert_eq!(status, 200);
        body["scans"].as_array().unwrap().clone()
    }

    pub async fn events(&self, kind: &str) -> Vec<Value> {
        let (_, body) = self.get("/api/events?limit=1000").await;
        let all = body["events"].as_array().unwrap();
        all.iter().filter(|e| e["type"] == kind).cloned().collect()
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A scan with one open port.
pub fn scan(id: &str, personality: &str) -> Value {
    json!({
        "eggrecord_id": id,
        "target": "127.0.0.1",
        "scan_type": format!("{personality}_port_scan"),
        "result": {
            "success": true,
            "open_ports": [{ "port": 22, "service_name": "ssh" }],
        },
    })
}

pub fn heartbeat(agent: &str, host: &str, leases: &[String]) -> Value {
    json!({
        "agent": agent, "host": host, "pid": 4242, "version": "0.1.0",
        "status": "healthy", "status_text": "waiting for work",
        "started_at": "2026-11-21T06:00:00Z", "last_activity": "2026-11-21T06:00:00Z",
        "interval_s": 10.0, "queue_depth": 0, "error_count": 0, "cycle": 3, "leases": leases,
    })
}
