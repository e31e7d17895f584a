//! What a site is made with, told by headers, cookies, addresses of scripts and the page.
//!
//! What gives a technology away is data: `packaging/web/technologies.toml`.

mod data;

#[cfg(test)]
mod technology_tests;

use std::collections::BTreeMap;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::html::{Page, shorten};
use data::{TECHNOLOGIES, Technologies};

/// What a site is made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technology {
    /// Its name.
    pub name: String,
    /// What it is for: `cms`, `web-server`.
    pub category: String,
    /// Its version, if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its CPE 2.2 name with the version, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpe: Option<String>,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
}

/// What the server says itself.
const SAID: f64 = 1.0;
/// A script has another's address seldom.
const BY_SCRIPT: f64 = 0.9;
/// A text may be about it, not made with it.
const BY_TEXT: f64 = 0.75;
/// What it runs on, as far as that is known.
const IMPLIED: f64 = 0.6;
/// Bytes of a page in which texts are looked for.
const LOOKED_AT: usize = 512 * 1024;
/// Values of headers and scripts that are looked at.
const MOST: usize = 200;

/// The technologies that an answer gives away, in order of their names.
pub fn find(headers: &HeaderMap, text: &str, page: Option<&Page>) -> Vec<Technology> {
    let known = &*TECHNOLOGIES;
    let mut found = Found {
        known,
        of: BTreeMap::new(),
    };
    for (name, value) in headers.iter().take(MOST) {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name.as_str() == "set-cookie" {
            let cookie = value.split('=').next().unwrap_or_default();
            for (at, start) in &known.cookies {
                if cookie.trim_start().starts_with(start.as_str()) {
                    found.add(*at, None, SAID);
                }
            }
        }
        for (at, pattern) in known.headers.get(name.as_str()).into_iter().flatten() {
            found.by(*at, pattern, &value, SAID);
        }
    }
    if let Some(page) = page {
        for generator in &page.generators {
            for (at, pattern) in &known.generators {
                found.by(*at, pattern, generator, SAID);
            }
        }
        let sources = page
            .scripts
            .iter()
            .filter_map(|script| script.src.as_deref());
        for source in sources.take(MOST) {
            for of_set in known.script_set.matches(source) {
                let (at, pattern) = &known.scripts[of_set];
                found.by(*at, pattern, source, BY_SCRIPT);
            }
        }
        found.by_text(text);
    }
    found.finish()
}

struct Found<'a> {
    known: &'a Technologies,
    of: BTreeMap<usize, (Option<String>, f64)>,
}

impl Found<'_> {
    fn add(&mut self, at: usize, version: Option<String>, confidence: f64) {
        let (known, sure) = self.of.entry(at).or_insert((None, 0.0));
        if known.is_none() {
            *known = version;
        }
        *sure = sure.max(confidence);
    }

    fn by(&mut self, at: usize, pattern: &regex::Regex, text: &str, confidence: f64) {
        let Some(captures) = pattern.captures(text) else {
            return;
        };
        let version = captures.iter().skip(1).flatten().next();
        let version = version.map(|version| shorten(version.as_str().trim_end_matches('.'), 30));
        self.add(
            at,
            version.filter(|version| !version.is_empty()),
            confidence,
        );
    }

    fn by_text(&mut self, text: &str) {
        let Some(words) = &self.known.words else {
            return;
        };
        let bytes = &text.as_bytes()[..text.len().min(LOOKED_AT)];
        for found in words.find_overlapping_iter(bytes) {
            let at = self.known.of_word[found.pattern().as_usize()];
            if self.of.contains_key(&at) {
                continue;
            }
            // `ng-version="17.3.0"` is the one text that a version follows.
            let after = &bytes[found.end()..bytes.len().min(found.end() + 20)];
            let quoted = bytes[found.start()..found.end()].ends_with(b"ng-version=\"");
            let version = after
                .iter()
                .take_while(|b| b.is_ascii_digit() || **b == b'.')
                .count();
            let version = String::from_utf8_lossy(&after[..version]);
            self.add(
                at,
                (quoted && !version.is_empty()).then(|| version.into_owned()),
                BY_TEXT,
            );
        }
    }

    fn finish(mut self) -> Vec<Technology> {
        let mut ask: Vec<usize> = self.of.keys().copied().collect();
        while let Some(at) = ask.pop() {
            for implied in &self.known.all[at].implied {
                if !self.of.contains_key(implied) {
                    self.add(*implied, None, IMPLIED);
                    ask.push(*implied);
                }
            }
        }
        let technologies = self.of.into_iter().map(|(at, (version, confidence))| {
            let known = &self.known.all[at];
            let cpe = known.cpe.as_ref().map(|cpe| match &version {
                Some(version) => format!("cpe:/a:{cpe}:{}", version.to_ascii_lowercase()),
                None => format!("cpe:/a:{cpe}"),
            });
            Technology {
                name: known.name.clone(),
                category: known.category.clone(),
                version,
                cpe,
                confidence,
            }
        });
        let mut technologies: Vec<_> = technologies.collect();
        technologies.sort_by(|one, other| one.name.cmp(&other.name));
        technologies
    }
}
