//! Facts of web servers: answers, cookies, paths, forms, endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use url::{Host, Url};

use crate::api::{
    AssessedPath, AssessmentContext, CookieSigns, SpiderEndpoint, SpiderForm, SpiderPage,
    WebExchange,
};

use super::{Facts, Kind, Subject, ports};

/// How sure a path is that an enumeration found: it tells what is there from what is not by likeness.
const BY_ENUMERATION: f64 = 0.9;

/// What names of cookies contain that carry a session or a login, in lower case.
const SESSION: [&str; 9] = [
    "sess",
    "token",
    "jwt",
    "login",
    "remember",
    "laravel",
    "connect.",
    "aspx",
    "_identity",
];

/// Words that are one only by themselves: `visid_incap` counts visitors, `sidebar` and `author` are settings.
fn is_session_word(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(word, "sid" | "ssid" | "hsid" | "phpsid" | "sso" | "auth")
        || (word.starts_with("auth") && !word.starts_with("author"))
        || (word.ends_with("auth") && word.len() > 4)
}

/// Whether a cookie of this name, in lower case, carries a session or a login.
pub(super) fn is_session(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    SESSION.iter().any(|word| name.contains(word)) || words.any(is_session_word)
}

/// What is the record's own, and where it is.
pub struct Site {
    names: BTreeSet<String>,
    /// Of paths that name none.
    origin: String,
}

impl Site {
    pub fn of(context: &AssessmentContext, addresses: &BTreeSet<IpAddr>) -> Self {
        let target = context.target.to_ascii_lowercase();
        let mut names: BTreeSet<String> = addresses.iter().map(IpAddr::to_string).collect();
        names.extend(
            context
                .scans
                .iter()
                .filter_map(|scan| scan.hostname.clone()),
        );
        names.insert(format!("www.{target}"));
        names.extend(target.strip_prefix("www.").map(str::to_owned));
        names.insert(target.clone());
        let mut site = Self {
            names,
            origin: String::new(),
        };
        let urls = context.exchanges.iter().map(|exchange| &exchange.url);
        let seen = urls.chain(context.pages.iter().map(|page| &page.url));
        let seen = seen.filter_map(|url| Url::parse(url).ok());
        let seen = seen.filter(|url| url.port().is_none() && site.owns(url));
        let seen: BTreeSet<String> = seen.map(|url| origin(&url)).collect();
        let is_open = |number| {
            let mut open = context.ports.iter();
            open.any(|seen| seen.port.port == number && ports::in_clear(&seen.port) == "http")
        };
        let https = !is_open(80) && is_open(443);
        let scheme = if https { "https" } else { "http" };
        // As an enumeration begins: by http, unless only https is there.
        site.origin = seen
            .into_iter()
            .next()
            .unwrap_or_else(|| format!("{scheme}://{}", bracketed(&target)));
        site
    }

    /// Whether a URL is of the record.
    fn owns(&self, url: &Url) -> bool {
        let name = match url.host() {
            Some(Host::Domain(name)) => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return false,
        };
        self.names.contains(&name)
    }

    /// Origin and anchor of a URL, or of a path.
    pub fn place(&self, url: &str) -> (String, String) {
        let url = match url.starts_with('/') {
            true => Url::parse(&self.origin).ok(),
            false => Url::parse(url).ok(),
        };
        match url {
            Some(url) => (origin(&url), anchor(&url)),
            None => (self.origin.clone(), "web".to_owned()),
        }
    }
}

