use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use similar::TextDiff;

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is not there yet.
    Add,
    /// It says something else.
    Modify,
    /// It is no longer wanted.
    Remove,
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Path below the unit directory.
    pub path: PathBuf,
    /// How it differs.
    pub kind: ChangeKind,
    /// A unified diff.
    pub diff: String,
}

/// What has to change for `old` to become `new`, in order of path.
pub fn changes(old: &BTreeMap<PathBuf, String>, new: &BTreeMap<PathBuf, String>) -> Vec<Change> {
    let paths: BTreeSet<&PathBuf> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let kind = match (old.get(path), new.get(path)) {
                (None, _) => ChangeKind::Add,
                (_, None) => ChangeKind::Remove,
                (Some(a), Some(b)) if a == b => return None,
                _ => ChangeKind::Modify,
            };
            let text = |files: &BTreeMap<PathBuf, String>| files.get(path).cloned();
            Some(Change {
                path: path.clone(),
                kind,
                diff: unified(path, text(old).as_deref(), text(new).as_deref()),
            })
        })
        .collect()
}

/// A unified diff of two states of a file; `None` is a file that is not there.
pub fn unified(path: &Path, old: Option<&str>, new: Option<&str>) -> String {
    let name = |side: &str, there: bool| {
        if there {
            format!("{side}/{}", path.display())
        } else {
            "/dev/null".to_owned()
        }
    };
    let (from, to) = (name("a", old.is_some()), name("b", new.is_some()));
    TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default())
        .unified_diff()
        .header(&from, &to)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_added_changed_and_removed_files() {
        let map = |list: &[(&str, &str)]| {
            list.iter()
                .map(|(p, t)| (PathBuf::from(p), (*t).to_owned()))
                .collect()
        };
        let old = map(&[("a", "1\n"), ("b", "1\n"), ("c", "1\n")]);
        let new = map(&[("b", "2\n"), ("c", "1\n"), ("d", "1\n")]);
        let found = changes(&old, &new);
        let kinds: Vec<_> = found
            .iter()
            .map(|c| (c.path.to_str().unwrap(), c.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("a", ChangeKind::Remove),
                ("b", ChangeKind::Modify),
                ("d", ChangeKind::Add)
            ]
        );
        assert_eq!(found[1].diff, "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-1\n+2\n");
        assert!(found[2].diff.starts_with("--- /dev/null\n+++ b/d\n"));
    }
}
