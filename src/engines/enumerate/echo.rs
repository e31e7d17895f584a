use std::borrow::Cow;

use memchr::memchr2;

/// A part of a path that is this long is taken out wherever it stands, a shorter one only as a word of
/// its own.
const LONG: usize = 8;

/// As many forms of a path are looked for; a word has few segments.
const MOST_FORMS: usize = 24;

/// What stands where the path was. No token has it.
const GAP: u8 = 1;

/// The forms in which a server repeats the path that it was asked for.
///
/// Only the part below the directory counts: the rest is the same for all paths that are compared.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    /// Lower case, the longest first.
    forms: Vec<Vec<u8>>,
}

impl Echo {
    /// Of the part of a path below its directory.
    pub fn new(relative: &str) -> Self {
        let relative = relative.split('?').next().unwrap_or_default();
        let mut forms = Vec::new();
        let whole = relative.trim_matches('/');
        let segments = whole.split('/').filter(|segment| !segment.is_empty());
        for part in std::iter::once(whole).chain(segments) {
            let stem = match part.rfind('.') {
                Some(dot) if dot > 0 => &part[..dot],
                _ => part,
            };
            for part in [part, stem] {
                let decoded = decode(part.as_bytes());
                forms.push(escape_html(&decoded));
                forms.push(part.as_bytes().to_ascii_lowercase());
                forms.push(part.replace('/', "%2f").to_ascii_lowercase().into_bytes());
                forms.push(part.replace('%', "%25").to_ascii_lowercase().into_bytes());
                forms.push(decoded.to_ascii_lowercase());
            }
        }
        forms.retain(|form| !form.is_empty());
        forms.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        forms.dedup();
        forms.truncate(MOST_FORMS);
        Self { forms }
    }

    /// The forms, lower case, the longest first.
    pub fn forms(&self) -> impl Iterator<Item = &[u8]> {
        self.forms.iter().map(Vec::as_slice)
    }

    /// The body with the path taken out, whatever its case.
    pub fn strip<'a>(&self, body: &'a [u8]) -> Cow<'a, [u8]> {
        let mut body = Cow::Borrowed(body);
        for form in &self.forms {
            let mut from = 0;
            while let Some(at) = find(&body[from..], form).map(|at| from + at) {
                let end = at + form.len();
                if form.len() < LONG && !stands_alone(&body, at, end) {
                    from = at + 1;
                    continue;
                }
                body.to_mut()[at..end].fill(GAP);
                from = end;
            }
        }
        body
    }
}

fn stands_alone(body: &[u8], at: usize, end: usize) -> bool {
    let of_a_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    !of_a_word(at.checked_sub(1).and_then(|at| body.get(at))) && !of_a_word(body.get(end))
}

/// Where a text that is in lower case stands first, whatever its case is there.
fn find(body: &[u8], lower: &[u8]) -> Option<usize> {
    let first = *lower.first()?;
    let last = body.len().checked_sub(lower.len())?;
    let mut from = 0;
    while from <= last {
        let at = from + memchr2(first, first.to_ascii_uppercase(), &body[from..=last])?;
        if body[at..at + lower.len()].eq_ignore_ascii_case(lower) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The bytes that a path stands for: `%41` is `A`.
pub(super) fn decode(path: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    bytes
}

fn escape_html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'&' => out.extend(b"&amp;"),
            b'<' => out.extend(b"&lt;"),
            b'>' => out.extend(b"&gt;"),
            b'"' => out.extend(b"&quot;"),
            b'\'' => out.extend(b"&#39;"),
            byte => out.push(byte.to_ascii_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(path: &str, body: &str) -> String {
        let body = Echo::new(path).strip(body.as_bytes()).into_owned();
        String::from_utf8(body).unwrap().replace('\u{1}', "")
    }

    #[test]
    fn path_is_taken_out_in_all_its_forms() {
        for (path, body) in [
            ("Qwertyuiop.php", "no qwertyuiop.PHP here"),
            ("a%20b.php", "no A B.php here"),
            ("a/b", "no a%2Fb here"),
            ("x%27y", "no x&#39;y here"),
            ("backup.tar.gz/", "no backup.tar here"),
        ] {
            let left = strip(path, body);
            assert!(left.starts_with("no ") && left.ends_with(" here"), "{left}");
            assert!(left.len() <= "no .gz here".len(), "{left}");
        }
    }

    #[test]
    fn short_word_is_left_within_others() {
        assert_eq!(strip("a", "a banana, A!"), " banana, !");
    }
}
