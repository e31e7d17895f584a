//! What operating the hub needs of a database.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Result;
use crate::api::WorkKind;

/// Counting stops here: nobody waits for the exact length of a queue of millions.
pub const COUNT_MAX: u64 = 100_000;

/// How much work of one kind there is; at most [`COUNT_MAX`] of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// The kind.
    pub kind: WorkKind,
    /// Due and held by nobody.
    pub due: u64,
    /// Held by an agent.
    pub leased: u64,
}

/// Care of the database.
#[async_trait]
pub trait Ops: Send + Sync {
    /// Writes something, as long as a small result, and waits until it is on disk.
    async fn probe(&self, now: DateTime<Utc>) -> Result<()>;

    /// The clock of the database; `None` when that is this host's.
    async fn time(&self) -> Result<Option<DateTime<Utc>>>;

    /// How much work there is, by kind; cheap however much it is.
    async fn queue(&self, now: DateTime<Utc>) -> Result<Vec<QueueDepth>>;

    /// Number of stored scans by type, of requests (`kumo_spider`) and of paths (`suzu_enum`).
    async fn scan_totals(&self) -> Result<BTreeMap<String, u64>>;

    /// Size of the database, bytes.
    async fn size(&self) -> Result<u64>;

    /// Writes a copy of the database as of now into a new file. False when this database has tools
    /// of its own for that.
    async fn backup(&self, file: &Path) -> Result<bool>;

    /// What is wrong with what is stored, in words; a hundred at most.
    async fn verify(&self) -> Result<Vec<String>>;

    /// Gives free space back. Nothing is written meanwhile.
    async fn vacuum(&self) -> Result<()>;
}
