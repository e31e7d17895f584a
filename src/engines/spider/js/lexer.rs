/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An identifier, keyword or private name (`#x`).
    Name,
    /// A number or BigInt.
    Number,
    /// A string with its quotes; without the last one when it is not closed on its line.
    String,
    /// A piece of a template, from `` ` `` or `}` to `` ` `` or `${`.
    Template,
    /// A regular expression with its flags.
    Regex,
    /// One character of anything else; `=>`, `++`, `--`, `?.` and `??` are one token each.
    Punctuator(u8),
}

/// `=>` as a punctuator: no character of ASCII is used for it.
pub const ARROW: u8 = 0x80;
/// `++` and `--`.
pub const STEP: u8 = 0x81;
/// `?.`, which is followed by what a dot is.
pub const OPTIONAL: u8 = 0x82;
/// `==`, `!=`, `<=`, `+=` and the like: what ends in `=` and is not `=` itself.
pub const COMPARE: u8 = 0x83;
/// `&&`, `||`, `??`.
pub const LOGICAL: u8 = 0x84;

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Brackets that are remembered; of those inside it is guessed what a `/` behind them is.
const MOST_BRACKETS: usize = 4096;

/// What a closing bracket is to a `/` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// Ends an expression: division.
    Value,
    /// Ends a condition or a block: a regular expression.
    Statement,
    /// `${` of a template: its `}` goes on with the template.
    Template,
}

/// The tokens of code, comments left out, from the beginning to the end. Each byte is looked at a
/// bounded number of times, and no code is an error.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    brackets: Vec<Bracket>,
    /// Brackets that are open above those remembered.
    deeper: usize,
    /// Whether a `/` begins a regular expression now.
    regex: bool,
    /// The last token, if it is one of which `(` or `{` depends.
    before: Before,
    source_map: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `if`, `while`, `for`, `with`: parentheses hold a condition.
    Condition,
    /// A closing parenthesis, `=>`, `else`, `do`, `try`, `;`, a brace or the beginning: `{` is a block.
    Block,
    /// A dot: what follows is a name, whatever word it is.
    Dot,
    Other,
}

impl<'a> Lexer<'a> {
    /// At the beginning of this code.
    pub fn new(text: &'a str) -> Self {
        let mut lexer = Self {
            text,
            at: 0,
            brackets: Vec::new(),
            deeper: 0,
            regex: true,
            before: Before::Block,
            source_map: None,
        };
        if text.starts_with("#!") {
            lexer.skip_line();
        }
        lexer
    }

