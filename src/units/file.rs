use std::fmt::{self, Write as _};

/// A unit file: comments and sections with their settings, in order. A key may occur more than once;
/// an empty value resets what was set before, as in systemd.syntax(7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    header: Vec<String>,
    sections: Vec<(String, Vec<Line>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Comment(String),
    Setting(String, String),
}

impl UnitFile {
    /// An empty file with these comment lines on top.
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|line| one_line(line)).collect(),
            sections: Vec::new(),
        }
    }

    /// Begins a section; what follows belongs to it.
    pub fn section(&mut self, name: &str) -> &mut Self {
        self.sections.push((name.to_owned(), Vec::new()));
        self
    }

    /// Adds a setting whose value is already written as systemd reads it.
    pub fn set(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.push(Line::Setting(key.to_owned(), one_line(&value.to_string())))
    }

    /// Resets a list and sets it anew.
    pub fn replace(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        self.set(key, "").set(key, value)
    }

    /// Adds a comment.
    pub fn comment(&mut self, text: &str) -> &mut Self {
        self.push(Line::Comment(one_line(text)))
    }

    fn push(&mut self, line: Line) -> &mut Self {
        if let Some((_, lines)) = self.sections.last_mut() {
            lines.push(line);
        }
        self
    }
}

impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.header {
            writeln!(f, "# {line}")?;
        }
        for (name, lines) in &self.sections {
            if lines.is_empty() {
                continue;
            }
            writeln!(f, "\n[{name}]")?;
            for line in lines {
                match line {
                    Line::Comment(text) => writeln!(f, "# {text}")?,
                    Line::Setting(key, value) => writeln!(f, "{key}={value}")?,
                }
            }
        }
        Ok(())
    }
}

/// No value may bring a line of its own: a newline in a description must not become a setting.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\t', " ")
}

/// Free text as a value: `%` doubled, because it begins a specifier, and a space behind a backslash
/// at the end, which would join the next line; systemd strips it. Blanks around the text are lost.
pub fn unit_value(text: &str) -> String {
    let mut value = one_line(text).trim_matches([' ', '\t']).replace('%', "%%");
    let slashes = value.len() - value.trim_end_matches('\\').len();
    if slashes % 2 == 1 {
        value.push(' ');
    }
    value
}

/// One word of a command line, quoted by systemd.syntax(7) and systemd.service(5). In arguments `$`
/// is doubled; the program itself (`first`) is not searched for variables.
pub fn quote_arg(arg: &str, first: bool) -> String {
    let mut word = String::with_capacity(arg.len() + 2);
    for c in arg.chars() {
        match c {
            '%' => word.push_str("%%"),
            '$' if !first => word.push_str("$$"),
            '\\' => word.push_str("\\\\"),
            '"' => word.push_str("\\\""),
            '\t' => word.push_str("\\t"),
            '\n' => word.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(word, "\\x{:02x}", u32::from(c) & 0xff);
            }
            c => word.push(c),
        }
    }
    let plain = |c: char| c.is_alphanumeric() || "/-_.,:=+@%$^~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("\"{word}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_bring_a_line() {
        let mut file = UnitFile::new(&["made by a test\nExecStart=/bin/evil"]);
        file.section("Unit")
            .set("Description", unit_value("a\n[Service]\nUser=root\\"));
        file.section("Empty");
        assert_eq!(
            file.to_string(),
            "# made by a test ExecStart=/bin/evil\n\n[Unit]\nDescription=a [Service] User=root\\ \n"
        );
    }

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        for (arg, quoted) in [
            ("plain-1.0", "plain-1.0"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("it's", "\"it's\""),
            (";", "\";\""),
            ("tab\there", "\"tab\\there\""),
            ("ünï", "ünï"),
        ] {
            assert_eq!(quote_arg(arg, false), quoted);
        }
        assert_eq!(quote_arg("/opt/$x", true), "/opt/$x");
    }
}
