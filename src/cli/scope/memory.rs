use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the names resolved to when they last did. It only outlives a failure of the resolver; what
/// is in force is for systemd to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// By name.
    pub names: BTreeMap<String, Known>,
}

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// All that it resolved to, in scope or not.
    pub addresses: Vec<IpAddr>,
    /// When, if it ever did.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Why it does not resolve now, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Memory {
    fn path(root: &Path) -> PathBuf {
        root.join("run/recon-scope/addresses.json")
    }

    /// What an earlier run wrote; one that cannot be read is as good as none.
    pub fn load(root: &Path) -> Self {
        std::fs::read(Self::path(root))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Writes it for the next run.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, root: &Path) -> io::Result<()> {
        let path = Self::path(root);
        let dir = path.parent().unwrap_or(root);
        std::fs::create_dir_all(dir)?;
        let mut file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(dir)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(io::Error::from)?;
        file.write_all(b"\n")?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The disk.
    pub fn forget(root: &Path) -> io::Result<()> {
        match std::fs::remove_file(Self::path(root)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_and_forgotten() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(root.path()), Memory::default());
        let known = Known {
            addresses: vec!["203.0.113.2".parse().unwrap()],
            resolved_at: Some(Utc::now()),
            problem: None,
        };
        let memory = Memory {
            names: BTreeMap::from([("app.example.org".to_owned(), known)]),
        };
        memory.save(root.path()).unwrap();
        assert_eq!(Memory::load(root.path()), memory);
        for _ in 0..2 {
            Memory::forget(root.path()).unwrap();
            assert_eq!(Memory::load(root.path()), Memory::default());
        }
    }
}
