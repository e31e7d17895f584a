//! `reconctl report` against a hub.
#![allow(clippy::unwrap_used)]

mod hub_support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use chrono::TimeDelta;
use hub_support::Bed;
use serde_json::{Value, json};
use tokio::process::Command;

async fn run(bed: &Bed, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reconctl"))
        .args(["--hub", &bed.url(""), "report"])
        .args(args)
        .current_dir(bed.directory())
        .output()
        .await
        .unwrap()
}

/// What it prints; it must end with this code.
async fn out(bed: &Bed, code: i32, args: &[&str]) -> String {
    let done = run(bed, args).await;
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{args:?}: {err}");
    String::from_utf8(done.stdout).unwrap()
}

async fn err(bed: &Bed, code: i32, args: &[&str]) -> String {
    let done = run(bed, args).await;
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(code), "{args:?}: {err}");
    err
}

/// The targets of a report.
async fn targets(bed: &Bed, args: &[&str]) -> Vec<String> {
    let text = out(bed, 0, &[&["--format", "json"], args].concat()).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    let targets = report["targets"].as_array().unwrap();
    let names = targets
        .iter()
        .map(|t| t["target"].as_str().unwrap().to_owned());
    names.collect()
}

async fn assess(bed: &Bed, id: &str, target: &str, severity: &str) {
    let finding = json!({
        "key": "redis-no-auth tcp/6379", "type": "redis-no-auth", "title": "<b>Redis</b> without a login",
        "severity": severity, "location": "tcp/6379", "reason": "Anybody may read it.",
        "priority": { "score": 95.0, "factors": [{ "name": "base", "value": 9.5, "why": "its rule" }] },
    });
    let body = json!({
        "eggrecord_id": id, "target": target, "risk_level": severity, "threat_summary": "Open database",
        "vulnerabilities": [finding], "attack_vectors": [], "remediation_priorities": [], "narrative": "N.",
    });
    let (status, answer) = bed
        .post("/api/daemon/ryu/assessment?agent=ryu@a", body)
        .await;
    assert_eq!(status, 200, "{answer}");
}

async fn scan(bed: &Bed, id: &str, ports: &[u16]) {
    let open: Vec<_> = ports.iter().map(|port| json!({ "port": port })).collect();
    let body = json!({
        "eggrecord_id": id, "target": "t", "scan_type": "kaze_port_scan",
        "result": { "success": true, "ports_scanned": 1000, "open_ports": open },
    });
    let (status, answer) = bed.post("/api/daemon/kaze/scan?agent=kaze@a", body).await;
    assert_eq!(status, 200, "{answer}");
}

/// 10.0.0.1 (critical) and 10.0.1.1 (low), both assessed, and 10.0.0.2, which is not; the first two are of
/// the group lab.
async fn filled() -> Bed {
    let bed = Bed::start().await;
    let list: Vec<_> = [
        ("10.0.0.1", "lab"),
        ("10.0.0.2", "lab"),
        ("10.0.1.1", "office"),
    ]
    .map(|(target, group)| json!({ "target": target, "group": group }))
    .to_vec();
    let (status, answer) = bed.post("/api/targets", json!({ "targets": list })).await;
    assert_eq!(status, 200, "{answer}");
    let ids: Vec<_> = answer["created"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| hub_support::text(&t["id"]))
        .collect();
    scan(&bed, &ids[0], &[22, 6379]).await;
    assess(&bed, &ids[0], "10.0.0.1", "critical").await;
    assess(&bed, &ids[2], "10.0.1.1", "low").await;
    bed
}

#[tokio::test]
async fn targets_are_chosen_by_name_group_and_network() {
    let bed = filled().await;
    assert_eq!(targets(&bed, &[]).await, ["10.0.0.1", "10.0.1.1"]);
    assert_eq!(targets(&bed, &["lab"]).await, ["10.0.0.1"]);
    assert_eq!(
        targets(&bed, &["10.0.1.1", "lab", "10.0.0.1"]).await,
        ["10.0.0.1", "10.0.1.1"]
    );
    // By name it is in, assessed or not.
    assert_eq!(targets(&bed, &["10.0.0.2"]).await, ["10.0.0.2"]);
    bed.add_one("10.0.0.0/24").await;
    assert_eq!(targets(&bed, &["10.0.0.0/24"]).await, ["10.0.0.1"]);
    // A network need not be a target itself.
    assert_eq!(
        targets(&bed, &["10.0.0.0/23"]).await,
        ["10.0.0.1", "10.0.1.1"]
    );
    let problem = err(&bed, 1, &["nobody"]).await;
    assert!(
        problem.contains("there is no target and no group"),
        "{problem}"
    );
    let text = out(&bed, 0, &["lab"]).await;
    assert!(
        text.contains("Left out: 1 target without an assessment."),
        "{text}"
    );
    bed.end().await;
}

