use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Serialize;

use super::{Failure, Global, Outcome, check, output};
use crate::api::ExitCode;
use crate::fleet::Loaded;
use crate::units::{self, Mode, Note, RenderContext, Rendered, SystemdVersion};

/// Print or write the unit files that the fleet file means; change nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --out everything is printed. With --out the files are written below DIR as the first
\"reconctl apply\" would write them below /etc/systemd/system, enablement links included.")]
pub struct Args {
    /// Write below this directory instead of printing.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Render for this version of systemd instead of the running one.
    #[arg(long, value_name = "N")]
    pub target_systemd: Option<SystemdVersion>,
}

#[derive(Serialize)]
struct Report<'a> {
    files: &'a BTreeMap<PathBuf, String>,
    notes: &'a [Note],
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let loaded = check::load(global)?;
    let rendered = rendered(global, &loaded, args.target_systemd)?;
    if let Some(dir) = &args.out {
        write(global, dir, &rendered)?;
    }
    if global.json || global.jsonl {
        output::json(&Report {
            files: &rendered.files,
            notes: &rendered.notes,
        })?;
    } else if let Some(dir) = &args.out {
        output::text(&format!(
            "{} files written below {}\n",
            rendered.files.len(),
            dir.display()
        ))?;
    } else {
        let all = rendered
            .files
            .iter()
            .map(|(path, text)| format!("# {}\n{text}", path.display()));
        output::text(&all.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(ExitCode::Ok)
}

fn write(global: &Global, dir: &Path, rendered: &Rendered) -> anyhow::Result<()> {
    let template = if global.user {
        "/usr/lib/systemd/user/recon@.service"
    } else {
        "/usr/lib/systemd/system/recon@.service"
    };
    units::write_all(dir, rendered).map_err(|(path, error)| {
        anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
    })?;
    for (name, preset) in rendered
        .presets
        .iter()
        .filter(|(_, preset)| preset.auto_start)
    {
        for target in &preset.targets {
            let path = dir.join(format!("{target}.wants")).join(name.unit());
            create_parent(&path)?;
            if fs::symlink_metadata(&path).is_err() {
                symlink(template, &path)
                    .with_context(|| format!("cannot make the link {}", path.display()))?;
            }
        }
    }
    Ok(())
}

fn create_parent(path: &Path) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// The unit files of a fleet for a version of systemd, by default the running one.
pub(super) fn rendered(
    global: &Global,
    loaded: &Loaded,
    target: Option<SystemdVersion>,
) -> Result<Rendered, Failure> {
    let version = match target {
        Some(version) => version,
        None => running_version()?,
    };
    let context = RenderContext {
        version,
        source: source(global),
        mode: Mode::Enablement,
        supervisor: global.supervisor(),
    };
    Ok(units::render(&loaded.fleet, &context))
}

/// The fleet file as the units name it: seen from inside the root.
fn source(global: &Global) -> Option<PathBuf> {
    let file = check::sources(global).fleet_file()?;
    let file = std::path::absolute(&file).unwrap_or(file);
    let root = std::path::absolute(&global.root).unwrap_or_else(|_| global.root.clone());
    match file.strip_prefix(&root) {
        Ok(inside) => Some(Path::new("/").join(inside)),
        Err(_) => Some(file),
    }
}

/// The version of systemd here.
pub(super) fn running_version() -> Result<SystemdVersion, Failure> {
    let help = "name the version with --target-systemd";
    let output = Command::new("systemctl").arg("--version").output();
    let output = output
        .with_context(|| format!("cannot ask systemctl for systemd's version; {help}"))
        .map_err(|error| Failure::new(ExitCode::SystemdUnreachable, error))?;
    String::from_utf8_lossy(&output.stdout)
        .parse()
        .map_err(|error: String| {
            Failure::new(
                ExitCode::SystemdUnreachable,
                anyhow::anyhow!("{error}; {help}"),
            )
        })
}
