use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::super::model::{Bound, Versions};
use super::super::version::Scheme;

/// What a file begins with.
pub const MAGIC: [u8; 8] = *b"RECONVDB";
/// Of the layout below; another one is refused.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = 16 + SECTIONS * 24 + 16;
/// Number of sections.
pub const SECTIONS: usize = 7;
/// Bytes of an entry of [`Section::Cves`].
pub const CVE: usize = 24;
/// Bytes of an entry of [`Section::Products`].
pub const PRODUCT: usize = 32;
/// Bytes of a head or tail, unpacked: more is damage.
pub const LARGEST: usize = 64 << 20;

/// Parts of the file, in the order of the header.
#[derive(Debug, Clone, Copy)]
pub enum Section {
    /// [`super::Info`] as JSON.
    Info,
    /// zstd's dictionary of the records.
    Dictionary,
    /// For each CVE, in order: key, place of its record (8 bytes each), lengths of head and tail (4 each).
    Cves,
    /// Heads and tails: what is told of a CVE, and what is affected; a frame of zstd each.
    Records,
    /// Where in the products those begin whose hash begins so, 4 bytes each, one more than buckets.
    Buckets,
    /// For each product, in order of hash: hash, place and length of its criteria, their hash.
    Products,
    /// For each product its name, then its criteria in order of CVE.
    Criteria,
}

/// Where a section lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// From the beginning of the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// XXH3 of them.
    pub hash: u64,
}

/// The header: magic, version, number of sections, sections, length of the file, XXH3 of all before.
/// Numbers are little-endian.
pub fn header(sections: &[Place; SECTIONS], length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(7_u32.to_le_bytes());
    for place in sections {
        for number in [place.offset, place.length, place.hash] {
            bytes.extend(number.to_le_bytes());
        }
    }
    bytes.extend(length.to_le_bytes());
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

/// Reads a header of a file of this length.
///
/// # Errors
///
/// `true`: it is damaged; `false`: it is no header of this version.
pub fn sections(bytes: &[u8; HEADER], file: u64) -> Result<[Place; SECTIONS], (bool, String)> {
    let no = |damaged, what: &str| Err((damaged, what.to_owned()));
    let number = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    if bytes[..8] != MAGIC {
        return no(false, "it begins otherwise");
    }
    if number(8) != 7 << 32 | u64::from(VERSION) {
        return no(false, "it is of another version");
    }
    if number(HEADER - 8) != xxh3_64(&bytes[..HEADER - 8]) {
        return no(true, "the header's checksum is wrong");
    }
    if number(HEADER - 16) != file {
        return no(true, "it is not as long as it says");
    }
    let mut all = [Place::default(); SECTIONS];
    for (index, place) in all.iter_mut().enumerate() {
        let at = 16 + index * 24;
        *place = Place {
            offset: number(at),
            length: number(at + 8),
            hash: number(at + 16),
        };
        let end = place.offset.checked_add(place.length);
        if end.is_none_or(|end| end > file) {
            return no(true, "a section lies outside it");
        }
    }
    Ok(all)
}

/// Which versions of a product a CVE is about: [`Versions`] without memory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion<'a> {
    /// Place among the CVEs.
    pub cve: u32,
    flags: u8,
    scheme: Scheme,
    /// `a`, `o`, `h` or a space.
    pub part: u8,
    /// As in [`Versions`].
    pub version: &'a str,
    /// As in [`Versions`].
    pub update: &'a str,
    from: &'a str,
    to: &'a str,
    /// As in [`Versions`].
    pub target: &'a str,
    /// As in [`Versions`].
    pub edition: &'a str,
}

const CONDITION: u8 = 1;
const FROM: u8 = 2;
const FROM_WITH: u8 = 4;
const TO: u8 = 8;
const TO_WITH: u8 = 16;
const EXCEPT: u8 = 32;
const BY_NAME: u8 = 64;

impl<'a> Criterion<'a> {
    /// Of the versions that a CVE is about; `condition`: something else must be there, too.
    pub fn new(cve: u32, part: u8, versions: &'a Versions, condition: bool) -> Self {
        let mut flags = 0;
        let mut set = |flag, on| flags |= if on { flag } else { 0 };
        let bound = |bound: &'a Bound| match bound {
            Bound::Open => (false, false, ""),
            Bound::Including(version) => (true, true, version.as_str()),
            Bound::Excluding(version) => (true, false, version.as_str()),
        };
        let (has_from, from_with, from) = bound(&versions.from);
        let (has_to, to_with, to) = bound(&versions.to);
        set(CONDITION, condition);
        set(FROM, has_from);
        set(FROM_WITH, from_with);
        set(TO, has_to);
        set(TO_WITH, to_with);
        set(EXCEPT, versions.except);
        set(BY_NAME, versions.by_name);
        Self {
            cve,
            flags,
            scheme: versions.scheme,
            part,
            version: &versions.version,
            update: &versions.update,
            from,
            to,
            target: &versions.target,
            edition: &versions.edition,
        }
    }

    /// Something else must be there, too.
    pub fn condition(&self) -> bool {
        self.flags & CONDITION != 0
    }

    /// These are the ones that are not affected.
    pub fn except(&self) -> bool {
        self.flags & EXCEPT != 0
    }

    /// The name is no CPE name.
    pub fn by_name(&self) -> bool {
        self.flags & BY_NAME != 0
    }

    /// By whose rules versions compare.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The first version, and whether it is one of them.
    pub fn from(&self) -> Option<(&'a str, bool)> {
        (self.flags & FROM != 0).then_some((self.from, self.flags & FROM_WITH != 0))
    }

    /// The last version, and whether it is one of them.
    pub fn to(&self) -> Option<(&'a str, bool)> {
        (self.flags & TO != 0).then_some((self.to, self.flags & TO_WITH != 0))
    }
}

/// The hash by which a product is found.
pub fn product_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// Buckets for so many products, as bits of the hash: four to a bucket.
pub fn bucket_bits(products: u64) -> u32 {
    (products / 4).max(1).ilog2().min(24)
}

/// Which bucket a hash is in.
pub fn bucket(hash: u64, bits: u32) -> u64 {
    hash.checked_shr(64 - bits).unwrap_or_default()
}
