//! Agents are broken off, hubs and PostgreSQL killed (SIGKILL) at random moments while ten agents work
//! off a list: nothing may be lost, nothing done twice, and no record held by two at once.
//!
//! The agents are tasks of this program that do over HTTP what real ones do; nothing is sent to any
//! target. What they and the killer choose comes from a seed, which is printed (what the machine makes
//! of it does not repeat). Short in `cargo test`; longer with `CHAOS_RECORDS=10000`, `CHAOS_RUNS=10`,
//! `CHAOS_SEED=1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod agent;
mod log;
mod processes;
mod repeats;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use agent::Agent;
use log::{Kills, World};
use processes::{Database, Hub};

/// Agents at work.
const AGENTS: usize = 10;
/// A dead one is started again after so long at most.
const PAUSE: Duration = Duration::from_millis(300);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_hub_on_sqlite() {
    runs("one hub on SQLite", 1, Database::sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_on_one_postgresql() {
    runs("two hubs on one PostgreSQL", 2, Database::postgres).await;
}

async fn runs(what: &str, hubs: usize, database: fn() -> Database) {
    let records = usize::try_from(number("CHAOS_RECORDS", 500)).unwrap();
    let seed = number("CHAOS_SEED", 1);
    let runs = number("CHAOS_RUNS", 1);
    let mut kills = Kills::default();
    for run in seed..seed + runs {
        let start = Instant::now();
        let world = chaos(hubs, database(), records, run).await;
        println!(
            "{what}: seed {run}, {records} records, {:.1} s; {}",
            start.elapsed().as_secs_f64(),
            world.summary()
        );
        kills += world.kills();
        // Everything of a run is asserted, so this is what all of them came to.
        println!(
            "{what}: {} runs, {kills}; lost: 0, doubled: 0",
            run + 1 - seed
        );
    }
}

/// One run: all records are worked off while things die.
async fn chaos(hubs: usize, database: Database, records: usize, seed: u64) -> Arc<World> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut processes = Processes::start(hubs, database.ready().await).await;
    let world = Arc::new(World::new(processes.addresses(), records));
    add_targets(&world, records).await;
    let mut agents: Vec<_> = (0..AGENTS)
        .map(|n| Cell::start(&world, n, rng.random()))
        .collect();
    // About so many results between two deaths.
    let gap = (records / 120).max(15);
    let mut next = 0;
    while world.finished() < records {
        next += rng.random_range(1..=2 * gap);
        processes.wait_for(&world, next.min(records)).await;
        if next >= records {
            break;
        }
        sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
        match rng.random_range(0..20) {
            0..10 => {
                let n = rng.random_range(0..AGENTS);
                agents[n].kill(&world, &mut rng).await;
            }
            10..17 => {
                let n = rng.random_range(0..hubs);
                processes.hubs[n].kill().await;
                world.count(|k| k.hubs += 1);
                sleep(Duration::from_micros(rng.random_range(0..200_000))).await;
                processes.start_again(&world, n).await;
            }
            _ => processes.crash_database(&world).await,
        }
    }
    processes.wait_for(&world, records).await;
    for agent in agents {
        agent.task.await.unwrap();
    }
    world.check().await;
    processes.end().await;
    world
}

/// Hubs over one database.
struct Processes {
    database: Database,
    hubs: Vec<Hub>,
}

impl Processes {
    async fn start(hubs: usize, database: Database) -> Self {
        let mut all = Vec::new();
        for _ in 0..hubs {
            all.push(Hub::start(database.url()).await);
        }
        Self {
            database,
            hubs: all,
        }
    }

    fn addresses(&self) -> Vec<String> {
        self.hubs.iter().map(|hub| hub.url.clone()).collect()
    }

    /// Until so many records are done. One that several agents died under is put off for minutes: for
    /// such the time passes at once.
    async fn wait_for(&self, world: &World, records: usize) {
        for _ in 0..10 {
            if world.wait_for(records).await {
                return;
            }
            self.database.pass_time().await;
        }
        world.forgotten();
    }

    async fn start_again(&mut self, world: &World, n: usize) {
        self.hubs[n] = Hub::start(self.database.url()).await;
        world.move_hub(n, &self.hubs[n].url);
    }

    async fn crash_database(&mut self, world: &World) {
        if self.database.crash().await {
            world.count(|k| k.databases += 1);
        }
    }

    /// Stops everything and looks whether the database is whole.
    async fn end(self) {
        for mut hub in self.hubs {
            hub.kill().await;
        }
        self.database.check().await;
    }
}

async fn add_targets(world: &World, records: usize) {
    let targets: Vec<_> = (0..records)
        .map(|n| json!({ "target": format!("10.0.{}.{}", n >> 8, n & 255) }))
        .collect();
    for (n, batch) in targets.chunks(2000).enumerate() {
        let key = format!("targets-{n}");
        let body = json!({ "targets": batch }).to_string();
        while let Err(problem) = add(world, &key, &body).await {
            assert!(problem.is_timeout(), "{problem}");
        }
    }
}

async fn add(world: &World, key: &str, body: &str) -> reqwest::Result<()> {
    let request = world.post("/api/targets", key, body.to_owned());
    request.send().await?.error_for_status().map(drop)
}

/// A place where an agent runs, and what is on its disk.
struct Cell {
    agent: Agent,
    task: JoinHandle<()>,
}

impl Cell {
    fn start(world: &Arc<World>, n: usize, seed: u64) -> Self {
        Self::run(Agent::new(n), world, seed, Duration::ZERO)
    }

    fn run(agent: Agent, world: &Arc<World>, seed: u64, pause: Duration) -> Self {
        let (own, world) = (agent.clone(), Arc::clone(world));
        let task = tokio::spawn(async move {
            sleep(pause).await;
            own.work(&world, StdRng::seed_from_u64(seed)).await;
        });
        Self { agent, task }
    }

    /// Ends it in the middle of whatever it does. Half of them come back with what they had on disk,
    /// the others without: their leases must run out.
    async fn kill(&mut self, world: &Arc<World>, rng: &mut StdRng) {
        self.task.abort();
        // An agent that fails must not pass for one that was killed.
        if let Err(problem) = (&mut self.task).await
            && problem.is_panic()
        {
            std::panic::resume_unwind(problem.into_panic());
        }
        world.count(|k| k.agents += 1);
        let agent = if rng.random() {
            self.agent.clone()
        } else {
            self.agent.without_disk()
        };
        let pause = rng.random_range(Duration::ZERO..PAUSE);
        *self = Self::run(agent, world, rng.random(), pause);
    }
}
