use std::fs;
use std::path::Path;

use super::super::facts::{Facts, Kind, Subject};
use super::*;

/// A rule about services with this condition.
fn text(id: &str, condition: &str) -> String {
    format!(
        "id = \"{id}\"\ntitle = \"T {id}\"\ncategory = \"c\"\ncwe = [200]\n\
         evidence = [\"service\"]\nreferences = [\"https://cwe.mitre.org/\"]\n\
         [severity]\nlevel = \"low\"\npublic = \"high\"\nreason = \"r\"\n\
         [match]\nsubject = \"service\"\n{condition}\n\
         [remediation]\naction = \"a\"\neffort = \"low\"\n\
         [[test]]\nmatch = true\nfacts = {{ service = \"redis\", port = 6379 }}\n\
         [[test]]\nmatch = false\nfacts = {{ service = \"ssh\", port = 22 }}\n"
    )
}

fn rule(condition: &str) -> Rule {
    Rule::parse(Path::new("r.toml"), &text("r", condition))
        .map_err(|errors| errors[0].to_string())
        .unwrap()
}

fn errors(text: &str) -> Vec<String> {
    let errors = Rule::parse(Path::new("r.toml"), text).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

fn service(place: &str, fields: &[(&str, &str)]) -> Subject {
    let mut subject = Subject::new(Kind::Service, format!("scan:x/{place}"), place);
    for (name, value) in fields {
        subject.set(name, *value);
    }
    subject
}

fn facts(public: Option<bool>, subjects: Vec<Subject>) -> Facts {
    let as_of = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut facts = Facts::new("h", as_of, public);
    for subject in subjects {
        facts.add(subject);
    }
    facts
}

#[test]
fn every_operator() {
    let mut redis = service(
        "tcp/6379",
        &[
            ("service", "redis"),
            ("version", "7.0.15"),
            ("banner", "+PONG"),
        ],
    );
    redis.set("port", 6379_u16);
    redis.set("tls", false);
    redis.set("cpe", vec!["cpe:/a:redis:redis".to_owned()]);
    redis.set(
        "seen_at",
        chrono::DateTime::<chrono::Utc>::from_timestamp(1_700_000_000, 0).unwrap(),
    );
    let facts = facts(None, vec![redis]);
    for (condition, wanted) in [
        ("field = 'service', equals = 'REDIS'", true),
        ("field = 'service', in = ['ssh', 'Redis']", true),
        ("field = 'port', in = [1, 2]", false),
        ("field = 'port', ge = 6379", true),
        ("field = 'port', gt = 6379", false),
        ("field = 'port', le = 6379", true),
        ("field = 'port', lt = 6379", false),
        ("field = 'tls', equals = false", true),
        ("field = 'banner', contains = 'pong'", true),
        ("field = 'banner', matches = 'pong'", false),
        ("field = 'banner', matches = '(?i)^.pong$'", true),
        ("field = 'banner', ge = 5", true),
        ("field = 'cpe', contains = 'cpe:/a:redis'", false),
        ("field = 'cpe', contains = 'CPE:/a:redis:redis'", true),
        ("field = 'cpe', matches = 'redis'", true),
        ("field = 'cpe', lt = 2", true),
        ("field = 'version', version = '>= 7, < 7.2'", true),
        ("field = 'version', version = '< 7'", false),
        ("field = 'product', exists = false", true),
        ("field = 'product', exists = true", false),
        ("field = 'product', equals = 'x'", false),
        ("field = 'product', lt = 5", false),
        ("field = 'seen_at', before = 2024-01-01", true),
        ("field = 'seen_at', after = 2023-11-14T22:13:20Z", false),
        ("since = 2026-01-01", true),
        ("since = 2026-01-02", false),
        (
            "has = 'service', all = [{ field = 'port', equals = 6379 }]",
            true,
        ),
        (
            "has = 'tls', all = [{ field = 'port', equals = 6379 }]",
            false,
        ),
        ("none = [{ field = 'product', matches = 'x' }]", true),
        (
            "any = [{ field = 'port', lt = 1 }, { field = 'service', exists = true }]",
            true,
        ),
    ] {
        let rule = rule(&format!("all = [{{ {condition} }}]"));
        assert_eq!(!rule.matches(&facts).is_empty(), wanted, "{condition}");
    }
}

#[test]
fn every_mistake_has_its_place() {
    for (condition, wanted) in [
        (
            "all = [{ field = 'servise', equals = 'x' }]",
            "r.toml:13: match.all[0].field: service has no field \"servise\"; did you mean \"service\"?",
        ),
        (
            "all = [{ field = 'port', equals = 'x' }]",
            "match.all[0].equals: the field is a number",
        ),
        (
            "all = [{ field = 'tls', lt = 1 }]",
            "match.all[0].lt: does not go with a flag",
        ),
        (
            "all = [{ field = 'cpe', equals = 'x' }]",
            "use contains or matches",
        ),
        (
            "all = [{ field = 'banner', matches = '(' }]",
            "match.all[0].matches: is no pattern",
        ),
        (
            "all = [{ field = 'banner', matches = '(a{1000}){1000}' }]",
            "is no pattern",
        ),
        (
            "all = [{ field = 'version', version = '2.4' }]",
            "must begin with <",
        ),
        (
            "all = [{ field = 'version' }]",
            "must have exactly one operator, and has 0",
        ),
        (
            "all = [{ field = 'version', exists = true, contains = '1' }]",
            "and has 2",
        ),
        (
            "all = [{ has = 'service' }]",
            "must be a field with an operator",
        ),
        (
            "all = [{ has = 'nothing', all = [] }]",
            "match.all[0].has: must be one of host",
        ),
        ("all = []", "match.all: must not be empty"),
        ("", "match: must have all, any or none"),
        ("all = [{ since = 12:00:00 }]", "must be a day"),
        (
            "all = [{ field = 'version', eqals = '1' }]",
            "match.all[0].eqals: unknown field `eqals`",
        ),
    ] {
        let all = errors(&text("r", condition));
        assert!(
            all.iter().any(|e| e.contains(wanted)),
            "{condition}: {all:?}"
        );
        assert!(all[0].starts_with("r.toml:"), "{all:?}");
    }
    let deep = "{ all = [".repeat(9) + "{ since = 2025-01-01 }" + &"] }".repeat(9);
    let all = errors(&text("r", &format!("all = [{deep}]")));
    assert!(all[0].contains("nested 8 deep"), "{all:?}");
}

#[test]
fn so_has_every_mistake_outside_the_condition() {
    let good = text("r", "all = [{ field = 'service', equals = 'redis' }]");
    for (from, to, wanted) in [
        ("id = \"r\"", "id = \"R x\"", "r.toml:1: id: must be of a-z"),
        ("cwe = [200]", "cwe = []", "cwe: must have at least one"),
        (
            "https://",
            "http://",
            "references[0]: must be a URL by https",
        ),
        (
            "level = \"low\"",
            "level = \"bad\"",
            "r.toml:8: severity.level: unknown variant",
        ),
        (
            "effort = \"low\"",
            "effort = \"none\"",
            "remediation.effort: unknown variant",
        ),
        (
            "match = false",
            "match = true",
            "test: must have at least one that does not match",
        ),
        (
            "port = 22",
            "prt = 22",
            "test[1].facts.prt: service has no such field; did you mean \"port\"?",
        ),
        (
            "port = 22",
            "port = \"22\"",
            "test[1].facts.port: the field is a number",
        ),
        (
            "evidence = [\"service\"]",
            "evidence = [\"x\"]",
            "r.toml:5: evidence[0]: service has no field",
        ),
        (
            "cwe =",
            "attack = [\"T1\"]\ncwe =",
            "attack[0]: must be a technique",
        ),
        (
            "cwe =",
            "confidence = 2.0\ncwe =",
            "confidence: must be more than 0",
        ),
        (
            "cwe =",
            "supersedes = [\"r\"]\ncwe =",
            "supersedes[0]: must be another rule",
        ),
        ("cwe =", "cwe =\ncwe =", "r.toml:4:"),
    ] {
        let all = errors(&good.replacen(from, to, 1));
        assert!(all.iter().any(|e| e.contains(wanted)), "{to}: {all:?}");
    }
}

#[test]
fn a_test_that_fails_says_where() {
    let mut rule = rule("all = [{ field = 'port', equals = 22 }]");
    let failures = rule.test();
    assert_eq!(failures.len(), 2);
    assert_eq!((failures[0].line, failures[1].line), (17, 20));
    assert_eq!(failures[0].message, "must match, and does not");
    rule.samples[1].severity = Some(RiskLevel::Info);
    rule.samples[1].matches = true;
    let told = rule.test();
    assert_eq!(told[1].message, "must be of severity info, and is low");
}

#[test]
fn severity_goes_by_exposure() {
    let rule = rule("all = [{ field = 'service', equals = 'redis' }]");
    let redis = || vec![service("tcp/6379", &[("service", "redis")])];
    for (public, wanted) in [
        (None, RiskLevel::Low),
        (Some(true), RiskLevel::High),
        (Some(false), RiskLevel::Low),
    ] {
        assert_eq!(rule.matches(&facts(public, redis()))[0].severity, wanted);
    }
}

#[test]
fn one_finding_a_place_with_bounded_evidence() {
    let rule = rule("all = [{ field = 'service', equals = 'redis' }]");
    let one = |n: usize| {
        let mut one = service("a", &[("service", "redis")]);
        one.confidence = if n == 3 { 0.9 } else { 0.5 };
        one
    };
    let mut all: Vec<_> = (0..25).map(one).collect();
    all.push(service("b", &[("service", "redis")]));
    let facts = facts(None, all);
    let found = rule.matches(&facts);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].total, found[0].evidence.len()), (25, 10));
    assert!((found[0].confidence - 0.9).abs() < 1e-9);
    assert_eq!(found[0].key(), ("r", "a"));
    assert_eq!(found[0].evidence[0].fields[0].0, "service");
}

