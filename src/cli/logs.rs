use anyhow::{Context, anyhow};
use comfy_table::Color;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::fleet::{Agents, systemd_failure};
use super::table::display;
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::systemd::Systemd;
use crate::systemd::journal::{Entry, Query};

/// Show the journal of agents, with what systemd says of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents (default: all).
    #[arg(value_name = "AGENT")]
    agents: Vec<String>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Only this level and worse: debug, info, notice, warning, error.
    #[arg(short, long, value_name = "LEVEL", value_parser = priority)]
    level: Option<String>,
    /// Only since then, as journalctl takes it: "1 hour ago", "2026-11-21 04:00".
    #[arg(short = 'S', long, value_name = "TIME")]
    since: Option<String>,
    /// Only so many of the newest lines.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
}

/// journalctl's words, and ours.
fn priority(level: &str) -> Result<String, String> {
    match level.to_ascii_lowercase().as_str() {
        "debug" | "info" | "notice" | "warning" | "err" | "crit" => Ok(level.to_ascii_lowercase()),
        "warn" => Ok("warning".to_owned()),
        "error" => Ok("err".to_owned()),
        "critical" => Ok("crit".to_owned()),
        _ => Err("use debug, info, notice, warning, error or critical".to_owned()),
    }
}

/// Prints the lines.
pub async fn run(global: &Global, args: Args) -> Outcome {
    let systemd = Systemd::connect().await.map_err(systemd_failure)?;
    let agents = Agents::find(global, &systemd, &args.agents).await?;
    let query = Query {
        units: agents.units(),
        priority: args.level,
        since: args.since,
        lines: Some(args.lines),
        follow: args.follow,
    };
    tokio::select! {
        printed = print(global, &query) => printed,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::Interrupted),
    }
}

async fn print(global: &Global, query: &Query) -> Outcome {
    let mut child = query.command().spawn().context("cannot run journalctl")?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| anyhow!("journalctl prints nothing"))?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if global.json || global.jsonl {
            output::text(&format!("{line}\n"))?;
        } else if let Ok(entry) = serde_json::from_str::<Entry>(&line) {
            output::text(&for_people(global, &entry))?;
        }
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(ExitCode::Ok);
    }
    // It has said why on standard error.
    Err(Failure::from(anyhow!("journalctl failed ({status})")))
}

/// `2026-11-21 05:41:00.123 kaze WARNING text`.
fn for_people(global: &Global, entry: &Entry) -> String {
    let time = entry
        .time()
        .map(|t| {
            t.with_timezone(&chrono::Local)
                .format("%Y-%m-%d %H:%M:%S%.3f")
                .to_string()
        })
        .unwrap_or_default();
    let (level, color) = match entry.priority() {
        0..=3 => ("ERROR", Some(Color::Red)),
        4 => ("WARNING", Some(Color::Yellow)),
        7 => ("DEBUG", None),
        _ => ("INFO", None),
    };
    let (on, off) = match color.filter(|_| global.colors()) {
        Some(Color::Red) => ("\x1b[31m", "\x1b[0m"),
        Some(_) => ("\x1b[33m", "\x1b[0m"),
        None => ("", ""),
    };
    let message = display(&entry.message());
    format!(
        "{time} {:<10} {on}{level:<7}{off} {message}\n",
        entry.agent()
    )
}
