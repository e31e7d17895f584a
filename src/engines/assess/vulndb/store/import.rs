use std::cell::Cell;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::error::{Error, ImportError};
use super::super::feed::{self, Feed, Limits, Tracker};
use super::super::model::{Configuration, Cve, CveId, Distribution, Fix};
use super::read::Store;
use super::sorter::Sorter;
use super::write::Writer;
use super::{Info, Part};

/// Feeds on their way into a database.
///
/// What was there before stays, unless a feed has something newer: of NVD and the CVE list entry by entry,
/// of the others, which are complete each time, all at once. The same feeds make the same file, byte by byte.
pub struct Importer {
    path: PathBuf,
    directory: PathBuf,
    /// Held until the end, so that two imports do not undo each other.
    _lock: File,
    old: Option<Store>,
    sorter: Sorter,
    limits: Limits,
    left: Cell<u64>,
    files: u32,
    snapshots: Snapshots,
}

/// Of feeds that are complete each time, which one counts.
#[derive(Default)]
struct Snapshots {
    kev: Option<(u32, Option<String>)>,
    epss: Option<(u32, Option<String>)>,
    debian: Option<u32>,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What is in the database now.
    pub info: Info,
    /// Entries that the feeds had.
    pub entries: u64,
    /// The file is another one than before.
    pub changed: bool,
}

impl Importer {
    /// For the database of this name, which need not be there.
    ///
    /// # Errors
    ///
    /// Its directory cannot be written to, another import is under way, or what has its name is no
    /// database.
    pub fn new(path: &Path, limits: Limits) -> Result<Self, ImportError> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let cannot = |source| ImportError::Write {
            path: directory.clone(),
            source,
        };
        if !directory.is_dir() {
            std::fs::create_dir_all(&directory).map_err(cannot)?;
            // Whatever umask an administrator has, agents shall read what is in it.
            let readable = Permissions::from_mode(0o755);
            std::fs::set_permissions(&directory, readable).map_err(cannot)?;
        }
        let lock = File::open(&directory).map_err(cannot)?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                cannot(io::Error::other("another import is under way"))
            }
            std::fs::TryLockError::Error(error) => cannot(error),
        })?;
        let old = match Store::open(path) {
            Ok(store) => {
                store.verify()?;
                Some(store)
            }
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            path: path.to_owned(),
            sorter: Sorter::new(&directory),
            directory,
            _lock: lock,
            old,
            left: Cell::new(limits.entries),
            limits,
            files: 0,
            snapshots: Snapshots::default(),
        })
    }

    /// Reads a file, a directory or standard input (`-`).
    ///
    /// # Errors
    ///
    /// It cannot be read or is broken: the import has failed then, and the database stays as it is.
    pub fn read(&mut self, feed: &Path, tracker: &dyn Tracker) -> Result<(), ImportError> {
        let (sorter, files) = (&mut self.sorter, self.files);
        let mut failed = None;
        let mut sink = |id: CveId, cve: Cve| {
            let bytes = postcard::to_stdvec(&(files, &cve, configurations(&cve)));
            let pushed = bytes
                .map_err(io::Error::other)
                .and_then(|bytes| sorter.push(id.0, &bytes));
            pushed.map_err(|error| {
                let text = error.to_string();
                failed = Some(error);
                text
            })
        };
        let seen = feed::read(feed, &self.limits, &self.left, tracker, &mut sink);
        if let Some(source) = failed {
            let path = self.directory.clone();
            return Err(ImportError::Write { path, source });
        }
        for seen in seen? {
            let newer = |kept: &Option<(u32, Option<String>)>| {
                kept.as_ref().is_none_or(|(_, date)| *date <= seen.date)
            };
            match seen.feed {
                Feed::Kev if newer(&self.snapshots.kev) => {
                    self.snapshots.kev = Some((files, seen.date));
                }
                Feed::Epss if newer(&self.snapshots.epss) => {
                    self.snapshots.epss = Some((files, seen.date));
                }
                Feed::Debian => self.snapshots.debian = Some(files),
                _ => {}
            }
        }
        self.files += 1;
        Ok(())
    }

    /// Writes the database anew and puts it in the place of the old one.
    ///
    /// # Errors
    ///
    /// It cannot be written: the old one stays.
    pub fn finish(mut self) -> Result<Imported, ImportError> {
        let entries = self.limits.entries - self.left.get();
        self.not_older();
        let path = self.path.clone();
        let cannot = |source| ImportError::Write {
            path: path.clone(),
            source,
        };
        let mut file = tempfile::NamedTempFile::new_in(&self.directory).map_err(cannot)?;
        let info = self.write(file.as_file_mut())?;
        // What nobody could tell from the old one needs not be put in its place.
        let new = Store::open(file.path())?;
        let same = self.old.as_ref().is_some_and(|old| old.is_same(&new));
        if !same {
            file.as_file()
                .set_permissions(Permissions::from_mode(0o644))
                .map_err(cannot)?;
            file.as_file().sync_all().map_err(cannot)?;
            file.persist(&path).map_err(|error| cannot(error.error))?;
            File::open(&self.directory)
                .and_then(|d| d.sync_all())
                .map_err(cannot)?;
        }
        Ok(Imported {
            info,
            entries,
            changed: !same,
        })
    }

    /// A feed that is older than what is there says nothing.
    fn not_older(&mut self) {
        let parts = self.old.as_ref().map(|old| &old.info.parts);
        let there = |name| {
            parts
                .and_then(|p| p.get(name))
                .and_then(|part: &Part| part.date.clone())
        };
        for (name, snapshot) in [
            ("kev", &mut self.snapshots.kev),
            ("epss", &mut self.snapshots.epss),
        ] {
            if snapshot
                .as_ref()
                .is_some_and(|(_, date)| *date < there(name))
            {
                *snapshot = Some((u32::MAX, None));
            }
        }
    }

    fn write(&mut self, file: &mut File) -> Result<Info, ImportError> {
        let path = self.path.clone();
        let cannot = |source| ImportError::Write {
            path: path.clone(),
            source,
        };
        let mut writer = Writer::new(&self.directory, self.dates()).map_err(cannot)?;
        let sorter = std::mem::replace(&mut self.sorter, Sorter::new(&self.directory));
        let mut merge = sorter.finish().map_err(cannot)?;
        let (mut at, mut old) = (0, self.old_cve(0)?);
        loop {
            let group = merge.group().map_err(cannot)?;
            let key = group.as_ref().map_or(u64::MAX, |(key, _)| *key);
            // Those that no feed speaks of.
            while let Some((_, cve)) = old.take_if(|(id, _)| id.0 < key) {
                at = self.push(&mut writer, at, cve).map_err(cannot)?;
                old = self.old_cve(at)?;
            }
            let Some((key, patches)) = group else {
                break;
            };
            let mut cve = Cve::default();
            if let Some((_, before)) = old.take_if(|(id, _)| id.0 == key) {
                cve = before;
                at += 1;
                old = self.old_cve(at)?;
            }
            for patch in patches {
                let (number, mut patch, configurations): (u32, Cve, super::Tail) =
                    postcard::from_bytes(&patch).map_err(|e| cannot(io::Error::other(e)))?;
                attach(&mut patch, configurations);
                self.snapshots.strip(number, &mut patch);
                cve.merge(patch);
            }
            finish(&mut cve);
            if cve != Cve::default() {
                writer.push(key, cve).map_err(cannot)?;
            }
        }
        writer.finish(file).map_err(cannot)
    }

    fn push(&self, writer: &mut Writer, at: u32, cve: Cve) -> io::Result<u32> {
        let found = self.old.as_ref().and_then(|old| old.cve(at).ok().flatten());
        if let Some(found) = found
            && cve != Cve::default()
        {
            writer.push(found.id.0, cve)?;
        }
        Ok(at + 1)
    }

    /// A CVE of the old database, without what a feed replaces as a whole.
    fn old_cve(&self, at: u32) -> Result<Option<(CveId, Cve)>, ImportError> {
        let Some(old) = &self.old else {
            return Ok(None);
        };
        let Some(found) = old.cve(at)? else {
            return Ok(None);
        };
        let mut cve = old.head(&found)?;
        attach(&mut cve, old.tail(&found)?);
        let replaced = |snapshot: &Option<(u32, Option<String>)>| {
            snapshot
                .as_ref()
                .is_some_and(|(number, _)| *number != u32::MAX)
        };
        if replaced(&self.snapshots.kev) {
            cve.kev = None;
        }
        if replaced(&self.snapshots.epss) {
            cve.epss = None;
        }
        if self.snapshots.debian.is_some() {
            cve.fixes
                .retain(|fix| fix.distribution != Distribution::Debian);
        }
        Ok(Some((found.id, cve)))
    }

    /// Of what day the feeds are that are complete each time.
    fn dates(&self) -> Info {
        let mut info = Info::default();
        let old = self.old.as_ref().map(|old| &old.info.parts);
        for (name, snapshot) in [("kev", &self.snapshots.kev), ("epss", &self.snapshots.epss)] {
            let date = match snapshot {
                Some((number, date)) if *number != u32::MAX => date.clone(),
                _ => old
                    .and_then(|old| old.get(name))
                    .and_then(|part| part.date.clone()),
            };
            if date.is_some() {
                let part = Part { cves: 0, date };
                info.parts.insert(name.to_owned(), part);
            }
        }
        info
    }
}

