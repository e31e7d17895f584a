//! The one way in: a response, and everything that it says.

use std::collections::HashSet;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use super::facts::{self, Facts};
use super::html::{self, Form, Page, Script, TextHash, TextHasher};
use super::js::{self, Endpoint, EndpointKind, Findings};
use super::openapi::{self, Operation};
use super::secrets::{self, Redactor, Secret};
use super::technologies::{self, Technology};
use super::url::{SeenSet, resolve};
use super::{LinkKind, css, documents, json, sitemap};

/// A response to be read.
#[derive(Debug, Clone, Copy)]
pub struct PageInput<'a> {
    /// Where it came from.
    pub url: &'a Url,
    /// Its headers; the content type is one of them.
    pub headers: &'a HeaderMap,
    /// Its body, decoded as Content-Encoding says.
    pub body: &'a [u8],
}

/// What a body is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// HTML or XHTML.
    Html,
    /// JavaScript.
    Script,
    /// CSS.
    Style,
    /// JSON that is none of the documents below.
    Json,
    /// An OpenAPI or Swagger document.
    OpenApi,
    /// A source map.
    SourceMap,
    /// A web app manifest.
    Manifest,
    /// A sitemap, an index of them, or a feed.
    Sitemap,
    /// Other XML.
    Xml,
    /// A security.txt.
    SecurityTxt,
    /// Other text.
    Text,
    /// What is no text: only its hash is taken.
    #[default]
    Binary,
}

/// What a response says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// What the body is.
    pub kind: Kind,
    /// Its charset.
    pub charset: String,
    /// Where it leads, absolute and normalised; what scripts say too, where no part of it is open.
    pub links: Vec<super::Link>,
    /// Forms.
    pub forms: Vec<Form>,
    /// Scripts of a page.
    pub scripts: Vec<Script>,
    /// What scripts and API documents name.
    pub endpoints: Vec<Endpoint>,
    /// Names of parameters that scripts read.
    pub parameters: Vec<String>,
    /// How many event handlers of each kind a page has.
    pub events: std::collections::BTreeMap<String, u32>,
    /// Comments of a page.
    pub comments: Vec<String>,
    /// The title of a page.
    pub title: Option<String>,
    /// What says that it made a page.
    pub generators: Vec<String>,
    /// The language of a page.
    pub language: Option<String>,
    /// The URL that a page goes by.
    pub canonical: Option<String>,
    /// Operations of an OpenAPI document.
    pub operations: Vec<Operation>,
    /// What a security.txt says.
    pub security_txt: Option<documents::SecurityTxt>,
    /// Names of the sources of a source map.
    pub sources: Vec<String>,
    /// Secrets, redacted.
    pub secrets: Vec<Secret>,
    /// What the site is made with.
    pub technologies: Vec<Technology>,
    /// Facts about headers and the page.
    pub facts: Facts,
    /// The hash of what it says.
    pub hash: TextHash,
    /// Whether there was more than is kept.
    pub truncated: bool,
}

/// Reads a response.
pub fn extract(input: &PageInput) -> Extracted {
    let content_type = input.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let content_type = content_type.unwrap_or_default();
    let mut reader = Reader {
        input,
        out: Extracted::default(),
        seen: SeenSet::default(),
    };
    for name in ["location", "content-location"] {
        let value = input
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        reader.links(value, LinkKind::Redirect);
    }
    if is_binary(&content_type, input.body) {
        reader.out.facts = facts::read(input.url, input.headers, "", None);
        reader.out.technologies = technologies::find(input.headers, "", None);
        reader.out.hash.exact = hash_of(input.body);
        return reader.out;
    }
    let (text, charset) = html::decode(input.body, &content_type);
    charset.clone_into(&mut reader.out.charset);
    reader.out.kind = kind(&content_type, input.url, &text);
    reader.read(&text);
    reader.out
}

