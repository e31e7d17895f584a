use super::{Global, Outcome};
use crate::api::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_global: &Global, _args: Args) -> Outcome {
    Ok(ExitCode::Ok)
}
