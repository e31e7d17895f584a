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
