use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::*;
use crate::api::{PortCounts, TlsFacts};
use crate::hub::store::HostFacts;

fn port(number: u16) -> ScanPort {
    ScanPort {
        port: number,
        protocol: "tcp".to_owned(),
        service: "http".to_owned(),
        product: "nginx".to_owned(),
        version: "1.22".to_owned(),
        cpe: Vec::new(),
        banner: String::new(),
        tls: None,
        confidence: 1.0,
        waf: None,
        details: Default::default(),
    }
}

fn unknown(number: u16) -> ScanPort {
    ScanPort {
        product: String::new(),
        version: String::new(),
        confidence: 0.3,
        ..port(number)
    }
}

fn with_certificate(number: u16, sha256: &str) -> ScanPort {
    let time: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
    ScanPort {
        tls: Some(TlsFacts {
            certificate: Some(CertificateFacts {
                subject: "CN=a".to_owned(),
                issuer: "CN=ca".to_owned(),
                serial_number: "01".to_owned(),
                not_before: time,
                not_after: time,
                subject_alt_names: Vec::new(),
                self_signed: false,
                sha256: sha256.to_owned(),
                signature_algorithm: String::new(),
                key_bits: None,
            }),
            ..TlsFacts::default()
        }),
        ..port(number)
    }
}

fn scan(command: &str, scanned: u32, open_ports: Vec<ScanPort>) -> NewScan {
    let now = DateTime::UNIX_EPOCH;
    NewScan {
        id: Uuid::nil(),
        target: "10.0.0.1".to_owned(),
        ip_address: None,
        host: HostFacts::default(),
        agent: None,
        engine: "connect".to_owned(),
        scan_command: command.to_owned(),
        started_at: None,
        finished_at: now,
        scan_duration: 0.0,
        ports_scanned: scanned,
        port_counts: PortCounts::default(),
        udp_counts: None,
        open_ports,
        web: false,
        rest: json!({}),
    }
}

/// A scan as the next one finds it.
fn then(scan: &NewScan, compared: Compared) -> Earlier {
    Earlier {
        open_ports: scan.open_ports.clone(),
        known: compared.known,
        ports_scanned: scan.ports_scanned,
        scan_command: scan.scan_command.clone(),
    }
}

/// What each scan after the first shows.
fn told(scans: Vec<NewScan>) -> Vec<Vec<String>> {
    let mut scans = scans.into_iter();
    let mut earlier = then(&scans.next().unwrap(), Compared::default());
    scans
        .map(|scan| {
            let compared = compare(earlier.clone(), &scan);
            let told = compared.differences.iter();
            let told = told.map(|d| format!("{} {}", d.kind, d.subject)).collect();
            earlier = then(&scan, compared);
            told
        })
        .collect()
}

fn pair(before: ScanPort, now: ScanPort) -> Vec<Difference> {
    let earlier = then(&scan("", 10, vec![before]), Compared::default());
    compare(earlier, &scan("", 10, vec![now])).differences
}

const NOTHING: [&str; 0] = [];

#[test]
fn ports_open_and_close() {
    let all = told(vec![
        scan("", 100, vec![port(22), port(80)]),
        scan("", 100, vec![port(22), port(80)]),
        scan("", 100, vec![port(80), port(443)]),
    ]);
    assert_eq!(all[0], NOTHING);
    assert_eq!(all[1], ["port_opened 443/tcp", "port_closed 22/tcp"]);
}

#[test]
fn the_same_number_of_another_protocol_is_another_port() {
    let udp = ScanPort {
        protocol: "udp".to_owned(),
        ..port(53)
    };
    let all = told(vec![
        scan("", 100, vec![port(53)]),
        scan("", 100, vec![port(53), udp]),
    ]);
    assert_eq!(all[0], ["port_opened 53/udp"]);
}

