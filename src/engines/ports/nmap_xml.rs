use std::net::IpAddr;

use chrono::{DateTime, Utc};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::api::{OpenPort, PortCounts, PortState};

use super::output::visible;
use super::services::{escaped, over_tls};

/// What an nmap XML file (`-oX`, nmap.dtd) holds. Scripts, traceroutes and OS guesses are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NmapRun {
    /// Version of the nmap that wrote it.
    pub version: String,
    /// Its command line.
    pub args: String,
    /// Start of the run.
    pub started_at: Option<DateTime<Utc>>,
    /// End of the run.
    pub finished_at: Option<DateTime<Utc>>,
    /// The hosts, in the order of the file.
    pub hosts: Vec<NmapHost>,
    /// nmap wrote that it ended well. False for a file that is cut off.
    pub complete: bool,
}

/// One host of an nmap run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NmapHost {
    /// IPv4 or IPv6 address; none if the file has only a MAC address.
    pub addr: Option<IpAddr>,
    /// Names, those that the user gave first.
    pub hostnames: Vec<String>,
    /// nmap calls it up. A host without a state, as in a file that is cut off, counts as up.
    pub up: bool,
    /// How many ports are in which state (nmap's `extraports` included).
    pub counts: PortCounts,
    /// The open ones.
    pub open: Vec<OpenPort>,
    /// Start of this host's scan.
    pub started_at: Option<DateTime<Utc>>,
    /// End of this host's scan.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A file that is no nmap XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NmapXmlError {
    /// There is no `<nmaprun>` element.
    #[error("not an nmap XML file: it has no <nmaprun> element")]
    NotNmap,
    /// XML that is wrong before its end; a file that is merely cut off is no error.
    #[error("broken nmap XML at byte {at}: {what}")]
    Broken {
        /// Offset from the start of the file.
        at: u64,
        /// The parser's words.
        what: String,
    },
}

/// Reads an nmap XML file. What is whole in a file that is cut off is returned, `complete` = false.
///
/// # Errors
/// When it is not nmap XML, or broken other than at its end.
pub fn parse_nmap_xml(text: &str) -> Result<NmapRun, NmapXmlError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut parser = Parser::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => parser.element(&element),
            Ok(Event::Text(text)) => parser.text(&text.xml10_content()),
            Ok(Event::End(element)) => parser.end(element.name().as_ref()),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(quick_xml::Error::Syntax(_)) => break, // cut off in the middle of an element
            Err(error) => {
                return Err(NmapXmlError::Broken {
                    at: reader.error_position(),
                    what: escaped(&error.to_string()),
                });
            }
        }
    }
    parser.finish()
}

#[derive(Default)]
struct Parser {
    seen: bool,
    run: NmapRun,
    host: Option<NmapHost>,
    port: Option<Port>,
    /// The text to come is that of a `<cpe>` element.
    in_cpe: bool,
}

/// The port element that is being read.
#[derive(Default)]
struct Port {
    port: OpenPort,
    state: Option<PortState>,
}

impl Parser {
    fn element(&mut self, element: &BytesStart<'_>) {
        self.in_cpe = element.name().as_ref() == "cpe";
        match element.name().as_ref() {
            "nmaprun" => {
                self.seen = true;
                self.run.version = attribute(element, "version");
                self.run.args = visible(&raw(element, "args")).into_owned();
                self.run.started_at = time(element, "start");
            }
            "finished" => {
                self.run.finished_at = time(element, "time");
                // Versions before 5.35 have no `exit`.
                self.run.complete = matches!(attribute(element, "exit").as_str(), "" | "success");
            }
            "host" => {
                self.end_host();
                self.host = Some(NmapHost {
                    up: true,
                    started_at: time(element, "starttime"),
                    finished_at: time(element, "endtime"),
                    ..NmapHost::default()
                });
            }
            _ => self.host_element(element),
        }
    }

