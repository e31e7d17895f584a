use toml_edit::{Array, Value};

use crate::fleet::KeySchema;

/// A value as it was typed: TOML, or a bare word where a text may stand. Several words make a list.
pub fn read(words: &[String], schema: Option<&KeySchema>) -> Result<Value, String> {
    let list = schema.is_some_and(|s| s.is_known() && s.allows("array"));
    match words {
        [one] if list => Ok(match one.parse() {
            Ok(value @ Value::Array(_)) => value,
            _ => items(words),
        }),
        [one] => Ok(scalar(one, schema)),
        _ if list => Ok(items(words)),
        _ => Err("it takes one value, not several; quote one that has spaces".to_owned()),
    }
}

fn items(words: &[String]) -> Value {
    Value::Array(Array::from_iter(words.iter().map(|word| item(word))))
}

/// An item of a list. The lists of the fleet file hold texts and tables.
pub fn item(word: &str) -> Value {
    match word.parse() {
        Ok(value @ (Value::String(_) | Value::InlineTable(_))) => value,
        _ => Value::from(word),
    }
}

fn scalar(word: &str, schema: Option<&KeySchema>) -> Value {
    let allows = |name: &str| schema.is_none_or(|schema| schema.allows(name));
    match word.parse::<Value>() {
        Ok(value) if allows(json_type(&value)) => value,
        // What fits nowhere is left to the fleet's own check, which says what is expected.
        Ok(value) if !allows("string") => value,
        _ => Value::from(word),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) | Value::Datetime(_) => "string",
        Value::Integer(_) => "integer",
        Value::Float(_) => "number",
        Value::Boolean(_) => "boolean",
        Value::Array(_) => "array",
        Value::InlineTable(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::key_schema;

    fn typed(key: &str, words: &[&str]) -> String {
        let parts: Vec<String> = key.split('.').map(str::to_owned).collect();
        let schema = key_schema(&parts, |name| super::super::kind_of(None, name)).ok();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        read(&words, schema.as_ref()).map_or_else(|e| e, |v| v.to_string())
    }

    #[test]
    fn a_bare_word_is_a_text_where_one_may_stand() {
        for (key, words, value) in [
            ("fleet.profile", &["minimal"][..], "\"minimal\""),
            ("fleet.profile", &["true"], "\"true\""),
            ("fleet.profile", &["\"full\""], "\"full\""),
            ("agents.kaze.config.ports", &["80"], "\"80\""),
            ("agents.kaze.config.ports", &["22,80"], "\"22,80\""),
            ("agents.kaze.config.max_scans", &["7"], "7"),
            ("agents.kaze.config.max_scans", &["many"], "\"many\""),
            ("agents.kaze.config.services", &["false"], "false"),
            ("agents.kaze.watchdog", &["30s"], "\"30s\""),
            ("agents.kaze.watchdog", &["30"], "30"),
            ("agents.kaze.memory_max", &["512M"], "\"512M\""),
            (
                "agents.kaze.backoff",
                &["{ initial = \"2s\" }"],
                "{ initial = \"2s\" }",
            ),
            ("scope.allow", &["10.0.0.0/8"], "[\"10.0.0.0/8\"]"),
            (
                "scope.allow",
                &["::1", "*.example.org"],
                "[\"::1\", \"*.example.org\"]",
            ),
            ("scope.allow", &["[\"::1\"]"], "[\"::1\"]"),
            (
                "agents.kaze.depends_on",
                &["{ agent = \"hub\" }"],
                "[{ agent = \"hub\" }]",
            ),
            ("agents.mine.config.x", &["1.5"], "1.5"),
        ] {
            assert_eq!(typed(key, words), value, "{key} {words:?}");
        }
        assert!(typed("fleet.hub", &["a", "b"]).contains("one value"));
    }
}
