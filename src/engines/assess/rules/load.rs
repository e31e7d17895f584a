//! Rules from directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::parse::{FILE_MAX, Parsed, parse};
use super::{Rule, RuleError, RuleSet};

/// Where the package has its rules.
pub const PACKAGED_DIR: &str = "/usr/share/recon/rules";
/// Where operators have theirs.
pub const LOCAL_DIR: &str = "/etc/recon/rules.d";

/// Files of one directory that are read.
const FILES_MAX: usize = 5000;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The rules in force. A file with errors leaves those of its id in force that were read before it.
    pub rules: RuleSet,
    /// Everything that is wrong with the files.
    pub errors: Vec<RuleError>,
    /// What is not wrong and yet not meant: a file that switches off what is no rule.
    pub notes: Vec<RuleError>,
}

impl RuleSet {
    /// The rule whose name is nearest to what is none, as the end of a message (`; did you mean "telnet"?`);
    /// empty when none is near.
    pub fn nearest(&self, id: &str) -> String {
        near(&self.rules, id)
    }

    /// Reads every `*.toml` of these directories, by name; a rule of a later directory takes the place of
    /// one of the same id, and `enabled = false` switches it off. A directory that is not there is empty.
    pub fn load(directories: &[PathBuf]) -> Loaded {
        let mut loaded = Loaded::default();
        for directory in directories {
            let files = match files(directory) {
                Ok(files) => files,
                Err(error) => {
                    loaded.errors.push(error);
                    continue;
                }
            };
            loaded.read(&files);
        }
        loaded
    }

    /// Reads these files, as one directory.
    pub fn load_files(files: &[PathBuf]) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.read(files);
        loaded
    }
}

impl Loaded {
    /// Reads files that may not have the same rule twice.
    fn read(&mut self, files: &[PathBuf]) {
        let mut here = BTreeSet::new();
        for file in files {
            let parsed = text(file).and_then(|text| parse(file, &text));
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(errors) => {
                    self.errors.extend(errors);
                    continue;
                }
            };
            let id = match &parsed {
                Parsed::Rule(rule, _) => rule.id.clone(),
                Parsed::Off(id) => id.clone(),
            };
            if !here.insert(id.clone()) {
                let message = format!("another file of the same directory has {id:?}");
                self.errors.push(error(file, "id", message));
                continue;
            }
            self.put(file, id, parsed);
        }
    }

    fn put(&mut self, file: &Path, id: String, parsed: Parsed) {
        let RuleSet { rules, disabled } = &mut self.rules;
        match parsed {
            Parsed::Rule(rule, true) => {
                disabled.remove(&id);
                rules.insert(id, *rule);
            }
            Parsed::Rule(_, false) | Parsed::Off(_) => {
                let was = rules.remove(&id);
                if was.is_none() && !disabled.contains_key(&id) {
                    let message =
                        format!("switches off {id:?}, which is no rule{}", near(rules, &id));
                    self.notes.push(error(file, "id", message));
                }
                disabled.insert(id, file.to_owned());
            }
        }
    }
}

/// The rule whose name is nearest to this one, as a question.
fn near(rules: &BTreeMap<String, Rule>, id: &str) -> String {
    let near = rules
        .keys()
        .map(|known| (strsim::jaro_winkler(id, known), known));
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
    match best.filter(|(near, _)| *near > 0.8) {
        Some((_, known)) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

fn error(file: &Path, key: &str, message: impl Into<String>) -> RuleError {
    RuleError {
        file: file.to_owned(),
        line: 0,
        key: key.to_owned(),
        message: message.into(),
    }
}

/// The rule files of a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>, RuleError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(failed) if failed.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(failed) => return Err(error(directory, "", format!("cannot be read: {failed}"))),
    };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            let message = format!("has more than {FILES_MAX} rules");
            return Err(error(directory, "", message));
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file, no more of it than a rule may have.
fn text(file: &Path) -> Result<String, Vec<RuleError>> {
    let read = || {
        let mut text = String::new();
        let most = u64::try_from(FILE_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        fs::File::open(file)?.take(most).read_to_string(&mut text)?;
        Ok(text)
    };
    let failed =
        |failed: std::io::Error| vec![error(file, "", format!("cannot be read: {failed}"))];
    read().map_err(failed)
}
