//! Feeds: what they are wrapped in, what they are, and their entries one by one. No feed is ever in memory
//! as a whole.
//!
//! A feed is told by what it begins with, not by its name. Files may be plain or packed by gzip, xz, zstd or
//! zip; an archive or a directory may hold any number of them.

mod cve5;
mod nvd;
mod open;
mod others;
mod text;

#[cfg(test)]
mod feed_tests;

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::model::{Cve, CveId};
pub use open::{Tracker, read};

/// How much is read before a feed is taken for a bomb. All of NVD is 2.5 GB of JSON.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a file's content, of all files in an archive together.
    pub content: u64,
    /// Bytes of one entry; the largest real ones have 3 MB.
    pub entry: u64,
    /// Entries of all feeds of an import.
    pub entries: u64,
    /// Files of an archive or a directory.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            content: 16 << 30,
            entry: 32 << 20,
            entries: 8_000_000,
            files: 4_000_000,
        }
    }
}

/// What a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    /// NVD, JSON 2.0: a feed, or a page of its interface.
    Nvd,
    /// A record of the CVE list, format 5.
    CveRecord,
    /// CISA's catalogue of known exploited vulnerabilities, JSON.
    Kev,
    /// FIRST's exploit prediction scores, CSV.
    Epss,
    /// Debian's security tracker, JSON.
    Debian,
    /// An advisory of a distribution in OSV's format.
    Osv,
}

/// What was read of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub feed: Feed,
    /// The day that it is of, where it says (`2024-07-01`, or with a time).
    pub date: Option<String>,
}

/// Where a reader is in the content, and how far it may go.
#[derive(Debug, Default)]
pub(super) struct Meter {
    at: Cell<u64>,
    entry_end: Cell<u64>,
    content_end: Cell<u64>,
    entry: u64,
}

impl Meter {
    fn new(limits: &Limits) -> Self {
        let meter = Self {
            entry: limits.entry,
            ..Self::default()
        };
        meter.content_end.set(limits.content);
        meter.next_entry();
        meter
    }

    /// Another entry begins: it may be as long as any.
    fn next_entry(&self) {
        self.entry_end.set(self.at.get().saturating_add(self.entry));
    }
}

/// Content whose length is watched.
struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.meter.at.get();
        if at >= self.meter.entry_end.get() {
            return Err(io::Error::other("an entry is longer than any real one"));
        }
        if at >= self.meter.content_end.get() {
            return Err(io::Error::other("it unpacks to more than any real feed"));
        }
        let read = self.inner.read(buffer)?;
        self.meter.at.set(at + read as u64);
        Ok(read)
    }
}

/// Who gets the entries, as they are read.
pub(super) struct Take<'a> {
    meter: &'a Meter,
    left: &'a Cell<u64>,
    sink: &'a mut dyn FnMut(CveId, Cve) -> Result<(), String>,
}

impl Take<'_> {
    fn cve(&mut self, id: CveId, cve: Cve) -> Result<(), String> {
        let left = self.left.get();
        if left == 0 {
            return Err("more entries than there are CVEs".to_owned());
        }
        self.left.set(left - 1);
        (self.sink)(id, cve)
    }
}

fn unknown() -> String {
    "it is no feed that is known (NVD's JSON 2.0, CVE list format 5, CISA's KEV, EPSS, Debian's tracker, OSV)"
        .to_owned()
}

