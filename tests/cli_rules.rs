//! The verbs of `reconctl rules`, as a user runs them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;

const PACKAGED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/rules");

fn run(root: &Path, args: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("reconctl").unwrap();
    let command = command.env_clear().arg("--root").arg(root).arg("rules");
    command.args(args).assert()
}

fn json(assert: &Assert) -> serde_json::Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// A root with the package's rules and these of its own.
fn bed(own: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let packaged = root.path().join("usr/share/recon/rules");
    fs::create_dir_all(&packaged).unwrap();
    for name in ["redis-no-auth", "redis-exposed", "telnet"] {
        let file = format!("{name}.toml");
        fs::copy(Path::new(PACKAGED).join(&file), packaged.join(&file)).unwrap();
    }
    let local = root.path().join("etc/recon/rules.d");
    fs::create_dir_all(&local).unwrap();
    for (name, text) in own {
        fs::write(local.join(name), text).unwrap();
    }
    root
}

#[test]
fn the_package_is_sound() {
    let root = tempfile::tempdir().unwrap();
    run(root.path(), &["lint", "--rules", PACKAGED])
        .success()
        .stdout(contains("no errors: "));
    run(root.path(), &["test", "--rules", PACKAGED])
        .success()
        .stdout(contains(": 0 failed"));
    let list = json(&run(root.path(), &["list", "--json", "--rules", PACKAGED]).success());
    assert!(list["rules"].as_array().unwrap().len() >= 120);
}

#[test]
fn lists_are_filtered_and_one_is_shown() {
    let bed = bed(&[]);
    run(bed.path(), &["list"])
        .success()
        .stdout(contains("low..high").and(contains("Redis answers without a password")));
    let args = ["list", "--severity", "critical", "--json"];
    let list = json(&run(bed.path(), &args).success());
    assert_eq!(list["rules"].as_array().unwrap().len(), 1);
    run(bed.path(), &["list", "--subject", "nothing"]).code(2);
    run(bed.path(), &["show", "redis-no-auth"])
        .success()
        .stdout(
            contains("CWE-306")
                .and(contains("redis-exposed"))
                .and(contains("[match]\nsubject = \"service\"\n")),
        );
    let shown = json(&run(bed.path(), &["--json", "show", "telnet"]).success());
    assert_eq!(shown["severity"]["public"], "high");
    assert_eq!(shown["match"]["subject"], "service");
    run(bed.path(), &["show", "redis-no-aut"])
        .code(1)
        .stderr(contains("did you mean \"redis-no-auth\"?"));
}

#[test]
fn a_broken_rule_of_ones_own_is_refused_and_the_rest_holds() {
    let broken = fs::read_to_string(Path::new(PACKAGED).join("telnet.toml")).unwrap();
    let broken = broken.replacen("field = \"service\"", "field = \"servise\"", 1);
    let bed = bed(&[
        ("telnet.toml", &broken),
        ("off.toml", "id = \"redis-exposed\"\nenabled = false\n"),
    ]);
    run(bed.path(), &["list"])
        .success()
        .stdout(contains("telnet"))
        .stderr(contains("not in force: ").and(contains("did you mean \"service\"?")));
    run(bed.path(), &["show", "redis-exposed"])
        .code(1)
        .stderr(contains("is switched off by"));
    run(bed.path(), &["lint"])
        .code(2)
        .stderr(contains("rules.d/telnet.toml:").and(contains("match.all[0].field:")));
    let file = bed.path().join("etc/recon/rules.d/telnet.toml");
    run(bed.path(), &["test", file.to_str().unwrap()]).code(2);
}

#[test]
fn a_test_that_fails_is_told_with_its_line() {
    let wrong = fs::read_to_string(Path::new(PACKAGED).join("telnet.toml")).unwrap();
    let wrong = wrong.replace("match = false", "match = true\nabout = \"\\u001b[2J\"");
    let wrong = format!("{wrong}\n[[test]]\nmatch = false\nfacts = {{ service = \"ssh\" }}\n");
    let bed = bed(&[("telnet.toml", &wrong)]);
    run(bed.path(), &["test"])
        .code(1)
        .stdout(contains("1 failed"))
        .stderr(contains("telnet: must match, and does not"));
    let told = json(&run(bed.path(), &["--json", "test"]).code(1));
    assert_eq!(told["failures"][0]["rule"], "telnet");
}

/// What an assessment by no rules says is not that nothing is wrong.
#[test]
fn that_there_are_no_rules_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    for verb in ["list", "lint", "test"] {
        run(root.path(), &[verb])
            .code(1)
            .stderr(contains("there are no rules in "));
    }
    run(root.path(), &["list", "--rules", "/nowhere"])
        .code(2)
        .stderr(contains("no such directory"));
}

#[test]
fn a_switch_for_no_rule_is_told() {
    let bed = bed(&[("off.toml", "id = \"telnt\"\nenabled = false\n")]);
    let told = "switches off \"telnt\", which is no rule; did you mean \"telnet\"?";
    run(bed.path(), &["lint"]).success().stderr(contains(told));
    run(bed.path(), &["list"]).success().stderr(contains(told));
    // Alone it cannot be told.
    let file = bed.path().join("etc/recon/rules.d/off.toml");
    run(bed.path(), &["lint", file.to_str().unwrap()])
        .success()
        .stderr("");
}

#[test]
fn fields_are_listed() {
    let root = tempfile::tempdir().unwrap();
    run(root.path(), &["fields", "http"])
        .success()
        .stdout(contains("header.NAME").and(contains("status")));
    let all = json(&run(root.path(), &["fields", "--json"]).success());
    let kinds: std::collections::BTreeSet<_> = all["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.len(), 11);
}
