use regex::Regex;
use serde_json::{Value, json};

use super::*;
use crate::report::Format;
use crate::report::samples::{all, full, plain, settings, written};
use crate::report::{Known, Settings};

fn report(settings: Settings, targets: &[Known]) -> Value {
    serde_json::from_str(&written(settings, targets)).unwrap()
}

#[test]
fn messages_link_to_nothing() {
    assert_eq!(message("[x](http://y) {0}"), "[x] (http://y) {{0}}");
    assert_eq!(message("a\x1b[1m\n"), "a\\x1b[1m\\x0a");
}

/// JSON Schema, draft 4, as much of it as SARIF's schema uses; another keyword is a mistake of this test.
struct Schema(Value);

impl Schema {
    /// OASIS's own, as published.
    fn of_sarif() -> Self {
        let text = include_str!("../../tests/report/sarif-schema-2.1.0.json");
        Self(serde_json::from_str(text).unwrap())
    }

    /// What is wrong with a value, with its place.
    fn problems(&self, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        self.look(&self.0, value, "", &mut problems);
        problems
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut problems = Vec::new();
        self.look(schema, value, "", &mut problems);
        problems.is_empty()
    }

    fn look(&self, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.strip_prefix('#').unwrap();
            return self.look(self.0.pointer(pointer).unwrap(), value, at, problems);
        }
        for (keyword, wanted) in schema.as_object().unwrap() {
            if !self.holds(schema, keyword, wanted, value) {
                problems.push(format!("{at}: {keyword} {wanted}: {value}"));
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => problems.push(format!("{at} is not known")),
                (Value::Null, Value::Object(_)) => {
                    self.look(&schema["additionalProperties"], value, &at, problems);
                }
                (Value::Null, _) => {}
                (known, _) => self.look(known, value, &at, problems),
            }
        }
        for (n, entry) in value.as_array().into_iter().flatten().enumerate() {
            if schema["items"].is_object() {
                self.look(&schema["items"], entry, &format!("{at}/{n}"), problems);
            }
        }
    }

    fn holds(&self, schema: &Value, keyword: &str, wanted: &Value, value: &Value) -> bool {
        let number = |value: &Value| value.as_f64().unwrap();
        let text = value.as_str();
        let entries = value.as_array();
        let alternatives = || wanted.as_array().unwrap().iter();
        match keyword {
            "type" => {
                let is = |kind: &Value| kind_of(kind.as_str().unwrap(), value);
                wanted
                    .as_array()
                    .map_or_else(|| is(wanted), |kinds| kinds.iter().any(is))
            }
            "enum" => alternatives().any(|known| known == value),
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || alternatives().all(has)
            }
            "minimum" => !value.is_number() || number(value) >= number(wanted),
            "maximum" => !value.is_number() || number(value) <= number(wanted),
            "minItems" => entries.is_none_or(|all| all.len() as f64 >= number(wanted)),
            "uniqueItems" => {
                entries.is_none_or(|all| (1..all.len()).all(|n| !all[..n].contains(&all[n])))
            }
            "pattern" => {
                text.is_none_or(|text| Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text))
            }
            "format" => text.is_none_or(|text| is_of_format(wanted.as_str().unwrap(), text)),
            "anyOf" => alternatives().any(|one| self.fits(one, value)),
            "oneOf" => alternatives().filter(|one| self.fits(one, value)).count() == 1,
            // Looked at above, or for people.
            "properties" | "additionalProperties" | "items" => true,
            "description" | "default" | "title" | "id" | "$schema" | "definitions" => true,
            other => panic!("{other} in {schema}"),
        }
    }
}

fn kind_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    }
}

fn is_of_format(format: &str, text: &str) -> bool {
    let characters = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    match format {
        "uri" => url::Url::parse(text).is_ok() && text.chars().all(characters),
        "uri-reference" => {
            let base = url::Url::parse("file:///base/").unwrap();
            base.join(text).is_ok() && text.chars().all(characters)
        }
        "date-time" => text.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
        other => panic!("{other}"),
    }
}

#[test]
fn the_schema_notices() {
    let schema = Schema::of_sarif();
    let good = report(settings(Format::Sarif), &all());
    assert_eq!(schema.problems(&good), Vec::<String>::new());
    let broken: [(&str, Value); 7] = [
        ("/version", json!("2.0.0")),
        ("/runs/0/tool/driver/rules/0/helpUri", json!("no address")),
        (
            "/runs/0/tool/driver/rules/0/properties/tags",
            json!(["a", "a"]),
        ),
        ("/runs/0/results/0/level", json!("worst")),
        ("/runs/0/results/0/message", json!({})),
        (
            "/runs/0/results/0/locations/0/physicalLocation",
            json!({ "uri": "x" }),
        ),
        ("/runs/0/invocations/0/endTimeUtc", json!("today")),
    ];
    for (place, value) in broken {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        assert!(!schema.problems(&bad).is_empty(), "{place}");
    }
}

