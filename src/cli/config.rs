use super::{Global, Outcome};
use crate::api::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Placeholder.
    List,
}

pub async fn run(_global: &Global, _command: Command) -> Outcome {
    Ok(ExitCode::Ok)
}
