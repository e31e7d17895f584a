//! An agent as a hub sees it: it leases, works, keeps each result on disk until a hub has it, and says
//! what it holds. It scans nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::log::World;

/// The shortest lease that a hub gives, seconds: what the dead held is to come back soon.
const LEASE: i64 = 10;
/// Longer than that.
const STALL: Duration = Duration::from_millis(10_500);

/// A result that no hub has acknowledged.
#[derive(Debug, Clone)]
struct Spooled {
    record: String,
    lease: String,
    key: String,
    sent: bool,
}

/// What outlives a killed process.
#[derive(Debug, Default)]
struct Disk {
    spool: VecDeque<Spooled>,
    held: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Agent {
    name: String,
    disk: Arc<Mutex<Disk>>,
}

impl Agent {
    pub fn new(n: usize) -> Self {
        Self {
            name: format!("kaze@host-{n}"),
            disk: Arc::default(),
        }
    }

    /// The same name on a new disk.
    pub fn without_disk(&self) -> Self {
        Self {
            name: self.name.clone(),
            disk: Arc::default(),
        }
    }

    /// Until everything is done.
    pub async fn work(&self, world: &World, mut rng: StdRng) {
        self.give_back(world, &mut rng).await;
        loop {
            self.drain(world, &mut rng).await;
            let records = self.lease(world, &mut rng).await;
            if records.is_empty() {
                if world.all_done() {
                    return;
                }
                sleep(Duration::from_millis(rng.random_range(20..100))).await;
            }
            for record in records {
                self.work_on(&record, &mut rng).await;
                self.drain(world, &mut rng).await;
                if rng.random_ratio(1, 5) {
                    self.heartbeat(world, &mut rng).await;
                }
            }
        }
    }

    /// At its start it returns what it held, but for what it has results of.
    async fn give_back(&self, world: &World, rng: &mut StdRng) {
        let left = {
            let disk = self.disk.lock().unwrap();
            let mut left = disk.held.clone();
            left.retain(|lease| disk.spool.iter().all(|s| s.lease != *lease));
            left
        };
        for lease in left {
            // Whether a hub heard it or not.
            world.given_up(&lease);
            let path = format!("/api/daemon/leases/{lease}");
            if let Some(answer) = answer(world.delete(&path, rng.random::<u8>().into())).await {
                let status = answer.status();
                assert!(
                    status.is_success() || status == StatusCode::NOT_FOUND,
                    "{status}"
                );
            }
            self.disk.lock().unwrap().held.retain(|held| *held != lease);
        }
    }

    async fn lease(&self, world: &World, rng: &mut StdRng) -> Vec<Value> {
        let limit = rng.random_range(1..=10);
        let path = format!(
            "/reconnaissance/api/daemon/kaze/eggrecords/?limit={limit}&lease={LEASE}&agent={}",
            self.name
        );
        let request = world.get(&path, rng.random::<u8>().into());
        let Some(answer) = answer(request).await else {
            return Vec::new();
        };
        assert_eq!(answer.status(), 200);
        // The hub may die while it speaks: then these leases run out.
        let Ok(body) = answer.json::<Value>().await else {
            return Vec::new();
        };
        let records = body["eggrecords"].as_array().unwrap().clone();
        let mut disk = self.disk.lock().unwrap();
        for record in &records {
            world.leased(&self.name, record, LEASE);
            disk.held
                .push(record["lease_id"].as_str().unwrap().to_owned());
        }
        records
    }

    /// A scan, which now and then outlives its lease.
    async fn work_on(&self, record: &Value, rng: &mut StdRng) {
        sleep(if rng.random_ratio(1, 500) {
            STALL
        } else {
            Duration::from_micros(rng.random_range(0..4000))
        })
        .await;
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let key = format!("{:032x}", rng.random::<u128>());
        self.disk.lock().unwrap().spool.push_back(Spooled {
            record: text("id"),
            lease: text("lease_id"),
            key,
            sent: false,
        });
    }

    /// Sends what waits until hubs have taken it.
    async fn drain(&self, world: &World, rng: &mut StdRng) {
        loop {
            let Some(next) = self.next_to_send() else {
                return;
            };
            world.sent(next.sent);
            world.given_up(&next.lease);
            match self.submit(world, &next, rng.random::<u8>().into()).await {
                Some(stored) => {
                    world.acknowledged(&next.record, &next.key, stored);
                    let mut disk = self.disk.lock().unwrap();
                    disk.spool.pop_front();
                    disk.held.retain(|held| *held != next.lease);
                }
                None => sleep(Duration::from_millis(rng.random_range(5..60))).await,
            }
        }
    }

    fn next_to_send(&self) -> Option<Spooled> {
        let mut disk = self.disk.lock().unwrap();
        let next = disk.spool.front_mut()?;
        let before = next.clone();
        next.sent = true;
        Some(before)
    }

    /// Whether it is stored; none when no hub said so.
    async fn submit(&self, world: &World, result: &Spooled, hub: usize) -> Option<bool> {
        let path = format!("/reconnaissance/api/daemon/kaze/scan/?agent={}", self.name);
        let body = json!({
            "eggrecord_id": result.record,
            "scan_type": "kaze_port_scan",
            "result": {
                "success": true,
                "engine": result.key,
                "open_ports": [{ "port": 22, "service_name": "ssh" }],
            },
        });
        let request = world
            .post_to(&path, hub, body.to_string())
            .header("Idempotency-Key", &result.key);
        match answer(request).await?.status() {
            StatusCode::OK => Some(true),
            StatusCode::CONFLICT => Some(false),
            status => panic!("a result was answered {status}"),
        }
    }

    async fn heartbeat(&self, world: &World, rng: &mut StdRng) {
        let held = self.disk.lock().unwrap().held.clone();
        let (name, host) = self.name.split_once('@').unwrap();
        let now = Utc::now();
        let body = json!({
            "agent": name, "host": host, "pid": 1, "version": "0.1.0", "status": "healthy",
            "status_text": "", "started_at": now, "last_activity": now, "interval_s": 10.0,
            "queue_depth": 0, "error_count": 0, "cycle": 1, "leases": held,
        });
        let path = "/reconnaissance/api/daemon/kaze/heartbeat/";
        let request = world.post_to(path, rng.random::<u8>().into(), body.to_string());
        let Some(answer) = answer(request).await else {
            return;
        };
        assert_eq!(answer.status(), 200);
        let Ok(body) = answer.json::<Value>().await else {
            return;
        };
        for renewal in body["leases"].as_array().unwrap() {
            let until = renewal["expires_at"].as_str();
            if let Some(until) = until.map(|u| u.parse::<DateTime<Utc>>().unwrap()) {
                world.renewed(renewal["id"].as_str().unwrap(), until);
            }
        }
    }
}

/// An answer that is one: not a hub that is away, nor one whose database is. It never fails otherwise.
async fn answer(request: reqwest::RequestBuilder) -> Option<reqwest::Response> {
    let answer = request.send().await.ok()?;
    assert_ne!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    (answer.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
}
