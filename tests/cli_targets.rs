//! `reconctl targets`, `scans` and `findings` against a hub.
#![allow(clippy::unwrap_used)]

mod hub_support;

use std::process::Stdio;

use hub_support::{Bed, scan, scope};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

async fn ctl_with(hub: &str, args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reconctl"))
        .args(["--hub", hub])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end before it has read all.
    let feed = tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    let output = child.wait_with_output().await.unwrap();
    drop(feed.await);
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn ctl(bed: &Bed, args: &[&str]) -> Ran {
    ctl_with(&bed.url(""), args, "").await
}

async fn json_of(bed: &Bed, args: &[&str]) -> Value {
    serde_json::from_str(&ctl(bed, args).await.out).unwrap()
}

#[tokio::test]
async fn an_import_reports_each_bad_line() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &["10.9.0.0/16"])).await;
    let input = "ip,group\n10.0.0.1,web\n10.9.0.1,\nhttp://x/,\n10.0.0.2,\n10.0.0.0/16,\n,\n";
    let ran = ctl_with(
        &bed.url(""),
        &["targets", "import", "-", "--group", "lab", "--project", "p"],
        input,
    )
    .await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.out, "added 3, known 0, bad 2, out of scope 1\n");
    for line in [
        "-:3: 10.9.0.1 is out of scope: scope.deny 10.9.0.0/16",
        "-:4: http://x/ must be a host name",
        "-:7: has no target",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    let list = json_of(&bed, &["targets", "list", "--project", "p", "--json"]).await;
    let groups: Vec<_> = list["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["group"])
        .collect();
    assert_eq!(groups, ["web", "lab", "lab"]);
}

#[tokio::test]
async fn an_import_of_many_goes_in_batches() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts.json");
    let hosts: Vec<String> = (0..25_000)
        .map(|n| {
            format!(
                "{{ \"ip\": \"10.0.{}.{}\", \"ports\": [] }}",
                n / 250,
                n % 250
            )
        })
        .collect();
    std::fs::write(&file, format!("[\n{}\n]\n", hosts.join(",\n"))).unwrap();
    let file = file.to_str().unwrap();
    let ran = ctl(&bed, &["targets", "import", file, "--json"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let summary: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(summary["created"], 25_000);
    let ran = ctl(
        &bed,
        &["targets", "import", file, "--format", "masscan-json"],
    )
    .await;
    assert_eq!(ran.out, "added 0, known 25,000\n");
    let shown = ctl(&bed, &["targets", "list", "--jsonl"]).await;
    assert_eq!(shown.out.lines().count(), 1000);
    assert!(
        shown.err.contains("1000 shown, there are more"),
        "{}",
        shown.err
    );
    let all = ctl(&bed, &["targets", "list", "--jsonl", "--all"]).await;
    assert_eq!((all.out.lines().count(), all.err.as_str()), (25_000, ""));
    let missing = ctl(&bed, &["targets", "import", "/nonexistent"]).await;
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.contains("cannot read /nonexistent"),
        "{}",
        missing.err
    );
}

#[tokio::test]
async fn another_host_is_not_mistaken_for_this_one() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &[])).await;
    let added = ctl(&bed, &["targets", "add", "10.0.0.1", "a b"]).await;
    assert_eq!(added.code, 1);
    assert!(
        added.err.starts_with("reconctl: \"a b\" must be"),
        "{}",
        added.err
    );
    let run = || {
        let mut command = assert_cmd::Command::cargo_bin("reconctl").unwrap();
        command.args(["-H", "ops@other.example", "targets", "list"]);
        command.assert().code(2).get_output().clone()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("name the hub with --hub"), "{error}");
    bed.end().await;
}

