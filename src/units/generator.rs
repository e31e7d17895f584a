use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::UnitFile;
use super::render::{DROP_IN, PROGRAMS, RenderContext, Rendered, source_path};
use super::targets;
use crate::fleet::Diagnostics;

/// What a generator makes of a fleet with errors: every agent refuses to start and says what they
/// are, instead of running with settings that nobody asked for. It exits with 78, so that systemd does
/// not try again.
pub fn refusal(errors: &Diagnostics, context: &RenderContext) -> Rendered {
    let errors: Vec<String> = errors.0.iter().map(|error| format!("  {error}")).collect();
    let mut header = vec!["Made by recon-generator: the fleet has errors, so no agent starts."];
    header.extend(errors.iter().map(String::as_str));
    header.push("Repair them, then run \"systemctl daemon-reload\".");
    let mut template = UnitFile::new(&header);
    source_path(template.section("Unit"), context);
    template
        .section("Service")
        .replace("ExecStart", format!("{PROGRAMS}/recon-generator --refuse"));

    let mut target = UnitFile::new(&header[..1]);
    target.section("Unit");
    source_path(&mut target, context);
    // The packaged profile: at boot something tries to start, and its failure is seen.
    target.set("Wants", targets::target("full"));
    let drop_in = |unit: &str| PathBuf::from(format!("{unit}.d")).join(DROP_IN);
    Rendered {
        files: [
            (drop_in("recon@.service"), template.to_string()),
            (drop_in("recon.target"), target.to_string()),
        ]
        .into(),
        ..Rendered::default()
    }
}

/// Writes unit files below a directory that is nobody else's, as it is for a generator.
///
/// # Errors
/// A file that cannot be written, with its path.
pub fn write_all(dir: &Path, rendered: &Rendered) -> Result<(), (PathBuf, io::Error)> {
    for (path, text) in &rendered.files {
        let path = dir.join(path);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| (path, error))?;
    }
    Ok(())
}
