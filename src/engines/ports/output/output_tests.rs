use std::path::Path;

use super::*;
use crate::api::{CertificateFacts, TlsFacts};
use crate::engines::ports::parse_nmap_xml;

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_244_296 + second, 0).unwrap()
}

fn open(port: u16, service: &str, product: &str, version: &str) -> FoundPort {
    OpenPort {
        port,
        protocol: "tcp".to_owned(),
        service_name: service.to_owned(),
        service_product: product.to_owned(),
        service_version: version.to_owned(),
        state_reason: "syn-ack".to_owned(),
        confidence: if product.is_empty() { 0.3 } else { 1.0 },
        ..OpenPort::default()
    }
    .into()
}

fn host(addr: &str, counts: [u32; 4], open_ports: Vec<FoundPort>) -> HostScan {
    let [open, closed, filtered, unreachable] = counts;
    let port_counts = PortCounts {
        open,
        closed,
        filtered,
        unreachable,
    };
    let mut host = HostScan {
        target: addr.to_owned(),
        ip_address: addr.parse().unwrap(),
        hostname: None,
        status: HostStatus::Up,
        status_reason: "syn-ack".to_owned(),
        scan_type: "kage_port_scan".to_owned(),
        scan_status: String::new(),
        engine: "connect".to_owned(),
        started_at: time(0),
        finished_at: time(2),
        scan_duration: 1.5,
        round_trip: Some(0.000_291),
        ports_scanned: port_counts.total(),
        port_counts,
        udp_counts: PortCounts::default(),
        incomplete: false,
        reason: None,
        open_ports,
    };
    host.settle();
    host
}

/// What a host says that wants to forge the output, or steer who reads it.
const HOSTILE: &str = "=1+1,\"x\"\r\n\x1b[31m\u{9b}\u{202e}<&'>-->]]>\0\u{fffe}, 31337/open/tcp//elite///\tStatus: Up";

pub(super) fn results() -> Results {
    let mut https = open(443, "https", "nginx", "1.22.1");
    https.port.cpe = vec!["cpe:/a:igor_sysoev:nginx:1.22.1".to_owned()];
    https.port.tls = Some(TlsFacts {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        certificate: Some(CertificateFacts {
            subject: "CN=www.example.org".to_owned(),
            issuer: "CN=ca".to_owned(),
            serial_number: "01".to_owned(),
            not_before: time(0),
            not_after: time(86_400),
            subject_alt_names: vec!["www.example.org".to_owned()],
            self_signed: false,
            sha256: "00".to_owned(),
            signature_algorithm: String::new(),
            key_bits: Some(256),
        }),
        ..TlsFacts::default()
    });
    let mut snmp = open(161, "snmp", "", "");
    snmp.port.protocol = "udp".to_owned();
    "udp-response".clone_into(&mut snmp.reason);
    let ssh = open(22, "ssh", "OpenSSH", "9.2p1 Debian 2+deb12u3");
    let mut web = host("10.0.0.7", [2, 996, 2, 0], vec![https, snmp, ssh]);
    "www.example.org".clone_into(&mut web.target);
    web.hostname = Some("web1.example.org".to_owned());
    web.udp_counts = PortCounts {
        open: 1,
        closed: 6,
        filtered: 13,
        unreachable: 0,
    };
    let mut hostile = open(80, "http", HOSTILE, HOSTILE);
    hostile.port.banner = HOSTILE.to_owned();
    hostile.port.cpe = vec![HOSTILE.to_owned()];
    let mut hostile = host("10.0.0.8", [1, 0, 999, 0], vec![hostile]);
    hostile.incomplete = true;
    hostile.hostname = Some(HOSTILE.to_owned());
    let mut silent = host("fd00::1", [0, 0, 1000, 0], Vec::new());
    (silent.status, silent.round_trip) = (HostStatus::AssumedUp, None);
    "user-set".clone_into(&mut silent.status_reason);
    let mut gone = host("fd00::2", [0, 0, 0, 1000], Vec::new());
    (gone.status, gone.round_trip) = (HostStatus::Unreachable, None);
    "host-unreach".clone_into(&mut gone.status_reason);
    gone.reason = Some("cannot connect: No route to host".to_owned());
    let mut hosts = vec![web, hostile, silent, gone];
    hosts.iter_mut().for_each(HostScan::settle);
    Results {
        run: RunFacts {
            command: "reconctl scan 10.0.0.7-8 --ports \"22,80\" -- <x>".to_owned(),
            version: "0.0.0".to_owned(),
            engine: "connect".to_owned(),
            ports: "22,80-81,443".parse().unwrap(),
            udp_ports: "53,161".to_owned(),
            targets: 4,
            hosts_up: 2,
            port_counts: RunCounts {
                open: 3,
                closed: 996,
                filtered: 2001,
                unreachable: 1000,
            },
            udp_counts: RunCounts {
                open: 1,
                closed: 6,
                filtered: 13,
                unreachable: 0,
            },
            started_at: time(0),
            finished_at: time(3),
            scan_duration: 2.5,
            incomplete: false,
            notes: Vec::new(),
        },
        hosts,
    }
}

