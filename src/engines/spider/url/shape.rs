use std::fmt::Write;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use url::Url;

use super::key::looks_random;

/// The kind of page that a URL leads to, as a number: `/user/1` and `/user/2` have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(pub u64);

impl Shape {
    /// The shape of a URL.
    pub fn of(url: &Url) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(shape(url).as_bytes());
        Self(hasher.finish())
    }
}

/// Hyphens of a segment that is a title in words: `how-to-do-it`.
const SLUG_HYPHENS: usize = 3;

/// Digits of the shortest hash (MD5 has 32, what sites cut off it rarely less than this).
const SHORTEST_HASH: usize = 12;

/// The host and path with what counts, dates or identifies replaced, and the names of the query's
/// parameters: `/{n}/{uuid}/x-{n}.html?page={n}&q={s}`.
pub fn shape(url: &Url) -> String {
    let mut text = String::with_capacity(url.as_str().len());
    text.push_str(url.host_str().unwrap_or_default());
    for segment in url.path().split('/').skip(1) {
        text.push('/');
        push_segment(&mut text, segment);
    }
    let Some(query) = url.query() else {
        return text;
    };
    let mut parameters: Vec<_> = query
        .split('&')
        .take(64)
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect();
    parameters.sort_unstable();
    for (at, (name, value)) in parameters.into_iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", if at == 0 { '?' } else { '&' });
        let name = name.split("%5B").next().unwrap_or_default();
        push_segment(&mut text, name);
        text.push_str(match value {
            "" => "",
            value if value.bytes().all(|byte| byte.is_ascii_digit()) => "={n}",
            _ => "={s}",
        });
    }
    text
}

fn push_segment(text: &mut String, segment: &str) {
    if segment.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        text.push_str(segment);
        return;
    }
    let (stem, extension) = match segment.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => (stem, extension),
        _ => (segment, ""),
    };
    if is_uuid(stem) {
        text.push_str("{uuid}");
    } else if stem.len() >= SHORTEST_HASH
        && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
        && stem.bytes().any(|byte| byte.is_ascii_digit())
    {
        text.push_str("{hash}");
    } else if stem.bytes().filter(|byte| *byte == b'-').count() >= SLUG_HYPHENS {
        text.push_str("{slug}");
    } else if looks_random(stem) && !stem.contains(['-', '_', '.']) {
        text.push_str("{id}");
    } else {
        push_without_numbers(text, stem);
    }
    if !extension.is_empty() {
        text.push('.');
        push_without_numbers(text, extension);
    }
}

/// Each run of digits is `{n}`; a date is several of them.
fn push_without_numbers(text: &mut String, part: &str) {
    let mut in_number = false;
    for c in part.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            text.push(c);
        } else if !in_number {
            text.push_str("{n}");
        }
        in_number = digit;
    }
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
