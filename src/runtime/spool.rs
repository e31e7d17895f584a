use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Results on their way to the hub: one file a result, on disk before it is sent, gone only when
/// the hub has it. Names are UUIDv7, so that the order of names is the order of time.
///
/// The cap does not throw anything away: a spool over its cap means that the agent takes no new
/// work until the hub has caught up.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    cap_bytes: u64,
}

/// One result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spooled {
    /// Identity in the spool.
    pub id: Uuid,
    /// Path below the recon API (`daemon/kaze/scan/`).
    pub path: String,
    /// Idempotency key: the lease, when there was one, so that one lease yields one result.
    pub key: Uuid,
    /// The lease that this result ends.
    pub lease_id: Option<Uuid>,
    /// What was worked on, for messages.
    pub target: String,
    /// The body, byte for byte.
    pub body: Box<RawValue>,
}

impl Spool {
    /// Opens or makes the spool in this directory; leftovers of a write that did not finish are
    /// removed.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(dir: PathBuf, cap_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir, cap_bytes })
    }

    /// Puts a result on disk: temporary file, fsync, rename, fsync of the directory.
    ///
    /// # Errors
    /// It could not be written; then nothing of it is left.
    pub fn put(&self, result: &Spooled) -> io::Result<()> {
        let path = self.path(result.id);
        let temporary = path.with_extension("tmp");
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(&serde_json::to_vec(result)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()
        });
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// The results, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn ids(&self) -> io::Result<Vec<Uuid>> {
        let mut ids = Vec::new();
        for path in self.files()? {
            match path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok())
            {
                Some(id) => ids.push(id),
                None => self.set_aside(&path)?,
            }
        }
        Ok(ids)
    }

    /// One result; `None` when it is gone, or cannot be read now. A file that is no result is set
    /// aside, not lost.
    pub fn read(&self, id: Uuid) -> Option<Spooled> {
        let path = self.path(id);
        match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => {
                tracing::error!(%error, path = %path.display(), "spool file set aside");
                if let Err(error) = self.set_aside(&path) {
                    tracing::error!(%error, path = %path.display(), "cannot set it aside");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, path = %path.display(), "cannot read"),
        }
        None
    }

    /// The hub has it.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, id: Uuid) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The hub will never take it: it goes to `rejected/`, where an operator can look at it.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub fn reject(&self, id: Uuid) -> io::Result<()> {
        let path = self.path(id);
        if path.exists() {
            self.set_aside(&path)
        } else {
            Ok(())
        }
    }

    /// Number of results and their size in bytes.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn depth(&self) -> io::Result<(u64, u64)> {
        let mut bytes = 0;
        let files = self.files()?;
        for path in &files {
            bytes += fs::metadata(path).map_or(0, |m| m.len());
        }
        Ok((files.len() as u64, bytes))
    }

    /// Whether so much waits for the hub that no new work should be taken.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_full(&self) -> io::Result<bool> {
        Ok(self.depth()?.1 >= self.cap_bytes)
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let rejected = self.dir.join("rejected");
        fs::create_dir_all(&rejected)?;
        match path.file_name() {
            Some(name) => fs::rename(path, rejected.join(name)),
            None => Ok(()),
        }
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(target: &str) -> Spooled {
        Spooled {
            id: Uuid::now_v7(),
            path: "daemon/kaze/scan/".into(),
            key: Uuid::now_v7(),
            lease_id: None,
            target: target.into(),
            body: serde_json::value::to_raw_value(&serde_json::json!({"a": 1})).unwrap(),
        }
    }

    #[test]
    fn keeps_order_and_bytes_until_removed() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().into(), 1 << 20).unwrap();
        let results: Vec<_> = ["a", "b", "c"].into_iter().map(result).collect();
        for r in results.iter().rev() {
            spool.put(r).unwrap();
        }
        let again = Spool::open(dir.path().into(), 1 << 20).unwrap();
        let read = |spool: &Spool| -> Vec<Spooled> {
            spool
                .ids()
                .unwrap()
                .into_iter()
                .filter_map(|id| spool.read(id))
                .collect()
        };
        let listed = read(&again);
        assert_eq!(
            listed.iter().map(|r| r.target.as_str()).collect::<String>(),
            "abc"
        );
        assert_eq!(listed[0].body.get(), results[0].body.get());
        again.remove(listed[0].id).unwrap();
        again.remove(listed[0].id).unwrap();
        assert_eq!(again.depth().unwrap().0, 2);
    }

    #[test]
    fn full_refuses_nothing_and_rejects_aside() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().into(), 10).unwrap();
        assert!(!spool.is_full().unwrap());
        let r = result("a");
        spool.put(&r).unwrap();
        assert!(spool.is_full().unwrap());
        spool.reject(r.id).unwrap();
        assert!(spool.ids().unwrap().is_empty());
        assert!(
            dir.path()
                .join("rejected")
                .join(format!("{}.json", r.id))
                .exists()
        );
    }

    #[test]
    fn torn_and_foreign_files_do_not_stop_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.tmp"), "{").unwrap();
        fs::write(dir.path().join("0.json"), "{").unwrap();
        let spool = Spool::open(dir.path().into(), 10).unwrap();
        assert!(!dir.path().join("x.tmp").exists());
        spool.put(&result("a")).unwrap();
        assert_eq!(spool.ids().unwrap().len(), 1);
        assert!(dir.path().join("rejected/0.json").exists());
    }
}
