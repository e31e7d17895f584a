use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::escape::visible;
use super::grepable::{others, udp_count};
use super::{FoundPort, HostScan, HostStatus, Results, RunFacts};
use crate::engines::ports::services::{BY_NUMBER, in_clear};

type Xml<'a> = Writer<&'a mut dyn Write>;

/// nmap's XML. The element and attribute names, and their order, are those of nmap.dtd
/// (xmloutputversion 1.05), which knows one scanner only, `nmap`.
pub(super) fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let run = &results.run;
    let mut xml = Writer::new(out);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    line(&mut xml)?;
    xml.write_event(Event::DocType(BytesText::from_escaped("nmaprun")))?;
    line(&mut xml)?;
    let (start, started) = (run.started_at.timestamp(), ctime(run.started_at));
    open(
        &mut xml,
        "nmaprun",
        &[
            ("scanner", "nmap"),
            ("args", &run.command),
            ("start", &start.to_string()),
            ("startstr", &started),
            ("version", &run.version),
            ("xmloutputversion", "1.05"),
        ],
    )?;
    scaninfo(&mut xml, run)?;
    empty(&mut xml, "verbose", &[("level", "0")])?;
    empty(&mut xml, "debugging", &[("level", "0")])?;
    for each in &results.hosts {
        host(&mut xml, each)?;
    }
    runstats(&mut xml, run)?;
    close(&mut xml, "nmaprun")
}

fn scaninfo(xml: &mut Xml<'_>, run: &RunFacts) -> io::Result<()> {
    let kind = if run.engine.contains("syn") {
        "syn"
    } else {
        "connect"
    };
    let udp = udp_count(&run.udp_ports);
    for (kind, protocol, count, services) in [
        (kind, "tcp", run.ports.len(), run.ports.to_numbers()),
        ("udp", "udp", udp, run.udp_ports.clone()),
    ] {
        if count > 0 {
            let attributes = [
                ("type", kind),
                ("protocol", protocol),
                ("numservices", &count.to_string()),
                ("services", &services),
            ];
            empty(xml, "scaninfo", &attributes)?;
        }
    }
    Ok(())
}

fn host(xml: &mut Xml<'_>, host: &HostScan) -> io::Result<()> {
    let (start, end) = (
        host.started_at.timestamp().to_string(),
        host.finished_at.timestamp().to_string(),
    );
    open(xml, "host", &[("starttime", &start), ("endtime", &end)])?;
    let (state, reason) = match host.status {
        HostStatus::Up => ("up", "syn-ack"),
        HostStatus::AssumedUp => ("up", "user-set"),
        HostStatus::Unreachable => ("down", "host-unreach"),
    };
    // A file to resume from that an older version wrote has no reason.
    let reason = match host.status_reason.as_str() {
        "" => reason,
        said => said,
    };
    let status = [("state", state), ("reason", reason), ("reason_ttl", "0")];
    empty(xml, "status", &status)?;
    let kind = if host.ip_address.is_ipv4() {
        "ipv4"
    } else {
        "ipv6"
    };
    let addr = host.ip_address.to_string();
    empty(xml, "address", &[("addr", &addr), ("addrtype", kind)])?;
    open(xml, "hostnames", &[])?;
    if let Some(name) = host.name() {
        empty(xml, "hostname", &[("name", name), ("type", "user")])?;
    }
    if let Some(name) = &host.hostname {
        empty(xml, "hostname", &[("name", name), ("type", "PTR")])?;
    }
    close(xml, "hostnames")?;
    open(xml, "ports", &[])?;
    extraports(xml, host)?;
    for found in &host.open_ports {
        port(xml, found)?;
    }
    close(xml, "ports")?;
    if let Some(round_trip) = host.round_trip {
        // Microseconds. The engine tells no variance: RFC 6298 §2.2 begins with half the time.
        let srtt = format!("{:.0}", round_trip * 1e6);
        let rttvar = format!("{:.0}", round_trip * 5e5);
        let to = format!("{:.0}", (round_trip * 3e6).max(100_000.0));
        empty(
            xml,
            "times",
            &[("srtt", &srtt), ("rttvar", &rttvar), ("to", &to)],
        )?;
    }
    close(xml, "host")
}

/// The ports of a host that are only counted: an element a state, and in it the reasons by protocol.
fn extraports(xml: &mut Xml<'_>, host: &HostScan) -> io::Result<()> {
    let (tcp, udp) = (host.port_counts, host.udp_counts);
    let silent = match tcp.unreachable {
        0 => "no-response",
        _ => "host-unreach",
    };
    let refusal = match host.engine.contains("syn") {
        true => "reset",
        false => "conn-refused",
    };
    let reasons = [
        ("closed", refusal, "tcp", tcp.closed),
        ("closed", "port-unreach", "udp", udp.closed),
        ("filtered", silent, "tcp", tcp.filtered + tcp.unreachable),
        ("filtered", "host-unreach", "udp", udp.unreachable),
        ("open|filtered", "no-response", "udp", udp.filtered),
    ];
    for (state, count) in others(&tcp, &udp) {
        let count = count.to_string();
        open(xml, "extraports", &[("state", state), ("count", &count)])?;
        let of_it = reasons.iter().filter(|(of, .., n)| *of == state && *n > 0);
        for (_, reason, protocol, count) in of_it {
            let count = count.to_string();
            let mut attributes = vec![("reason", *reason), ("count", count.as_str())];
            if !udp.is_zero() {
                attributes.push(("proto", protocol));
            }
            empty(xml, "extrareasons", &attributes)?;
        }
        close(xml, "extraports")?;
    }
    Ok(())
}