    fn host_element(&mut self, element: &BytesStart<'_>) {
        let Some(host) = self.host.as_mut() else {
            return;
        };
        match element.name().as_ref() {
            "status" => host.up = attribute(element, "state") != "down",
            "address" => {
                if let Ok(addr) = attribute(element, "addr").parse() {
                    host.addr.get_or_insert(addr);
                }
            }
            "hostname" => {
                let name = attribute(element, "name");
                match attribute(element, "type").as_str() {
                    "user" => host.hostnames.insert(0, name),
                    _ => host.hostnames.push(name),
                }
            }
            "extraports" => {
                let count = attribute(element, "count").parse().unwrap_or(0);
                add(&mut host.counts, state(&attribute(element, "state")), count);
            }
            "port" => self.port = Port::start(element),
            "state" => {
                if let Some(port) = self.port.as_mut() {
                    port.state = Some(state(&attribute(element, "state")));
                    port.port.state_reason = attribute(element, "reason");
                }
            }
            "service" => {
                if let Some(port) = self.port.as_mut() {
                    port.service(element);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        self.in_cpe = false;
        match name {
            "port" => self.end_port(),
            "host" => self.end_host(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let (true, Some(port)) = (self.in_cpe, self.port.as_mut()) {
            port.port.service_cpe.push(escaped(text.trim()));
        }
    }

    fn end_port(&mut self) {
        let (Some(host), Some(port)) = (self.host.as_mut(), self.port.take()) else {
            return;
        };
        let Some(state) = port.state else {
            return; // cut off
        };
        add(&mut host.counts, state, 1);
        if state == PortState::Open {
            host.open.push(port.port);
        }
    }

    fn end_host(&mut self) {
        self.port = None;
        if let Some(mut host) = self.host.take() {
            host.open
                .sort_by(|a, b| (a.port, &a.protocol).cmp(&(b.port, &b.protocol)));
            self.run.hosts.push(host);
        }
    }

    fn finish(mut self) -> Result<NmapRun, NmapXmlError> {
        self.end_host();
        if self.seen {
            Ok(self.run)
        } else {
            Err(NmapXmlError::NotNmap)
        }
    }
}

impl Port {
    fn start(element: &BytesStart<'_>) -> Option<Self> {
        Some(Self {
            port: OpenPort {
                port: attribute(element, "portid").parse().ok()?,
                protocol: attribute(element, "protocol"),
                ..OpenPort::default()
            },
            state: None,
        })
    }

    fn service(&mut self, element: &BytesStart<'_>) {
        let name = attribute(element, "name");
        self.port.service_name = match attribute(element, "tunnel").as_str() {
            "ssl" => over_tls(&name),
            _ => name,
        };
        self.port.service_product = attribute(element, "product");
        self.port.service_version = attribute(element, "version");
        self.port.service_info = attribute(element, "extrainfo");
        // nmap's own scale is 0 to 10; names from its table have 3.
        let conf = attribute(element, "conf").parse().ok();
        // "nan" is a number to Rust, and stays one when it is clamped.
        let conf = conf.filter(|conf: &f64| conf.is_finite()).unwrap_or(3.0);
        self.port.confidence = (conf / 10.0).clamp(0.0, 1.0);
    }
}

/// nmap's six states in our four: `unfiltered` ports answered, the `…|filtered` ones did not.
fn state(text: &str) -> PortState {
    match text {
        "open" => PortState::Open,
        "closed" | "unfiltered" => PortState::Closed,
        _ => PortState::Filtered,
    }
}

fn add(counts: &mut PortCounts, state: PortState, count: u32) {
    let field = match state {
        PortState::Open => &mut counts.open,
        PortState::Closed => &mut counts.closed,
        PortState::Filtered => &mut counts.filtered,
        PortState::Unreachable => &mut counts.unreachable,
    };
    *field = field.saturating_add(count);
}

/// Value of an attribute, safe to show: much of it is what hosts said, and the file may be of anybody.
/// "" when it is missing or broken.
fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    escaped(&raw(element, name))
}

/// The same, as it is in the file.
fn raw(element: &BytesStart<'_>, name: &str) -> String {
    let found = element.try_get_attribute(name).ok().flatten();
    found
        .and_then(|attribute| {
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).ok()?;
            Some(value.into_owned())
        })
        .unwrap_or_default()
}

/// Seconds since 1970 as a time.
fn time(element: &BytesStart<'_>, name: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(attribute(element, name).parse().ok()?, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by hand after nmap.dtd (xmloutputversion 1.05).
    const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<!-- Nmap 7.93 scan initiated as: nmap -&#45;stats-every 2s -->
<nmaprun scanner="nmap" args="nmap -sV -&#45;stats-every 2s 10.0.0.7" start="1795244296" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="100" services="1-100"/>
<taskprogress task="Service scan" time="1795244299" percent="50.00" remaining="2" etc="1795244301"/>
<host starttime="1795244297" endtime="1795244301"><status state="up" reason="user-set" reason_ttl="0"/>
<address addr="10.0.0.7" addrtype="ipv4"/>
<address addr="02:00:00:00:00:01" addrtype="mac" vendor="x"/>
<hostnames><hostname name="ptr.example.org" type="PTR"/><hostname name="web.example.org" type="user"/></hostnames>
<ports><extraports state="closed" count="95"><extrareasons reason="conn-refused" count="95"/></extraports>
<extraports state="filtered" count="2"/>
<port protocol="tcp" portid="443"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="http" product="nginx" version="1.22.1" tunnel="ssl" method="probed" conf="10"><cpe>cpe:/a:igor_sysoev:nginx:1.22.1</cpe></service><script id="x" output="&lt;cpe&gt;"><elem key="cpe">no</elem></script></port>
<port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="ssh" product="OpenSSH" version="9.2p1 Debian 2&amp;3" extrainfo="protocol 2.0" method="probed" conf="10"><cpe>cpe:/a:openbsd:openssh:9.2p1</cpe><cpe>cpe:/o:linux:linux_kernel</cpe></service></port>
<port protocol="tcp" portid="81"><state state="closed|filtered" reason="no-response"/></port>
</ports>
<times srtt="291" rttvar="240" to="100000"/>
</host>
<host><status state="down" reason="no-response"/><address addr="fd00::1" addrtype="ipv6"/></host>
<runstats><finished time="1795244301" elapsed="0.65" exit="success"/><hosts up="1" down="1" total="2"/></runstats>
</nmaprun>
"#;

    #[test]
    fn reads_hosts_ports_and_services() {
        let run = parse_nmap_xml(FILE).unwrap();
        assert!(run.complete);
        assert_eq!(run.version, "7.93");
        assert_eq!(run.args, "nmap -sV --stats-every 2s 10.0.0.7");
        let host = &run.hosts[0];
        assert_eq!(host.addr, "10.0.0.7".parse().ok());
        assert_eq!(host.hostnames, ["web.example.org", "ptr.example.org"]);
        let counts = host.counts;
        assert_eq!((counts.open, counts.closed, counts.filtered), (2, 95, 3));
        let [ssh, https] = host.open.as_slice() else {
            panic!("{:?}", host.open)
        };
        assert_eq!((ssh.port, ssh.service_name.as_str()), (22, "ssh"));
        assert_eq!(ssh.service_version, "9.2p1 Debian 2&3");
        assert_eq!(ssh.service_cpe.len(), 2);
        assert_eq!(ssh.service_info, "protocol 2.0");
        assert_eq!((https.port, https.service_name.as_str()), (443, "https"));
        assert_eq!(https.service_cpe, ["cpe:/a:igor_sysoev:nginx:1.22.1"]);
        assert!(!run.hosts[1].up);
    }

    #[test]
    fn keeps_what_is_whole_of_a_file_that_is_cut_off() {
        let whole = parse_nmap_xml(FILE).unwrap();
        let start = FILE.find("<nmaprun").unwrap();
        for (end, _) in FILE.char_indices() {
            let cut = parse_nmap_xml(&FILE[..end]);
            match cut {
                Ok(run) => {
                    assert!(run.hosts.len() <= whole.hosts.len());
                    for (cut, whole) in run.hosts.iter().zip(&whole.hosts) {
                        assert!(cut.open.iter().all(|port| whole.open.contains(port)));
                    }
                }
                Err(error) => {
                    assert_eq!(error, NmapXmlError::NotNmap);
                    assert!(end < start + 200, "{end}");
                }
            }
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "masscan", "<html></html>", "{}"] {
            assert_eq!(parse_nmap_xml(text), Err(NmapXmlError::NotNmap), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(<(nmaprun|host|port|state|/port|/host|&|x a=)|[ -~]){0,40}") {
            let _ = parse_nmap_xml(&text);
        }
    }
}
