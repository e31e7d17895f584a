//! What an HTML page says: links of every kind, forms, scripts, comments, what it says of itself, and
//! the hash of its text.
//!
//! The tokenizer is html5gum (WHATWG), which reports tokens without building anything; no tree is
//! made, so that memory is the page and what was found in it. Everything found has a cap on its number
//! and length, and [`Page::truncated`] says that one was met.

mod attributes;
mod charset;
mod collect;
mod elements;
mod form;
mod text;

#[cfg(test)]
mod html_tests;

pub(super) use attributes::looks_like_url;
pub use charset::{declared, decode};
pub use collect::read;
pub use form::{Field, Form};
pub use text::{TextHash, TextHasher};

/// Links of one response.
pub(super) use limits::LINKS as MOST_LINKS;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::js::Findings;
use super::{Link, LinkKind};
use crate::api::hides;

/// What a page may have of each; the largest pages of the web have a tenth.
pub(super) mod limits {
    /// Links.
    pub const LINKS: usize = 20_000;
    /// Forms.
    pub const FORMS: usize = 200;
    /// Fields of a form.
    pub const FIELDS: usize = 200;
    /// Comments that are kept.
    pub const COMMENTS: usize = 200;
    /// Scripts that are listed.
    pub const SCRIPTS: usize = 1000;
    /// Kinds of event handlers.
    pub const EVENTS: usize = 100;
    /// Attributes of an element.
    pub const ATTRIBUTES: usize = 128;
    /// Bytes of all attributes of an element.
    pub const ATTRIBUTE_BYTES: usize = 256 * 1024;
    /// Bytes of comments that are searched for links.
    pub const COMMENT_BYTES: usize = 256 * 1024;
    /// Characters of a text that is kept.
    pub const TEXT: usize = 300;
    /// Bytes at the beginning in which a charset may be declared (WHATWG: 1024).
    pub const PRESCAN: usize = 1024;
}

/// A script of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Where it is, for an external one; the link has it resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Its type, when it is no classic script: `module`, `application/ld+json`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Bytes of an inline one.
    pub length: usize,
    /// Whether an external one is pinned by its hash.
    pub integrity: bool,
}

/// What was found in a page.
#[derive(Debug, Default)]
pub struct Page {
    /// What relative links are relative to, if the page says.
    pub base: Option<Url>,
    /// Links, each once for its kind.
    pub links: Vec<Link>,
    /// Forms.
    pub forms: Vec<Form>,
    /// Scripts, inline and external.
    pub scripts: Vec<Script>,
    /// What the inline scripts and event handlers say.
    pub code: Findings,
    /// Event handlers: how many of each (`onclick`).
    pub events: BTreeMap<String, u32>,
    /// Comments that have something to say, shortened.
    pub comments: Vec<String>,
    /// The title.
    pub title: Option<String>,
    /// What says that it made the page.
    pub generators: Vec<String>,
    /// The language.
    pub language: Option<String>,
    /// The URL that the page goes by.
    pub canonical: Option<Url>,
    /// The charset that a `meta` declares.
    pub charset: Option<String>,
    /// Whether a `meta` carries a content security policy.
    pub meta_csp: bool,
    /// The hash of its text.
    pub hash: TextHash,
    /// Whether there was more of anything than is kept.
    pub truncated: bool,
}

impl Page {
    /// Adds a link, unless it is there.
    pub(super) fn link(&mut self, seen: &mut super::url::SeenSet, url: Url, kind: LinkKind) {
        use std::hash::{Hash, Hasher};
        if self.links.len() >= limits::LINKS {
            self.truncated = true;
            return;
        }
        let mut hasher = siphasher::sip::SipHasher13::new();
        url.as_str().hash(&mut hasher);
        kind.hash(&mut hasher);
        if seen.insert(hasher.finish()) {
            self.links.push(Link { url, kind });
        }
    }
}

/// The beginning of a text on one line, to be kept.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let mut short = String::new();
    let mut left = most;
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        let before = short.len();
        short.extend(
            word.chars()
                .filter(|c| !c.is_control() && !is_hidden(*c))
                .take(left),
        );
        left = left.saturating_sub(short[before..].chars().count() + 1);
        if left == 0 {
            break;
        }
    }
    short.truncate(short.trim_end().len());
    short
}

/// Characters that turn text around or do not show: they are for deceiving who reads a report.
fn is_hidden(c: char) -> bool {
    !c.is_control() && hides(c)
}