    /// What the last `sourceMappingURL` comment so far says.
    pub fn source_map(&self) -> Option<&'a str> {
        self.source_map.map(|(start, end)| &self.text[start..end])
    }

    fn byte(&self, ahead: usize) -> u8 {
        // No code has this byte where one is asked for.
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let end = memchr::memchr2(b'\n', b'\r', rest);
        self.at = end.map_or(self.text.len(), |end| self.at + end);
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            match self.byte(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'/' if self.byte(1) == b'/' => self.line_comment(),
                b'/' if self.byte(1) == b'*' => self.block_comment(),
                // HTML's comment in scripts (Annex B.1.1), as old pages have it.
                b'<' if self.text.as_bytes()[self.at..].starts_with(b"<!--") => self.skip_line(),
                // NUL within the text, U+00A0, U+FEFF, U+2028 and other spaces.
                0 if self.at < self.text.len() => self.at += 1,
                0xc2 if self.byte(1) == 0xa0 => self.at += 2,
                0xe2 if self.byte(1) == 0x80
                    && matches!(self.byte(2), 0x80..=0x8a | 0xa8 | 0xa9) =>
                {
                    self.at += 3
                }
                0xef if self.byte(1) == 0xbb && self.byte(2) == 0xbf => self.at += 3,
                _ => return,
            }
        }
    }

    fn line_comment(&mut self) {
        let start = self.at;
        self.skip_line();
        self.note_source_map(start);
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let rest = &self.text.as_bytes()[start + 2..];
        let end = memchr::memmem::find(rest, b"*/");
        self.at = end.map_or(self.text.len(), |end| start + 2 + end + 2);
        self.note_source_map(start);
    }

    /// `//# sourceMappingURL=…`, with `@` in old code, `/*# … */` in style sheets.
    fn note_source_map(&mut self, start: usize) {
        let bytes = &self.text.as_bytes()[start..self.at];
        if !matches!(bytes.get(2), Some(b'#' | b'@')) {
            return;
        }
        let name = b"sourceMappingURL=";
        let head = &bytes[..bytes.len().min(64)];
        let Some(found) = memchr::memmem::find(head, name) else {
            return;
        };
        let from = start + found + name.len();
        let length = self.text.as_bytes()[from..self.at]
            .iter()
            .take_while(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'*'))
            .count();
        self.source_map = Some((from, from + length));
    }

    fn name(&mut self) {
        loop {
            match self.byte(0) {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80.. => self.at += 1,
                // `\u0061` and `\u{61}`.
                b'\\' if self.byte(1) == b'u' => {
                    self.at += 2;
                    if self.byte(0) == b'{' {
                        let rest = &self.text.as_bytes()[self.at..];
                        let end = rest.iter().take(10).position(|byte| *byte == b'}');
                        self.at += end.map_or(1, |end| end + 1);
                    }
                }
                _ => return,
            }
        }
    }

    fn number(&mut self) {
        let mut last = 0;
        loop {
            match self.byte(0) {
                byte @ (b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.') => last = byte,
                // The sign of an exponent; `0xe+1` is an addition, and a wrong end here harms nobody.
                b'+' | b'-' if matches!(last, b'e' | b'E') => last = 0,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// Behind the opening quote; up to the closing one, or the end of the line when there is none.
    fn string(&mut self, quote: u8) {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(found) = memchr::memchr3(quote, b'\\', b'\n', rest) else {
                self.at = self.text.len();
                return;
            };
            self.at += found;
            match self.byte(0) {
                b'\\' => self.escaped(),
                b'\n' => return,
                _ => {
                    self.at += 1;
                    return;
                }
            }
        }
    }

    /// A backslash and what it escapes; a line may go on behind it, also one that ends in CR LF.
    fn escaped(&mut self) {
        self.at += if self.byte(1) == b'\r' && self.byte(2) == b'\n' {
            3
        } else {
            2
        };
        self.reach_boundary();
    }

    /// Forward to the beginning of a character, and not beyond the end.
    fn reach_boundary(&mut self) {
        self.at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// Behind `` ` `` or the `}` of a hole; up to the end of the piece.
    fn template(&mut self) {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(found) = memchr::memchr3(b'`', b'\\', b'$', rest) else {
                self.at = self.text.len();
                self.value();
                return;
            };
            self.at += found;
            match self.byte(0) {
                b'\\' => self.escaped(),
                b'$' if self.byte(1) == b'{' => {
                    self.at += 2;
                    self.open(Bracket::Template);
                    self.operator(Before::Other);
                    return;
                }
                b'$' => self.at += 1,
                _ => {
                    self.at += 1;
                    self.value();
                    return;
                }
            }
        }
    }

    /// Behind the `/`; whether it is a regular expression, which ends on its line. If not, nothing was
    /// read.
    fn regex(&mut self) -> bool {
        let start = self.at;
        let mut class = false;
        loop {
            match self.byte(0) {
                b'\n' | b'\r' => break,
                0 if self.at >= self.text.len() => break,
                b'\\' => {
                    self.escaped();
                    continue;
                }
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at += 1;
                    while self.byte(0).is_ascii_alphabetic() {
                        self.at += 1;
                    }
                    return true;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = start;
        false
    }

    fn open(&mut self, bracket: Bracket) {
        if self.brackets.len() < MOST_BRACKETS {
            self.brackets.push(bracket);
        } else {
            self.deeper += 1;
        }
    }

    fn close(&mut self) -> Option<Bracket> {
        if self.deeper > 0 {
            self.deeper -= 1;
            return Some(Bracket::Value);
        }
        self.brackets.pop()
    }

    /// After what has a value, a `/` divides.
    fn value(&mut self) {
        self.regex = false;
        self.before = Before::Other;
    }

    fn operator(&mut self, before: Before) {
        self.regex = true;
        self.before = before;
    }

    fn word(&mut self, start: usize) {
        if self.before == Before::Dot {
            return self.value();
        }
        match &self.text[start..self.at] {
            "if" | "while" | "for" | "with" => self.operator(Before::Condition),
            "else" | "do" | "try" | "finally" => self.operator(Before::Block),
            "return" | "typeof" | "case" | "in" | "of" | "delete" | "void" | "throw" | "new"
            | "instanceof" | "await" | "yield" | "default" | "extends" => {
                self.operator(Before::Other);
            }
            _ => self.value(),
        }
    }

    fn closed(&mut self) {
        match self.close() {
            Some(Bracket::Statement) => self.operator(Before::Block),
            _ => self.value(),
        }
    }

    fn punctuator(&mut self, byte: u8) -> TokenKind {
        self.at += 1;
        let next = self.byte(0);
        let (kind, length) = match (byte, next) {
            (b'=', b'>') => (ARROW, 1),
            (b'+', b'+') | (b'-', b'-') => (STEP, 1),
            // `a?.5:b` is a condition.
            (b'?', b'.') if !self.byte(1).is_ascii_digit() => (OPTIONAL, 1),
            (b'?', b'?') | (b'&', b'&') | (b'|', b'|') => (LOGICAL, 1),
            (b'=' | b'!', b'=') => (COMPARE, if self.byte(1) == b'=' { 2 } else { 1 }),
            (b'+' | b'-' | b'*' | b'%' | b'<' | b'>' | b'&' | b'|' | b'^', b'=') => (COMPARE, 1),
            _ => (byte, 0),
        };
        self.at += length;
        match kind {
            b'(' => {
                let condition = self.before == Before::Condition;
                self.open(if condition {
                    Bracket::Statement
                } else {
                    Bracket::Value
                });
                self.operator(Before::Other);
            }
            b'[' => {
                self.open(Bracket::Value);
                self.operator(Before::Other);
            }
            b'{' => {
                let block = self.before == Before::Block;
                self.open(if block {
                    Bracket::Statement
                } else {
                    Bracket::Value
                });
                self.operator(if block { Before::Block } else { Before::Other });
            }
            b')' => {
                self.closed();
                // `function f() {` and `if (x) {`: a block, mostly.
                self.before = Before::Block;
            }
            b']' | b'}' => self.closed(),
            b';' | ARROW => self.operator(Before::Block),
            b'.' | OPTIONAL => self.operator(Before::Dot),
            // `a++ / b`; before a name it makes no difference.
            STEP => self.value(),
            _ => self.operator(Before::Other),
        }
        TokenKind::Punctuator(kind)
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip();
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let byte = self.byte(0);
        let kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'\\' | b'#' | 0x80.. => {
                let escape = byte == b'\\' && self.byte(1) == b'u';
                self.at += usize::from(byte == b'#' || byte == b'\\' && !escape);
                self.name();
                self.word(start);
                TokenKind::Name
            }
            b'0'..=b'9' => {
                self.number();
                self.value();
                TokenKind::Number
            }
            b'.' if self.byte(1).is_ascii_digit() => {
                self.number();
                self.value();
                TokenKind::Number
            }
            b'"' | b'\'' => {
                self.at += 1;
                self.string(byte);
                self.value();
                TokenKind::String
            }
            b'`' => {
                self.at += 1;
                self.template();
                TokenKind::Template
            }
            b'}' if self.deeper == 0 && self.brackets.last() == Some(&Bracket::Template) => {
                self.brackets.pop();
                self.at += 1;
                self.template();
                TokenKind::Template
            }
            b'/' if self.regex => {
                self.at += 1;
                if self.regex() {
                    self.value();
                    TokenKind::Regex
                } else {
                    self.operator(Before::Other);
                    TokenKind::Punctuator(b'/')
                }
            }
            other => self.punctuator(other),
        };
        Some(Token {
            kind,
            start,
            end: self.at,
        })
    }
}