#[tokio::test]
async fn targets_are_shown_set_aside_and_exported() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &["10.9.0.0/16"])).await;
    let added = ctl(&bed, &["targets", "add", "10.0.0.0/8", "10.0.0.1"]).await;
    assert_eq!(
        added.out,
        "added 10.0.0.0/8\nadded 10.0.0.1\nleft out 10.9.0.0/16: scope.deny 10.9.0.0/16\n"
    );
    bed.lease("kaze", "kaze@a", 2).await;
    let net = ctl(&bed, &["targets", "show", "10.0.0.0/8"]).await.out;
    assert!(net.contains("256 of 16777216"), "{net}");
    let host = ctl(&bed, &["targets", "show", "10.0.0.1"]).await.out;
    assert!(
        host.contains("kaze@a") && host.contains("in work"),
        "{host}"
    );

    let skipped = ctl(&bed, &["targets", "skip", "10.0.0.0/8", "10.7.7.7"]).await;
    assert_eq!(
        (skipped.code, skipped.out.as_str()),
        (1, "skipped 10.0.0.0/8\n")
    );
    let list = json_of(&bed, &["targets", "list", "--skipped", "true", "--json"]).await;
    assert_eq!(list["targets"][0]["target"], "10.0.0.0/8");
    assert_eq!(
        bed.lease("kaze", "kaze@a", 1).await.len(),
        0,
        "what it brought is left alone, too"
    );
    ctl(&bed, &["targets", "skip", "--expanded", "10.0.0.0/8"]).await;
    assert_eq!(bed.lease("kaze", "kaze@a", 1).await.len(), 0);
    let undone = ctl(&bed, &["targets", "unskip", "--expanded", "10.0.0.0/8"]).await;
    assert_eq!(bed.lease("kaze", "kaze@a", 1).await.len(), 1);
    assert_eq!(undone.out, "unskipped 10.0.0.0/8\n");

    let csv = ctl(
        &bed,
        &[
            "targets", "list", "--csv", "--sort", "-target", "--limit", "2",
        ],
    )
    .await;
    assert_eq!(csv.out.lines().count(), 3, "{}{}", csv.out, csv.err);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.jsonl");
    let ran = ctl(&bed, &["targets", "export", "-o", file.to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    // What was put off meanwhile comes back within an hour; the network brought others at once.
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 513);

    let gone = ctl(&bed, &["targets", "rm", "--expanded", "10.0.0.0/8"]).await;
    assert_eq!(gone.out, "removed 10.0.0.0/8\n");
    let left = json_of(&bed, &["targets", "list", "--json"]).await;
    assert_eq!(left["targets"].as_array().unwrap().len(), 1);
    bed.end().await;
}

#[tokio::test]
async fn scans_are_exported() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    bed.post("/api/daemon/kaze/scan/", scan(&id, "kaze")).await;
    let rows = ctl(&bed, &["scans", "export"]).await.out;
    let row: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(row["open_ports"][0]["port"], 22);
    let table = ctl(&bed, &["scans", "export", "--format", "csv", "--type", "x"])
        .await
        .out;
    assert_eq!(table.lines().count(), 1);
    let table = ctl(&bed, &["scans", "list", "--csv"]).await.out;
    assert!(
        table.lines().nth(1).unwrap().contains(",22/tcp/ssh,"),
        "{table}"
    );
}

