//! Versions, and which of two is the later one, by the rules of who numbers them.
//!
//! Every scheme is a total preorder: any two texts compare, and "1.0" and "1.0.0" may be equal. No
//! text is refused, because feeds and servers say anything.

mod dpkg;
mod generic;
mod rpm;
mod semver;

#[cfg(test)]
mod version_tests;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// By whose rules two versions are compared.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Scheme {
    /// What NVD does for all products: numbers by value, words by what they mean.
    #[default]
    Generic,
    /// Semantic Versioning 2.0.0, §11.
    Semver,
    /// Debian's, deb-version(7).
    Dpkg,
    /// RPM's `rpmvercmp`, with epoch, version and release.
    Rpm,
}

impl Scheme {
    /// The scheme of a `versionType` of CVE record format 5; `None` where order is nothing that a text
    /// tells (`git`: a hash).
    pub fn of_version_type(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "git" | "commit" | "hash" => return None,
            "semver" => Self::Semver,
            "rpm" => Self::Rpm,
            "deb" | "dpkg" => Self::Dpkg,
            // custom, maven, python, date, …
            _ => Self::Generic,
        })
    }
}

/// Which of two versions is the later one.
pub fn compare(scheme: Scheme, a: &str, b: &str) -> Ordering {
    match scheme {
        Scheme::Generic => generic::compare(a, b),
        Scheme::Semver => semver::compare(a, b),
        Scheme::Dpkg => dpkg::compare(a, b),
        Scheme::Rpm => rpm::compare(a, b),
    }
}

/// Whether a version is at or below a bound, which may end in `.*` (`6.1.*`: all that begin so) or be
/// `*` (all).
pub(super) fn at_most(scheme: Scheme, version: &str, bound: &str) -> bool {
    match bound.strip_suffix('*') {
        Some("") => true,
        Some(family) => {
            let family = family.trim_end_matches(['.', '-']);
            is_of(version, family) || compare(scheme, version, family).is_le()
        }
        None => compare(scheme, version, bound).is_le(),
    }
}

/// Whether a version is one of a family: `6.1.9` of `6.1`, `6.10` not.
fn is_of(version: &str, family: &str) -> bool {
    version
        .strip_prefix(family)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

pub(super) use generic::split_update;

/// Two numbers of any length as texts of digits.
fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// What of a text is before the first byte that is not as asked, and the rest. Only for ASCII classes,
/// so that both are texts.
fn span(text: &str, of: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !of(byte));
    text.split_at(end.unwrap_or(text.len()))
}