/// A finding at this place of this target, as strangers name both.
fn at(target: &str, location: &str) -> Known {
    let mut known = plain();
    target.clone_into(&mut known.target);
    known.findings = vec![json!({
        "id": 1, "type": "t", "title": "T", "severity": "high", "status": "open", "location": location,
        "cwe": (1..=40).collect::<Vec<u64>>(),
    })];
    known
}

/// What GitHub's code scanning refuses a whole file for, by its documentation and its messages
/// ("expected a physical location", "SARIF URI scheme \"https\" did not match").
#[test]
fn github_takes_it() {
    let schema = Schema::of_sarif();
    let long = "x".repeat(3000);
    let mut targets = all();
    targets.extend([
        at("a", "tcp/1"),
        at("::1", "https://[::1]:8443/x"),
        at("", ""),
    ]);
    targets.extend([
        at(&long, &long),
        at("..", "../../%2e%2e/\u{202e}"),
        at("javascript:x", "x:y"),
    ]);
    let report = report(settings(Format::Sarif), &targets);
    assert_eq!(schema.problems(&report), Vec::<String>::new());
    let run = &report["runs"][0];
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for (field, most) in [
            ("shortDescription", 1024),
            ("fullDescription", 1024),
            ("help", 5000),
        ] {
            let text = rule[field]["text"].as_str().unwrap();
            assert!(
                (1..=most).contains(&text.chars().count()),
                "{field}: {rule}"
            );
        }
        let tags = rule["properties"]["tags"].as_array().unwrap();
        assert!(
            tags.len() <= 10 && tags.contains(&json!("security")),
            "{rule}"
        );
        let severity = rule["properties"]["security-severity"].as_str().unwrap();
        assert!((0.0..=10.0).contains(&severity.parse::<f64>().unwrap()));
    }
    for result in run["results"].as_array().unwrap() {
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["region"]["startLine"], 1);
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let base = url::Url::parse("file:///base/").unwrap();
        let whole = base.join(uri).unwrap();
        assert!(
            !uri.is_empty() && whole.as_str().starts_with("file:///base/"),
            "{uri}"
        );
        assert!(!uri.contains([':', '?', '#']), "{uri}");
    }
}

#[test]
fn places_are_paths() {
    let of = |target: &str, location: &str| {
        let report = report(settings(Format::Sarif), &[at(target, location)]);
        let place = &report["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        place["artifactLocation"]["uri"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(of("10.0.0.1", "tcp/6379"), "10.0.0.1/tcp/6379");
    assert_eq!(of("10.0.0.1", ""), "10.0.0.1");
    assert_eq!(of("2001:db8::1", "tcp/22"), "2001%3Adb8%3A%3A1/tcp/22");
    assert_eq!(of("a", "https://a/pub/?x=1#y"), "a/pub");
    assert_eq!(of("a", "http://a:8080/b c/%41"), "a%3A8080/b%20c/A");
    assert_eq!(of("a", "../../etc"), "a/etc");
    assert_eq!(of("", "//"), "unknown");
}

#[test]
fn a_rule_and_a_result_have_a_text_where_nobody_gave_one() {
    let mut known = full();
    known.assessments.clear();
    known.findings = vec![json!({ "id": 1, "severity": "low", "status": "open" })];
    let report = report(settings(Format::Sarif), &[known]);
    let run = &report["runs"][0];
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_ne!(rule["shortDescription"]["text"], "");
    assert_ne!(run["results"][0]["message"]["text"], "");
}

#[test]
fn rules_and_results_belong_together() {
    let report: Value = serde_json::from_str(&written(settings(Format::Sarif), &all())).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<_> = rules.iter().map(|rule| &rule["id"]).collect();
    let results = run["results"].as_array().unwrap();
    // One of them is fixed.
    assert_eq!(results.len(), 6 + 2);
    for result in results {
        assert!(ids.contains(&&result["ruleId"]), "{result}");
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let print = result["partialFingerprints"]["recon/v1"].as_str().unwrap();
        assert_eq!(print.len(), 32);
    }
    let suppressed: Vec<_> = results
        .iter()
        .filter(|r| !r["suppressions"].is_null())
        .collect();
    assert_eq!(suppressed.len(), 2);
    let reason = &suppressed[0]["suppressions"][0]["justification"];
    assert_eq!(reason, "Public mirror; meant to be listed");
    let cve = rules
        .iter()
        .find(|rule| rule["id"] == "CVE-2021-41773")
        .unwrap();
    assert_eq!(cve["properties"]["security-severity"], "7.5");
    assert_eq!(
        cve["helpUri"],
        "https://nvd.nist.gov/vuln/detail/CVE-2021-41773"
    );
    let web = results
        .iter()
        .find(|r| r["ruleId"] == "hsts-missing")
        .unwrap();
    let uri = &web["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "shop.example.org");
}
