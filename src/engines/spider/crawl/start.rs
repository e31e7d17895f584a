//! What is asked for before the first page: what a site says of itself.

use url::Url;

use super::run::Crawl;
use crate::engines::web::{Robots, ask_robots};

/// Names by which the groups of robots.txt know us.
pub const AGENT: &str = "recon";

/// Paths named by robots.txt that are kept.
const MOST_PATHS: usize = 1000;

impl Crawl<'_> {
    /// Asks a server that is begun with for its robots.txt.
    pub(super) async fn robots(&mut self, start: &Url) {
        if let Ok((robots, asked)) = ask_robots(self.fetch, start, AGENT).await {
            self.report.requests += asked;
            self.learn(start, robots);
        }
    }

    /// A server said what it wants of crawlers: what that names is worth a look.
    pub(super) fn learn(&mut self, server: &Url, robots: Robots) {
        let room = MOST_PATHS.saturating_sub(self.report.robots.len());
        let named = robots.paths().filter(|path| path.starts_with('/'));
        let named: Vec<String> = named.take(room).map(str::to_owned).collect();
        let sitemaps = server
            .join("/robots.txt")
            .map_or_else(|_| Vec::new(), |url| robots.sitemaps(&url));
        // They hold for what they name, too.
        let waited = self.servers.learn(server, robots, self.options.robots);
        for item in waited {
            self.frontier.back(item);
        }
        for path in &named {
            // Patterns name no page.
            if !path.contains(['*', '$'])
                && let Ok(page) = server.join(path)
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
