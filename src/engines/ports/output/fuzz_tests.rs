//! A fuzz target: whatever a host says of itself is text in every form of output, and one field of it.

use super::output_tests::{results, written};
use super::{Format, HostScan, Results};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};
use crate::engines::ports::parse_nmap_xml;

/// The results of the other tests, in which one host says this wherever hosts say something.
fn saying(said: &str) -> Results {
    let mut results = results();
    let host = &mut results.hosts[0];
    host.hostname = Some(said.to_owned());
    host.reason = Some(said.to_owned());
    let port = &mut host.open_ports[0].port;
    for text in [
        &mut port.service,
        &mut port.product,
        &mut port.version,
        &mut port.banner,
    ] {
        said.clone_into(text);
    }
    port.cpe = vec![said.to_owned()];
    port.waf = Some(said.to_owned());
    port.details
        .insert("http.title".to_owned(), said.to_owned());
    if let Some(tls) = &mut port.tls {
        said.clone_into(&mut tls.version);
    }
    results
}

#[test]
fn output() {
    let seeds: [&[u8]; 4] = [
        b"nginx",
        b"=1+1,\"x\"\r\n\x1b[31m<&'>-->]]>\0",
        b"22/open/tcp//ssh///, 23/open\tStatus: Up",
        b" ssl/@x|;\xc2\x9b\xe2\x80\xae",
    ];
    let usual = saying("x");
    let lines = |format, results: &Results| written(format, results).lines().count();
    let usual = [Format::Jsonl, Format::Greppable].map(|format| (format, lines(format, &usual)));
    fuzz(&seeds, |bytes| {
        let said = String::from_utf8_lossy(bytes);
        let results = saying(&said);
        for format in [
            Format::Json,
            Format::Jsonl,
            Format::Xml,
            Format::Greppable,
            Format::Csv,
        ] {
            let text = written(format, &results);
            is_fit_to_show(&text.replace(['\n', '\r', '\t'], ""), usize::MAX);
        }
        for (format, count) in usual {
            assert_eq!(lines(format, &results), count, "{format:?}");
        }
        reads_back(&results);
    });
}

fn reads_back(results: &Results) {
    let host = &results.hosts[0];
    let line = written(Format::Jsonl, results);
    let line = line.lines().next().unwrap();
    assert_eq!(&serde_json::from_str::<HostScan>(line).unwrap(), host);

    let xml = parse_nmap_xml(&written(Format::Xml, results)).unwrap();
    assert!(xml.complete);
    let ports = xml.hosts.iter().map(|host| host.open.len());
    assert!(ports.eq(results.hosts.iter().map(|host| host.open_ports.len())));

    let table = written(Format::Csv, results);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let row = rows.records().next().unwrap().unwrap();
    let formula = |cell: &str| cell.trim_start().starts_with(['=', '+', '-', '@']);
    assert!(!row.iter().any(formula), "{row:?}");
    let ports: usize = results.hosts.iter().map(|h| h.open_ports.len()).sum();
    assert_eq!(1 + rows.records().count(), ports);
}
