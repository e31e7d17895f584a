//! Screenshots of pages, as files: a directory for each server, a PNG for each page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use url::Url;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of all that an agent keeps: some thousand pages of 100 KB. Above that the oldest go.
pub const KEPT_BYTES: u64 = 256 * 1024 * 1024;

/// Once it is too much, it is brought down to this share, so that not every picture needs a look at all.
const TIDIED: (u64, u64) = (9, 10);

/// Characters of a host, and of a path and query, that a name says; file systems take 255.
const HOST_CHARS: usize = 200;
const PATH_CHARS: usize = 80;

/// A directory of screenshots. A page that is seen again replaces its picture.
#[derive(Debug)]
pub struct Screenshots {
    dir: PathBuf,
    /// Bytes that may be kept; none: it is somebody's own directory, where nothing is removed.
    limit: Option<u64>,
    /// Bytes that are there, once somebody looked.
    used: Mutex<Option<u64>>,
}

impl Screenshots {
    /// Those of an agent, in its state directory. The oldest go above [`KEPT_BYTES`].
    pub fn of_agent(state_dir: &Path) -> Self {
        Self::limited(state_dir.join("screenshots"), KEPT_BYTES)
    }

    /// In a directory that somebody named. All are kept.
    pub fn by_hand(dir: PathBuf) -> Self {
        Self {
            dir,
            limit: None,
            used: Mutex::default(),
        }
    }

    fn limited(dir: PathBuf, limit: u64) -> Self {
        Self {
            limit: Some(limit),
            ..Self::by_hand(dir)
        }
    }

    /// Keeps the picture of a page, and says where.
    ///
    /// # Errors
    /// It cannot be written; what was there stays.
    pub fn keep(&self, page: &Url, png: &[u8]) -> io::Result<PathBuf> {
        let path = self.dir.join(name(page));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let temporary = path.with_extension("tmp");
        let written = fs::write(&temporary, png).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        if let Some(limit) = self.limit {
            self.tidy(limit, png.len() as u64);
        }
        Ok(path)
    }

    /// Removes the oldest, where there is too much after this many bytes more.
    fn tidy(&self, limit: u64, more: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was replaced is counted twice until the next look.
        let known = used.map(|used| used + more);
        if known.is_some_and(|known| known <= limit) {
            *used = known;
            return;
        }
        let mut files = files(&self.dir);
        let mut left: u64 = files.iter().map(|file| file.bytes).sum();
        if left > limit {
            files.sort_by_key(|file| file.written);
            for file in files {
                if left <= limit / TIDIED.1 * TIDIED.0 {
                    break;
                }
                if fs::remove_file(&file.path).is_ok() {
                    left -= file.bytes;
                }
                // Fails while others are in it.
                let _ = file.path.parent().map(fs::remove_dir);
            }
        }
        *used = Some(left);
    }
}

struct File {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

/// All files of all servers. What cannot be read is left alone.
fn files(dir: &Path) -> Vec<File> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    entries(dir)
        .flat_map(|server| entries(&server.path()).collect::<Vec<_>>())
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(File {
                path: entry.path(),
                bytes: meta.len(),
                written: meta.modified().ok()?,
            })
        })
        .collect()
}

/// `www.example.org_443/shop-item-7-0123456789abcdef.png`: people recognise the page, the hash of the
/// whole URL tells apart what only looks alike.
fn name(page: &Url) -> PathBuf {
    let plain = |text: &str, most: usize| {
        let chars = text.chars().map(|c| match c {
            '.' => c,
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        });
        let text: String = chars.take(most).collect();
        text.trim_matches('-').to_owned()
    };
    let host = plain(page.host_str().unwrap_or_default(), HOST_CHARS);
    let port = page.port_or_known_default().unwrap_or_default();
    let path = plain(&page[url::Position::BeforePath..], PATH_CHARS);
    let hash = xxh3_64(page.as_str().as_bytes());
    let name = match path.is_empty() {
        true => format!("{hash:016x}.png"),
        false => format!("{path}-{hash:016x}.png"),
    };
    Path::new(&format!("{host}_{port}")).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn shown(text: &str) -> String {
        name(&url(text)).display().to_string()
    }

    #[test]
    fn names_say_which_page_and_stay_in_the_directory() {
        let item = shown("https://www.example.org/shop/item?id=7");
        assert!(
            item.starts_with("www.example.org_443/shop-item-id-7-"),
            "{item}"
        );
        assert_ne!(item, shown("https://www.example.org/shop/item?id-7"));
        assert!(shown("http://[2001:db8::1]:8080/").starts_with("2001-db8--1_8080/"));
        let long = format!("http://{}.test/{}", "a.".repeat(110), "é/".repeat(4000));
        for hostile in [
            "http://../",
            "http://a.test/..%2f..%2fetc/passwd",
            "http://a.test/.%00",
            &long,
        ] {
            let Ok(hostile) = Url::parse(hostile) else {
                continue;
            };
            let name = name(&hostile);
            let parts: Vec<_> = name.components().collect();
            assert_eq!(parts.len(), 2, "{name:?}");
            assert!(parts.iter().all(|part| {
                matches!(part, std::path::Component::Normal(name) if name.len() < 255)
            }));
        }
    }

    #[test]
    fn a_page_that_is_seen_again_replaces_its_picture() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Screenshots::by_hand(dir.path().join("new"));
        let first = kept.keep(&url("http://a.test/x"), b"1").unwrap();
        let again = kept.keep(&url("http://a.test/x"), b"22").unwrap();
        assert_eq!(first, again);
        assert_eq!(fs::read(&again).unwrap(), b"22");
        assert_eq!(
            files(&dir.path().join("new")).len(),
            1,
            "nothing is left over"
        );
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Screenshots::limited(dir.path().to_owned(), 1000);
        let paths: Vec<PathBuf> = (0..10)
            .map(|n| {
                let page = url(&format!("http://host{n}.test/"));
                let path = kept.keep(&page, &[0; 100]).unwrap();
                let age = std::time::Duration::from_secs(1000 - n);
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(SystemTime::now() - age).unwrap();
                path
            })
            .collect();
        assert!(paths.iter().all(|path| path.exists()));
        let last = kept.keep(&url("http://a.test/"), &[0; 100]).unwrap();
        assert!(last.exists());
        let gone: Vec<bool> = paths.iter().map(|path| !path.exists()).collect();
        assert_eq!(gone[..3], [true, true, false]);
        assert!(
            !paths[0].parent().unwrap().exists(),
            "nor empty directories"
        );

        // Another process counts what is there.
        let kept = Screenshots::limited(dir.path().to_owned(), 500);
        kept.keep(&url("http://b.test/"), b"").unwrap();
        let left: u64 = files(dir.path()).iter().map(|file| file.bytes).sum();
        assert_eq!(left, 400);
    }
}
