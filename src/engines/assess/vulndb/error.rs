use std::io;
use std::path::PathBuf;

/// Why an import changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A feed is broken, cut off or not what it should be.
    #[error("{file}: {message}{}", place(*offset))]
    Broken {
        /// The file, and where it is an archive, what in it.
        file: String,
        /// Where, after decompression.
        offset: u64,
        /// What is wrong.
        message: String,
    },
    /// A feed cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database that is there cannot be read.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Why a database is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a database, or of another version.
    #[error("{path} is no vulnerability database of this version of recon: {what}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What tells.
        what: String,
    },
    /// It is damaged.
    #[error("{path} is damaged: {what}; remove it and import the feeds again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// Where in a feed; nothing of what is so from its beginning.
fn place(offset: u64) -> String {
    match offset {
        0 => String::new(),
        offset => format!(", at byte {offset} of its content"),
    }
}
