//! A finding while the assessment is made: what goes out, and what ties it to others.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use crate::api::Vulnerability;

use super::super::vulndb::End;
use super::score;
use super::text::clean;

/// Longest key, bytes: what the hub takes.
const KEY_MAX: usize = 1024;

/// A finding.
#[derive(Debug, Clone)]
pub struct Found {
    /// What goes out.
    pub wire: Vulnerability,
    /// The rule that it is of, and those for which it stands; `known_vulnerability`.
    pub ids: Vec<String>,
    /// Where it is, as what else is there is tied to it (`tcp/443`).
    pub anchors: BTreeSet<String>,
    /// What ends it.
    pub remedy: Remedy,
    /// It is of the vulnerability database.
    pub of_cve: bool,
    /// Who uses it must be on the host already.
    pub local: bool,
}

/// What ends a finding: findings of the same end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// What the rule says.
    Action,
    /// Nothing needs to: who maintains the package sees nothing to act on.
    Nothing,
    /// Another version.
    Upgrade {
        /// Of what, as strangers wrote it.
        name: String,
        /// The version that is there.
        version: String,
        /// The database's name.
        product: Option<String>,
        /// Where what is affected ends.
        end: End,
        /// A distribution maintains it.
        packaged: bool,
        /// Its makers do not maintain it any more.
        unsupported: bool,
    },
}

impl Found {
    /// Sure enough to count.
    pub fn is_sure(&self) -> bool {
        score::confidence(self.wire.confidence) >= score::SURE
    }

    /// What to see to first comes first.
    pub fn order(&self, other: &Self) -> Ordering {
        let rank = |found: &Self| {
            let wire = &found.wire;
            let priority = score::hundredths(wire.priority.score);
            Reverse((priority, wire.severity, score::confidence(wire.confidence)))
        };
        rank(self)
            .cmp(&rank(other))
            .then_with(|| self.wire.key.cmp(&other.wire.key))
    }
}

/// What makes it the same finding again: what, and where. One that is too long is told by its hash.
pub fn key(what: &str, place: &str) -> String {
    let mut key = format!("{what} {}", clean(place));
    if place.chars().count() > super::text::FIELD_MAX || key.len() > KEY_MAX {
        let hash = xxhash_rust::xxh3::xxh3_64(place.as_bytes());
        let mut end = key.len().min(KEY_MAX - 20);
        while !key.is_char_boundary(end) {
            end -= 1;
        }
        key.truncate(end);
        key.push_str(&format!("#{hash:016x}"));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_differ() {
        assert_eq!(key("redis-no-auth", "tcp/6379"), "redis-no-auth tcp/6379");
        let (a, b) = (key("x", &"ö".repeat(2000)), key("x", &"ö".repeat(2001)));
        assert!(
            a.len() <= KEY_MAX && b.len() <= KEY_MAX && a != b,
            "{a} {b}"
        );
    }
}
