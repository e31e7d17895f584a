//! Browser mode: pages as the system's Chromium makes them, once their scripts ran.
//!
//! One Chromium for a crawl, headless, spoken to by the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>) over a pipe. It has no network: its proxy is
//! not there, no name resolves, and UDP is off. Every request that a page makes is stopped before it
//! leaves, and answered with what [`Fetch`] got, or not at all; so scope,
//! rate, credentials, limits and robots.txt hold for the browser like for all else. Nothing is ever posted, and no
//! page is left for another: where it wants to go is told, and the crawl goes there by itself.
//!
//! `process` starts and ends Chromium, `connection` and `frames` are the protocol, `tab` loads one page,
//! `answer` has what its requests come to, `rules` what must not be asked for.

mod answer;
mod connection;
mod frames;
mod kept;
mod paused;
mod process;
mod rules;
mod tab;

#[cfg(test)]
mod browser_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod hostile_tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use url::Url;

use self::answer::Ways;
use self::kept::Kept;
use self::process::Process;
use self::rules::Rules;
use self::tab::{Tab, Trouble};
use super::crawl::{Render, Rendered};
use crate::engines::web::Fetch;

pub use process::{NAMES as PROGRAMS, find};

/// A Chromium that loaded so many pages makes room for a new one: what leaks, leaks no further.
const PAGES_OF_ONE: u32 = 500;

/// After so many starts in a row that failed it is not tried again.
const MOST_FAILED_STARTS: u32 = 3;

/// Beyond the time for a page, what reading it, its picture and closing it may take. Who takes longer
/// hangs, and goes.
const GRACE: Duration = Duration::from_secs(25);

/// How pages are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserOptions {
    /// Time for a page to load and come to rest; then what there is of it is taken.
    pub limit: Duration,
    /// A page is at rest when it asked for nothing for so long after it was loaded.
    pub rest: Duration,
    /// Pages at the same time.
    pub tabs: usize,
    /// What scripts see as `navigator.userAgent`; empty: Chromium's own. Requests have that of
    /// [`Fetch`].
    pub user_agent: String,
    /// MiB of private memory that each of its processes may have.
    pub memory: u32,
    /// Whether a picture of each page is taken.
    pub screenshots: bool,
    /// What pages ask for keeps to robots.txt, too.
    pub robots: bool,
    /// Somebody is logged in by what is sent along: nothing that logs out is asked for.
    pub logged_in: bool,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(15),
            rest: Duration::from_millis(500),
            tabs: 4,
            user_agent: String::new(),
            // Applications that are called heavy take half of it.
            memory: 1024,
            screenshots: true,
            robots: false,
            logged_in: false,
        }
    }
}

/// The system's Chromium, for one crawl. It starts with the first page, and is killed when this is
/// dropped.
pub struct Browser {
    program: PathBuf,
    options: BrowserOptions,
    fetch: Arc<dyn Fetch>,
    kept: Kept,
    rules: Rules,
    tabs: Semaphore,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    process: Option<Arc<Process>>,
    pages: u32,
    failed_starts: u32,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser")
            .field("program", &self.program)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Browser {
    /// A browser all of whose requests go through `fetch`.
    ///
    /// # Errors
    ///
    /// There is no Chromium; the text says what to install.
    pub fn new(fetch: Arc<dyn Fetch>, options: BrowserOptions) -> Result<Self, String> {
        Ok(Self {
            program: find()?,
            tabs: Semaphore::new(options.tabs.max(1)),
            rules: Rules::new(options.robots, options.logged_in),
            options,
            fetch,
            kept: Kept::default(),
            running: Mutex::default(),
        })
    }

    /// The Chromium that runs, or a new one.
    async fn process(&self) -> Result<Arc<Process>, String> {
        let mut running = self.running.lock().await;
        running.pages += 1;
        if let Some(process) = &running.process
            && running.pages <= PAGES_OF_ONE
            && !process.connection.is_closed()
        {
            return Ok(Arc::clone(process));
        }
        // The tabs that are still open there are its last.
        running.process = None;
        running.pages = 1;
        if running.failed_starts >= MOST_FAILED_STARTS {
            return Err("Chromium did not start, and is not tried again".to_owned());
        }
        match Process::start(&self.program, &self.options).await {
            Ok(process) => {
                running.failed_starts = 0;
                let process = Arc::new(process);
                running.process = Some(Arc::clone(&process));
                Ok(process)
            }
            Err(error) => {
                running.failed_starts += 1;
                Err(error)
            }
        }
    }

    /// It does as it likes: the next page gets another one.
    async fn discard(&self, process: &Arc<Process>) {
        process.kill();
        let mut running = self.running.lock().await;
        if let Some(now) = &running.process
            && Arc::ptr_eq(now, process)
        {
            running.process = None;
        }
    }

    async fn load(&self, process: &Process, url: &Url) -> Result<Rendered, Trouble> {
        let ways = Ways {
            fetch: &*self.fetch,
            kept: &self.kept,
            rules: &self.rules,
        };
        let mut tab = Tab::open(&process.connection, ways).await?;
        let loaded = tab.load(url, &self.options).await;
        // Also after it failed: what hangs is killed with its context.
        tab.close().await?;
        loaded
    }
}

#[async_trait]
impl Render for Browser {
    async fn render(&self, url: &Url) -> Result<Rendered, String> {
        let _tab = self.tabs.acquire().await.map_err(|e| e.to_string())?;
        let process = self.process().await?;
        let limit = self.options.limit + GRACE;
        let loaded = timeout(limit, self.load(&process, url)).await;
        let trouble = match loaded.unwrap_or(Err(Trouble::Hangs)) {
            Ok(rendered) => return Ok(rendered),
            Err(trouble) => trouble,
        };
        if matches!(trouble, Trouble::Lost | Trouble::Hangs) {
            self.discard(&process).await;
        }
        Err(trouble.to_string())
    }
}
