use std::path::PathBuf;

use clap::Args;

use crate::fleet::{EnumSettings, SpiderSettings};

/// What the command line says to the spider and the enumerator.
#[derive(Debug, Clone, Default, Args)]
pub struct WebOptions {
    /// Links that are followed one after the other, or directories that are gone into, 0 to 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    pub depth: Option<u32>,
    /// Requests under way at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Keep to robots.txt.
    #[arg(long)]
    pub robots: bool,
    /// A header of every request (`Name: value`); may be given several times. Credentials go to the
    /// target alone.
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<String>,
    /// The User-Agent.
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
    /// An HTTP proxy (http://host:port).
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Print CSV: pages, or paths that were found.
    #[arg(long, conflicts_with_all = ["json", "jsonl"])]
    pub csv: bool,
}

/// What it says to the spider besides.
#[derive(Debug, Clone, Default, Args)]
pub struct SpiderOptions {
    /// Pages of one target at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_pages: Option<u32>,
    /// Load pages in the system's Chromium, so that their JavaScript runs (package `chromium`).
    #[arg(long)]
    pub browser: bool,
    /// Keep a screenshot of each page that the browser loads in this directory.
    #[arg(long, value_name = "DIR")]
    pub screenshots: Option<PathBuf>,
    /// Write requests and responses to this file as HAR 1.2.
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
}

/// What it says to the enumerator besides.
#[derive(Debug, Clone, Default, Args)]
pub struct EnumOptions {
    /// Words to ask for, one a line (default: the list that recon brings along); may be given several
    /// times.
    #[arg(short, long, value_name = "FILE")]
    pub wordlist: Vec<PathBuf>,
    /// Extensions that each word is tried with besides (php,bak; default: those of the technology that
    /// the server shows).
    #[arg(short = 'x', long, value_name = "LIST", value_delimiter = ',')]
    pub extensions: Vec<String>,
    /// Do not ask for backups of the files that are found.
    #[arg(long)]
    pub no_backups: bool,
    /// Ask what is found for its methods (OPTIONS).
    #[arg(long)]
    pub methods: bool,
}

/// The arguments of each of them.
pub(super) const WEB: [&str; 7] = [
    "depth",
    "concurrency",
    "robots",
    "header",
    "user_agent",
    "proxy",
    "csv",
];
pub(super) const SPIDER: [&str; 4] = ["max_pages", "browser", "screenshots", "har"];
pub(super) const ENUM: [&str; 4] = ["wordlist", "extensions", "no_backups", "methods"];

impl SpiderOptions {
    /// What the command line says of a spider.
    pub fn override_settings(&self, web: &WebOptions, settings: &mut SpiderSettings) {
        settings.depth = web.depth.unwrap_or(settings.depth);
        settings.max_pages = self.max_pages.unwrap_or(settings.max_pages);
        settings.concurrency = web.concurrency.unwrap_or(settings.concurrency);
        settings.robots |= web.robots;
        settings.browser |= self.browser;
        settings.headers.extend(web.header.iter().cloned());
        over(&web.user_agent, &mut settings.user_agent);
        over(&web.proxy, &mut settings.proxy);
    }
}

impl EnumOptions {
    /// What the command line says of an enumeration.
    pub fn override_settings(&self, web: &WebOptions, settings: &mut EnumSettings) {
        settings.depth = web.depth.unwrap_or(settings.depth);
        settings.concurrency = web.concurrency.unwrap_or(settings.concurrency);
        settings.robots |= web.robots;
        settings.methods |= self.methods;
        settings.backups &= !self.no_backups;
        settings.headers.extend(web.header.iter().cloned());
        over(&web.user_agent, &mut settings.user_agent);
        over(&web.proxy, &mut settings.proxy);
        if !self.wordlist.is_empty() {
            let path = |path: &PathBuf| path.display().to_string();
            settings.wordlists = self.wordlist.iter().map(path).collect();
        }
        if !self.extensions.is_empty() {
            settings.extensions.clone_from(&self.extensions);
        }
    }
}

fn over(said: &Option<String>, setting: &mut String) {
    if let Some(said) = said {
        setting.clone_from(said);
    }
}
