use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::Severity;

const DATA: &str = include_str!("../../../../packaging/web/secrets.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub id: String,
    name: String,
    severity: Severity,
    pub keywords: Vec<String>,
    pub pattern: String,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    mixed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub secret: Vec<Entry>,
}

/// One kind of secret.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: String,
    pub name: String,
    pub severity: Severity,
    pub pattern: Regex,
    pub entropy: f64,
    pub mixed: bool,
    /// Told by what surrounds it, and so judged more strictly.
    pub generic: bool,
    /// Its place in the file.
    pub order: usize,
}

#[derive(Debug)]
pub(super) struct Rules {
    pub all: Vec<Rule>,
    pub keywords: AhoCorasick,
    /// The rules of each keyword.
    pub of_keyword: Vec<Vec<usize>>,
}

/// A test makes sure that the file reads and all patterns compile.
pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let entries = file().map(|file| file.secret).unwrap_or_default();
    let mut all = Vec::with_capacity(entries.len());
    let mut words: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for entry in entries {
        let Some(pattern) = compile(&entry.pattern) else {
            continue;
        };
        for keyword in entry.keywords {
            words
                .entry(keyword.to_ascii_lowercase())
                .or_default()
                .push(all.len());
        }
        all.push(Rule {
            generic: entry.id.starts_with("generic-"),
            order: all.len(),
            id: entry.id,
            name: entry.name,
            severity: entry.severity,
            pattern,
            entropy: entry.entropy,
            mixed: entry.mixed,
        });
    }
    let keywords = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .build(words.keys());
    Rules {
        all,
        // Empty if it could not be built, as a few hundred short words always can be.
        keywords: keywords.unwrap_or_else(|_| never()),
        of_keyword: words.into_values().collect(),
    }
});

#[expect(
    clippy::expect_used,
    reason = "an automaton of nothing has no limit to exceed"
)]
fn never() -> AhoCorasick {
    AhoCorasick::new::<[&str; 0], &str>([]).expect("an automaton without words")
}

pub(super) fn file() -> Option<File> {
    toml::from_str(DATA).ok()
}

pub(super) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(true)
        .build()
        .ok()
}
