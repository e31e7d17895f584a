//! What an answer says about its server's care: security headers, cookies, CORS, mixed content,
//! directory listings, error and default pages.

mod headers;
mod pages;

#[cfg(test)]
mod facts_tests;

pub use headers::{Cookie, Cors, Finding};

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use super::html::Page;
use super::{Link, LinkKind};

/// Facts about one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Security headers that are missing or weak.
    pub headers: Vec<Finding>,
    /// Cookies that it sets.
    pub cookies: Vec<Cookie>,
    /// What it lets other origins do, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// What a page by `https` loads by `http`.
    pub mixed_content: Vec<String>,
    /// Whose directory listing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_listing: Option<String>,
    /// Whose error page with inner details it is: a stack trace, a query, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_page: Option<String>,
    /// Whose page of a fresh installation it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_page: Option<String>,
}

/// Links to what a page loads by `http` that are told.
const MOST_MIXED: usize = 50;

/// What headers and body say. `page` is what was read of it, if it is HTML.
pub fn read(url: &Url, headers: &HeaderMap, text: &str, page: Option<&Page>) -> Facts {
    let secure = url.scheme() == "https";
    let html = page.is_some();
    let mixed = |link: &&Link| {
        let loaded = matches!(
            link.kind,
            LinkKind::Script
                | LinkKind::Style
                | LinkKind::Image
                | LinkKind::Media
                | LinkKind::Object
                | LinkKind::Frame
                | LinkKind::Form
        );
        secure && loaded && link.url.scheme() == "http"
    };
    let links = page.map(|page| page.links.as_slice()).unwrap_or_default();
    Facts {
        headers: headers::judge(
            headers,
            secure,
            html,
            page.is_some_and(|page| page.meta_csp),
        ),
        cookies: headers::cookies(headers),
        cors: headers::cors(headers),
        mixed_content: links
            .iter()
            .filter(mixed)
            .take(MOST_MIXED)
            .map(|link| link.url.to_string())
            .collect(),
        directory_listing: page.and_then(|page| pages::listing(page.title.as_deref(), text)),
        error_page: pages::error(text),
        default_page: page.and_then(|page| pages::default(page.title.as_deref(), text)),
    }
}
