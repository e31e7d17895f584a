//! What a spider found, as the hub takes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::engines::spider::crawl::PageReport;

/// As many requests as the hub takes in one result, and as many of each other thing.
const MOST: usize = 10_000;

/// Names of one page's scripts that the hub takes.
const MOST_NAMES: usize = 500;

/// The lists of a spider's result.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rows {
    requests: Vec<Value>,
    pages: Vec<Value>,
    forms: Vec<Value>,
    endpoints: Vec<Value>,
    secrets: usize,
    /// What there was no room for.
    left_out: u64,
}

impl Rows {
    /// One page more.
    pub fn add(&mut self, page: PageReport) {
        let room = self.requests.len() < MOST;
        self.left_out += u64::from(!room);
        if !room {
            return;
        }
        self.secrets += page.secrets.len();
        for form in &page.forms {
            let inputs: Vec<Value> = form
                .fields
                .iter()
                .map(|field| json!({"name": field.name, "type": field.kind, "value": field.value}))
                .collect();
            let row = json!({
                "page": page.url,
                "method": form.method,
                "action": form.action,
                "enctype": form.enctype,
                "inputs": inputs,
            });
            push(&mut self.forms, row, &mut self.left_out);
        }
        for endpoint in &page.endpoints {
            let row = json!({
                "url": endpoint.url,
                "method": endpoint.method.as_deref().unwrap_or_default(),
                "parameters": endpoint.parameters,
                "source": page.url,
                "kind": endpoint.kind,
            });
            push(&mut self.endpoints, row, &mut self.left_out);
        }
        for operation in &page.operations {
            let row = json!({
                "url": operation.path,
                "method": operation.method,
                "parameters": operation.parameters,
                "source": page.url,
                "kind": "openapi",
            });
            push(&mut self.endpoints, row, &mut self.left_out);
        }
        self.pages.push(json!({
            "url": page.url,
            "status": page.status,
            "content_type": page.content_type,
            "length": page.length,
            "title": page.title,
            "content_hash": Some(&page.content_hash).filter(|hash| !hash.is_empty()),
            "depth": page.depth,
            "truncated": page.truncated,
        }));
        self.requests.push(request(&page));
    }

    /// Pages.
    pub fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Forms.
    pub fn forms(&self) -> usize {
        self.forms.len()
    }

    /// Endpoints.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Secrets.
    pub fn secrets(&self) -> usize {
        self.secrets
    }

    /// What there was no room for, in words.
    pub fn note(&self) -> Option<String> {
        let left_out = self.left_out;
        (left_out > 0).then(|| format!("{left_out} rows left out: the hub takes {MOST} of a kind"))
    }

    /// The lists, as fields of the result.
    pub fn into_result(self) -> Value {
        json!({
            "request_metadata": self.requests,
            "pages": self.pages,
            "forms": self.forms,
            "endpoints": self.endpoints,
        })
    }
}

fn push(list: &mut Vec<Value>, row: Value, left_out: &mut u64) {
    match list.len() < MOST {
        true => list.push(row),
        false => *left_out += 1,
    }
}

/// A row of `request_metadata`.
fn request(page: &PageReport) -> Value {
    let mut headers = Map::new();
    for (name, value) in &page.headers {
        match headers.get_mut(name) {
            // As RFC 9110 §5.3 joins them.
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(value);
            }
            _ => drop(headers.insert(name.clone(), json!(value))),
        }
    }
    let secrets = page.secrets.iter().map(|secret| {
        json!({
            "type": secret.kind,
            "value": secret.redacted,
            "sha256": secret.sha256,
            "severity": secret.severity,
            "context": format!("line {}", secret.line),
        })
    });
    let endpoints = page.endpoints.iter().map(|endpoint| &endpoint.url);
    json!({
        "target_url": page.url,
        "request_method": "GET",
        "response_status": page.status,
        "response_headers": headers,
        "response_time_ms": page.response_time_ms,
        "user_agent": concat!("recon-kumo/", env!("CARGO_PKG_VERSION")),
        "error": page.error,
        "javascript_analysis": {
            "secrets_found": secrets.collect::<Vec<_>>(),
            "api_endpoints": endpoints.take(MOST_NAMES).collect::<Vec<_>>(),
            "parameters_extracted": page.parameters.iter().take(MOST_NAMES).collect::<Vec<_>>(),
            "external_js_files": page
                .scripts
                .iter()
                .take(MOST_NAMES)
                .map(|url| json!({"url": url}))
                .collect::<Vec<_>>(),
        },
    })
}
