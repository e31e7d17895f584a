use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use clap_complete::engine::ArgValueCandidates;
use owo_colors::Style;
use serde::Serialize;

use super::agents::{Roster, bare, failed};
use super::logs::format_entry;
use super::table::{Cell, Column, Table, bytes, duration, printable, terminal_width};
use super::{Failure, Global, Outcome, complete, output, pager};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, AgentName};
use crate::systemd::{AgentState, Journal, Level, Manager, Options, Query, UnitState};

/// Lines of the journal below the details of an agent.
const LAST_ERRORS: u64 = 5;

/// Show what runs and how it is.
///
/// Failed agents come first. Exit status: 0, or 3 when an agent that was named is not active.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first word of STATUS is the agent's own: paused, degraded, stopping. Exit codes: 0; 3 when an
agent that was named is not active; 4 no such agent; 69 systemd unreachable.")]
pub struct Args {
    /// Only these agents; one alone is shown in detail.
    #[arg(value_name = "AGENT", add = ArgValueCandidates::new(complete::agents))]
    pub agents: Vec<String>,
    /// Show it anew every so many seconds (2) until Ctrl-C.
    // A text, so that `status --watch kaze` means the agent.
    #[arg(long, short, value_name = "SECS", num_args = 0..=1, default_missing_value = "2")]
    pub watch: Option<String>,
}

pub async fn run(global: &Global, mut args: Args) -> Outcome {
    let watch = watch_interval(&mut args);
    let roster = Roster::load(global);
    let manager = Manager::connect(Options::default()).await.map_err(failed)?;
    let names = roster.resolve(&args.agents, &manager).await?;
    let view = View {
        global,
        roster,
        manager,
        names,
    };
    match watch {
        Some(every) => view.watch(every).await,
        None => view.show().await,
    }
}

fn watch_interval(args: &mut Args) -> Option<Duration> {
    let text = args.watch.take()?;
    match text.parse::<f64>() {
        Ok(secs) if (0.1..=86_400.0).contains(&secs) => Some(Duration::from_secs_f64(secs)),
        _ => {
            args.agents.push(text);
            Some(Duration::from_secs(2))
        }
    }
}

struct View<'a> {
    global: &'a Global,
    roster: Roster,
    manager: Manager,
    names: Vec<AgentName>,
}

impl View<'_> {
    async fn show(&self) -> Outcome {
        let units = self.read().await?;
        match units.as_slice() {
            [unit] if self.is_detail() => {
                let mut text = self.detail(unit);
                text.push_str(&self.last_errors(unit).await);
                pager::text(self.global, &text)?;
            }
            _ => self.print(&units)?,
        }
        Ok(self.code(&units))
    }

    async fn watch(&self, every: Duration) -> Outcome {
        let mut tick = tokio::time::interval(every);
        let clear = terminal_width().is_some() && !self.machine();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = tokio::signal::ctrl_c() => return Ok(ExitCode::Interrupted),
            }
            let units = self.read().await?;
            if clear {
                // Home, then clear: less flicker than the other way round.
                output::text("\x1b[H\x1b[2J")?;
            }
            self.print(&units)?;
        }
    }

    async fn read(&self) -> Result<Vec<UnitState>, Failure> {
        let mut units = if self.names.is_empty() {
            self.manager.units(&self.roster.units()).await
        } else {
            let names: Vec<String> = self.names.iter().map(AgentName::unit).collect();
            self.manager.states(&names).await
        }
        .map_err(failed)?;
        for unit in &mut units {
            self.roster.complete(unit);
            if unit.load_state == "not-found" && !self.roster.has(bare(&unit.unit)) {
                let unit = unit.unit.clone();
                return Err(failed(crate::systemd::Error::NoSuchUnit { unit }));
            }
        }
        units.sort_by_key(|u| (!u.state.is_failed(), u.name.clone()));
        Ok(units)
    }

    fn machine(&self) -> bool {
        self.global.json || self.global.jsonl
    }

    fn is_detail(&self) -> bool {
        self.names.len() == 1 && !self.machine()
    }

    /// As systemctl: a question about certain units is also a test.
    fn code(&self, units: &[UnitState]) -> ExitCode {
        if self.names.is_empty() || units.iter().all(UnitState::is_active) {
            ExitCode::Ok
        } else {
            ExitCode::NotActive
        }
    }

    fn print(&self, units: &[UnitState]) -> anyhow::Result<()> {
        if self.global.json {
            let agents = units.iter().map(AgentStatus::from).collect();
            return output::json(&Envelope { agents });
        }
        if self.global.jsonl {
            for unit in units {
                let line = serde_json::to_string(&AgentStatus::from(unit))?;
                output::text(&(line + "\n"))?;
            }
            return Ok(());
        }
        let colors = self.global.colors();
        match units {
            [] => output::text("No agents: neither the fleet file nor systemd knows any.\n"),
            [unit] if self.is_detail() => output::text(&self.detail(unit)),
            units => output::text(&table(units, colors).render(terminal_width(), colors)),
        }
    }

    fn detail(&self, unit: &UnitState) -> String {
        let description = self.roster.description(&unit.name);
        detail(unit, description, self.global.colors())
    }

    async fn last_errors(&self, unit: &UnitState) -> String {
        let query = Query {
            units: vec![unit.unit.clone()],
            level: Some(Level::Error),
            lines: Some(LAST_ERRORS),
            ..Query::default()
        };
        let mut text = String::new();
        // The journal is an extra here: without one the rest still stands.
        let Ok(mut journal) = Journal::open(&query) else {
            return text;
        };
        while let Ok(Some(entry)) = journal.next().await {
            if text.is_empty() {
                text.push_str("\nLast errors:\n");
            }
            text.push_str(&format_entry(&entry, self.global.colors()));
        }
        text
    }
}

