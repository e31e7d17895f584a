use std::borrow::Cow;
use std::fmt::Write;

use crate::api::hides;

/// A text without what steers a terminal or turns text around: control characters (C0, DEL, C1), and
/// the formatting characters of Unicode, as `\xNN` and `\u{N}`. That leaves only characters that
/// XML 1.0 §2.2 allows.
pub(in crate::engines::ports) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hides) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let code = u32::from(c);
        // Writing to memory does not fail.
        let _ = match c {
            c if !hides(c) => out.write_char(c),
            c if c.is_ascii() => write!(out, "\\x{code:02x}"),
            _ => write!(out, "\\u{{{code:x}}}"),
        };
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(visible("nginx 1.22 größe"), "nginx 1.22 größe");
        assert_eq!(visible("\x1b[31m\r\n\u{9b}"), "\\x1b[31m\\x0d\\x0a\\u{9b}");
        assert_eq!(visible("a\u{202e}b\u{feff}"), "a\\u{202e}b\\u{feff}");
    }
}