#[tokio::test]
async fn what_spiders_found_is_listed() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let input = json!({ "name": "q\u{1b}[2J", "type": "text" });
    let result = json!({
        "success": true, "run_id": "r1", "complete": true,
        "pages": [{ "url": "http://127.0.0.1/a", "status": 200, "title": "A" },
                  { "url": "http://127.0.0.1/b", "status": 500 }],
        "forms": [{ "page": "http://127.0.0.1/a", "method": "POST", "action": "http://127.0.0.1/f",
                    "inputs": [input] }],
        "endpoints": [{ "url": "/api/x", "method": "GET", "parameters": ["p", "q"],
                        "source": "http://127.0.0.1/a", "kind": "request" }],
    });
    let body = json!({ "eggrecord_id": id, "target": "127.0.0.1", "result": result });
    let (status, answer) = bed
        .post("/reconnaissance/api/daemon/kumo/spider/", body)
        .await;
    assert_eq!(status, 200, "{answer}");
    let list = async |args: &[&str]| ctl(&bed, args).await;
    let all = json_of(&bed, &["pages", "127.0.0.1", "--json"]).await;
    assert_eq!(all["pages"].as_array().unwrap().len(), 2);
    let failing = list(&["pages", &id, "--status", "500", "--jsonl"])
        .await
        .out;
    assert_eq!(failing.lines().count(), 1, "{failing}");
    let forms = list(&["forms", "127.0.0.1", "--method", "post"]).await.out;
    assert!(
        forms.contains("http://127.0.0.1/f") && forms.contains(":text"),
        "{forms}"
    );
    assert!(!forms.contains('\u{1b}'), "{forms}");
    let csv = list(&["endpoints", "127.0.0.1", "--contains", "api", "--csv"])
        .await
        .out;
    assert!(csv.contains("/api/x,GET,p q"), "{csv}");
    let missing = list(&["endpoints", "127.0.0.9"]).await;
    assert_eq!((missing.code, missing.err.contains("no target")), (1, true));
}

#[tokio::test]
async fn findings_are_listed_page_by_page() {
    let server = MockServer::start().await;
    let finding = |n: u32| {
        json!({ "id": n, "target": "10.0.0.1", "type": "secret", "severity": "high",
                "title": "=key\u{1b}[2J", "status": "open", "priority": 80.5, "location": "/", "first_seen_at": "2026-11-21T06:00:00Z",
                "last_seen_at": "2026-11-21T07:00:00Z" })
    };
    let page = |rows: Value, next: Value| {
        ResponseTemplate::new(200).set_body_json(json!({ "findings": rows, "next": next }))
    };
    Mock::given(method("GET"))
        .and(path("/api/findings"))
        .and(query_param("severity", "high"))
        .and(query_param("cursor", "c2"))
        .respond_with(page(json!([finding(2)]), Value::Null))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/api/findings"))
        .and(query_param("severity", "high"))
        .respond_with(page(json!([finding(1)]), json!("c2")))
        .mount(&server)
        .await;
    let args = ["findings", "list", "--severity", "high"];
    let list = async |more: &[&str]| ctl_with(&server.uri(), &[&args, more].concat(), "").await;
    let all: Value = serde_json::from_str(&list(&["--json"]).await.out).unwrap();
    assert_eq!(all["findings"].as_array().unwrap().len(), 2);
    let one = list(&["--jsonl", "--limit", "1"]).await;
    assert_eq!(one.out.lines().count(), 1);
    assert!(one.err.contains("there are more"), "{}", one.err);
    let table = list(&[]).await.out;
    assert!(table.contains("high") && table.contains("80.5"), "{table}");
    assert!(
        table.contains("06:00") && !table.contains('\u{1b}'),
        "{table}"
    );

    let csv = "id,title\n1,'=key\n";
    Mock::given(method("GET"))
        .and(path("/api/findings"))
        .and(query_param("severity", "high"))
        .and(query_param("format", "csv"))
        .respond_with(ResponseTemplate::new(200).set_body_string(csv))
        .with_priority(1)
        .mount(&server)
        .await;
    assert_eq!(list(&["--csv"]).await.out, csv);
    let export = [
        "findings",
        "export",
        "--severity",
        "high",
        "--format",
        "csv",
    ];
    assert_eq!(ctl_with(&server.uri(), &export, "").await.out, csv);
}

