//! What is known of the web side of a record.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Page, Result};
use crate::api::{AssessmentContext, WebContext, WebEndpoint, WebForm, WebPage};

/// Paths of pages in a context, at most.
pub const PATHS_MAX: usize = 2000;
/// Learned paths in a context, at most.
pub const LEARNED_MAX: usize = 1000;

/// The part of a store that keeps pages, forms and endpoints, and what enumerations have taught.
#[async_trait]
pub trait WebStore: Send + Sync {
    /// What an agent wants to know of a record before it begins; an enumerator gets paths as well. `None`
    /// when there is no such record.
    async fn web_context(&self, record: Uuid, enumerator: bool) -> Result<Option<WebContext>>;

    /// Everything that an assessment reads of a record; `None` when there is no such record.
    async fn assessment_context(&self, record: Uuid) -> Result<Option<AssessmentContext>>;

    /// Pages of a record, those found last first.
    async fn web_pages(&self, query: WebQuery) -> Result<Page<WebPage>>;

    /// Forms of a record, those found last first.
    async fn web_forms(&self, query: WebQuery) -> Result<Page<WebForm>>;

    /// Endpoints of a record, those found last first.
    async fn web_endpoints(&self, query: WebQuery) -> Result<Page<WebEndpoint>>;
}

/// Which pages, forms or endpoints.
#[derive(Debug, Clone, Default)]
pub struct WebQuery {
    /// Of this record.
    pub record_id: Uuid,
    /// At most so many.
    pub limit: u32,
    /// Before this one; after it, when the oldest come first.
    pub before: Option<Uuid>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// Pages that answered with this status.
    pub status: Option<u16>,
    /// Forms and endpoints of this method.
    pub method: Option<String>,
    /// Something of it contains this, in lower or upper case.
    pub contains: Option<String>,
}

/// What an agent says of a run as a whole.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// The run, as the agent names it.
    pub run: String,
    /// When it ended; `None`: now.
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether it saw all that there is.
    pub complete: Option<bool>,
    /// What there is to know of how it went.
    pub notes: Vec<String>,
    /// How it told what is there from what is not.
    pub calibration: Vec<String>,
}
