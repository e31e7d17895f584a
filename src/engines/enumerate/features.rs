use std::sync::OnceLock;

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::echo::{Echo, decode};
use super::send::Answer;

/// As many different tokens of a body count; what is longer is told apart by these.
const MOST_TOKENS: usize = 8192;

/// Tokens of the title, tags and headers are others than those of the text.
const TITLE: u64 = 1;
const TAGS: u64 = 2;
const HEADER: u64 = 3;

/// An answer as it is compared with others: what it is without the path that it repeats and without
/// what changes by itself, such as times and identifiers.
///
/// The dearer parts are made when they are asked for: most answers are known by their hash.
#[derive(Debug)]
pub(super) struct Seen {
    /// The status.
    pub status: u16,
    /// Where it redirects to, without its origin where that is the server's own.
    pub location: Option<String>,
    /// Hash of the body as it came.
    pub raw: u64,
    /// The path's forms.
    pub echo: Echo,
    body: Bytes,
    marks: Vec<u32>,
    relative: String,
    parts: OnceLock<Parts>,
}

/// What a body is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Hash of its tokens in their order, the path taken out.
    pub hash: u64,
    /// The different tokens, sorted; also of title, tags and headers.
    pub tokens: Vec<u32>,
    /// The tokens of the path, sorted: whether they are there says nothing.
    pub own: Vec<u32>,
}

impl Seen {
    /// An answer to the request for a path, of which `relative` is the part below its directory.
    pub fn new(answer: &Answer, relative: &str) -> Self {
        let header =
            |(name, value): &(&str, String)| token(HEADER, format!("{name}: {value}").as_bytes());
        Self {
            status: answer.status,
            location: answer.location.clone(),
            raw: xxh3_64(&answer.body),
            echo: Echo::new(relative),
            body: answer.body.clone(),
            marks: answer.marks().iter().map(header).collect(),
            relative: relative.to_owned(),
            parts: OnceLock::new(),
        }
    }

    /// What the body is made of.
    pub fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| {
            let mut order = xxhash_rust::xxh3::Xxh3Default::new();
            each_token(&self.echo.strip(&self.body), |word| {
                order.update(word);
                order.update(b" ");
            });
            let mut own = Vec::new();
            for form in [self.relative.as_bytes(), &decode(self.relative.as_bytes())] {
                each_token(form, |word| {
                    own.extend([token(0, word), token(TITLE, word)])
                });
            }
            Parts {
                hash: order.digest(),
                tokens: sorted(tokens(&self.body, &self.marks)),
                own: sorted(own),
            }
        })
    }
}

impl Seen {
    /// The different pairs of tokens that follow each other, sorted: of words of which a server has few, it
    /// is their order that differs.
    pub fn pairs(&self) -> Vec<u32> {
        let mut pairs = Vec::new();
        let mut last = 0;
        each_token(&self.echo.strip(&self.body), |word| {
            pairs.push(token(last, word));
            last = xxh3_64(word);
        });
        sorted(pairs)
    }
}

fn sorted(mut tokens: Vec<u32>) -> Vec<u32> {
    tokens.sort_unstable();
    tokens.dedup();
    tokens.truncate(MOST_TOKENS);
    tokens
}

/// The low half of its hash: two different ones are seldom taken for one, and a page has many.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash is one")]
fn token(kind: u64, bytes: &[u8]) -> u32 {
    xxh3_64_with_seed(bytes, kind) as u32
}

fn tokens(body: &[u8], marks: &[u32]) -> Vec<u32> {
    let mut tokens = marks.to_vec();
    each_token(body, |word| tokens.push(token(0, word)));
    if let Some(title) = title(body) {
        each_token(title, |word| tokens.push(token(TITLE, word)));
    }
    tokens.push(token(TAGS, &tags(body)));
    tokens
}

/// The words of a text in lower case. Long numbers are all the same, and so is what looks like an
/// identifier.
pub(super) fn each_token(text: &[u8], mut with: impl FnMut(&[u8])) {
    let of_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || *byte == b'_';
    let mut lower = Vec::new();
    for word in text.split(|byte| !of_a_word(byte)) {
        if word.is_empty() {
            continue;
        }
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let hex = word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit);
        match word.len() {
            0..=3 if digits == word.len() => with(word),
            _ if digits == word.len() => with(b"0"),
            6.. if digits > 0 || hex => with(b"0x"),
            _ => {
                lower.clear();
                lower.extend(word.iter().map(u8::to_ascii_lowercase));
                with(&lower);
            }
        }
    }
}

/// The title of a page, as it stands there.
pub(super) fn title(body: &[u8]) -> Option<&[u8]> {
    let open = memchr::memmem::find_iter(body, b"<").find(|at| {
        body[*at + 1..]
            .get(..5)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"title"))
    })?;
    let text = &body[open..];
    let text = &text[memchr::memchr(b'>', text)? + 1..];
    Some(&text[..memchr::memchr(b'<', text)?])
}

/// The names of the tags in the order in which each first appears: pages with more or fewer paragraphs
/// have the same.
fn tags(body: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for at in memchr::memchr_iter(b'<', body) {
        let rest = &body[at + 1..];
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
        let name = &rest[..end.unwrap_or(rest.len()).min(16)];
        if !name.is_empty() && names.len() < 64 && !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(&b' ').to_ascii_lowercase()
}
