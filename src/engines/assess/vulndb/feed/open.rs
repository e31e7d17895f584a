use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::error::ImportError;
use super::super::model::{Cve, CveId};
use super::{Limits, Meter, Metered, Seen, Take, document, sniff, text};

/// Bytes by which a document is told.
const HEAD: usize = 8 * 1024;
/// Memory of an unpacker, KiB: `xz -9` wants 64 MiB.
const UNPACKER: u32 = 128 * 1024;
/// An archive within an archive, as the CVE list is released; no deeper.
const DEPTH: u32 = 2;

/// Who wants to know how far an import is.
pub trait Tracker {
    /// So many bytes more were read of the files as they lie there.
    fn read(&self, bytes: u64);
    /// Such a file is read now.
    fn file(&self, name: &str) {
        let _ = name;
    }
}

/// Nobody.
impl Tracker for () {
    fn read(&self, _: u64) {}
}

/// What one import shares over its files.
struct Job<'a> {
    limits: &'a Limits,
    tracker: &'a dyn Tracker,
    left: &'a Cell<u64>,
    files: Cell<u64>,
    sink: &'a mut dyn FnMut(CveId, Cve) -> Result<(), String>,
    seen: Vec<Seen>,
}

/// Reads a file, a directory or standard input (`-`) and hands on every entry; answers with the feeds
/// that were in it.
///
/// # Errors
///
/// The first thing that is wrong: nothing of what was handed on may be used then.
pub fn read(
    path: &Path,
    limits: &Limits,
    left: &Cell<u64>,
    tracker: &dyn Tracker,
    sink: &mut dyn FnMut(CveId, Cve) -> Result<(), String>,
) -> Result<Vec<Seen>, ImportError> {
    let mut job = Job {
        limits,
        tracker,
        left,
        files: Cell::new(limits.files),
        sink,
        seen: Vec::new(),
    };
    let name = path.display().to_string();
    if path == Path::new("-") {
        let stdin = io::stdin().lock();
        job.content("standard input", stdin, &Meter::new(limits), 0)?;
    } else if path.is_dir() {
        job.directory(path)?;
    } else {
        job.file(path, &Meter::new(limits))?;
    }
    if job.seen.is_empty() {
        return Err(broken(&name, 0, "nothing in it is a feed".to_owned()));
    }
    Ok(job.seen)
}

fn broken(file: &str, offset: u64, message: String) -> ImportError {
    let file = text::clean(file, 400);
    let message = text::clean(&message, 300);
    ImportError::Broken {
        file,
        offset,
        message,
    }
}

/// What the CVE list has beside its records, and what is no feed by its name.
fn is_feed(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    let beside = ["delta.json", "deltaLog.json", "recent_activities.json"];
    let packed = [".gz", ".xz", ".zst", ".zip"];
    let plain = packed.iter().find_map(|end| name.strip_suffix(end));
    let plain = plain.unwrap_or(name);
    !name.starts_with('.')
        && !beside.contains(&name)
        && (plain.ends_with(".json") || plain.ends_with(".csv") || name.ends_with(".zip"))
}

/// Bytes as they lie there, counted.
struct Raw<'a, R> {
    inner: R,
    tracker: &'a dyn Tracker,
}

