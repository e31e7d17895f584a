//! What a crawl knows of the servers that it asks: their rules, and whether they answer at all.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use url::{Origin, Url};

use super::frontier::Item;
use crate::engines::web::Robots;

/// So many requests in a row without an answer: a server that has answered is gone.
const GONE: u32 = 30;

/// The same of one that never answered and that only a link led to.
const NEVER_THERE: u32 = 6;

/// A robots.txt that asks for more time between two requests gets no more.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What robots.txt says of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Allowed,
    Denied,
    /// It has to be asked for first.
    Unknown,
    /// It is being asked for.
    Asked,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Servers {
    all: HashMap<Origin, Server>,
    starts: HashSet<Origin>,
    /// Between two requests, as robots.txt asks.
    delay: Duration,
    next: Option<Instant>,
}

#[derive(Debug, Default)]
struct Server {
    rules: Option<Robots>,
    asked: bool,
    answered: bool,
    /// Requests in a row without an answer.
    unanswered: u32,
    /// URLs that wait for the rules.
    parked: Vec<Item>,
    /// URLs that are not asked for any more, as it is gone.
    aside: Vec<Item>,
}

impl Servers {
    /// With those that it begins with.
    pub(super) fn new<'u>(starts: impl Iterator<Item = &'u Url>) -> Self {
        Self {
            starts: starts.map(Url::origin).collect(),
            ..Self::default()
        }
    }

    fn of(&mut self, url: &Url) -> &mut Server {
        self.all.entry(url.origin()).or_default()
    }

    /// A request came to an answer.
    pub(super) fn answered(&mut self, url: &Url) {
        let server = self.of(url);
        (server.answered, server.unanswered) = (true, 0);
    }

    /// A request came to none.
    pub(super) fn failed(&mut self, url: &Url) {
        let server = self.of(url);
        server.unanswered = server.unanswered.saturating_add(1);
    }

    /// Whether a server does not answer any more, or never did.
    pub(super) fn is_gone(&self, url: &Url) -> bool {
        let origin = url.origin();
        let Some(server) = self.all.get(&origin) else {
            return false;
        };
        let most = match server.answered || self.starts.contains(&origin) {
            true => GONE,
            false => NEVER_THERE,
        };
        server.unanswered >= most
    }

    /// Sets a URL aside.
    pub(super) fn set_aside(&mut self, url: &Url, item: Item) {
        self.of(url).aside.push(item);
    }

    /// How many URLs are set aside of servers that were there before, and of others.
    pub(super) fn aside(&self) -> (usize, usize) {
        let (mut gone, mut never) = (0, 0);
        for (origin, server) in &self.all {
            match server.answered || self.starts.contains(origin) {
                true => gone += server.aside.len(),
                false => never += server.aside.len(),
            }
        }
        (gone, never)
    }

    /// A URL that is set aside on a server that never answered.
    pub(super) fn never_there(&self) -> Option<&str> {
        let mut never = self
            .all
            .iter()
            .filter(|(origin, server)| !server.answered && !self.starts.contains(origin));
        never.find_map(|(_, server)| server.aside.first().map(|item| item.url.as_str()))
    }

    /// URLs to be gone on with another time: those that wait, and those of servers that are gone.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Item> {
        let gone =
            |origin: &Origin, server: &Server| server.answered || self.starts.contains(origin);
        self.all.iter().flat_map(move |(origin, server)| {
            let aside = gone(origin, server).then_some(&server.aside);
            server.parked.iter().chain(aside.into_iter().flatten())
        })
    }

    /// What is known of a server's robots.txt.
    pub(super) fn leave(&self, url: &Url) -> Leave {
        let Some(server) = self.all.get(&url.origin()) else {
            return Leave::Unknown;
        };
        match (&server.rules, server.asked) {
            (Some(rules), _) => {
                let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
                match rules.allowed(target) {
                    true => Leave::Allowed,
                    false => Leave::Denied,
                }
            }
            (None, true) => Leave::Asked,
            (None, false) => Leave::Unknown,
        }
    }

    /// A URL waits for the rules of its server, which are asked for.
    pub(super) fn park(&mut self, url: &Url, item: Item) {
        let server = self.of(url);
        server.asked = true;
        server.parked.push(item);
    }

    /// The rules are there; with `keep` to them. Gives back what waited for them.
    pub(super) fn learn(&mut self, url: &Url, rules: Robots, keep: bool) -> Vec<Item> {
        if keep && let Some(seconds) = rules.crawl_delay() {
            let delay = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_DELAY);
            self.delay = self.delay.max(delay.min(LONGEST_DELAY));
        }
        let server = self.of(url);
        server.rules = Some(rules);
        std::mem::take(&mut server.parked)
    }

    /// Whether robots.txt lets another request go now; it goes at once then.
    pub(super) fn take_turn(&mut self, now: Instant) -> bool {
        if self.delay.is_zero() {
            return true;
        }
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        self.next = Some(now + self.delay);
        true
    }
}
