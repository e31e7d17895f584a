use std::cmp::Ordering;

use super::{numbers, span};

/// Compares as `dpkg --compare-versions` does: deb-version(7), "Sorting algorithm".
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a.trim()), epoch(b.trim()));
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (revision(a), revision(b));
    numbers(epoch_a, epoch_b)
        .then_with(|| part(upstream_a, upstream_b))
        .then_with(|| part(revision_a, revision_b))
}

pub(super) fn epoch(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        _ => ("", text),
    }
}

fn revision(text: &str) -> (&str, &str) {
    text.rsplit_once('-').unwrap_or((text, ""))
}

/// What is not digits, then digits, and so on to the end of both.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (word_a, rest_a) = span(a, |byte| !byte.is_ascii_digit());
        let (word_b, rest_b) = span(b, |byte| !byte.is_ascii_digit());
        let (number_a, next_a) = span(rest_a, |byte| byte.is_ascii_digit());
        let (number_b, next_b) = span(rest_b, |byte| byte.is_ascii_digit());
        let order = words(word_a, word_b).then_with(|| numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// A tilde is before the end of the part, the end before letters, letters before all other bytes.
fn words(a: &str, b: &str) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    };
    let (mut a, mut b) = (a.bytes(), b.bytes());
    loop {
        let (x, y) = (a.next(), b.next());
        let order = weight(x).cmp(&weight(y));
        if order.is_ne() || (x.is_none() && y.is_none()) {
            return order;
        }
    }
}
