use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use chrono::{DateTime, Utc};
use comfy_table::Color;
use serde::Serialize;

use super::fleet::{Agents, systemd_failure};
use super::table::{Text, display, table};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, Fleet};
use crate::systemd::journal::Query;
use crate::systemd::{AgentState, Systemd, UnitStatus};

/// Show what runs and how it is.
///
/// Failed agents come first. Exit status: 0, or 3 when an agent that was named is not active.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first word of STATUS is the agent's own: paused, degraded, stopping. Exit codes: 0; 3 when an
agent that was named is not active; 4 no such agent; 69 systemd unreachable.")]
pub struct Args {
    /// Agents to show (default: all); one alone is shown in full.
    #[arg(value_name = "AGENT")]
    agents: Vec<String>,
    /// Show it again every so many seconds, until Ctrl-C.
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
}

/// The envelope that scripts rely on.
#[derive(Serialize)]
struct Envelope<'a> {
    agents: &'a [UnitStatus],
}

/// Lines of the journal that the view of one agent ends with.
const LAST_LINES: u32 = 5;

/// Shows it, once or again and again.
pub async fn run(global: &Global, args: Args) -> Outcome {
    let systemd = Systemd::connect().await.map_err(systemd_failure)?;
    let Some(seconds) = args.watch else {
        return show(global, &systemd, &args.agents).await;
    };
    loop {
        if stdout().is_terminal() {
            // Home and clear to the end: no flicker, and scrollback stays.
            output::text("\x1b[H\x1b[J")?;
        }
        show(global, &systemd, &args.agents).await?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::Interrupted),
        }
    }
}

async fn show(global: &Global, systemd: &Systemd, asked: &[String]) -> Outcome {
    let agents = Agents::find(global, systemd, asked).await?;
    let mut statuses = systemd
        .units(&agents.units())
        .await
        .map_err(systemd_failure)?;
    for status in &mut statuses {
        status.kind = kind(agents.fleet.as_ref(), &status.name);
    }
    // The order of the states is the order of concern.
    statuses.sort_by(|a, b| (rank(a.state), &a.name).cmp(&(rank(b.state), &b.name)));
    if global.json {
        output::json(&Envelope { agents: &statuses })?;
    } else if global.jsonl {
        for status in &statuses {
            output::text(&format!("{}\n", serde_json::to_string(status)?))?;
        }
    } else if let ([status], [_]) = (&statuses[..], asked) {
        output::text(&in_full(global, status).await?)?;
    } else {
        output::text(&overview(global, &statuses))?;
    }
    let inactive = |s: &UnitStatus| !matches!(s.active_state.as_str(), "active" | "reloading");
    if !asked.is_empty() && statuses.iter().any(inactive) {
        return Ok(ExitCode::NotActive);
    }
    Ok(ExitCode::Ok)
}

/// Failed first, stopped last, and what runs by name in between.
fn rank(state: AgentState) -> u8 {
    match state {
        AgentState::Failed | AgentState::ImportFailed => 0,
        AgentState::Restarting => 1,
        AgentState::Stopped => 3,
        _ => 2,
    }
}

fn kind(fleet: Option<&Fleet>, name: &str) -> Option<String> {
    let named = fleet.and_then(|f| f.agents.iter().find(|(n, _)| n.as_str() == name));
    let built_in = || AgentKind::BUILT_IN.into_iter().find(|k| k.as_str() == name);
    named
        .map(|(_, agent)| agent.kind)
        .or_else(built_in)
        .map(|k| k.as_str().to_owned())
}

fn overview(global: &Global, statuses: &[UnitStatus]) -> String {
    let head = [
        "AGENT", "STATE", "UNIT", "ENABLED", "PID", "SINCE", "RESTARTS", "WATCHDOG", "MEMORY",
        "CPU", "STATUS",
    ];
    let now = Utc::now();
    table(
        global,
        &head,
        statuses.iter().map(|s| row(s, now)).collect(),
    )
}

