//! What everybody sees: where the hubs are, who held what and when, what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::watch;

/// A hub is asked for its scans when nothing was heard for so long, so many times.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: u32 = 30;

/// How often what died.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kills {
    pub agents: u32,
    pub hubs: u32,
    pub databases: u32,
}

impl AddAssign for Kills {
    fn add_assign(&mut self, other: Self) {
        self.agents += other.agents;
        self.hubs += other.hubs;
        self.databases += other.databases;
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            agents,
            hubs,
            databases,
        } = self;
        write!(
            f,
            "{agents} agents broken off, kill -9 of hubs {hubs}, PostgreSQL {databases}"
        )
    }
}

/// A lease by the server's clock.
#[derive(Debug, Clone)]
struct Held {
    lease: String,
    record: String,
    agent: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

#[derive(Default)]
struct Log {
    kills: Kills,
    held: BTreeMap<String, Held>,
    /// Record and key of each result that a hub said it had stored.
    stored: BTreeMap<String, String>,
    /// Results that a hub said another had sent already.
    superseded: u32,
    submissions: u32,
    retries: u32,
}

pub struct World {
    records: usize,
    http: reqwest::Client,
    hubs: Mutex<Vec<String>>,
    log: Mutex<Log>,
    finished: watch::Sender<BTreeSet<String>>,
}

impl World {
    /// Over these hubs, with so many records to be done.
    pub fn new(hubs: Vec<String>, records: usize) -> Self {
        Self {
            records,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            hubs: Mutex::new(hubs),
            log: Mutex::default(),
            finished: watch::Sender::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Hub number n has come back elsewhere.
    pub fn move_hub(&self, n: usize, url: &str) {
        url.clone_into(&mut self.hubs.lock().unwrap()[n]);
    }

    fn url(&self, path: &str, choice: usize) -> String {
        let hubs = self.hubs.lock().unwrap();
        format!("{}{path}", hubs[choice % hubs.len()])
    }

    pub fn get(&self, path: &str, choice: usize) -> reqwest::RequestBuilder {
        self.http.get(self.url(path, choice))
    }

    pub fn delete(&self, path: &str, choice: usize) -> reqwest::RequestBuilder {
        self.http.delete(self.url(path, choice))
    }

    /// To the first hub.
    pub fn post(&self, path: &str, key: &str, body: String) -> reqwest::RequestBuilder {
        self.post_to(path, 0, body).header("Idempotency-Key", key)
    }

    pub fn post_to(&self, path: &str, choice: usize, body: String) -> reqwest::RequestBuilder {
        self.http
            .post(self.url(path, choice))
            .header("Content-Type", "application/json")
            .body(body)
    }

    pub fn count(&self, count: impl FnOnce(&mut Kills)) {
        count(&mut self.log().kills);
    }

    pub fn kills(&self) -> Kills {
        self.log().kills
    }

    /// A hub gave this record to an agent, for so many seconds up to this time.
    pub fn leased(&self, agent: &str, record: &Value, seconds: i64) {
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let until: DateTime<Utc> = text("lease_expires_at").parse().unwrap();
        let held = Held {
            lease: text("lease_id"),
            record: text("id"),
            agent: agent.to_owned(),
            from: until - TimeDelta::seconds(seconds),
            until,
        };
        let before = self.log().held.insert(held.lease.clone(), held);
        assert!(before.is_none(), "a lease was given out twice: {before:?}");
    }

    pub fn renewed(&self, lease: &str, until: DateTime<Utc>) {
        self.log().held.get_mut(lease).unwrap().until = until;
    }

    /// The agent gives it back or sends its result now.
    pub fn given_up(&self, lease: &str) {
        let now = Utc::now();
        let mut log = self.log();
        // A killed agent may hold leases that it never heard of.
        if let Some(held) = log.held.get_mut(lease) {
            held.until = held.until.min(now);
        }
    }

    pub fn sent(&self, again: bool) {
        let mut log = self.log();
        log.submissions += 1;
        log.retries += u32::from(again);
    }

    /// A hub acknowledged a result.
    pub fn acknowledged(&self, record: &str, key: &str, stored: bool) {
        if stored {
            let before = self.log().stored.insert(record.to_owned(), key.to_owned());
            let same = before.as_deref().is_none_or(|before| before == key);
            assert!(same, "{record} was stored as {before:?} and as {key}");
        } else {
            self.log().superseded += 1;
        }
        self.finished.send_modify(|all| {
            all.insert(record.to_owned());
        });
    }

    /// Records that are done.
    pub fn finished(&self) -> usize {
        self.finished.borrow().len()
    }

    pub fn all_done(&self) -> bool {
        self.finished() >= self.records
    }

    /// Until so many records are done; false when it takes longer than a lease.
    pub async fn wait_for(&self, records: usize) -> bool {
        let mut finished = self.finished.subscribe();
        for _ in 0..PATIENCE {
            let enough = finished.wait_for(|all| all.len() >= records);
            if tokio::time::timeout(LOOK, enough).await.is_ok() {
                return true;
            }
            self.look().await;
        }
        false
    }

    pub fn forgotten(&self) -> ! {
        panic!(
            "a record is forgotten: {} of {} are done; {}",
            self.finished(),
            self.records,
            self.summary()
        );
    }

    /// An agent that died may have sent a result whose acknowledgement nobody heard.
    async fn look(&self) {
        // A hub may be away.
        let scans = self.scans().await.unwrap_or_default();
        self.finished.send_modify(|all| {
            all.extend(
                scans
                    .iter()
                    .map(|s| s["eggrecord_id"].as_str().unwrap().to_owned()),
            );
        });
    }

    pub fn summary(&self) -> String {
        let log = self.log();
        format!(
            "{}; {} leases, {} submissions ({} again), {} stored, {} superseded",
            log.kills,
            log.held.len(),
            log.submissions,
            log.retries,
            log.stored.len(),
            log.superseded
        )
    }

    /// The state at the end is what it must be.
    pub async fn check(&self) {
        self.check_scans(&self.scans().await.unwrap());
        let path = "/api/daemon/kaze/eggrecords?limit=1000&agent=kaze@last";
        let due: Value = self
            .get(path, 0)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(due["count"], 0, "still due: {due}");
    }

    fn check_scans(&self, scans: &[Value]) {
        let mut by_record: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for scan in scans {
            let text = |name: &str| scan[name].as_str().unwrap();
            let keys = by_record.entry(text("eggrecord_id")).or_default();
            keys.push(text("engine"));
        }
        let doubled: Vec<_> = by_record.iter().filter(|(_, k)| k.len() > 1).collect();
        assert!(doubled.is_empty(), "stored twice: {doubled:?}");
        assert_eq!(by_record.len(), self.records, "records without a result");
        let log = self.log();
        for (record, key) in &log.stored {
            assert_eq!(
                by_record[record.as_str()],
                [key],
                "an acknowledged result is lost"
            );
        }
        held_by_one(&log.held);
    }

    async fn scans(&self) -> reqwest::Result<Vec<Value>> {
        let mut scans = Vec::new();
        let mut path = "/api/scans?limit=1000".to_owned();
        loop {
            let page = self.get(&path, 0).send().await?.error_for_status()?;
            let page: Value = page.json().await?;
            scans.extend_from_slice(page["scans"].as_array().unwrap());
            let Some(cursor) = page["next_cursor"].as_str() else {
                return Ok(scans);
            };
            path = format!("/api/scans?limit=1000&cursor={cursor}");
        }
    }
}

/// No lease of a record begins before the one before it has ended.
fn held_by_one(held: &BTreeMap<String, Held>) {
    let mut by_record: BTreeMap<&str, Vec<&Held>> = BTreeMap::new();
    for one in held.values() {
        by_record.entry(&one.record).or_default().push(one);
    }
    for (record, mut all) in by_record {
        all.sort_by_key(|held| held.from);
        for pair in all.windows(2) {
            let [first, second] = pair else { continue };
            assert!(
                first.until <= second.from,
                "{record} was held by {} and by {}: {first:?} {second:?}",
                first.agent,
                second.agent
            );
        }
    }
}