fn hash_of(bytes: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

struct Reader<'a> {
    input: &'a PageInput<'a>,
    out: Extracted,
    seen: SeenSet,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let page = (self.out.kind == Kind::Html).then(|| html::read(text, self.input.url));
        let found = secrets::search(text);
        let redactor = Redactor::new(text, &found);
        self.out.secrets = found.into_iter().map(|(secret, _)| secret).collect();
        self.out.technologies = technologies::find(self.input.headers, text, page.as_ref());
        self.out.facts = facts::read(self.input.url, self.input.headers, text, page.as_ref());
        match page {
            Some(page) => self.page(page),
            None => self.document(text),
        }
        self.redact(&redactor);
    }

    /// What is told of a response has none of its secrets. Its links have: they could not be asked for
    /// otherwise.
    fn redact(&mut self, redactor: &Redactor) {
        let out = &mut self.out;
        let forms = out.forms.iter_mut().flat_map(|form| {
            let values = form.fields.iter_mut().map(|field| &mut field.value);
            values.chain([&mut form.action])
        });
        let scripts = out
            .scripts
            .iter_mut()
            .filter_map(|script| script.src.as_mut());
        let texts = out
            .comments
            .iter_mut()
            .chain(&mut out.title)
            .chain(&mut out.canonical);
        let texts = texts.chain(out.endpoints.iter_mut().map(|endpoint| &mut endpoint.url));
        let texts = texts.chain(
            out.operations
                .iter_mut()
                .map(|operation| &mut operation.path),
        );
        for text in texts.chain(forms).chain(scripts).chain(&mut out.parameters) {
            redactor.apply(text);
        }
    }

    fn page(&mut self, page: Page) {
        let base = page.base.clone();
        let out = &mut self.out;
        out.links.extend(page.links);
        out.forms = page.forms;
        out.scripts = page.scripts;
        out.events = page.events;
        out.comments = page.comments;
        out.title = page.title;
        out.generators = page.generators;
        out.language = page.language;
        out.canonical = page.canonical.map(String::from);
        out.hash = page.hash;
        out.truncated |= page.truncated;
        self.code(page.code, base.as_ref());
    }

    fn document(&mut self, text: &str) {
        let mut hasher = TextHasher::default();
        hasher.text(text);
        self.out.hash = hasher.finish();
        match self.out.kind {
            Kind::Script => {
                let mut code = Findings::default();
                js::scan(text, &mut code);
                self.code(code, None);
            }
            Kind::Style => {
                for (url, kind) in css::urls(text) {
                    self.links([url.as_str()], kind);
                }
            }
            Kind::Json => self.json(text),
            Kind::Sitemap => {
                let sitemap = sitemap::read(text);
                self.out.truncated |= sitemap.truncated;
                let all = sitemap.pages.iter().chain(&sitemap.sitemaps);
                self.links(all.map(String::as_str), LinkKind::Sitemap);
            }
            _ => {
                if let Some(found) = documents::security_txt(text) {
                    self.out.kind = Kind::SecurityTxt;
                    self.links(found.urls.iter().map(String::as_str), LinkKind::Data);
                    self.out.security_txt = Some(found);
                }
                if let Some(operations) = openapi::read_yaml(text) {
                    self.operations(operations);
                }
                self.links(json::urls_in_text(text), LinkKind::Data);
            }
        }
    }

    fn json(&mut self, text: &str) {
        if let Some(operations) = openapi::read(text) {
            self.operations(operations);
        } else if let Some(map) = documents::source_map(text) {
            self.out.kind = Kind::SourceMap;
            self.out.sources = map.sources;
            let mut code = Findings::default();
            for source in &map.contents {
                js::scan_piece(source, &mut code);
                self.add_secrets(source);
            }
            code.tidy();
            self.code(code, None);
        } else if let Some(urls) = documents::web_manifest(text) {
            self.out.kind = Kind::Manifest;
            self.links(urls.iter().map(String::as_str), LinkKind::Data);
        } else {
            for url in json::urls(text) {
                self.links([url.as_str()], LinkKind::Data);
            }
        }
    }

    fn operations(&mut self, operations: Vec<Operation>) {
        self.out.kind = Kind::OpenApi;
        for operation in &operations {
            // What a path leaves open cannot be asked for as it is.
            let path = Some(operation.path.as_str()).filter(|path| !path.contains('{'));
            self.links(path, LinkKind::Data);
        }
        self.out.operations = operations;
    }

    /// Those of a text within another one, where they stand escaped.
    fn add_secrets(&mut self, text: &str) {
        let known: HashSet<String> = self.out.secrets.iter().map(|s| s.sha256.clone()).collect();
        for secret in secrets::find(text) {
            if self.out.secrets.len() < secrets::MOST && !known.contains(&secret.sha256) {
                self.out.secrets.push(secret);
            }
        }
    }

    /// What scripts say. Paths are relative to the page where code asks, to the script where it imports;
    /// here both are the same.
    fn code(&mut self, code: Findings, base: Option<&Url>) {
        let base = base.unwrap_or(self.input.url).clone();
        for endpoint in &code.endpoints {
            let asked =
                !matches!(endpoint.kind, EndpointKind::Route) && !endpoint.url.contains("{}");
            if asked && let Some(url) = resolve(&base, &endpoint.url) {
                let kind = match endpoint.kind {
                    EndpointKind::Script => LinkKind::Script,
                    _ => LinkKind::Code,
                };
                self.add(url, kind);
            }
        }
        if let Some(url) = code
            .source_map
            .as_deref()
            .and_then(|map| resolve(&base, map))
        {
            self.add(url, LinkKind::Code);
        }
        self.out.truncated |= code.truncated;
        self.out.parameters = code.parameters.into_iter().collect();
        self.out.endpoints = code.endpoints;
    }

    fn links<'t>(&mut self, urls: impl IntoIterator<Item = &'t str>, kind: LinkKind) {
        for url in urls {
            if let Some(url) = resolve(self.input.url, url) {
                self.add(url, kind);
            }
        }
    }

    fn add(&mut self, url: Url, kind: LinkKind) {
        if self.out.links.len() >= html::MOST_LINKS {
            self.out.truncated = true;
        } else if self.seen.insert(hash_of(url.as_str().as_bytes())) {
            self.out.links.push(super::Link { url, kind });
        }
    }
}

