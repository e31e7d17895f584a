//! What is asked for before the first page: what a site says of itself.

use url::Url;

use super::run::Crawl;
use crate::engines::web::{Request, Robots};

/// Names by which the groups of robots.txt know us.
const AGENT: &str = "recon";

/// Bytes of robots.txt that are read (RFC 9309 §2.5).
const ROBOTS_BYTES: usize = 500 * 1024;

/// Paths named by robots.txt that are kept.
const MOST_PATHS: usize = 1000;

impl Crawl<'_> {
    /// Asks each server that is begun with for its robots.txt; what that names is worth a look.
    pub(super) async fn robots(&mut self, start: &Url) {
        let Ok(url) = start.join("/robots.txt") else {
            return;
        };
        let request = Request {
            body_limit: Some(ROBOTS_BYTES),
            ..Request::get(url.clone())
        };
        self.report.requests += 1;
        let robots = match self.fetch.fetch(request).await {
            Ok(response) => Robots::of(response.status.as_u16(), &response.body, AGENT),
            Err(_) => Robots::unreachable(),
        };
        let room = MOST_PATHS.saturating_sub(self.report.robots.len());
        let named = robots.paths().take(room).map(str::to_owned);
        let named: Vec<String> = named.collect();
        let sitemaps = robots.sitemaps(&url);
        // They hold for what they name, too.
        self.rules.insert(start.origin(), robots);
        for path in &named {
            // Patterns name no page.
            if !path.contains(['*', '$'])
                && let Ok(page) = start.join(path)
            {
                self.meet(&page, 1, 0, false);
            }
        }
        self.report.robots.extend(named);
        for sitemap in sitemaps {
            self.meet(&sitemap, 0, 0, true);
        }
    }

    /// Where sites say which pages they have, and whom to tell of holes (RFC 9116).
    pub(super) fn well_known(&mut self, start: &Url) {
        for path in ["/sitemap.xml", "/.well-known/security.txt"] {
            if let Ok(url) = start.join(path) {
                self.meet(&url, 0, 0, true);
            }
        }
    }
}
