//! URLs in bodies that are data: JSON, XML, plain text.

use super::html::looks_like_url;

/// URLs of one body that are read.
const MOST: usize = 5000;

/// The strings of a JSON text that are URLs or paths. It need not be valid, nor whole.
pub fn urls(text: &str) -> impl Iterator<Item = String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let strings = std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| *byte == b'"')? + 1;
        let mut end = start;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        at = (end + 1).min(bytes.len());
        Some(text.get(start..end.min(bytes.len())).unwrap_or_default())
    });
    strings
        .filter(|string| string.len() > 1 && string.contains('/'))
        .map(|string| {
            string
                .replace("\\/", "/")
                .replace("\\u002f", "/")
                .replace("\\u002F", "/")
        })
        .filter(|string| looks_like_url(string))
        .take(MOST)
}

/// The absolute URLs in any text: `http://` or `https://` up to what no URL holds.
pub fn urls_in_text(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find("://")?;
            let scheme = ["https", "http"]
                .into_iter()
                .find(|scheme| rest[..at].ends_with(scheme));
            let Some(scheme) = scheme else {
                rest = &rest[at + 3..];
                continue;
            };
            let url = &rest[at - scheme.len()..];
            let outside =
                |c: char| c.is_whitespace() || c.is_control() || "<>\"'`{}|\\^".contains(c);
            let end = url.find(outside).unwrap_or(url.len());
            rest = &url[end.max(scheme.len() + 3)..];
            // What ends a sentence, or closes a bracket around it.
            let url = url[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '*']);
            if url.len() > scheme.len() + 3 {
                return Some(url);
            }
        }
    })
    .take(MOST)
}
