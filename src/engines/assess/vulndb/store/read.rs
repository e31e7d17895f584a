use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::error::Error;
use super::super::model::{Cve, CveId};
use super::Info;
use super::format::{self, CVE, Criterion, HEADER, LARGEST, PRODUCT, Place, SECTIONS, Section};
use super::write::Tail;

/// Bytes of criteria of one product that are read at once; Linux, the largest, has 3 MB.
const LONGEST_LIST: u64 = 64 << 20;
/// Bytes that a product's name is in, with its length.
const LONGEST_NAME: u64 = 32 << 10;
/// Bytes of the parts that are kept in memory: more is damage.
const LONGEST_KEPT: u64 = 1 << 20;

/// A file of vulnerabilities, open for reading.
pub struct Store {
    path: PathBuf,
    bytes: Bytes,
    places: [Place; SECTIONS],
    bits: u32,
    unpacker: Mutex<zstd::bulk::Decompressor<'static>>,
    /// What is in it.
    pub info: Info,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Where bytes are read from: a place in a file, by `pread`, or memory, which measures what that costs. The kernel's cache holds what is read
/// often; nothing is mapped, so that a damaged disk or a file that somebody cuts off is an error and no
/// SIGBUS.
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Bytes {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(into, offset),
            Self::Memory(bytes) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = at.saturating_add(into.len());
                let from = bytes.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(from);
                Ok(())
            }
        }
    }
}

/// A CVE with its place in the file.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Which one.
    pub id: CveId,
    offset: u64,
    head: u32,
    tail: u32,
}