#[test]
fn only_a_protocol_that_was_looked_at_can_close() {
    let udp = ScanPort {
        protocol: "udp".to_owned(),
        ..port(53)
    };
    let both = || vec![port(53), udp.clone()];
    for (command, closed) in [
        ("", vec!["53/tcp"]),
        ("connect -p 1-65535", vec!["53/tcp"]),
        ("nmap -sS -sV -p- 10.0.0.1", vec!["53/tcp"]),
        ("nmap -sU -p- 10.0.0.1", vec!["53/udp"]),
        ("nmap -sSU -p 1-100", vec!["53/tcp", "53/udp"]),
        ("nmap -p U:53,54,T:22", vec!["53/udp"]),
        ("nmap -p T:22,53,U:1-9", vec!["53/tcp"]),
        ("connect -p 53; nmap -sU -p 22", vec!["53/tcp"]),
    ] {
        let all = told(vec![scan("", 100, both()), scan(command, 100, Vec::new())]);
        let wanted: Vec<_> = closed.iter().map(|p| format!("port_closed {p}")).collect();
        assert_eq!(all[0], wanted, "{command}");
    }
    let other = ScanPort {
        protocol: "udp".to_owned(),
        ..port(161)
    };
    let all = told(vec![scan("", 100, both()), scan("", 100, vec![other])]);
    let shown = [
        "port_opened 161/udp",
        "port_closed 53/tcp",
        "port_closed 53/udp",
    ];
    assert_eq!(all[0], shown, "an open port shows the protocol");
}

#[test]
fn who_does_not_say_looked_at_everything() {
    let all = told(vec![
        scan("nmap scan for 10.0.0.1", 0, vec![port(22), port(80)]),
        scan("nmap scan for 10.0.0.1", 0, vec![port(22)]),
        scan("connect -p top1000", 1000, vec![port(22)]),
        scan("nmap scan for 10.0.0.1", 0, Vec::new()),
        scan("connect -p 1-65535", 65535, vec![port(22)]),
        scan("nmap -p http*", 0, Vec::new()),
    ]);
    let none: [&str; 0] = [];
    assert_eq!(all[0], ["port_closed 80/tcp"]);
    assert_eq!(all[1], none);
    assert_eq!(all[2], ["port_closed 22/tcp"]);
    assert_eq!(all[4], none, "it does say, though not which");
}

#[test]
fn only_what_was_looked_at_can_close() {
    let full = || scan("connect -p 1-65535", 65535, vec![port(22), port(40000)]);
    for (command, scanned, closed) in [
        ("connect -p 1-65535 -sV", 65535, vec!["22/tcp", "40000/tcp"]),
        ("nmap -p- 10.0.0.1", 65535, vec!["22/tcp", "40000/tcp"]),
        ("connect -p 20-25,80 10.0.0.1", 7, vec!["22/tcp"]),
        ("connect -p top1000", 1000, vec![]),
        ("nmap scan for 10.0.0.1", 1000, vec![]),
        ("nmap scan for 10.0.0.1", 65535, vec!["22/tcp", "40000/tcp"]),
    ] {
        let all = told(vec![full(), scan(command, scanned, Vec::new())]);
        let wanted: Vec<_> = closed.iter().map(|p| format!("port_closed {p}")).collect();
        assert_eq!(all[0], wanted, "{command} {scanned}");
    }
}

#[test]
fn a_named_set_covers_itself_whatever_was_counted() {
    let all = told(vec![
        scan("connect -p top1000", 1000, vec![port(22)]),
        scan("connect -p top1000; nmap -p 80", 999, vec![port(80)]),
    ]);
    assert_eq!(all[0], ["port_opened 80/tcp", "port_closed 22/tcp"]);
}

#[test]
fn what_a_scan_did_not_look_at_stays_known() {
    let broken = NewScan {
        rest: json!({ "incomplete": true }),
        ..scan("", 100, vec![port(22)])
    };
    let all = told(vec![
        scan("", 100, vec![port(22), port(443)]),
        broken.clone(),
        broken,
        scan("", 100, vec![port(22), port(443)]),
        scan("", 50, vec![port(22)]),
        scan("", 50, vec![port(22)]),
        scan("", 100, vec![port(22)]),
        scan("", 100, vec![port(22)]),
    ]);
    assert_eq!(all[..5].concat(), NOTHING, "443 is known all the time");
    assert_eq!(all[5], ["port_closed 443/tcp"]);
    assert_eq!(all[6], NOTHING, "once");
}

