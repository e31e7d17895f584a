use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::{Failure, Global, Outcome, apply, output};
use crate::api::ExitCode;
use crate::units::{self, Destination, Reloader};

/// Have systemd itself make the unit files at boot (recon-generator), for images with a read-only /etc.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
The generator reads the fleet file at boot and at every daemon-reload and writes to /run only, so that
nothing has to be applied. With a broken fleet file every agent refuses to start and says why. Whether
an agent starts with its profile is then for its auto_start to say; \"systemctl mask\" still works.")]
pub enum Command {
    /// Run it at boot and at every daemon-reload.
    Enable(EnableArgs),
    /// Run it no more.
    Disable,
    /// Say whether it runs, and what hides what it makes; exits 1 when it does not run.
    Status,
}

#[derive(Debug, clap::Args)]
pub struct EnableArgs {
    /// Remove what "reconctl apply" wrote, which hides what the generator makes. Files that were
    /// edited by hand are kept.
    #[arg(long)]
    pub replace: bool,
    /// Enable it although files in /etc or /run hide some of what it makes.
    #[arg(long, conflicts_with = "replace")]
    pub force: bool,
}

/// What a link leads to, as seen from inside the root.
const PROGRAM: &str = "/usr/lib/recon/recon-generator";

#[derive(Serialize)]
struct Report {
    enabled: bool,
    link: PathBuf,
    hidden_by: Vec<PathBuf>,
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Enable(args) => enable(global, &args).await,
        Command::Disable => disable(global).await,
        Command::Status => status(global),
    }
}

/// Whether systemd runs the generator.
pub(super) fn is_enabled(global: &Global) -> bool {
    fs::read_link(link(global)).is_ok_and(|to| to == Path::new(PROGRAM))
}

fn link(global: &Global) -> PathBuf {
    let dir = if global.user {
        "etc/systemd/user-generators"
    } else {
        "etc/systemd/system-generators"
    };
    global.root.join(dir).join("recon-generator")
}

async fn enable(global: &Global, args: &EnableArgs) -> Outcome {
    let program = global.root.join(PROGRAM.trim_start_matches('/'));
    if !program.exists() {
        return Err(anyhow!("{} is not installed", program.display()).into());
    }
    if args.replace {
        for to in destinations(global) {
            // The agents run on, and systemd is told once the generator is there.
            units::retract(&to).map_err(apply::failure)?;
        }
    }
    let hidden = hidden_by(global)?;
    if let (Some(first), false) = (hidden.first(), args.force) {
        return Err(Failure::from(anyhow!(
            "{} files hide what the generator would make, among them {}: remove what \"reconctl \
             apply\" wrote with --replace (files edited by hand you remove yourself), or keep it \
             with --force",
            hidden.len(),
            first.display()
        )));
    }
    let link = link(global);
    let dir = link.parent().unwrap_or(&link);
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    if !is_enabled(global) {
        symlink(PROGRAM, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    reload(global).await?;
    output::text(&format!("enabled: {}\n", link.display()))?;
    Ok(ExitCode::Ok)
}

async fn disable(global: &Global) -> Outcome {
    // A link to /dev/null is an administrator's, and it is disabled already.
    if is_enabled(global) {
        let link = link(global);
        fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))?;
        reload(global).await?;
    }
    output::text("disabled; \"reconctl apply\" writes the unit files again\n")?;
    Ok(ExitCode::Ok)
}

fn status(global: &Global) -> Outcome {
    let report = Report {
        enabled: is_enabled(global),
        link: link(global),
        hidden_by: hidden_by(global)?,
    };
    let code = if report.enabled {
        ExitCode::Ok
    } else {
        ExitCode::Failure
    };
    if global.json || global.jsonl {
        output::json(&report)?;
        return Ok(code);
    }
    let mut text = String::from(if report.enabled {
        "enabled\n"
    } else {
        "disabled\n"
    });
    for path in report.hidden_by.iter().filter(|_| report.enabled) {
        text.push_str(&format!("hidden by: {}\n", path.display()));
    }
    output::text(&text)?;
    Ok(code)
}

fn destinations(global: &Global) -> [Destination; 2] {
    [global.destination(false), global.destination(true)]
}

/// Files that systemd prefers to those of a generator.
fn hidden_by(global: &Global) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for to in destinations(global) {
        found.extend(to.applied()?);
    }
    Ok(found)
}

async fn reload(global: &Global) -> Result<(), Failure> {
    if let Some(systemd) = apply::systemd(global, false).await? {
        let reloaded = systemd.daemon_reload().await;
        reloaded.map_err(|error| anyhow!(error).context("cannot reload systemd's unit files"))?;
    }
    Ok(())
}
