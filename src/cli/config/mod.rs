//! `reconctl config`: shows what is in force and where it comes from, and edits the fleet file, which
//! is replaced only by one that is valid as a whole.

mod change;
mod editor;
mod file;
mod get;
mod show;
mod value;

use anyhow::anyhow;

use super::{Failure, Global, Outcome};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, Fleet, edit};

pub use file::FleetFile;

/// Show effective settings, and edit the fleet file.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the effective settings as a fleet file (or JSON with --json).
    Show(show::Args),
    /// Print the effective value of one key.
    Get(get::Args),
    /// Set a key in the fleet file.
    Set(change::SetArgs),
    /// Take a key out of the fleet file.
    Unset(change::UnsetArgs),
    /// Edit the fleet file with $EDITOR; only a valid one is kept.
    Edit,
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Show(args) => show::run(global, &args),
        Command::Get(args) => get::run(global, &args),
        Command::Set(args) => change::set(global, &args),
        Command::Unset(args) => change::unset(global, &args),
        Command::Edit => editor::run(global),
    }
}

pub(super) fn no_such_agent(name: &str, fleet: &Fleet) -> Failure {
    let known: Vec<_> = fleet.agents.keys().map(|name| name.as_str()).collect();
    let error = anyhow!(
        "no agent {name:?} in the fleet; there are {}",
        known.join(", ")
    );
    Failure::new(ExitCode::NoSuchAgent, error)
}

/// The parts of a dotted key.
fn parse_key(text: &str) -> Result<Vec<String>, Failure> {
    edit::parse_key(text).map_err(|error| Failure::new(ExitCode::Usage, error))
}

/// Which program an agent of this name is, by the fleet and else by its name.
pub(super) fn kind_of(fleet: Option<&Fleet>, name: &str) -> Option<AgentKind> {
    let agent = fleet.and_then(|fleet| fleet.agents.iter().find(|(n, _)| n.as_str() == name));
    let own = || AgentKind::BUILT_IN.into_iter().find(|k| k.as_str() == name);
    agent.map(|(_, agent)| agent.kind).or_else(own)
}
