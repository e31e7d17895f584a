use serde_json::Value;

use super::AgentKind;
use super::schema::schema;
use super::section::unknown;

/// What a key of the fleet file may hold, from its JSON schema.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySchema(Value);

/// A dotted key that no fleet file has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct UnknownKey {
    /// The key, up to the part that is unknown.
    pub key: String,
    /// What is unknown, and the nearest that is known.
    pub message: String,
}

/// One key of the fleet file, for its manual page and for completion.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDoc {
    /// Dotted key; what the user names is in capitals (`agents.NAME.watchdog`).
    pub key: String,
    /// What it may hold.
    pub schema: KeySchema,
}

impl KeySchema {
    /// Whether a value of this JSON type (`string`, `integer`, `array`, …) may stand here. What the
    /// schema says nothing about may be anything.
    pub fn allows(&self, json_type: &str) -> bool {
        let types = types(&self.0);
        types.is_empty()
            || types.contains(&json_type)
            || (json_type == "integer" && types.contains(&"number"))
    }

    /// Whether it says anything about what may stand here.
    pub fn is_known(&self) -> bool {
        !types(&self.0).is_empty()
    }

    /// One or two sentences about the key.
    pub fn description(&self) -> &str {
        text(&self.0, "description")
    }

    /// Whether the other says the same but for the default.
    pub fn same_but_for_default(&self, other: &Self) -> bool {
        let without = |schema: &Self| {
            let mut schema = schema.0.clone();
            if let Some(fields) = schema.as_object_mut() {
                fields.remove("default");
            }
            schema
        };
        without(self) == without(other)
    }

    /// Its built-in default, where the schema has one.
    pub fn default(&self) -> Option<&Value> {
        self.0.get("default").filter(|value| !value.is_null())
    }

    /// The words that it may be, when only certain ones are allowed, each with what it means.
    pub fn words(&self) -> Vec<(&str, &str)> {
        let listed = self.0.get("enum").and_then(Value::as_array);
        let plain = listed
            .into_iter()
            .flatten()
            .filter_map(|word| Some((word.as_str()?, "")));
        let described = alternatives(&self.0)
            .filter_map(|one| Some((one.get("const")?.as_str()?, text(one, "description"))));
        plain.chain(described).collect()
    }

    /// What it may hold, in a few words.
    pub fn type_words(&self) -> String {
        let words = self.words();
        if !words.is_empty() {
            return words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        // The only type of the fleet file that is both is a length of time.
        let types = types(&self.0);
        if types.contains(&"string") && types.contains(&"number") {
            return "length of time".to_owned();
        }
        let name = |json: &&str| match *json {
            "integer" => "whole number".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => "list".to_owned(),
            "object" => "table".to_owned(),
            other => other.to_owned(),
        };
        types.iter().map(name).collect::<Vec<_>>().join(" or ")
    }
}

fn text<'v>(schema: &'v Value, field: &str) -> &'v str {
    schema.get(field).and_then(Value::as_str).unwrap_or("")
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten()
}

/// The JSON types that a schema allows, `null` left out: TOML has none.
fn types(schema: &Value) -> Vec<&str> {
    let mut found: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("enum").is_some() => vec!["string"],
        _ => Vec::new(),
    };
    for one in alternatives(schema) {
        found.extend(types(one));
    }
    found.retain(|name| *name != "null");
    found.dedup();
    found
}

/// What a dotted key may hold. `kind` says which program an agent of this name is, as far as that is
/// known.
///
/// # Errors
/// No fleet file has this key.
pub fn key_schema(
    key: &[String],
    kind: impl Fn(&str) -> Option<AgentKind>,
) -> Result<KeySchema, UnknownKey> {
    let mut schema = schema();
    for (depth, name) in key.iter().enumerate() {
        let agent = depth == 1 && key[0] == "agents";
        let name = match kind(name).filter(|_| agent) {
            Some(kind) => kind.as_str(),
            None => name.as_str(),
        };
        schema = below(&schema, name).ok_or_else(|| UnknownKey {
            key: key[..=depth].join("."),
            message: unknown("key", name, known(&schema).iter().map(String::as_str)),
        })?;
    }
    Ok(KeySchema(schema))
}