#[tokio::test]
async fn a_pipeline_stops_when_something_is_as_bad() {
    let bed = filled().await;
    let problem = err(&bed, 7, &["--format", "csv", "--fail-on", "high"]).await;
    assert_eq!(problem, "reconctl: 1 open finding is high or worse\n");
    let problem = err(&bed, 7, &["--fail-on", "low", "--min-severity", "critical"]).await;
    assert_eq!(problem, "reconctl: 2 open findings are low or worse\n");
    out(&bed, 0, &["10.0.1.1", "--fail-on", "high"]).await;
    // The report is written all the same.
    let table = out(&bed, 7, &["--format", "csv", "--fail-on", "critical"]).await;
    assert_eq!(table.lines().count(), 3);
    bed.end().await;
}

#[tokio::test]
async fn a_pipeline_is_not_told_that_all_is_well_where_nothing_is_known() {
    let bed = filled().await;
    let problem = err(&bed, 1, &["10.0.0.2", "--fail-on", "critical"]).await;
    assert!(
        problem
            .contains("whether a finding is critical is not known: 1 target has not been assessed"),
        "{problem}"
    );
    // What is known suffices.
    out(&bed, 7, &["10.0.0.2", "10.0.0.1", "--fail-on", "critical"]).await;
    err(&bed, 1, &["10.9.0.0/16", "--fail-on", "high"]).await;
    for name in ["nobody", "", "."] {
        let problem = err(&bed, 1, &[name, "--fail-on", "high"]).await;
        assert!(
            problem.contains("there is no target and no group"),
            "{problem}"
        );
    }
    let said = err(&bed, 7, &["lab", "--fail-on", "high"]).await;
    assert_eq!(said, "reconctl: 1 open finding is high or worse\n");
    // Whose reader goes away has the same verdict.
    let line = format!(
        "{} --hub {} report --fail-on high | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_reconctl"),
        bed.url("")
    );
    let done = Command::new("bash").args(["-c", &line]).output().await;
    assert_eq!(done.unwrap().status.code(), Some(7));
    bed.end().await;
}

#[tokio::test]
async fn the_form_is_that_of_option_or_file() {
    let bed = filled().await;
    let report: Value = serde_json::from_str(&out(&bed, 0, &["--json"]).await).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["targets"][0]["open_ports"][1]["port"], 6379);
    assert!(
        out(&bed, 0, &[])
            .await
            .starts_with("# Attack surface: all that was assessed\n")
    );
    err(&bed, 2, &["--jsonl"]).await;
    err(&bed, 2, &["--json", "--format", "csv"]).await;
    let problem = err(&bed, 2, &["-o", "r.pdf"]).await;
    assert!(problem.contains("--format"), "{problem}");
    assert!(!bed.directory().join("r.pdf").exists());
    for (name, begin) in [
        ("r.html", "<!DOCTYPE html>"),
        ("r.md", "# "),
        ("r.json", "{"),
        ("r.sarif", "{\"$schema\""),
        ("r.csv", "target,group,"),
    ] {
        assert_eq!(out(&bed, 0, &["-o", name]).await, "");
        let text = std::fs::read_to_string(bed.directory().join(name)).unwrap();
        assert!(text.starts_with(begin), "{name}: {text}");
        // Programs read it as it is; people's forms have no tags of strangers.
        let people = name.ends_with("html") || name.ends_with("md");
        assert!(!people || !text.contains("<b>"), "{name}");
        // The same again.
        out(&bed, 0, &["-o", name]).await;
        assert_eq!(
            std::fs::read_to_string(bed.directory().join(name)).unwrap(),
            text
        );
    }
    bed.end().await;
}

#[tokio::test]
async fn a_file_is_replaced_in_one_step() {
    let bed = filled().await;
    let at = |name: &str| bed.directory().join(name);
    std::fs::write(at("real.md"), "old").unwrap();
    std::fs::set_permissions(at("real.md"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.md", at("link.md")).unwrap();
    out(&bed, 0, &["-o", "link.md"]).await;
    assert!(at("link.md").is_symlink());
    assert!(
        std::fs::read_to_string(at("real.md"))
            .unwrap()
            .starts_with("# ")
    );
    let mode = std::fs::metadata(at("real.md"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    // What is no file is written to.
    out(&bed, 0, &["-o", "/dev/null"]).await;
    assert!(!Path::new("/dev/null").is_file());
    let problem = err(&bed, 1, &["-o", "nowhere/r.md"]).await;
    assert!(problem.contains("cannot write nowhere/r.md"), "{problem}");
    let left = std::fs::read_dir(bed.directory()).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".reconctl-report-")
    });
    assert_eq!(left.count(), 0);
    bed.end().await;
}

#[tokio::test]
async fn changes_are_those_since_the_assessment_before() {
    let bed = filled().await;
    let (_, list) = bed.get("/api/targets?target=10.0.0.1").await;
    let id = hub_support::text(&list["targets"][0]["id"]);
    bed.clock.advance(TimeDelta::hours(1));
    scan(&bed, &id, &[22, 80, 6379]).await;
    bed.clock.advance(TimeDelta::hours(1));
    assess(&bed, &id, "10.0.0.1", "high").await;
    let text = out(&bed, 0, &["10.0.0.1"]).await;
    assert!(text.contains("| port opened | 80/tcp |"), "{text}");
    assert!(
        text.contains("It was critical in the assessment before."),
        "{text}"
    );
    bed.end().await;
}
