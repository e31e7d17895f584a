//! The document, from the table of routes.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Content, Doc, Routes};
use crate::api::{ErrorBody, IDEMPOTENCY_KEY};

/// Where the document keeps the schemas of types.
const SCHEMAS: &str = "/components/schemas";

/// The OpenAPI document of these routes.
pub(in crate::hub) fn document(routes: &Routes) -> Value {
    let mut writer = Writer {
        bodies: SchemaSettings::draft2020_12()
            .with(|s| s.definitions_path = format!("{SCHEMAS}/Body/$defs").into())
            .for_deserialize()
            .into_generator(),
        answers: SchemaSettings::draft2020_12()
            .with(|s| s.definitions_path = SCHEMAS.into())
            .for_serialize()
            .into_generator(),
    };
    let mut paths: Map<String, Value> = Map::new();
    for (prefix, doc) in &routes.docs {
        let path = format!("{prefix}{}", doc.path);
        let operation = writer.operation(&path, doc);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[doc.method] = operation;
    }
    paths.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "recon hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every path answers with and without a slash at its end.",
        },
        "paths": paths,
        "components": { "schemas": writer.schemas() },
    })
}

/// What is sent and what is received have schemas of their own: a field with a default may be left out
/// of the one, and is always in the other.
struct Writer {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Writer {
    fn operation(&mut self, path: &str, doc: &Doc) -> Value {
        let mut parameters: Vec<Value> = in_path(path, doc.personalities);
        parameters.extend(doc.params.iter().map(|param| {
            json!({
                "name": param.name, "in": "query", "required": false,
                "schema": param.schema, "description": param.what,
            })
        }));
        if doc.method == "post" {
            parameters.push(json!({
                "name": IDEMPOTENCY_KEY, "in": "header", "required": false,
                "schema": { "type": "string", "minLength": 1, "maxLength": 255,
                            "pattern": "^[!-~]+$" },
                "description": "The same key and body answers what the first one did.",
            }));
        }
        let mut operation = json!({
            "operationId": operation_id(doc.method, path),
            "summary": doc.what,
            "parameters": parameters,
            "responses": self.responses(doc),
        });
        if let Some((kind, body)) = doc.body {
            let schema = body(&mut self.bodies);
            operation["requestBody"] = json!({
                "required": true,
                "content": { kind: { "schema": schema } },
            });
        }
        operation
    }

    fn responses(&mut self, doc: &Doc) -> Value {
        let mut responses = Map::new();
        for (status, content) in &doc.answers {
            let (kind, schema) = match content {
                Content::Json(shape) => ("application/json", json!(shape(&mut self.answers))),
                Content::Object => ("application/json", json!({ "type": "object" })),
                Content::Other(kind) => (*kind, json!({})),
            };
            let what = status.canonical_reason().unwrap_or_default();
            let response = responses
                .entry(status.as_str())
                .or_insert_with(|| json!({ "description": what, "content": {} }));
            response["content"][kind] = json!({ "schema": schema });
        }
        let error = self.answers.subschema_for::<ErrorBody>();
        responses.insert(
            "default".to_owned(),
            json!({
                "description": "What is wrong, and what to do about it",
                "content": { "application/json": { "schema": error } },
            }),
        );
        Value::Object(responses)
    }

    fn schemas(mut self) -> Value {
        let mut schemas = self.answers.take_definitions(true);
        let bodies = self.bodies.take_definitions(true);
        if !bodies.is_empty() {
            schemas.insert("Body".to_owned(), json!({ "$defs": bodies }));
        }
        schemas.sort_keys();
        Value::Object(schemas)
    }
}

/// The parameters that a path has in braces.
fn in_path(path: &str, personalities: &[&str]) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(name)
    });
    names
        .map(|name| {
            let schema = match name {
                "id" | "uuid" => json!({ "type": "string", "format": "uuid" }),
                _ if !personalities.is_empty() => {
                    json!({ "type": "string", "enum": personalities })
                }
                _ => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$" }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect()
}

/// `get_api_targets_id`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(method).chain(words).collect();
    words.join("_")
}
