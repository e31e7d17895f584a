use std::fmt;

use maud::Render;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::runtime::text::display;

/// Longest text that is kept, characters: a page of prose.
const LONGEST: usize = 8000;
/// Longest narrative, characters: all that a hub takes.
const PROSE_LONGEST: usize = 65_536;

/// A text that anybody may have written. It has no `Display`: each format shows it in its own way, so that
/// none forgets to.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// A text, cut where it becomes unreadable.
    pub fn new(text: &str) -> Self {
        Self::cut(text, LONGEST)
    }

    /// A text of so many characters at most; a cut shows.
    pub fn cut(text: &str, most: usize) -> Self {
        match text.char_indices().nth(most) {
            None => Self(text.to_owned()),
            Some((at, _)) => {
                let more = text[at..].chars().count();
                Self(format!("{}… ({more} more characters)", &text[..at]))
            }
        }
    }

    /// A text of several pages at most.
    pub fn prose(text: &str) -> Self {
        Self::cut(text, PROSE_LONGEST)
    }

    /// What a value says; one that is no text, as JSON.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::String(text) => Self::new(text),
            other => Self::new(&other.to_string()),
        }
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// As it was written: to compare and to look things up, never to show.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// On one line, with nothing in it that steers a terminal, turns text around or hides.
    pub fn line(&self) -> String {
        display(&self.0, usize::MAX)
    }

    /// Its lines, but those without anything on them.
    pub fn lines(&self) -> impl Iterator<Item = Self> {
        let lines = self.0.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(|line| Self(line.to_owned()))
    }

    /// For Markdown, within a line: a text and nothing else, in GitHub's flavour, too. What would begin
    /// something is escaped. An address that GitHub would make a link of by itself (`http://`, `www.`,
    /// `a@b`), a mention and a number of an issue are parted by an empty comment, which nobody sees, as
    /// there is no escape for those.
    pub fn markdown(&self) -> String {
        const APART: &str = "<!-- -->";
        let line = self.line();
        let line = line.trim();
        let mut out = String::with_capacity(line.len() + 16);
        for (at, c) in line.char_indices() {
            let next = || line[at + c.len_utf8()..].chars().next();
            match c {
                // What these begin at the begin of a line, with a blank or another of them behind.
                '+' | '-' | '=' if at == 0 && next().is_none_or(|n| n == ' ' || n == c) => {
                    out.extend(['\\', c]);
                }
                '.' | ')' if next().is_none_or(|n| n == ' ') && numbers(&line[..at]) => {
                    out.extend(['\\', c]);
                }
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '|' => out.push_str("&#124;"),
                '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '!' => out.extend(['\\', c]),
                '#' if next().is_some_and(|c| c.is_ascii_digit()) => {
                    out.extend(["\\#", APART]);
                }
                '#' => out.push_str("\\#"),
                '@' => out.extend(["@", APART]),
                ':' if next() == Some('/') => out.extend([":", APART]),
                '.' if ends_in_www(&line[..at]) => out.extend([APART, "."]),
                c => out.push(c),
            }
        }
        out
    }
}

/// What stands in a code span or between angle brackets as it is: nothing that ends either, nor a cell of a
/// table, nor a line.
fn is_plain(text: &str) -> bool {
    let ends = |b: u8| matches!(b, b'`' | b'|' | b'<' | b'>' | b'\\');
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !ends(b))
}

fn numbers(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn ends_in_www(text: &str) -> bool {
    let Some(before) = text.len().checked_sub(3).and_then(|at| text.get(at..)) else {
        return false;
    };
    before.eq_ignore_ascii_case("www")
}

impl Text {
    /// For Markdown: an address as code, so that it can be copied and leads nowhere; another text as such.
    pub fn markdown_place(&self) -> String {
        match self.0.contains("://") && is_plain(&self.0) {
            true => format!("`{}`", self.0),
            false => self.markdown(),
        }
    }

    /// For Markdown: a link whose text is where it leads, if that is an address of the web; else a text.
    pub fn markdown_link(&self) -> String {
        match web_address(self) {
            Some(address) if is_plain(&address) => format!("<{address}>"),
            _ => self.markdown(),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// As it was written; `runtime::text::safe_json` sees to the rest.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// For HTML, as a text within an element or an attribute in quotation marks.
impl Render for Text {
    fn render_to(&self, buffer: &mut String) {
        self.line().render_to(buffer);
    }
}

/// An address for a link: of a web page, as browsers read it. Anything else is a text.
pub fn web_address(text: &Text) -> Option<String> {
    let url = url::Url::parse(text.raw()).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_shows() {
        assert_eq!(Text::cut("größe", 3).line(), "grö… (2 more characters)");
        assert_eq!(Text::cut("größe", 5).line(), "größe");
        let long = Text::new(&"x".repeat(1 << 20));
        assert_eq!(long.line().chars().count(), 8000 + 27);
    }

    #[test]
    fn addresses_stay_legible_in_markdown() {
        let place = |text: &str| Text::new(text).markdown_place();
        assert_eq!(
            place("https://www.x.org/a_b?c=d"),
            "`https://www.x.org/a_b?c=d`"
        );
        assert_eq!(place("http://x/`|"), "http:<!-- -->//x/\\`&#124;");
        assert_eq!(place("tcp/443"), "tcp/443");
        let link = |text: &str| Text::new(text).markdown_link();
        assert_eq!(link("https://x.org/a"), "<https://x.org/a>");
        assert_eq!(link("https://x.org/>[a](b)"), "<https://x.org/%3E[a](b)>");
        assert_eq!(link("javascript:alert(1)"), "javascript:alert(1)");
        assert_eq!(link("RFC 9110"), "RFC 9110");
    }

    #[test]
    fn markdown_is_text() {
        let of = |text: &str| Text::new(text).markdown();
        assert_eq!(of("nginx 1.22 (Debian)"), "nginx 1.22 (Debian)");
        assert_eq!(of("[a](b) ![c](d)"), "\\[a\\](b) \\!\\[c\\](d)");
        assert_eq!(of("a|b\n<b>"), "a&#124;b\\\\x0a&lt;b&gt;");
        assert_eq!(of("1. x"), "1\\. x");
        assert_eq!(of("- x"), "\\- x");
        assert_eq!(of("-ERR 10.0.0.1"), "-ERR 10.0.0.1");
        assert_eq!(of("---"), "\\---");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("http://x"), "http:<!-- -->//x");
        assert_eq!(of("www.x.org"), "www<!-- -->.x.org");
    }

    #[test]
    fn only_the_web_is_linked_to() {
        let of = |text: &str| web_address(&Text::new(text));
        assert_eq!(of("https://a.b/c").as_deref(), Some("https://a.b/c"));
        for no in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://user:pass@host/",
            "//host/",
            "x",
        ] {
            assert_eq!(of(no), None, "{no}");
        }
        assert_eq!(
            of("https://a/\"><script>").as_deref(),
            Some("https://a/%22%3E%3Cscript%3E")
        );
    }
}