/// What scripts read; its fields are stable.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    agents: Vec<AgentStatus<'a>>,
}

#[derive(Debug, Serialize)]
struct AgentStatus<'a> {
    name: &'a str,
    unit: &'a str,
    kind: AgentKind,
    state: AgentState,
    active_state: &'a str,
    sub_state: &'a str,
    unit_file_state: Option<&'a str>,
    pid: Option<u32>,
    restarts: u32,
    since: Option<String>,
    status_text: Option<&'a str>,
    watchdog_age_s: Option<f64>,
    memory_bytes: Option<u64>,
    cpu_s: Option<f64>,
    healthy: bool,
    last_error: Option<&'a str>,
}

impl<'a> From<&'a UnitState> for AgentStatus<'a> {
    fn from(unit: &'a UnitState) -> Self {
        Self {
            name: &unit.name,
            unit: &unit.unit,
            kind: unit.kind,
            state: unit.state,
            active_state: &unit.active_state,
            sub_state: &unit.sub_state,
            unit_file_state: unit.unit_file_state.as_deref(),
            pid: unit.pid,
            restarts: unit.restarts,
            since: unit
                .since
                .map(|t| t.to_rfc3339_opts(SecondsFormat::Millis, true)),
            status_text: unit.status_text.as_deref(),
            watchdog_age_s: unit.watchdog_age_s,
            memory_bytes: unit.memory_bytes,
            cpu_s: unit.cpu_s,
            healthy: unit.healthy,
            last_error: unit.last_error.as_deref(),
        }
    }
}

fn style(state: AgentState) -> Style {
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

fn symbol(state: AgentState) -> &'static str {
    match state {
        AgentState::Running => "●",
        AgentState::Stopped => "○",
        AgentState::Paused => "‖",
        AgentState::Failed | AgentState::ImportFailed => "×",
        AgentState::Degraded => "◐",
        AgentState::Starting | AgentState::Stopping | AgentState::Restarting => "↻",
    }
}

fn table(units: &[UnitState], colors: bool) -> Table {
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

fn seconds(s: f64) -> String {
    Duration::try_from_secs_f64(s).map_or_else(|_| "-".to_owned(), duration)
}

fn ago(time: DateTime<Utc>) -> String {
    let length = (Utc::now() - time).to_std().unwrap_or_default();
    match length.as_secs() {
        s @ 0..60 => format!("{s}s"),
        _ => duration(length),
    }
}

fn detail(unit: &UnitState, description: Option<&str>, colors: bool) -> String {
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
    line("Wants", join(&unit.wants));
    line("Requires", join(&unit.requires));
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
    match unit.next_restart_us.map(Duration::from_micros) {
        Some(next) if unit.state == AgentState::Restarting => {
            format!("{} (next after {})", unit.restarts, duration(next))
        }
        _ => unit.restarts.to_string(),
    }
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
