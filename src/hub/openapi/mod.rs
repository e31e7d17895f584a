//! The routes and their documentation (OpenAPI 3.1), in one place.
//!
//! A route gets into the router only by [`Routes::route`], which takes its [`Doc`] first: so none is
//! without, and the document says nothing of a route that there is not. The shapes of bodies and
//! answers are those of the wire types.

mod document;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use tower_http::timeout::TimeoutLayer;

use super::state::Hub;
pub(super) use document::document;

/// A request takes no longer than this.
const REQUEST_TIME: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";

/// A schema that the generator writes.
type Shape = fn(&mut SchemaGenerator) -> schemars::Schema;

/// What an operation answers with.
#[derive(Clone)]
enum Content {
    /// JSON of a wire type.
    Json(Shape),
    /// Any JSON object.
    Object,
    /// Something else, of this type.
    Other(&'static str),
}

/// A parameter after `?`.
#[derive(Clone)]
struct Param {
    name: &'static str,
    schema: Value,
    what: &'static str,
}

/// What there is to know about one operation.
#[derive(Clone)]
pub(super) struct Doc {
    method: &'static str,
    path: &'static str,
    what: &'static str,
    personalities: &'static [&'static str],
    params: Vec<Param>,
    body: Option<(&'static str, Shape)>,
    body_max: Option<usize>,
    unhurried: bool,
    no_head: bool,
    answers: Vec<(StatusCode, Content)>,
}

impl Doc {
    fn new(method: &'static str, path: &'static str, what: &'static str) -> Self {
        Self {
            method,
            path,
            what,
            personalities: &[],
            params: Vec::new(),
            body: None,
            body_max: None,
            unhurried: false,
            no_head: false,
            answers: Vec::new(),
        }
    }

    /// A GET.
    pub(super) fn get(path: &'static str, what: &'static str) -> Self {
        Self::new("get", path, what)
    }

    /// A POST.
    pub(super) fn post(path: &'static str, what: &'static str) -> Self {
        Self::new("post", path, what)
    }

    /// A PATCH.
    pub(super) fn patch(path: &'static str, what: &'static str) -> Self {
        Self::new("patch", path, what)
    }

    /// A DELETE.
    pub(super) fn delete(path: &'static str, what: &'static str) -> Self {
        Self::new("delete", path, what)
    }

    /// The path is for these personalities only.
    pub(super) fn personalities(mut self, names: &'static [&'static str]) -> Self {
        self.personalities = names;
        self
    }

    /// A parameter that is text.
    pub(super) fn text(self, name: &'static str, what: &'static str) -> Self {
        self.param(name, json!({ "type": "string" }), what)
    }

    /// A parameter that is true or false.
    pub(super) fn flag(self, name: &'static str, what: &'static str) -> Self {
        self.param(name, json!({ "type": "boolean" }), what)
    }

    /// A parameter that is one of these words.
    pub(super) fn word(
        self,
        name: &'static str,
        words: &[&'static str],
        what: &'static str,
    ) -> Self {
        self.param(name, json!({ "type": "string", "enum": words }), what)
    }

    /// A parameter that is an integer within these bounds.
    pub(super) fn integer(
        self,
        name: &'static str,
        range: std::ops::RangeInclusive<i64>,
        what: &'static str,
    ) -> Self {
        let schema = json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
        self.param(name, schema, what)
    }

    /// The parameters of a list in pages.
    pub(super) fn pages(self) -> Self {
        let most =
            "At most so many; 100 if not given. A page may be shorter although there are more.";
        self.integer("limit", 1..=1000, most).param(
            "cursor",
            json!({ "type": "string", "format": "uuid" }),
            "next_cursor of the page before.",
        )
    }

    fn param(mut self, name: &'static str, schema: Value, what: &'static str) -> Self {
        self.params.push(Param { name, schema, what });
        self
    }

    /// Its body.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some((JSON, |generator| generator.subschema_for::<T>()));
        self
    }

