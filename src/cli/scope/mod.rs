//! `reconctl scope`: what may be touched, and the firewall's part in it.
//!
//! The kernel knows addresses only. What names in the fleet file resolve to is put on the slice of
//! the agents, whose list of allowed addresses adds to that of each agent's unit: `refresh` does it,
//! started by recon-scope.service when an agent starts, by `reconctl apply`, and every few minutes.

mod check;
mod memory;
mod names;
mod refresh;
mod resolvers;
mod show;

use super::agents::failed;
use super::{Failure, Global, Outcome};
use crate::fleet::Fleet;
use crate::systemd::{JobKind, Manager};

/// The slice of all agents but the hub.
const SLICE: &str = "recon-agents.slice";
/// Runs `refresh`.
const SERVICE: &str = "recon-scope.service";
/// Starts it every few minutes.
const TIMER: &str = "recon-scope.timer";

/// Show and check what may be touched, and keep the firewall up with it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the rules, where each came from, and the addresses of names that are in force.
    Show(show::Args),
    /// Say whether targets may be touched, and by which rule; exit 1 when one may not.
    Check(check::Args),
    /// Resolve the names and put their addresses into the agents' firewall (root).
    Refresh(refresh::Args),
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Show(args) => show::run(global, args).await,
        Command::Check(args) => check::run(global, args).await,
        Command::Refresh(args) => refresh::run(global, args).await,
    }
}

/// Brings the firewall up to a fleet whose units systemd has just read: with names, and when
/// addresses of names that are no more are still in force.
///
/// # Errors
/// systemd refuses, or the addresses cannot be found out.
pub async fn follow(global: &Global, manager: &Manager, fleet: &Fleet) -> Result<(), Failure> {
    // A user's own systemd may not filter, and agents under it have no firewall.
    if global.user {
        return Ok(());
    }
    let names = fleet.has_names();
    if !names && allowed(manager).await?.is_empty() {
        return Ok(());
    }
    // A restart: a run that has begun may have read the fleet file as it was before.
    let done = manager.job(JobKind::Restart, SERVICE).await;
    let done = done.and_then(|outcome| outcome.ok()).map_err(failed);
    if let Err(Failure { code, error }) = done {
        let error = error.context("the firewall is not up with the names in the fleet file");
        return Err(Failure::new(code, error));
    }
    if !names {
        // The service pulls it in.
        manager.job(JobKind::Stop, TIMER).await.map_err(failed)?;
    }
    Ok(())
}

/// What the agents' slice allows.
async fn allowed(manager: &Manager) -> Result<Vec<ipnet::IpNet>, Failure> {
    manager.allowed_addresses(SLICE).await.map_err(failed)
}
