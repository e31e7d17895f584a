//! The vulnerability database: which known vulnerabilities a product has that was found, without asking
//! anybody.
//!
//! Feeds go in by an import ([`import`]), which makes one file of them; [`Vulndb`] reads it. What is
//! matched is the version that a service names, by NVD's ranges ([`version`], [`cpe`]); where a
//! distribution made the package, what it says of its packages goes before that, and where it says
//! nothing a vulnerability is only possibly there ([`Certainty`]).
//!
//! It knows no findings: what to make of a vulnerability is the assessment's business. Nothing here
//! speaks to a network.

mod aliases;
pub mod cpe;
mod details;
mod error;
mod feed;
mod lookup;
mod matching;
mod model;
mod names;
mod packaged;
mod store;
pub mod version;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod lookup_tests;
#[cfg(test)]
mod referee_tests;

use std::path::{Path, PathBuf};

pub use details::{Cvss, Details, Epss};
pub use error::{Error, ImportError};
pub use feed::{Limits, Tracker};
pub use lookup::{Certainty, Known, Product, Vulndb};
pub use matching::End;
pub use model::{CveId, Distribution, Kev};
pub use names::Named;
pub use store::{Imported, Importer, Info, Part};

/// Where the database is, unless somebody says otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/recon/vulndb/vulndb";

/// Reads feeds into the database of this name. `-` is standard input.
///
/// # Errors
///
/// A feed cannot be read or is broken, or the database cannot be written: it stays as it was.
pub fn import(
    path: &Path,
    feeds: &[PathBuf],
    tracker: &dyn Tracker,
) -> Result<Imported, ImportError> {
    let mut importer = Importer::new(path, Limits::default())?;
    for feed in feeds {
        importer.read(feed, tracker)?;
    }
    importer.finish()
}

/// A time of a feed.
fn time(seconds: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(seconds, 0)
}
