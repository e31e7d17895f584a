//! Makes text that came from the network safe to log and to print.

use std::fmt::Write as _;

/// Escapes control characters (C0, DEL, C1, bidirectional overrides) as `\xNN` or `\u{NNNN}`, so
/// that what a target says can neither move a cursor nor forge a log line, and cuts it at
/// `max_chars` characters.
pub fn display(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars));
    for (n, c) in text.chars().enumerate() {
        if n == max_chars {
            out.push('…');
            break;
        }
        match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::display;

    #[test]
    fn escapes_what_could_forge_a_line() {
        assert_eq!(display("a\x1b[31mb\nc\u{9b}", 99), "a\\x1b[31mb\\x0ac\\x9b");
        assert_eq!(display("x\u{202e}y", 99), "x\\u{202e}y");
        assert_eq!(display("größe", 3), "grö…");
        assert_eq!(display("größe", 5), "größe");
    }
}
