//! Secrets that a page or script gives away.
//!
//! What they look like is data: `packaging/web/secrets.toml`. One pass looks for keywords; only around
//! them the patterns run. A secret's value does not leave this module: results carry its first four
//! characters and a hash by which two finds can be told to be the same.

mod judge;
mod redact;
mod rules;

#[cfg(test)]
mod bundle_tests;
#[cfg(test)]
mod secret_tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) use redact::Redactor;
use rules::{RULES, Rule};

/// How bad it is that others know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Meant to be seen, or hardly sure.
    Low,
    /// Often of use to others.
    Medium,
    /// Mostly opens something.
    High,
    /// Opens something by itself.
    Critical,
}

/// A secret, redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The id of its kind (`github-token`).
    pub kind: String,
    /// What it is, in words.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Its first four characters and `…`.
    pub redacted: String,
    /// The SHA-256 of its value, in hexadecimal digits, as the hub takes it.
    pub sha256: String,
    /// Where it begins in the text, in bytes.
    pub offset: usize,
    /// In which line, from 1.
    pub line: usize,
}

/// Secrets of one text that are told; there are more in no text but a list of them.
pub(super) const MOST: usize = 200;
/// Bytes before a keyword that are searched: what names a key, a path before a signature.
const BEFORE: usize = 256;
/// Bytes behind a keyword that are searched.
const BEHIND: usize = 640;
/// Keywords that follow this near are covered by the search around the one before.
const COVERED: usize = 200;
/// Characters of a secret that are shown.
const SHOWN: usize = 4;

/// The secrets of a text, in its order.
pub fn find(text: &str) -> Vec<Secret> {
    search(text).into_iter().map(|(secret, _)| secret).collect()
}

/// A short text, such as a URL, with its secrets cut down to what is shown of them.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let found = search(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (secret, range) in found {
        out.push_str(&text[copied..range.start]);
        out.push_str(&secret.redacted);
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The secrets of a text with their places in it, in its order; no two of them overlap.
pub(super) fn search(text: &str) -> Vec<(Secret, Range<usize>)> {
    let bytes = text.as_bytes();
    let rules = &*RULES;
    let mut covered = vec![0; rules.all.len()];
    let mut seen = HashSet::new();
    let mut found: Vec<(usize, usize, &Rule)> = Vec::new();
    for keyword in rules.keywords.find_overlapping_iter(bytes) {
        for at in &rules.of_keyword[keyword.pattern().as_usize()] {
            if keyword.start() < covered[*at] || found.len() >= MOST {
                continue;
            }
            covered[*at] = keyword.end() + COVERED;
            let rule = &rules.all[*at];
            let start = keyword.start().saturating_sub(BEFORE);
            let end = bytes.len().min(keyword.end() + BEHIND);
            for captures in rule.pattern.captures_iter(&bytes[start..end]) {
                let Some(value) = captures.get(1).or_else(|| captures.get(0)) else {
                    continue;
                };
                let (from, to) = (start + value.start(), start + value.end());
                if judge::is_secret(rule, value.as_bytes()) && seen.insert((from, *at)) {
                    found.push((from, to, rule));
                }
            }
        }
    }
    // The first rule of the file is the most special one; others do not tell the same again.
    found.sort_by_key(|(from, _, rule)| (*from, rule.order));
    tell(text, &found)
}

fn tell(text: &str, found: &[(usize, usize, &Rule)]) -> Vec<(Secret, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut secrets = Vec::new();
    let (mut told_until, mut line, mut counted) = (0, 1, 0);
    for (from, to, rule) in found {
        if *from < told_until {
            continue;
        }
        told_until = *to;
        line += memchr::memchr_iter(b'\n', &bytes[counted..*from]).count();
        counted = *from;
        let value = &bytes[*from..*to];
        let shown = String::from_utf8_lossy(&value[..value.len().min(SHOWN)]);
        let shown: String = shown.chars().filter(char::is_ascii_graphic).collect();
        let hash = Sha256::digest(value);
        let secret = Secret {
            kind: rule.id.clone(),
            name: rule.name.clone(),
            severity: rule.severity,
            redacted: format!("{shown}…"),
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            offset: *from,
            line,
        };
        secrets.push((secret, *from..*to));
    }
    secrets
}
