//! OpenAPI 3 and Swagger 2 documents in JSON and YAML: what can be asked for, how, and with what.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Operations that are kept.
const MOST: usize = 5000;
/// Parameters of one of them.
const MOST_PARAMETERS: usize = 100;
/// Bytes of a path or a name.
const LONGEST: usize = 1024;
/// Bytes of a document in YAML; the largest known of public interfaces have 10 MB, and most 100 KB.
const LARGEST_YAML: usize = 4 * 1024 * 1024;
/// Lines of it in which it must say what it is.
const FIRST_LINES: usize = 100;
/// Values in it, those by alias counted each time: a small document may stand for a huge one.
const MOST_NODES: usize = 200_000;
/// Values within values.
const MOST_DEPTH: usize = 100;
/// References that are followed for one schema, one in another.
const DEEPEST: usize = 8;

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// With what stands before all paths: `/v2/pets/{id}`.
    pub path: String,
    /// `GET` and so on.
    pub method: String,
    /// Names of parameters of path, query, header, cookie and body.
    pub parameters: Vec<String>,
}

/// The operations of a document; `None` if it is none.
pub fn read(text: &str) -> Option<Vec<Operation>> {
    // Cheap, and most JSON is something else.
    if !text.contains("\"openapi\"") && !text.contains("\"swagger\"") {
        return None;
    }
    operations(&serde_json::from_str(text).ok()?)
}

/// The same of a text that may be YAML.
pub fn read_yaml(text: &str) -> Option<Vec<Operation>> {
    let says = |line: &str| line.starts_with("openapi:") || line.starts_with("swagger:");
    if text.len() > LARGEST_YAML || !text.lines().take(FIRST_LINES).any(says) {
        return None;
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MOST_NODES,
            max_documents: 1,
            max_depth: MOST_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_NODES,
            max_replay_stack_depth: DEEPEST,
        },
    };
    operations(&serde_saphyr::from_str_with_options(text, options).ok()?)
}

fn operations(document: &Value) -> Option<Vec<Operation>> {
    let paths = document.get("paths")?.as_object()?;
    let base = base(document);
    let mut operations = Vec::new();
    for (path, item) in paths {
        let Some(item) = item.as_object() else {
            continue;
        };
        let shared = names(document, item);
        for (method, operation) in item {
            let methods = [
                "get", "put", "post", "delete", "options", "head", "patch", "trace",
            ];
            let (true, Some(operation)) =
                (methods.contains(&method.as_str()), operation.as_object())
            else {
                continue;
            };
            if operations.len() >= MOST || path.len() > LONGEST {
                break;
            }
            let mut parameters = shared.clone();
            parameters.extend(names(document, operation));
            parameters.extend(body(document, operation));
            parameters.sort();
            parameters.dedup();
            parameters.truncate(MOST_PARAMETERS);
            operations.push(Operation {
                path: format!("{base}{path}"),
                method: method.to_ascii_uppercase(),
                parameters,
            });
        }
    }
    Some(operations)
}

/// The path before all others: Swagger's `basePath`, that of OpenAPI's first server.
fn base(document: &Value) -> String {
    let swagger = document.get("basePath").and_then(Value::as_str);
    let server = || document.pointer("/servers/0/url").and_then(Value::as_str);
    let base = swagger.or_else(server).unwrap_or_default();
    base.trim_end_matches('/').chars().take(LONGEST).collect()
}

fn names(document: &Value, of: &Map<String, Value>) -> Vec<String> {
    let parameters = of.get("parameters").and_then(Value::as_array);
    let parameters = parameters.map(Vec::as_slice).unwrap_or_default();
    let mut names = Vec::new();
    for parameter in parameters.iter().take(MOST_PARAMETERS) {
        let parameter = resolve(document, parameter);
        let name = parameter.get("name").and_then(Value::as_str);
        if parameter.get("in").and_then(Value::as_str) == Some("body") {
            names.extend(
                parameter
                    .get("schema")
                    .map(|schema| keys(document, schema))
                    .unwrap_or_default(),
            );
        } else if let Some(name) = name.filter(|name| name.len() <= LONGEST) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The keys of the body's schema, in its first media type.
fn body(document: &Value, operation: &Map<String, Value>) -> Vec<String> {
    let body = operation
        .get("requestBody")
        .map(|body| resolve(document, body));
    let content = body
        .and_then(|body| body.get("content"))
        .and_then(Value::as_object);
    let schema = content
        .and_then(|content| content.values().next())
        .and_then(|media| media.get("schema"));
    schema
        .map(|schema| keys(document, schema))
        .unwrap_or_default()
}

fn keys(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(document, schema);
    let properties = schema.get("properties").and_then(Value::as_object);
    let keys = properties.into_iter().flat_map(Map::keys);
    keys.filter(|key| key.len() <= LONGEST)
        .take(MOST_PARAMETERS)
        .cloned()
        .collect()
}

/// What a `$ref` within the document leads to, a few of them in a row.
fn resolve<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    for _ in 0..DEEPEST {
        let pointer = value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|to| to.strip_prefix('#'));
        match pointer.and_then(|pointer| document.pointer(pointer)) {
            Some(next) => value = next,
            None => break,
        }
    }
    value
}
