//! How systemd reads a unit file: systemd.syntax(7), and of systemd.service(5) how it splits a command
//! line. Written from those pages and systemd's conf-parser.c, not from our writer.

/// A setting: section, key, value.
pub type Setting = (String, String, String);

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// All settings of a unit file, in order.
pub fn settings(text: &str) -> Result<Vec<Setting>, String> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut pending = String::new();
    for line in text.split(['\n', '\r', '\0']) {
        let line = line.trim_start_matches(BLANKS);
        // Not even inside a line that goes on is a comment part of it.
        if line.starts_with(['#', ';']) {
            continue;
        }
        pending.push_str(line);
        if goes_on(&pending) {
            pending.pop();
            pending.push(' ');
            continue;
        }
        let line = std::mem::take(&mut pending);
        let line = line.trim_matches(BLANKS);
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or("a section without an end")?;
            section = name.to_owned();
        } else if !line.is_empty() {
            let (key, value) = line.split_once('=').ok_or("a line that is no setting")?;
            let (key, value) = (key.trim_end_matches(BLANKS), value.trim_matches(BLANKS));
            found.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    if pending.is_empty() {
        Ok(found)
    } else {
        Err("the last line goes on".to_owned())
    }
}

/// A backslash at the end joins the next line, unless it is itself escaped.
fn goes_on(line: &str) -> bool {
    let slashes = line.len() - line.trim_end_matches('\\').len();
    slashes % 2 == 1
}

/// `%%` is a percent sign; everything else that begins so is replaced by something.
pub fn expand_specifiers(value: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '%').then(|| chars.next()).flatten()) {
            ('%', Some('%')) => out.push('%'),
            ('%', other) => return Err(format!("a specifier: %{other:?}")),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

/// `$$` is a dollar sign; everything else that begins so is a variable.
pub fn expand_variables(word: &str) -> Result<String, String> {
    let plain = word.replace("$$", "");
    if plain.contains('$') {
        return Err(format!("a variable in {word:?}"));
    }
    Ok(word.replace("$$", "$"))
}

/// The words of one command line, unquoted and unescaped.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let (mut word, mut quote, mut raw) = (String::new(), None, String::new());
        while let Some(c) = chars.next_if(|c| quote.is_some() || !BLANKS.contains(c)) {
            raw.push(c);
            match (quote, c) {
                (_, '\\') => word.push(escape(&mut chars)?),
                (Some(q), c) if c == q => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (_, c) => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quote without an end".to_owned());
        }
        if raw == ";" {
            return Err("a second command".to_owned());
        }
        words.push(word);
    }
}

fn escape(chars: &mut impl Iterator<Item = char>) -> Result<char, String> {
    Ok(match chars.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('s') => ' ',
        Some(c @ ('\\' | '"' | '\'')) => c,
        Some('x') => {
            let digits: String = chars.take(2).collect();
            let code = u8::from_str_radix(&digits, 16).map_err(|e| e.to_string())?;
            char::from(code)
        }
        other => return Err(format!("an escape: \\{other:?}")),
    })
}
