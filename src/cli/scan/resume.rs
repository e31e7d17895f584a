use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::order::Order;
use crate::engines::ports::Checkpoint;
use crate::engines::ports::output::{HostScan, RunCounts};

/// The version of the file that this program writes and reads.
const VERSION: u32 = 1;

/// A scan that did not get to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Version of this file.
    pub version: u32,
    /// Version of recon that wrote it.
    pub recon: String,
    /// What is to be done.
    pub order: Order,
    /// Where the engine can go on; without it, hosts that are not complete are scanned anew.
    pub checkpoint: Option<Checkpoint>,
    /// The addresses that the checkpoint is about, when not all.
    #[serde(default)]
    pub left: Option<String>,
    /// When the scan began.
    pub started_at: DateTime<Utc>,
    /// Seconds of work so far.
    pub spent: f64,
    /// Probes by state so far.
    pub counts: RunCounts,
    /// What was found so far; `incomplete` hosts may have more.
    pub hosts: Vec<HostScan>,
}

/// What is read first: another version may have anything else.
#[derive(Deserialize)]
struct Head {
    version: u32,
    #[serde(default)]
    recon: String,
}

impl Saved {
    /// A file as this program writes it.
    pub fn new(order: Order, started_at: DateTime<Utc>) -> Self {
        Self {
            version: VERSION,
            recon: env!("CARGO_PKG_VERSION").to_owned(),
            order,
            checkpoint: None,
            left: None,
            started_at,
            spent: 0.0,
            counts: RunCounts::default(),
            hosts: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is none, is broken, or another version of recon wrote it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let head: Head = serde_json::from_str(&text)
            .map_err(|error| anyhow!("{shown} is no file of an interrupted scan: {error}"))?;
        if head.version != VERSION {
            bail!(
                "{shown} has version {} (recon {}), but this recon {} reads version {VERSION}: \
                 resume it with that recon, or scan anew",
                head.version,
                crate::runtime::text::display(&head.recon, 20),
                env!("CARGO_PKG_VERSION"),
            );
        }
        serde_json::from_str(&text)
            .map_err(|error| anyhow!("{shown} is broken, scan anew: {error}"))
    }

    /// Replaces the file as a whole, so that a crash leaves the old one or the new one. Only its
    /// owner may read what was found.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let name = || format!("cannot write {}", path.display());
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).with_context(name)?;
        let mut out = std::io::BufWriter::new(file.as_file_mut());
        serde_json::to_writer(&mut out, self)?;
        out.write_all(b"\n").with_context(name)?;
        out.flush().with_context(name)?;
        drop(out);
        file.as_file().sync_data().with_context(name)?;
        file.persist(path).with_context(name)?;
        Ok(())
    }
}

/// Where a new scan leaves its file, if it has to: a name of its own in the current directory.
pub fn new_path() -> PathBuf {
    let now = chrono::Local::now().format("%Y-%m-%d-%H%M%S");
    let name = |more: &str| PathBuf::from(format!("recon-scan-{now}{more}.resume"));
    match name("") {
        // Two scans in one second.
        taken if taken.exists() => name(&format!("-{}", std::process::id())),
        free => free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ScanSettings;

    fn saved() -> Saved {
        let order = Order {
            quality: super::super::order::Quality::Fast,
            targets: "10.0.0.0-10.0.0.9".to_owned(),
            names: std::collections::BTreeMap::new(),
            scope: Vec::new(),
            settings: ScanSettings::kaze(),
            dns: true,
            max_rate: 5000,
            command: "reconctl scan 10.0.0.0-9".to_owned(),
        };
        let mut saved = Saved::new(order, Utc::now());
        saved.checkpoint = Some(Checkpoint {
            seed: u64::MAX,
            place: 7,
            total: 10_000,
        });
        saved
    }

    #[test]
    fn a_file_reads_back_and_only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.resume");
        saved().write(&path).unwrap();
        saved().write(&path).unwrap();
        assert_eq!(Saved::read(&path).unwrap(), saved_at(&path));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// The same with the file's own time.
    fn saved_at(path: &Path) -> Saved {
        Saved {
            started_at: Saved::read(path).unwrap().started_at,
            ..saved()
        }
    }

    #[test]
    fn other_files_are_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.resume");
        let refused = |text: &str| {
            fs::write(&path, text).unwrap();
            format!("{:#}", Saved::read(&path).unwrap_err())
        };
        assert!(refused("").contains("is no file of an interrupted scan"));
        assert!(refused("{}").contains("is no file of an interrupted scan"));
        let other = refused(r#"{"version": 2, "recon": "9.0.0"}"#);
        assert!(other.contains("version 2 (recon 9.0.0)"), "{other}");
        assert!(refused(r#"{"version": 1}"#).contains("is broken"));
        let mut text = serde_json::to_string(&saved()).unwrap();
        text.truncate(text.len() - 9);
        assert!(refused(&text).contains("is no file"), "{}", refused(&text));
        let missing = Saved::read(&dir.path().join("none")).unwrap_err();
        assert!(format!("{missing:#}").contains("cannot read"));
    }
}