/// The schema of a key of a table; `None` when the table has no such key.
fn below(schema: &Value, name: &str) -> Option<Value> {
    if let Some(found) = schema.get("properties").and_then(|all| all.get(name)) {
        return Some(found.clone());
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(other @ Value::Object(_)) => Some(other.clone()),
        // The settings of a program of the user's own.
        _ if types(schema).iter().all(|name| *name == "object") => {
            Some(Value::Object(serde_json::Map::new()))
        }
        _ => None,
    }
}

fn known(schema: &Value) -> Vec<String> {
    let keys = schema.get("properties").and_then(Value::as_object);
    keys.into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

/// Every key of the fleet file, tables before what is in them. An agent's own settings are listed for
/// each kind of agent (`agents.kaze.config.ports`), everything else once (`agents.NAME.watchdog`).
pub fn all_keys() -> Vec<KeyDoc> {
    let schema = schema();
    let mut keys = Vec::new();
    for (section, node) in entries(&schema) {
        match section.as_str() {
            "profiles" => {
                push(&mut keys, section, node);
                push(&mut keys, "profiles.NAME", &node["additionalProperties"]);
            }
            "agents" => {
                push(&mut keys, section, node);
                collect("agents.NAME", &node["additionalProperties"], &mut keys);
                for (kind, agent) in entries(node) {
                    let config = &agent["properties"]["config"];
                    collect(&format!("agents.{kind}.config"), config, &mut keys);
                }
            }
            _ => collect(section, node, &mut keys),
        }
    }
    keys
}

fn entries(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn collect(path: &str, schema: &Value, keys: &mut Vec<KeyDoc>) {
    push(keys, path, schema);
    for (name, node) in entries(schema) {
        collect(&format!("{path}.{name}"), node, keys);
    }
    // The elements of a list that are tables.
    let items = schema.get("items").into_iter();
    let items = items.flat_map(|items| alternatives(items).chain([items]));
    for (name, node) in items.flat_map(entries) {
        push(keys, &format!("{path}[].{name}"), node);
    }
}

fn push(keys: &mut Vec<KeyDoc>, key: &str, schema: &Value) {
    keys.push(KeyDoc {
        key: key.to_owned(),
        schema: KeySchema(schema.clone()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(key: &str) -> Result<KeySchema, UnknownKey> {
        let parts: Vec<String> = key.split('.').map(str::to_owned).collect();
        key_schema(&parts, |name| match name {
            "kaze" | "kaze-dmz" => Some(AgentKind::Kaze),
            "mine" => Some(AgentKind::Custom),
            _ => None,
        })
    }

    #[test]
    fn a_key_says_what_it_may_hold() {
        for (key, words) in [
            ("fleet.profile", "string"),
            ("scope.allow", "list"),
            ("scope.max_rate", "whole number"),
            ("profiles.night", "list"),
            ("agents.kaze.watchdog", "length of time"),
            ("agents.kaze.critical", "true or false"),
            ("agents.kaze-dmz.config.max_scans", "whole number"),
            (
                "agents.kaze.config.nmap",
                "\"auto\" or \"always\" or \"never\"",
            ),
            ("agents.hub.config.database", "string"),
            ("agents.sentinel.config.hang_after", "length of time"),
            ("agents.mine.config.any.thing", ""),
        ] {
            assert_eq!(
                find(key).map(|s| s.type_words()),
                Ok(words.to_owned()),
                "{key}"
            );
        }
        assert!(find("agents.mine.config.x").unwrap().allows("array"));
        assert!(!find("scope.allow").unwrap().allows("string"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = find("agents.kaze.config.max_scan").unwrap_err();
        assert_eq!(error.key, "agents.kaze.config.max_scan");
        assert!(
            error.message.contains("did you mean \"max_scans\"?"),
            "{error}"
        );
        let error = find("scop.allow").unwrap_err();
        assert_eq!(error.key, "scop");
        assert!(find("fleet.profile.x").is_err());
    }

    #[test]
    fn every_key_has_a_description_and_a_type() {
        for doc in all_keys() {
            assert!(
                !doc.schema.description().is_empty(),
                "{} has no description",
                doc.key
            );
            assert!(doc.schema.is_known(), "{} has no type", doc.key);
        }
    }
}
