use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::fragments::{Node, Table, Value, parse};
use super::merge::merge;
use super::section::Report;
use super::{Fleet, agents, env, files, validate};

/// The variable with the directory of `recon.toml` and `recon.d` in place of the system's. The units
/// of a user's systemd set it to `~/.config/recon`.
pub const CONFIG_DIR: &str = "RECON_CONFIG_DIR";

/// Where to read from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Everything is read below this directory (`/`).
    pub root: PathBuf,
    /// A fleet file to read in place of `ROOT/etc/recon/recon.toml`.
    pub file: Option<PathBuf>,
    /// The environment (`KAZE_SCAN_INTERVAL`, `DJANGO_API_BASE`, …).
    pub env: BTreeMap<String, String>,
}

impl Sources {
    /// The running system and the environment of this process.
    pub fn system() -> Self {
        Self {
            root: PathBuf::from("/"),
            file: None,
            env: environment(),
        }
    }

    /// The fleet file that is read, when there is one.
    pub fn fleet_file(&self) -> Option<PathBuf> {
        let file = self.fleet_path();
        (file.exists() && !files::is_masked(&file)).then_some(file)
    }

    /// Where the fleet file is, or would be.
    pub fn fleet_path(&self) -> PathBuf {
        let default = || match self.config_dir() {
            Some(dir) => dir.join("recon.toml"),
            None => self.root.join(files::FLEET_FILE),
        };
        self.file.clone().unwrap_or_else(default)
    }

    /// The one directory with a fleet file and drop-ins that is read instead of those of the system:
    /// a user's fleet is their own.
    fn config_dir(&self) -> Option<&Path> {
        let dir = Path::new(self.env.get(CONFIG_DIR)?);
        dir.is_absolute().then_some(dir)
    }
}

