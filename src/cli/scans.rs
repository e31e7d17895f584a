use anyhow::anyhow;
use serde_json::Value;

use super::hub_client::HubClient;
use super::pages::{self, Amount, List};
use super::table::{display, table};
use super::targets::{ExportTo, copy_csv, export, json_line, time};
use super::{Failure, Global, Outcome, output};
use crate::api::{ExitCode, PortCounts, Scan, ScanList, ScanPort, TlsFacts};

/// Where the hub has them.
const PATH: &str = "/api/scans";
/// Rows without `--limit` and `--all`.
const LIMIT: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List scans, newest first.
    List {
        /// Only of this target (name, address or id).
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Only of this type (kaze_port_scan).
        #[arg(long = "type", value_name = "KIND")]
        scan_type: Option<String>,
        #[command(flatten)]
        amount: Amount,
        /// Print CSV.
        #[arg(long, conflicts_with_all = ["json", "jsonl"])]
        csv: bool,
    },
    /// Write all scans as JSON lines or CSV.
    Export {
        /// Only of this target (name, address or id).
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Only of this type (kaze_port_scan).
        #[arg(long = "type", value_name = "KIND")]
        scan_type: Option<String>,
        #[command(flatten)]
        to: ExportTo,
    },
    /// Show one scan: its open ports and what was seen there.
    Show {
        /// Id of a scan, or a target: then its newest scan.
        #[arg(value_name = "ID|TARGET")]
        scan: String,
    },
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::List {
            target,
            scan_type,
            amount,
            csv,
        } => {
            let list = list(filter(target, scan_type), amount.or(LIMIT));
            show_list(global, &hub, list, csv).await
        }
        Command::Export {
            target,
            scan_type,
            to,
        } => export(&hub, PATH, filter(target, scan_type), to).await,
        Command::Show { scan } => show_one(global, &find(&hub, scan).await?),
    }
}

