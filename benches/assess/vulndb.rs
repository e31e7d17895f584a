//! The vulnerability database: how long an import takes, in how much memory, how large the file is, and
//! what a lookup costs.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use recon::engines::assess::vulndb::{Product, Vulndb, import};

use crate::generate::{self, Generator};
use crate::number;
use crate::report::{Goal, Report};

/// Imports all feeds of a directory, and prints seconds and the most memory that it took (KiB).
pub fn one_import(place: &Path) {
    let feeds = [place.join("feeds")];
    let start = Instant::now();
    import(&place.join("vulndb"), &feeds, &()).unwrap();
    println!("{} {}", start.elapsed().as_secs_f64(), memory("VmHWM"));
}

/// A figure of /proc/self/status, KiB.
pub fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The numbers that this program prints in a process of its own, whose memory is nobody else's.
pub fn in_child(what: &str, place: &Path) -> Vec<f64> {
    let out = Command::new(std::env::current_exe().unwrap())
        .env(what, place)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).unwrap();
    let numbers = text.split_whitespace();
    numbers.map(|number| number.parse().unwrap()).collect()
}

fn import_in_child(place: &Path) -> (f64, f64) {
    let numbers = in_child("BENCH_ONE_IMPORT", place);
    (numbers[0], numbers[1] / 1024.0)
}

/// Those with many vulnerabilities and those with few.
fn products() -> Vec<String> {
    (0..4000)
        .map(|n| generate::product(n * 7 % 60_000))
        .collect()
}

#[allow(clippy::cast_precision_loss)]
pub fn run(report: &mut Report) {
    let (count, runs) = (number("BENCH_CVES", 300_000), number("BENCH_RUNS", 3));
    let place = tempfile::tempdir().unwrap();
    let bytes = Generator::new(count).write(&place.path().join("feeds"));
    println!("{count} CVEs, {:.0} MB of JSON", bytes as f64 / 1e6);
    let work = format!("import of {count} CVEs");
    // The goals are for 300,000.
    let share = count as f64 / 300_000.0;
    let database = place.path().join("vulndb");
    let (mut times, mut sizes, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let _ = std::fs::remove_file(&database);
        let (seconds, mebibytes) = import_in_child(place.path());
        times.push(seconds);
        sizes.push(mebibytes);
    }
    report.add(&work, "wall time", "s", &times, Goal::AtMost(60.0 * share));
    report.add(&work, "resident memory", "MiB", &sizes, Goal::AtMost(300.0));
    let size = database.metadata().unwrap().len() as f64 / f64::from(1 << 20);
    report.add(&work, "file", "MiB", &[size], Goal::AtMost(150.0 * share));
    for _ in 0..runs {
        again.push(import_in_child(place.path()).0);
    }
    report.add("the same feeds again", "wall time", "s", &again, Goal::None);
    lookups(report, &database, runs);
    crate::assess::run(report, &database, runs);
}

/// Microseconds of a lookup, and how much all of them found.
#[allow(clippy::cast_precision_loss)]
fn look_up(db: &Vulndb, names: &[String]) -> (f64, usize) {
    let start = Instant::now();
    let mut found = 0;
    for name in names {
        let cpes = [format!("cpe:2.3:a:{name}:5.1.0:*:*:*:*:*:*:*")];
        let product = Product {
            cpes: &cpes,
            ..Product::default()
        };
        found += db.of(&product).unwrap().len();
    }
    (
        start.elapsed().as_secs_f64() * 1e6 / names.len() as f64,
        found,
    )
}

#[allow(clippy::cast_precision_loss)]
fn lookups(report: &mut Report, database: &Path, runs: u64) {
    let before = memory("VmRSS");
    let db = Vulndb::open(database).unwrap();
    let names = products();
    let (mut misses, mut each, mut found) = (Vec::new(), Vec::new(), 0);
    let none: Vec<String> = (0..names.len())
        .map(|n| format!("nobody:nothing_{n}"))
        .collect();
    for _ in 0..runs {
        let (microseconds, vulnerabilities) = look_up(&db, &names);
        each.push(microseconds);
        found = vulnerabilities;
        misses.push(look_up(&db, &none).0);
    }
    let rss = memory("VmRSS").saturating_sub(before) as f64 / 1024.0;
    println!("{found} vulnerabilities of {} products", names.len());
    let per_cve = each
        .iter()
        .map(|us| us * names.len() as f64 / found.max(1) as f64);
    report.add(
        "lookup of a product",
        "wall time",
        "µs",
        &each,
        Goal::AtMost(500.0),
    );
    let per_cve: Vec<f64> = per_cve.collect();
    report.add(
        "lookup, a vulnerability",
        "wall time",
        "µs",
        &per_cve,
        Goal::AtMost(25.0),
    );
    report.add(
        "lookup of what is not there",
        "wall time",
        "µs",
        &misses,
        Goal::AtMost(25.0),
    );
    report.add(
        "after these lookups",
        "resident memory",
        "MiB",
        &[rss],
        Goal::AtMost(8.0),
    );
}
