use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::Datelike;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use url::Url;

use super::super::extract::Extracted;
use super::super::secrets::redacted;
use super::super::technologies::Technology;
use super::super::url::{Shape, Trap, TrapGuard, TrapLimits, normalise};
use super::super::{Link, LinkKind};
use super::ask::{Taken, ask, ask_rules};
use super::frontier::{Frontier, Item};
use super::links::{Follow, asks_by_get, follow, is_opaque, logs_out};
use super::servers::{Leave, Servers};
use super::{Checkpoint, Ended, Observer, Options, PageReport, Progress, Render, Report};
use crate::engines::web::{Fetch, FetchError};

/// Why there is nothing to report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrawlError {
    /// No start page answered.
    #[error("{0}")]
    Unanswered(String),
    /// There is no start page.
    #[error("no URL to begin with")]
    NoStart,
}

/// How often the caller is asked whether it shall end.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How often the caller is offered a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What answered nothing, 429 or 503 is asked so many times in all.
const TRIES: u8 = 3;

/// Redirects that are followed one after the other; browsers follow 20.
const MOST_HOPS: u8 = 10;

/// Bytes of a file that says nothing about where to go.
const OPAQUE_BYTES: usize = 16 * 1024;

/// Other hosts that are counted.
const MOST_EXTERNAL: usize = 1000;

/// Parts of pages that are asked for on other hosts, where scope allows it.
const MOST_FOREIGN: u32 = 1000;

/// Crawls.
///
/// # Errors
///
/// No start page gives an answer.
pub async fn crawl(
    options: &Options,
    fetch: &dyn Fetch,
    render: Option<&dyn Render>,
    observer: &dyn Observer,
) -> Result<Report, CrawlError> {
    let mut crawl = Crawl::new(options, fetch, render, observer);
    if crawl.hosts.is_empty() {
        return Err(CrawlError::NoStart);
    }
    crawl.begin().await;
    crawl.run().await;
    crawl.end()
}

/// A crawl under way.
pub(super) struct Crawl<'a> {
    pub(super) options: &'a Options,
    pub(super) fetch: &'a dyn Fetch,
    render: Option<&'a dyn Render>,
    observer: &'a dyn Observer,
    /// Of the start pages.
    hosts: HashSet<String>,
    pub(super) frontier: Frontier,
    guard: TrapGuard,
    pub(super) servers: Servers,
    under_way: HashMap<u64, Item>,
    asked: u64,
    began: Instant,
    kept_at: Instant,
    /// What the last request without an answer came to.
    last_error: Option<String>,
    /// Whoever sends sends no more.
    stopped: bool,
    foreign: u32,
    found: u64,
    technologies: BTreeMap<String, Technology>,
    /// Links that were not followed, by why not, with the first of them.
    left_out: BTreeMap<&'static str, (u64, String)>,
    traps: HashMap<Trap, (u64, String)>,
    /// Pages that no browser rendered, where one should, with why not the first of them.
    not_rendered: Option<(u64, String)>,
    pub(super) report: Report,
}

impl<'a> Crawl<'a> {
    fn new(
        options: &'a Options,
        fetch: &'a dyn Fetch,
        render: Option<&'a dyn Render>,
        observer: &'a dyn Observer,
    ) -> Self {
        let now = Instant::now();
        let year = u32::try_from(chrono::Utc::now().year()).unwrap_or_default();
        let resume = options
            .resume
            .as_ref()
            .filter(|at| at.crawl == options.number());
        let hosts = options.start.iter().filter_map(Url::host_str);
        Self {
            options,
            fetch,
            render,
            observer,
            hosts: hosts.map(str::to_owned).collect(),
            frontier: resume.map(Frontier::restore).unwrap_or_default(),
            guard: TrapGuard::new(TrapLimits::in_year(year)),
            servers: Servers::new(options.start.iter()),
            under_way: HashMap::new(),
            asked: 0,
            began: now,
            kept_at: now,
            last_error: None,
            stopped: false,
            foreign: 0,
            found: 0,
            technologies: BTreeMap::new(),
            left_out: BTreeMap::new(),
            traps: HashMap::new(),
            not_rendered: None,
            report: Report {
                pages: resume.map_or(0, |at| at.pages),
                ..Report::default()
            },
        }
    }

    async fn begin(&mut self) {
        let starts: Vec<Url> = self.options.start.iter().cloned().map(normalise).collect();
        let mut servers = HashSet::new();
        for start in &starts {
            if servers.insert(start.origin()) && !self.observer.cancelled() {
                self.robots(start).await;
            }
        }
        for start in &starts {
            self.meet(start, 0, 0, false);
            self.well_known(start);
        }
    }

    async fn run(&mut self) {
        let mut under_way = FuturesUnordered::new();
        let mut tick = tokio::time::interval(ASK_EVERY);
        let ended = loop {
            if let Some(ended) = self.over() {
                break ended;
            }
            let mut waits = false;
            while under_way.len() < self.options.concurrency.max(1)
                && self.report.pages + (under_way.len() as u64) < self.options.max_pages
                && self.frontier.len() > 0
            {
                waits = !self.servers.take_turn(Instant::now());
                if waits {
                    break;
                }
                let Some(ask) = self.next() else { break };
                under_way.push(ask);
            }
            if under_way.is_empty() && !waits {
                // Nobody can add to what waits.
                break self.exhausted();
            }
            tokio::select! {
                biased;
                Some(taken) = under_way.next() => self.take(taken),
                _ = tick.tick() => {}
            }
            self.offer_checkpoint();
        };
        self.report.ended = ended;
    }

