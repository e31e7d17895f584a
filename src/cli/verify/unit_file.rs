//! What the unit files of a unit say together, drop-ins of an administrator's included, read from disk:
//! it works for an image, and with no systemd running.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where systemd looks for units, the strongest first (systemd.unit(5)).
const DIRS: [&str; 10] = [
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// Settings of a unit in the order in which systemd reads them.
#[derive(Debug, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Reads the files of a unit below a root; `None` when it has no unit file.
    pub fn read(root: &Path, unit: &str) -> Option<Self> {
        let template = template(unit);
        let main = find(root, unit).or_else(|| find(root, &template))?;
        let mut settings = Self::default();
        settings.add(&main);
        let mut drop_ins = BTreeMap::new();
        // Later ones take the place of earlier ones of the same name.
        for name in ["service".to_owned(), template, unit.to_owned()] {
            for dir in DIRS.iter().rev() {
                let dir = root.join(dir).join(format!("{name}.d"));
                for path in fs::read_dir(dir)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|e| e.path())
                {
                    if path.extension().is_some_and(|e| e == "conf")
                        && let Some(name) = path.file_name()
                    {
                        drop_ins.insert(name.to_owned(), path.clone());
                    }
                }
            }
        }
        for path in drop_ins.values() {
            settings.add(path);
        }
        Some(settings)
    }

    fn add(&mut self, path: &Path) {
        // What cannot be read is for systemd-analyze to report.
        let text = fs::read(path).unwrap_or_default();
        self.parse(&String::from_utf8_lossy(&text));
    }

    fn parse(&mut self, text: &str) {
        let mut line = String::new();
        for part in text.lines() {
            let part = part.trim();
            if part.starts_with(['#', ';']) {
                continue;
            }
            line.push_str(part.strip_suffix('\\').unwrap_or(part));
            if part.ends_with('\\') {
                line.push(' ');
                continue;
            }
            if let Some((key, value)) = line.split_once('=') {
                self.0
                    .push((key.trim().to_owned(), value.trim().to_owned()));
            }
            line.clear();
        }
    }

    /// The last value of a setting that has one.
    pub fn last(&self, key: &str) -> Option<&str> {
        let values = self.0.iter().filter(|(k, _)| k == key);
        values
            .map(|(_, v)| v.as_str())
            .next_back()
            .filter(|v| !v.is_empty())
    }

    /// Whether a setting is on.
    pub fn is_on(&self, key: &str) -> bool {
        matches!(self.last(key), Some("yes" | "true" | "on" | "1"))
    }

    /// The values of a setting that is a list; an empty one starts it afresh.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let mut list = Vec::new();
        for (_, value) in self.0.iter().filter(|(k, _)| k == key) {
            if value.is_empty() {
                list.clear();
            } else {
                list.push(value.as_str());
            }
        }
        list
    }

    /// The words of a setting that is a list of words.
    pub fn words(&self, key: &str) -> Vec<&str> {
        self.list(key)
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect()
    }
}

/// The file of a unit.
pub fn find(root: &Path, unit: &str) -> Option<PathBuf> {
    DIRS.iter()
        .map(|dir| root.join(dir).join(unit))
        .find(|path| fs::symlink_metadata(path).is_ok())
}

/// Whether a unit is masked: a link to /dev/null takes its place.
pub fn is_masked(root: &Path, unit: &str) -> bool {
    find(root, unit)
        .is_some_and(|path| fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null")))
}

fn template(unit: &str) -> String {
    match unit.split_once('@') {
        Some((name, _)) => format!("{name}@.service"),
        None => unit.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_come_after_the_template_in_order_of_name() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "usr/lib/systemd/system/recon@.service",
            "[Service]\n# User=no\nUser=recon\nCapabilityBoundingSet=\nIPAddressDeny=any\n",
        );
        write(
            "etc/systemd/system/recon@kaze.service.d/90-local.conf",
            "[Service]\nIPAddressDeny=\nLoadCredential=a:/x\nLoadCredential=b:/y\n",
        );
        write(
            "run/systemd/system/recon@kaze.service.d/50-recon.conf",
            "[Service]\nUser=other\nCapabilityBoundingSet=CAP_NET_RAW \\\n  CAP_NET_ADMIN\nDynamicUser=yes\n",
        );
        write(
            "etc/systemd/system/recon@.service.d/50-recon.conf",
            "[Service]\nUser=hidden\n",
        );
        let settings = Settings::read(root.path(), "recon@kaze.service").unwrap();
        assert_eq!(settings.last("User"), Some("other"));
        assert_eq!(
            settings.words("CapabilityBoundingSet"),
            ["CAP_NET_RAW", "CAP_NET_ADMIN"]
        );
        assert_eq!(settings.list("LoadCredential"), ["a:/x", "b:/y"]);
        assert!(settings.list("IPAddressDeny").is_empty());
        assert!(settings.is_on("DynamicUser"));
        assert!(Settings::read(root.path(), "other@x.service").is_none());
        assert!(!is_masked(root.path(), "recon@kaze.service"));
    }
}
