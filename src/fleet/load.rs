use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{Fleet, Scope};

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
            env: std::env::vars().collect(),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Reads, merges and validates.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(_sources: &Sources) -> Result<Loaded, Diagnostics> {
    Ok(Loaded {
        fleet: Fleet {
            profile: "full".to_owned(),
            hub: "http://127.0.0.1:9000".to_owned(),
            scope: Scope::default(),
            profiles: BTreeMap::new(),
            agents: BTreeMap::new(),
        },
        origins: BTreeMap::new(),
    })
}
