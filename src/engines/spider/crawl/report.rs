use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::extract::{Extracted, Kind};
use super::super::facts::Facts;
use super::super::html::Form;
use super::super::js::Endpoint;
use super::super::openapi::Operation;
use super::super::secrets::{Secret, redacted};
use super::super::technologies::Technology;
use super::super::url::normalise;
use super::Checkpoint;
use crate::engines::web::{Response, redirect_target};

/// Characters of a header's value that are kept.
const HEADER_BYTES: usize = 2048;

/// Bytes of all headers of a response that are kept: written as JSON they may have six times as many, and
/// the hub takes 64 KiB of them.
const HEADERS_BYTES: usize = 10 * 1024;

/// Characters of a cookie's value that are kept.
const COOKIE_SHOWN: usize = 4;

/// What was found at one URL.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PageReport {
    /// The URL.
    pub url: String,
    /// The status; 0 without an answer.
    pub status: u16,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Links between a start page and it.
    pub depth: u32,
    /// What the body is.
    pub kind: Kind,
    /// Its type, as the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Bytes of the body, decoded, that were read.
    pub length: usize,
    /// Whether there was more of the body, or in it, than is kept.
    pub truncated: bool,
    /// Where it redirects to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Hash of what it says, without what changes at each visit: 16 hexadecimal digits.
    pub content_hash: String,
    /// Simhash of the same: few bits differ between pages of which few words do.
    pub simhash: String,
    /// Milliseconds from the first byte sent to the last byte read.
    pub response_time_ms: f64,
    /// `HTTP/1.1`, `HTTP/2.0`
    pub protocol: String,
    /// Headers of the response, in the server's order.
    pub headers: Vec<(String, String)>,
    /// Links on it.
    pub links: usize,
    /// Forms.
    pub forms: Vec<Form>,
    /// What its scripts name, or it, if it is one.
    pub endpoints: Vec<Endpoint>,
    /// Operations of an API document.
    pub operations: Vec<Operation>,
    /// Names of parameters that scripts read.
    pub parameters: Vec<String>,
    /// External scripts that it loads.
    pub scripts: Vec<String>,
    /// Comments that say something.
    pub comments: Vec<String>,
    /// Secrets, redacted.
    pub secrets: Vec<Secret>,
    /// What it is made with.
    pub technologies: Vec<Technology>,
    /// Headers that are missing, cookies, CORS, listings, error pages.
    pub facts: Facts,
    /// Why a browser did not render it, where one should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_rendered: Option<String>,
    /// Where the picture of what it looks like is kept (browser mode).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<String>,
}

impl PageReport {
    /// One that could not be had.
    pub(super) fn failed(url: &str, depth: u32, error: String) -> Self {
        Self {
            url: url.to_owned(),
            depth,
            error: Some(error),
            ..Self::default()
        }
    }

    /// One that was read.
    pub(super) fn read(depth: u32, response: &Response, extracted: Extracted) -> Self {
        let text = |value: &http::HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let text: String = text.chars().take(HEADER_BYTES).collect();
            redacted(&text).into_owned()
        };
        let content_type = response.headers.get(http::header::CONTENT_TYPE);
        let external = extracted.scripts.into_iter();
        Self {
            url: redacted(response.url.as_str()).into_owned(),
            status: response.status.as_u16(),
            error: None,
            depth,
            kind: extracted.kind,
            content_type: content_type.map(text),
            length: response.body.len(),
            truncated: response.truncated || extracted.truncated,
            redirect: redirect_target(response).map(|url| redacted(normalise(url).as_str()).into()),
            title: extracted.title,
            content_hash: format!("{:016x}", extracted.hash.exact),
            simhash: format!("{:016x}", extracted.hash.similar),
            response_time_ms: (response.elapsed.as_secs_f64() * 1e6).round() / 1e3,
            protocol: format!("{:?}", response.version),
            headers: headers(response, text),
            links: extracted.links.len(),
            forms: extracted.forms,
            endpoints: extracted.endpoints,
            operations: extracted.operations,
            parameters: extracted.parameters,
            scripts: external.filter_map(|script| script.src).collect(),
            comments: extracted.comments,
            secrets: extracted.secrets,
            technologies: extracted.technologies,
            facts: extracted.facts,
            not_rendered: None,
            screenshot: None,
        }
    }

    /// Forms, endpoints and secrets.
    pub(super) fn found(&self) -> usize {
        self.forms.len() + self.endpoints.len() + self.operations.len() + self.secrets.len()
    }
}

/// The headers of a response, as many as are worth keeping. Of cookies the value is somebody's session:
/// what matters of it are its name and its flags.
fn headers(
    response: &Response,
    text: impl Fn(&http::HeaderValue) -> String,
) -> Vec<(String, String)> {
    let mut room = HEADERS_BYTES;
    let mut kept = Vec::new();
    for (name, value) in &response.headers {
        let mut value = text(value);
        if name == http::header::SET_COOKIE {
            value = without_value(&value);
        }
        let size = name.as_str().len() + value.len();
        let Some(left) = room.checked_sub(size) else {
            break;
        };
        room = left;
        kept.push((name.to_string(), value));
    }
    kept
}

/// A Set-Cookie (RFC 6265 §4.1) whose value is cut down to its beginning.
fn without_value(cookie: &str) -> String {
    let (pair, flags) = match cookie.find(';') {
        Some(at) => cookie.split_at(at),
        None => (cookie, ""),
    };
    let Some((name, value)) = pair.split_once('=') else {
        return cookie.to_owned();
    };
    let mut shown: String = value.chars().take(COOKIE_SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{name}={shown}{flags}")
}

/// Why it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every URL that was met was asked for.
    #[default]
    Complete,
    /// The caller wanted so.
    Cancelled,
    /// The time was over.
    Deadline,
    /// As many pages as were allowed were read.
    MaxPages,
    /// The server does not answer any more.
    Unanswered,
}

/// What was found out, besides the pages, of which the observer was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// Requests sent.
    pub requests: u64,
    /// Pages read, by this run and those that it goes on from.
    pub pages: u64,
    /// URLs that gave no answer.
    pub failed: u64,
    /// What the site is made with, each with its highest version and confidence.
    pub technologies: Vec<Technology>,
    /// Other hosts that are linked to, and how often; none of them was asked, unless scope allows it and
    /// it has parts of a page.
    pub external: BTreeMap<String, u64>,
    /// Paths that robots.txt names.
    pub robots: Vec<String>,
    /// Other things worth knowing, for people.
    pub notes: Vec<String>,
    /// Seconds.
    pub duration: f64,
    /// Where to go on, if it did not end complete.
    pub resume: Option<Checkpoint>,
}
