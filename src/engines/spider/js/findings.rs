use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Endpoints of one page or script that are kept.
const MOST_ENDPOINTS: usize = 5000;
/// Names of parameters.
const MOST_PARAMETERS: usize = 1000;
/// Bytes of a name.
const LONGEST_NAME: usize = 64;
/// Parameters of one endpoint.
const MOST_OF_ONE: usize = 64;

/// By what code leads somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// A request by `fetch`, `XMLHttpRequest`, axios, jQuery and the like.
    Request,
    /// `new WebSocket`.
    WebSocket,
    /// `new EventSource`.
    EventSource,
    /// Code that is loaded: `import`, `require`, `importScripts`, workers.
    Script,
    /// Where the page goes: `location`, `window.open`.
    Navigation,
    /// A route of the application in the page; the server may not know it.
    Route,
    /// A string that is a path or URL, for whatever.
    Literal,
}

/// A URL or path that code names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// As the code has it; `{}` stands for what is known only when it runs.
    pub url: String,
    /// By what.
    pub kind: EndpointKind,
    /// The method, where the code says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Names of parameters: of the query and of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// Where in the code, in bytes.
    pub offset: usize,
}

/// What code says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Where it leads.
    pub endpoints: Vec<Endpoint>,
    /// Names of parameters that it reads or sends without saying where to.
    pub parameters: BTreeSet<String>,
    /// The source map.
    pub source_map: Option<String>,
    /// Whether there was more than is kept.
    pub truncated: bool,
    /// Where an endpoint stands that was met as a mere literal.
    #[serde(skip)]
    known: HashMap<String, usize>,
    /// How many there were when they were last tidied.
    #[serde(skip)]
    tidied: usize,
}

impl Findings {
    /// A request that something besides code makes: an attribute of htmx.
    pub(crate) fn requested(&mut self, url: &str, method: &str) {
        if let Some(at) = self.add(url.to_owned(), EndpointKind::Request, 0) {
            self.set_method(at, method);
        }
    }

    /// Adds an endpoint; where it stands.
    pub(super) fn add(&mut self, url: String, kind: EndpointKind, offset: usize) -> Option<usize> {
        let known = self.known.get(&url).copied();
        if let Some(at) = known
            && (kind == EndpointKind::Literal
                || self.endpoints[at].kind == kind && self.endpoints[at].method.is_none())
        {
            return Some(at);
        }
        if self.endpoints.len() >= MOST_ENDPOINTS {
            self.truncated = true;
            return None;
        }
        let at = self.endpoints.len();
        let parameters = query_names(&url);
        self.known.entry(url.clone()).or_insert(at);
        self.endpoints.push(Endpoint {
            url,
            kind,
            method: None,
            parameters,
            offset,
        });
        Some(at)
    }

    pub(super) fn set_method(&mut self, at: usize, method: &str) {
        let endpoint = &mut self.endpoints[at];
        if endpoint.kind == EndpointKind::Literal {
            endpoint.kind = EndpointKind::Request;
        }
        endpoint.method.get_or_insert_with(|| method.to_owned());
    }

    pub(super) fn set_kind(&mut self, at: usize, kind: EndpointKind) {
        self.endpoints[at].kind = kind;
    }

    pub(super) fn parameter_of(&mut self, at: usize, name: String) {
        let parameters = &mut self.endpoints[at].parameters;
        if parameters.len() < MOST_OF_ONE && !parameters.contains(&name) {
            parameters.push(name);
        }
    }

    pub(super) fn parameter(&mut self, name: &str) {
        if is_name(name) && self.parameters.len() < MOST_PARAMETERS {
            self.parameters.insert(name.to_owned());
        }
    }

    /// Tidies when there are twice as many as the last time: a page may have a handler on each element,
    /// and all of them together shall cost what one script would.
    pub(super) fn tidy_sometimes(&mut self) {
        if self.endpoints.len() >= 2 * self.tidied.max(64) {
            self.tidy();
        }
    }

    /// Leaves out what is there twice.
    pub(in crate::engines::spider) fn tidy(&mut self) {
        let mut seen: HashMap<(String, EndpointKind, Option<String>), usize> = HashMap::new();
        let mut kept: Vec<Endpoint> = Vec::with_capacity(self.endpoints.len());
        for endpoint in std::mem::take(&mut self.endpoints) {
            let id = (endpoint.url.clone(), endpoint.kind, endpoint.method.clone());
            if let Some(at) = seen.get(&id) {
                let parameters = &mut kept[*at].parameters;
                for name in endpoint.parameters {
                    if parameters.len() < MOST_OF_ONE && !parameters.contains(&name) {
                        parameters.push(name);
                    }
                }
                continue;
            }
            seen.insert(id, kept.len());
            kept.push(endpoint);
        }
        self.endpoints = kept;
        self.tidied = self.endpoints.len();
        self.known.clear();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            self.known.entry(endpoint.url.clone()).or_insert(at);
        }
    }
}

/// Names in the query of a URL.
fn query_names(url: &str) -> Vec<String> {
    let Some((_, query)) = url.split_once('?') else {
        return Vec::new();
    };
    let query = query.split('#').next().unwrap_or_default();
    let names = query
        .split('&')
        .map(|part| part.split('=').next().unwrap_or_default());
    names
        .filter(|name| is_name(name))
        .take(MOST_OF_ONE)
        .map(str::to_owned)
        .collect()
}

/// Whether this can be the name of a parameter.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.[]$:".contains(&b))
}
