//! `reconctl status`: all agents in a table (`look`), or one in full (`detail`).

mod detail;
mod look;

use std::time::Duration;

use chrono::SecondsFormat;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::agents::{Roster, bare, failed};
use super::logs::format_entry;
use super::table::terminal_width;
use super::{Failure, Global, Outcome, complete, output, pager};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, AgentName};
use crate::systemd::{AgentState, Journal, Level, Manager, Query, UnitState, agent_of_unit};
pub use look::styled_state;

/// Lines of the journal below the details of an agent.
const LAST_ERRORS: u64 = 10;

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
    let manager = global.systemd().await?;
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
        let needs = self.needs(&units).await?;
        match units.as_slice() {
            [unit] if self.is_detail() => {
                let mut text = self.detail(unit, &needs);
                text.push_str(&self.last_errors(unit).await);
                pager::text(self.global, &text)?;
            }
            _ => self.print(&units, &needs)?,
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
            self.print(&units, &self.needs(&units).await?)?;
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

    /// The agents that one which is shown in detail depends on.
    async fn needs(&self, units: &[UnitState]) -> Result<Vec<UnitState>, Failure> {
        let [unit] = units else { return Ok(Vec::new()) };
        if !self.is_detail() {
            return Ok(Vec::new());
        }
        let names = unit.wants.iter().chain(&unit.requires);
        let names = names.filter(|name| agent_of_unit(name).is_some()).cloned();
        let names: Vec<String> = names.collect();
        self.manager.states(&names).await.map_err(failed)
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

    fn print(&self, units: &[UnitState], needs: &[UnitState]) -> anyhow::Result<()> {
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
            [unit] if self.is_detail() => output::text(&self.detail(unit, needs)),
            units => output::text(&look::table(units, colors).render(terminal_width(), colors)),
        }
    }

    fn detail(&self, unit: &UnitState, needs: &[UnitState]) -> String {
        let description = self.roster.description(&unit.name);
        detail::detail(unit, description, needs, self.global.colors())
    }

    /// What this run, or the last one, complained about, and systemd about it.
    async fn last_errors(&self, unit: &UnitState) -> String {
        let query = Query {
            units: vec![unit.unit.clone()],
            invocation: unit.invocation_id.clone(),
            level: Some(Level::Warn),
            lines: Some(LAST_ERRORS),
            user: self.global.user,
            host: self.global.host.clone(),
            ..Query::default()
        };
        let mut text = String::new();
        // The journal is an extra here: without one the rest still stands.
        let Ok(mut journal) = Journal::open(&query) else {
            return text;
        };
        while let Ok(Some(entry)) = journal.next().await {
            if text.is_empty() {
                text.push_str("\nLast warnings and errors:\n");
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
    load_state: &'a str,
    result: Option<&'a str>,
    next_restart_s: Option<f64>,
    restart_limit_reached: bool,
    watchdog_s: Option<f64>,
    ip_in_bytes: Option<u64>,
    ip_out_bytes: Option<u64>,
    depends_on: Vec<&'a str>,
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
            load_state: &unit.load_state,
            result: unit.result.as_deref(),
            next_restart_s: detail::next_restart(unit),
            restart_limit_reached: unit.restart_limit_reached,
            watchdog_s: unit.watchdog_s,
            ip_in_bytes: unit.ip_in_bytes,
            ip_out_bytes: unit.ip_out_bytes,
            depends_on: depends_on(unit),
        }
    }
}

fn depends_on(unit: &UnitState) -> Vec<&str> {
    let names = unit.wants.iter().chain(&unit.requires);
    names
        .filter(|name| agent_of_unit(name).is_some())
        .map(|name| bare(name))
        .collect()
}
