//! Versions, as software numbers itself: numbers and words between dots, dashes and the like.

use std::cmp::Ordering;

/// Words that come before the release they name.
const BEFORE: [&str; 9] = [
    "alpha",
    "beta",
    "rc",
    "cr",
    "pre",
    "preview",
    "dev",
    "snapshot",
    "milestone",
];

/// Parts of a version that are looked at.
const MOST_PARTS: usize = 12;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Number(u64),
    Word(String),
}

impl Part {
    /// Against nothing: 1.2 is 1.2.0, is after 1.2rc1 and before 1.2p1.
    fn against_nothing(&self) -> Ordering {
        match self {
            Self::Number(0) => Ordering::Equal,
            Self::Number(_) => Ordering::Greater,
            Self::Word(word) if BEFORE.contains(&word.as_str()) => Ordering::Less,
            Self::Word(_) => Ordering::Greater,
        }
    }

    fn rank(&self) -> u8 {
        match self.against_nothing() {
            Ordering::Less => 0,
            _ if matches!(self, Self::Word(_)) => 1,
            _ => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Word(a), Self::Word(b)) => self.rank().cmp(&other.rank()).then(a.cmp(b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// The parts of a version: of its first word, without a `v` in front. Empty when it does not begin with
/// a digit.
fn parts(version: &str) -> Vec<Part> {
    let word = version.split_whitespace().next().unwrap_or_default();
    let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return Vec::new();
    }
    // What follows a plus sign says who built it (semver.org §10).
    let word = word.split('+').next().unwrap_or_default();
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next().filter(|_| parts.len() < MOST_PARTS) {
        let digits = first.is_ascii_digit();
        let same = |c: char| match digits {
            true => c.is_ascii_digit(),
            false => c.is_ascii_alphabetic(),
        };
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        match (part.is_empty(), digits) {
            (true, _) => {}
            (false, true) => parts.push(Part::Number(part.parse().unwrap_or(u64::MAX))),
            (false, false) => parts.push(Part::Word(word_of(part, after))),
        }
        rest = match part.is_empty() {
            true => rest.get(first.len_utf8()..).unwrap_or_default(),
            false => after,
        };
    }
    parts
}

/// A word in lower case. `1.0b2` is the second beta, `1.0.1b` a later 1.0.1.
fn word_of(part: &str, after: &str) -> String {
    let part = part.to_ascii_lowercase();
    let counted = after.starts_with(|c: char| c.is_ascii_digit());
    match part.as_str() {
        "a" if counted => "alpha".to_owned(),
        "b" if counted => "beta".to_owned(),
        "m" if counted => "milestone".to_owned(),
        _ => part,
    }
}

/// Which of two versions is later; `None` when one of them is none.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (parts(a), parts(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    for at in 0..a.len().max(b.len()) {
        let order = match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => a.compare(b),
            (Some(a), None) => a.against_nothing(),
            (None, Some(b)) => b.against_nothing().reverse(),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return Some(order);
        }
    }
    Some(Ordering::Equal)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Less,
    AtMost,
    Same,
    AtLeast,
    More,
}

/// Conditions on a version, all of which hold: `>= 2.4, < 2.4.58`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange(Vec<(Bound, String)>);

impl VersionRange {
    /// Reads a range.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        const SIGNS: [(&str, Bound); 5] = [
            ("<=", Bound::AtMost),
            (">=", Bound::AtLeast),
            ("<", Bound::Less),
            (">", Bound::More),
            ("=", Bound::Same),
        ];
        let bounds = text.split(',').map(|part| {
            let part = part.trim();
            let found = SIGNS.iter().find(|(sign, _)| part.starts_with(sign));
            let (sign, bound) = found.ok_or("must begin with <, <=, =, >= or >")?;
            let version = part[sign.len()..].trim();
            match parts(version).is_empty() || version.contains(char::is_whitespace) {
                true => Err(format!("{version:?} is not a version")),
                false => Ok((*bound, version.to_owned())),
            }
        });
        bounds.collect::<Result<_, String>>().map(Self)
    }

    /// Whether a version is in it; one that is none is not.
    pub fn has(&self, version: &str) -> bool {
        self.0.iter().all(|(bound, limit)| {
            let Some(order) = compare(version, limit) else {
                return false;
            };
            match bound {
                Bound::Less => order.is_lt(),
                Bound::AtMost => order.is_le(),
                Bound::Same => order.is_eq(),
                Bound::AtLeast => order.is_ge(),
                Bound::More => order.is_gt(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_order_of_their_release() {
        let rising = [
            "0.9",
            "1.0.1",
            "1.0.1a",
            "1.0.1k",
            "1.0.2",
            "1.2b2",
            "1.2-rc1",
            "1.2",
            "1.2p1",
            "1.2.1",
            "1.2.9",
            "1.2.10",
            "1.10",
            "2.0.0-beta2",
            "2.0.0",
            "9.2p1",
            "9.3p2",
            "10.0",
        ];
        for (at, lower) in rising.iter().enumerate() {
            for higher in &rising[at + 1..] {
                assert_eq!(
                    compare(lower, higher),
                    Some(Ordering::Less),
                    "{lower} {higher}"
                );
                assert_eq!(
                    compare(higher, lower),
                    Some(Ordering::Greater),
                    "{lower} {higher}"
                );
            }
        }
        for (a, b) in [
            ("1.2", "1.2.0"),
            ("v1.2", "1.2+build7"),
            ("9.2p1 Debian-2", "9.2P1"),
        ] {
            assert_eq!(compare(a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(compare("unknown", "1"), None);
    }

    #[test]
    fn ranges() {
        let range = VersionRange::parse(">= 2.4, < 2.4.58").unwrap();
        assert!(range.has("2.4") && range.has("2.4.57") && range.has("2.4.57-1ubuntu2"));
        assert!(!range.has("2.4.58") && !range.has("2.3.9") && !range.has("") && !range.has("x"));
        for wrong in ["", "2.4", "< x", "< 1 2", "=="] {
            assert!(VersionRange::parse(wrong).is_err(), "{wrong}");
        }
    }
}
