//! `reconctl hub`: the hub itself, apart from what it found.

mod audit;
mod token;

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
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    let hub = HubClient::new(global)?;
    match command {
        Command::Token(command) => token::run(global, &hub, command).await,
        Command::Audit { limit } => audit::run(global, &hub, limit).await,
    }
}