#[tokio::test]
async fn findings_are_decided_upon() {
    let bed = Bed::with(scope(&["127.0.0.0/8"], &[])).await;
    let id = bed.add_one("127.0.0.1").await;
    let entry = |key: &str, severity: &str| {
        json!({ "key": key, "title": format!("Title of {key}"), "type": "telnet",
                "severity": severity, "location": key, "remediation": "Use SSH",
                "priority": { "score": 70.0, "factors": [] } })
    };
    let mut unsure = entry("tcp/25", "critical");
    unsure["confidence"] = json!(0.4);
    let list = [entry("tcp/23", "high"), entry("tcp/24", "low"), unsure];
    let body = json!({ "eggrecord_id": id, "target": "127.0.0.1", "vulnerabilities": list });
    let (status, answer) = bed
        .post("/reconnaissance/api/daemon/ryu/assessment/", body)
        .await;
    assert_eq!(status, 200, "{answer}");
    let all = json_of(&bed, &["findings", "list", "--severity", "high", "--json"]).await;
    let finding = all["findings"][0]["id"].as_str().unwrap().to_owned();

    // What it ends with does not depend on how much it shows.
    let fails = async |args: &[&str]| {
        let args = [&["findings", "list", "--fail-on"], args].concat();
        ctl(&bed, &args).await.code
    };
    assert_eq!(fails(&["high"]).await, 7);
    assert_eq!(
        fails(&["high", "--limit", "1", "--sort", "-created"]).await,
        7
    );
    // What is hardly sure is there, and no alarm.
    assert_eq!(fails(&["critical"]).await, 0);
    assert_eq!(fails(&["low", "--status", "fixed"]).await, 0);
    assert_eq!(fails(&["high", "--target", "127.0.0.1"]).await, 7);
    assert_eq!(fails(&["critical", "--target", "127.0.0.1"]).await, 0);
    // Nothing is known of these: that is not that nothing is found.
    bed.add_one("127.0.0.2").await;
    assert_eq!(fails(&["low", "--target", "127.0.0.2"]).await, 1);
    assert_eq!(fails(&["low", "--target", "127.0.0.3"]).await, 1);
    assert_eq!(fails(&["low", "--group", "nobody"]).await, 1);
    assert_eq!(fails(&["low", "--group", ""]).await, 2);
    assert_eq!(fails(&["low", "--target", ""]).await, 2);
    assert_eq!(fails(&["worst"]).await, 2);

    let one = ctl(&bed, &["findings", "show", &finding]).await;
    assert!(
        one.out.contains("Use SSH") && one.out.contains("tcp/23"),
        "{}",
        one.out
    );
    let do_with = async |args: &[&str]| ctl(&bed, &[&["findings"], args].concat()).await;
    let accept = ["accept", &finding, "--reason", "old lab"];
    let done = do_with(&[&accept[..], &["--for", "90d"]].concat()).await;
    assert_eq!(done.code, 0, "{}", done.err);
    let said = done.out;
    assert!(
        said.starts_with("accepted Title of tcp/23 on 127.0.0.1 until 20"),
        "{said}"
    );
    assert_eq!(fails(&["high"]).await, 0);
    let shown = do_with(&["show", &finding]).await.out;
    assert!(
        shown.contains("accepted until") && shown.contains(": old lab"),
        "{shown}"
    );
    assert_eq!(
        do_with(&[&accept[..], &["--until", "2020-01-01"]].concat())
            .await
            .code,
        1
    );
    assert_eq!(
        do_with(&["accept", &finding]).await.code,
        2,
        "it needs a reason"
    );
    let none = do_with(&["false-positive", &finding, "--reason", "no", "--json"]).await;
    let none: Value = serde_json::from_str(&none.out).unwrap();
    assert_eq!(none["finding"]["status"], "false_positive");
    assert_eq!(do_with(&["reopen", &finding]).await.code, 0);
    assert_eq!(fails(&["high"]).await, 7);
    let unknown = do_with(&["reopen", &id]).await;
    assert_eq!(
        (unknown.code, unknown.err.contains("no finding")),
        (1, true)
    );
    let table = do_with(&["list", "--status", "open"]).await.out;
    assert!(table.starts_with("SEVERITY"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    bed.end().await;
}
