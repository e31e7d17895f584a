use std::cmp::Ordering;

use super::{dpkg, numbers, span};

/// Compares `[EPOCH:]VERSION[-RELEASE]` as rpm does: epoch, then version, then release, the latter two
/// by `rpmvercmp` (rpm-version(7), lib/rpmvercmp.c of rpm 4.19).
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (dpkg::epoch(a.trim()), dpkg::epoch(b.trim()));
    let split = |text| str::rsplit_once(text, '-').unwrap_or((text, ""));
    let ((version_a, release_a), (version_b, release_b)) = (split(a), split(b));
    numbers(epoch_a, epoch_b)
        .then_with(|| rpmvercmp(version_a, version_b))
        .then_with(|| rpmvercmp(release_a, release_b))
}

/// Segments of digits or of letters; digits are later than letters. `~` is before everything, the end
/// too; `^` is after the end and before all else.
pub fn rpmvercmp(mut a: &str, mut b: &str) -> Ordering {
    loop {
        (a, b) = (skip(a), skip(b));
        match (a.strip_prefix('~'), b.strip_prefix('~')) {
            (Some(x), Some(y)) => {
                (a, b) = (x, y);
                continue;
            }
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        match (a.strip_prefix('^'), b.strip_prefix('^')) {
            (Some(x), Some(y)) => {
                (a, b) = (x, y);
                continue;
            }
            (Some(_), None) if b.is_empty() => return Ordering::Greater,
            (None, Some(_)) if a.is_empty() => return Ordering::Less,
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        if a.is_empty() || b.is_empty() {
            return b.is_empty().cmp(&a.is_empty());
        }
        let digits = a.starts_with(|c: char| c.is_ascii_digit());
        let of = |byte: u8| byte.is_ascii_digit() == digits && byte.is_ascii_alphanumeric();
        let ((x, rest_a), (y, rest_b)) = (span(a, of), span(b, of));
        let order = match (digits, y.is_empty()) {
            (true, true) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (true, false) => numbers(x, y),
            (false, false) => x.cmp(y),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

fn skip(text: &str) -> &str {
    text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^')
}
