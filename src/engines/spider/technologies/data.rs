use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

const DATA: &str = include_str!("../../../../packaging/web/technologies.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub name: String,
    pub category: String,
    #[serde(default)]
    pub cpe: Option<String>,
    #[serde(default)]
    pub headers: HashMap<String, Vec<String>>,
    #[serde(default)]
    pub cookies: Vec<String>,
    #[serde(default)]
    pub generator: Vec<String>,
    #[serde(default)]
    pub scripts: Vec<String>,
    #[serde(default)]
    pub html: Vec<String>,
    #[serde(default)]
    pub implies: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub technology: Vec<Entry>,
}

pub(super) struct Known {
    pub name: String,
    pub category: String,
    pub cpe: Option<String>,
    pub implied: Vec<usize>,
}

/// The file, sorted by what a text is held against; numbers are places in `all`.
pub(super) struct Technologies {
    pub all: Vec<Known>,
    pub headers: HashMap<String, Vec<(usize, Regex)>>,
    pub cookies: Vec<(usize, String)>,
    pub generators: Vec<(usize, Regex)>,
    pub scripts: Vec<(usize, Regex)>,
    /// All of `scripts` at once.
    pub script_set: RegexSet,
    pub words: Option<AhoCorasick>,
    pub of_word: Vec<usize>,
}

pub(super) fn file() -> Option<File> {
    toml::from_str(DATA).ok()
}

pub(super) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .build()
        .ok()
}

/// A test makes sure that the file reads and all patterns compile.
pub(super) static TECHNOLOGIES: LazyLock<Technologies> = LazyLock::new(|| {
    let entries = file().map(|file| file.technology).unwrap_or_default();
    let places: HashMap<String, usize> = (0..)
        .zip(&entries)
        .map(|(at, entry)| (entry.name.clone(), at))
        .collect();
    let mut headers: HashMap<String, Vec<(usize, Regex)>> = HashMap::new();
    let (mut cookies, mut generators, mut scripts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut words, mut of_word, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (at, entry) in entries.into_iter().enumerate() {
        let compiled = |pattern: &String| Some((at, compile(pattern)?));
        for (name, patterns) in &entry.headers {
            headers
                .entry(name.clone())
                .or_default()
                .extend(patterns.iter().filter_map(compiled));
        }
        generators.extend(entry.generator.iter().filter_map(compiled));
        scripts.extend(entry.scripts.iter().filter_map(compiled));
        cookies.extend(entry.cookies.into_iter().map(|cookie| (at, cookie)));
        of_word.extend(entry.html.iter().map(|_| at));
        words.extend(entry.html);
        all.push(Known {
            name: entry.name,
            category: entry.category,
            cpe: entry.cpe,
            implied: entry
                .implies
                .iter()
                .filter_map(|name| places.get(name).copied())
                .collect(),
        });
    }
    let patterns = scripts.iter().map(|(_, pattern)| pattern.as_str());
    let set = RegexSetBuilder::new(patterns)
        .case_insensitive(true)
        .build();
    Technologies {
        all,
        headers,
        cookies,
        generators,
        scripts,
        script_set: set.unwrap_or_default(),
        words: AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(words)
            .ok(),
        of_word,
    }
});
