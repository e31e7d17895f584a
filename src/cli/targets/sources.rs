//! Files of targets, read as they come: memory does not grow with the file.

#[cfg(test)]
mod fuzz_tests;
mod hosts;
mod objects;
mod rows;

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use crate::api::NewTarget;

/// Longest line, and longest object of JSON.
const LONGEST: usize = 1024 * 1024;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Find out.
    Auto,
    /// A target a line; # starts a comment.
    Lines,
    /// Columns target (or host, ip, …), group, project; without a head the first column counts.
    Csv,
    /// nmap -oX: the hosts that are up.
    NmapXml,
    /// masscan -oJ.
    MasscanJson,
}

/// A target, or what is wrong with this place of the file.
#[derive(Debug, Clone)]
pub struct Found {
    /// Line, from 1.
    pub line: u64,
    /// The target.
    pub target: Result<NewTarget, String>,
}

impl Found {
    fn new(line: u64, target: impl Into<String>) -> Self {
        Self {
            line,
            target: Ok(NewTarget {
                target: target.into(),
                group: None,
                project: None,
                alive: true,
            }),
        }
    }

    fn bad(line: u64, problem: impl Into<String>) -> Self {
        Self {
            line,
            target: Err(problem.into()),
        }
    }
}

/// How far the reading is.
#[derive(Debug, Clone, Default)]
pub struct Position {
    bytes: Rc<Cell<u64>>,
    lines: Rc<Cell<u64>>,
}

impl Position {
    /// Bytes read.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The line that the reading is at, from 1.
    fn line(&self) -> u64 {
        self.lines.get() + 1
    }
}

/// Counts what is read.
pub struct Counted<R> {
    inner: R,
    position: Position,
}

impl<R: BufRead> Counted<R> {
    /// Over this reader.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            position: Position::default(),
        }
    }

    /// How far it is, always up to date.
    pub fn position(&self) -> Position {
        self.position.clone()
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let some = self.fill_buf()?;
        let n = some.len().min(into.len());
        into[..n].copy_from_slice(&some[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // What is consumed is in the buffer: this reads nothing.
        if n > 0
            && let Ok(some) = self.inner.fill_buf()
        {
            let lines = some[..n].iter().filter(|b| **b == b'\n').count() as u64;
            self.position.lines.set(self.position.lines.get() + lines);
        }
        self.position
            .bytes
            .set(self.position.bytes.get() + n as u64);
        self.inner.consume(n);
    }
}

/// The targets of a file.
pub type Targets = Box<dyn Iterator<Item = io::Result<Found>>>;

/// Reads a file; `csv` says that its name is one of a CSV file.
///
/// # Errors
/// It cannot be read.
pub fn targets<R: BufRead + 'static>(
    mut reader: Counted<R>,
    format: Format,
    csv: bool,
) -> io::Result<Targets> {
    let format = match format {
        Format::Auto => guess(reader.fill_buf()?, csv),
        format => format,
    };
    Ok(match format {
        Format::Auto | Format::Lines => Box::new(lines(reader)),
        Format::Csv => Box::new(rows::rows(reader)),
        Format::NmapXml => Box::new(hosts::hosts(reader)),
        Format::MasscanJson => Box::new(objects::objects(reader)),
    })
}

/// What a file that begins like this is.
fn guess(begin: &[u8], csv: bool) -> Format {
    let begin = begin
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(begin)
        .trim_ascii_start();
    let first_line = begin.split(|b| *b == b'\n').next().unwrap_or_default();
    match begin {
        [b'<', ..] => Format::NmapXml,
        [b'{', ..] => Format::MasscanJson,
        // An address of IPv6 may stand in brackets.
        [b'[', rest @ ..]
            if matches!(rest.trim_ascii_start().first(), None | Some(b'{' | b']')) =>
        {
            Format::MasscanJson
        }
        _ if csv || first_line.contains(&b',') => Format::Csv,
        _ => Format::Lines,
    }
}

