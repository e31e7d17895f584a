use super::{Global, Outcome};
use crate::api::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Pause,
    Resume,
    Reset,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT")]
    pub agents: Vec<String>,
}

pub async fn run(_global: &Global, _verb: Verb, _args: Args) -> Outcome {
    Ok(ExitCode::Ok)
}