impl Store {
    /// Opens a file and looks whether it is whole, as far as that needs no reading of it all.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no database or a damaged one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let cannot = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(cannot)?;
        let length = file.metadata().map_err(cannot)?.len();
        Self::new(path, Bytes::File(file), length)
    }

    /// A database that is in memory.
    ///
    /// # Errors
    ///
    /// It is no database or a damaged one.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let length = bytes.len() as u64;
        Self::new(Path::new("memory"), Bytes::Memory(bytes), length)
    }

    fn new(path: &Path, bytes: Bytes, length: u64) -> Result<Self, Error> {
        let mut header = [0; HEADER];
        if length < HEADER as u64 {
            return Err(Error::NotOurs {
                path: path.to_owned(),
                what: "it is too short".to_owned(),
            });
        }
        bytes.read(0, &mut header).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let places = format::sections(&header, length).map_err(|(damaged, what)| {
            let path = path.to_owned();
            match damaged {
                true => Error::Damaged { path, what },
                false => Error::NotOurs { path, what },
            }
        })?;
        let unpacker = zstd::bulk::Decompressor::new();
        let mut store = Self {
            path: path.to_owned(),
            bytes,
            places,
            bits: 0,
            unpacker: Mutex::new(unpacker.map_err(|error| damaged(path, &error))?),
            info: Info::default(),
        };
        let products = store.place(Section::Products).length / PRODUCT as u64;
        store.bits = format::bucket_bits(products);
        if store.place(Section::Buckets).length != ((1 << store.bits) + 1) * 4 {
            return Err(damaged(path, &"the index of products has another size"));
        }
        let info = store.kept(Section::Info)?;
        store.info = serde_json::from_slice(&info).map_err(|error| damaged(path, &error))?;
        store.info.size = length;
        let dictionary = store.kept(Section::Dictionary)?;
        let unpacker = zstd::bulk::Decompressor::with_dictionary(&dictionary);
        store.unpacker = Mutex::new(unpacker.map_err(|error| damaged(path, &error))?);
        Ok(store)
    }

    fn place(&self, section: Section) -> Place {
        self.places[section as usize]
    }

    fn kept(&self, section: Section) -> Result<Vec<u8>, Error> {
        let place = self.place(section);
        if place.length > LONGEST_KEPT {
            return Err(self.damaged(&"a section is too long"));
        }
        let bytes = self.read(place.offset, place.length)?;
        match xxh3_64(&bytes) == place.hash {
            true => Ok(bytes),
            false => Err(self.damaged(&"a checksum is wrong")),
        }
    }

    pub(super) fn damaged(&self, what: &dyn std::fmt::Display) -> Error {
        damaged(&self.path, what)
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(length).map_err(|error| self.damaged(&error))?;
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.bytes
            .read(offset, bytes)
            .map_err(|source| Error::Read {
                path: self.path.clone(),
                source,
            })
    }

    /// The entry of a table, `None` behind its end.
    fn entry<const N: usize>(&self, section: Section, at: u64) -> Result<Option<[u8; N]>, Error> {
        let place = self.place(section);
        if at >= place.length / N as u64 {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.fill(place.offset + at * N as u64, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The CVE at a place in their order.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn cve(&self, at: u32) -> Result<Option<Found>, Error> {
        let entry = self.entry::<CVE>(Section::Cves, u64::from(at))?;
        Ok(entry.map(|entry| Found {
            id: CveId(word(&entry, 0)),
            offset: word(&entry, 8),
            head: half(&entry, 16),
            tail: half(&entry, 20),
        }))
    }

    /// A CVE by its number.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn find(&self, id: CveId) -> Result<Option<Found>, Error> {
        let count = self.place(Section::Cves).length / CVE as u64;
        let (mut low, mut high) = (0, u32::try_from(count).unwrap_or(u32::MAX));
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(found) = self.cve(middle)? else {
                break;
            };
            match found.id.cmp(&id) {
                std::cmp::Ordering::Equal => return Ok(Some(found)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// What is told of a CVE; the configurations are elsewhere.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn head(&self, found: &Found) -> Result<Cve, Error> {
        let (key, cve): (u64, Cve) = self.unpack(found.offset, found.head)?;
        match key == found.id.0 {
            true => Ok(cve),
            false => Err(self.damaged(&"a record is another one's")),
        }
    }

    /// What is affected by a CVE, by NVD and by the CVE list.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn tail(&self, found: &Found) -> Result<Tail, Error> {
        match found.tail {
            0 => Ok(Tail::default()),
            length => self.unpack(found.offset.saturating_add(u64::from(found.head)), length),
        }
    }

    fn unpack<T: DeserializeOwned>(&self, offset: u64, length: u32) -> Result<T, Error> {
        let place = self.place(Section::Records);
        let end = offset.checked_add(u64::from(length));
        if offset < place.offset || end.is_none_or(|end| end > place.offset + place.length) {
            return Err(self.damaged(&"a record lies elsewhere"));
        }
        let packed = self.read(offset, u64::from(length))?;
        // Of a whole frame zstd knows how long it is; room is made for no more than that.
        let size = zstd::bulk::Decompressor::upper_bound(&packed).unwrap_or_default();
        if size > LARGEST {
            return Err(self.damaged(&"a record is too long"));
        }
        let mut unpacker = self.unpacker.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = unpacker.decompress(&packed, size);
        drop(unpacker);
        let bytes = bytes.map_err(|error| self.damaged(&error))?;
        postcard::from_bytes(&bytes).map_err(|error| self.damaged(&error))
    }

    /// Goes through the criteria of a product, in order of CVE.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn criteria(&self, name: &str, mut each: impl FnMut(Criterion)) -> Result<(), Error> {
        let hash = format::product_hash(name);
        let bucket = format::bucket(hash, self.bits);
        let ends = self.place(Section::Buckets).offset + bucket * 4;
        let mut bounds = [0; 8];
        self.fill(ends, &mut bounds)?;
        for at in half(&bounds, 0)..half(&bounds, 4) {
            let Some(entry) = self.entry::<PRODUCT>(Section::Products, u64::from(at))? else {
                return Err(self.damaged(&"the index of products leads nowhere"));
            };
            if word(&entry, 0) != hash {
                continue;
            }
            let (offset, length, check) = (word(&entry, 8), word(&entry, 16), word(&entry, 24));
            if length > LONGEST_LIST || length > self.info.size {
                return Err(self.damaged(&"a product has too many criteria"));
            }
            let bytes = self.read(offset, length)?;
            if xxh3_64(&bytes) != check {
                return Err(self.damaged(&"a checksum is wrong"));
            }
            let wrong = |error| self.damaged(&error);
            let (own, mut rest) = postcard::take_from_bytes::<&str>(&bytes).map_err(wrong)?;
            while own == name && !rest.is_empty() {
                let (criterion, after) =
                    postcard::take_from_bytes::<Criterion>(rest).map_err(wrong)?;
                each(criterion);
                rest = after;
            }
        }
        Ok(())
    }

    /// Goes through the names of all products, in no order that means anything.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn products(&self, mut each: impl FnMut(&str)) -> Result<(), Error> {
        let mut at = 0;
        while let Some(entry) = self.entry::<PRODUCT>(Section::Products, at)? {
            let (offset, length) = (word(&entry, 8), word(&entry, 16));
            let bytes = self.read(offset, length.min(LONGEST_NAME))?;
            let (name, _) =
                postcard::take_from_bytes::<&str>(&bytes).map_err(|error| self.damaged(&error))?;
            each(name);
            at += 1;
        }
        Ok(())
    }

    /// Whether another file has the same content, by their checksums.
    pub fn is_same(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// Reads all of the file and compares the checksums.
    ///
    /// # Errors
    ///
    /// The file is damaged or gone.
    pub fn verify(&self) -> Result<(), Error> {
        let mut buffer = vec![0; 256 * 1024];
        for place in self.places {
            let (mut at, end) = (place.offset, place.offset + place.length);
            let mut hash = Xxh3::new();
            while at < end {
                let length = (end - at).min(buffer.len() as u64);
                let part = &mut buffer[..usize::try_from(length).unwrap_or_default()];
                self.fill(at, part)?;
                hash.update(part);
                at += length;
            }
            if hash.digest() != place.hash {
                return Err(self.damaged(&"a checksum is wrong"));
            }
        }
        Ok(())
    }
}

fn damaged(path: &Path, what: &dyn std::fmt::Display) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> u32 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(half)
}
