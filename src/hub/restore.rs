//! A backup takes the place of the database of a hub that does not run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::store::StoreError;
use super::store::sqlite::{examine, revoke_as_in, settle};

/// Why a backup was not restored. The database is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A hub has it open.
    #[error("{} is in use: stop the hub first (reconctl stop hub)", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The backup is not one, or is damaged.
    #[error("{} cannot be used: {}", file.display(), problems.join("; "))]
    Unusable {
        /// The backup.
        file: PathBuf,
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// A database that cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// Files.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// Where the database that was there is now.
    pub kept: Option<PathBuf>,
    /// Tokens that were good when the backup was made and have been revoked since; they stay so.
    pub revoked: u64,
}

/// Puts `backup` in the place of `database`.
///
/// # Errors
/// The hub runs, the backup is damaged or of a newer version, or files cannot be written.
pub async fn restore(database: &Path, backup: &Path) -> Result<Restored, RestoreError> {
    let there = database.exists();
    if there {
        // One file again, with nothing left in a log: then it can be set aside.
        match settle(database).await {
            Ok(()) => {}
            Err(StoreError::Unavailable(_)) => {
                return Err(RestoreError::InUse {
                    path: database.to_owned(),
                });
            }
            // It may be damaged, which is a reason to restore.
            Err(problem) => {
                tracing::warn!(%problem, "the old database cannot be opened");
            }
        }
    }
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::read_dir(directory).map_err(at("cannot write in", directory))?;
    let new = copy(backup, directory)?;
    let problems = examine(new.path())
        .await
        .map_err(|source| RestoreError::Database {
            path: backup.to_owned(),
            source,
        })?;
    if !problems.is_empty() {
        return Err(RestoreError::Unusable {
            file: backup.to_owned(),
            problems,
        });
    }
    let mut restored = Restored::default();
    if there {
        match revoke_as_in(new.path(), database).await {
            Ok(revoked) => restored.revoked = revoked,
            Err(problem) => {
                tracing::warn!(%problem, "which tokens were revoked since the backup cannot be read");
            }
        }
    }
    own_as(new.path(), if there { database } else { directory })?;
    restored.kept = there.then(|| {
        let now = Utc::now().format("%Y%m%dT%H%M%S%3fZ");
        PathBuf::from(format!("{}.before-restore-{now}", database.display()))
    });
    if let Some(kept) = &restored.kept {
        set_aside(database, kept)?;
    }
    new.persist(database)
        .map_err(|e| at("cannot make", database)(e.error))?;
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(at("cannot write", directory))?;
    Ok(restored)
}

/// A copy in the directory of the database: what is looked at is what is then used.
fn copy(backup: &Path, directory: &Path) -> Result<tempfile::NamedTempFile, RestoreError> {
    let mut from = File::open(backup).map_err(at("cannot read", backup))?;
    let mut to = tempfile::Builder::new()
        .prefix(".restore-")
        .tempfile_in(directory)
        .map_err(at("cannot write in", directory))?;
    io::copy(&mut from, &mut to).map_err(at("cannot copy", backup))?;
    to.as_file()
        .sync_all()
        .map_err(at("cannot write in", directory))?;
    Ok(to)
}

/// The hub must be able to read it, and nobody else.
fn own_as(file: &Path, model: &Path) -> Result<(), RestoreError> {
    let metadata = fs::metadata(model).map_err(at("cannot look at", model))?;
    let mode = match metadata.is_dir() {
        true => 0o600,
        false => metadata.mode() & 0o777,
    };
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
        .and_then(|()| chown(file, Some(metadata.uid()), Some(metadata.gid())))
        .map_err(at("cannot give to the hub's user", file))
}

/// Sets the database aside; a log that could not be put into it goes along.
fn set_aside(database: &Path, kept: &Path) -> Result<(), RestoreError> {
    let with = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    for suffix in ["-wal", "-shm", ""] {
        let from = with(database, suffix);
        match fs::rename(&from, with(kept, suffix)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(at("cannot set aside", &from))?,
        }
    }
    Ok(())
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::File { what, path, source }
}