#[test]
fn udp_ports_that_cannot_be_reached_are_not_closed() {
    let dns = ScanPort {
        protocol: "udp".to_owned(),
        ..port(53)
    };
    let command = "connect -sT -sU -p T:22,80,U:53";
    let with_udp = |open, unreachable| NewScan {
        udp_counts: Some(PortCounts {
            unreachable,
            ..PortCounts::default()
        }),
        ..scan(command, 2, open)
    };
    let all = told(vec![
        with_udp(vec![port(22), dns.clone()], 0),
        with_udp(Vec::new(), 1),
        with_udp(Vec::new(), 0),
    ]);
    assert_eq!(all[0], ["port_closed 22/tcp"], "what UDP met is UDP's");
    assert_eq!(all[1], ["port_closed 53/udp"]);
}

#[test]
fn a_host_that_cannot_be_reached_closes_nothing() {
    let mut away = scan("", 100, Vec::new());
    away.port_counts.unreachable = 100;
    let all = told(vec![
        scan("", 100, vec![port(22)]),
        away,
        scan("", 100, vec![port(22)]),
    ]);
    assert_eq!(all.concat(), NOTHING);
}

#[test]
fn services_change_when_both_are_known() {
    let other = |product: &str, version: &str| ScanPort {
        product: product.to_owned(),
        version: version.to_owned(),
        ..port(80)
    };
    let found = pair(port(80), other("nginx", "1.24"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, "service_changed");
    assert_eq!(found[0].before, Some(service(&port(80))));
    assert_eq!(found[0].after.as_ref().unwrap()["version"], "1.24");
    assert_eq!(
        pair(port(80), other("Apache", ""))[0]
            .after
            .as_ref()
            .unwrap()["version"],
        ""
    );
    for (before, now) in [
        (port(80), unknown(80)),
        (unknown(80), port(80)),
        (port(80), other("nginx", "")),
        (port(80), port(80)),
    ] {
        assert_eq!(pair(before, now), []);
    }
    let ssh = ScanPort {
        service: "ssh".to_owned(),
        ..unknown(80)
    };
    assert_eq!(pair(port(80), ssh.clone()), [], "only guessed");
    let ssh = ScanPort {
        confidence: 0.0,
        ..ssh
    };
    assert_eq!(pair(port(80), ssh)[0].kind, "service_changed");
}

#[test]
fn a_change_is_seen_past_a_scan_that_recognised_nothing() {
    let newer = ScanPort {
        version: "1.24".to_owned(),
        ..port(80)
    };
    let all = told(vec![
        scan("", 100, vec![port(80)]),
        scan("", 100, vec![unknown(80)]),
        scan("", 100, vec![newer]),
    ]);
    assert_eq!(all, [vec![], vec!["service_changed 80/tcp".to_owned()]]);
}

#[test]
fn certificates_change() {
    let found = pair(with_certificate(443, "aa"), with_certificate(443, "bb"));
    assert_eq!(found[0].kind, "certificate_changed");
    assert_eq!(found[0].before.as_ref().unwrap()["sha256"], "aa");
    assert_eq!(found.len(), 1);
    assert_eq!(
        pair(with_certificate(443, "aa"), with_certificate(443, "AA")),
        []
    );
    assert_eq!(pair(with_certificate(443, "aa"), port(443)), []);
    assert_eq!(pair(port(443), with_certificate(443, "aa")), []);
}

#[test]
fn a_host_that_answers_everywhere_makes_a_bounded_number() {
    let every: Vec<_> = (1..=2000).map(port).collect();
    let earlier = then(&scan("", 2000, Vec::new()), Compared::default());
    let found = compare(earlier, &scan("", 2000, every)).differences;
    assert_eq!(found.len(), SINGLE_MAX + 1);
    let last = found.last().unwrap();
    assert_eq!(last.kind, "port_opened");
    assert_eq!(last.after, Some(json!({ "count": 1500 })));
}

#[test]
fn known_ports_outlive_the_database() {
    let earlier = then(
        &scan("connect -p top1000", 1000, vec![port(443)]),
        Compared::default(),
    );
    let known = compare(earlier, &scan("connect -p 22", 1, Vec::new())).known;
    let text = serde_json::to_string(&known).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Known>>(&text).unwrap(), known);
    assert_eq!(known[0].looked.name.as_deref(), Some("top1000"));
}
