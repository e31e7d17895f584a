/// What editors, archivers and people append to the name of a file that they keep.
const APPENDED: [&str; 12] = [
    "~", ".bak", ".old", ".orig", ".save", ".swp", ".tmp", ".1", ".copy", ".zip", ".tar.gz", ".gz",
];

/// What they put in place of its extension.
const REPLACED: [&str; 6] = ["bak", "old", "orig", "zip", "tar.gz", "txt"];

/// What they put between name and extension.
const BETWEEN: [&str; 5] = ["-old", "_old", ".old", "-backup", "_bak"];

/// What a directory is packed as.
const PACKED: [&str; 6] = [".zip", ".tar.gz", ".tgz", ".rar", ".bak", ".old"];

/// Where copies of what was found may be.
pub(super) fn backups(path: &str, directory: bool) -> Vec<String> {
    let path = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    if directory {
        return PACKED.iter().map(|end| format!("{path}{end}")).collect();
    }
    let (parent, name) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
    let mut all: Vec<_> = APPENDED.iter().map(|end| format!("{path}{end}")).collect();
    // vim's swap file.
    all.push(format!("{parent}.{name}.swp"));
    if let Some((stem, extension)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        let others = REPLACED.iter().filter(|other| **other != extension);
        all.extend(others.map(|other| format!("{parent}{stem}.{other}")));
        all.extend(
            BETWEEN
                .iter()
                .map(|mark| format!("{parent}{stem}{mark}.{extension}")),
        );
    }
    all
}

/// Whether a path is itself a copy, of which no copies are looked for.
pub(super) fn is_backup(path: &str) -> bool {
    APPENDED
        .iter()
        .chain(&PACKED)
        .any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_the_names_that_they_have() {
        let of = backups("/a/config.php", false);
        for name in [
            "/a/config.php~",
            "/a/.config.php.swp",
            "/a/config.bak",
            "/a/config-old.php",
        ] {
            assert!(of.iter().any(|path| path == name), "{name} in {of:?}");
        }
        assert!(backups("/a/b/", true).contains(&"/a/b.tar.gz".to_owned()));
        assert!(is_backup("/a/config.php.bak") && !is_backup("/a/config.php"));
        assert!(
            backups("/.env", false)
                .iter()
                .all(|path| path.starts_with("/."))
        );
    }
}
