use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use fs2::FileExt;

use crate::api::ExitCode;
use crate::cli::Failure;

/// How long to wait for somebody else who is changing the file.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// Mode of a fleet file that is new. There are no secrets in it, and its agents must read it.
const MODE: u32 = 0o644;

/// The fleet file while it is being changed: nobody else changes it meanwhile through reconctl.
#[derive(Debug)]
pub struct FleetFile {
    /// What it says; `None` when there is none.
    pub text: Option<String>,
    /// The file itself, where the name is a link.
    real: PathBuf,
    dir: PathBuf,
    /// The directory, locked: a lock on the file would go with the file when it is replaced.
    _lock: File,
}

impl FleetFile {
    /// Locks and reads it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if fs::read_link(path).is_ok_and(|to| to == Path::new("/dev/null")) {
            return Err(anyhow!("{} is masked: a link to /dev/null", path.display()).into());
        }
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let dir = match real.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&dir).map_err(|error| failure("create", &dir, error))?;
        let lock = lock(&dir)?;
        let text = match fs::read_to_string(&real) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failure("read", &real, error)),
        };
        Ok(Self {
            text,
            real,
            dir,
            _lock: lock,
        })
    }

    /// Puts another text in its place. A reader, or a machine that loses its power, sees the old one
    /// or the new one and nothing between; mode and owner stay.
    pub fn replace(&self, text: &str) -> Result<(), Failure> {
        self.write(text)
            .map_err(|error| failure("write", &self.real, error))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        // The name does not end in .toml: it is no drop-in, should it ever be left over.
        let mut temp = tempfile::Builder::new()
            .prefix(".recon-")
            .tempfile_in(&self.dir)?;
        temp.write_all(text.as_bytes())?;
        let mode = match fs::metadata(&self.real) {
            Ok(old) => {
                let new = temp.as_file().metadata()?;
                if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                    fchown(temp.as_file(), Some(old.uid()), Some(old.gid()))?;
                }
                old.mode() & 0o7777
            }
            Err(_) => MODE,
        };
        temp.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        temp.as_file().sync_all()?;
        temp.persist(&self.real).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let file = File::open(dir).map_err(|error| failure("open", dir, error))?;
    let end = Instant::now() + LOCK_LIMIT;
    loop {
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() != fs2::lock_contended_error().kind() => {
                return Err(failure("lock", dir, error));
            }
            Err(_) if Instant::now() > end => {
                let error = anyhow!(
                    "somebody else is changing the fleet file and holds {}; try again",
                    dir.display()
                );
                return Err(error.into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn failure(verb: &str, path: &Path, error: io::Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::PermissionDenied => ExitCode::NotPermitted,
        _ => ExitCode::Failure,
    };
    let what = format!("cannot {verb} {}", path.display());
    Failure::new(code, anyhow::Error::new(error).context(what))
}
