//! Unit files on disk against what the fleet file means.

use std::path::Path;

use super::finding::{Area, Finding, Level};
use super::unit_file::is_masked;
use super::{Subject, Systemd};
use crate::systemd::{Manager, Options};
use crate::units::{ApplyError, ChangeKind, Destination, Permissions, Plan, Rendered, plan};

/// Compares what is rendered with what is installed.
pub fn installed(subject: &Subject<'_>, rendered: &Rendered) -> Result<Vec<Finding>, ApplyError> {
    let to = destination(subject.root)?;
    let manifest = to.manifest()?;
    let plan = plan(rendered, &to, &manifest, Permissions::default())?;
    let mut found = Vec::new();
    if manifest.files.is_empty() && plan.kept.is_empty() {
        let text =
            "no unit file has been made from the fleet file yet: the packaged unit is in force";
        found.push(warning(text).fix("reconctl apply"));
    } else {
        differing(&plan, &mut found);
    }
    for path in &plan.kept {
        let text = format!("{} was edited by hand", to.units.join(path).display());
        let fix =
            "put what should stay into a 90-local.conf beside it, then reconctl apply --force";
        found.push(warning(text).unit(unit_of(path)).fix(fix));
    }
    for path in &plan.leftovers {
        let text = "is no longer in the fleet, and its unit file is still there";
        found.push(
            warning(text)
                .unit(unit_of(path))
                .fix("reconctl apply --prune"),
        );
    }
    for unit in subject.units() {
        if is_masked(subject.root, &unit) {
            let fix = format!("systemctl unmask {unit}");
            found.push(
                warning("is masked: it cannot be started")
                    .unit(unit)
                    .fix(fix),
            );
        }
    }
    if manifest.reload_pending && subject.is_live() {
        let text = "systemd has not been told of the last unit files";
        found.push(warning(text).fix("reconctl apply"));
    }
    if found.is_empty() {
        let text = format!(
            "{} unit files are as the fleet file says",
            rendered.files.len()
        );
        found.push(Finding::new(Level::Ok, Area::Units, text));
    }
    Ok(found)
}

/// Where apply has written: /run when it has never written to /etc.
fn destination(root: &Path) -> Result<Destination, ApplyError> {
    let (etc, run) = (Destination::system(root), Destination::runtime(root));
    let only_run = etc.manifest()?.files.is_empty() && !run.manifest()?.files.is_empty();
    Ok(if only_run { run } else { etc })
}

fn differing(plan: &Plan, found: &mut Vec<Finding>) {
    for change in &plan.changes {
        let text = match change.kind {
            ChangeKind::Add => "has no unit file from the fleet file yet",
            ChangeKind::Modify | ChangeKind::Remove => "is not as the fleet file says",
        };
        let fix = "reconctl diff shows it, reconctl apply mends it";
        found.push(warning(text).unit(unit_of(&change.path)).fix(fix));
    }
    for path in plan.enable.iter().chain(&plan.disable) {
        let text = format!(
            "{}: not as the profiles of the fleet file say",
            path.display()
        );
        found.push(warning(text).fix("reconctl apply"));
    }
}

/// Units whose files changed since systemd read them.
pub async fn stale(subject: &Subject<'_>, systemd: &Systemd) -> Vec<Finding> {
    if !systemd.running {
        return Vec::new();
    }
    let asked = async {
        let manager = Manager::connect(Options::default()).await?;
        manager.states(&subject.units()).await
    };
    let states = match asked.await {
        Ok(states) => states,
        Err(error) => {
            let text = format!("systemd cannot be asked what it has read: {error}");
            return vec![Finding::new(Level::Note, Area::Units, text)];
        }
    };
    let stale = states.into_iter().filter(|state| state.need_daemon_reload);
    let text = "changed on disk since systemd read it";
    let finding = |unit: String| warning(text).unit(unit).fix("systemctl daemon-reload");
    stale.map(|state| finding(state.unit)).collect()
}

fn warning(text: impl Into<String>) -> Finding {
    Finding::new(Level::Warning, Area::Units, text)
}

/// The unit that a file below a unit directory belongs to.
fn unit_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.strip_suffix(".d").unwrap_or(&first).to_owned()
}