/// What a document is, by how it begins.
fn sniff(head: &[u8]) -> Result<Feed, String> {
    if head.is_empty() {
        return Err("it is empty".to_owned());
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let has = |what: &str| text.contains(what);
    if text.starts_with("#model_version") || text.starts_with("cve,epss") {
        return Ok(Feed::Epss);
    }
    if !text.starts_with('{') {
        return Err(unknown());
    }
    if has("\"CVE_data_type\"") || has("\"CVE_Items\"") {
        return Err("it is of NVD's format 1.1, which is no longer made; take 2.0".to_owned());
    }
    Ok(match () {
        () if has("\"NVD_CVE\"") || has("\"totalResults\"") => Feed::Nvd,
        () if has("\"catalogVersion\"") || has("\"dateReleased\"") => Feed::Kev,
        () if has("\"CVE_RECORD\"") || has("\"cveMetadata\"") => Feed::CveRecord,
        () if has("\"schema_version\"") => Feed::Osv,
        () if has("\"releases\"") && has("\"status\"") => Feed::Debian,
        () if has("\"vulnerabilities\"") && has("\"lastModified\"") => Feed::Nvd,
        () if has("\"containers\"") => Feed::CveRecord,
        () => return Err(unknown()),
    })
}

/// Reads a document to its end.
fn document(feed: Feed, content: impl Read, take: &mut Take) -> Result<Option<String>, String> {
    if feed == Feed::Epss {
        return others::epss(content, take);
    }
    let text = |error: serde_json::Error| json_message(&error);
    let mut json = serde_json::Deserializer::from_reader(content);
    let date = match feed {
        Feed::Nvd | Feed::Kev => {
            let list = json.deserialize_map(List(take)).map_err(text)?;
            list.finish(feed)?
        }
        Feed::Debian => {
            others::Debian(take).deserialize(&mut json).map_err(text)?;
            None
        }
        Feed::CveRecord => {
            let record: cve5::Record = serde::Deserialize::deserialize(&mut json).map_err(text)?;
            let (id, cve) = record.into_cve()?;
            let date = cve.cna.as_ref().map(|cna| cna.modified);
            take.cve(id, cve)?;
            date.and_then(|seconds| Some(super::time(seconds)?.format("%F").to_string()))
        }
        Feed::Osv | Feed::Epss => {
            let advisory: others::Osv = serde::Deserialize::deserialize(&mut json).map_err(text)?;
            for (id, cve) in advisory.into_cves() {
                take.cve(id, cve)?;
            }
            None
        }
    };
    json.end().map_err(text)?;
    Ok(date)
}

/// Line and column are those of a feed of one line; the offset is told instead.
fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

/// `vulnerabilities`, and what is said of them: NVD's and CISA's.
struct List<'a, 'b>(&'a mut Take<'b>);

#[derive(Default)]
struct Listed {
    count: Option<u64>,
    seen: u64,
    has_list: bool,
    date: Option<String>,
}

impl Listed {
    fn finish(self, feed: Feed) -> Result<Option<String>, String> {
        match self.count {
            _ if !self.has_list => Err("it has no vulnerabilities".to_owned()),
            Some(count) if count != self.seen => Err(format!(
                "it says that it has {count} entries, and has {}",
                self.seen
            )),
            _ if feed == Feed::Kev && self.date.is_none() => {
                Err("it does not say when it was released".to_owned())
            }
            _ => Ok(self.date),
        }
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a feed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
        let mut listed = Listed::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "vulnerabilities" => {
                    listed.has_list = true;
                    listed.seen += map.next_value_seed(Entries(&mut *self.0))?;
                }
                // Of a page: what is on it.
                "resultsPerPage" | "count" => listed.count = Some(map.next_value()?),
                "timestamp" | "dateReleased" => {
                    let text: String = map.next_value()?;
                    listed.date = text::date(&text).map(|_| text::clean(&text, 30));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(listed)
    }
}

struct Entries<'a, 'b>(&'a mut Take<'b>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of vulnerabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut count = 0;
        self.0.meter.next_entry();
        while let Some(item) = seq.next_element::<nvd::Item>()? {
            let (id, cve) = item.into_cve().map_err(serde::de::Error::custom)?;
            self.0.cve(id, cve).map_err(serde::de::Error::custom)?;
            self.0.meter.next_entry();
            count += 1;
        }
        Ok(count)
    }
}

/// Reads a document of any kind: what a fuzzer asks.
#[cfg(test)]
pub(super) fn fuzzing(bytes: &[u8], mut sink: impl FnMut(CveId, Cve)) -> Result<Seen, String> {
    let limits = Limits::default();
    let (meter, left) = (Meter::new(&limits), Cell::new(limits.entries));
    let mut sink = |id, cve| {
        sink(id, cve);
        Ok(())
    };
    let mut take = Take {
        meter: &meter,
        left: &left,
        sink: &mut sink,
    };
    let feed = sniff(&bytes[..bytes.len().min(4096)])?;
    let content = Metered {
        inner: bytes,
        meter: &meter,
    };
    let date = document(feed, content, &mut take)?;
    Ok(Seen { feed, date })
}
