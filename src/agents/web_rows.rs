//! What a spider found, as the hub takes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::api::{CookieSigns, WebSigns};
use crate::engines::spider::Kind;
use crate::engines::spider::crawl::PageReport;

/// As many requests as the hub takes in one result, and as many of each other thing.
const MOST: usize = 10_000;

/// Bytes of rows that go into one result: the hub takes 32 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of rows that are kept of a crawl: those of some 40,000 common pages, as much as the spool of an
/// agent holds.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Names of one page's scripts that the hub takes.
const MOST_NAMES: usize = 500;

/// The rows of a crawl, page by page. They are kept as the text that is sent: that takes a fraction of the
/// room, and is written to a checkpoint as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rows {
    pages: Vec<PageRows>,
    /// Bytes of all of them.
    bytes: usize,
    /// Pages that there was no room for.
    left_out: u64,
}

/// The rows of one page.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PageRows {
    request: Box<RawValue>,
    page: Box<RawValue>,
    forms: Vec<Box<RawValue>>,
    endpoints: Vec<Box<RawValue>>,
    secrets: usize,
}

/// The lists of one result.
#[derive(Debug, Default, Serialize)]
struct Lists<'a> {
    request_metadata: Vec<&'a RawValue>,
    pages: Vec<&'a RawValue>,
    forms: Vec<&'a RawValue>,
    endpoints: Vec<&'a RawValue>,
}

/// A result of a crawl that others follow.
#[derive(Debug, Serialize)]
struct Part<'a> {
    eggrecord_id: Uuid,
    target: &'a str,
    result: PartResult<'a>,
}

#[derive(Debug, Serialize)]
struct PartResult<'a> {
    success: bool,
    partial: bool,
    run_id: Uuid,
    finished_at: DateTime<Utc>,
    request_metadata: &'a [&'a RawValue],
    pages: &'a [&'a RawValue],
    forms: &'a [&'a RawValue],
    endpoints: &'a [&'a RawValue],
}

/// Whose rows they are.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The record.
    pub record: Uuid,
    /// Its name.
    pub target: &'a str,
    /// The run.
    pub id: Uuid,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl Rows {
    /// One page more.
    pub fn add(&mut self, page: &PageReport) {
        // What is built here always has a JSON form.
        let Some(rows) = PageRows::of(page) else {
            return;
        };
        let bytes = rows.bytes();
        if self.bytes + bytes > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.pages.push(rows);
    }

    /// Pages.
    pub fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Forms.
    pub fn forms(&self) -> usize {
        self.pages.iter().map(|page| page.forms.len()).sum()
    }

    /// Endpoints.
    pub fn endpoints(&self) -> usize {
        self.pages.iter().map(|page| page.endpoints.len()).sum()
    }

    /// Secrets.
    pub fn secrets(&self) -> usize {
        self.pages.iter().map(|page| page.secrets).sum()
    }

    /// What there was no room for, in words.
    pub fn note(&self) -> Option<String> {
        let left_out = self.left_out;
        (left_out > 0).then(|| {
            let most = MOST_BYTES / (1024 * 1024);
            format!("{left_out} pages left out of the result: it has {most} MiB")
        })
    }

    /// The results before the last one, whole, and the lists of the last one: all of them, or, where they
    /// are too long for one, none, so that it cannot be taken for the result of a crawl that was not
    /// answered at its end.
    pub fn into_parts(self, run: &Run<'_>) -> (Vec<Box<RawValue>>, Value) {
        let mut groups = self.groups();
        let last = match groups.len() {
            1 => groups.pop().unwrap_or_default(),
            _ => Lists::default(),
        };
        let parts = groups.iter().filter_map(|lists| lists.part(run));
        let last = serde_json::to_value(&last).unwrap_or_default();
        (parts.collect(), last)
    }

    /// Whole pages, as many as go into one result.
    fn groups(&self) -> Vec<Lists<'_>> {
        let mut groups = Vec::new();
        let mut lists = Lists::default();
        let (mut bytes, mut secrets) = (0, 0);
        for page in &self.pages {
            let full = lists.pages.len() >= MOST
                || lists.forms.len() + page.forms.len() > MOST
                || lists.endpoints.len() + page.endpoints.len() > MOST
                || secrets + page.secrets > MOST
                || bytes + page.bytes() > PART_BYTES;
            if full && !lists.pages.is_empty() {
                groups.push(std::mem::take(&mut lists));
                (bytes, secrets) = (0, 0);
            }
            bytes += page.bytes();
            secrets += page.secrets;
            lists.request_metadata.push(&page.request);
            lists.pages.push(&page.page);
            lists.forms.extend(page.forms.iter().map(AsRef::as_ref));
            let endpoints = page.endpoints.iter();
            lists.endpoints.extend(endpoints.map(AsRef::as_ref));
        }
        groups.push(lists);
        groups
    }
}

impl Lists<'_> {
    fn part(&self, run: &Run<'_>) -> Option<Box<RawValue>> {
        let part = Part {
            eggrecord_id: run.record,
            target: run.target,
            result: PartResult {
                success: true,
                partial: true,
                run_id: run.id,
                finished_at: run.finished_at,
                request_metadata: &self.request_metadata,
                pages: &self.pages,
                forms: &self.forms,
                endpoints: &self.endpoints,
            },
        };
        to_raw_value(&part).ok()
    }
}

