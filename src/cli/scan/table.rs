use std::time::Duration;

use owo_colors::Style;

use crate::cli::table::{Cell, Column, Table, duration, printable};
use crate::engines::ports::output::{HostScan, HostStatus, Results};
use crate::runtime::text::grouped;

/// What is open, and a line about the rest.
pub fn render(results: &Results, width: Option<usize>, colors: bool) -> String {
    let mut table = Table::new([
        Column::left("HOST"),
        Column::right("PORT"),
        Column::left("STATE"),
        Column::left("SERVICE"),
        Column::left("REASON").droppable(1),
        Column::right("SURE").droppable(2),
        Column::left("VERSION"),
    ]);
    for host in &results.hosts {
        rows(&mut table, host);
    }
    let open = results.hosts.iter().any(|host| !host.open_ports.is_empty());
    let mut text = match open {
        true => table.render(width, colors) + "\n",
        false => String::new(),
    };
    text.push_str(&summary(results));
    text
}

fn rows(table: &mut Table, host: &HostScan) {
    let name = match host.name().or(host.hostname.as_deref()) {
        Some(name) => format!("{name} ({})", host.ip_address),
        None => host.ip_address.to_string(),
    };
    for found in &host.open_ports {
        let port = &found.port;
        // 0.3 is "by port number": a guess.
        let sure = format!("{:.0}%", port.confidence.clamp(0.0, 1.0) * 100.0);
        let style = match port.confidence {
            sure if sure > 0.3 => Style::new(),
            _ => Style::new().dimmed(),
        };
        let version = [port.product.as_str(), port.version.as_str()].join(" ");
        let version = match version.trim() {
            "" => port.banner.clone(),
            version => version.to_owned(),
        };
        table.row([
            Cell::from(&name),
            Cell::from(format!("{}/{}", port.port, port.protocol)),
            Cell::styled(&found.state, Style::new().green()),
            Cell::styled(&port.service, style),
            Cell::from(&found.reason),
            Cell::from(sure),
            Cell::from(version),
        ]);
    }
}

/// `3 of 256 hosts have open ports, 9 answered but have none, 244 did not answer (assumed up)`, and the
/// ports by state.
fn summary(results: &Results) -> String {
    let run = &results.run;
    let with = results
        .hosts
        .iter()
        .filter(|h| !h.open_ports.is_empty())
        .count();
    let count = |status| {
        let those = results.hosts.iter().filter(|h| h.status == status);
        those.filter(|h| h.open_ports.is_empty()).count() as u64
    };
    let mut text = match run.targets {
        1 => String::new(),
        targets => format!(
            "{} of {} hosts have open ports",
            grouped(with as u64),
            grouped(targets)
        ),
    };
    let silent = "did not answer (assumed up)";
    for (number, what, alone) in [
        (
            count(HostStatus::Up),
            "answered but have none",
            "answered, but no port is open",
        ),
        (count(HostStatus::AssumedUp), silent, silent),
        (
            count(HostStatus::Unreachable),
            "cannot be reached",
            "cannot be reached",
        ),
    ] {
        match (number, run.targets) {
            (0, _) => {}
            (_, 1) => text.push_str(&format!("{}: {alone}", results.hosts[0].ip_address)),
            (number, _) => text.push_str(&format!(", {} {what}", grouped(number))),
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let counts = run.port_counts;
    let time = duration(Duration::try_from_secs_f64(run.scan_duration).unwrap_or_default());
    text.push_str(&format!(
        "ports: {} open, {} closed, {} filtered, {} unreachable; {time} by {}{}\n",
        grouped(counts.open),
        grouped(counts.closed),
        grouped(counts.filtered),
        grouped(counts.unreachable),
        printable(&run.engine),
        if run.incomplete { "; incomplete" } else { "" }
    ));
    let udp = run.udp_counts;
    if !udp.is_zero() {
        text.push_str(&format!(
            "UDP ports: {} open, {} closed, {} without an answer (open or filtered), {} unreachable\n",
            grouped(udp.open),
            grouped(udp.closed),
            grouped(udp.filtered),
            grouped(udp.unreachable),
        ));
    }
    for host in results
        .hosts
        .iter()
        .filter(|host| host.reason.is_some())
        .take(3)
    {
        let reason = printable(host.reason.as_deref().unwrap_or_default());
        text.push_str(&format!("{}: {reason}\n", host.ip_address));
    }
    text
}
