use crate::api::{ExitCode, StoreReport};
use crate::cli::hub_client::{HubClient, Refused};
use crate::cli::table::{bytes, display};
use crate::cli::{Global, Outcome, output};

/// Give the free space of the hub's database back.
///
/// The hub takes nothing in meanwhile; agents keep what they find until it does again. As much free
/// space as the database is large is needed.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(global: &Global, _: Args) -> Outcome {
    let hub = HubClient::new(global)?;
    let answer = hub.post_unhurried::<StoreReport>("/api/hub/vacuum").await?;
    let report = answer.map_err(Refused::into_failure)?;
    if global.json || global.jsonl {
        output::json(&serde_json::to_value(&report)?)?;
    } else {
        output::text(&format!(
            "{}; the database has {}\n",
            display(&report.message),
            bytes(report.size_bytes)
        ))?;
    }
    Ok(ExitCode::Ok)
}