fn set(files: &[String]) -> (tempfile::TempDir, Loaded) {
    let directory = tempfile::tempdir().unwrap();
    for (at, text) in files.iter().enumerate() {
        fs::write(directory.path().join(format!("{at}.toml")), text).unwrap();
    }
    let loaded = RuleSet::load(&[directory.path().to_owned()]);
    (directory, loaded)
}

const REDIS: &str = "all = [{ field = 'service', equals = 'redis' }]";

#[test]
fn what_another_finding_says_is_not_said_twice() {
    let with = |id: &str, more: &str| text(id, REDIS).replacen("cwe", &format!("{more}\ncwe"), 1);
    let (_directory, loaded) = set(&[
        with("a", "supersedes = [\"b\"]"),
        with("b", "supersedes = [\"a\"]"),
        with("c", "group = \"g\""),
        with("d", "group = \"g\"\nconfidence = 0.5"),
        with("e", ""),
    ]);
    assert_eq!(loaded.errors, []);
    let facts = facts(None, vec![service("tcp/1", &[("service", "redis")])]);
    let found = loaded.rules.evaluate(&facts);
    let told: Vec<_> = found
        .iter()
        .map(|m| (m.rule.id.as_str(), m.also.clone()))
        .collect();
    let wanted = [
        ("a", vec!["b".to_owned()]),
        ("c", vec!["d".to_owned()]),
        ("e", vec![]),
    ];
    assert_eq!(told, wanted);
    // In another place both are told.
    let two = vec![
        service("tcp/1", &[("service", "redis")]),
        service("tcp/2", &[("service", "redis")]),
    ];
    assert_eq!(loaded.rules.evaluate(&self::facts(None, two)).len(), 6);
}

