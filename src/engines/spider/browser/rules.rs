//! What pages may not ask for, whatever scope says: what robots.txt forbids, where that is kept to, and
//! what would log out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use url::{Origin, Position, Url};

use crate::engines::spider::crawl::{AGENT, logs_out};
use crate::engines::web::{Fetch, FetchError, Robots, ask_robots};

/// Servers whose robots.txt is kept. Nothing is asked of more than that.
const MOST_SERVERS: usize = 1000;

/// The rules of all servers that pages ask for something.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Keep to robots.txt.
    pub robots: bool,
    /// Somebody is logged in.
    pub logged_in: bool,
    known: Mutex<HashMap<Origin, Arc<OnceCell<Robots>>>>,
}

impl Rules {
    pub(super) fn new(robots: bool, logged_in: bool) -> Self {
        Self {
            robots,
            logged_in,
            known: Mutex::default(),
        }
    }

    /// Whether this may be asked for. A server that was not asked yet is asked for its robots.txt, once.
    pub(super) async fn allow(&self, fetch: &dyn Fetch, url: &Url) -> bool {
        if self.logged_in && logs_out(url) {
            return false;
        }
        if !self.robots {
            return true;
        }
        let Some(known) = self.of(url.origin()) else {
            return false;
        };
        let ask = || async { Ok::<_, FetchError>(ask_robots(fetch, url, AGENT).await?.0) };
        known
            .get_or_try_init(ask)
            .await
            .is_ok_and(|robots| robots.allowed(&url[Position::BeforePath..Position::AfterQuery]))
    }

    fn of(&self, server: Origin) -> Option<Arc<OnceCell<Robots>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&server) && known.len() >= MOST_SERVERS {
            return None;
        }
        Some(Arc::clone(known.entry(server).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::browser_tests::Canned;
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn robots_txt_is_asked_for_once_and_kept_to() {
        let fetch = Canned::new(|url| {
            (url.as_str() == "http://a.test/robots.txt")
                .then_some("User-agent: *\nDisallow: /api\n")
        });
        let rules = Rules::new(true, false);
        for (text, allowed) in [
            ("http://a.test/x", true),
            ("http://a.test/api/x?y", false),
            ("http://a.test/x?logout=1", true),
            // It gives no answer at all.
            ("http://b.test/x", false),
        ] {
            assert_eq!(rules.allow(&fetch, &url(text)).await, allowed, "{text}");
        }
        let asked = fetch.asked();
        assert_eq!(
            asked,
            ["http://a.test/robots.txt", "http://b.test/robots.txt"]
        );
    }

    #[tokio::test]
    async fn who_is_logged_in_stays_so() {
        let fetch = Canned::new(|_| None);
        let rules = Rules::new(false, true);
        assert!(rules.allow(&fetch, &url("http://a.test/x")).await);
        assert!(!rules.allow(&fetch, &url("http://a.test/logout")).await);
        assert!(fetch.asked().is_empty());
    }

    #[tokio::test]
    async fn servers_without_end_are_not_asked() {
        let fetch = Canned::new(|_| Some(""));
        let rules = Rules::new(true, false);
        for server in 0..=MOST_SERVERS {
            let url = url(&format!("http://host{server}.test/"));
            let allowed = rules.allow(&fetch, &url).await;
            assert_eq!(allowed, server < MOST_SERVERS, "{server}");
        }
        assert_eq!(fetch.asked().len(), MOST_SERVERS);
    }
}
