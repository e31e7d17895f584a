//! Reports: what the hub knows of targets, as HTML, Markdown, JSON, SARIF or CSV.
//!
//! Data in, bytes out: nothing here knows a hub, a terminal or a clock. [`Report::add`] takes one target
//! after the other, as the hub's answers describe it, reads it as far as it can be read (`facts`), and
//! writes its part to a file without a name; [`Report::finish`] puts what needs all of them (the summary,
//! charts, SARIF's rules) before the parts, these in order of risk. So memory holds one target and a
//! line for each of the others. The same targets in the same order give the same bytes: there is no clock.
//! Texts are [`Text`], which nothing can print as it is: each format has its own way to show it.
//! May depend on `runtime` (its texts for people) and `api`; `cli` uses it.

mod csv;
mod facts;
mod html;
mod json;
mod markdown;
mod parts;
mod prose;
mod sarif;
mod text;
mod totals;

#[cfg(test)]
mod report_tests;
#[cfg(test)]
pub(crate) mod samples;

use std::io::{self, Write};

use chrono::{DateTime, Utc};

use crate::api::RiskLevel;
pub use facts::Known;
use facts::Subject;
use parts::{Part, Parts};
pub use sarif::RESULTS_MOST;
pub use text::Text;
pub use totals::Totals;

/// Version of the form of the JSON report; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One file for a browser, or a printer.
    Html,
    /// GitHub flavoured Markdown.
    Markdown,
    /// One document.
    Json,
    /// SARIF 2.1.0, for tools that collect findings.
    Sarif,
    /// One row a finding.
    Csv,
}

/// Which findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Those that are open.
    Open,
    /// Also those that are fixed, accepted or false.
    All,
}

/// What a report is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its form.
    pub format: Format,
    /// Findings of less severity are left out, and counted.
    pub min_severity: RiskLevel,
    /// Which findings are told.
    pub shown: Shown,
    /// The time of the report; without one, that of the newest of its data.
    pub now: Option<DateTime<Utc>>,
    /// What was asked for; empty: all that was assessed.
    pub asked: Vec<String>,
    /// Targets that were asked for and left out, as nobody has assessed them yet.
    pub not_assessed: u64,
    /// Of which targets a form for people tells all; programs are told all of each.
    pub at_length: AtLength,
}

/// Of which targets all is told. Of the others there is a line in the list of all, and they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLength {
    /// As many of the worst as there is room for in so many bytes, one at least.
    Bytes(u64),
    /// So many of the worst.
    Worst(usize),
    /// All of them.
    All,
}

impl AtLength {
    /// What a browser shows without a long wait, or an editor.
    pub const USUAL: Self = Self::Bytes(16 << 20);
}

/// As many targets are in the list of a form for people.
const LISTED_MOST: usize = 10_000;

/// A report in the making.
#[derive(Debug)]
pub struct Report {
    settings: Settings,
    parts: Parts,
    totals: Totals,
    /// Of SARIF.
    rules: sarif::Rules,
}

impl Report {
    /// An empty one.
    ///
    /// # Errors
    /// There is no room for a temporary file.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let wanted = match settings.format {
            Format::Html | Format::Markdown => settings.at_length,
            Format::Json | Format::Sarif | Format::Csv => AtLength::All,
        };
        Ok(Self {
            settings,
            parts: Parts::new(wanted)?,
            totals: Totals::default(),
            rules: sarif::Rules::default(),
        })
    }

    /// Adds a target.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn add(&mut self, known: Known) -> io::Result<()> {
        let subject = Subject::of(known, &self.settings);
        self.totals.count(&subject);
        let text = match self.settings.format {
            Format::Html => html::target(&subject),
            Format::Markdown => markdown::target(&subject),
            Format::Json => json::target(&subject)?,
            Format::Sarif => {
                self.rules.note(&subject);
                sarif::target(&subject)?
            }
            Format::Csv => csv::target(&subject),
        };
        self.parts.add(Part::of(&subject), &text)
    }

    /// What was counted so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How many bytes the parts of the targets are.
    pub fn size(&self) -> u64 {
        self.parts.size()
    }

    /// Writes it.
    ///
    /// # Errors
    /// The temporary file cannot be read, or `out` not written.
    pub fn finish(mut self, out: &mut dyn Write) -> io::Result<Totals> {
        self.parts.choose();
        let head = Head {
            settings: &self.settings,
            totals: &self.totals,
            parts: self.parts.all(),
            time: self.settings.now.or(self.totals.newest()),
        };
        let (before, between, after) = match self.settings.format {
            Format::Html => (html::before(&head), "", html::AFTER.to_owned()),
            Format::Markdown => (markdown::before(&head), "", markdown::AFTER.to_owned()),
            Format::Json => (json::before(&head)?, ",\n", json::AFTER.to_owned()),
            Format::Sarif => (
                sarif::before(&head, &self.rules)?,
                ",\n",
                sarif::AFTER.to_owned(),
            ),
            Format::Csv => (csv::before(), "", String::new()),
        };
        out.write_all(before.as_bytes())?;
        self.parts.copy(between, out)?;
        out.write_all(after.as_bytes())?;
        out.flush()?;
        Ok(self.totals)
    }
}

/// What the begin of a report is made of.
struct Head<'a> {
    settings: &'a Settings,
    totals: &'a Totals,
    /// In the order in which they follow.
    parts: &'a [Part],
    /// The time of the report; a report of nothing has none.
    time: Option<DateTime<Utc>>,
}

impl<'a> Head<'a> {
    /// The targets that are listed, and how many more there are.
    fn listed(&self) -> (&'a [Part], u64) {
        let (listed, more) = self.parts.split_at(self.parts.len().min(LISTED_MOST));
        (listed, more.len() as u64)
    }

    /// How many targets only the list tells of.
    fn brief(&self) -> u64 {
        self.parts.iter().filter(|part| !part.told).count() as u64
    }
}

/// A time, in UTC to the second.
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A day.
fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// `1 finding`, `2 findings`.
fn amount(n: u64, one: &str, many: &str) -> String {
    let n_text = crate::runtime::text::grouped(n);
    format!("{n_text} {}", if n == 1 { one } else { many })
}
