use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::agents::Roster;
use super::table::{Column, Table, terminal_width};
use super::{Global, Outcome, complete, output};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, AgentName, Fleet};
use crate::systemd::{AgentState, UnitState};

/// List the agents of the fleet.
///
/// With systemd out of reach it lists what the fleet file says.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only members of this profile.
    #[arg(long, short, value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: String,
    kind: AgentKind,
    description: Option<String>,
    profiles: Vec<String>,
    critical: bool,
    /// systemd's `UnitFileState`.
    unit_file_state: Option<String>,
    state: Option<AgentState>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let roster = Roster::load(global);
    let units = match global.systemd().await {
        Ok(manager) => manager.units(&roster.units()).await.unwrap_or_default(),
        Err(failure) if roster.fleet().is_none() => return Err(failure),
        Err(failure) => {
            eprintln!("reconctl: warning: {:#}", failure.error);
            Vec::new()
        }
    };
    let mut rows = rows(&roster, &units);
    if let Some(profile) = &args.profile {
        rows.retain(|row| row.profiles.contains(profile));
    }
    if global.json {
        output::json(&serde_json::json!({ "agents": rows }))?;
    } else if global.jsonl {
        for row in &rows {
            output::text(&(serde_json::to_string(row)? + "\n"))?;
        }
    } else {
        output::text(&table(&rows).render(terminal_width(), global.colors()))?;
    }
    Ok(ExitCode::Ok)
}

/// The fleet's agents, and those that systemd runs besides.
fn rows(roster: &Roster, units: &[UnitState]) -> Vec<Row> {
    let unit_of = |name: &str| units.iter().find(|u| u.name == name);
    let mut rows: Vec<Row> = Vec::new();
    for agent in roster.fleet().iter().flat_map(|f| f.agents.values()) {
        let unit = unit_of(agent.name.as_str());
        rows.push(Row {
            name: agent.name.to_string(),
            unit: agent.name.unit(),
            kind: agent.kind,
            description: Some(agent.description.clone()),
            profiles: roster
                .fleet()
                .map(|f| profiles(f, &agent.name))
                .unwrap_or_default(),
            critical: agent.critical,
            unit_file_state: unit.and_then(|u| u.unit_file_state.clone()),
            state: unit.map(|u| u.state),
        });
    }
    for unit in units.iter().filter(|u| !roster.has(&u.name)) {
        rows.push(Row {
            name: unit.name.clone(),
            unit: unit.unit.clone(),
            kind: unit.kind,
            description: None,
            profiles: Vec::new(),
            critical: false,
            unit_file_state: unit.unit_file_state.clone(),
            state: Some(unit.state),
        });
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn profiles(fleet: &Fleet, agent: &AgentName) -> Vec<String> {
    let of = fleet
        .profiles
        .iter()
        .filter(|(_, members)| members.contains(agent));
    of.map(|(name, _)| name.clone()).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        Column::left("AGENT"),
        Column::left("KIND").droppable(2),
        Column::left("STATE"),
        Column::left("ENABLED").droppable(4),
        Column::left("PROFILES").droppable(3),
        Column::left("CRITICAL").droppable(1),
        Column::left("DESCRIPTION"),
    ]);
    for row in rows {
        table.row([
            row.name.as_str().into(),
            row.kind.as_str().into(),
            row.state.map_or("", AgentState::as_str).into(),
            row.unit_file_state.as_deref().unwrap_or("").into(),
            row.profiles.join(" ").into(),
            if row.critical { "yes" } else { "" }.into(),
            row.description
                .as_deref()
                .unwrap_or("(not in the fleet file)")
                .into(),
        ]);
    }
    table
}
