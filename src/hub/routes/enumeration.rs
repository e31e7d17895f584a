//! Results of enumerations, in the three forms in which they come: paths with what is known of each
//! (heuristics), bare paths (legacy), and what the earlier Python daemon really sends, which is the
//! number of paths, with the paths in the results of its tools.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::access::Identity;
use super::super::error::ApiError;
use super::super::extract::{Caller, Object, Post};
use super::super::state::Hub;
use super::super::store::{Answer, Attempt, Cms, Enumerated, Enumeration, FoundPath};
use super::fields::{Fields, OBJECT_MAX};
use super::results::{LIST_MAX, RawRun, Subject, attempt_message, failed};
use super::{Reply, kept, repeated, to_keep};
use crate::api::{EnumerationAnswer, Personality, WorkKind};

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
    tool: Value,
    paths: Value,
    paths_discovered: Value,
    enumeration_results: Option<Vec<Object<RawTool>>>,
    enumeration_metadata: Option<Object<RawMetadata>>,
    cms_detection: Option<Object<RawCms>>,
    run_id: Value,
    finished_at: Value,
    complete: Value,
    notes: Value,
    calibration: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTool {
    tool: Value,
    paths: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    tool_used: Value,
    wordlist_used: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCms {
    cms: Value,
    cms_name: Value,
    version: Value,
    cms_version: Value,
    confidence: Value,
}

/// The name of a form in the answer.
type Form = &'static str;

/// `POST /daemon/enumeration/`.
pub(super) async fn submit(
    State(hub): State<Arc<Hub>>,
    identity: Identity,
    caller: Caller,
    post: Post,
) -> Reply {
    // Not every path of it names its agent.
    identity.may_work_as(Personality::Suzu)?;
    let (body, key) = post.json::<Body>()?;
    let mut fields = Fields::default();
    let id = fields.record(&body.eggrecord_id)?;
    let called = fields.target(&body.target);
    let raw = body.result.unwrap_or_default().0;
    let (outcome, form) = match failed(&mut fields, &raw.success, &raw.reason, &raw.error) {
        Some(attempt) => (Err(attempt), form(&raw)),
        None => fields.enumeration(raw)?,
    };
    fields.finish()?;
    if let Some(answer) = repeated(&hub, key.as_ref()).await? {
        return kept(answer);
    }
    let subject = Subject::find(&hub, id, called).await?;
    let called = subject.called.clone();
    let kind = WorkKind::SuzuEnum;
    let result = subject.deliver(&hub, &caller, Personality::Suzu, kind, outcome);
    let counting = Arc::clone(&hub);
    let render = Box::new(move |done: &Enumerated| {
        let stored = matches!(done, Enumerated::Stored(_));
        counting.metrics.delivered(WorkKind::SuzuEnum, stored);
        answer(done, &called, form)
    });
    kept(hub.store.submit_enumeration(result, key, render).await?)
}

fn form(raw: &RawResult) -> Form {
    if raw.paths_discovered.is_null() && raw.enumeration_results.is_none() {
        "legacy"
    } else {
        "heuristics"
    }
}

/// Paths, each once, with what is known of it.
#[derive(Default)]
struct Paths {
    found: BTreeMap<String, FoundPath>,
    /// How many were sent.
    sent: usize,
}

impl Fields {
    fn enumeration(
        &mut self,
        raw: RawResult,
    ) -> Result<(Result<Enumeration, Attempt>, Form), ApiError> {
        let form = form(&raw);
        if form == "legacy" && raw.paths.is_null() {
            return Err(ApiError::bad_request("No paths in result"));
        }
        let run = RawRun {
            run_id: raw.run_id,
            finished_at: raw.finished_at,
            complete: raw.complete,
            notes: raw.notes,
            calibration: raw.calibration,
        };
        let facts = run.read(self, || Uuid::now_v7().to_string());
        let tools = raw.enumeration_results.unwrap_or_default();
        let mut paths = Paths::default();
        let counted = match &raw.paths_discovered {
            Value::Null => false,
            Value::Number(_) => {
                self.count("result.paths_discovered", &raw.paths_discovered, i64::MAX);
                true
            }
            list => {
                self.paths("result.paths_discovered", list, &mut paths);
                false
            }
        };
        if counted || paths.found.is_empty() {
            for (i, Object(tool)) in tools.iter().enumerate() {
                let field = format!("result.enumeration_results[{i}].paths");
                self.paths(&field, &tool.paths, &mut paths);
            }
        }
        if paths.found.is_empty() {
            self.paths("result.paths", &raw.paths, &mut paths);
        }
        if counted && tools.is_empty() && paths.sent == 0 {
            let attempt = Attempt {
                reason: "none of its tools gave a result".to_owned(),
            };
            return Ok((Err(attempt), form));
        }
        let first = tools.first().map(|Object(tool)| &tool.tool);
        let metadata = raw.enumeration_metadata.unwrap_or_default().0;
        let used = "result.enumeration_metadata.tool_used";
        let tool = self
            .text(used, &metadata.tool_used)
            .or_else(|| self.text("result.enumeration_results[0].tool", first?))
            .or_else(|| self.text("result.tool", &raw.tool));
        let list = "result.enumeration_metadata.wordlist_used";
        let wordlist = self.text(list, &metadata.wordlist_used);
        let enumeration = Enumeration {
            paths: paths.found.into_values().collect(),
            cms: raw.cms_detection.and_then(|Object(cms)| self.cms(&cms)),
            tool: tool.unwrap_or_else(|| "unknown".to_owned()),
            wordlist: wordlist.unwrap_or_else(|| "default".to_owned()),
            facts,
        };
        Ok((Ok(enumeration), form))
    }

    /// Adds the paths of a list of objects or texts.
    fn paths(&mut self, field: &str, value: &Value, into: &mut Paths) {
        let list = match value {
            Value::Null => return,
            Value::Array(list) => list,
            _ => return self.wrong(field, "type", "must be a list"),
        };
        into.sent += list.len();
        if into.sent > LIST_MAX {
            let message = format!("must have {LIST_MAX} entries at most");
            return self.wrong(field, "range", &message);
        }
        for (i, item) in list.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let found = match item {
                Value::Object(item) => self.path(&field, item),
                other => self.text(&field, other).map(|path| FoundPath {
                    path,
                    ..FoundPath::default()
                }),
            };
            if let Some(found) = found {
                into.found.entry(found.path.clone()).or_insert(found);
            }
        }
    }

    /// One path; without a name it is passed over, as the earlier server does.
    fn path(&mut self, field: &str, item: &Map<String, Value>) -> Option<FoundPath> {
        let of = |name: &str| item.get(name).unwrap_or(&Value::Null);
        let path = |name: &str| format!("{field}.{name}");
        let factors = of("priority_factors");
        let sound = matches!(factors, Value::Null | Value::Array(_) | Value::Object(_));
        if !sound || factors.to_string().len() > OBJECT_MAX {
            self.wrong(
                path("priority_factors"),
                "value",
                "must be a list or an object of up to 65536 bytes",
            );
        }
        let time = of("response_time");
        let found = FoundPath {
            path: self.text(&path("path"), of("path")).unwrap_or_default(),
            // The earlier server takes nothing and zero for the same.
            status: self
                .status(&path("status"), of("status"))
                .filter(|s| *s > 0),
            size: self.count(&path("size"), of("size"), i64::MAX),
            content_type: self.text(&path("content_type"), of("content_type")),
            response_time_ms: Some(self.number(&path("response_time"), time))
                .filter(|_| !time.is_null()),
            priority_score: self.share(&path("priority_score"), of("priority_score")),
            priority_factors: Some(factors.clone()).filter(|f| !f.is_null()),
        };
        Some(found).filter(|f| !f.path.is_empty())
    }

    fn cms(&mut self, raw: &RawCms) -> Option<Cms> {
        let field = |name: &str| format!("result.cms_detection.{name}");
        let name = self
            .text(&field("cms"), &raw.cms)
            .or_else(|| self.text(&field("cms_name"), &raw.cms_name))?;
        let version = self
            .text(&field("version"), &raw.version)
            .or_else(|| self.text(&field("cms_version"), &raw.cms_version));
        Some(Cms {
            name,
            version,
            confidence: self.share(&field("confidence"), &raw.confidence),
        })
    }
}

fn answer(done: &Enumerated, target: &str, form: Form) -> Answer {
    let (message, paths_inserted) = match done {
        Enumerated::Stored(paths) => (format!("Enumeration result submitted for {target}"), *paths),
        Enumerated::Attempt => (attempt_message(target), 0),
    };
    let body = EnumerationAnswer {
        success: true,
        message,
        paths_inserted,
        format: form.to_owned(),
    };
    to_keep(StatusCode::OK, &body)
}
