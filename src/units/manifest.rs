use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fleet::AgentName;

/// What apply owns and has done, so that it never deletes or overwrites what somebody else wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Owned files by path below the unit directory: the hashes of what apply wrote there. Two while
    /// a new text is being written, so that an apply that was cut off is not taken for a hand edit.
    pub files: BTreeMap<PathBuf, Vec<String>>,
    /// Agents that have been seen, and the targets whose enablement was decided for each. From then
    /// on `systemctl enable` and `disable` decide.
    pub seen: BTreeMap<AgentName, Vec<String>>,
    /// Hash of what each agent reads from the fleet file for itself.
    pub settings: BTreeMap<AgentName, String>,
    /// Modification time of the fleet file, in nanoseconds, as systemd last saw it by `SourcePath=`.
    pub source_mtime: Option<i64>,
    /// Files changed, and systemd was not told yet.
    pub reload_pending: bool,
    /// Units that ran while something of theirs changed, and what they need to follow it.
    pub pending: BTreeMap<String, Pending>,
}

/// What a running unit needs to follow the fleet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// A restart; else a reload is enough.
    pub restart: bool,
    /// When apply made the change: what happened to the unit later has dealt with it.
    pub since: DateTime<Utc>,
}

impl Manifest {
    /// Without paths that lead out of the unit directory, whoever wrote them.
    pub(super) fn confined(mut self) -> Self {
        let below = |path: &std::path::Path| {
            let mut parts = path.components();
            parts.all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        self.files.retain(|path, _| below(path));
        self
    }

    /// Whether apply wrote this text to this path.
    pub fn wrote(&self, path: &std::path::Path, text: &str) -> bool {
        let hash = hash(text);
        self.files
            .get(path)
            .is_some_and(|known| known.contains(&hash))
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
