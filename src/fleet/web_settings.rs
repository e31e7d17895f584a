use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// Settings of the spider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpiderSettings {
    /// Pause between cycles.
    pub spider_interval: Span,
    /// Targets in one cycle, 1 to 1000.
    pub max_spiders: u32,
    /// A target is spidered again after this long; the hub keeps to it.
    pub respider_after: Span,
    /// Links that are followed one after the other from a start page, 0 to 100; 0 reads the start pages only.
    pub depth: u32,
    /// Pages of one target, 1 to 1,000,000; what is left out is told of.
    pub max_pages: u32,
    /// Longest time for one target; what was found until then is kept and marked incomplete.
    pub max_time: Span,
    /// Requests under way at a time, to one target.
    pub concurrency: u32,
    /// Keep to robots.txt. The paths that it names are noted either way.
    pub robots: bool,
    /// Keep cookies, and send them back to the host that set them.
    pub cookies: bool,
    /// Load pages in the system's Chromium, headless, so that their JavaScript runs, and keep a screenshot of
    /// each; a page then takes a second or more. Needs the package `chromium`.
    pub browser: bool,
    /// The User-Agent; empty: that of recon.
    pub user_agent: String,
    /// Headers of every request, each as `Name: value`. Credentials among them go to the target alone.
    pub headers: Vec<String>,
    /// An HTTP proxy, as `http://host:port`; empty: none.
    pub proxy: String,
    /// Offer HTTP/2 for https.
    pub http2: bool,
    /// Longest wait for one response.
    pub request_timeout: Span,
    /// How long a lease is asked for; heartbeats renew it.
    pub lease: Span,
}

impl Default for SpiderSettings {
    fn default() -> Self {
        Self {
            spider_interval: Span::secs(45),
            max_spiders: 3,
            respider_after: Span::secs(182 * 24 * 3600),
            depth: 16,
            max_pages: 20_000,
            max_time: Span::secs(3600),
            concurrency: 16,
            robots: false,
            cookies: true,
            browser: false,
            user_agent: String::new(),
            headers: Vec::new(),
            proxy: String::new(),
            http2: true,
            request_timeout: Span::secs(10),
            lease: Span::secs(600),
        }
    }
}

/// Settings of the directory enumerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnumSettings {
    /// Pause between cycles.
    pub enum_interval: Span,
    /// Targets in one cycle, 1 to 1000.
    pub max_enums: u32,
    /// A target is enumerated again after this long; the hub keeps to it.
    pub reenumerate_after: Span,
    /// Files of words to ask for, one a line; empty: the list that recon brings along.
    pub wordlists: Vec<String>,
    /// Extensions that each word is tried with besides, such as `php`; empty: those of the technology that
    /// the server shows.
    pub extensions: Vec<String>,
    /// Directories that are gone into, one within the other, 0 to 100.
    pub depth: u32,
    /// Longest time for one target; what was found until then is kept and marked incomplete.
    pub max_time: Span,
    /// Requests under way at a time, to one target.
    pub concurrency: u32,
    /// Ask for backups of the files that are found.
    pub backups: bool,
    /// Ask what is found for its methods.
    pub methods: bool,
    /// Keep to robots.txt.
    pub robots: bool,
    /// The User-Agent; empty: that of recon.
    pub user_agent: String,
    /// Headers of every request, each as `Name: value`. Credentials among them go to the target alone.
    pub headers: Vec<String>,
    /// An HTTP proxy, as `http://host:port`; empty: none.
    pub proxy: String,
    /// Longest wait for one response.
    pub request_timeout: Span,
    /// How long a lease is asked for; heartbeats renew it.
    pub lease: Span,
}

impl Default for EnumSettings {
    fn default() -> Self {
        Self {
            enum_interval: Span::secs(60),
            max_enums: 2,
            reenumerate_after: Span::secs(30 * 24 * 3600),
            wordlists: Vec::new(),
            extensions: Vec::new(),
            depth: 4,
            max_time: Span::secs(3600),
            concurrency: 50,
            backups: true,
            methods: false,
            robots: false,
            user_agent: String::new(),
            headers: Vec::new(),
            proxy: String::new(),
            request_timeout: Span::secs(10),
            lease: Span::secs(600),
        }
    }
}
