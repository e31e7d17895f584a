//! Benchmark of the assessment's parts, with data that it makes itself.
//!
//! `make bench-assess BENCH_OUT=DIR`, about 5 minutes and 2 GB of disk. Smaller:
//!
//! - `BENCH_CVES=300000`: CVEs of the vulnerability database.
//! - `BENCH_RUNS=3`: runs, of which the median counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark ends with the first surprise"
)]

mod assess;
mod generate;
#[path = "../hub/report.rs"]
#[allow(
    dead_code,
    reason = "the hub's benchmark has goals of the other kind, too"
)]
mod report;
mod vulndb;

use report::Report;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    // The import runs in a process of its own, so that its memory can be told.
    if let Some(place) = std::env::var_os("BENCH_ONE_IMPORT") {
        vulndb::one_import(place.as_ref());
        return;
    }
    if let Some(database) = std::env::var_os("BENCH_ONE_ASSESS") {
        assess::one_run(database.as_ref());
        return;
    }
    let mut report = Report::default();
    vulndb::run(&mut report);
    report.finish("assess");
}
