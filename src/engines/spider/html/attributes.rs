use super::limits;

/// The attributes of the element that is being read; its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    bytes: Vec<u8>,
    /// Where a name begins, where its value does, where that ends.
    spans: Vec<(usize, usize, usize)>,
    pub(super) full: bool,
}

impl Attributes {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.full = false;
    }

    pub(super) fn name(&mut self, name: &[u8]) {
        let start = self.bytes.len();
        self.full =
            self.spans.len() >= limits::ATTRIBUTES || start + name.len() > limits::ATTRIBUTE_BYTES;
        if self.full {
            return;
        }
        self.bytes.extend_from_slice(name);
        let end = self.bytes.len();
        self.spans.push((start, end, end));
    }

    /// The value of the name that came last.
    pub(super) fn value(&mut self, value: &[u8]) {
        if self.full || self.bytes.len() + value.len() > limits::ATTRIBUTE_BYTES {
            self.full = true;
            return;
        }
        if let Some((_, from, to)) = self.spans.last_mut()
            && from == to
        {
            self.bytes.extend_from_slice(value);
            *to = self.bytes.len();
        }
    }

    /// All of them; what is not UTF-8 is left out, and cannot be in text that was decoded.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().filter_map(|(start, from, to)| {
            let name = std::str::from_utf8(&self.bytes[*start..*from]).ok()?;
            let value = std::str::from_utf8(&self.bytes[*from..*to]).ok()?;
            Some((name, value))
        })
    }

    /// The value of the first of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = |(start, from, _): &&(usize, usize, usize)| {
            &self.bytes[*start..*from] == name.as_bytes()
        };
        let (_, from, to) = self.spans.iter().find(at)?;
        std::str::from_utf8(&self.bytes[*from..*to]).ok()
    }
}

/// The URLs of a `srcset` (HTML §4.8.4.2.1): candidates are parted by commas, a URL by white space.
pub(super) fn srcset(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let url = &rest[..end];
        rest = &rest[end..];
        // A comma at the end of the URL ends the candidate; else its descriptors follow.
        if !url.ends_with(',') {
            rest = rest.find(',').map_or("", |comma| &rest[comma + 1..]);
        }
        Some(url.trim_end_matches(','))
    })
}

/// The URL of a `refresh`: `5; url='/x'`.
pub(super) fn refresh(content: &str) -> Option<&str> {
    let rest = content.trim_start();
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';' || c == ',');
    let named = rest
        .get(..3)
        .filter(|name| name.eq_ignore_ascii_case("url"))
        .and_then(|_| rest[3..].trim_start().strip_prefix('='));
    let url = named.unwrap_or(rest).trim();
    let url = match url.chars().next() {
        Some(quote @ ('"' | '\'')) => url[1..].split(quote).next().unwrap_or_default(),
        _ => url,
    };
    (!url.is_empty()).then_some(url)
}

/// Whether the value of a `data-*` attribute is a URL: it says so by its beginning, and holds nothing
/// that no URL holds.
pub(in crate::engines::spider) fn looks_like_url(value: &str) -> bool {
    let rest = ["https://", "http://", "//", "./", "../", "/"]
        .iter()
        .find_map(|start| value.strip_prefix(start));
    rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_~.?%[-".contains(c))
            && rest.len() < 2048
            && !value.contains(|c: char| {
                c.is_whitespace() || c.is_control() || "<>\"'`{}\\^|".contains(c)
            })
    })
}
