use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Diagnostic;

/// Vendor manifests, one an agent.
pub(super) const MANIFESTS: &str = "usr/lib/recon/agents.d";
/// The fleet file.
pub(super) const FLEET_FILE: &str = "etc/recon/recon.toml";
/// Drop-ins, weakest directory first: a file hides the same-named ones of the directories before it.
pub(super) const DROP_INS: [&str; 3] = [
    "usr/lib/recon/recon.d",
    "run/recon/recon.d",
    "etc/recon/recon.d",
];

/// The `*.toml` files of these directories (weakest first) in order of file name. A same-named file
/// in a later directory takes the place of an earlier one, and a link to /dev/null takes it away.
pub(super) fn in_dirs(root: &Path, dirs: &[&str], errors: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut by_name = BTreeMap::new();
    for dir in dirs {
        let dir = root.join(dir);
        match fs::read_dir(&dir) {
            Ok(entries) => {
                for path in entries.flatten().map(|entry| entry.path()) {
                    if let Some(name) = path.file_name()
                        && path.extension().is_some_and(|ext| ext == "toml")
                    {
                        by_name.insert(name.to_owned(), path);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => errors.push(unreadable(&dir, &error)),
        }
    }
    by_name
        .into_values()
        .filter(|path| !is_masked(path))
        .collect()
}

/// The text of a file, `None` when there is none or when it is a link to /dev/null.
pub(super) fn read(path: &Path, errors: &mut Vec<Diagnostic>) -> Option<String> {
    if is_masked(path) {
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            errors.push(unreadable(path, &error));
            None
        }
    }
}

/// Masked as systemd masks: a link to /dev/null. Compared as text, because below another root the
/// link leads outside it.
pub(super) fn is_masked(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic {
        file: path.to_path_buf(),
        line: 0,
        key: String::new(),
        message: format!("cannot read it: {error}"),
    }
}