fn row(status: &UnitStatus, now: DateTime<Utc>) -> Vec<Text> {
    let said = match (&status.last_error, status.pid) {
        (Some(error), None) => error.as_str(),
        _ => &status.status_text,
    };
    vec![
        status.name.as_str().into(),
        Text::colored(status.state.as_str(), color(status.state)),
        format!("{}/{}", status.active_state, status.sub_state).into(),
        or_dash(&status.unit_file_state),
        optional(status.pid.map(|pid| pid.to_string())),
        optional(status.since.map(|since| ago(now - since))),
        status.restarts.to_string().into(),
        optional(status.watchdog_age_s.map(|age| format!("{age:.1}s"))),
        optional(status.memory_bytes.map(mebibytes)),
        optional(status.cpu_s.map(|cpu| format!("{cpu:.1}s"))),
        said.into(),
    ]
}

fn color(state: AgentState) -> Option<Color> {
    match state {
        AgentState::Failed | AgentState::ImportFailed => Some(Color::Red),
        AgentState::Running => Some(Color::Green),
        AgentState::Stopped => None,
        _ => Some(Color::Yellow),
    }
}

fn or_dash(text: &str) -> Text {
    if text.is_empty() {
        "-".into()
    } else {
        text.into()
    }
}

fn optional(text: Option<String>) -> Text {
    text.unwrap_or_else(|| "-".to_owned()).into()
}

fn mebibytes(bytes: u64) -> String {
    // One decimal of a mebibyte is all that is shown.
    #[allow(clippy::cast_precision_loss)]
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1}M")
}

/// `3d 4h`, `12m 5s`.
fn ago(time: chrono::TimeDelta) -> String {
    let s = time.num_seconds().max(0);
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        3600..86400 => format!("{}h {}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d {}h", s / 86400, s % 86400 / 3600),
    }
}

/// All there is to say of one agent, and its last lines.
async fn in_full(global: &Global, status: &UnitStatus) -> Result<String, Failure> {
    let since = status
        .since
        .map(|s| format!("{} ({} ago)", s.to_rfc3339(), ago(Utc::now() - s)));
    let facts = [
        ("unit", Some(status.unit.clone())),
        ("kind", status.kind.clone()),
        ("state", Some(status.state.as_str().to_owned())),
        (
            "active",
            Some(format!("{}/{}", status.active_state, status.sub_state)),
        ),
        ("loaded", Some(status.load_state.clone())),
        ("enabled", Some(status.unit_file_state.clone())),
        ("since", since),
        ("pid", status.pid.map(|n| n.to_string())),
        ("restarts", Some(status.restarts.to_string())),
        (
            "next restart",
            status.next_restart_s.map(|s| format!("after {s:.1} s")),
        ),
        (
            "watchdog",
            status.watchdog_age_s.map(|s| format!("{s:.1} s ago")),
        ),
        ("memory", status.memory_bytes.map(mebibytes)),
        ("cpu", status.cpu_s.map(|s| format!("{s:.2} s"))),
        ("received", status.ip_ingress_bytes.map(mebibytes)),
        ("sent", status.ip_egress_bytes.map(mebibytes)),
        ("status", Some(status.status_text.clone())),
        ("last error", status.last_error.clone()),
    ];
    let rows = facts
        .into_iter()
        .filter_map(|(name, fact)| {
            Some(vec![
                Text::from(name),
                fact.filter(|f| !f.is_empty())?.into(),
            ])
        })
        .collect();
    let mut text = table(global, &[&status.name, ""], rows);
    let query = Query {
        units: vec![status.unit.clone()],
        lines: Some(LAST_LINES),
        priority: status.last_error.is_some().then(|| "warning".to_owned()),
        ..Query::default()
    };
    for entry in query.entries().await.unwrap_or_default() {
        let time = entry
            .time()
            .map(|t| t.format("%H:%M:%S").to_string())
            .unwrap_or_default();
        let _ = writeln!(text, "{time} {}", display(&entry.message()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        let ago = |s| ago(chrono::TimeDelta::seconds(s));
        assert_eq!(
            [ago(7), ago(65), ago(3700), ago(90000)],
            ["7s", "1m 5s", "1h 1m", "1d 1h"]
        );
    }
}