/// The environment of this process, as far as it is text.
pub fn environment() -> BTreeMap<String, String> {
    // Not std::env::vars, which panics on what is not text.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// The file, or `environment`.
    pub file: PathBuf,
    /// Line, from 1; 0 when there is none.
    pub line: usize,
    /// Dotted key (`agents.kaze.watchdog`); empty when there is none.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} error(s) in the fleet configuration:\n{}", .0.len(), lines(.0))]
pub struct Diagnostics(pub Vec<Diagnostic>);

fn lines(all: &[Diagnostic]) -> String {
    all.iter()
        .map(|d| format!("  {d}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A fleet and where its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The fleet.
    pub fleet: Fleet,
    /// Where each value came from, by dotted key; a key that is absent has its built-in default.
    pub origins: BTreeMap<String, String>,
}

/// The manifests of our own agents: packaged below /usr/lib/recon/agents.d as they are, and the
/// defaults where that directory is missing, so that there is one text of them.
const MANIFESTS: [(&str, &str); 7] = [
    ("hub", include_str!("../../packaging/agents.d/hub.toml")),
    ("kage", include_str!("../../packaging/agents.d/kage.toml")),
    ("kaze", include_str!("../../packaging/agents.d/kaze.toml")),
    ("kumo", include_str!("../../packaging/agents.d/kumo.toml")),
    ("ryu", include_str!("../../packaging/agents.d/ryu.toml")),
    (
        "sentinel",
        include_str!("../../packaging/agents.d/sentinel.toml"),
    ),
    ("suzu", include_str!("../../packaging/agents.d/suzu.toml")),
];

/// Profiles that exist without a fleet file.
const PROFILES: &str = r#"
[profiles]
full = ["hub", "kage", "kaze", "kumo", "suzu", "ryu"]
minimal = ["hub", "kaze"]
"#;

/// What a place is called that is no file.
const BUILT_IN: &str = "built-in";

/// Reads, merges and validates. Later wins, key by key: built-in defaults, vendor manifests, the
/// fleet file, drop-ins, the environment.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(sources: &Sources) -> Result<Loaded, Diagnostics> {
    read(sources, None)
}

/// As [`load`], as if the fleet file said this: what it would mean, before it is written.
///
/// # Errors
/// Everything that would be wrong, at once.
pub fn load_as(sources: &Sources, text: &str) -> Result<Loaded, Diagnostics> {
    read(sources, Some(text))
}

fn read(sources: &Sources, text: Option<&str>) -> Result<Loaded, Diagnostics> {
    let mut errors = Vec::new();
    let mut merged = manifests(&sources.root, &mut errors);
    let manifests = match merged.get("agents").map(|node| &node.value) {
        Some(Value::Table(agents)) => agents.clone(),
        _ => Table::new(),
    };
    for (path, text) in operator_files(sources, text, &mut errors) {
        let fragment = parse(&path, &text, &mut errors);
        merge(&mut merged, fragment, &mut errors);
    }
    if let Some(hub) = env::hub(&sources.env) {
        let place = hub.place.clone();
        let value = Value::Table(Table::from([("hub".to_owned(), hub)]));
        let over = Table::from([("fleet".to_owned(), Node { value, place })]);
        merge(&mut merged, over, &mut errors);
    }
    let context = agents::Context {
        manifests: &manifests,
        env: &sources.env,
    };
    complete_agents(&mut merged, &context, &mut errors);

    let report = Report::default();
    let fleet = validate::fleet(&merged, &report);
    errors.extend(report.into_errors());
    if errors.is_empty() {
        let mut origins = BTreeMap::new();
        collect_origins("", &merged, &mut origins);
        return Ok(Loaded { fleet, origins });
    }
    errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    errors.dedup();
    Err(Diagnostics(errors))
}

/// Built-in defaults and the vendor's manifests on top of them.
fn manifests(root: &Path, errors: &mut Vec<Diagnostic>) -> Table {
    let built_in = Path::new(BUILT_IN);
    let mut merged = parse(built_in, PROFILES, errors);
    for (_, text) in MANIFESTS {
        let fragment = parse(built_in, text, errors);
        merge(&mut merged, fragment, errors);
    }
    for path in files::in_dirs(root, &[files::MANIFESTS], errors) {
        let Some(text) = files::read(&path, errors) else {
            continue;
        };
        let mut manifest = parse(&path, &text, errors);
        let agents = manifest.remove("agents");
        // A package may bring an agent; what may be touched is for the operator alone to say.
        for (key, node) in &manifest {
            let message = "a manifest may contain only [agents.NAME] tables";
            errors.push(node.place.error(key, message));
        }
        let agents = agents
            .map(|node| ("agents".to_owned(), node))
            .into_iter()
            .collect();
        merge(&mut merged, agents, errors);
    }
    merged
}

/// The fleet file and its drop-ins, weakest first; `text` takes the place of what the fleet file says.
fn operator_files(
    sources: &Sources,
    text: Option<&str>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<(PathBuf, String)> {
    let main = sources.fleet_path();
    if sources.file.is_some() && text.is_none() && !main.exists() {
        errors.push(Diagnostic {
            file: main.clone(),
            line: 0,
            key: String::new(),
            message: "there is no such file".to_owned(),
        });
    }
    let drop_ins = match sources.config_dir() {
        Some(dir) => files::in_dirs(dir, &["recon.d"], errors),
        None => files::in_dirs(&sources.root, &files::DROP_INS, errors),
    };
    let first = match text {
        Some(text) => Some(text.to_owned()),
        None => files::read(&main, errors),
    };
    let first = first.map(|text| (main, text));
    let rest = drop_ins
        .into_iter()
        .filter_map(|path| files::read(&path, errors).map(|text| (path, text)));
    first.into_iter().chain(rest).collect()
}

fn complete_agents(
    merged: &mut Table,
    context: &agents::Context<'_>,
    errors: &mut Vec<Diagnostic>,
) {
    let Some(Value::Table(agents)) = merged.get_mut("agents").map(|node| &mut node.value) else {
        return;
    };
    for (name, node) in agents.iter_mut() {
        let complete = agents::complete(name, node, context, errors);
        if let Value::Table(table) = &mut node.value {
            *table = complete;
        }
    }
}

fn collect_origins(path: &str, table: &Table, origins: &mut BTreeMap<String, String>) {
    for (key, node) in table {
        let key = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match &node.value {
            Value::Table(table) => collect_origins(&key, table, origins),
            _ if node.place.file.as_os_str() == BUILT_IN => {}
            _ => {
                let file = node.place.file.display();
                let origin = match node.place.line {
                    0 => file.to_string(),
                    line => format!("{file}:{line}"),
                };
                origins.insert(key, origin);
            }
        }
    }
}
