//! Versions, as software numbers itself, and ranges of them. Which of two is later is what the vulnerability
//! database says, so that a rule and a CVE never disagree.

use std::cmp::Ordering;

use super::super::vulndb::version::{self, Scheme};

/// The first word of a version, without a `v` in front: what follows is the distribution's. `None` when it does
/// not begin with a digit.
fn number(version: &str) -> Option<&str> {
    let word = version.split_whitespace().next()?;
    let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
    word.starts_with(|c: char| c.is_ascii_digit())
        .then_some(word)
}

/// Which of two versions is later; `None` when one of them is none.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (number(a)?, number(b)?);
    Some(version::compare(Scheme::Generic, a, b))
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
            match number(version).is_none() || version.contains(char::is_whitespace) {
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
