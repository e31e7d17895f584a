//! The table of all agents, and what a state looks like.

use std::time::Duration;

use chrono::{DateTime, Utc};
use owo_colors::Style;

use crate::cli::table::{Cell, Column, Table, bytes, duration};
use crate::systemd::{AgentState, UnitState};

pub(super) fn style(state: AgentState) -> Style {
    let style = Style::new();
    match state {
        AgentState::Running => style.green(),
        AgentState::Stopped => style.dimmed(),
        AgentState::Failed | AgentState::ImportFailed => style.red().bold(),
        AgentState::Paused => style.cyan(),
        AgentState::Starting
        | AgentState::Stopping
        | AgentState::Restarting
        | AgentState::Degraded => style.yellow(),
    }
}

/// A state as it is shown on its own.
pub fn styled_state(state: AgentState, colors: bool) -> String {
    if colors {
        style(state).style(state.as_str()).to_string()
    } else {
        state.as_str().to_owned()
    }
}

pub(super) fn symbol(state: AgentState) -> &'static str {
    match state {
        AgentState::Running => "●",
        AgentState::Stopped => "○",
        AgentState::Paused => "‖",
        AgentState::Failed | AgentState::ImportFailed => "×",
        AgentState::Degraded => "◐",
        AgentState::Starting | AgentState::Stopping | AgentState::Restarting => "↻",
    }
}

pub(super) fn table(units: &[UnitState], colors: bool) -> Table {
    let mut table = Table::new([
        Column::left("AGENT"),
        Column::left("STATE"),
        Column::left("ENABLED").droppable(4),
        Column::right("PID").droppable(5),
        Column::right("SINCE"),
        Column::right("RESTARTS").droppable(6),
        Column::right("WATCHDOG").droppable(2),
        Column::right("MEMORY").droppable(3),
        Column::right("CPU").droppable(1),
        Column::left("STATUS"),
    ]);
    for unit in units {
        let state = style(unit.state);
        let name = if colors {
            format!("{} {}", symbol(unit.state), unit.name)
        } else {
            unit.name.clone()
        };
        let status = unit.last_error.as_ref().or(unit.status_text.as_ref());
        table.row([
            Cell::styled(name, state),
            Cell::styled(unit.state.as_str(), state),
            text(unit.unit_file_state.as_deref()),
            text(unit.pid.map(|n| n.to_string()).as_deref()),
            text(unit.since.map(ago).as_deref()),
            unit.restarts.to_string().into(),
            text(unit.watchdog_age_s.map(seconds).as_deref()),
            text(unit.memory_bytes.map(bytes).as_deref()),
            text(unit.cpu_s.map(seconds).as_deref()),
            text(status.map(String::as_str)),
        ]);
    }
    table
}

fn text(text: Option<&str>) -> Cell {
    text.unwrap_or("").into()
}

pub(super) fn seconds(s: f64) -> String {
    Duration::try_from_secs_f64(s).map_or_else(|_| "-".to_owned(), duration)
}

pub(super) fn ago(time: DateTime<Utc>) -> String {
    let length = (Utc::now() - time).to_std().unwrap_or_default();
    match length.as_secs() {
        s @ 0..60 => format!("{s}s"),
        _ => duration(length),
    }
}
