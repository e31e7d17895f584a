use std::cmp::Ordering;

use super::numbers;

/// Compares as NVD's ranges are meant: a row of numbers, then a word, then numbers again, and so on.
///
/// The numbers decide first; one that is missing is 0. Then words: a pre-release (`rc`, `beta`) is before
/// nothing, nothing is before a patch level (`p1`) or letter (`1.0.2k`). `v1.2` is 1.2; what follows `+`
/// is about the build and says nothing. An epoch (`1:`) is before all else.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    numbers(epoch_a, epoch_b).then_with(|| {
        let (mut a, mut b) = (Rest(trim(a)), Rest(trim(b)));
        loop {
            let order = row(&mut a, &mut b).then_with(|| word(&mut a, &mut b));
            if order.is_ne() || (a.0.is_empty() && b.0.is_empty()) {
                return order;
            }
        }
    })
}

fn epoch(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((epoch, rest))
            if !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (epoch, rest)
        }
        _ => ("", text),
    }
}

fn trim(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once('+').map_or(text, |(release, _)| release);
    match text.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => text,
    }
}

/// What is left of a version; separators are only where things end.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn part(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let text = self.0.trim_start_matches(|c: char| !c.is_alphanumeric());
        let end = text.find(|c: char| !of(c)).unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        // Separators alone are nothing at all.
        self.0 = rest;
        part
    }

    fn number(&mut self) -> &'a str {
        self.part(|c| c.is_ascii_digit())
    }

    fn word(&mut self) -> &'a str {
        self.part(|c| c.is_alphanumeric() && !c.is_ascii_digit())
    }

    fn skip_separators(&mut self) {
        self.0 = self.0.trim_start_matches(|c: char| !c.is_alphanumeric());
    }
}

/// The numbers up to the next word: the first that differs decides.
fn row(a: &mut Rest, b: &mut Rest) -> Ordering {
    let mut order = Ordering::Equal;
    loop {
        let (x, y) = (a.number(), b.number());
        if x.is_empty() && y.is_empty() {
            return order;
        }
        order = order.then_with(|| numbers(x, y));
    }
}

/// The next word of each: what kind of word decides, then the word itself.
fn word(a: &mut Rest, b: &mut Rest) -> Ordering {
    let (x, y) = (next_word(a), next_word(b));
    x.0.cmp(&y.0)
        .then_with(|| x.1.bytes().map(lower).cmp(y.1.bytes().map(lower)))
}

fn next_word<'a>(rest: &mut Rest<'a>) -> (i8, &'a str) {
    let word = rest.word();
    let before_number = rest.0.starts_with(|c: char| c.is_ascii_digit());
    rest.skip_separators();
    rank(word, before_number)
}

fn lower(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

/// Words that mean the same have one rank and no text. 0 is where a version without a word stands.
fn rank(word: &str, before_number: bool) -> (i8, &str) {
    /// Longest first; no word of these is longer.
    const KNOWN: [(&str, i8); 30] = [
        ("dev", -8),
        ("devel", -8),
        ("nightly", -8),
        ("snapshot", -8),
        ("alpha", -6),
        ("beta", -5),
        ("milestone", -4),
        ("m", -4),
        ("ea", -4),
        ("pre", -3),
        ("preview", -3),
        ("prerelease", -3),
        ("rc", -2),
        ("cr", -2),
        ("candidate", -2),
        ("", 0),
        ("final", 0),
        ("ga", 0),
        ("release", 0),
        ("stable", 0),
        ("lts", 0),
        ("p", 1),
        ("pl", 1),
        ("patch", 1),
        ("patchlevel", 1),
        ("sp", 1),
        ("update", 1),
        ("u", 1),
        ("r", 1),
        ("rev", 1),
    ];
    // "1.0a1" is an alpha, "1.0.2a" what follows 1.0.2.
    if before_number && word.eq_ignore_ascii_case("a") {
        return (-6, "");
    }
    if before_number && word.eq_ignore_ascii_case("b") {
        return (-5, "");
    }
    if !before_number && word.len() == 1 {
        return (2, word);
    }
    let known = KNOWN
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name));
    known.map_or((2, word), |(_, rank)| (*rank, ""))
}

/// A version without its patch level or pre-release, and that: `9.2p1` is `9.2` and `p1`, as CPE names
/// write it (attributes `version` and `update`). A letter belongs to the version (`1.0.2k`).
pub fn split_update(version: &str) -> (&str, &str) {
    // What follows `+` is about the build, and its words are no updates.
    let letter = version.find(|c: char| c == '+' || c.is_ascii_alphabetic());
    let Some(start) = letter.filter(|at| !version[*at..].starts_with('+')) else {
        return (version, "");
    };
    let (base, update) = version.split_at(start);
    let word_end = update
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(update.len());
    let rest = update[word_end..].trim_start_matches(['.', '-', '_']);
    let numbered = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let (class, same) = rank(
        &update[..word_end],
        numbered && rest.len() == update.len() - word_end,
    );
    let base = base.trim_end_matches(['.', '-', '_', '~']);
    let is_update = class != 0 && same.is_empty() && (numbered || rest.is_empty());
    if is_update && base.ends_with(|c: char| c.is_ascii_digit()) {
        (base, update)
    } else {
        (version, "")
    }
}
