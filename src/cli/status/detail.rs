//! All about one agent.

use std::time::Duration;

use chrono::Local;

use super::look::{ago, seconds, style, styled_state, symbol};
use crate::cli::table::{bytes, printable};
use crate::systemd::{AgentState, UnitState};

/// All about one agent, a line each.
pub(super) fn detail(
    unit: &UnitState,
    description: Option<&str>,
    needs: &[UnitState],
    colors: bool,
) -> String {
    let mut head = vec![unit.name.clone()];
    head.extend(description.filter(|d| !d.is_empty()).map(printable));
    let mut state = format!("{} ({}/{})", unit.state, unit.active_state, unit.sub_state);
    if colors {
        state = style(unit.state).style(&state).to_string();
        head[0] = style(unit.state)
            .style(format!("{} {}", symbol(unit.state), head[0]))
            .to_string();
    }
    if let Some(since) = unit.since {
        let at = since.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
        state.push_str(&format!(" since {at}, {} ago", ago(since)));
    }
    let mut out = format!("{}\n", head.join(" - "));
    let mut line = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push_str(&format!("  {label:>12}: {value}\n"));
        }
    };
    line("State", Some(state));
    line("Error", unit.last_error.as_deref().map(printable));
    line("Says", unit.status_text.as_deref().map(printable));
    line("Unit", Some(unit_line(unit)));
    line("Kind", Some(unit.kind.as_str().to_owned()));
    line("Enabled", unit.unit_file_state.clone());
    line("PID", unit.pid.map(|n| n.to_string()));
    line("Restarts", Some(restarts_line(unit)));
    line("Watchdog", watchdog_line(unit));
    line("Memory", unit.memory_bytes.map(bytes));
    line("CPU", unit.cpu_s.map(seconds));
    line("Traffic", traffic_line(unit));
    line(
        "Healthy",
        Some(if unit.healthy { "yes" } else { "no" }.to_owned()),
    );
    line("Run", unit.invocation_id.clone());
    line("Needs", needs_line(unit, needs, colors));
    line("Drop-ins", join(&unit.drop_in_paths));
    out
}

fn unit_line(unit: &UnitState) -> String {
    let file = unit.fragment_path.as_deref().unwrap_or(&unit.load_state);
    let stale = if unit.need_daemon_reload {
        "; changed on disk, systemctl daemon-reload"
    } else {
        ""
    };
    format!("{} ({}{stale})", unit.unit, printable(file))
}

fn restarts_line(unit: &UnitState) -> String {
    let count = unit.restarts;
    match next_restart(unit) {
        Some(delay) => format!("{count}, next {} after the last end", seconds(delay)),
        None if unit.restart_limit_reached => format!("{count}, limit reached"),
        None => count.to_string(),
    }
}

/// The delay of the restart that systemd waits for, in seconds.
pub(super) fn next_restart(unit: &UnitState) -> Option<f64> {
    let delay = unit.next_restart_us.or(unit.restart_us);
    let delay = delay.filter(|_| unit.state == AgentState::Restarting)?;
    Some(Duration::from_micros(delay).as_secs_f64())
}

/// What it depends on, how that is, and what happens when it fails.
fn needs_line(unit: &UnitState, needs: &[UnitState], colors: bool) -> Option<String> {
    let word = |name: &String| match name {
        name if unit.binds_to.contains(name) => "stop",
        name if unit.requires.contains(name) => "restart",
        _ => "ignore",
    };
    let need = |need: &UnitState| {
        let state = styled_state(need.state, colors);
        format!("{} {state} ({})", need.name, word(&need.unit))
    };
    let needs: Vec<String> = needs.iter().map(need).collect();
    (!needs.is_empty()).then(|| needs.join(", "))
}

fn watchdog_line(unit: &UnitState) -> Option<String> {
    let limit = seconds(unit.watchdog_s?);
    Some(match unit.watchdog_age_s {
        Some(age) => format!("{} ago (limit {limit})", seconds(age)),
        None => format!("limit {limit}"),
    })
}

fn traffic_line(unit: &UnitState) -> Option<String> {
    let (received, sent) = (unit.ip_in_bytes?, unit.ip_out_bytes?);
    Some(format!(
        "{} received, {} sent",
        bytes(received),
        bytes(sent)
    ))
}

fn join(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| printable(&list.join(" ")))
}
