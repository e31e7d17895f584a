//! One hub for one SQLite file: two would hand out the same work twice.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::warn;

/// The lock of a database, an empty file beside it. The kernel undoes the lock when the process
/// ends, however it ends (flock(2)); a file that is left behind hinders nobody.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    path: PathBuf,
    _file: File,
}

/// Another hub has the database.
#[derive(Debug)]
pub(super) struct InUse;

impl DatabaseLock {
    /// Takes the lock of this database. `None` when there can be none here; what is wrong with the
    /// directory, the database itself says better.
    pub(super) fn take(database: &Path) -> Result<Option<Self>, InUse> {
        let path = beside(database);
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path);
            let locked = file.map_err(TryLockError::Error).and_then(|file| {
                file.try_lock()?;
                Ok(file)
            });
            match locked {
                // The hub that had it may have removed the file in between.
                Ok(file) if !is_at(&file, &path) => {}
                Ok(file) => return Ok(Some(Self { path, _file: file })),
                Err(TryLockError::WouldBlock) => return Err(InUse),
                Err(TryLockError::Error(error)) => {
                    warn!(
                        file = %path.display(), %error,
                        "the database cannot be locked: a second hub on it would not be noticed"
                    );
                    return Ok(None);
                }
            }
        }
    }
}

impl Drop for DatabaseLock {
    fn drop(&mut self) {
        // It is still locked: whoever opens it now looks again. One that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock's path: the same by whichever way the database is reached.
fn beside(database: &Path) -> PathBuf {
    let real = fs::canonicalize(database).or_else(|_| {
        let parent = database.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = fs::canonicalize(parent.unwrap_or(Path::new(".")))?;
        Ok::<_, std::io::Error>(parent.join(database.file_name().unwrap_or_default()))
    });
    let mut path = real
        .unwrap_or_else(|_| database.to_owned())
        .into_os_string();
    path.push(".lock");
    path.into()
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("hub.db");
        let lock = DatabaseLock::take(&database).unwrap().unwrap();
        assert!(DatabaseLock::take(&database).is_err());
        fs::write(&database, "").unwrap();
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        assert!(DatabaseLock::take(&link).is_err());
        assert!(DatabaseLock::take(&dir.path().join("other.db")).is_ok());
        drop(lock);
        assert!(!dir.path().join("hub.db.lock").exists());
        fs::write(dir.path().join("hub.db.lock"), "").unwrap();
        assert!(DatabaseLock::take(&link).unwrap().is_some(), "left behind");
        let nowhere = dir.path().join("no/hub.db");
        assert!(DatabaseLock::take(&nowhere).unwrap().is_none());
    }
}
