use std::fmt::Write;

use crate::api::hides;

/// Longest text that is kept for display, in characters.
const LONGEST: usize = 200;

/// The first line of what a service sent, safe to show: control characters, bytes that are not
/// UTF-8 and characters that turn text around are written as `\xNN` or `\u{N}`, the rest as it is.
pub fn first_line(bytes: &[u8]) -> String {
    let is_end = |byte: &u8| *byte == b'\n' || *byte == b'\r';
    let start = bytes
        .iter()
        .position(|byte| !is_end(byte))
        .unwrap_or(bytes.len());
    let line = bytes[start..].split(is_end).next().unwrap_or_default();
    escape(line)
}

/// Bytes as text that is safe to show, at most 200 characters of it.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut text, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
        if text.len() > LONGEST * 4 {
            break;
        }
    }
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST - 1).collect();
        text.push('…');
    }
    text
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn push(text: &mut String, c: char) {
    let written = match c {
        ' '..='~' => {
            text.push(c);
            Ok(())
        }
        c if c.is_ascii() => write!(text, "\\x{:02x}", u32::from(c)),
        c if hides(c) => write!(text, "\\u{{{:x}}}", u32::from(c)),
        c => {
            text.push(c);
            Ok(())
        }
    };
    // Writing to a String cannot fail.
    let _ = written;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_first_line_and_nothing_that_acts() {
        assert_eq!(first_line(b"220 hello\r\n220 more"), "220 hello");
        assert_eq!(first_line(b"\r\nlogin: "), "login: ");
        assert_eq!(first_line(b"a\x1b[31mb\x00\xff"), "a\\x1b[31mb\\x00\\xff");
        assert_eq!(
            first_line("x\u{202e}y\u{9b}é".as_bytes()),
            "x\\u{202e}y\\u{9b}é"
        );
        assert_eq!(first_line(b""), "");
    }

    proptest! {
        #[test]
        fn never_long_never_control(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let text = escape(&bytes);
            prop_assert!(text.chars().count() <= LONGEST);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
