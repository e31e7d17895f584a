//! The crawl: from start pages along their links, each page once, until there is no more.
//!
//! One task asks and reads, so that nothing has to be agreed upon: the crawl is over when the frontier is
//! empty and no request is under way. `frontier` says which URL is next, `links` which URLs are
//! followed at all, `servers` which servers want to be asked and answer, `report` what is told of a page. Sends by [`Fetch`](crate::engines::web::Fetch)
//! only.

mod ask;
mod frontier;
mod links;
mod options;
mod report;
mod run;
mod servers;
mod start;

#[cfg(test)]
mod crawl_tests;

pub use frontier::Checkpoint;
pub use options::{BODY_LIMIT, Observer, Options, Progress, Render, Rendered, Unobserved};
pub use report::{Ended, PageReport, Report};
pub use run::{CrawlError, crawl};

pub(super) use links::logs_out;
pub(super) use start::AGENT;