    /// Nothing waits, or nothing more is allowed.
    fn exhausted(&self) -> Ended {
        if self.frontier.len() > 0 {
            Ended::MaxPages
        } else if self.servers.aside().0 > 0 {
            Ended::Unanswered
        } else {
            Ended::Complete
        }
    }

    /// Whether it shall end before all is asked for.
    fn over(&self) -> Option<Ended> {
        let limit = self.options.max_time;
        if self.stopped || self.observer.cancelled() {
            Some(Ended::Cancelled)
        } else if limit > Duration::ZERO && self.began.elapsed() >= limit {
            Some(Ended::Deadline)
        } else {
            None
        }
    }

    /// The next request, under way.
    fn next(&mut self) -> Option<BoxFuture<'a, Taken>> {
        loop {
            let (url, item) = self.frontier.next(&self.guard)?;
            if self.servers.is_gone(&url) {
                self.servers.set_aside(&url, item);
                continue;
            }
            if self.options.robots {
                match self.servers.leave(&url) {
                    Leave::Allowed => {}
                    Leave::Denied => {
                        self.leave_out("are not allowed by robots.txt", &url);
                        continue;
                    }
                    Leave::Asked => {
                        self.servers.park(&url, item);
                        continue;
                    }
                    Leave::Unknown => {
                        self.servers.park(&url, item);
                        return Some(Box::pin(ask_rules(url, self.fetch)));
                    }
                }
            }
            if item.tries == 0
                && let Err(trap) = self.guard.ask(Shape::of(&url))
            {
                self.trapped(trap, &url);
                continue;
            }
            self.asked += 1;
            self.report.requests += 1;
            let number = self.asked;
            let part = item.part;
            self.under_way.insert(number, item);
            let (fetch, render) = (self.fetch, self.render.filter(|_| !part));
            let limit = match is_opaque(&url) {
                true => OPAQUE_BYTES,
                false => self.options.body_limit,
            };
            return Some(Box::pin(ask(number, url, limit, fetch, render)));
        }
    }

    /// A request came to something.
    fn take(&mut self, taken: Taken) {
        let taken = match taken {
            Taken::Page(taken) => *taken,
            Taken::Rules(server, rules) => match rules {
                Ok((rules, asked)) => {
                    self.report.requests += asked;
                    return self.learn(&server, rules);
                }
                Err(_) => return self.stopped = true,
            },
        };
        let Some(item) = self.under_way.remove(&taken.number) else {
            return;
        };
        match taken.result {
            Ok((response, extracted)) => {
                self.servers.answered(&taken.url);
                let busy = matches!(response.status.as_u16(), 429 | 503);
                if busy && item.tries + 1 < TRIES {
                    return self.again(item);
                }
                for link in &extracted.links {
                    self.link(link, &item, &extracted);
                }
                self.guard
                    .learned(Shape::of(&taken.url), extracted.hash.exact);
                self.technologies(&extracted.technologies);
                let mut page = PageReport::read(item.depth, &response, *extracted);
                page.not_rendered = taken.not_rendered;
                if let Some(why) = &page.not_rendered {
                    let first = || (0, format!("{why}: {}", redacted(taken.url.as_str())));
                    self.not_rendered.get_or_insert_with(first).0 += 1;
                }
                let picture = taken.screenshot;
                page.screenshot = picture.and_then(|png| self.observer.screenshot(&page.url, &png));
                self.found += page.found() as u64;
                self.report.pages += 1;
                self.observer.page(page, Some(&response));
            }
            Err(FetchError::Stopped(_)) => {
                self.stopped = true;
                self.frontier.again(item);
            }
            Err(error @ FetchError::OutsideScope { .. }) => {
                self.leave_out("are outside scope", &taken.url);
                let error = redacted(&error.to_string()).into_owned();
                self.last_error.get_or_insert(error);
            }
            Err(error) => {
                self.servers.failed(&taken.url);
                let told = redacted(&error.to_string()).into_owned();
                self.last_error = Some(told.clone());
                if item.tries + 1 < TRIES && !matches!(error, FetchError::Unresolved(_)) {
                    return self.again(item);
                }
                self.report.failed += 1;
                let url = redacted(taken.url.as_str());
                let page = PageReport::failed(&url, item.depth, told);
                self.observer.page(page, None);
            }
        }
        self.observer.progress(&self.progress());
    }

    fn again(&mut self, item: Item) {
        let tries = item.tries + 1;
        self.frontier.again(Item { tries, ..item });
    }

    fn progress(&self) -> Progress {
        Progress {
            sent: self.report.requests,
            pages: self.report.pages,
            waiting: self.frontier.len() as u64,
            found: self.found,
        }
    }

    /// A link of a page.
    fn link(&mut self, link: &Link, from: &Item, page: &Extracted) {
        let follow = match link.kind {
            LinkKind::Form if !asks_by_get(&page.forms, &link.url) => Follow::No,
            kind => follow(kind),
        };
        if !self.is_ours(&link.url) {
            self.elsewhere(&link.url, follow);
            return;
        }
        let (depth, hops, part) = match (follow, link.kind) {
            (Follow::No, _) => return,
            (Follow::Part, _) => (from.depth, 0, true),
            (Follow::Page, LinkKind::Redirect) => (from.depth, from.hops + 1, from.part),
            // An index leads to other indexes and to pages.
            (Follow::Page, LinkKind::Sitemap) => (1, 0, false),
            (Follow::Page, _) => (from.depth + 1, 0, false),
        };
        if hops > MOST_HOPS {
            return self.leave_out("come after too many redirects", &link.url);
        }
        self.meet(&link.url, depth, hops, part);
    }

    /// A URL of ours was met.
    pub(super) fn meet(&mut self, url: &Url, depth: u32, hops: u8, part: bool) {
        if self.frontier.has_met(url) || !self.is_ours(url) {
            return;
        }
        if depth > self.options.depth {
            return self.leave_out("are deeper than the limit", url);
        }
        if self.options.logged_in && logs_out(url) {
            return self.leave_out("would log out", url);
        }
        if self.options.robots && self.servers.leave(url) == Leave::Denied {
            return self.leave_out("are not allowed by robots.txt", url);
        }
        if let Err(trap) = self.guard.check(url) {
            return self.trapped(trap, url);
        }
        let item = Item {
            url: url.to_string(),
            depth,
            hops,
            tries: 0,
            part,
        };
        self.frontier.add(url, item, &self.guard);
    }

    fn is_ours(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| self.hosts.contains(host))
    }

    /// A link to another host. What a page is made of is asked for there, where scope allows it.
    fn elsewhere(&mut self, url: &Url, follow: Follow) {
        let Some(host) = url.host_str() else { return };
        let external = &mut self.report.external;
        if external.contains_key(host) || external.len() < MOST_EXTERNAL {
            *external.entry(host.to_owned()).or_default() += 1;
        }
        if follow == Follow::Part && self.foreign < MOST_FOREIGN && !self.frontier.has_met(url) {
            self.foreign += 1;
            let item = Item {
                url: url.to_string(),
                depth: self.options.depth,
                hops: MOST_HOPS,
                tries: 0,
                part: true,
            };
            self.frontier.add(url, item, &self.guard);
        }
    }

    fn leave_out(&mut self, why: &'static str, url: &Url) {
        let (count, _) = self
            .left_out
            .entry(why)
            .or_insert_with(|| (0, redacted(url.as_str()).into()));
        *count += 1;
    }

    fn trapped(&mut self, trap: Trap, url: &Url) {
        let (count, _) = self
            .traps
            .entry(trap)
            .or_insert_with(|| (0, redacted(url.as_str()).into()));
        *count += 1;
    }

    fn technologies(&mut self, found: &[Technology]) {
        for new in found {
            let known = self
                .technologies
                .entry(new.name.clone())
                .or_insert_with(|| new.clone());
            known.confidence = known.confidence.max(new.confidence);
            if known.version.is_none() {
                known.version.clone_from(&new.version);
                known.cpe.clone_from(&new.cpe);
            }
        }
    }

    fn offer_checkpoint(&mut self) {
        if self.kept_at.elapsed() >= CHECKPOINT_EVERY {
            self.kept_at = Instant::now();
            self.observer.checkpoint(&|| self.checkpoint());
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            crawl: self.options.number(),
            pages: self.report.pages,
            ..self
                .frontier
                .checkpoint(self.under_way.values().chain(self.servers.waiting()))
        }
    }

    fn end(mut self) -> Result<Report, CrawlError> {
        if self.report.pages == 0
            && let Some(error) = self.last_error.take()
        {
            return Err(CrawlError::Unanswered(error));
        }
        if self.report.ended != Ended::Complete {
            self.report.resume = Some(self.checkpoint());
        }
        let mut notes: Vec<String> = self
            .traps
            .iter()
            .map(|(trap, (count, first))| format!("{count} links not followed: {trap} ({first})"))
            .collect();
        notes.sort();
        for (why, (count, first)) in &self.left_out {
            notes.push(format!("{count} links {why}, not followed: {first}"));
        }
        if let Some(first) = self.servers.never_there() {
            let (_, count) = self.servers.aside();
            notes.push(format!(
                "{count} links are on servers that do not answer, not followed: {}",
                redacted(first)
            ));
        }
        if let Some((count, first)) = &self.not_rendered {
            notes.push(format!("{count} pages without the browser: {first}"));
        }
        if self.frontier.dropped > 0 {
            let dropped = self.frontier.dropped;
            notes.push(format!("{dropped} links dropped: too many wait"));
        }
        self.report.notes = notes;
        self.report.technologies = self.technologies.into_values().collect();
        self.report.duration = self.began.elapsed().as_secs_f64();
        Ok(self.report)
    }
}
