//! Results of spiders. One run may come in several of them: they have the same `run_id`, and only the last
//! says `complete`. Those before it may say that they are `partial`: then the work goes on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Caller, Object, Post};
use super::super::state::Hub;
use super::super::store::{Answer, Attempt, Request, Spider, Spidered};
use super::fields::{Fields, OBJECT_MAX, tidy};
use super::results::{LIST_MAX, RawRun, Subject, attempt_message, failed};
use super::secrets::{Redactor, Secret};
use super::spider_web::{Raw, RawEndpoint, RawForm, RawPage};
use super::{Reply, kept, repeated, to_keep};
use crate::api::{Personality, SpiderAnswer, Technology, WebSigns, WorkKind};

/// Names that are kept of what one page's scripts show.
const NAMES_MAX: usize = 500;
/// Cookies, and links to what is loaded in clear, that are kept of one answer.
const SIGNS_MAX: usize = 50;
/// Longest URL in them.
const URL_MAX: usize = 2000;
/// Longest name of a technology, and of anything in signs.
const NAME_MAX: usize = 200;

/// The body as sent. What the earlier spider sends besides (texts of scripts) is skipped while it is
/// read.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    eggrecord_id: Value,
    #[serde(default)]
    target: Value,
    #[serde(default)]
    result: Option<Object<RawResult>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawResult {
    success: Value,
    reason: Value,
    error: Value,
    run_id: Value,
    finished_at: Value,
    complete: Value,
    partial: Value,
    notes: Value,
    calibration: Value,
    request_metadata: Option<Vec<Object<RawEntry>>>,
    technologies: Option<Vec<Value>>,
    pages: Raw<RawPage>,
    forms: Raw<RawForm>,
    endpoints: Raw<RawEndpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEntry {
    target_url: Value,
    request_method: Value,
    request_headers: Value,
    response_status: Value,
    response_headers: Value,
    response_time_ms: Value,
    user_agent: Value,
    javascript_analysis: Option<Object<RawScripts>>,
    signs: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawScripts {
    secrets_found: Option<Vec<Value>>,
    api_endpoints: Option<Vec<Value>>,
    parameters_extracted: Option<Vec<Value>>,
    external_js_files: Option<Vec<Object<RawScriptFile>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawScriptFile {
    url: Value,
}

/// `POST /daemon/kumo/spider/`.
pub(super) async fn submit(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    // Not every path of it names its agent.
    identity.may_work_as(Personality::Kumo)?;
    let hash = post.sha256();
    let (body, key) = post.json::<Body>()?;
    let mut fields = Fields::default();
    let id = fields.record(&body.eggrecord_id)?;
    let called = fields.target(&body.target);
    // What is wrong with the body is said before what is wrong with the record.
    let subject = Subject::find(&hub, id, called).await;
    let page = subject.as_ref().ok().map(Subject::key);
    let raw = body.result.unwrap_or_default().0;
    let outcome = match failed(&mut fields, &raw.success, &raw.reason, &raw.error) {
        Some(attempt) => Err(attempt),
        None => fields.spider(raw, page, &hash)?,
    };
    fields.finish()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    let subject = subject?;
    let called = subject.called.clone();
    let kind = WorkKind::KumoSpider;
    let result = subject.deliver(&hub, &caller, Personality::Kumo, kind, outcome);
    let counting = Arc::clone(&hub);
    let render = Box::new(move |done: &Spidered| {
        let stored = matches!(done, Spidered::Stored { .. });
        counting.metrics.delivered(WorkKind::KumoSpider, stored);
        answer(done, &called)
    });
    kept(hub.store.submit_spider(result, key, render).await?)
}

impl Fields {
    /// A result, or an attempt when nothing answered.
    fn spider(
        &mut self,
        raw: RawResult,
        target: Option<&str>,
        hash: &str,
    ) -> Result<Result<Spider, Attempt>, ApiError> {
        let entries = raw.request_metadata.unwrap_or_default();
        if entries.is_empty()
            && raw.pages.is_none()
            && raw.forms.is_none()
            && raw.endpoints.is_none()
        {
            return Err(ApiError::bad_request("No request_metadata in result"));
        }
        if entries.len() > LIST_MAX {
            let message = format!("must have {LIST_MAX} entries at most");
            return Err(ApiError::field("result.request_metadata", "range", message));
        }
        let run = RawRun {
            run_id: raw.run_id,
            finished_at: raw.finished_at,
            complete: raw.complete,
            notes: raw.notes,
            calibration: raw.calibration,
        };
        let secrets = self.secrets(&entries)?;
        let redactor = Redactor::new(secrets.iter().flatten());
        let mut spider = Spider {
            facts: run.read(self, || hash.to_owned()),
            partial: self.flag("result.partial", &raw.partial) == Some(true),
            requests: Vec::with_capacity(entries.len()),
            secrets: secrets.iter().map(Vec::len).sum(),
            findings: Vec::new(),
            technologies: raw.technologies.map(|list| self.technologies(&list)),
            pages: self.pages(raw.pages, &redactor)?,
            forms: self.forms(raw.forms, &redactor)?,
            endpoints: self.endpoints(raw.endpoints, &redactor)?,
        };
        for (i, (Object(entry), secrets)) in entries.into_iter().zip(&secrets).enumerate() {
            let field = format!("result.request_metadata[{i}]");
            let request = self.entry(&field, entry, target, secrets, &redactor);
            let page = &request.target_url;
            spider
                .findings
                .extend(secrets.iter().map(|s| s.finding(page, &redactor)));
            spider.requests.push(request);
        }
        let silent = spider.requests.iter().all(|r| r.response_status == 0);
        let mut pages = spider.pages.iter().flatten();
        // A later result of a run may have no requests of its own.
        if silent
            && !spider.partial
            && !spider.requests.is_empty()
            && pages.all(|page| page.status == 0)
        {
            return Ok(Err(Attempt {
                reason: "none of its requests was answered".to_owned(),
            }));
        }
        Ok(Ok(spider))
    }

    /// The secrets of each entry.
    fn secrets(&mut self, entries: &[Object<RawEntry>]) -> Result<Vec<Vec<Secret>>, ApiError> {
        let lists = entries.iter().map(|Object(entry)| {
            let scripts = entry.javascript_analysis.as_ref();
            let list = scripts.and_then(|Object(scripts)| scripts.secrets_found.as_deref());
            list.unwrap_or_default()
        });
        if lists.clone().map(<[Value]>::len).sum::<usize>() > LIST_MAX {
            let message = format!("must have {LIST_MAX} secrets at most");
            return Err(ApiError::field("result.request_metadata", "range", message));
        }
        let mut all = Vec::with_capacity(entries.len());
        for (i, list) in lists.enumerate() {
            let mut secrets = Vec::with_capacity(list.len());
            for (j, item) in list.iter().enumerate() {
                let field =
                    format!("result.request_metadata[{i}].javascript_analysis.secrets_found[{j}]");
                secrets.extend(Secret::read(self, &field, item));
            }
            all.push(secrets);
        }
        Ok(all)
    }

    fn entry(
        &mut self,
        field: &str,
        entry: RawEntry,
        target: Option<&str>,
        secrets: &[Secret],
        redactor: &Redactor,
    ) -> Request {
        let path = |name: &str| format!("{field}.{name}");
        let scripts = entry.javascript_analysis.unwrap_or_default().0;
        let url = self.text(&path("target_url"), &entry.target_url);
        let url = url.or_else(|| target.map(str::to_owned));
        let page = redactor.text(url.unwrap_or_else(|| "unknown".to_owned()));
        let method = self.text(&path("request_method"), &entry.request_method);
        let method = method.unwrap_or_else(|| "GET".to_owned());
        if method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
            self.wrong(path("request_method"), "value", "must be an HTTP method");
        }
        let mut headers = |name: &str, value: &Value| self.headers(&path(name), value, redactor);
        let request_headers = headers("request_headers", &entry.request_headers);
        let response_headers = headers("response_headers", &entry.response_headers);
        let status = self.status(&path("response_status"), &entry.response_status);
        let user_agent = self.text(&path("user_agent"), &entry.user_agent);
        let endpoints = scripts.api_endpoints.as_ref().map_or(0, Vec::len);
        Request {
            method,
            request_headers,
            response_status: status.unwrap_or(200),
            response_headers,
            response_time_ms: self.number(&path("response_time_ms"), &entry.response_time_ms),
            user_agent: user_agent.unwrap_or_else(|| "Kumo/1.0".to_owned()),
            javascript: shown(&scripts, secrets, redactor),
            signs: self.signs(&path("signs"), &entry.signs, redactor),
            endpoints,
            target_url: page,
        }
    }

    fn headers(&mut self, field: &str, value: &Value, redactor: &Redactor) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Object(headers) if value.to_string().len() <= OBJECT_MAX => {
                Some(redactor.headers(headers).into())
            }
            _ => {
                self.wrong(field, "type", "must be an object of up to 65536 bytes");
                None
            }
        }
    }

    /// What the spider saw; what is not as it should be is not kept.
    fn signs(&mut self, field: &str, value: &Value, redactor: &Redactor) -> Option<WebSigns> {
        if value.is_null() {
            return None;
        }
        let read = WebSigns::deserialize(value);
        let Ok(mut signs) = read.map_err(drop) else {
            self.wrong(field, "type", "must be what a spider saw, as an object");
            return None;
        };
        signs.cookies.truncate(SIGNS_MAX);
        signs.mixed_content.truncate(SIGNS_MAX);
        for url in &mut signs.mixed_content {
            *url = short(&redactor.text(tidy(url)), URL_MAX);
        }
        for cookie in &mut signs.cookies {
            cookie.name = short(&redactor.text(tidy(&cookie.name)), NAME_MAX);
            for text in [&mut cookie.same_site, &mut cookie.domain, &mut cookie.path] {
                *text = text.take().map(|text| short(&tidy(&text), NAME_MAX));
            }
        }
        let whose = [
            &mut signs.directory_listing,
            &mut signs.error_page,
            &mut signs.default_page,
        ];
        for text in whose {
            *text = text.take().map(|text| short(&tidy(&text), NAME_MAX));
        }
        Some(signs)
    }

    /// Objects with a name, or names; of one that comes twice, the first.
    fn technologies(&mut self, list: &[Value]) -> Vec<Technology> {
        if list.len() > NAMES_MAX {
            self.wrong(
                "result.technologies",
                "range",
                "must have 500 entries at most",
            );
            return Vec::new();
        }
        let mut technologies: Vec<Technology> = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            let field = format!("result.technologies[{i}]");
            let of = |name: &str| item.get(name).unwrap_or(&Value::Null);
            let name = if item.is_object() { of("name") } else { item };
            let Some(name) = self.text(&field, name).filter(|n| n.len() <= NAME_MAX) else {
                self.wrong(field, "value", "must have a name of up to 200 bytes");
                continue;
            };
            let mut text = |name: &str| {
                let text = self.text(&format!("{field}.{name}"), of(name));
                text.unwrap_or_default()
            };
            let technology = Technology {
                version: text("version"),
                category: text("category"),
                name,
            };
            if technologies.iter().all(|t| t.name != technology.name) {
                technologies.push(technology);
            }
        }
        technologies
    }
}

