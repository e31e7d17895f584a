use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use url::Url;

use super::super::url::SeenSet;
use super::super::url::resolve;
use super::super::{LinkKind, css, js, json};
use super::attributes::{Attributes, looks_like_url};
use super::text::TextHasher;
use super::{Page, limits, shorten};

/// What the text is in that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Body,
    Title,
    Script,
    /// JSON in a script element: JSON-LD, import maps, the state of an application.
    Json,
    /// A script of a type that is no JavaScript.
    Other,
    Style,
}

/// Reads a page. `url` is where it came from.
pub fn read(text: &str, url: &Url) -> Page {
    let mut reader = Reader::new(url);
    reader.run(text);
    reader.finish()
}

/// Everything that is known while a page is read.
pub(super) struct Reader<'a> {
    pub(super) url: &'a Url,
    pub(super) page: Page,
    pub(super) seen: SeenSet,
    pub(super) hasher: TextHasher,
    pub(super) inside: Inside,
    /// The element that is being read.
    tag: Vec<u8>,
    attributes: Attributes,
    /// Whether fields belong to the last form.
    pub(super) in_form: bool,
    /// In a comment, and so not shown.
    pub(super) hidden: bool,
    /// Bytes of comments that may still be searched.
    comment_bytes: usize,
}

impl<'a> Reader<'a> {
    fn new(url: &'a Url) -> Self {
        Self {
            url,
            page: Page::default(),
            seen: SeenSet::default(),
            hasher: TextHasher::default(),
            inside: Inside::Body,
            tag: Vec::new(),
            attributes: Attributes::default(),
            in_form: false,
            hidden: false,
            comment_bytes: limits::COMMENT_BYTES,
        }
    }

