use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::diff::ChangeKind;
use super::disk::{Destination, mtime};
use super::manifest::{Manifest, Pending, hash};
use super::plan::{Permissions, Plan, plan, touched};
use super::render::Rendered;
use crate::fleet::{AgentKind, Fleet};

/// Why nothing, or not everything, was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else is applying.
    #[error("another reconctl apply is running (it holds {0}); try again when it is done")]
    Locked(PathBuf),
    /// The disk.
    #[error("cannot {verb} {path}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// systemd.
    #[error("cannot {verb}")]
    Systemd {
        /// What was tried.
        verb: &'static str,
        /// What systemd said.
        source: ReloaderError,
    },
}

impl ApplyError {
    pub(super) fn io(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

/// What a [`Reloader`] answers when it fails.
pub type ReloaderError = Box<dyn std::error::Error + Send + Sync>;

/// What apply needs of systemd.
pub trait Reloader {
    /// Makes systemd read its unit files again, and waits until it has.
    fn daemon_reload(&self) -> impl Future<Output = Result<(), ReloaderError>>;
    /// Stops units and waits until they have.
    fn stop(&self, units: &[String]) -> impl Future<Output = Result<(), ReloaderError>>;
    /// Those of these units that run.
    fn running(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<Vec<Running>, ReloaderError>>;
    /// Reloads the configuration of running units.
    fn reload(&self, units: &[String]) -> impl Future<Output = Result<(), ReloaderError>>;
    /// Restarts units.
    fn restart(&self, units: &[String]) -> impl Future<Output = Result<(), ReloaderError>>;
}

/// A unit that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub unit: String,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// When it last changed: it was started or reloaded.
    pub changed: DateTime<Utc>,
}

/// How to apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What may be done to files.
    pub may: Permissions,
    /// Reload and restart running agents that need it.
    pub now: bool,
    /// The fleet file, whose modification time systemd compares (`SourcePath=`).
    pub source: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The plan that was carried out.
    pub plan: Plan,
    /// systemd has read its unit files again.
    pub daemon_reloaded: bool,
    /// Running units that read changed settings when they are reloaded.
    pub needs_reload: Vec<String>,
    /// Running units that are as their files say only after a restart.
    pub needs_restart: Vec<String>,
    /// The two lists above have been dealt with.
    pub done_now: bool,
}

/// Makes the unit directory agree with what is rendered: under a lock, only owned files, each
/// written atomically and only when its bytes differ; then one daemon-reload when one is due.
/// `systemd` is `None` when there is none to tell (another root, an image).
///
/// # Errors
/// The lock is held, a file cannot be read or written, systemd refuses. What was written stays, and
/// the next apply goes on from there.
pub async fn apply<R: Reloader>(
    fleet: &Fleet,
    rendered: &Rendered,
    to: &Destination,
    options: &Options,
    systemd: Option<&R>,
) -> Result<Applied, ApplyError> {
    let _lock = to.lock()?;
    let mut manifest = to.manifest()?;
    let plan = plan(rendered, to, &manifest, options.may)?;
    if let (Some(systemd), false) = (systemd, plan.stop.is_empty()) {
        let stopped = systemd.stop(&plan.stop).await;
        stopped.map_err(|source| systemd_error("stop what left the fleet", source))?;
    }
    let stale = carry_out(&plan, rendered, to, &mut manifest)?;

    let mut applied = Applied {
        plan,
        ..Applied::default()
    };
    if let Some(systemd) = systemd {
        // systemd warns about units whose source is younger than what it has read, so an edited
        // fleet file needs a reload even when no unit file changed.
        let source_mtime = options.source.as_deref().and_then(mtime);
        if manifest.reload_pending || source_mtime != manifest.source_mtime {
            // Until systemd has read the files, the manifest on disk says that it has to.
            let reloaded = systemd.daemon_reload().await;
            reloaded.map_err(|source| systemd_error("reload systemd's unit files", source))?;
            applied.daemon_reloaded = true;
        }
        manifest.source_mtime = source_mtime;
        manifest.reload_pending = false;
        let reread = changed_settings(fleet, &mut manifest);
        settle(&mut manifest.pending, systemd).await?;
        remember(&mut manifest.pending, &reread, false);
        remember(&mut manifest.pending, &stale, true);
        // On record before anything can go wrong.
        to.save(&manifest)?;
        settle(&mut manifest.pending, systemd).await?;
        follow_up(&mut applied, &mut manifest.pending, options.now, systemd).await?;
    }
    to.save(&manifest)?;
    Ok(applied)
}

/// Takes back what apply did: removes its files and links. What was edited by hand stays, and what
/// runs runs on.
///
/// # Errors
/// The lock is held, a file cannot be read or removed.
pub fn retract(to: &Destination) -> Result<Plan, ApplyError> {
    let _lock = to.lock()?;
    let mut manifest = to.manifest()?;
    let nothing = Rendered::default();
    let may = Permissions {
        prune: true,
        force: false,
    };
    let plan = plan(&nothing, to, &manifest, may)?;
    carry_out(&plan, &nothing, to, &mut manifest)?;
    to.save(&manifest)?;
    Ok(plan)
}

fn systemd_error(verb: &'static str, source: ReloaderError) -> ApplyError {
    ApplyError::Systemd { verb, source }
}

/// Writes, removes and links; gives back the units whose files changed.
fn carry_out(
    plan: &Plan,
    rendered: &Rendered,
    to: &Destination,
    manifest: &mut Manifest,
) -> Result<Vec<String>, ApplyError> {
    for change in plan.changes.iter().filter(|c| c.kind != ChangeKind::Remove) {
        if let Some(text) = rendered.files.get(&change.path) {
            manifest
                .files
                .entry(change.path.clone())
                .or_default()
                .push(hash(text));
        }
    }
    if !plan.is_empty() {
        manifest.reload_pending = true;
        to.save(manifest)?;
    }
    for change in &plan.changes {
        match rendered.files.get(&change.path) {
            Some(text) => to.write(&change.path, text)?,
            None => to.remove(&change.path)?,
        }
    }
    for path in &plan.disable {
        to.remove(path)?;
    }
    for path in &plan.enable {
        to.link(path)?;
    }
    record(plan, rendered, manifest);
    Ok(touched(plan).into_iter().collect())
}

/// Brings the manifest up to what was done.
fn record(plan: &Plan, rendered: &Rendered, manifest: &mut Manifest) {
    for (path, text) in &rendered.files {
        if !plan.kept.contains(path) {
            manifest.files.insert(path.clone(), vec![hash(text)]);
        }
    }
    for (name, preset) in &rendered.presets {
        manifest.seen.insert(name.clone(), preset.targets.clone());
    }
    let there: BTreeSet<&PathBuf> = plan.leftovers.iter().chain(&plan.kept).collect();
    manifest
        .files
        .retain(|path, _| rendered.files.contains_key(path) || there.contains(path));
    let stopped: BTreeSet<&String> = plan.stop.iter().collect();
    manifest
        .seen
        .retain(|name, _| rendered.presets.contains_key(name) || !stopped.contains(&name.unit()));
}

/// The agents whose own settings, hub or scope are others than when apply last ran.
fn changed_settings(fleet: &Fleet, manifest: &mut Manifest) -> Vec<String> {
    let mut changed = Vec::new();
    let before = std::mem::take(&mut manifest.settings);
    let shared = hash(&format!("{:?} {:?}", fleet.hub, fleet.scope));
    for agent in fleet.agents.values() {
        let now = hash(&format!("{:?} {shared}", agent.settings));
        // A program of somebody's own does not read the fleet file.
        let reads = agent.kind != AgentKind::Custom;
        if reads && before.get(&agent.name).is_some_and(|then| *then != now) {
            changed.push(agent.name.unit());
        }
        manifest.settings.insert(agent.name.clone(), now);
    }
    changed
}

/// Notes what units need. A restart is a reload as well.
fn remember(pending: &mut BTreeMap<String, Pending>, units: &[String], restart: bool) {
    let since = Utc::now();
    for unit in units {
        let restart = restart || pending.get(unit).is_some_and(|p| p.restart);
        pending.insert(unit.clone(), Pending { restart, since });
    }
}

/// Forgets what has been dealt with: what does not run will start with what is new, and so did what
/// was restarted since it was noted.
async fn settle<R: Reloader>(
    pending: &mut BTreeMap<String, Pending>,
    systemd: &R,
) -> Result<(), ApplyError> {
    if pending.is_empty() {
        return Ok(());
    }
    let units: Vec<String> = pending.keys().cloned().collect();
    let running = systemd.running(&units).await;
    let running = running.map_err(|source| systemd_error("see which agents run", source))?;
    let running: BTreeMap<&str, &Running> = running.iter().map(|r| (r.unit.as_str(), r)).collect();
    pending.retain(|unit, need| {
        running.get(unit.as_str()).is_some_and(|unit| {
            let dealt_with = if need.restart {
                unit.started
            } else {
                unit.changed
            };
            dealt_with < need.since
        })
    });
    Ok(())
}

/// Tells what running units need of what is pending or, with `now`, does it.
async fn follow_up<R: Reloader>(
    applied: &mut Applied,
    pending: &mut BTreeMap<String, Pending>,
    now: bool,
    systemd: &R,
) -> Result<(), ApplyError> {
    if pending.is_empty() {
        return Ok(());
    }
    let of = |restart: bool| {
        let those = pending.iter().filter(|(_, need)| need.restart == restart);
        those.map(|(unit, _)| unit.clone()).collect()
    };
    (applied.needs_restart, applied.needs_reload) = (of(true), of(false));
    if !now {
        return Ok(());
    }
    if !applied.needs_restart.is_empty() {
        let restarted = systemd.restart(&applied.needs_restart).await;
        restarted.map_err(|source| systemd_error("restart agents", source))?;
    }
    if !applied.needs_reload.is_empty() {
        let reloaded = systemd.reload(&applied.needs_reload).await;
        reloaded.map_err(|source| systemd_error("reload agents", source))?;
    }
    pending.clear();
    applied.done_now = true;
    Ok(())
}
