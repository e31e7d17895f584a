use super::calls::{Callee, is_body_key, is_route_key, is_url_key};
use super::concat::Concat;
use super::findings::{EndpointKind, Findings, is_name};
use super::frame::{Assigned, Frame, Within};
use super::lexer::{LOGICAL, Lexer, OPTIONAL, Token, TokenKind};
use super::literal::{LONGEST, is_path, is_target, method, unescape};

/// Open brackets that are followed; deeper ones are skipped.
const DEEPEST: usize = 256;
/// Keys of one object that are taken for parameters.
const MOST_KEYS: usize = 64;

/// Reads code and adds what it says.
pub fn scan(code: &str, findings: &mut Findings) {
    scan_piece(code, findings);
    findings.tidy();
}

/// The same for one of many pieces; the last one is to be followed by [`Findings::tidy`].
pub(in crate::engines::spider) fn scan_piece(code: &str, findings: &mut Findings) {
    let mut scanner = Scanner::new(code, findings);
    let mut lexer = Lexer::new(code);
    for token in lexer.by_ref() {
        scanner.token(token);
    }
    while scanner.frames.len() > 1 {
        scanner.close();
    }
    scanner.flush();
    if let Some(map) = lexer.source_map().filter(|map| !map.starts_with("data:")) {
        findings.source_map = Some(map.chars().take(LONGEST).collect());
    }
    findings.tidy_sometimes();
}

struct Scanner<'a, 'f> {
    code: &'a str,
    findings: &'f mut Findings,
    /// The first one is the code itself.
    frames: Vec<Frame>,
    deeper: usize,
    /// The last tokens, the last one first.
    last: [Option<Token>; 4],
}

impl<'a, 'f> Scanner<'a, 'f> {
    fn new(code: &'a str, findings: &'f mut Findings) -> Self {
        Self {
            code,
            findings,
            frames: vec![Frame::default()],
            deeper: 0,
            last: [None; 4],
        }
    }

    fn token(&mut self, token: Token) {
        if self.deeper > 0 {
            self.skip(token);
        } else {
            match token.kind {
                TokenKind::String => self.literal(token),
                TokenKind::Template => self.template(token),
                TokenKind::Name => self.name(),
                TokenKind::Number | TokenKind::Regex => self.operand(),
                TokenKind::Punctuator(kind) => self.punctuator(kind),
            }
        }
        self.last = [Some(token), self.last[0], self.last[1], self.last[2]];
    }

    /// Too deep: only brackets count.
    fn skip(&mut self, token: Token) {
        let text = &self.code[token.start..token.end];
        match token.kind {
            TokenKind::Punctuator(b'(' | b'[' | b'{') => self.deeper += 1,
            TokenKind::Punctuator(b')' | b']' | b'}') => self.deeper -= 1,
            TokenKind::Template => {
                self.deeper -= usize::from(text.starts_with('}'));
                self.deeper += usize::from(text.ends_with("${"));
            }
            _ => {}
        }
    }

    /// The innermost open bracket. There always is one.
    fn top(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn text(&self, token: Option<Token>) -> &'a str {
        token.map_or("", |token| &self.code[token.start..token.end])
    }

    fn is_last(&self, kind: u8) -> bool {
        self.last[0].is_some_and(|token| token.kind == TokenKind::Punctuator(kind))
    }

