use std::time::Duration;

use super::super::order::Quality;
use super::*;
use crate::api::OpenPort;
use crate::engines::ports::SweepStats;
use crate::fleet::ScanSettings;

const ONE: [u8; 4] = [10, 0, 0, 1];
const TWO: [u8; 4] = [10, 0, 0, 2];

fn order() -> Order {
    Order {
        quality: Quality::Fast,
        targets: "10.0.0.1-10.0.0.2".to_owned(),
        names: BTreeMap::from([(TWO.into(), "www.example.org".to_owned())]),
        scope: Vec::new(),
        settings: ScanSettings {
            ports: "1-100".to_owned(),
            ..ScanSettings::kaze()
        },
        dns: false,
        max_rate: 5000,
        command: "reconctl scan".to_owned(),
    }
}

fn port(number: u16, confidence: f64) -> OpenPort {
    OpenPort {
        port: number,
        protocol: "tcp".to_owned(),
        service_name: "http".to_owned(),
        confidence,
        ..OpenPort::default()
    }
}

fn report(addr: [u8; 4], open: Vec<OpenPort>, closed: u32, incomplete: bool) -> ScanReport {
    let now = Utc::now();
    ScanReport {
        addr: addr.into(),
        engine: "connect".to_owned(),
        command: String::new(),
        counts: PortCounts {
            open: u32::try_from(open.len()).unwrap(),
            closed,
            ..PortCounts::default()
        },
        open,
        duration: Duration::from_secs(1),
        incomplete,
        started_at: now,
        finished_at: now,
        stats: SweepStats::default(),
        rtt: None,
        hostname: None,
        udp_counts: PortCounts::default(),
        udp_reasons: Vec::new(),
        reasons: Vec::new(),
        reason: None,
    }
}

fn run(hosts: Vec<ScanReport>, incomplete: bool, place: Option<u64>) -> ScanRun {
    ScanRun {
        engine: "connect".to_owned(),
        checkpoint: place.map(|place| Checkpoint {
            seed: 1,
            place,
            total: 200,
        }),
        hosts,
        incomplete,
        ..ScanRun::default()
    }
}

/// What an engine tells in the end.
fn finish(gathered: &mut Gathered, run: ScanRun) {
    for report in &run.hosts {
        gathered.host(report);
    }
    gathered.finish(&run);
}

/// As if through the file.
fn again(gathered: &Gathered) -> Gathered {
    let text = serde_json::to_string(&gathered.saved()).unwrap();
    Gathered::new(order(), Some(serde_json::from_str(&text).unwrap()))
}

#[test]
fn a_whole_scan() {
    let mut gathered = Gathered::new(order(), None);
    let (targets, options) = gathered.rest().unwrap();
    assert_eq!((targets.len(), options.resume), (2, None));
    assert_eq!(options.names.len(), 1);
    gathered.open(TWO.into(), port(80, 0.3).into());
    let shown = gathered.host(&report(TWO, vec![port(80, 1.0)], 99, false));
    assert_eq!(shown.unwrap().target, "www.example.org");
    assert!(!gathered.is_whole());
    finish(
        &mut gathered,
        run(
            vec![
                report(ONE, vec![], 100, false),
                report(TWO, vec![port(80, 1.0)], 99, false),
            ],
            false,
            None,
        ),
    );
    let results = gathered.results();
    assert!(!results.run.incomplete);
    assert_eq!(
        (results.run.port_counts.open, results.run.port_counts.closed),
        (1, 199)
    );
    assert_eq!((results.run.hosts_up, results.hosts.len()), (2, 2));
    assert_eq!(results.hosts[1].open_ports.len(), 1);
}