fn bracketed(name: &str) -> String {
    match name.contains(':') {
        true => format!("[{name}]"),
        false => name.to_owned(),
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn anchor(url: &Url) -> String {
    url.port_or_known_default()
        .map_or_else(|| "web".to_owned(), |port| format!("tcp/{port}"))
}

/// Adds everything of the web side.
pub fn add(context: &AssessmentContext, site: &Site, facts: &mut Facts) {
    let pages: BTreeMap<&str, &SpiderPage> = context
        .pages
        .iter()
        .map(|page| (page.url.as_str(), page))
        .collect();
    let forms = context.forms.iter().filter(|form| has_password(form));
    let asking: BTreeSet<&str> = forms.map(|form| form.page.as_str()).collect();
    let mut known = BTreeSet::new();
    let mut cookies = BTreeSet::new();
    let mut paths = Paths::default();
    for exchange in &context.exchanges {
        let Some(url) = own(site, &exchange.url) else {
            continue;
        };
        if exchange.status == 0 || !known.insert((exchange.url.as_str(), exchange.method.as_str()))
        {
            continue;
        }
        let page = pages.get(exchange.url.as_str()).copied();
        let password = asking.contains(exchange.url.as_str());
        facts.add(answer(exchange, &url, page, password));
        for cookie in &exchange.seen.cookies {
            if cookies.insert((origin(&url), cookie.name.clone())) {
                facts.add(cookie_fact(cookie, &url));
            }
        }
    }
    for path in &context.paths {
        paths.enumerated(path, site);
    }
    for page in &context.pages {
        let Some(url) = own(site, &page.url).filter(|_| page.status != 0) else {
            continue;
        };
        paths.page(page, &url);
        if !known.contains(&(page.url.as_str(), "GET")) {
            facts.add(bare_page(page, &url, asking.contains(page.url.as_str())));
        }
    }
    paths.add_to(facts);
    let mut forms = BTreeSet::new();
    for form in &context.forms {
        add_form(form, site, &mut forms, facts);
    }
    for endpoint in &context.endpoints {
        facts.add(endpoint_fact(endpoint, site));
    }
}

fn own(site: &Site, url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| site.owns(url))
}

/// What an answer and a page have in common.
fn http(source: String, url: &Url, text: &str) -> Subject {
    let mut http = Subject::new(Kind::Http, source, &origin(url));
    http.anchor = anchor(url);
    http.set("url", text);
    http.set("scheme", url.scheme());
    http.set_some("host", url.host_str());
    http.set_some("port", url.port_or_known_default());
    http.set("path", url.path());
    http.set("root", url.path() == "/");
    http
}

fn bare_page(page: &SpiderPage, url: &Url, password: bool) -> Subject {
    let mut http = http(format!("page:{}", page.url), url, &page.url);
    http.set("method", "GET");
    http.set("status", page.status);
    http.set("headers_known", false);
    http.set_some("title", page.title.as_deref());
    http.set_some("content_type", page.content_type.as_deref());
    http.set("html", is_html(page.content_type.as_deref()));
    http.set("password", password);
    http
}

fn is_html(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}

fn answer(exchange: &WebExchange, url: &Url, page: Option<&SpiderPage>, password: bool) -> Subject {
    let source = format!("http:{} {}", exchange.method, exchange.url);
    let mut http = http(source, url, &exchange.url);
    let header = |name: &str| exchange.headers.get(name).map(|value| value.trim());
    let kind = header("content-type").or(page.and_then(|p| p.content_type.as_deref()));
    http.set("method", exchange.method.as_str());
    http.set("status", exchange.status);
    http.set("headers_known", !exchange.headers.is_empty());
    http.set("html", is_html(kind));
    http.set_some("content_type", kind);
    http.set_some("title", page.and_then(|page| page.title.as_deref()));
    http.set("password", password);
    http.set_some(
        "hsts_max_age",
        header("strict-transport-security").map(max_age),
    );
    match header("content-security-policy") {
        Some(policy) => {
            http.set("csp", policy);
            let lower = policy.to_ascii_lowercase();
            http.set("csp_scripts", script_sources(&lower));
            let framed = directive(&lower, "frame-ancestors").is_some();
            http.set("frame_ancestors", framed);
        }
        None if exchange.seen.meta_csp => http.set("csp", "in the page"),
        None => {}
    }
    http.set_some("cors_origin", header("access-control-allow-origin"));
    http.set(
        "cors_credentials",
        header("access-control-allow-credentials") == Some("true"),
    );
    let elsewhere = header("location").and_then(|to| url.join(to).ok());
    let redirects = (300..400).contains(&exchange.status);
    http.set(
        "to_https",
        redirects && elsewhere.is_some_and(|to| to.scheme() == "https"),
    );
    let seen = &exchange.seen;
    http.set("mixed", seen.mixed_content.clone());
    http.set_some("listing", seen.directory_listing.as_deref());
    http.set_some("error_page", seen.error_page.as_deref());
    http.set_some("default_page", seen.default_page.as_deref());
    for (name, value) in &exchange.headers {
        http.set(&format!("header.{name}"), value.as_str());
    }
    http
}

/// Seconds of HSTS (RFC 6797 §6.1.1); 0 when it names none.
fn max_age(hsts: &str) -> i64 {
    let age = hsts.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("max-age");
        named.then(|| value.trim().trim_matches('"').parse().ok())?
    });
    age.unwrap_or(0)
}

