//! Fuzz targets: files of targets in any form. Each is read to its end, a line at a time.

use std::io;

use super::{Counted, Format, guess, targets};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};

fn reads(seeds: &[&[u8]], format: Format) {
    fuzz(seeds, |bytes| {
        let reader = Counted::new(io::Cursor::new(bytes.to_vec()));
        let position = reader.position();
        let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let (mut count, mut last) = (0, 0);
        for found in targets(reader, format, false).unwrap() {
            count += 1;
            assert!(count <= bytes.len() + 1, "it does not end");
            let Ok(found) = found else { break };
            assert!((last..=lines).contains(&found.line), "{}", found.line);
            last = found.line;
            match found.target {
                Ok(new) => assert!(!new.target.trim().is_empty(), "{}", found.line),
                Err(problem) => is_fit_to_show(&problem, 400),
            }
        }
        assert!(position.bytes() <= bytes.len() as u64);
        let _ = guess(bytes, false);
    });
}

#[test]
fn lines() {
    reads(
        &[b"\xef\xbb\xbf# all\r\n10.0.0.1 # web\r\n\r\n  a.example.org\n[::1]"],
        Format::Auto,
    );
}

#[test]
fn table() {
    let head =
        b"IP,Group,hostname,project\n10.0.0.1,lab,,\n10.0.0.2,\"a, b\",x.example.org,p\n,,,\n";
    reads(&[head, b"10.0.0.1,web\n10.0.0.2\n"], Format::Csv);
}

#[test]
fn masscan_json() {
    let list = b"[\n{ \"ip\": \"10.0.0.1\", \"timestamp\": \"1\", \"ports\": [ {\"port\": 80, \"proto\": \"tcp\"} ] },\n\
        { \"ip\": \"10.0.0.1\" },\n{ \"ip\": \"fd00::1\", \"x\": \"\\\"}\" }\n,\n]\n";
    reads(
        &[list, b"{ \"ip\": \"\" }\n{finished: 1}\n"],
        Format::MasscanJson,
    );
}

#[test]
fn nmap_hosts() {
    let up = b"<?xml version=\"1.0\"?><nmaprun><host><status state=\"up\"/><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/>\n\
        <hostnames><hostname name=\"a.example.org\" type=\"user\"/></hostnames></host>\n<host><status state=\"down\"/></host>\n\
        <host><address addr=\"\" addrtype=\"ipv4\"/></host></nmaprun>";
    // The parser's message quotes the name.
    reads(&[up, b"<n\x1baprun>\n</nmaprun>"], Format::NmapXml);
}
