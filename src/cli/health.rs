use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use super::agents::{Roster, failed};
use super::table::{Cell, Column, Table, terminal_width};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::systemd::{AgentState, Manager, UnitState};

/// Say in one word how the fleet is.
///
/// CRITICAL when an agent that is marked critical does not run; DEGRADED when all of those run and
/// another one that is wanted (its profile is up and it is enabled) does not or is unwell; HEALTHY
/// otherwise. Exit status: 0 when HEALTHY, else 1.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// How the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Overall {
    Healthy,
    Degraded,
    Critical,
}

impl Overall {
    fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Critical => "CRITICAL",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Healthy => Style::new().green().bold(),
            Self::Degraded => Style::new().yellow().bold(),
            Self::Critical => Style::new().red().bold(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Health {
    overall: Overall,
    critical_up: usize,
    critical_total: usize,
    running: usize,
    total: usize,
    agents: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    state: AgentState,
    critical: bool,
    wanted: bool,
    healthy: bool,
    since: Option<String>,
    reason: Option<String>,
}

pub async fn run(global: &Global, _: Args) -> Outcome {
    let roster = Roster::load(global);
    let manager = global.systemd().await?;
    let units = manager.units(&roster.units()).await.map_err(failed)?;
    let wanted = wanted(&manager, &units).await?;
    let health = judge(&roster, units, &wanted);
    if global.json || global.jsonl {
        output::json(&serde_json::json!({ "health": health }))?;
    } else {
        print(global, &health)?;
    }
    Ok(match health.overall {
        Overall::Healthy => ExitCode::Ok,
        _ => ExitCode::Failure,
    })
}

/// What is meant to run: the enabled members of the profiles that are up; with none up, what is
/// enabled.
async fn wanted(manager: &Manager, units: &[UnitState]) -> Result<BTreeSet<String>, Failure> {
    let targets = manager.loaded("recon-*.target").await.map_err(failed)?;
    let active = targets.into_iter().filter(|(_, state)| state == "active");
    let active: Vec<String> = active.map(|(name, _)| name).collect();
    if active.is_empty() {
        let enabled = |u: &&UnitState| u.unit_file_state.as_deref() == Some("enabled");
        return Ok(units
            .iter()
            .filter(enabled)
            .map(|u| u.unit.clone())
            .collect());
    }
    let targets = manager.states(&active).await.map_err(failed)?;
    Ok(targets.into_iter().flat_map(|t| t.wants).collect())
}

fn judge(roster: &Roster, units: Vec<UnitState>, wanted: &BTreeSet<String>) -> Health {
    let critical = |name: &str| match roster.fleet() {
        Some(fleet) => fleet
            .agents
            .values()
            .any(|a| a.critical && a.name.as_str() == name),
        // Of another host's fleet only that is known that every fleet has.
        None => name == "hub",
    };
    let row = |unit: UnitState| Row {
        critical: critical(&unit.name),
        wanted: wanted.contains(&unit.unit),
        healthy: unit.healthy,
        since: unit.since.map(stamp),
        reason: reason(&unit, wanted.contains(&unit.unit)),
        state: unit.state,
        name: unit.name,
    };
    let mut agents: Vec<Row> = units.into_iter().map(row).collect();
    agents.sort_by_key(|r| (r.healthy, !r.critical, !r.wanted, r.name.clone()));
    Health {
        overall: overall(&agents),
        critical_up: agents
            .iter()
            .filter(|r| r.critical && r.state.is_up())
            .count(),
        critical_total: agents.iter().filter(|r| r.critical).count(),
        running: agents.iter().filter(|r| r.state.is_up()).count(),
        total: agents.len(),
        agents,
    }
}

fn overall(agents: &[Row]) -> Overall {
    if agents.iter().any(|r| r.critical && !r.state.is_up()) {
        Overall::Critical
    } else if agents
        .iter()
        .any(|r| !r.healthy && (r.wanted || r.state != AgentState::Stopped))
    {
        Overall::Degraded
    } else {
        Overall::Healthy
    }
}

/// Why it is not well.
fn reason(unit: &UnitState, wanted: bool) -> Option<String> {
    if unit.healthy {
        return None;
    }
    let stale = match (unit.watchdog_age_s, unit.watchdog_s) {
        (Some(age), Some(limit)) if age > limit => {
            Some(format!("no sign of progress for {age:.0} s"))
        }
        _ => None,
    };
    let stopped = match (unit.state, wanted) {
        (AgentState::Stopped, true) => Some("stopped by hand, or ended".to_owned()),
        (AgentState::Stopped, false) => Some("not wanted".to_owned()),
        _ => None,
    };
    let says = || unit.status_text.clone();
    unit.last_error.clone().or(stale).or(stopped).or_else(says)
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn print(global: &Global, health: &Health) -> anyhow::Result<()> {
    let colors = global.colors();
    let word = health.overall.as_str();
    let word = match colors {
        true => word.style(health.overall.style()).to_string(),
        false => word.to_owned(),
    };
    let (up, critical) = (health.critical_up, health.critical_total);
    let (running, total) = (health.running, health.total);
    output::text(&format!(
        "{word}: {up} of {critical} critical agents run, {running} of {total} in all\n"
    ))?;
    let mut table = Table::new([
        Column::left("AGENT"),
        Column::left("HEALTH"),
        Column::left("STATE").droppable(3),
        Column::left("CRITICAL").droppable(1),
        Column::left("WANTED").droppable(2),
        Column::left("REASON"),
    ]);
    for row in &health.agents {
        let (health, style) = match row {
            Row { healthy: true, .. } => ("ok", Style::new().green()),
            Row {
                state: AgentState::Stopped,
                ..
            } => ("stopped", Style::new().dimmed()),
            _ => ("unhealthy", Style::new().red()),
        };
        let yes = |b: bool| Cell::from(if b { "yes" } else { "" });
        table.row([
            row.name.as_str().into(),
            Cell::styled(health, style),
            row.state.as_str().into(),
            yes(row.critical),
            yes(row.wanted),
            row.reason.as_deref().unwrap_or("").into(),
        ]);
    }
    output::text(&table.render(terminal_width(), colors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: AgentState, critical: bool, wanted: bool) -> Row {
        Row {
            name: "x".to_owned(),
            state,
            critical,
            wanted,
            healthy: state == AgentState::Running,
            since: None,
            reason: None,
        }
    }

    #[test]
    fn the_rule() {
        use AgentState::{Failed, Restarting, Running, Stopped};
        let well = || row(Running, true, true);
        for (rows, want) in [
            (vec![well()], Overall::Healthy),
            (vec![well(), row(Stopped, false, false)], Overall::Healthy),
            (vec![well(), row(Stopped, false, true)], Overall::Degraded),
            (vec![well(), row(Failed, false, false)], Overall::Degraded),
            (
                vec![well(), row(Restarting, false, true)],
                Overall::Degraded,
            ),
            (
                vec![row(Stopped, true, true), row(Running, false, true)],
                Overall::Critical,
            ),
            (vec![row(Failed, true, true)], Overall::Critical),
        ] {
            assert_eq!(overall(&rows), want, "{rows:?}");
        }
    }
}
