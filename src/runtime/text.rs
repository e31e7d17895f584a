//! Text for people: what came from the network made safe to log and to print, and large numbers
//! made readable.

use std::fmt::Write as _;

pub use crate::api::{hides, safe_json};

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
            ' '..='~' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if hides(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Longest cell of CSV, in characters.
const LONGEST_CELL: usize = 4096;

/// One line of CSV (RFC 4180), without its end: made safe to print, and with nothing in it that a
/// spreadsheet takes for a formula.
pub fn csv_line<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    let cells = cells
        .into_iter()
        .map(|cell| no_formula(&display(cell, LONGEST_CELL)));
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    let line = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// What begins a formula; the wide ones do where Excel is Chinese, Japanese or Korean.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A cell that is no formula, and has none in it for a spreadsheet that parts cells at semicolons, as Excel
/// does where the comma is in numbers: there, what stands behind one, or on a line of its own, is a cell.
pub fn no_formula(cell: &str) -> String {
    let begins = |text: &str, skipped: &[char]| {
        // Some spreadsheets look behind blanks, too.
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || skipped.contains(&c));
        text.starts_with(FORMULA)
    };
    let mut out = String::with_capacity(cell.len() + 2);
    for (n, piece) in cell.split_inclusive([';', '\n']).enumerate() {
        let is_formula = match n {
            0 => begins(piece, &[]),
            _ => begins(piece, &['"']),
        };
        out.push_str(if is_formula { "'" } else { "" });
        out.push_str(piece);
    }
    out
}

/// `1,204`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{csv_line, display, grouped, safe_json};

    #[test]
    fn groups_thousands() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1204, "1,204"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let cells = ["=1+1", " @x", "a,b", "say \"x\"", "\x1b[2J", "", "10.0"];
        let line = csv_line(cells);
        assert_eq!(line, "'=1+1,' @x,\"a,b\",\"say \"\"x\"\"\",\\x1b[2J,,10.0");
    }

    #[test]
    fn no_formula_stands_behind_a_semicolon() {
        let of = |cell: &str| csv_line([cell, ""]);
        assert_eq!(of("a;=1+1;b"), "a;'=1+1;b,");
        assert_eq!(of("a; \"@x"), "\"a;' \"\"@x\",");
        assert_eq!(of("；＝1"), "；＝1,");
        assert_eq!(of("＝1"), "'＝1,");
        assert_eq!(of("max-age=1; path=/"), "max-age=1; path=/,");
    }

    #[test]
    fn json_steers_no_terminal() {
        let text = serde_json::to_string_pretty(&["a\u{9b}31m\u{202e}é\u{e0001}"]).unwrap();
        let safe = safe_json(text.clone());
        assert!(
            !safe.contains(|c: char| c != '\n' && super::hides(c)),
            "{safe}"
        );
        let read = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
        assert_eq!(read(&safe), read(&text));
    }

    #[test]
    fn escapes_what_could_forge_a_line() {
        assert_eq!(display("a\x1b[31mb\nc\u{9b}", 99), "a\\x1b[31mb\\x0ac\\x9b");
        assert_eq!(display("x\u{202e}y", 99), "x\\u{202e}y");
        assert_eq!(display("x\u{ad}\u{200b}y", 99), "x\\u{ad}\\u{200b}y");
        assert_eq!(display("größe", 3), "grö…");
        assert_eq!(display("größe", 5), "größe");
    }
}