/// Whether a body is no text: by its type, else by a NUL in its beginning.
fn is_binary(content_type: &str, body: &[u8]) -> bool {
    let kind = content_type.trim_start().to_ascii_lowercase();
    let named = [
        "image/",
        "video/",
        "audio/",
        "font/",
        "application/zip",
        "application/pdf",
        "application/wasm",
    ];
    if named.iter().any(|start| kind.starts_with(start)) {
        return !kind.starts_with("image/svg");
    }
    let marked = body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff");
    let head = &body[..body.len().min(1024)];
    let text = marked || kind.contains("utf-16") || kind.contains("html") && has_tags(head);
    !text && memchr::memchr(0, head).is_some()
}

/// Browsers read a page with a NUL in it as well.
fn has_tags(head: &[u8]) -> bool {
    const TAGS: [&[u8]; 6] = [
        b"<!doctype",
        b"<html",
        b"<head",
        b"<body",
        b"<a ",
        b"<script",
    ];
    let head = head.to_ascii_lowercase();
    TAGS.iter()
        .any(|tag| memchr::memmem::find(&head, tag).is_some())
}

fn kind(content_type: &str, url: &Url, text: &str) -> Kind {
    let named = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let start = text.trim_start();
    let head = &start.as_bytes()[..start.len().min(512)];
    let begins = |tag: &[u8]| {
        head.get(..tag.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(tag))
    };
    let has = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    match named.as_str() {
        "text/html" | "application/xhtml+xml" => return Kind::Html,
        "text/css" => return Kind::Style,
        named if named.contains("javascript") || named.contains("ecmascript") => {
            return Kind::Script;
        }
        named if named.ends_with("json") => return Kind::Json,
        _ => {}
    }
    if begins(b"<!doctype html") || begins(b"<html") {
        return Kind::Html;
    }
    if has(b"<urlset") || has(b"<sitemapindex") || has(b"<rss") || has(b"<feed") {
        return Kind::Sitemap;
    }
    if begins(b"<?xml") || named.ends_with("xml") {
        return if has(b"<html") { Kind::Html } else { Kind::Xml };
    }
    let path = url.path();
    let ends = |end: &str| {
        path.len() >= end.len()
            && path.as_bytes()[path.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    };
    if ends(".js") || ends(".mjs") {
        Kind::Script
    } else if ends(".css") {
        Kind::Style
    } else if ends(".json") || ends(".map") || ends(".webmanifest") || begins(b"{\"") {
        Kind::Json
    } else if begins(b"<") {
        // Pages without a type, as old servers send them.
        Kind::Html
    } else {
        Kind::Text
    }
}
