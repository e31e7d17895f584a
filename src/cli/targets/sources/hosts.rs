//! XML of nmap (nmap.org/book/output-formats-xml-output.html).

use std::io::{self, BufRead};

use quick_xml::events::{BytesStart, Event};

use super::{Counted, Found};
use crate::cli::table::display;

/// A host of nmap's.
#[derive(Default)]
struct Host {
    line: u64,
    down: bool,
    address: Option<String>,
    /// As whoever started nmap wrote it.
    name: Option<String>,
}

impl Host {
    fn take(&mut self, element: &BytesStart<'_>) {
        match element.name().as_ref() {
            "status" => self.down = attribute(element, "state").as_deref() == Some("down"),
            "address" if self.address.is_none() => {
                let kind = attribute(element, "addrtype");
                if matches!(kind.as_deref(), Some("ipv4" | "ipv6")) {
                    self.address = attribute(element, "addr");
                }
            }
            "hostname" if attribute(element, "type").as_deref() == Some("user") => {
                self.name = attribute(element, "name");
            }
            _ => {}
        }
    }

    fn found(self) -> Option<Found> {
        if self.down {
            return None;
        }
        Some(match self.name.or(self.address) {
            Some(target) => Found::new(self.line, target),
            None => Found::bad(self.line, "is a host without an address"),
        })
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok().flatten()?;
    Some(found.value.into_owned()).filter(|value| !value.trim().is_empty())
}

/// The hosts of a report.
pub(super) fn hosts<R: BufRead>(reader: Counted<R>) -> impl Iterator<Item = io::Result<Found>> {
    let position = reader.position();
    let mut xml = quick_xml::Reader::from_reader(reader);
    let mut buffer = Vec::new();
    let mut host: Option<Host> = None;
    let mut over = false;
    std::iter::from_fn(move || {
        while !over {
            buffer.clear();
            match xml.read_event_into(&mut buffer) {
                Ok(Event::Start(element) | Event::Empty(element)) => {
                    if element.name().as_ref() == "host" {
                        host = Some(Host {
                            line: position.line(),
                            ..Host::default()
                        });
                    } else if let Some(host) = &mut host {
                        host.take(&element);
                    }
                }
                Ok(Event::End(element)) if element.name().as_ref() == "host" => {
                    if let Some(found) = host.take().and_then(Host::found) {
                        return Some(Ok(found));
                    }
                }
                Ok(Event::Eof) => over = true,
                Ok(_) => {}
                Err(quick_xml::Error::Io(error)) => {
                    over = true;
                    return Some(Err(io::Error::new(error.kind(), error.to_string())));
                }
                Err(error) => {
                    // What comes after it is guesswork.
                    over = true;
                    return Some(Ok(Found::bad(
                        position.line(),
                        // The parser quotes names of the file.
                        format!("is not XML: {}", display(&error.to_string())),
                    )));
                }
            }
        }
        None
    })
}
