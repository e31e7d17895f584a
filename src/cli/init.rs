use anyhow::anyhow;

use super::config::FleetFile;
use super::{Global, Outcome, check, output};
use crate::api::ExitCode;

/// A commented fleet file: what is in force without one, and what else could be said.
pub const EXAMPLE: &str = include_str!("../../packaging/recon.toml");

/// Write a commented fleet file to begin with.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write over a fleet file that is there.
    #[arg(long)]
    pub force: bool,
    /// Print it instead.
    #[arg(long, conflicts_with = "force")]
    pub stdout: bool,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    if args.stdout {
        output::text(EXAMPLE)?;
        return Ok(ExitCode::Ok);
    }
    let path = check::sources(global).fleet_path();
    let file = FleetFile::open(&path)?;
    let shown = path.display();
    if file.text.is_some() && !args.force {
        let error = anyhow!("{shown} is there already; --force writes over it");
        return Err(error.into());
    }
    file.replace(EXAMPLE)?;
    if global.json || global.jsonl {
        output::json(&serde_json::json!({ "file": path }))?;
        return Ok(ExitCode::Ok);
    }
    output::text(&format!(
        "{shown} is written. Next:\n\
         \x20 reconctl config set scope.allow NETWORK…   what may be touched; nothing else ever is\n\
         \x20 reconctl verify                            what this machine can and cannot do\n\
         \x20 reconctl apply                             unit files from it\n\
         \x20 systemctl enable --now recon.target        start it, now and at boot\n"
    ))?;
    Ok(ExitCode::Ok)
}
