//! A fuzz target: whatever a host says of itself is text in every form of output, and one field of it.

use super::output_tests::{results, written};
use super::{Format, HostScan, Results};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};
use crate::engines::ports::parse_nmap_xml;

/// These results, in which one host says this wherever hosts say something.
fn saying(said: &str, results: &Results) -> Results {
    let mut results = results.clone();
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
    let mut example = results();
    example.hosts.truncate(1);
    let usual = saying("x", &example);
    let lines = |text: &str| text.lines().count();
    let [usual_records, usual_lines] =
        [Format::Jsonl, Format::Greppable].map(|format| lines(&written(format, &usual)));
    fuzz(&seeds, |bytes| {
        let results = saying(&String::from_utf8_lossy(bytes), &example);
        let texts = [
            Format::Json,
            Format::Jsonl,
            Format::Xml,
            Format::Greppable,
            Format::Csv,
        ]
        .map(|format| written(format, &results));
        for text in &texts {
            is_fit_to_show(&text.replace(['\n', '\r', '\t'], ""), usize::MAX);
        }
        let [_, records, xml, greppable, table] = &texts;
        assert_eq!(lines(records), usual_records);
        assert_eq!(lines(greppable), usual_lines);
        read_back(&results.hosts[0], records, xml, table);
    });
}

fn read_back(host: &HostScan, records: &str, xml: &str, table: &str) {
    let record = records.lines().next().unwrap();
    assert_eq!(&serde_json::from_str::<HostScan>(record).unwrap(), host);

    let run = parse_nmap_xml(xml).unwrap();
    assert!(run.complete);
    let ports = run.hosts.iter().map(|host| host.open.len());
    assert!(ports.eq([host.open_ports.len()]));

    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let row = rows.records().next().unwrap().unwrap();
    let formula = |cell: &str| cell.trim_start().starts_with(['=', '+', '-', '@']);
    assert!(!row.iter().any(formula), "{row:?}");
    assert_eq!(1 + rows.records().count(), host.open_ports.len());
}