fn lines<R: BufRead>(mut reader: Counted<R>) -> impl Iterator<Item = io::Result<Found>> {
    let position = reader.position();
    std::iter::from_fn(move || {
        loop {
            let number = position.line();
            let mut line = Vec::new();
            match (&mut reader)
                .take(LONGEST as u64)
                .read_until(b'\n', &mut line)
            {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                return Some(Ok(Found::bad(number, "is not UTF-8")));
            };
            let text = text.trim_start_matches('\u{feff}');
            let text = text.split('#').next().unwrap_or_default().trim();
            if !text.is_empty() {
                return Some(Ok(Found::new(number, text)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> Vec<(u64, String)> {
        let reader = Counted::new(io::Cursor::new(text.as_bytes().to_vec()));
        let all = targets(reader, format, false).unwrap();
        all.map(|found| {
            let found = found.unwrap();
            let text = found.target.map_or_else(
                |problem| format!("! {problem}"),
                |t| {
                    [Some(t.target), t.group, t.project]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(" ")
                },
            );
            (found.line, text)
        })
        .collect()
    }

    fn expect(text: &str, wanted: &[(u64, &str)]) {
        let found = read(text, Format::Auto);
        let found: Vec<_> = found.iter().map(|(n, t)| (*n, t.as_str())).collect();
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn comments_and_blank_lines_are_no_targets() {
        expect(
            "\u{feff}# all\r\n10.0.0.1 # web\r\n\r\n  a.example.org\n[::1]",
            &[(2, "10.0.0.1"), (4, "a.example.org"), (5, "[::1]")],
        );
        expect("[::1]\n", &[(1, "[::1]")]);
        expect("", &[]);
    }

    #[test]
    fn csv_with_and_without_a_head() {
        expect(
            "IP,Group,hostname,project\n10.0.0.1,lab,,\n10.0.0.2,\"a, b\",x.example.org,p\n,,,\n",
            &[
                (2, "10.0.0.1 lab"),
                (3, "x.example.org a, b p"),
                (4, "! has no target"),
            ],
        );
        expect(
            "10.0.0.1,web\n10.0.0.2\n",
            &[(1, "10.0.0.1"), (2, "10.0.0.2")],
        );
    }

    #[test]
    fn nmap_hosts_that_are_up() {
        expect(
            "<?xml version=\"1.0\"?>\n<nmaprun>\n<host><status state=\"up\"/>\n\
             <address addr=\"10.0.0.1\" addrtype=\"ipv4\"/>\
             <address addr=\"00:11:22:33:44:55\" addrtype=\"mac\"/>\
             <hostnames><hostname name=\"ptr.example\" type=\"PTR\"/></hostnames></host>\n\
             <host><status state=\"down\"/><address addr=\"10.0.0.2\" addrtype=\"ipv4\"/></host>\n\
             <host><address addr=\"::1\" addrtype=\"ipv6\"/>\
             <hostnames><hostname name=\"a.example.org\" type=\"user\"/></hostnames></host>\n\
             <host></host></nmaprun>\n",
            &[
                (3, "10.0.0.1"),
                (6, "a.example.org"),
                (7, "! is a host without an address"),
            ],
        );
        let broken = read("<nmaprun><host></hots>", Format::Auto);
        assert!(broken[0].1.starts_with("! is not XML"), "{broken:?}");
        assert_eq!(broken.len(), 1);
    }

    #[test]
    fn masscan_objects_whatever_stands_between_them() {
        expect(
            "[\n{ \"ip\": \"10.0.0.1\", \"ports\": [ {\"port\": 80, \"reason\": \"a}\\\"\"} ] }\n,\n\
             {\"ip\":\"10.0.0.1\"}\n{\"ip\": \"10.0.0.2\"},\n{\"x\": 1},\n{\"ip\": \n{finished: 1}\n]\n",
            &[
                (2, "10.0.0.1"),
                (5, "10.0.0.2"),
                (6, "! has no \"ip\""),
                (
                    7,
                    "! is not JSON: invalid type: map, expected a string at line 2 column 0",
                ),
            ],
        );
        expect("[\n{\"ip\":\"::1\"},\n{finished: 1}\n]", &[(2, "::1")]);
    }
}
