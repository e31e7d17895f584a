use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs2::FileExt;

use super::apply::ApplyError;
use super::manifest::Manifest;
use super::render::DROP_IN;

/// Where unit files go, and where apply keeps its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Everything is below this directory.
    pub root: PathBuf,
    /// Unit directory, below the root.
    pub units: PathBuf,
    /// Directory of manifest and lock, below the root.
    pub state: PathBuf,
    /// Where systemd looks for units, strongest first, below the root.
    unit_path: Vec<PathBuf>,
}

/// Directories of a user's own (XDG base directories).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDirs {
    /// `$XDG_CONFIG_HOME`
    pub config: PathBuf,
    /// `$XDG_STATE_HOME`
    pub state: PathBuf,
    /// `$XDG_RUNTIME_DIR`
    pub runtime: PathBuf,
}

impl Destination {
    /// `/etc`: stays.
    pub fn system(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            units: root.join("etc/systemd/system"),
            state: root.join("var/lib/reconctl"),
            unit_path: system_unit_path(root),
        }
    }

    /// `/run`: until the next boot.
    pub fn runtime(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            units: root.join("run/systemd/system"),
            state: root.join("run/reconctl"),
            unit_path: system_unit_path(root),
        }
    }

    /// A user's own directory; `runtime` is the one that is gone with their last session.
    pub fn user(root: &Path, dirs: &UserDirs, runtime: bool) -> Self {
        let (units, state) = if runtime {
            (&dirs.runtime, dirs.runtime.join("reconctl"))
        } else {
            (&dirs.config, dirs.state.join("reconctl"))
        };
        Self {
            root: root.to_owned(),
            units: units.join("systemd/user"),
            state,
            unit_path: vec![
                dirs.config.join("systemd/user"),
                root.join("etc/systemd/user"),
                dirs.runtime.join("systemd/user"),
                root.join("usr/local/lib/systemd/user"),
                root.join("usr/lib/systemd/user"),
            ],
        }
    }

    fn manifest_path(&self) -> PathBuf {
        self.state.join("manifest.json")
    }

    /// Reads the manifest; none is an empty one.
    ///
    /// # Errors
    /// It cannot be read or is not a manifest.
    pub fn manifest(&self) -> Result<Manifest, ApplyError> {
        let path = self.manifest_path();
        match fs::read(&path) {
            Ok(bytes) => {
                let invalid = |source| io::Error::new(ErrorKind::InvalidData, source);
                let manifest: Manifest = serde_json::from_slice(&bytes)
                    .map_err(|source| ApplyError::io("read", &path, invalid(source)))?;
                Ok(manifest.confined())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Manifest::default()),
            Err(error) => Err(ApplyError::io("read", &path, error)),
        }
    }

    /// Writes the manifest when it says something new.
    pub(super) fn save(&self, manifest: &Manifest) -> Result<(), ApplyError> {
        let path = self.manifest_path();
        let mut text = serde_json::to_string_pretty(manifest)
            .map_err(|error| ApplyError::io("write", &path, error.into()))?;
        text.push('\n');
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        write_atomic(&path, &text)
    }

    /// Takes the lock; it is held until the file is dropped.
    pub(super) fn lock(&self) -> Result<File, ApplyError> {
        create_dir(&self.state)?;
        let path = self.state.join("lock");
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| ApplyError::io("open", &path, error))?;
        match FileExt::try_lock_exclusive(&lock) {
            Ok(()) => Ok(lock),
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => {
                Err(ApplyError::Locked(path))
            }
            Err(error) => Err(ApplyError::io("lock", &path, error)),
        }
    }

    /// The files in the unit directory that apply wrote, or that bear the name of one that it writes.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn applied(&self) -> Result<Vec<PathBuf>, ApplyError> {
        let mut found: BTreeSet<PathBuf> = self.manifest()?.files.into_keys().collect();
        let entries = fs::read_dir(&self.units).into_iter().flatten().flatten();
        let dirs = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let ours = dirs.filter(|name| name.starts_with("recon") && name.ends_with(".d"));
        found.extend(ours.map(|dir| Path::new(&dir).join(DROP_IN)));
        let there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        Ok(found
            .into_iter()
            .map(|path| self.units.join(path))
            .filter(there)
            .collect())
    }

    /// The text of a unit file; `None` when there is none. A link (`/dev/null` masks) is given as
    /// text that nobody renders, so that it counts as written by somebody else.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, path: &Path) -> Result<Option<String>, ApplyError> {
        let full = self.units.join(path);
        if let Ok(to) = fs::read_link(&full) {
            return Ok(Some(format!("link to {}\n", to.display())));
        }
        match fs::read(&full) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ApplyError::io("read", &full, error)),
        }
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), ApplyError> {
        write_atomic(&self.units.join(path), text)
    }

    /// Removes a file, and its drop-in directory when nothing else is in it.
    pub(super) fn remove(&self, path: &Path) -> Result<(), ApplyError> {
        let full = self.units.join(path);
        match fs::remove_file(&full) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ApplyError::io("remove", &full, error));
            }
            _ => {}
        }
        if let Some(dir) = full.parent().filter(|dir| *dir != self.units) {
            // It fails while somebody else's drop-ins are in it, which is as it should be.
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    /// Whether a link is there, leading anywhere.
    pub(super) fn has_link(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.units.join(path)).is_ok()
    }

    /// Whether a unit is masked by a link to /dev/null.
    pub(super) fn is_masked(&self, unit: &str) -> bool {
        let mut found = self.unit_path.iter().map(|dir| dir.join(unit));
        let found = found.find(|path| fs::symlink_metadata(path).is_ok());
        found
            .and_then(|path| fs::read_link(path).ok())
            .is_some_and(|to| to == Path::new("/dev/null"))
    }

    /// Enables a unit for a target as `systemctl enable` does.
    pub(super) fn link(&self, path: &Path) -> Result<(), ApplyError> {
        let full = self.units.join(path);
        if let Some(dir) = full.parent() {
            create_dir(dir)?;
        }
        match symlink(self.template(), &full) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(ApplyError::io("link", &full, error))
            }
            _ => Ok(()),
        }
    }

    /// Where the packaged template is, as seen from inside the root.
    fn template(&self) -> PathBuf {
        let name = "recon@.service";
        let mut found = self.unit_path.iter().map(|dir| dir.join(name));
        let found = found.find(|path| path.exists());
        // The last directory is the package's.
        let path = found.or_else(|| Some(self.unit_path.last()?.join(name)));
        let path = path.unwrap_or_default();
        match path.strip_prefix(&self.root) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => path,
        }
    }
}