pub(super) fn written(format: Format, results: &Results) -> String {
    let mut out = Vec::new();
    write(format, results, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// `UPDATE_EXPECT=1` writes the expected files anew.
#[test]
fn golden_files() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scan-output");
    for (format, name) in [
        (Format::Json, "scan.json"),
        (Format::Jsonl, "scan.jsonl"),
        (Format::Xml, "scan.xml"),
        (Format::Greppable, "scan.gnmap"),
        (Format::Csv, "scan.csv"),
    ] {
        let text = written(format, &results());
        let path = directory.join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, expected, "{name}; UPDATE_EXPECT=1 writes it anew");
    }
}

#[test]
fn nothing_that_a_host_says_steers_whoever_reads_it() {
    for format in [
        Format::Json,
        Format::Jsonl,
        Format::Xml,
        Format::Greppable,
        Format::Csv,
    ] {
        let text = written(format, &results());
        let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        assert!(!text.contains(hidden), "{format:?}: {text}");
        assert!(!text.contains("\x1b"), "{format:?}");
        assert!(!text.contains('\u{202e}'), "{format:?}");
    }
}

#[test]
fn xml_reads_back_as_what_nmap_writes() {
    let results = results();
    let run = parse_nmap_xml(&written(Format::Xml, &results)).unwrap();
    assert!(run.complete);
    assert_eq!(run.args, results.run.command);
    assert_eq!(run.hosts.len(), 4);
    for (read, host) in run.hosts.iter().zip(&results.hosts) {
        assert_eq!(read.addr, Some(host.ip_address));
        assert_eq!(read.up, host.status != HostStatus::Unreachable);
        let hostname = host.hostname.as_deref().map(escape::visible);
        let names: Vec<_> = host
            .name()
            .map(Into::into)
            .into_iter()
            .chain(hostname)
            .collect();
        assert_eq!(read.hostnames, names);
        let (tcp, udp) = (host.port_counts, host.udp_counts);
        assert_eq!(read.counts.open, tcp.open + udp.open);
        assert_eq!(read.counts.closed, tcp.closed + udp.closed);
        let silent = tcp.filtered + tcp.unreachable + udp.filtered + udp.unreachable;
        assert_eq!(read.counts.filtered, silent);
        assert_eq!(read.open.len(), host.open_ports.len());
        for read in &read.open {
            let same =
                |p: &&FoundPort| (p.port.port, &p.port.protocol) == (read.port, &read.protocol);
            let found = host.open_ports.iter().find(same).unwrap();
            assert_eq!(read.service_name, found.port.service);
            assert_eq!(read.service_product, escape::visible(&found.port.product));
            assert_eq!(read.service_version, escape::visible(&found.port.version));
            assert_eq!(read.service_cpe.is_empty(), found.port.cpe.is_empty());
            assert_eq!(read.state_reason, found.reason);
            assert!((read.confidence - found.port.confidence).abs() < 1e-9);
        }
    }
    let mut cut = results;
    cut.run.incomplete = true;
    assert!(
        !parse_nmap_xml(&written(Format::Xml, &cut))
            .unwrap()
            .complete
    );
}

#[test]
fn csv_has_a_row_for_each_open_port_and_no_formulas() {
    let text = written(Format::Csv, &results());
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().len();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!(row.len(), columns);
        assert!(
            !row.iter()
                .any(|cell| cell.starts_with(['=', '+', '-', '@']))
        );
    }
    assert!(text.contains("\r\n"));
}

#[test]
fn greppable_lines_have_the_fields_of_nmap() {
    let text = written(Format::Greppable, &results());
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("Ports: "))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in lines {
        let ports = line
            .split('\t')
            .find_map(|field| field.strip_prefix("Ports: "))
            .unwrap();
        for port in ports.split(", ") {
            assert_eq!(port.matches('/').count(), 7, "{port}");
        }
    }
    assert!(
        text.contains("443/open/tcp//ssl|http//nginx 1.22.1/"),
        "{text}"
    );
    assert!(text.contains("Host: fd00::2 ()\tStatus: Down"), "{text}");
}

#[test]
fn the_records_read_back() {
    for line in written(Format::Jsonl, &results()).lines() {
        let host: HostScan = serde_json::from_str(line).unwrap();
        let again = serde_json::to_value(&host).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        );
        let mine = results()
            .hosts
            .into_iter()
            .find(|h| h.ip_address == host.ip_address);
        assert_eq!(mine, Some(host));
    }
    let document: serde_json::Value =
        serde_json::from_str(&written(Format::Json, &results())).unwrap();
    assert_eq!(document["scans"].as_array().unwrap().len(), 4);
    assert_eq!(document["run"]["incomplete"], false);
}