fn filter(target: Option<String>, scan_type: Option<String>) -> Vec<(&'static str, String)> {
    [("target", target), ("scan_type", scan_type)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn list(filter: Vec<(&'static str, String)>, limit: usize) -> List<'static> {
    List {
        path: PATH,
        name: "scans",
        filter,
        limit,
    }
}

async fn show_list(global: &Global, hub: &HubClient, list: List<'_>, csv: bool) -> Outcome {
    if csv {
        return copy_csv(hub, list).await;
    }
    let rows = list.fetch(global, hub).await?;
    if global.json {
        pages::json("scans", rows)?;
    } else if !global.jsonl {
        let scans: Vec<Scan> = serde_json::from_value(Value::Array(rows))?;
        let rows = scans.iter().map(row).collect();
        let head = ["TARGET", "TYPE", "FINISHED", "PORTS", "OPEN", "ID"];
        output::text(&table(global, &head, rows))?;
    }
    Ok(ExitCode::Ok)
}

fn row(scan: &Scan) -> Vec<String> {
    const SHOWN: usize = 8;
    let mut open: Vec<_> = scan
        .open_ports
        .iter()
        .take(SHOWN)
        .map(|p| format!("{}/{}", p.port, or_unknown(&p.service)))
        .collect();
    if scan.open_ports.len() > SHOWN {
        open.push(format!("and {} more", scan.open_ports.len() - SHOWN));
    }
    vec![
        scan.target.clone(),
        scan.scan_type.clone(),
        finished(scan),
        scanned(scan),
        if open.is_empty() {
            "-".to_owned()
        } else {
            open.join(" ")
        },
        scan.id.to_string(),
    ]
}

/// When; what is there of one that is not finished is a part.
fn finished(scan: &Scan) -> String {
    match scan.scan_status.as_str() {
        status @ ("running" | "interrupted") => status.to_owned(),
        _ => time(scan.finished_at),
    }
}

fn or_unknown(service: &str) -> &str {
    if service.is_empty() { "?" } else { service }
}

/// The scan of this id, else the newest of this target.
async fn find(hub: &HubClient, wanted: String) -> Result<Scan, Failure> {
    // Targets have ids of the same form.
    let params = [("target", wanted.clone()), ("limit", "1".to_owned())];
    let by_target: ScanList = hub.get(PATH, &params).await?;
    if let Some(scan) = by_target.scans.into_iter().next() {
        return Ok(scan);
    }
    if let Ok(id) = wanted.parse::<uuid::Uuid>() {
        return hub.get(&format!("/api/scans/{id}"), &[]).await;
    }
    Err(Failure::from(anyhow!("there is no scan of {wanted:?} yet")))
}

fn show_one(global: &Global, scan: &Scan) -> Outcome {
    if global.json {
        output::json(scan)?;
        return Ok(ExitCode::Ok);
    }
    if global.jsonl {
        json_line(scan)?;
        return Ok(ExitCode::Ok);
    }
    let mut text = head(scan);
    if scan.open_ports.is_empty() {
        text.push_str("\nno open ports\n");
    } else {
        let rows = scan.open_ports.iter().map(port_row).collect();
        let names = ["PORT", "SERVICE", "PRODUCT", "VERSION", "BANNER"];
        text.push('\n');
        text.push_str(&table(global, &names, rows));
    }
    for port in &scan.open_ports {
        if let Some(tls) = &port.tls {
            text.push_str(&tls_text(port, tls));
        }
    }
    output::text(&text)?;
    Ok(ExitCode::Ok)
}

fn head(scan: &Scan) -> String {
    let mut lines = vec![
        ("target", scan.target.clone()),
        ("address", scan.ip_address.clone().unwrap_or_default()),
        ("hostname", scan.hostname.clone().unwrap_or_default()),
        ("host", host(scan)),
        ("type", scan.scan_type.clone()),
        ("agent", scan.agent.clone().unwrap_or_default()),
        ("engine", scan.engine.clone()),
        ("finished", finished(scan)),
        ("took", format!("{:.1} s", scan.scan_duration)),
        (
            "ports",
            format!(
                "{} scanned: {} open, {} closed, {} filtered, {} unreachable",
                scanned(scan),
                scan.port_counts.open,
                scan.port_counts.closed,
                scan.port_counts.filtered,
                scan.port_counts.unreachable
            ),
        ),
        ("UDP", scan.udp_counts.as_ref().map(udp).unwrap_or_default()),
        ("id", scan.id.to_string()),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    lines
        .iter()
        .map(|(name, value)| format!("{name:<9} {}\n", display(value)))
        .collect()
}

/// Whether it is there, and what says so.
fn host(scan: &Scan) -> String {
    match (&scan.host_state, &scan.host_state_reason) {
        (Some(state), Some(reason)) => format!("{state} ({reason})"),
        (Some(state), None) => state.clone(),
        (None, _) => String::new(),
    }
}

fn udp(counts: &PortCounts) -> String {
    format!(
        "{} scanned: {} open, {} closed, {} without an answer (open or filtered), {} unreachable",
        counts.total(),
        counts.open,
        counts.closed,
        counts.filtered,
        counts.unreachable
    )
}

fn port_row(port: &ScanPort) -> Vec<String> {
    const BANNER: usize = 60;
    let banner: String = port.banner.chars().take(BANNER).collect();
    vec![
        format!("{}/{}", port.port, port.protocol),
        port.service.clone(),
        port.product.clone(),
        port.version.clone(),
        banner,
    ]
}

fn tls_text(port: &ScanPort, tls: &TlsFacts) -> String {
    let mut text = format!(
        "\n{}/{} {} {}\n",
        port.port,
        display(&port.protocol),
        display(&tls.version),
        display(&tls.cipher)
    );
    let Some(cert) = &tls.certificate else {
        return text;
    };
    let own = if cert.self_signed {
        " (self-signed)"
    } else {
        ""
    };
    for (name, value) in [
        ("subject", cert.subject.clone()),
        ("issuer", format!("{}{own}", cert.issuer)),
        (
            "valid",
            format!("{} to {}", time(cert.not_before), time(cert.not_after)),
        ),
        ("names", cert.subject_alt_names.join(" ")),
        ("sha256", cert.sha256.clone()),
    ] {
        text.push_str(&format!("  {name:<8} {}\n", display(&value)));
    }
    text
}

/// Some of the earlier agents do not say.
fn scanned(scan: &Scan) -> String {
    match scan.ports_scanned {
        0 => "?".to_owned(),
        n => n.to_string(),
    }
}