/// A directive of a policy in lower case.
fn directive<'a>(policy: &'a str, name: &str) -> Option<Vec<&'a str>> {
    policy.split(';').find_map(|part| {
        let mut words = part.split_ascii_whitespace();
        (words.next() == Some(name)).then(|| words.collect())
    })
}

/// Sources of scripts; `*` when nothing restricts them.
fn script_sources(policy: &str) -> Vec<String> {
    let sources = directive(policy, "script-src").or_else(|| directive(policy, "default-src"));
    let sources = sources.unwrap_or_else(|| vec!["*"]);
    sources.into_iter().map(str::to_owned).collect()
}

fn cookie_fact(cookie: &CookieSigns, url: &Url) -> Subject {
    let source = format!("cookie:{}#{}", origin(url), cookie.name);
    let mut fact = Subject::new(Kind::Cookie, source, &origin(url));
    fact.anchor = anchor(url);
    let name = cookie.name.to_ascii_lowercase();
    fact.set("name", cookie.name.as_str());
    fact.set("scheme", url.scheme());
    fact.set("secure", cookie.secure);
    fact.set("http_only", cookie.http_only);
    fact.set_some("same_site", cookie.same_site.as_deref());
    fact.set_some("domain", cookie.domain.as_deref());
    fact.set_some("path", cookie.path.as_deref());
    fact.set("persistent", cookie.persistent);
    // Tokens against forgery are meant to be read by scripts.
    let forgery = name.contains("csrf") || name.contains("xsrf");
    fact.set("session", is_session(&name) && !forgery);
    fact
}

/// Paths, each once: an enumeration knows its status, a spider its title.
#[derive(Default)]
struct Paths(BTreeMap<(String, String), Subject>);

impl Paths {
    fn enumerated(&mut self, found: &AssessedPath, site: &Site) {
        let (origin, anchor) = site.place(&found.path);
        let path = match Url::parse(&found.path) {
            Ok(url) => url.path().to_owned(),
            Err(_) => found.path.clone(),
        };
        let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        let mut fact = Subject::new(Kind::Path, format!("path:{}", found.path), &origin);
        fact.anchor = anchor;
        fact.confidence = BY_ENUMERATION;
        fact.set("path", path.as_str());
        fact.set("url", format!("{origin}{path}"));
        fact.set_some("status", found.status);
        fact.set("open", found.status == Some(200));
        fact.set_some("size", found.size);
        fact.set_some("content_type", found.content_type.as_deref());
        fact.set("from", "enumeration");
        self.0.entry((origin, path)).or_insert(fact);
    }

