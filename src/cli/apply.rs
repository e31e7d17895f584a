use std::path::Path;

use serde::Serialize;
use tokio::process::Command;

use super::{Failure, Global, Outcome, check, diff, output, render};
use crate::api::ExitCode;
use crate::units::{
    self, Applied, ApplyError, Note, Options, Permissions, Plan, Reloader, ReloaderError,
    SystemdVersion,
};

/// Make systemd's unit files agree with the fleet file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is changed while the fleet file has an error (exit 2). Only files that apply made are written
or removed; those that were edited by hand are listed and kept. Agents that are seen for the first
time are enabled as their auto_start says; from then on \"systemctl enable\" and \"systemctl disable\"
decide. systemd reloads its unit files once, and only when they or the fleet file changed.")]
pub struct Args {
    /// Write to /run instead of /etc: until the next boot.
    #[arg(long)]
    pub runtime: bool,
    /// Stop, disable and remove what left the fleet.
    #[arg(long)]
    pub prune: bool,
    /// Reload and restart the running agents that need it.
    #[arg(long)]
    pub now: bool,
    /// Overwrite files that were edited by hand.
    #[arg(long)]
    pub force: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not tell systemd (images, chroots); the next apply does.
    #[arg(long, conflicts_with = "now")]
    pub no_reload: bool,
    /// Render for this version of systemd instead of the running one.
    #[arg(long, value_name = "N")]
    pub target_systemd: Option<SystemdVersion>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    applied: &'a Applied,
    dry_run: bool,
    notes: &'a [Note],
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let loaded = check::load(global)?;
    let rendered = render::rendered(global, &loaded, args.target_systemd)?;
    let to = diff::destination(global, args.runtime);
    let options = Options {
        may: Permissions {
            force: args.force,
            prune: args.prune,
        },
        now: args.now,
        source: check::sources(global).fleet_file(),
    };
    let applied = if args.dry_run {
        let manifest = to.manifest()?;
        Applied {
            plan: units::plan(&rendered, &to, &manifest, options.may)?,
            ..Applied::default()
        }
    } else {
        let systemd = systemd(global, args.no_reload);
        units::apply(&loaded.fleet, &rendered, &to, &options, systemd.as_ref())
            .await
            .map_err(failure)?
    };
    if global.json || global.jsonl {
        output::json(&Report {
            applied: &applied,
            dry_run: args.dry_run,
            notes: &rendered.notes,
        })?;
    } else {
        output::text(&describe(global, &applied, args.dry_run))?;
    }
    Ok(ExitCode::Ok)
}

fn failure(error: ApplyError) -> Failure {
    let code = match &error {
        ApplyError::Systemd { .. } => ExitCode::SystemdUnreachable,
        ApplyError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            ExitCode::NotPermitted
        }
        ApplyError::Io { .. } | ApplyError::Locked(_) => ExitCode::Failure,
    };
    Failure::new(code, error)
}

fn describe(global: &Global, applied: &Applied, dry_run: bool) -> String {
    let mut text = diff::describe(global, &applied.plan);
    text.push_str(&summary(&applied.plan, dry_run));
    if applied.daemon_reloaded {
        text.push_str("systemd has reloaded its unit files\n");
    }
    let list = |units: &[String]| units.join(" ");
    let verb = |done: &str, todo: &str| match applied.done_now {
        true => format!("{done}: "),
        false => format!("{todo}: systemctl "),
    };
    if !applied.needs_restart.is_empty() {
        let (what, units) = (
            verb("restarted", "to take effect"),
            list(&applied.needs_restart),
        );
        let command = if applied.done_now { "" } else { "restart " };
        text.push_str(&format!("{what}{command}{units}\n"));
    }
    if !applied.needs_reload.is_empty() {
        let (what, units) = (
            verb("reloaded", "to take effect"),
            list(&applied.needs_reload),
        );
        let command = if applied.done_now { "" } else { "reload " };
        text.push_str(&format!("{what}{command}{units}\n"));
    }
    text
}

fn summary(plan: &Plan, dry_run: bool) -> String {
    if plan.is_empty() {
        return "unit files agree with the fleet file; nothing to do\n".to_owned();
    }
    let would = if dry_run { "would change" } else { "changed" };
    format!(
        "{would} {} files, {} links\n",
        plan.changes.len(),
        plan.enable.len() + plan.disable.len()
    )
}

/// systemd, unless it is not to be told or is not the one that manages this root.
fn systemd(global: &Global, no_reload: bool) -> Option<Systemctl> {
    // sd_booted(3)
    let booted = Path::new("/run/systemd/system").is_dir();
    (!no_reload && booted && global.root == Path::new("/")).then_some(Systemctl)
}

/// Talks to systemd by its own tool.
struct Systemctl;

impl Systemctl {
    async fn run(&self, verb: &str, units: &[String]) -> Result<String, ReloaderError> {
        let output = Command::new("systemctl")
            .arg(verb)
            .arg("--")
            .args(units)
            .output()
            .await?;
        // is-active exits 3 when a unit is not active, which is an answer.
        if output.status.success() || verb == "is-active" {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr)
            .trim()
            .to_owned()
            .into())
    }
}

impl Reloader for Systemctl {
    async fn daemon_reload(&self) -> Result<(), ReloaderError> {
        self.run("daemon-reload", &[]).await.map(drop)
    }

    async fn stop(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.run("stop", units).await.map(drop)
    }

    async fn running(&self, units: &[String]) -> Result<Vec<String>, ReloaderError> {
        let states = self.run("is-active", units).await?;
        let pairs = units.iter().zip(states.lines());
        let active = pairs.filter(|(_, state)| matches!(*state, "active" | "reloading"));
        Ok(active.map(|(unit, _)| unit.clone()).collect())
    }

    async fn reload(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.run("reload", units).await.map(drop)
    }

    async fn restart(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.run("restart", units).await.map(drop)
    }
}
