//! Words of strangers on their way into an assessment: this is the one place that makes them harmless.
//!
//! Banners, titles, headers, paths and names of products are what somebody out there wrote. Journal,
//! terminal, Markdown and HTML come later and are other people's code; so nothing leaves here that acts:
//!
//! - [`clean`], for every field: control characters (C0, DEL, C1, and with them newlines and escape
//!   sequences), what turns text around (bidirectional marks, embeddings, overrides, isolates) and what
//!   cannot be seen (zero width, soft hyphens, fillers, joiners, variation selectors of emoji's tags,
//!   interlinear annotations, tag characters) are written as `\xNN` or `\u{NNNN}`. At most
//!   [`FIELD_MAX`] characters are left, and `…` says that there was more.
//! - [`word`], for what stands in a sentence of ours: besides, what opens or closes anything in Markdown or
//!   HTML or forges one of our references (`< > [ ] * | "` and the backtick) is written so, too, and it is
//!   shorter.
//!
//! What is data stays data: `<` in a banner is `<` in its field, and a report escapes it as it escapes all.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use serde_json::Value as Json;

use super::super::facts::Value;
use crate::api::hides;

/// Characters of a field.
pub const FIELD_MAX: usize = 500;
/// Characters of what stands in a sentence.
const WORD_MAX: usize = 80;
/// Entries of a list that are kept.
const LIST_MAX: usize = 20;

/// Escapes what `also` names and what [`hides`]; no more than `most` characters come out.
fn escaped(text: &str, most: usize, also: &[char]) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let mut count = 0;
    let mut piece = String::new();
    for (at, c) in text.char_indices() {
        piece.clear();
        // Nearly all of it is ASCII.
        let harmless = matches!(c, ' '..='~') || !hides(c);
        match harmless && !also.contains(&c) {
            true => piece.push(c),
            false if c.is_control() => drop(write!(piece, "\\x{:02x}", u32::from(c))),
            false => drop(write!(piece, "\\u{{{:x}}}", u32::from(c))),
        }
        let length = piece.chars().count();
        let last = at + c.len_utf8() == text.len();
        if count + length > most || (count + length == most && !last) {
            out.push('…');
            break;
        }
        out.push_str(&piece);
        count += length;
    }
    out
}

/// A field: nothing in it acts, and it has at most [`FIELD_MAX`] characters.
pub fn clean(text: &str) -> String {
    escaped(text, FIELD_MAX, &[])
}

/// The brackets of an IPv6 address in a URL are no others': nothing can be forged with them.
fn with_addresses(text: &str) -> String {
    const OPEN: &str = "\\u{5b}";
    const CLOSE: &str = "\\u{5d}";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let inner = &from[OPEN.len()..];
        let end = inner.find(CLOSE).filter(|end| {
            let after = &inner[end + CLOSE.len()..];
            let address = inner[..*end].parse::<Ipv6Addr>().is_ok();
            // A link of Markdown goes on so.
            address && before.ends_with("://") && !after.starts_with('(')
        });
        match end {
            Some(end) => {
                out.push_str(&format!("[{}]", &inner[..end]));
                rest = &inner[end + CLOSE.len()..];
            }
            None => {
                out.push_str(OPEN);
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Part of a sentence.
pub fn word(text: &str) -> String {
    let also = ['<', '>', '[', ']', '*', '|', '`', '"'];
    with_addresses(&escaped(text.trim(), WORD_MAX, &also))
}

/// What has sentences of ours and words in it, on its way into the narrative.
pub fn prose(text: &str, most: usize) -> String {
    let also = ['<', '>', '[', ']', '*', '|', '`'];
    with_addresses(&escaped(text.trim(), most, &also))
}

/// What a field of a fact says.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Flag(flag) => Json::Bool(*flag),
        Value::Number(number) => Json::from(*number),
        Value::Text(text) => Json::String(clean(text)),
        Value::List(list) => {
            let some = list.iter().take(LIST_MAX);
            let mut all: Vec<Json> = some.map(|one| Json::String(clean(one))).collect();
            if list.len() > LIST_MAX {
                let more = format!("… {} more", list.len() - LIST_MAX);
                all.push(Json::String(more));
            }
            Json::Array(all)
        }
        Value::Time(time) => Json::String(time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
    }
}

/// "a", "a and b", "a, b and c", "a, b, c and 4 more".
pub fn list(names: &[String], most: usize) -> String {
    let shown = names.len().min(most);
    let (some, rest) = names.split_at(shown);
    match (some, rest.len()) {
        ([], _) => String::new(),
        ([one], 0) => one.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (some, more) => format!("{} and {more} more", some.join(", ")),
    }
}

/// "1 finding", "2 findings".
pub fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};

    #[test]
    fn nothing_that_acts_is_left() {
        assert_eq!(clean("a\x1b[2J\nb\u{9b}c"), "a\\x1b[2J\\x0ab\\x9bc");
        assert_eq!(
            clean("x\u{202e}y\u{200b}z\u{feff}"),
            "x\\u{202e}y\\u{200b}z\\u{feff}"
        );
        assert_eq!(clean("<b> größe"), "<b> größe");
        assert_eq!(
            word(" a[1](http://x) <b> \"c\" `d`"),
            "a\\u{5b}1\\u{5d}(http://x) \\u{3c}b\\u{3e} \\u{22}c\\u{22} \\u{60}d\\u{60}"
        );
    }

    #[test]
    fn addresses_keep_their_brackets_and_nothing_else_does() {
        for kept in ["https://[2001:db8::1]:8443/a", "http://[::1] http://[::2]/"] {
            assert_eq!(word(kept), kept);
        }
        for forged in ["http://[1]", "http://[::1](x", "[::1]", "http://[x][::1]"] {
            assert!(!word(forged).contains('['), "{forged}");
        }
        assert_eq!(prose("https://[::1", 100), "https://\\u{5b}::1");
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        let text = "ö".repeat(FIELD_MAX);
        assert_eq!(clean(&text), text);
        let cut = clean(&format!("{text}ö"));
        assert_eq!(cut.chars().count(), FIELD_MAX);
        assert!(cut.ends_with('…'));
        // An escape is never cut in the middle.
        let escapes = clean(&"\x1b".repeat(FIELD_MAX));
        assert!(escapes.ends_with("\\x1b…"));
        assert!(escapes.chars().count() <= FIELD_MAX);
    }

    #[test]
    fn of_whatever_bytes() {
        fuzz(
            &[b"a\xe2\x80\xaeb\x1b]0;x\x07", b"\xf3\xa0\x81\x81<&>"],
            |bytes| {
                let text = String::from_utf8_lossy(bytes);
                is_fit_to_show(&clean(&text), FIELD_MAX);
                is_fit_to_show(&word(&text), WORD_MAX);
                assert!(!word(&text).contains(['<', '>', '[', ']', '`', '*']));
            },
        );
    }

    #[test]
    fn lists_in_words() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(list(&names[..1], 3), "a");
        assert_eq!(list(&names, 3), "a, b and c");
        assert_eq!(list(&names, 2), "a, b and 1 more");
        assert_eq!(list(&[], 2), "");
        assert_eq!(count(2, "port", "ports"), "2 ports");
    }
}
