//! The file: written once, by an import, and only read after that.
//!
//! It is found by product or by CVE number, and no more of it is read than what is found:
//!
//! ```text
//! header      magic, version, sections with their checksums, checksum of the header   (format.rs)
//! records     for each CVE two frames of zstd, with a dictionary that all share: what is told of it,
//!             and which configurations are affected
//! cves        key, place and lengths of the record, in order of key
//! dictionary
//! criteria    for each product its name and which versions of it which CVE is about
//! products    hash of the name, place, length and checksum of the criteria, in order of hash
//! buckets     where in the products a hash begins
//! info        counts and dates, JSON
//! ```
//!
//! A lookup reads its bucket (8 bytes), its product's entry (32), its criteria, and for each CVE that fits
//! 24 bytes and one frame. A file is never changed: another one takes its name by rename(2), and who
//! has the old one open goes on reading that.

mod format;
mod import;
mod read;
mod sorter;
mod write;

#[cfg(test)]
mod store_tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use format::Criterion;
#[cfg(test)]
pub use format::HEADER;
pub use import::{Imported, Importer};
pub use read::{Found, Store};
pub use write::Tail;

/// What is in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// CVEs.
    pub cves: u64,
    /// Of them, those that were withdrawn.
    pub rejected: u64,
    /// Products (`vendor:product`).
    pub products: u64,
    /// Ranges and versions of products.
    pub criteria: u64,
    /// What there is of each source: `nvd`, `cve`, `kev`, `epss`, and of distributions by name.
    pub parts: BTreeMap<String, Part>,
    /// Bytes of the file.
    #[serde(default, skip_deserializing)]
    pub size: u64,
}

/// What there is of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// CVEs that it speaks of.
    pub cves: u64,
    /// Of what day its newest is, where it says (`2024-07-01`).
    pub date: Option<String>,
}
