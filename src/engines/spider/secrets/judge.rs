//! Whether what a pattern found is a secret, or stands where one would.

use super::rules::Rule;

/// What people write where a secret is to be put in, in lower case.
const PLACEHOLDERS: [&str; 34] = [
    "example",
    "xxxx",
    "your",
    "dummy",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "redacted",
    "****",
    "....",
    "sample",
    "fake",
    "insert",
    "<",
    "${",
    "{{",
    "#{",
    "%s",
    "process.env",
    "undefined",
    "null",
    "00000000",
    "11111111",
    "aaaaaaaa",
    "123456789",
    "987654321",
    "abcdefgh",
    "0123456",
    "deadbeef",
    "notreal",
    "foobar",
    "todo",
    // The signature of the token that jwt.io shows first.
    "sflkxwrjsmekkf2qt4fwpmejf36pok6yjv_adqssw5c",
];

/// What more marks a placeholder, where only the surroundings tell a secret: names and words.
const GENERIC: [&str; 24] = [
    "test", "password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "key_",
    "demo", "mock", "default", "function", "return", "window.", "this.", "http", "/", "label",
    "input", "error", "invalid", "field", "form",
];

pub(super) fn is_secret(rule: &Rule, value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let lower = value.to_ascii_lowercase();
    if PLACEHOLDERS
        .iter()
        .any(|placeholder| lower.contains(placeholder))
    {
        return false;
    }
    let random = is_random(value);
    if rule.mixed && !is_mixed(value) && !random {
        return false;
    }
    if rule.generic {
        let base64 = rule.id == "generic-key" && changes(value) >= 6;
        let named = GENERIC
            .iter()
            .any(|word| lower.contains(word) && !(*word == "/" && base64));
        let too_few = changes(value) < if rule.id == "generic-key" { 3 } else { 1 };
        if named || too_few && !random {
            return false;
        }
    }
    entropy(value) >= rule.entropy
}

fn is_mixed(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// How often digits follow letters or the other way round: names have a number at their end, what is
/// random has many.
fn changes(value: &str) -> usize {
    let digits = value.bytes().map(|byte| byte.is_ascii_digit());
    digits
        .clone()
        .zip(digits.skip(1))
        .filter(|(one, other)| one != other)
        .count()
}

/// Whether upper case, lower case and digits take turns as often as they do by chance (about every 1.6
/// characters; in camelCase every three or more): of 32 random ones one in thirty has few digits or none.
fn is_random(value: &str) -> bool {
    let kind = |byte: u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    let turns = value
        .bytes()
        .zip(value.bytes().skip(1))
        .filter(|(one, other)| kind(*one) != kind(*other));
    value.len() >= 24 && turns.count() * 20 >= (value.len() - 1) * 9
}

/// Bits for each character (Shannon).
#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred")]
pub(super) fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let all = value.len() as f64;
    let share = |count: &&u32| **count > 0;
    counts
        .iter()
        .filter(share)
        .map(|count| {
            let share = f64::from(*count) / all;
            -share * share.log2()
        })
        .sum()
}
