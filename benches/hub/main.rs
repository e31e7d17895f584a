//! Hub benchmark: what a hub does on this machine, over HTTP, with SQLite and with PostgreSQL, both
//! durable (flushed before a result is acknowledged).
//!
//! `make bench-hub BENCH_OUT=DIR`, about 15 minutes and 20 GB of disk. The load comes from this
//! program, on the same machine, and so out of the same processors. Smaller:
//!
//! - `BENCH_ENGINES=sqlite,postgres`: of these databases.
//! - `BENCH_WORK=idle,import,throughput,lease`: of these works.
//! - `BENCH_TARGETS=10000000`: targets of the large database; `BENCH_IMPORT=1000000`: of the import.
//! - `BENCH_LEASES=2000`: leases of each database; `BENCH_SECONDS=10`: of one run of the load.
//! - `BENCH_RUNS=3`: runs, of which the median counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark ends with the first surprise"
)]

mod fill;
mod http;
mod place;
mod report;
mod work;

use place::{Engine, Place};
use report::Report;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Whether a list in the environment names this; with no list, everything is wanted.
fn wanted(list: &str, name: &str) -> bool {
    std::env::var(list).map_or(true, |text| text.split(',').any(|one| one == name))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut report = Report::default();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        if !wanted("BENCH_ENGINES", engine.name()) {
            continue;
        }
        // All that the engine keeps goes with it.
        let place = Place::new(engine);
        if wanted("BENCH_WORK", "idle") {
            work::idle(&place, &mut report).await;
        }
        if wanted("BENCH_WORK", "import") {
            work::import(&place, &mut report).await;
        }
        if wanted("BENCH_WORK", "throughput") {
            work::throughput(&place, &mut report).await;
        }
        if wanted("BENCH_WORK", "lease") {
            work::lease(&place, &mut report).await;
        }
    }
    report.finish("hub");
}