fn port(xml: &mut Xml<'_>, found: &FoundPort) -> io::Result<()> {
    let port = &found.port;
    let number = port.port.to_string();
    open(
        xml,
        "port",
        &[("protocol", &port.protocol), ("portid", &number)],
    )?;
    let reason = match found.reason.as_str() {
        "" => "syn-ack",
        reason => reason,
    };
    let state = [
        ("state", found.state.as_str()),
        ("reason", reason),
        ("reason_ttl", "0"),
    ];
    empty(xml, "state", &state)?;
    if !port.service.is_empty() {
        service(xml, found)?;
    }
    close(xml, "port")
}

fn service(xml: &mut Xml<'_>, found: &FoundPort) -> io::Result<()> {
    let port = &found.port;
    let plain = in_clear(&port.service);
    // 3 of 10 is what nmap gives a name from its table, 10 what a service said itself.
    let conf = format!("{:.0}", (port.confidence * 10.0).clamp(0.0, 10.0));
    let method = match port.confidence <= BY_NUMBER {
        true => "table",
        false => "probed",
    };
    let mut attributes = vec![("name", plain.as_deref().unwrap_or(&port.service))];
    for (name, value) in [
        ("product", &port.product),
        ("version", &port.version),
        ("extrainfo", &port.banner),
    ] {
        if !value.is_empty() {
            attributes.push((name, value));
        }
    }
    if plain.is_some() {
        attributes.push(("tunnel", "ssl"));
    }
    attributes.extend([("method", method), ("conf", &conf)]);
    open(xml, "service", &attributes)?;
    for cpe in &port.cpe {
        xml.write_event(Event::Start(BytesStart::new("cpe")))?;
        let cpe = visible(cpe);
        xml.write_event(Event::Text(BytesText::new(&cpe)))?;
        xml.write_event(Event::End(BytesEnd::new("cpe")))?;
    }
    close(xml, "service")
}

fn runstats(xml: &mut Xml<'_>, run: &RunFacts) -> io::Result<()> {
    open(xml, "runstats", &[])?;
    let (time, text) = (
        run.finished_at.timestamp().to_string(),
        ctime(run.finished_at),
    );
    let elapsed = format!("{:.2}", run.scan_duration);
    let summary = format!("recon {} at {text}; {}", word(run), summary(run));
    let mut finished = vec![
        ("time", time.as_str()),
        ("timestr", &text),
        ("elapsed", &elapsed),
        ("summary", &summary),
        ("exit", if run.incomplete { "error" } else { "success" }),
    ];
    if run.incomplete {
        finished.push(("errormsg", "the scan did not get to its end"));
    }
    empty(xml, "finished", &finished)?;
    let down = run.targets.saturating_sub(run.hosts_up).to_string();
    let (up, total) = (run.hosts_up.to_string(), run.targets.to_string());
    empty(
        xml,
        "hosts",
        &[("up", &up), ("down", &down), ("total", &total)],
    )?;
    close(xml, "runstats")
}

fn word(run: &RunFacts) -> &'static str {
    if run.incomplete {
        "interrupted"
    } else {
        "done"
    }
}

/// `256 IP addresses (12 hosts up) scanned in 2.36 seconds`, as nmap ends.
pub(super) fn summary(run: &RunFacts) -> String {
    let plural = |count: u64, one: &'static str, many: &'static str| match count {
        1 => one,
        _ => many,
    };
    format!(
        "{} IP {} ({} {} up) scanned in {:.2} seconds",
        run.targets,
        plural(run.targets, "address", "addresses"),
        run.hosts_up,
        plural(run.hosts_up, "host", "hosts"),
        run.scan_duration
    )
}

fn ctime(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%a %b %e %H:%M:%S %Y").to_string()
}

fn element<'a>(name: &'a str, attributes: &[(&'a str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (key, value) in attributes {
        element.push_attribute((*key, visible(value).as_ref()));
    }
    element
}

fn open(xml: &mut Xml<'_>, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    xml.write_event(Event::Start(element(name, attributes)))?;
    line(xml)
}

fn empty(xml: &mut Xml<'_>, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    xml.write_event(Event::Empty(element(name, attributes)))?;
    line(xml)
}

fn close(xml: &mut Xml<'_>, name: &str) -> io::Result<()> {
    xml.write_event(Event::End(BytesEnd::new(name)))?;
    line(xml)
}

fn line(xml: &mut Xml<'_>) -> io::Result<()> {
    xml.get_mut().write_all(b"\n")
}
