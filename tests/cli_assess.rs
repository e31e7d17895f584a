//! `reconctl assess`, as a user runs it: of a file, of standard input, of a target of a hub.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/rules");
const REDIS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/assess/redis.context.json"
);
const EMPTY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/assess/empty.context.json"
);
const HOSTILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/assess/hostile.context.json"
);
const FEEDS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/engines/assess/vulndb/testdata"
);

fn command(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("reconctl").unwrap();
    command.env_clear().arg("--root").arg(root).args(args);
    command
}

fn assess(root: &Path, args: &[&str]) -> Assert {
    let all = [&["assess", "--rules", RULES], args].concat();
    command(root, &all).assert()
}

fn json_of(assert: &Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

#[test]
fn a_file_needs_neither_hub_nor_database() {
    let root = tempfile::tempdir().unwrap();
    assess(root.path(), &[REDIS]).success().stdout(
        contains("Redis answers without a password")
            .and(contains("way in: Redis without authentication"))
            .and(contains("1. Require a password"))
            .and(contains("Risk is critical")),
    );
    let all = json_of(&assess(root.path(), &[REDIS, "--json"]).success());
    assert_eq!(all["risk_level"], "critical");
    let text = all["narrative"].as_str().unwrap();
    assert!(text.contains("no vulnerability database"), "{text}");
    assess(root.path(), &[REDIS, "--explain"]).success().stdout(
        contains("redis-no-auth tcp/6379")
            .and(contains(" 9.50 base: critical by the rule"))
            .and(contains("scan:kaze_port_scan/tcp/6379"))
            .and(contains("banner: +PONG")),
    );
    let all = [&["assess", "--rules", RULES], ["-", "--jsonl"].as_slice()].concat();
    let piped = command(root.path(), &all)
        .write_stdin(fs::read(REDIS).unwrap())
        .assert()
        .success();
    assert_eq!(json_of(&piped)["risk_level"], "critical");
}

#[test]
fn a_database_adds_known_vulnerabilities() {
    let root = tempfile::tempdir().unwrap();
    let database = root.path().join("vulndb");
    let database = database.to_str().unwrap();
    let feed = format!("{FEEDS}/nvd.json");
    command(
        root.path(),
        &["vulndb", "import", "--database", database, &feed],
    )
    .assert()
    .success();
    assess(root.path(), &[REDIS, "--database", database])
        .success()
        .stdout(contains("CVE-2022-24735 in Redis 6.2.6"));
    // One that was named must be there.
    assess(root.path(), &[REDIS, "--database", "/nowhere/vulndb"])
        .failure()
        .stderr(contains("no database"));
}

#[test]
fn what_is_no_context_is_told() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("x.json");
    fs::write(
        &file,
        r#"{"success":true,"target":"x","as_of":"2026-01-01T00:00:00Z","ports":[{"port":1}]}"#,
    )
    .unwrap();
    assess(root.path(), &[file.to_str().unwrap()])
        .code(2)
        .stderr(contains("is no context: ports[0]"));
    // What a hub says instead of a context is not one of which nothing is known.
    for (text, why) in [
        (
            r#"{"success":false,"error":"no token"}"#,
            "is no context: no token",
        ),
        ("{}", "`success` is not true"),
        (r#"{"success":true}"#, "`eggrecord_id` is missing"),
        (
            r#"{"success":true,"eggrecord_id":"00000000-0000-4000-8000-000000000001"}"#,
            "`as_of` is missing",
        ),
        ("[1]", "it is no JSON object"),
    ] {
        fs::write(&file, text).unwrap();
        assess(root.path(), &[file.to_str().unwrap()])
            .code(2)
            .stdout("")
            .stderr(contains(why));
    }
    assess(root.path(), &["nowhere.json"])
        .failure()
        .stderr(contains("cannot read nowhere.json"));
}

/// Neither is taken for an answer: no rules at all, and what nobody looked at.
#[test]
fn silence_is_no_all_clear() {
    let root = tempfile::tempdir().unwrap();
    command(root.path(), &["assess", REDIS])
        .assert()
        .code(1)
        .stderr(contains("there are no rules in ").and(contains("/usr/share/recon/rules")));
    command(root.path(), &["assess", REDIS, "--rules", "/nowhere"])
        .assert()
        .code(2)
        .stderr(contains("--rules /nowhere: there is no such directory"));
    assess(root.path(), &[EMPTY]).success().stdout(
        contains("not looked at: known vulnerabilities of versions (no database")
            .and(contains("not looked at: open ports"))
            .and(contains("not looked at: pages, headers and cookies")),
    );
    assess(root.path(), &[REDIS])
        .success()
        .stdout(contains("not looked at: open ports").not());
}

#[test]
fn nothing_that_strangers_say_steers_a_terminal() {
    let root = tempfile::tempdir().unwrap();
    let shown = assess(root.path(), &[HOSTILE, "--explain", "--color", "never"]).success();
    let text = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    let acts = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{200b}' | '\u{202e}');
    assert!(!text.contains(acts), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_asked_of_the_hub() {
    let hub = MockServer::start().await;
    let context: Value = serde_json::from_slice(&fs::read(REDIS).unwrap()).unwrap();
    let id = context["eggrecord_id"].as_str().unwrap().to_owned();
    let target = json!({ "targets": [{
        "id": id, "target": "cache.example", "alive": true, "skip_scan": false,
        "created_at": "2026-01-01T00:00:00Z", "work": [] }] });
    Mock::given(method("GET"))
        .and(path("/api/targets"))
        .and(query_param("target", "cache.example"))
        .respond_with(ResponseTemplate::new(200).set_body_json(target))
        .mount(&hub)
        .await;
    Mock::given(method("GET"))
        .and(path(format!("/api/daemon/ryu/context/{id}/")))
        .respond_with(ResponseTemplate::new(200).set_body_json(context))
        .mount(&hub)
        .await;
    Mock::given(method("GET"))
        .and(path("/api/targets"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "targets": [] })))
        .with_priority(9)
        .mount(&hub)
        .await;
    let url = hub.uri();
    tokio::task::spawn_blocking(move || {
        let root = tempfile::tempdir().unwrap();
        let known = assess(root.path(), &["cache.example", "--hub", &url, "--json"]).success();
        assert_eq!(json_of(&known)["target"], "cache.example");
        assess(root.path(), &["nobody.example", "--hub", &url])
            .failure()
            .stderr(contains("there is no target"));
    })
    .await
    .unwrap();
}
