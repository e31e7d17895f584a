use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far an agent has got with its records, on disk, so that one that was killed goes on from there
/// at its next start. One file a record, with whatever the agent needs to go on.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// What an agent keeps of the work on one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint<T> {
    /// Form of the file; another one is of no use.
    version: u32,
    /// The record.
    record: Uuid,
    /// The lease under which it is worked on.
    lease: Option<Uuid>,
    /// When this was written.
    saved_at: DateTime<Utc>,
    /// How far the work is.
    pub work: T,
}

/// Form of the files.
const VERSION: u32 = 1;

/// What is older than this is not gone on with: the target has changed since.
const TOO_OLD: TimeDelta = TimeDelta::hours(24);

impl Checkpoints {
    /// Those in this state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("checkpoint"),
        }
    }

    /// Writes how far the work on a record is, in place of what was written before: a reader sees
    /// either the old or the new. It need not survive a power cut, so there is no fsync; a torn file
    /// is none.
    ///
    /// # Errors
    /// It cannot be written; what was there stays.
    pub fn save<T: Serialize>(&self, record: Uuid, lease: Option<Uuid>, work: T) -> io::Result<()> {
        let checkpoint = Checkpoint {
            version: VERSION,
            record,
            lease,
            saved_at: Utc::now(),
            work,
        };
        std::fs::create_dir_all(&self.dir)?;
        let path = self.path(record);
        let temporary = path.with_extension("tmp");
        let written = std::fs::write(&temporary, serde_json::to_vec(&checkpoint)?)
            .and_then(|()| std::fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// How far the work on a record was. What cannot be used is removed, and the log says why.
    pub fn load<T: DeserializeOwned>(&self, record: Uuid) -> Option<T> {
        let why = match self.read::<T>(record)? {
            Ok(checkpoint) => match checkpoint.useless(record) {
                None => return Some(checkpoint.work),
                Some(why) => why,
            },
            Err(error) => error.to_string(),
        };
        self.discard(record, &why);
        None
    }

    fn read<T: DeserializeOwned>(&self, record: Uuid) -> Option<io::Result<Checkpoint<T>>> {
        match std::fs::read(self.path(record)) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(Into::into)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Removes one that is of no use, and says why.
    pub fn discard(&self, record: Uuid, why: &str) {
        tracing::info!(EGGRECORD_ID = %record, "begins anew: the checkpoint is of no use ({why})");
        self.remove(record);
    }

    /// The work on a record is done.
    pub fn remove(&self, record: Uuid) {
        if let Err(error) = std::fs::remove_file(self.path(record))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, EGGRECORD_ID = %record, "cannot remove a checkpoint");
        }
    }

    /// The leases of those that can be gone on with. What an earlier process left behind of others is
    /// removed: torn files, those that are too old, and those whose results are on their way already
    /// (`ended`).
    pub fn tidy(&self, ended: &[Uuid]) -> Vec<Uuid> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut leases = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let record = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            match record {
                Some(record) if path.extension().is_some_and(|e| e == "json") => {
                    leases.extend(self.lease(record, ended));
                }
                _ => drop(std::fs::remove_file(&path)),
            }
        }
        leases
    }

    fn lease(&self, record: Uuid, ended: &[Uuid]) -> Option<Uuid> {
        let why = match self.read::<serde::de::IgnoredAny>(record)? {
            Ok(checkpoint) if checkpoint.lease.is_some_and(|lease| ended.contains(&lease)) => {
                self.remove(record);
                return None;
            }
            Ok(checkpoint) => match checkpoint.useless(record) {
                None => return checkpoint.lease,
                Some(why) => why,
            },
            Err(error) => error.to_string(),
        };
        self.discard(record, &why);
        None
    }

    fn path(&self, record: Uuid) -> PathBuf {
        self.dir.join(format!("{record}.json"))
    }
}

impl<T> Checkpoint<T> {
    /// Why it cannot be gone on with.
    fn useless(&self, record: Uuid) -> Option<String> {
        let age = Utc::now() - self.saved_at;
        if self.version != VERSION {
            return Some(format!("it has form {}", self.version));
        }
        if self.record != record {
            return Some("it is of another record".to_owned());
        }
        // A clock that was set back makes the age negative.
        (age.abs() > TOO_OLD).then(|| format!("it is of {}", self.saved_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> usize {
        std::fs::read_dir(dir.join("checkpoint")).map_or(0, Iterator::count)
    }

    /// Changes the file of a record.
    fn edit(dir: &Path, record: Uuid, field: &str, value: serde_json::Value) {
        let path = dir.join(format!("checkpoint/{record}.json"));
        let mut json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        json[field] = value;
        std::fs::write(path, json.to_string()).unwrap();
    }

    #[test]
    fn the_last_one_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        let (record, lease) = (Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(checkpoints.load::<u32>(record), None);
        checkpoints.save(record, Some(lease), 1_u32).unwrap();
        checkpoints.save(record, Some(lease), 2_u32).unwrap();
        assert_eq!(checkpoints.load::<u32>(record), Some(2));
        assert_eq!(checkpoints.tidy(&[]), [lease]);
        checkpoints.remove(record);
        checkpoints.remove(record);
        assert_eq!(checkpoints.load::<u32>(record), None);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn what_is_of_no_use_goes() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        let old = Utc::now() - TimeDelta::hours(25);
        let ahead = Utc::now() + TimeDelta::hours(25);
        for (field, value) in [
            ("version", serde_json::json!(2)),
            ("record", serde_json::json!(Uuid::now_v7())),
            ("saved_at", serde_json::json!(old)),
            ("saved_at", serde_json::json!(ahead)),
            ("work", serde_json::json!("another form")),
        ] {
            let record = Uuid::now_v7();
            checkpoints.save(record, None, 1_u32).unwrap();
            edit(dir.path(), record, field, value);
            assert_eq!(checkpoints.load::<u32>(record), None, "{field}");
            assert_eq!(files(dir.path()), 0, "{field}");
        }
    }

    #[test]
    fn a_start_finds_what_can_be_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(dir.path());
        let [good, old, done, torn] = [0; 4].map(|_| Uuid::now_v7());
        for record in [good, old, done, torn] {
            // The lease of a record has its id, here.
            checkpoints.save(record, Some(record), 1_u32).unwrap();
        }
        edit(
            dir.path(),
            old,
            "saved_at",
            serde_json::json!(Utc::now() - TimeDelta::hours(25)),
        );
        std::fs::write(dir.path().join(format!("checkpoint/{torn}.json")), "{").unwrap();
        std::fs::write(dir.path().join("checkpoint/x.tmp"), "{").unwrap();
        assert_eq!(checkpoints.tidy(&[done]), [good]);
        assert_eq!(files(dir.path()), 1);
        assert_eq!(
            Checkpoints::new(Path::new("/nonexistent")).tidy(&[]),
            [] as [Uuid; 0]
        );
    }
}
