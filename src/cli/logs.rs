use std::process::Stdio;

use chrono::Local;
use clap_complete::engine::ArgValueCandidates;
use owo_colors::{AnsiColors, OwoColorize};

use super::agents::{ALL, Roster, failed};
use super::pager::Pager;
use super::table::printable;
use super::{Failure, Global, Outcome, complete, output};
use crate::api::ExitCode;
use crate::fleet::AgentName;
use crate::systemd::{Entry, Error, Journal, Level, Query};

/// A journal may hold years.
const LINES: u64 = 100;

/// Show the journal of agents, with what systemd says of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents, or `all` (the default).
    #[arg(value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Only lines this grave and graver: error, warn, notice, info, debug.
    #[arg(long, short, value_name = "LEVEL")]
    pub level: Option<Level>,
    /// From this time on (`-1h`, `today`, `2026-11-21 05:00`).
    #[arg(long, short = 'S', value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Up to this time.
    #[arg(long, short = 'U', value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Only the last N lines (100 without --since and --until, 10 with --follow).
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u64>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,
    /// Print as journalctl does, in this format of its (`short`, `cat`, `verbose`, …).
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<String>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    if global.json && args.follow {
        let error = anyhow::anyhow!("--json needs an end: use --jsonl with --follow");
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let open_ended = args.since.is_none() && args.until.is_none() && !args.follow;
    let query = Query {
        units: units(global, &args.agents).await?,
        level: args.level,
        since: args.since,
        until: args.until,
        lines: args.lines.or(open_ended.then_some(LINES)),
        follow: args.follow,
        user: global.user,
        host: global.host.clone(),
        ..Query::default()
    };
    match &args.output {
        Some(format) => pass_through(&query, format).await,
        None => print(global, &query).await,
    }
}

/// The journal outlives units and needs no systemd: systemd is asked only for what the fleet and we
/// ourselves do not know. Names are spelled out, since a pattern that matches nothing in the journal
/// is an error of journalctl's.
async fn units(global: &Global, names: &[String]) -> Result<Vec<String>, Failure> {
    let roster = Roster::load(global);
    if names.is_empty() || names.iter().any(|n| n == ALL) {
        let mut units = roster.all_units();
        if let Ok(manager) = global.systemd().await {
            units.extend(manager.agent_units().await.map_err(failed)?);
        }
        units.sort();
        units.dedup();
        return Ok(units);
    }
    if let Some(known) = roster.resolve_known(names) {
        return Ok(known.iter().map(AgentName::unit).collect());
    }
    let manager = global.systemd().await?;
    let found = roster.resolve(names, &manager).await?;
    Ok(found.iter().map(AgentName::unit).collect())
}

async fn pass_through(query: &Query, format: &str) -> Outcome {
    let status = query
        .command(format)
        .stdin(Stdio::null())
        .status()
        .await
        .map_err(|e| failed(Error::Journal(e.to_string())))?;
    Ok(if status.success() {
        ExitCode::Ok
    } else {
        ExitCode::Failure
    })
}

async fn print(global: &Global, query: &Query) -> Outcome {
    let mut journal = Journal::open(query).map_err(failed)?;
    let colors = global.colors();
    let mut all = Vec::new();
    // What goes on until Ctrl-C is not for a pager.
    let mut pager = match query.follow {
        true => Pager::none(),
        false => Pager::open(global),
    };
    while let Some(entry) = journal.next().await.map_err(failed)? {
        if global.json {
            all.push(entry);
        } else if global.jsonl {
            output::text(&(serde_json::to_string(&entry)? + "\n"))?;
        } else {
            pager.text(&format_entry(&entry, colors))?;
        }
    }
    if global.json {
        output::json(&serde_json::json!({ "logs": all }))?;
    }
    Ok(ExitCode::Ok)
}

/// One line: time, agent, level, text.
pub fn format_entry(entry: &Entry, colors: bool) -> String {
    let time = entry
        .time
        .with_timezone(&Local)
        .format("%Y-%m-%d %H:%M:%S%.3f");
    let agent = printable(&entry.agent);
    let level = match entry.level {
        Level::Notice => "NOTE",
        other => other.as_str(),
    };
    let level = format!("{level:<6}");
    let message = printable(&entry.message);
    if !colors {
        return format!("{time} {agent} {level}{message}\n");
    }
    let agent = agent.color(agent_color(&entry.agent));
    let level = match entry.level {
        Level::Error => level.red().bold().to_string(),
        Level::Warn => level.yellow().to_string(),
        Level::Notice => level.bold().to_string(),
        Level::Info => level,
        Level::Debug => level.dimmed().to_string(),
    };
    format!("{} {agent} {level}{message}\n", time.dimmed())
}

/// Always the same colour for the same agent.
fn agent_color(agent: &str) -> AnsiColors {
    const COLORS: [AnsiColors; 6] = [
        AnsiColors::Cyan,
        AnsiColors::Green,
        AnsiColors::Magenta,
        AnsiColors::Blue,
        AnsiColors::BrightCyan,
        AnsiColors::BrightMagenta,
    ];
    let sum: usize = agent.bytes().map(usize::from).sum();
    COLORS[sum % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_how_grave_and_what() {
        let line = r#"{"__REALTIME_TIMESTAMP":"1795239660123456",
            "_SYSTEMD_UNIT":"recon@kaze.service","PRIORITY":"6","MESSAGE":"open\u001b[31m 22"}"#;
        let entry = Entry::parse(line).unwrap();
        let text = format_entry(&entry, false);
        assert!(
            text.ends_with(".123 kaze INFO  open\\x1b[31m 22\n"),
            "{text}"
        );
        assert!(!format_entry(&entry, true).contains("\u{1b}[31m 22"));
    }
}
