use std::path::Path;

use futures_util::future::try_join_all;
use serde::Serialize;

use super::{Failure, Global, Outcome, check, diff, generator, output, render, scope};
use crate::api::ExitCode;
use crate::systemd::{self, JobKind, Manager, UnitState};
use crate::units::{
    self, Applied, ApplyError, Note, Options, Permissions, Plan, Reloader, ReloaderError, Running,
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
    let to = global.destination(args.runtime);
    if args.runtime && !global.destination(false).manifest()?.files.is_empty() {
        let error = anyhow::anyhow!(
            "what was applied to stay hides what would be written until the next boot: run apply \
             without --runtime"
        );
        return Err(Failure::new(ExitCode::Usage, error));
    }
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
        let systemd = systemd(global, args.no_reload).await?;
        let applied = units::apply(&loaded.fleet, &rendered, &to, &options, systemd.as_ref());
        let applied = applied.await.map_err(failure)?;
        if let Some(Bus(manager)) = &systemd {
            scope::follow(global, manager, &loaded.fleet).await?;
        }
        applied
    };
    if global.json || global.jsonl {
        output::json(&Report {
            applied: &applied,
            dry_run: args.dry_run,
            notes: &rendered.notes,
        })?;
    } else {
        let mut text = describe(global, &applied, args.dry_run);
        if generator::is_enabled(global) {
            text.push_str(
                "recon-generator is enabled too, and these files hide what it makes; see \"reconctl \
                 generator\"\n",
            );
        }
        output::text(&text)?;
    }
    Ok(ExitCode::Ok)
}

pub(super) fn failure(error: ApplyError) -> Failure {
    let code = match &error {
        ApplyError::Systemd { source, .. } => source
            .downcast_ref::<systemd::Error>()
            .map_or(ExitCode::Failure, systemd::Error::exit_code),
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
        false => format!("{todo}: {} ", global.systemctl()),
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
pub(super) async fn systemd(global: &Global, no_reload: bool) -> Result<Option<Bus>, Failure> {
    if no_reload || !global.systemd_runs() || global.root != Path::new("/") {
        return Ok(None);
    }
    Ok(Some(Bus(global.systemd().await?)))
}

/// systemd's D-Bus API, as far as apply needs it.
pub(super) struct Bus(Manager);

impl Bus {
    async fn all(&self, kind: JobKind, units: &[String]) -> Result<(), ReloaderError> {
        try_join_all(
            units
                .iter()
                .map(async |unit| self.0.job(kind, unit).await?.ok()),
        )
        .await?;
        Ok(())
    }
}

impl Reloader for Bus {
    async fn daemon_reload(&self) -> Result<(), ReloaderError> {
        Ok(self.0.daemon_reload().await?)
    }

    async fn stop(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.all(JobKind::Stop, units).await
    }

    async fn running(&self, units: &[String]) -> Result<Vec<Running>, ReloaderError> {
        let statuses = self.0.states(units).await?;
        let active = statuses.into_iter().filter(UnitState::is_active);
        let running = |unit: UnitState| {
            Some(Running {
                started: unit.since?,
                changed: unit.changed?,
                unit: unit.unit,
            })
        };
        Ok(active.filter_map(running).collect())
    }

    async fn reload(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.all(JobKind::Reload, units).await
    }

    async fn restart(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.all(JobKind::Restart, units).await
    }
}
