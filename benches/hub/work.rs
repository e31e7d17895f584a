//! What is measured.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fill::fill;
use crate::http::Client;
use crate::number;
use crate::place::{Engine, Hub, Place};
use crate::report::{Goal, Report};

/// Targets of the small database.
const FEW: u64 = 10_000;
/// Agents that lease and submit at once.
const AGENTS: usize = 64;
/// Targets of one request of an import.
const IMPORT_BATCH: u64 = 10_000;

/// A new database with so many targets.
async fn filled(place: &Place, name: &str, targets: u64) -> String {
    let url = place.database(name).await;
    drop(Hub::start(&url)); // makes the tables
    fill(place.engine, &url, targets).await;
    url
}

fn lease_path(kind: &str, agent: usize) -> String {
    format!("/api/daemon/{kind}/eggrecords?limit=10&agent={kind}@host-{agent}")
}

/// A hub that has nothing to do.
pub async fn idle(place: &Place, report: &mut Report) {
    let hub = Hub::start(&place.database("idle").await);
    Client::connect(hub.address).await.get("/readyz").await;
    let work = format!("{}: idle hub", place.engine.name());
    let memory = hub.memory("VmRSS");
    report.add(
        &work,
        "resident memory",
        "MiB",
        &[memory],
        Goal::AtMost(25.0),
    );
    drop(hub);
    place.drop("idle").await;
}

/// Many hosts in one go, by the way that an import takes.
pub async fn import(place: &Place, report: &mut Report) {
    let targets = number("BENCH_IMPORT", 1_000_000);
    let hub = Hub::start(&place.database("import").await);
    let start = Instant::now();
    send_targets(&hub, targets).await;
    let seconds = start.elapsed().as_secs_f64();
    let work = format!("{}: import of {targets} hosts", place.engine.name());
    let goal = 60.0 * targets as f64 / 1e6;
    report.add(&work, "wall time", "s", &[seconds], Goal::AtMost(goal));
    let memory = hub.memory("VmHWM");
    report.add(
        &work,
        "most resident memory",
        "MiB",
        &[memory],
        Goal::AtMost(200.0),
    );
    drop(hub);
    place.drop("import").await;
}

/// A target a line, in requests of some thousands, one after the other.
async fn send_targets(hub: &Hub, targets: u64) {
    let mut client = Client::connect(hub.address).await;
    let mut next = 0;
    while next < targets {
        let batch = next..targets.min(next + IMPORT_BATCH);
        let mut body = String::new();
        for n in batch.clone() {
            let address = format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
            body += &format!("{{\"target\":\"{address}\"}}\n");
        }
        let key = format!("import-{next}");
        let answer = client.post("/api/targets/import", &key, body.as_bytes());
        let answer: Value = serde_json::from_slice(answer.await).unwrap();
        assert_eq!(answer["created"], batch.end - batch.start, "{answer}");
        next = batch.end;
    }
}

/// Ten records leased and ten results sent, by many agents at once, again and again.
pub async fn throughput(place: &Place, report: &mut Report) {
    let goal = match place.engine {
        Engine::Sqlite => 3000.0,
        Engine::Postgres => 1500.0,
    };
    let url = filled(place, "throughput", 400_000).await;
    let hub = Hub::start(&url);
    let time = Duration::from_secs(number("BENCH_SECONDS", 10));
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..number("BENCH_RUNS", 3) {
        let (start, processor) = (Instant::now(), hub.processor());
        let agents = (0..AGENTS).map(|agent| work_on(&hub, agent, start + time));
        let done: u64 = futures_util::future::join_all(agents)
            .await
            .into_iter()
            .sum();
        rates.push(done as f64 / start.elapsed().as_secs_f64());
        costs.push((hub.processor() - processor) * 1e6 / done as f64);
    }
    let work = format!("{}: lease 10, submit 10 of 20 ports", place.engine.name());
    report.add(&work, "pairs", "1/s", &rates, Goal::AtLeast(goal));
    report.add(&work, "processor time a pair", "µs", &costs, Goal::None);
    let memory = hub.memory("VmHWM");
    report.add(&work, "most resident memory", "MiB", &[memory], Goal::None);
    drop(hub);
    place.drop("throughput").await;
}