#[test]
fn own_rules_override_and_broken_ones_change_nothing() {
    let (packaged, first) = set(&[text("a", REDIS), text("b", REDIS), text("c", REDIS)]);
    assert_eq!((first.rules.len(), first.errors.len()), (3, 0));
    let own = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(own.path().join(name), text).unwrap();
    write("a.toml", &text("a", REDIS).replace("T a", "Mine"));
    write("b.toml", "id = \"b\"\nenabled = false\n");
    write(
        "c.toml",
        &text("c", "all = [{ field = 'nope', exists = true }]"),
    );
    write("d.toml", &text("d", REDIS));
    write("e.toml", &text("d", REDIS));
    write(".hidden.toml", "broken");
    write("readme.txt", "broken");
    let nowhere = own.path().join("nowhere");
    let loaded = RuleSet::load(&[packaged.path().to_owned(), nowhere, own.path().to_owned()]);
    let titles: Vec<_> = loaded
        .rules
        .iter()
        .map(|rule| rule.title.as_str())
        .collect();
    assert_eq!(titles, ["Mine", "T c", "T d"]);
    assert_eq!(
        loaded
            .rules
            .disabled()
            .map(|(id, _)| id)
            .collect::<Vec<_>>(),
        ["b"]
    );
    let told: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("c.toml:13: match.all[0].field"),
        "{told:?}"
    );
    assert!(
        told[1].contains("another file of the same directory"),
        "{told:?}"
    );
}

#[test]
fn no_rule_is_read_of_a_file_without_end() {
    let long = format!("# {}\n{}", "x".repeat(70_000), text("a", REDIS));
    let (_directory, loaded) = set(&[long]);
    assert!(
        loaded.errors[0].message.contains("longer than"),
        "{:?}",
        loaded.errors
    );
    assert!(loaded.rules.is_empty());
}