impl<R: Read> Read for Raw<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.tracker.read(read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Raw<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl Job<'_> {
    fn directory(&mut self, path: &Path) -> Result<(), ImportError> {
        let cannot = |source| ImportError::Read {
            file: path.display().to_string(),
            source,
        };
        let entries = std::fs::read_dir(path).map_err(cannot)?;
        let entries = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut entries: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(cannot)?;
        // The order of a directory is no order.
        entries.sort();
        for path in entries {
            // A link may lead around in a circle.
            let kind = std::fs::symlink_metadata(&path)
                .map_err(cannot)?
                .file_type();
            if kind.is_dir() && !is_hidden(&path) {
                self.directory(&path)?;
            } else if !kind.is_dir() && is_feed(&path.to_string_lossy()) {
                self.file(&path, &Meter::new(self.limits))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, meter: &Meter) -> Result<(), ImportError> {
        let name = path.display().to_string();
        self.tracker.file(&name);
        let cannot = |source| ImportError::Read {
            file: name.clone(),
            source,
        };
        let mut file = File::open(path).map_err(cannot)?;
        let mut magic = [0; 4];
        let read = file.read(&mut magic).map_err(cannot)?;
        file.seek(SeekFrom::Start(0)).map_err(cannot)?;
        if is_zip(&magic[..read]) {
            let tracker = self.tracker;
            let raw = Raw {
                inner: file,
                tracker,
            };
            return self.archive(&name, BufReader::new(raw), meter, 0);
        }
        self.content(&name, file, meter, 0)
    }

    /// A document, packed or plain, or an archive.
    fn content(
        &mut self,
        name: &str,
        mut raw: impl Read,
        meter: &Meter,
        depth: u32,
    ) -> Result<(), ImportError> {
        let files = self.files.get();
        if files == 0 {
            return Err(broken(
                name,
                meter.at.get(),
                "more files than any real feed".to_owned(),
            ));
        }
        self.files.set(files - 1);
        let cannot = |source| ImportError::Read {
            file: text::clean(name, 400),
            source,
        };
        let mut magic = Vec::with_capacity(6);
        raw.by_ref()
            .take(6)
            .read_to_end(&mut magic)
            .map_err(cannot)?;
        // What lies within an archive is counted there.
        let silent: &dyn Tracker = &();
        let tracker = if depth == 0 { self.tracker } else { silent };
        tracker.read(magic.len() as u64);
        let is_zip = is_zip(&magic);
        let raw = BufReader::with_capacity(
            64 * 1024,
            Cursor::new(magic.clone()).chain(Raw {
                inner: raw,
                tracker,
            }),
        );
        if is_zip {
            let mut spool = tempfile::tempfile().map_err(cannot)?;
            let most = self.limits.content;
            let copied = io::copy(&mut raw.take(most), &mut spool).map_err(cannot)?;
            if copied == most {
                return Err(broken(
                    name,
                    0,
                    "it is larger than any real feed".to_owned(),
                ));
            }
            spool.seek(SeekFrom::Start(0)).map_err(cannot)?;
            return self.archive(name, BufReader::new(spool), meter, depth);
        }
        match magic.as_slice() {
            [0x1f, 0x8b, ..] => self.plain(name, flate2::bufread::MultiGzDecoder::new(raw), meter),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => {
                let xz = lzma_rust2::XzReader::new_mem_limit(raw, true, UNPACKER);
                self.plain(name, xz, meter)
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let zstd = zstd::stream::read::Decoder::with_buffer(raw).map_err(cannot)?;
                self.plain(name, zstd, meter)
            }
            _ => self.plain(name, raw, meter),
        }
    }

    fn plain(&mut self, name: &str, content: impl Read, meter: &Meter) -> Result<(), ImportError> {
        let start = meter.at.get();
        meter.next_entry();
        let mut content = BufReader::with_capacity(64 * 1024, content);
        let mut head = Vec::with_capacity(HEAD);
        let here = |message: String| broken(name, meter.at.get() - start, message);
        let wrong = |error: io::Error| here(unpacked(&error));
        content
            .by_ref()
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .map_err(wrong)?;
        let feed = sniff(&head).map_err(here)?;
        let content = Metered {
            inner: Cursor::new(head).chain(content),
            meter,
        };
        let mut take = Take {
            meter,
            left: self.left,
            sink: &mut *self.sink,
        };
        let date = document(feed, content, &mut take).map_err(here)?;
        self.seen.push(Seen { feed, date });
        Ok(())
    }

    fn archive(
        &mut self,
        name: &str,
        file: impl Read + Seek,
        meter: &Meter,
        depth: u32,
    ) -> Result<(), ImportError> {
        let wrong = |error: zip::result::ZipError| broken(name, 0, error.to_string());
        if depth >= DEPTH {
            return Err(broken(
                name,
                0,
                "an archive in an archive in an archive".to_owned(),
            ));
        }
        let mut archive = zip::ZipArchive::new(file).map_err(wrong)?;
        if archive.len() as u64 > self.files.get() {
            return Err(broken(name, 0, "more files than any real feed".to_owned()));
        }
        for at in 0..archive.len() {
            let entry = archive.by_index(at).map_err(wrong)?;
            let inner = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_dir() || !is_feed(&inner) {
                continue;
            }
            self.content(&format!("{name}: {inner}"), entry, meter, depth + 1)?;
        }
        Ok(())
    }
}

fn is_zip(magic: &[u8]) -> bool {
    magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06")
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

fn unpacked(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => format!("it cannot be unpacked: {error}"),
    }
}
