use std::hash::Hasher;
use std::time::Duration;

use async_trait::async_trait;
use siphasher::sip::SipHasher13;
use url::Url;

use crate::engines::web::Response;

use super::{Checkpoint, PageReport};

/// Bytes of a body that are read by default: of real scripts the largest have some 10 MB.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// How to crawl.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to begin. Pages of these hosts are followed, on any port.
    pub start: Vec<Url>,
    /// Links that are followed one after the other from a start page; 0: start pages only.
    pub depth: u32,
    /// Requests that are answered at most.
    pub max_pages: u64,
    /// All of it ends after this, and what was found is kept. Zero: no limit.
    pub max_time: Duration,
    /// Requests under way at the same time.
    pub concurrency: usize,
    /// Keep to robots.txt.
    pub robots: bool,
    /// Somebody is logged in by what is sent along: links that log out are not followed.
    pub logged_in: bool,
    /// Bytes of a body that are read.
    pub body_limit: usize,
    /// Where an earlier crawl with the same options had got to.
    pub resume: Option<Checkpoint>,
}

impl Options {
    /// The defaults, from these pages.
    pub fn new(start: Vec<Url>) -> Self {
        Self {
            start,
            depth: 16,
            max_pages: 20_000,
            max_time: Duration::ZERO,
            concurrency: 16,
            robots: false,
            logged_in: false,
            body_limit: BODY_LIMIT,
            resume: None,
        }
    }
}

impl Options {
    /// What tells crawls apart.
    pub(super) fn number(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        for start in &self.start {
            hasher.write(start.as_str().as_bytes());
            hasher.write_u8(0);
        }
        hasher.write_u32(self.depth);
        hasher.write_u8(self.robots.into());
        hasher.finish()
    }
}

/// How far it has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests sent.
    pub sent: u64,
    /// Pages read.
    pub pages: u64,
    /// URLs that are known and not asked for yet.
    pub waiting: u64,
    /// Forms, endpoints and secrets found.
    pub found: u64,
}

/// What the caller hears while it runs. The methods must be cheap.
pub trait Observer: Send + Sync {
    /// It got further.
    fn progress(&self, _progress: &Progress) {}

    /// A page was read, or could not be had. The response is there when there was one.
    fn page(&self, _page: PageReport, _response: Option<&Response>) {}

    /// A page was rendered, and this is what it looks like (PNG). Says where it is kept, if it is; the
    /// page is told of next.
    fn screenshot(&self, _page: &str, _png: &[u8]) -> Option<String> {
        None
    }

    /// A crawl that ends now could go on from here. Asked for a few times a minute.
    fn checkpoint(&self, _checkpoint: &dyn Fn() -> Checkpoint) {}

    /// The caller wants it to end now. Asked at least ten times a second.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// What a browser made of a page.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The document, after its scripts ran.
    pub html: String,
    /// URLs that it asked for meanwhile.
    pub requested: Vec<Url>,
    /// What it looks like, PNG.
    pub screenshot: Option<Vec<u8>>,
}

/// Runs the scripts of pages.
#[async_trait]
pub trait Render: Send + Sync {
    /// Loads a page that was fetched.
    ///
    /// # Errors
    ///
    /// It cannot be rendered, in words; what was fetched stands.
    async fn render(&self, url: &Url) -> Result<Rendered, String>;
}
