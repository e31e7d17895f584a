//! Whole assessments: how long one record takes, how many a second on one core, and in how much memory.
//!
//! It runs in a process of its own. Its memory is what is its own and not backed by a file (`RssAnon` of
//! /proc/self/status): pages of the database belong to the page cache, which all agents share. `VmRSS`, with
//! them, is told as well.

use std::path::Path;
use std::time::Instant;

use recon::api::{
    AssessedPort, AssessedScan, AssessmentContext, ScanPort, Technology, WebExchange,
};
use recon::engines::assess::assess;
use recon::engines::assess::rules::RuleSet;
use recon::engines::assess::vulndb::Vulndb;

use crate::generate;
use crate::report::{Goal, Report};
use crate::vulndb::{in_child, memory};

/// Services of a record.
const SERVICES: u16 = 20;
/// Records of a run.
const RECORDS: u64 = 1000;

/// A record whose services are products of the database, some of them with known vulnerabilities, and with a
/// web server that has something for the rules.
fn record(n: u64) -> AssessmentContext {
    let at = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let ports = (0..SERVICES).map(|service| {
        let name = generate::product((n * 20 + u64::from(service)) * 7 % 60_000);
        let port = ScanPort {
            port: 8000 + service,
            protocol: "tcp".to_owned(),
            service: if service % 2 == 0 { "http" } else { "redis" }.to_owned(),
            product: name.replace([':', '_'], " "),
            version: "5.1.0".to_owned(),
            cpe: vec![format!("cpe:/a:{name}:5.1.0")],
            banner: "+PONG".to_owned(),
            tls: None,
            confidence: 1.0,
            waf: None,
            details: [("http.status".to_owned(), "200".to_owned())].into(),
        };
        AssessedPort {
            scan_type: "kaze_port_scan".to_owned(),
            seen_at: at,
            port,
        }
    });
    let exchanges = (0..SERVICES).map(|page| WebExchange {
        url: format!("http://h{n}.example:8000/{page}/"),
        method: "GET".to_owned(),
        status: 200,
        headers: [
            ("content-type".to_owned(), "text/html".to_owned()),
            ("server".to_owned(), "nginx/1.18.0".to_owned()),
        ]
        .into(),
        at,
        ..WebExchange::default()
    });
    AssessmentContext {
        success: true,
        eggrecord_id: uuid::Uuid::from_u128(u128::from(n)),
        target: format!("h{n}.example"),
        as_of: at,
        scans: vec![AssessedScan {
            id: uuid::Uuid::nil(),
            scan_type: "kaze_port_scan".to_owned(),
            finished_at: at,
            ports_scanned: 65_535,
            ip_address: None,
            hostname: None,
        }],
        ports: ports.collect(),
        exchanges: exchanges.collect(),
        technologies: vec![Technology {
            name: "jQuery".to_owned(),
            version: "1.11.0".to_owned(),
            category: String::new(),
        }],
        ..AssessmentContext::default()
    }
}

/// Assesses them one after the other, and prints the median and the worst time of one (ms), how many a second
/// that were, the memory of the process (KiB: its own, all), and how many findings there were.
#[allow(clippy::cast_precision_loss)]
pub fn one_run(database: &Path) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/rules");
    let rules = RuleSet::load(&[rules]).rules;
    assert!(rules.len() > 100);
    let database = Vulndb::open(database).unwrap();
    let (mut times, mut findings) = (Vec::new(), 0);
    for n in 0..RECORDS {
        let context = record(n);
        let start = Instant::now();
        let made = assess(&context, &rules, Some(&database)).unwrap();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        findings += made.vulnerabilities.len();
    }
    let each_second = RECORDS as f64 / (times.iter().sum::<f64>() / 1e3);
    times.sort_by(f64::total_cmp);
    println!(
        "{} {} {each_second} {} {} {findings}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        memory("RssAnon"),
        memory("VmRSS"),
    );
}

#[allow(clippy::cast_precision_loss)]
pub fn run(report: &mut Report, database: &Path, runs: u64) {
    let (mut median, mut slow, mut rate) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut all, mut findings) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..runs {
        let numbers = in_child("BENCH_ONE_ASSESS", database);
        median.push(numbers[0]);
        slow.push(numbers[1]);
        rate.push(numbers[2]);
        own.push(numbers[3] / 1024.0);
        all.push(numbers[4] / 1024.0);
        findings = numbers[5];
    }
    println!("{findings} findings of {RECORDS} records");
    let work = format!("assess a record, {SERVICES} services");
    report.add(&work, "wall time", "ms", &median, Goal::AtMost(10.0));
    report.add(&work, "wall time, 99 %", "ms", &slow, Goal::None);
    let work = format!("assess {RECORDS} records, one core");
    report.add(&work, "records", "1/s", &rate, Goal::AtLeast(200.0));
    report.add(
        &work,
        "own memory (RssAnon)",
        "MiB",
        &own,
        Goal::AtMost(40.0),
    );
    report.add(&work, "with the file's pages", "MiB", &all, Goal::None);
}