    fn last_name(&self, at: usize) -> Option<&'a str> {
        let token = self.last[at].filter(|token| token.kind == TokenKind::Name);
        token.map(|token| self.text(Some(token)))
    }

    fn literal(&mut self, token: Token) {
        let raw = self.text(Some(token));
        let quote = raw.as_bytes()[0];
        let inner = raw[1..]
            .strip_suffix(char::from(quote))
            .unwrap_or(&raw[1..]);
        self.piece(token.start, inner);
    }

    fn piece(&mut self, offset: usize, raw: &str) {
        let added = self.is_last(b'+');
        let expects = self
            .top()
            .concat
            .as_ref()
            .is_some_and(|concat| concat.expects);
        if !expects {
            self.flush();
            // `base + "/x"`: something was before.
            self.top().concat = Some(Concat::new(offset, added));
        }
        if let Some(concat) = &mut self.top().concat {
            if raw.len() > LONGEST {
                concat.push(&" ".repeat(LONGEST + 1));
            } else {
                concat.push(&unescape(raw));
            }
        }
    }

    fn template(&mut self, token: Token) {
        let raw = self.text(Some(token));
        let opens = raw.ends_with("${") && raw.len() > 2;
        let inner = raw[1..].strip_suffix(if opens { "${" } else { "`" });
        let inner = inner.unwrap_or(&raw[1..]);
        if raw.starts_with('`') {
            self.piece(token.start, inner);
        } else {
            self.close();
            if let Some(concat) = &mut self.top().concat {
                concat.hole();
                concat.push(&unescape(inner.get(..LONGEST).unwrap_or(inner)));
            }
        }
        if opens {
            self.open(Frame::default());
        }
    }

    fn name(&mut self) {
        if !self.is_last(b'.') && !self.is_last(OPTIONAL) {
            self.operand();
        }
    }

    /// A value that is not known.
    fn operand(&mut self) {
        match &mut self.top().concat {
            Some(concat) if concat.expects => concat.hole(),
            Some(_) => self.flush(),
            None => {}
        }
    }

    fn punctuator(&mut self, kind: u8) {
        match kind {
            b'+' => {
                if let Some(concat) = &mut self.top().concat {
                    concat.expects = true;
                }
            }
            b'.' | OPTIONAL => {}
            b'(' => self.call(),
            b'[' | b'{' => self.bracket(kind),
            b')' | b']' | b'}' => self.close(),
            b',' => self.comma(),
            b':' => self.colon(),
            b'?' => {
                self.flush();
                self.top().ternaries += 1;
            }
            b'=' => self.assign(),
            b';' => {
                self.flush();
                self.top().assigned = Assigned::Nothing;
            }
            _ => self.flush(),
        }
    }

    fn open(&mut self, frame: Frame) {
        if self.frames.len() < DEEPEST {
            self.frames.push(frame);
        } else {
            self.deeper = 1;
        }
    }

    fn call(&mut self) {
        let grouped = self.last_name(0).is_none();
        if grouped {
            // `"/a/" + (b || c)`.
            if let Some(concat) = &mut self.top().concat
                && concat.expects
            {
                concat.hole();
            }
        }
        let dotted = self.last[1]
            .is_some_and(|token| matches!(token.kind, TokenKind::Punctuator(b'.' | OPTIONAL)));
        let callee = self.last_name(0).map_or(Callee::Other, |name| {
            let object = dotted.then(|| self.last_name(2).unwrap_or_default());
            Callee::of(name, object, self.last_name(1) == Some("new"))
        });
        let within = if grouped { Within::Code } else { Within::Call };
        let inherits = callee == Callee::Through && self.sends_here();
        self.open(Frame {
            within,
            callee,
            collects: inherits,
            ..Frame::default()
        });
    }

    /// Whether what stands here is what a request sends.
    fn sends_here(&mut self) -> bool {
        let code = self.code;
        let top = self.top();
        match top.within {
            Within::Object => top
                .key
                .is_some_and(|(start, end)| is_body_key(&code[start..end])),
            Within::Call => top.callee.sends(top.argument) || top.collects,
            Within::Code => false,
        }
    }

    fn bracket(&mut self, kind: u8) {
        let value = self.last[0].is_some_and(|token| match token.kind {
            TokenKind::Punctuator(kind) => {
                matches!(kind, b'(' | b',' | b'=' | b':' | b'[' | b'?' | LOGICAL)
            }
            TokenKind::Name => matches!(self.text(Some(token)), "return" | "default"),
            _ => false,
        });
        let object = kind == b'{' && value;
        let collects = object && self.sends_here();
        let within = if object { Within::Object } else { Within::Code };
        self.open(Frame {
            within,
            collects,
            ..Frame::default()
        });
    }

    fn close(&mut self) {
        self.flush();
        self.shorthand();
        if self.frames.len() < 2 {
            return;
        }
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if let Some(at) = frame.route
            && frame.is_route
        {
            self.findings.set_kind(at, EndpointKind::Route);
        }
        let whole = frame.within == Within::Object || frame.callee.asks();
        if whole && let Some(at) = frame.endpoint {
            if frame.within == Within::Object && self.top().callee == Callee::Request {
                self.findings.set_kind(at, EndpointKind::Request);
            }
            if let Some(method) = frame.method.or(frame.callee.method()) {
                self.findings.set_method(at, method);
            }
            for name in frame.names {
                self.findings.parameter_of(at, name);
            }
            return;
        }
        if frame.callee == Callee::Query {
            frame
                .names
                .iter()
                .for_each(|name| self.findings.parameter(name));
        }
        // What is told in the options of a call is told of the call.
        let parent = self.top();
        if parent.within != Within::Code {
            parent.method = parent.method.or(frame.method);
            let room = MOST_KEYS.saturating_sub(parent.names.len());
            parent.names.extend(frame.names.into_iter().take(room));
        }
    }

    /// `{a, b: c}`: a name alone is a key.
    fn shorthand(&mut self) {
        let name = self.last_name(0);
        let top = self.top();
        if top.within == Within::Object
            && top.key.is_none()
            && let Some(name) = name
        {
            Self::note_key(top, name);
        }
    }

    fn note_key(frame: &mut Frame, key: &str) {
        frame.is_route |= is_route_key(key);
        if frame.collects && frame.names.len() < MOST_KEYS && is_name(key) {
            frame.names.push(key.to_owned());
        }
    }

    fn comma(&mut self) {
        self.flush();
        self.shorthand();
        let top = self.top();
        top.argument = top.argument.saturating_add(1);
        top.key = None;
        top.ternaries = 0;
        top.assigned = Assigned::Nothing;
    }

    fn colon(&mut self) {
        let top = self.top();
        if top.ternaries > 0 {
            top.ternaries -= 1;
            return self.flush();
        }
        let Some(token) = self.last[0] else { return };
        let (start, end) = match token.kind {
            TokenKind::Name => (token.start, token.end),
            TokenKind::String => (token.start + 1, token.end.max(token.start + 2) - 1),
            _ => return self.flush(),
        };
        // Also of what is no key: paths of a map of handlers.
        self.flush();
        let code = self.code;
        let top = self.top();
        if top.within == Within::Object
            && let Some(key) = code.get(start..end)
        {
            top.key = Some((start, end));
            Self::note_key(top, key);
        }
    }

    fn assign(&mut self) {
        self.flush();
        let dotted = self.last[1].is_some_and(|token| token.kind == TokenKind::Punctuator(b'.'));
        let assigned = match (self.last_name(0), self.last_name(2)) {
            (Some("location"), _) => Assigned::Location,
            (Some("href" | "pathname"), Some("location")) if dotted => Assigned::Location,
            (Some("path"), _) if !dotted => Assigned::Path,
            _ => Assigned::Nothing,
        };
        self.top().assigned = assigned;
    }

    /// The literal that was put together is whole.
    fn flush(&mut self) {
        let code = self.code;
        let Some(concat) = self.top().concat.take() else {
            return;
        };
        let offset = concat.offset;
        let text = concat.finish();
        if text.len() > LONGEST {
            return;
        }
        let top = self.top();
        let key = top.key.and_then(|(start, end)| code.get(start..end));
        match (top.within, top.callee) {
            (Within::Call, callee) => self.argument(callee, text, offset),
            (Within::Object, _) if key.is_some() => {
                self.property(key.unwrap_or_default(), text, offset)
            }
            _ => self.plain(text, offset),
        }
    }

    fn argument(&mut self, callee: Callee, text: String, offset: usize) {
        let argument = self.top().argument;
        let kind = match callee {
            Callee::Open if argument == 0 => {
                self.top().method = method(&text);
                return;
            }
            Callee::Open if argument == 1 && self.top().method.is_some() => EndpointKind::Request,
            Callee::Request if argument == 0 => EndpointKind::Request,
            // A word alone is more often a key of something: `request.get("url")`.
            Callee::Client(_) | Callee::JQuery(_)
                if argument == 0 && text.contains(['/', '.', '?']) =>
            {
                EndpointKind::Request
            }
            Callee::Method(_) if argument == 0 && is_path(&text) => EndpointKind::Request,
            Callee::Leads(kind) if argument == 0 => kind,
            Callee::Parameter if argument == 0 => return self.findings.parameter(&text),
            Callee::Query if argument == 0 => {
                for part in text.trim_start_matches('?').split('&') {
                    self.findings
                        .parameter(part.split('=').next().unwrap_or_default());
                }
                return;
            }
            _ => return self.plain(text, offset),
        };
        // Names of packages are no paths: `require("react")`.
        let script = kind == EndpointKind::Script;
        if is_target(&text) && (!script || text.contains(['/', '.']) && !text.starts_with('@')) {
            let at = self.findings.add(text, kind, offset);
            let top = self.top();
            if top.endpoint.is_none() {
                top.endpoint = at;
            }
        }
    }

    fn property(&mut self, key: &str, text: String, offset: usize) {
        if matches!(key, "method" | "type" | "verb" | "httpMethod")
            && let Some(method) = method(&text)
        {
            self.top().method = Some(method);
            return;
        }
        if !is_url_key(key) || !is_path(&text) {
            return self.plain(text, offset);
        }
        let at = self.findings.add(text, EndpointKind::Literal, offset);
        let top = self.top();
        if key == "path" {
            top.route = at;
        }
        top.endpoint = top.endpoint.or(at);
    }

    fn plain(&mut self, text: String, offset: usize) {
        let kind = match self.top().assigned {
            Assigned::Location if is_target(&text) => EndpointKind::Navigation,
            Assigned::Path if text.starts_with('/') => EndpointKind::Route,
            _ => EndpointKind::Literal,
        };
        // Static imports: `import "./x.js"`, `export … from "/y.js"`.
        let import = matches!(self.last_name(0), Some("import" | "from"))
            || matches!(self.last_name(1), Some("import" | "from"));
        if kind != EndpointKind::Literal || is_path(&text) {
            let kind = if import && kind == EndpointKind::Literal {
                EndpointKind::Script
            } else {
                kind
            };
            self.findings.add(text, kind, offset);
        }
    }
}