/// One agent until the end; gives the number of results.
async fn work_on(hub: &Hub, agent: usize, end: Instant) -> u64 {
    // Both kinds, so that the targets last twice as long.
    let kind = ["kaze", "kage"][agent % 2];
    let mut client = Client::connect(hub.address).await;
    let path = format!("/api/daemon/{kind}/scan?agent={kind}@host-{agent}");
    let result = result_of_twenty_ports();
    let mut done = 0;
    while Instant::now() < end {
        let leased = client.get(&lease_path(kind, agent)).await;
        let leased = ids(leased);
        assert!(!leased.is_empty(), "nothing is due any more");
        for id in leased {
            let body = format!("{{\"eggrecord_id\":\"{id}\",\"result\":{result}}}");
            client
                .post(&path, &format!("{kind}-{id}"), body.as_bytes())
                .await;
            done += 1;
        }
    }
    done
}

/// The ids in a list of records. Each record begins with its own.
fn ids(list: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(list).unwrap();
    text.split("{\"id\":\"")
        .skip(1)
        .map(|rest| rest[..36].to_owned())
        .collect()
}

/// As our agents send it.
fn result_of_twenty_ports() -> String {
    let port = |n: u16| {
        json!({
            "port": 20 + n * 100, "protocol": "tcp", "service_name": "http",
            "service_product": "nginx", "service_version": "1.22.1",
            "service_info": "HTTP/1.1 200 OK", "service_cpe": ["cpe:/a:nginx:nginx:1.22.1"],
            "state_reason": "syn-ack", "confidence": 1.0,
        })
    };
    json!({
        "success": true, "engine": "recon", "ports_scanned": 1000, "scan_duration": 1.5,
        "port_counts": { "open": 20, "closed": 980, "filtered": 0, "unreachable": 0 },
        "open_ports": (0..20).map(port).collect::<Vec<_>>(),
    })
    .to_string()
}

/// One agent leases ten records at a time, from a small database and from a large one in turns, so
/// that both see the same machine.
pub async fn lease(place: &Place, report: &mut Report) {
    let many = number("BENCH_TARGETS", 10_000_000);
    let start = Instant::now();
    let few_url = filled(place, "few", FEW).await;
    let many_url = filled(place, "many", many).await;
    println!("(filled in {:.0} s)", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let hubs = [Hub::start(&few_url), Hub::start(&many_url)];
    println!("(both started in {:.1} s)", start.elapsed().as_secs_f64());
    let mut clients = [
        Client::connect(hubs[0].address).await,
        Client::connect(hubs[1].address).await,
    ];
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..number("BENCH_LEASES", 2000) {
        // The small one has enough for a thousand leases of each of two kinds.
        let path = lease_path(["kaze", "kage"][n as usize % 2], 0);
        for (client, times) in clients.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let leased = client.get(&path).await;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(ids(leased).len(), 10);
        }
    }
    let mut p99 = Vec::new();
    for (targets, times) in [FEW, many].into_iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[(times.len() as f64 * part) as usize];
        let work = format!("{}: lease of 10 of {targets}", place.engine.name());
        report.add(&work, "p50", "ms", &[at(0.5)], Goal::None);
        p99.push(at(0.99));
        let goal = p99
            .get(1)
            .map_or(Goal::None, |_| Goal::AtMost(p99[0] * 1.5));
        report.add(&work, "p99", "ms", &[at(0.99)], goal);
    }
    let work = format!("{}: hub with {many} targets", place.engine.name());
    let memory = hubs[1].memory("VmRSS");
    report.add(
        &work,
        "resident memory",
        "MiB",
        &[memory],
        Goal::AtMost(60.0),
    );
    drop(hubs);
    place.drop("few").await;
    place.drop("many").await;
}
