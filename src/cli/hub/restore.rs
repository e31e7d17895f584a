use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::api::ExitCode;
use crate::cli::agents::failed;
use crate::cli::{Failure, Global, Outcome, check, output};
use crate::hub::restore::{self, RestoreError, Restored};
use crate::hub::{Database, configured_database};
use crate::systemd::Manager;

/// The hub's unit.
const HUB: &str = "recon@hub.service";
/// Where the hub keeps its data when nothing else is said.
const DATABASE: &str = "var/lib/recon/hub/hub.db";

/// Put a backup in the place of the hub's database.
///
/// The backup is looked at first. The database that is there is kept beside it. What was stored after
/// the backup is not in it: agents do again what is due. Tokens that were revoked since stay revoked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The database of a hub in PostgreSQL is restored with pg_restore.")]
pub struct Args {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Stop the hub for it, if it runs, and start it again.
    #[arg(long)]
    pub force: bool,
    /// The hub's database (default: the fleet file's).
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let database = match args.database {
        Some(path) => path,
        None => database(global)?,
    };
    // Before the hub is stopped for it.
    std::fs::File::open(&args.file)
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    let running = running(global).await?;
    if running.is_some() && !args.force {
        return Err(anyhow!(
            "the hub runs: stop it (reconctl stop hub), or let --force stop and start it"
        )
        .into());
    }
    if let Some(manager) = &running {
        let stopped = manager.stop(HUB).await.map_err(failed)?;
        stopped.ok().map_err(failed)?;
    }
    let done = restore::restore(&database, &args.file).await;
    // Whatever became of it: the old database is where it was when it failed.
    if let Some(manager) = &running {
        let started = manager.start(HUB).await.map_err(failed)?;
        started.ok().map_err(failed)?;
    }
    let restored = done.map_err(|error| match error {
        RestoreError::InUse { .. } => Failure::new(ExitCode::Failure, error),
        error => Failure::from(error),
    })?;
    say(global, &database, &restored)?;
    Ok(ExitCode::Ok)
}

fn say(global: &Global, database: &Path, restored: &Restored) -> anyhow::Result<()> {
    if global.json || global.jsonl {
        return output::json(&serde_json::json!({ "restore": {
            "database": database.display().to_string(),
            "kept": restored.kept.as_ref().map(|k| k.display().to_string()),
            "tokens_revoked": restored.revoked,
        }}));
    }
    let mut text = format!("{} is restored", database.display());
    if let Some(kept) = &restored.kept {
        text += &format!("; the database from before is {}", kept.display());
    }
    if restored.revoked > 0 {
        text += &format!("; {} tokens revoked since stay so", restored.revoked);
    }
    output::text(&format!("{text}\n"))
}

/// The way to systemd, when the hub runs as its unit. Without systemd that is known by who has the
/// database open.
async fn running(global: &Global) -> Result<Option<Manager>, Failure> {
    if global.host.is_some() {
        let error = anyhow!("restore works on this host's files only; run it over there");
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let Ok(manager) = global.systemd().await else {
        return Ok(None);
    };
    let unit = manager.unit(HUB).await.map_err(failed)?;
    let idle = matches!(unit.active_state.as_str(), "inactive" | "failed");
    Ok((!idle).then_some(manager))
}

/// Where the fleet file says that the data is.
fn database(global: &Global) -> Result<PathBuf, Failure> {
    let loaded = check::load(global)?;
    let configured = configured_database(&loaded).map_err(|e| Failure::new(ExitCode::Usage, e))?;
    match configured {
        Some(Database::Sqlite(path)) => Ok(path),
        Some(postgres @ Database::Postgres(_)) => Err(anyhow!(
            "this hub keeps its data in PostgreSQL, which has a tool for that: \
             pg_restore --clean --if-exists --dbname={postgres} FILE"
        )
        .into()),
        None => Ok(global.root.join(DATABASE)),
    }
}
