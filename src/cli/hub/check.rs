use crate::api::{ExitCode, StoreReport};
use crate::cli::hub_client::{HubClient, Refused};
use crate::cli::table::{bytes, display};
use crate::cli::{Global, Outcome, output};

/// Look for damage in the hub's database.
///
/// The database itself, its references, and what must hold of every row. The hub goes on meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 sound; 1 damaged; 6 hub unreachable.")]
pub struct Args {}

pub async fn run(global: &Global, _: Args) -> Outcome {
    let hub = HubClient::new(global)?;
    let answer = hub.post_unhurried::<StoreReport>("/api/hub/check").await?;
    let report = answer.map_err(Refused::into_failure)?;
    if global.json || global.jsonl {
        output::json(&serde_json::to_value(&report)?)?;
    } else {
        output::text(&format!(
            "{} ({})\n",
            display(&report.message),
            bytes(report.size_bytes)
        ))?;
        for problem in &report.problems {
            output::text(&format!("  {}\n", display(problem)))?;
        }
    }
    Ok(match report.success {
        true => ExitCode::Ok,
        false => ExitCode::Failure,
    })
}
