//! The URLs of a style sheet: `url()`, `src()`, `@import`, `image-set()` (CSS Syntax Level 3).

use super::LinkKind;

/// URLs of one style sheet that are read.
const MOST: usize = 5000;

/// The URLs, unescaped, with what they are for: a style sheet after `@import`, else an image (or a
/// font, which is the same to a spider).
pub fn urls(style: &str) -> impl Iterator<Item = (String, LinkKind)> {
    Reader {
        style,
        at: 0,
        import: false,
    }
    .take(MOST)
}

struct Reader<'a> {
    style: &'a str,
    at: usize,
    /// After `@import`, until what it imports.
    import: bool,
}

impl Iterator for Reader<'_> {
    type Item = (String, LinkKind);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.style.as_bytes();
        // A style attribute without any is done here.
        while let Some(skipped) = bytes[self.at..]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'@' | b'(' | b'"' | b'\'' | b';' | b'\\'))
        {
            self.at += skipped;
            let url = match bytes[self.at] {
                b'/' if bytes[self.at + 1..].first() == Some(&b'*') => {
                    self.skip_comment();
                    None
                }
                b'@' => {
                    let word = bytes.get(self.at + 1..self.at + 7);
                    self.import = word.is_some_and(|word| word.eq_ignore_ascii_case(b"import"));
                    self.at += 1;
                    None
                }
                b'(' => self.function(),
                b'"' | b'\'' => {
                    let text = self.string();
                    self.import.then_some(text)
                }
                b';' => {
                    self.import = false;
                    self.at += 1;
                    None
                }
                b'\\' => {
                    self.at = (self.at + 2).min(bytes.len());
                    None
                }
                _ => {
                    self.at += 1;
                    None
                }
            };
            if let Some(url) = url
                && !url.is_empty()
                && !url.starts_with("data:")
            {
                let kind = if std::mem::take(&mut self.import) {
                    LinkKind::Style
                } else {
                    LinkKind::Image
                };
                return Some((url, kind));
            }
        }
        self.at = bytes.len();
        None
    }
}

impl Reader<'_> {
    fn skip_comment(&mut self) {
        let end = self.style.as_bytes()[self.at + 2..]
            .windows(2)
            .position(|pair| pair == b"*/");
        self.at = end.map_or(self.style.len(), |end| self.at + 2 + end + 2);
    }

    /// At the parenthesis of `url(`, of another function, or of nothing.
    fn function(&mut self) -> Option<String> {
        let bytes = self.style.as_bytes();
        let named = |name: &[u8]| {
            self.at >= name.len() && bytes[self.at - name.len()..self.at].eq_ignore_ascii_case(name)
        };
        let url = named(b"url");
        let quoted = url || named(b"src") || named(b"image-set");
        self.at += 1;
        if !quoted {
            return None;
        }
        let space = bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        self.at += space;
        match bytes.get(self.at) {
            Some(b'"' | b'\'') => Some(self.string()),
            Some(_) if url => {
                let rest = &bytes[self.at..];
                let end = rest
                    .iter()
                    .position(|byte| matches!(byte, b')' | b'"' | b'\'' | b'(' | b'\n'))
                    .unwrap_or(rest.len());
                let from = self.at;
                self.at += end;
                Some(unescape(self.style[from..self.at].trim()))
            }
            _ => None,
        }
    }

    /// The string at whose quote it stands; it ends at the end of the line.
    fn string(&mut self) -> String {
        let bytes = self.style.as_bytes();
        let quote = bytes[self.at];
        let from = self.at + 1;
        let mut end = from;
        while end < bytes.len() && bytes[end] != quote && bytes[end] != b'\n' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(bytes.len());
        self.at = (end + 1).min(bytes.len());
        // An escape may have jumped into a character.
        self.style.get(from..end).map(unescape).unwrap_or_default()
    }
}

/// CSS escapes: `\` and a character, or up to six hexadecimal digits and a space.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let mut code = 0;
        let mut digits = 0;
        while digits < 6
            && let Some(digit) = rest.peek().and_then(|c| c.to_digit(16))
        {
            code = code * 16 + digit;
            digits += 1;
            rest.next();
        }
        if digits == 0 {
            out.extend(rest.next().filter(|c| *c != '\n'));
        } else {
            out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            rest.next_if(char::is_ascii_whitespace);
        }
    }
    out
}