    fn run(&mut self, text: &str) {
        let callback = |event: CallbackEvent<'_>, _: Span<()>| {
            self.event(event);
            None::<Infallible>
        };
        let mut emitter = CallbackEmitter::new(callback);
        emitter.naively_switch_states(true);
        // Reading from memory does not fail.
        let Ok(()) = Tokenizer::new_with_emitter(text, emitter).finish();
    }

    fn finish(mut self) -> Page {
        self.page.code.tidy();
        self.page.hash = self.hasher.finish();
        self.page.truncated |= self.page.code.truncated;
        self.page
    }

    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag.clear();
                self.tag.extend_from_slice(name);
                self.attributes.clear();
            }
            CallbackEvent::AttributeName { name } => self.attributes.name(name),
            CallbackEvent::AttributeValue { value } => self.attributes.value(value),
            CallbackEvent::CloseStartTag { .. } => self.start_tag(),
            CallbackEvent::EndTag { name } => self.end_tag(name),
            CallbackEvent::String { value } => {
                if let Ok(text) = std::str::from_utf8(value) {
                    self.text(text);
                }
            }
            CallbackEvent::Comment { value } => {
                if let Ok(text) = std::str::from_utf8(value) {
                    self.comment(text);
                }
            }
            CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn start_tag(&mut self) {
        let tag = std::mem::take(&mut self.tag);
        let attributes = std::mem::take(&mut self.attributes);
        self.page.truncated |= attributes.full;
        if let Ok(name) = std::str::from_utf8(&tag) {
            self.element(name, &attributes);
            self.of_any_element(&attributes);
        }
        self.attributes = attributes;
        self.tag = tag;
    }

    fn end_tag(&mut self, name: &[u8]) {
        self.inside = Inside::Body;
        if name == b"form" {
            self.in_form = false;
        }
    }

    /// Attributes that any element may have: styles, handlers, data.
    fn of_any_element(&mut self, attributes: &Attributes) {
        for (name, value) in attributes.iter() {
            match name.as_bytes() {
                b"style" => self.styles(value),
                [b'o', b'n', first, ..] if first.is_ascii_lowercase() => self.handler(name, value),
                [b'd', b'a', b't', b'a', b'-', ..] if looks_like_url(value) => {
                    self.link(value, LinkKind::Data);
                }
                // What libraries load when it comes into sight.
                b"data-srcset" | b"data-src" if !value.is_empty() => {
                    super::attributes::srcset(value)
                        .take(64)
                        .for_each(|url| self.link(url, LinkKind::Image));
                }
                // htmx.
                b"hx-get" | b"hx-post" | b"hx-put" | b"hx-delete" | b"hx-patch" => {
                    let method = name[3..].to_ascii_uppercase();
                    self.page.code.requested(value, &method);
                    self.link(value, LinkKind::Code);
                }
                _ => {}
            }
        }
    }

    pub(super) fn handler(&mut self, name: &str, code: &str) {
        let events = &mut self.page.events;
        if events.len() < limits::EVENTS || events.contains_key(name) {
            *events.entry(shorten(name, 40)).or_default() += 1;
        }
        js::scan_piece(code, &mut self.page.code);
    }

    pub(super) fn styles(&mut self, style: &str) {
        let kinds: Vec<_> = css::urls(style).collect();
        for (url, kind) in kinds {
            self.link(&url, kind);
        }
    }

    /// A link, as it stands in the page; in a comment it is of that kind whatever it was.
    pub(super) fn link(&mut self, link: &str, kind: LinkKind) {
        if let Some(code) = script_url(link) {
            return js::scan_piece(code, &mut self.page.code);
        }
        let Some(url) = self.resolve(link) else {
            return;
        };
        let kind = if self.hidden { LinkKind::Comment } else { kind };
        if !self.hidden && kind != LinkKind::Data {
            // The query may be another one at each visit; the path hardly is.
            self.hasher.mark(url.path());
        }
        self.page.link(&mut self.seen, url, kind);
    }

    pub(super) fn resolve(&self, link: &str) -> Option<Url> {
        resolve(self.page.base.as_ref().unwrap_or(self.url), link)
    }

    fn text(&mut self, text: &str) {
        match self.inside {
            Inside::Body if self.hidden => {}
            Inside::Body => self.hasher.text(text),
            Inside::Title => {
                self.hasher.text(text);
                let title = &mut self.page.title;
                if title.is_none() && !self.hidden {
                    *title = Some(shorten(text, limits::TEXT));
                }
            }
            Inside::Script => {
                self.inline(text);
                js::scan_piece(text, &mut self.page.code);
            }
            Inside::Json => {
                self.inline(text);
                let urls = json::urls(text);
                for url in urls {
                    self.link(&url, LinkKind::Data);
                }
            }
            Inside::Other => self.inline(text),
            Inside::Style => self.styles(text),
        }
    }

    fn inline(&mut self, text: &str) {
        if let Some(script) = self.page.scripts.last_mut() {
            script.length = text.len();
        }
    }

    fn comment(&mut self, text: &str) {
        // Conditional comments end in a comment of their own.
        let text = text.trim();
        if text.is_empty() || text == "<![endif]" {
            return;
        }
        if !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return;
        }
        if self.page.comments.len() < limits::COMMENTS {
            self.page.comments.push(shorten(text, limits::TEXT));
        } else {
            self.page.truncated = true;
        }
        // One level is enough: there are no comments in comments.
        if self.hidden || text.len() > self.comment_bytes {
            self.page.truncated |= !self.hidden;
            return;
        }
        self.comment_bytes -= text.len();
        let before = (self.inside, self.in_form);
        self.hidden = true;
        if text.contains('<') {
            self.run(text);
        }
        for url in super::super::json::urls_in_text(text) {
            self.link(url, LinkKind::Comment);
        }
        self.hidden = false;
        (self.inside, self.in_form) = before;
    }
}

/// The code of a `javascript:` URL.
fn script_url(link: &str) -> Option<&str> {
    let link = link.trim_start();
    let scheme = link.get(..11)?;
    scheme
        .eq_ignore_ascii_case("javascript:")
        .then(|| &link[11..])
}