    fn page(&mut self, page: &SpiderPage, url: &Url) {
        let key = (origin(url), url.path().to_owned());
        if let Some(known) = self.0.get_mut(&key) {
            known.set_some("title", page.title.as_deref());
            known.confidence = 1.0;
            return;
        }
        if matches!(page.status, 404 | 410) {
            return;
        }
        let mut fact = Subject::new(Kind::Path, format!("page:{}", page.url), &key.0);
        fact.anchor = anchor(url);
        fact.set("path", url.path());
        fact.set("url", page.url.as_str());
        fact.set("status", page.status);
        fact.set("open", page.status == 200);
        fact.set_some("size", page.length);
        fact.set_some("content_type", page.content_type.as_deref());
        fact.set_some("title", page.title.as_deref());
        fact.set("from", "spider");
        self.0.insert(key, fact);
    }

    fn add_to(self, facts: &mut Facts) {
        for (_, path) in self.0 {
            facts.add(path);
        }
    }
}

fn has_password(form: &SpiderForm) -> bool {
    form.inputs.iter().any(|input| input.kind == "password")
}

/// Whether the name of a hidden field is that of a token against forgery.
fn is_token(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "csrf",
        "xsrf",
        "token",
        "nonce",
        "__requestverification",
        "authenticity",
    ]
    .iter()
    .any(|word| name.contains(word))
}

fn is_card(name: &str) -> bool {
    let name: String = name.to_ascii_lowercase();
    let name = name.replace(['-', '_'], "");
    [
        "cardnumber",
        "ccnumber",
        "cvv",
        "cvc",
        "ccnum",
        "creditcard",
    ]
    .iter()
    .any(|word| name.contains(word))
}

fn add_form(
    form: &SpiderForm,
    site: &Site,
    known: &mut BTreeSet<(String, String, String)>,
    facts: &mut Facts,
) {
    let Some(page) = own(site, &form.page) else {
        return;
    };
    let action = page.join(&form.action).unwrap_or_else(|_| page.clone());
    // The same search box is on every page.
    let key = (origin(&page), form.method.clone(), action.to_string());
    if !known.insert(key) {
        return;
    }
    let source = format!("form:{} {action} on {}", form.method, form.page);
    let mut fact = Subject::new(Kind::Form, source, &origin(&page));
    fact.anchor = anchor(&page);
    let inputs = &form.inputs;
    let has = |kind: &str| inputs.iter().any(|input| input.kind == kind);
    fact.set("page", form.page.as_str());
    fact.set("action", action.as_str());
    fact.set("method", form.method.as_str());
    fact.set("scheme", page.scheme());
    fact.set("action_scheme", action.scheme());
    fact.set("password", has_password(form));
    fact.set("upload", has("file"));
    fact.set("card", inputs.iter().any(|input| is_card(&input.name)));
    let hidden = inputs.iter().filter(|input| input.kind == "hidden");
    fact.set("token", hidden.clone().any(|input| is_token(&input.name)));
    let web = matches!(action.scheme(), "http" | "https");
    fact.set("elsewhere", web && action.host_str() != page.host_str());
    let names = inputs.iter().map(|input| input.name.clone());
    fact.set(
        "inputs",
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>(),
    );
    facts.add(fact);
}

fn endpoint_fact(endpoint: &SpiderEndpoint, site: &Site) -> Subject {
    let (place, anchor) = site.place(&endpoint.url);
    let source = format!("endpoint:{} {}", endpoint.method, endpoint.url);
    let mut fact = Subject::new(Kind::Endpoint, source, &place);
    fact.anchor = anchor;
    fact.confidence = 0.8;
    let url = Url::parse(&endpoint.url).ok();
    let path = match &url {
        Some(url) => url.path(),
        None => endpoint.url.split(['?', '#']).next().unwrap_or_default(),
    };
    fact.set("url", endpoint.url.as_str());
    fact.set("path", path);
    fact.set("method", endpoint.method.as_str());
    fact.set("parameters", endpoint.parameters.clone());
    fact.set("found_in", endpoint.kind.as_str());
    fact.set("source_page", endpoint.source.as_str());
    fact.set("own", url.as_ref().is_none_or(|url| site.owns(url)));
    fact
}
