//! The verbs of `reconctl scope`, as a user runs them; what they do to a real firewall is shown in
//! tests/system/scenarios.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;

struct Bed(tempfile::TempDir);

impl Bed {
    fn new(fleet: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/recon")).unwrap();
        fs::write(root.path().join("etc/recon/recon.toml"), fleet).unwrap();
        fs::write(
            root.path().join("etc/resolv.conf"),
            "nameserver 10.0.0.53\n",
        )
        .unwrap();
        Self(root)
    }

    fn run(&self, args: &[&str]) -> Assert {
        let mut command = Command::cargo_bin("reconctl").unwrap();
        command
            .env_clear()
            .arg("--root")
            .arg(self.0.path())
            .arg("scope")
            .args(args)
            .assert()
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(&[&["--json"], args].concat());
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    }
}

const SCOPE: &str = "[scope]\nallow = [\"127.0.0.0/8\", \"10.20.0.0/16\", \"*.invalid\"]\n\
                     deny = [\"10.20.99.0/24\"]\n";

#[test]
fn check_names_the_rule_and_its_exit_code_says_it_all() {
    let bed = Bed::new(SCOPE);
    bed.run(&["check", "10.20.1.1", "10.20.0.0/24"])
        .success()
        .stdout(contains("scope.allow 10.20.0.0/16").count(2));
    bed.run(&["check", "10.20.1.1", "10.20.99.1"])
        .code(1)
        .stdout(contains("scope.deny 10.20.99.0/24"));
    bed.run(&["check", "169.254.169.254"])
        .code(1)
        .stdout(contains("link-local addresses need"));
    bed.run(&["check"]).code(2);
}

#[test]
fn check_asks_for_the_addresses_of_a_name() {
    let bed = Bed::new(SCOPE);
    let verdicts = bed.json(&["check", "localhost"]);
    let verdicts = verdicts["targets"].as_array().unwrap();
    let v4 = verdicts.iter().find(|v| v["address"] == "127.0.0.1");
    assert_eq!(v4.unwrap()["rule"], "scope.allow 127.0.0.0/8");
    assert_eq!(v4.unwrap()["allowed"], true);
    // RFC 6761: this name never resolves.
    bed.run(&["check", "x.invalid"])
        .success()
        .stdout(contains("scope.allow *.invalid (does not resolve"));
    bed.run(&["check", "--jsonl", "10.20.1.1", "10.20.99.1"])
        .code(1)
        .stdout(contains("\n").count(2));
}

#[test]
fn show_says_where_rules_come_from_and_what_cannot_be_resolved() {
    let bed = Bed::new(SCOPE);
    bed.run(&["show"])
        .success()
        .stdout(predicate::str::is_match("deny +10.20.99.0/24 +.*recon.toml:3").unwrap())
        .stdout(contains("*.invalid").and(contains("cannot be resolved beforehand")))
        .stdout(contains("systemd is not reached"));
    let shown = bed.json(&["show"]);
    assert_eq!(shown["rules"][3]["kind"], "deny");
    assert_eq!(shown["firewall"]["addresses"], serde_json::Value::Null);
}

#[test]
fn a_dry_refresh_sets_nothing() {
    let bed =
        Bed::new("[fleet]\nhub = \"http://localhost:9000\"\n[scope]\nallow = [\"x.invalid\"]\n");
    bed.run(&["refresh", "--dry-run"])
        .success()
        .stdout(contains("would let through").and(contains("10.0.0.53")))
        .stderr(contains("cannot resolve x.invalid").and(contains("nothing is open for it")));
    assert!(!bed.0.path().join("run").exists());
    let nothing = Bed::new("");
    let refreshed = nothing.json(&["refresh", "--dry-run"]);
    assert_eq!(refreshed["addresses"], serde_json::json!([]));
}

#[test]
fn refresh_is_for_this_host_and_for_a_good_fleet_file() {
    let bed = Bed::new(SCOPE);
    bed.run(&["--user", "refresh"])
        .code(2)
        .stderr(contains("this host's own systemd"));
    Bed::new("[scope]\nallow = 3\n")
        .run(&["refresh"])
        .code(2)
        .stderr(contains("scope.allow"));
}