fn system_unit_path(root: &Path) -> Vec<PathBuf> {
    [
        "etc/systemd/system",
        "run/systemd/system",
        "usr/local/lib/systemd/system",
        "usr/lib/systemd/system",
    ]
    .map(|dir| root.join(dir))
    .to_vec()
}

/// Modification time of a file in nanoseconds; `None` when there is none.
pub(super) fn mtime(path: &Path) -> Option<i64> {
    let meta = fs::metadata(path).ok()?;
    Some(
        meta.mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(meta.mtime_nsec()),
    )
}

fn create_dir(dir: &Path) -> Result<(), ApplyError> {
    fs::create_dir_all(dir).map_err(|error| ApplyError::io("create", dir, error))
}

/// Writes a file so that a reader, or a machine that loses its power, sees the old text or the new
/// one and nothing between.
fn write_atomic(path: &Path, text: &str) -> Result<(), ApplyError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    create_dir(dir)?;
    let attempt = || -> io::Result<()> {
        // The name does not end in .conf or .target: systemd never reads it.
        let mut temp = tempfile::Builder::new()
            .prefix(".recon-")
            .tempfile_in(dir)?;
        temp.write_all(text.as_bytes())?;
        temp.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
        temp.as_file().sync_all()?;
        temp.persist(path).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    };
    attempt().map_err(|error| ApplyError::io("write", path, error))
}
