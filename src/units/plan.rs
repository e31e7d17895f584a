use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::apply::ApplyError;
use super::diff::{Change, ChangeKind, changes};
use super::disk::Destination;
use super::manifest::Manifest;
use super::render::Rendered;
use crate::fleet::AgentName;

/// What apply would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Files that will be written or, when pruning, removed.
    pub changes: Vec<Change>,
    /// Files that somebody else wrote or edited, and that are kept as they are (without `--force`).
    pub kept: Vec<PathBuf>,
    /// Owned files of what left the fleet, kept without `--prune`.
    pub leftovers: Vec<PathBuf>,
    /// Links to make: agents that are enabled.
    pub enable: Vec<PathBuf>,
    /// Links to remove: agents that left a profile or, when pruning, the fleet.
    pub disable: Vec<PathBuf>,
    /// Units that leave the fleet and are stopped first.
    pub stop: Vec<String>,
}

/// What may be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Overwrite and remove files that were edited by hand.
    pub force: bool,
    /// Remove what left the fleet.
    pub prune: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.enable.is_empty() && self.disable.is_empty()
    }
}

/// Compares what is rendered with what is on disk.
///
/// # Errors
/// A unit file cannot be read.
pub fn plan(
    rendered: &Rendered,
    to: &Destination,
    manifest: &Manifest,
    may: Permissions,
) -> Result<Plan, ApplyError> {
    let mut plan = Plan::default();
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    for (path, text) in &rendered.files {
        match to.read(path)? {
            Some(there) if there != *text && !manifest.wrote(path, &there) && !may.force => {
                plan.kept.push(path.clone());
                continue;
            }
            Some(there) => drop(old.insert(path.clone(), there)),
            None => {}
        }
        new.insert(path.clone(), text.clone());
    }
    for path in manifest
        .files
        .keys()
        .filter(|path| !rendered.files.contains_key(*path))
    {
        let Some(there) = to.read(path)? else {
            continue;
        };
        if !may.prune {
            plan.leftovers.push(path.clone());
        } else if may.force || manifest.wrote(path, &there) {
            old.insert(path.clone(), there);
        } else {
            plan.kept.push(path.clone());
        }
    }
    plan.changes = changes(&old, &new);
    plan.stop = gone(rendered, manifest, may);
    enablement(&mut plan, rendered, to, manifest, may);
    Ok(plan)
}

fn gone(rendered: &Rendered, manifest: &Manifest, may: Permissions) -> Vec<String> {
    let left = manifest
        .seen
        .keys()
        .filter(|name| !rendered.presets.contains_key(*name));
    left.filter(|_| may.prune).map(AgentName::unit).collect()
}

/// Decides about links for (agent, target) pairs that are new, and about those of pairs that are no
/// more. All others are the administrator's.
fn enablement(
    plan: &mut Plan,
    rendered: &Rendered,
    to: &Destination,
    manifest: &Manifest,
    may: Permissions,
) {
    let no_targets = Vec::new();
    for (name, preset) in &rendered.presets {
        let seen = manifest.seen.get(name);
        let decided = seen.unwrap_or(&no_targets);
        let on = match seen {
            None => preset.auto_start,
            // In no profile until now: nobody has decided anything.
            Some(targets) if targets.is_empty() => preset.auto_start,
            Some(targets) => targets
                .iter()
                .any(|target| to.has_link(&link(target, name))),
        };
        let fresh = preset
            .targets
            .iter()
            .filter(|target| !decided.contains(target));
        let fresh = fresh
            .map(|target| link(target, name))
            .filter(|path| !to.has_link(path));
        if on && !to.is_masked(&name.unit()) {
            plan.enable.extend(fresh);
        }
        let stale = decided
            .iter()
            .filter(|target| !preset.targets.contains(target));
        plan.disable.extend(stale.map(|target| link(target, name)));
    }
    for (name, targets) in &manifest.seen {
        if may.prune && !rendered.presets.contains_key(name) {
            plan.disable
                .extend(targets.iter().map(|target| link(target, name)));
        }
    }
    plan.disable.retain(|path| to.has_link(path));
}

fn link(target: &str, agent: &AgentName) -> PathBuf {
    PathBuf::from(format!("{target}.wants")).join(agent.unit())
}

/// The agents whose own drop-in changes.
pub(super) fn touched(plan: &Plan) -> BTreeSet<String> {
    plan.changes
        .iter()
        .filter(|change| change.kind != ChangeKind::Remove)
        .filter_map(|change| unit_of(&change.path))
        .collect()
}

fn unit_of(path: &Path) -> Option<String> {
    let dir = path.parent()?.to_str()?;
    let unit = dir.strip_suffix(".d")?;
    unit.starts_with("recon@").then(|| unit.to_owned())
}