impl Snapshots {
    /// Leaves out what another file of the same feed says newer.
    fn strip(&self, file: u32, patch: &mut Cve) {
        let other = |kept: &Option<(u32, Option<String>)>| {
            kept.as_ref().is_some_and(|(number, _)| *number != file)
        };
        if other(&self.kev) {
            patch.kev = None;
        }
        if other(&self.epss) {
            patch.epss = None;
        }
        if self.debian.is_some_and(|number| number != file) {
            patch
                .fixes
                .retain(|fix| fix.distribution != Distribution::Debian);
        }
    }
}

/// What is affected, by source; it goes beside the rest.
fn configurations(cve: &Cve) -> (&[Configuration], &[Configuration]) {
    (
        cve.nvd.as_ref().map_or(&[], |a| &a.configurations),
        cve.cna.as_ref().map_or(&[], |a| &a.configurations),
    )
}

fn attach(cve: &mut Cve, (nvd, cna): super::Tail) {
    if let Some(advisory) = &mut cve.nvd {
        advisory.configurations = nvd;
    }
    if let Some(advisory) = &mut cve.cna {
        advisory.configurations = cna;
    }
}

/// Of each package of a release what was said last, in an order of its own.
fn finish(cve: &mut Cve) {
    let place = |fix: &Fix| (fix.distribution, fix.release.clone(), fix.package.clone());
    cve.fixes.reverse();
    cve.fixes.sort_by_cached_key(place);
    cve.fixes.dedup_by_key(|fix| place(fix));
}
