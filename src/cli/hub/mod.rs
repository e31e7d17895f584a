//! `reconctl hub`: the hub itself, apart from what it found; one file a verb.

mod audit;
mod backup;
mod check;
mod restore;
mod token;
mod vacuum;

use super::hub_client::HubClient;
use super::{Global, Outcome};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make, list and revoke the tokens by which the hub knows who calls.
    #[command(subcommand)]
    Token(token::Command),
    /// List what operators changed, newest first.
    Audit {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Copy the hub's database while it runs.
    Backup(backup::Args),
    /// Put a backup in the place of the hub's database.
    Restore(restore::Args),
    /// Give the free space of the hub's database back.
    Vacuum(vacuum::Args),
    /// Look for damage in the hub's database.
    Check(check::Args),
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Token(command) => token::run(global, &HubClient::new(global)?, command).await,
        Command::Audit { limit } => audit::run(global, &HubClient::new(global)?, limit).await,
        Command::Backup(args) => backup::run(global, args).await,
        Command::Restore(args) => restore::run(global, args).await,
        Command::Vacuum(args) => vacuum::run(global, args).await,
        Command::Check(args) => check::run(global, args).await,
    }
}
