use std::time::Duration;

use owo_colors::{OwoColorize, Style};

use super::agents::{Roster, failed};
use super::hub_client::HubClient;
use super::table::{Cell, Column, Table, terminal_width};
use super::{Global, Outcome, output};
use crate::api::{DaemonHealth, ExitCode, FleetHealth, Overall};
use crate::systemd::UnitState;

/// The hub knows what systemd does not; it is not waited for long.
const HUB_TIME: Duration = Duration::from_secs(2);

/// Say in one word how the fleet is.
///
/// CRITICAL when an agent that is marked critical does not run; DEGRADED when all of those run and
/// another one that is wanted (its profile is up and it is enabled) does not or is unwell; HEALTHY
/// otherwise. Exit status: 0 when HEALTHY, 1 when DEGRADED, 2 when CRITICAL.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 HEALTHY; 1 DEGRADED; 2 CRITICAL, or bad usage; 69 systemd unreachable.")]
pub struct Args {}

pub async fn run(global: &Global, _: Args) -> Outcome {
    let roster = Roster::load(global);
    let manager = global.systemd().await?;
    let units = manager.units(&roster.units()).await.map_err(failed)?;
    let wanted = manager.wanted(&units).await.map_err(failed)?;
    let row = |unit: &UnitState| {
        unit.health(
            is_critical(&roster, &unit.name),
            wanted.contains(&unit.unit),
        )
    };
    let mut health = FleetHealth::of(units.iter().map(row).collect());
    if let Some(told) = ask_hub(global).await {
        complete(&mut health, told);
    }
    if global.json || global.jsonl {
        output::json(&serde_json::to_value(&health)?)?;
    } else {
        print(global, &health)?;
    }
    Ok(match health.overall {
        Overall::Healthy => ExitCode::Ok,
        Overall::Degraded => ExitCode::Failure,
        Overall::Critical => ExitCode::Usage,
    })
}

fn is_critical(roster: &Roster, name: &str) -> bool {
    match roster.fleet() {
        Some(fleet) => fleet
            .agents
            .values()
            .any(|a| a.critical && a.name.as_str() == name),
        // Of another host's fleet only that is known that every fleet has.
        None => name == "hub",
    }
}

/// What the hub knows of the agents, when it can be asked now.
async fn ask_hub(global: &Global) -> Option<FleetHealth> {
    // The one in the fleet file is this host's.
    if global.host.is_some() && global.hub.is_none() {
        return None;
    }
    let hub = HubClient::new(global).ok()?;
    let asking = hub.get("/api/health", &[]);
    tokio::time::timeout(HUB_TIME, asking).await.ok()?.ok()
}

/// Adds what only the agents themselves know, which is what they told the hub.
fn complete(health: &mut FleetHealth, told: FleetHealth) {
    health.start_time = told.start_time;
    health.system_uptime = told.system_uptime;
    for daemon in &mut health.daemons {
        // The same run of the agent, not one of that name on another host.
        let same = |t: &&DaemonHealth| t.name == daemon.name && t.pid == daemon.pid;
        let Some(told) = told.daemons.iter().find(same) else {
            continue;
        };
        daemon.host.clone_from(&told.host);
        daemon.version.clone_from(&told.version);
        daemon.last_heartbeat = told.last_heartbeat;
        daemon.last_activity = told.last_activity;
        daemon.queue_depth = told.queue_depth;
        daemon.error_count = told.error_count;
    }
}

fn print(global: &Global, health: &FleetHealth) -> anyhow::Result<()> {
    let colors = global.colors();
    let style = match health.overall {
        Overall::Healthy => Style::new().green().bold(),
        Overall::Degraded => Style::new().yellow().bold(),
        Overall::Critical => Style::new().red().bold(),
    };
    let word = match colors {
        true => health.overall.style(style).to_string(),
        false => health.overall.to_string(),
    };
    let (up, critical) = (health.critical_daemons_up, health.critical_daemons);
    let running = health.daemons.iter().filter(|d| d.up).count();
    let total = health.total_daemons;
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
    for row in &health.daemons {
        let (word, style) = match (row.healthy, row.status.as_str()) {
            (true, _) => ("ok", Style::new().green()),
            (_, "STOPPED") => ("stopped", Style::new().dimmed()),
            _ => ("unhealthy", Style::new().red()),
        };
        let yes = |b: bool| Cell::from(if b { "yes" } else { "" });
        table.row([
            row.name.as_str().into(),
            Cell::styled(word, style),
            row.status.as_str().into(),
            yes(row.critical),
            yes(row.wanted),
            row.reason.as_deref().unwrap_or("").into(),
        ]);
    }
    output::text(&table.render(terminal_width(), colors))
}