fn short(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// What is kept of a page's scripts.
fn shown(scripts: &RawScripts, secrets: &[Secret], redactor: &Redactor) -> Option<Value> {
    let text = |value: &Value| value.as_str().map(|text| redactor.text(tidy(text)));
    let names = |list: &Option<Vec<Value>>, key: &str| -> Vec<String> {
        let list = list.as_deref().unwrap_or_default();
        let names = list.iter().filter_map(|v| text(v.get(key).unwrap_or(v)));
        names.take(NAMES_MAX).collect()
    };
    let files = scripts.external_js_files.as_deref().unwrap_or_default();
    let files: Vec<_> = files
        .iter()
        .filter_map(|Object(file)| text(&file.url))
        .take(NAMES_MAX)
        .collect();
    let members = [
        ("external_js_files", json!(files)),
        ("api_endpoints", json!(names(&scripts.api_endpoints, "url"))),
        (
            "parameters_extracted",
            json!(names(&scripts.parameters_extracted, "name")),
        ),
        ("secrets_found", secrets.iter().map(Secret::shown).collect()),
    ];
    let members: Map<_, _> = members
        .into_iter()
        .filter(|(_, list)| list.as_array().is_some_and(|l| !l.is_empty()))
        .map(|(name, list)| (name.to_owned(), list))
        .collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

fn answer(done: &Spidered, target: &str) -> Answer {
    let (message, requests_inserted, secrets_found) = match done {
        Spidered::Stored { requests, secrets } => (
            format!("Spider result submitted for {target}"),
            *requests,
            *secrets,
        ),
        Spidered::Attempt => (attempt_message(target), 0, 0),
    };
    let body = SpiderAnswer {
        success: true,
        message,
        requests_inserted,
        secrets_found,
    };
    to_keep(StatusCode::OK, &body)
}