    /// Its body is a JSON object that has no type of its own.
    pub(super) fn body_object(mut self) -> Self {
        self.body = Some((JSON, |_| schemars::json_schema!({ "type": "object" })));
        self
    }

    /// Its body is text of this type.
    pub(super) fn body_text(mut self, content_type: &'static str) -> Self {
        let text: Shape = |_| schemars::json_schema!({ "type": "string" });
        self.body = Some((content_type, text));
        self
    }

    /// A body may be so long.
    pub(super) fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = Some(bytes);
        self
    }

    /// It may take longer than other requests.
    pub(super) fn unhurried(mut self) -> Self {
        self.unhurried = true;
        self
    }

    /// Asking for it does something, so that HEAD, which only looks, is refused.
    pub(super) fn no_head(mut self) -> Self {
        self.no_head = true;
        self
    }

    /// What it answers with 200.
    pub(super) fn answer<T: JsonSchema>(self) -> Self {
        self.answers_with::<T>(StatusCode::OK)
    }

    /// What it answers with this status.
    pub(super) fn answers_with<T: JsonSchema>(mut self, status: StatusCode) -> Self {
        let shape: Shape = |generator| generator.subschema_for::<T>();
        self.answers.push((status, Content::Json(shape)));
        self
    }

    /// It answers 200 with a JSON object that has no type of its own.
    pub(super) fn object(mut self) -> Self {
        self.answers.push((StatusCode::OK, Content::Object));
        self
    }

    /// The order of a list that is the newest first unless asked otherwise.
    pub(super) fn by_time(self) -> Self {
        self.word("sort", &["-created", "created"], "In this order.")
    }

    /// The parameters of a list that can be had as a whole, and what it then answers.
    pub(super) fn export(self) -> Self {
        let formats = ["json", "jsonl", "csv"];
        self.word("format", &formats, "A page as JSON, or the whole list.")
            .other("application/x-ndjson")
            .other("text/csv; charset=utf-8")
    }

    /// It answers 200 with something that is not JSON.
    pub(super) fn other(mut self, content_type: &'static str) -> Self {
        let content = Content::Other(content_type);
        self.answers.push((StatusCode::OK, content));
        self
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            "get" => MethodFilter::GET,
            "patch" => MethodFilter::PATCH,
            "delete" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        }
    }
}

/// Routes with what there is to know about them.
#[derive(Clone, Default)]
pub(super) struct Routes {
    router: Router<Arc<Hub>>,
    docs: Vec<(String, Doc)>,
}

impl Routes {
    /// Adds a route.
    pub(super) fn route<H, T>(mut self, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Arc<Hub>>,
        T: 'static,
    {
        let mut method = on(doc.filter(), handler);
        if doc.no_head {
            let refused = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]);
            method = method.on(MethodFilter::HEAD, async move || refused);
        }
        if let Some(bytes) = doc.body_max {
            method = method.layer(DefaultBodyLimit::max(bytes));
        }
        if !doc.unhurried {
            method = method.layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                REQUEST_TIME,
            ));
        }
        self.router = self.router.route(doc.path, method);
        self.docs.push((String::new(), doc));
        self
    }

    /// Adds other routes.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.docs.extend(other.docs);
        self
    }

    /// Adds other routes below a path.
    pub(super) fn nest(mut self, prefix: &str, other: Self) -> Self {
        self.router = self.router.nest(prefix, other.router);
        let below = other.docs.into_iter();
        self.docs
            .extend(below.map(|(path, doc)| (format!("{prefix}{path}"), doc)));
        self
    }

    /// Method and path of every route.
    #[cfg(test)]
    pub(super) fn operations(&self) -> impl Iterator<Item = (String, String)> + use<'_> {
        self.docs.iter().map(|(prefix, doc)| {
            (
                doc.method.to_ascii_uppercase(),
                format!("{prefix}{}", doc.path),
            )
        })
    }

    /// The router.
    pub(super) fn into_router(self) -> Router<Arc<Hub>> {
        self.router
    }
}