impl PageRows {
    fn of(page: &PageReport) -> Option<Self> {
        let forms = page.forms.iter().take(MOST).map(|form| {
            let inputs: Vec<Value> = form
                .fields
                .iter()
                .map(|field| json!({"name": field.name, "type": field.kind, "value": field.value}))
                .collect();
            to_raw_value(&json!({
                "page": page.url,
                "method": form.method,
                "action": form.action,
                "enctype": form.enctype,
                "inputs": inputs,
            }))
        });
        let forms = forms.collect::<Result<Vec<_>, _>>().ok()?;
        let endpoints = page.endpoints.iter().map(|endpoint| {
            json!({
                "url": endpoint.url,
                "method": endpoint.method.as_deref().unwrap_or_default(),
                "parameters": endpoint.parameters,
                "source": page.url,
                "kind": endpoint.kind,
            })
        });
        let operations = page.operations.iter().map(|operation| {
            json!({
                "url": operation.path,
                "method": operation.method,
                "parameters": operation.parameters,
                "source": page.url,
                "kind": "openapi",
            })
        });
        let endpoints = endpoints.chain(operations).take(MOST);
        let endpoints = endpoints.map(|endpoint| to_raw_value(&endpoint));
        let row = json!({
            "url": page.url,
            "status": page.status,
            "content_type": page.content_type,
            "length": page.length,
            "title": page.title,
            "content_hash": Some(&page.content_hash).filter(|hash| !hash.is_empty()),
            "depth": page.depth,
            "truncated": page.truncated,
        });
        Some(Self {
            request: to_raw_value(&request(page)).ok()?,
            page: to_raw_value(&row).ok()?,
            endpoints: endpoints.collect::<Result<Vec<_>, _>>().ok()?,
            forms,
            secrets: page.secrets.len(),
        })
    }

    fn bytes(&self) -> usize {
        let lists = self.forms.iter().chain(&self.endpoints);
        let all = lists.chain([&self.request, &self.page]);
        all.map(|row| row.get().len()).sum()
    }
}

/// What headers do not tell, or what the hub does not keep of them.
fn signs(page: &PageReport) -> WebSigns {
    let facts = &page.facts;
    let about_csp = |header: &str| header == "content-security-policy";
    let said = page.headers.iter().any(|(name, _)| about_csp(name));
    let missed = facts.headers.iter().any(|f| about_csp(&f.header));
    let cookies = facts.cookies.iter().map(|cookie| CookieSigns {
        name: cookie.name.clone(),
        secure: cookie.secure,
        http_only: cookie.http_only,
        same_site: cookie.same_site.clone(),
        domain: cookie.domain.clone(),
        path: cookie.path.clone(),
        persistent: cookie.persistent,
    });
    WebSigns {
        cookies: cookies.collect(),
        // The judge misses no policy where the page has one.
        meta_csp: page.kind == Kind::Html && !said && !missed,
        mixed_content: facts.mixed_content.clone(),
        directory_listing: facts.directory_listing.clone(),
        error_page: facts.error_page.clone(),
        default_page: facts.default_page.clone(),
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
        "signs": signs(page),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: usize, header: usize) -> PageReport {
        PageReport {
            url: format!("http://a.test/{number}"),
            status: 200,
            headers: vec![("x".to_owned(), "y".repeat(header))],
            ..PageReport::default()
        }
    }

    fn run(target: &str) -> Run<'_> {
        Run {
            record: Uuid::nil(),
            target,
            id: Uuid::nil(),
            finished_at: Utc::now(),
        }
    }

    fn read(part: &RawValue) -> Value {
        serde_json::from_str(part.get()).unwrap()
    }

    #[test]
    fn a_small_crawl_is_one_result() {
        let mut rows = Rows::default();
        (0..10).for_each(|number| rows.add(&page(number, 10)));
        // As they come back from disk.
        let text = serde_json::to_vec(&rows).unwrap();
        let rows: Rows = serde_json::from_slice(&text).unwrap();
        let (parts, last) = rows.into_parts(&run("a.test"));
        assert!(parts.is_empty());
        assert_eq!(last["pages"].as_array().unwrap().len(), 10);
        assert_eq!(last["request_metadata"][3]["target_url"], "http://a.test/3");
    }

    /// None has more than the hub takes, each page is in one, and the last one says only that it is.
    #[test]
    fn a_large_crawl_is_several() {
        let mut rows = Rows::default();
        (0..25_000).for_each(|number| rows.add(&page(number, 10)));
        let (parts, last) = rows.into_parts(&run("a.test"));
        let parts: Vec<Value> = parts.iter().map(|part| read(part)).collect();
        let counts: Vec<usize> = parts
            .iter()
            .map(|part| part["result"]["pages"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), 25_000);
        assert!(counts.iter().all(|count| *count <= MOST), "{counts:?}");
        assert!(parts.iter().all(|part| part["result"]["partial"] == true));
        assert_eq!(
            last,
            json!({"request_metadata": [], "pages": [], "forms": [], "endpoints": []})
        );
        assert_eq!(parts[0]["target"], "a.test");
    }

    #[test]
    fn no_part_is_larger_than_the_hub_takes() {
        let mut rows = Rows::default();
        (0..4000).for_each(|number| rows.add(&page(number, 10_000)));
        let (parts, _) = rows.into_parts(&run("a.test"));
        assert!(parts.len() > 1);
        assert!(
            parts
                .iter()
                .all(|part| part.get().len() < PART_BYTES + 64 * 1024)
        );
    }

    #[test]
    fn memory_has_an_end() {
        let mut rows = Rows::default();
        let page = page(1, 100_000);
        (0..1000).for_each(|_| rows.add(&page));
        assert!(rows.bytes <= MOST_BYTES && rows.pages() < 1000);
        assert!(rows.note().unwrap().contains("left out"));
    }
}
