use std::fmt::Write as _;

/// Whether a character is not there to be read: it steers a terminal, turns text around, or cannot be seen (zero
/// width, soft hyphens, fillers, tags), or is none (U+FFFE and U+FFFF, which XML does not allow either). These
/// are Unicode's categories Cc, Zl and Zp, and what has the property Default_Ignorable_Code_Point (Unicode
/// 16, DerivedCoreProperties.txt) but for the variation selectors that emoji have.
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// JSON in which what steers a terminal or hides stands as `\uNNNN` even where JSON does not ask for it.
/// Outside of strings there is none of it but line ends.
pub fn safe_json(text: String) -> String {
    let hidden = |c: char| c != '\n' && hides(c);
    if !text.contains(hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if !hidden(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to memory does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}