#[test]
fn what_was_found_before_a_crash_is_kept() {
    let mut gathered = Gathered::new(order(), None);
    gathered.rest().unwrap();
    // Each port once, however often it is told.
    gathered.open(ONE.into(), port(80, 0.3).into());
    gathered.open(ONE.into(), port(80, 0.3).into());
    gathered.host(&report(TWO, vec![], 100, false));
    let mut second = again(&gathered);
    // No checkpoint: the host that is complete is not scanned again, the other one is.
    let (targets, options) = second.rest().unwrap();
    assert_eq!(targets.to_string(), "10.0.0.1");
    assert_eq!(options.resume, None);
    assert!(second.unprobed().is_none());
    let partial = second.results();
    assert!(partial.run.incomplete);
    assert_eq!(partial.hosts[0].open_ports.len(), 1);
    assert_eq!(partial.hosts[0].scan_status, "incomplete");
    finish(
        &mut second,
        run(
            vec![report(ONE, vec![port(80, 1.0)], 99, false)],
            false,
            None,
        ),
    );
    let results = second.results();
    assert!(!results.run.incomplete);
    assert_eq!(
        (results.run.port_counts.open, results.run.port_counts.closed),
        (1, 199)
    );
    assert_eq!(results.hosts[0].scan_status, "completed");
}

#[test]
fn goes_on_from_a_checkpoint_and_counts_once() {
    let mut gathered = Gathered::new(order(), None);
    gathered.rest().unwrap();
    let first = vec![
        report(ONE, vec![port(80, 0.3), port(22, 0.3)], 48, true),
        report(TWO, vec![], 50, true),
    ];
    finish(&mut gathered, run(first, true, Some(100)));
    assert!(gathered.results().run.incomplete);
    let mut second = again(&gathered);
    let (targets, options) = second.rest().unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!(options.resume.unwrap().place, 100);
    // What nobody has asked yet.
    let (targets, options) = second.unprobed().unwrap();
    assert_eq!(targets.to_string(), "10.0.0.1");
    assert_eq!(
        (options.ports.to_string(), options.resume),
        ("22,80".to_owned(), None)
    );
    // Two ports that were decided before come again.
    let shown = second.host(&report(ONE, vec![port(80, 1.0), port(90, 1.0)], 50, false));
    assert!(shown.is_none(), "services of port 22 are still to come");
    assert!(second.host(&report(TWO, vec![], 50, false)).is_some());
    let rest = vec![
        report(ONE, vec![port(80, 1.0), port(90, 1.0)], 50, false),
        report(TWO, vec![], 50, false),
    ];
    finish(&mut second, run(rest, false, None));
    second.take_services(&run(
        vec![report(ONE, vec![port(22, 0.9)], 1, false)],
        false,
        None,
    ));
    let results = second.results();
    assert!(!results.run.incomplete);
    let one = &results.hosts[0];
    let open: Vec<_> = one
        .open_ports
        .iter()
        .map(|p| (p.port.port, p.port.confidence))
        .collect();
    assert_eq!(open, [(22, 0.9), (80, 1.0), (90, 1.0)]);
    assert_eq!(
        (
            one.ports_scanned,
            one.port_counts.open,
            one.port_counts.closed
        ),
        (100, 3, 97)
    );
    assert_eq!(results.hosts[1].port_counts.closed, 100);
}

#[test]
fn a_checkpoint_of_what_was_left_is_not_one_of_all() {
    let mut first = Gathered::new(order(), None);
    first.rest().unwrap();
    first.host(&report(TWO, vec![], 100, false));
    let mut second = again(&first);
    second.rest().unwrap();
    finish(
        &mut second,
        run(vec![report(ONE, vec![], 50, true)], true, Some(50)),
    );
    let (targets, options) = again(&second).rest().unwrap();
    assert_eq!(targets.to_string(), "10.0.0.1");
    assert_eq!(options.resume.unwrap().place, 50);
}

#[test]
fn interrupted_between_the_engine_and_the_end_is_whole_all_the_same() {
    let mut first = Gathered::new(order(), None);
    first.rest().unwrap();
    first.host(&report(ONE, vec![], 100, false));
    first.host(&report(TWO, vec![], 100, false));
    let mut second = again(&first);
    assert!(second.rest().unwrap().0.is_empty());
    assert!(second.is_whole());
    assert!(!second.results().run.incomplete);
}
