//! Requests to the earlier server and its answers, as they were captured, sent to ours: each is
//! answered alike or, on purpose, better. `tests/fixtures/captures/recon-api.jsonl` has one a line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use hub_support::{Bed, scope, text};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Capture {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    body: String,
    status: u16,
    #[serde(default)]
    answer: Value,
}

/// How ours compares.
enum Ours {
    /// The same status, and the same fields and values, but for ids, times and names of records.
    /// More fields may come with them.
    Alike,
    /// Another answer on purpose: its status, why, and what must be in it (JSON).
    Better(u16, &'static str, &'static str),
    /// Another test (`FILE: NAME`) looks at it.
    Elsewhere(&'static str),
}
use Ours::{Alike, Better, Elsewhere};

const A_GET: &str = "a GET changes nothing, and the answer says which method does";
const CONTROL: &str = "hub_control: it_answers_as_the_earlier_server_with_the_right_status";
const HEALTH: &str = "hub_control: health_is_that_of_the_unit_and_of_its_heartbeat";
const DAY: &str = "due again after a day, as documented, not after a year";
const OWN: &str = "each kind of scan has work of its own; another kind is no repetition";
const PORTS: &str = "what is wrong with a port is said, by field";

/// Each capture, what is sent before it (captures, scans by kage as JSON, `+HOURS`), and how ours
/// compares.
#[rustfmt::skip]
const TABLE: &[(&str, &[&str], Ours)] = &[
    ("assessment-by-GET-500", &[], Better(405, A_GET, "{}")),
    ("assessment-daemon-path-200-false", &[], Better(200, "the earlier ryu posts to this path", r#"{"success":true}"#)),
    ("assessment-ryu", &[], Alike),
    ("assessment-ryu-anyrisk", &[], Better(422, "a risk is one of five", r#"{"validation_errors":[{"field":"risk_level"}]}"#)),
    ("assessment-ryu-dictvuln", &[], Alike),
    ("assessment-ryu-noegg-400", &[], Alike),
    ("assessment-ryu-only-id", &[], Alike),
    ("control-by-GET-405", &[], Elsewhere(CONTROL)),
    ("control-kage-kill-notrunning", &[], Elsewhere(CONTROL)),
    ("control-kage-pause-notrunning", &[], Elsewhere(CONTROL)),
    ("control-kage-resume-notrunning", &[], Elsewhere(CONTROL)),
    ("control-kage-running-kill", &[], Elsewhere(CONTROL)),
    ("control-kage-running-pause", &[], Elsewhere(CONTROL)),
    ("control-kage-running-resume", &[], Elsewhere(CONTROL)),
    ("control-kage-running-start", &[], Elsewhere(CONTROL)),
    ("control-kage-running-status", &[], Elsewhere(CONTROL)),
    ("control-kage-stop-notrunning", &[], Elsewhere(CONTROL)),
    ("create-eggrecord", &[], Better(200, "no project is made up", r#"{"success":true,"message":"Created 1 eggrecord(s)","created_count":1,"projectegg":null}"#)),
    ("create-eggrecord-missing-400", &[], Alike),
    ("eggrecord-summary", &["scan-ryu-first"], Alike),
    ("eggrecord-summary-full", &[], Elsewhere("hub_captures: a_summary_of_everything")),
    ("enumeration-heuristics-list", &[], Alike),
    ("enumeration-heuristics-list-again", &["enumeration-heuristics-list"], Better(200, "the format is the one that came; the path is not stored twice", r#"{"success":true,"paths_inserted":1,"format":"heuristics"}"#)),
    ("enumeration-int-as-daemon-sends-500", &[], Better(200, "this is what the earlier suzu sends", r#"{"success":true,"paths_inserted":1,"format":"heuristics"}"#)),
    ("enumeration-int0-as-daemon-sends-400", &[], Better(200, "no tool ran: an attempt, which backs off instead of coming again every cycle", r#"{"success":true,"paths_inserted":0}"#)),
    ("enumeration-legacy", &[], Alike),
    ("enumeration-no-egg-400", &[], Alike),
    ("enumeration-suzu-path-404", &[], Better(400, "the path is there; the body has no result", r#"{"error":"No paths in result"}"#)),
    ("get-eggrecords-bad-personality", &[], Alike),
    ("get-eggrecords-by-POST", &[], Better(405, "a list is had by GET", "{}")),
    ("get-eggrecords-kage", &[], Alike),
    ("get-eggrecords-kage-after-ryu-only", &["scan-ryu-first"], Alike),
    ("get-eggrecords-kage-after-scan", &["scan-kage", "scan-kaze-noports"], Better(200, OWN, r#"{"count":3}"#)),
    ("get-eggrecords-kage-limit-negative", &[], Better(400, "a limit is from 0 to 1000", "{}")),
    ("get-eggrecords-kage-limit-nonint", &[], Better(400, "a limit is a number", "{}")),
    ("get-eggrecords-kage-limit0", &[], Alike),
    ("get-eggrecords-kage-limit1", &[], Alike),
    ("get-eggrecords-kaze", &[], Alike),
    ("get-eggrecords-kumo", &[], Alike),
    ("get-eggrecords-kumo-after-spider", &["spider-kumo-full"], Alike),
    ("get-eggrecords-kumo-old-and-new-rows", &["spider-kumo-full", "+4500", "spider-kumo-full"], Better(200, "the last spidering counts, not any old one", r#"{"count":3}"#)),
    ("get-eggrecords-noslash", &[], Better(200, "no detour for a missing slash", r#"{"count":4}"#)),
    ("get-eggrecords-rootmount", &[], Alike),
    ("get-eggrecords-ryu", &[], Better(200, "without scan_type it is the list of assessments, which was out of reach", r#"{"count":0}"#)),
    ("get-eggrecords-ryu-assessment-after-assess", &["scan-kage", "scan-kaze-noports", "scan-kage-other-scantype", "assessment-ryu", "assessment-ryu-only-id"], Alike),
    ("get-eggrecords-ryu-assessment-after-scan", &["scan-kage", "scan-kaze-noports", "scan-kage-other-scantype"], Alike),
    ("get-eggrecords-ryu-assessment-priority", &["scan-kaze-noports", "scan-kage-other-scantype", "scan-kage", "spider-kumo-full"], Alike),
    ("get-eggrecords-ryu-noscantype-after-scan", &["scan-kage", "scan-kaze-noports"], Better(200, "without scan_type it is the list of assessments", r#"{"count":2,"eggrecords":[{"priority":0},{"priority":0}]}"#)),
    ("get-eggrecords-ryu-scan-after-13months", &["scan-ryu-first", "+9480"], Alike),
    ("get-eggrecords-ryu-scan-after-25h", &["scan-ryu-first", "+25"], Better(200, DAY, r#"{"count":1}"#)),
    ("get-eggrecords-ryu-scantype-assessment", &[], Alike),
    ("get-eggrecords-ryu-scantype-scan", &[], Alike),
    ("get-eggrecords-suzu", &[], Alike),
    ("get-eggrecords-suzu-80-not-first-port", &[r#"{"eggrecord_id":"11111111-1111-4111-8111-111111111111","result":{"open_ports":[{"port":22},{"port":80}]}}"#], Better(200, "any of its ports counts, not only the first", r#"{"count":1}"#)),
    ("get-eggrecords-suzu-after-heuristics", &["scan-kage", "scan-kage-other-scantype", "enumeration-heuristics-list"], Better(200, "an enumeration of either form ends the work", r#"{"count":1}"#)),
    ("get-eggrecords-suzu-after-legacy", &["scan-kage", "scan-kage-other-scantype", "enumeration-legacy"], Alike),
    ("get-eggrecords-suzu-after-scan", &["scan-kage", "scan-kage-other-scantype"], Alike),
    ("get-eggrecords-suzu-nonnumeric-port-500", &[r#"{"eggrecord_id":"11111111-1111-4111-8111-111111111111","result":{"open_ports":[{"port":"80/tcp"}]}}"#], Better(200, "what is no port was refused, and the list is whole", r#"{"count":0}"#)),
    ("health-bad", &[], Elsewhere(HEALTH)),
    ("health-doc-path-404", &[], Elsewhere(HEALTH)),
    ("health-kage", &[], Elsewhere(HEALTH)),
    ("health-kaze", &[], Elsewhere(HEALTH)),
    ("health-kumo", &[], Elsewhere(HEALTH)),
    ("health-ryu", &[], Elsewhere(HEALTH)),
    ("health-suzu", &[], Elsewhere(HEALTH)),
    ("logs-bad-400", &[], Elsewhere(CONTROL)),
    ("logs-kage", &[], Elsewhere(CONTROL)),
    ("scan-kage", &[], Alike),
    ("scan-kage-after-ryu-only-409", &["scan-ryu-first"], Better(200, OWN, r#"{"scan_status":"completed_no_ports"}"#)),
    ("scan-kage-again-5min-409", &["scan-kage"], Alike),
    ("scan-kage-bad-uuid-500", &[], Better(422, "the caller is at fault, and no text of the database", r#"{"validation_errors":[{"field":"eggrecord_id"}]}"#)),
    ("scan-kage-badjson-500", &[], Better(400, "the caller is at fault", "{}")),
    ("scan-kage-by-GET-500", &[], Better(405, A_GET, "{}")),
    ("scan-kage-list-body-500", &[], Better(422, "the caller is at fault", "{}")),
    ("scan-kage-noeggid-400", &[], Alike),
    ("scan-kage-other-scantype", &[], Alike),
    ("scan-kage-other-scantype-again-409", &["scan-kage-other-scantype"], Alike),
    ("scan-kage-ports-as-ints-500", &[], Better(422, PORTS, r#"{"validation_errors":[{"field":"result.open_ports[0]"},{"field":"result.open_ports[1]"}]}"#)),
    ("scan-kage-ports-without-port-key-500", &[], Better(422, PORTS, r#"{"validation_errors":[{"field":"result.open_ports[0].port"}]}"#)),
    ("scan-kage-unknown-uuid", &[], Better(404, "a scan of nothing is not stored", "{}")),
    ("scan-kage-yearly-409", &["scan-kage", "+25"], Better(200, DAY, r#"{"scan_status":"completed_no_ports"}"#)),
    ("scan-kaze-noports", &[], Alike),
    ("scan-kumo-400", &[], Alike),
    ("scan-ryu-after-kage-409", &["scan-kage"], Better(200, OWN, r#"{"success":true}"#)),
    ("scan-ryu-first", &[], Alike),
    ("spider-by-GET-500", &[], Better(405, A_GET, "{}")),
    ("spider-docs-path-200-false", &[], Better(400, "the documented path is there; the body has no result", r#"{"error":"No request_metadata in result"}"#)),
    ("spider-js-null-500", &[], Better(200, "null is nothing", r#"{"success":true,"requests_inserted":1,"secrets_found":0}"#)),
    ("spider-kumo-full", &[], Alike),
    ("spider-no-eggid-400", &[], Alike),
    ("spider-no-metadata-400", &[], Alike),
    ("spider-secret-no-assessment", &[], Alike),
    ("spider-secret-onto-dict-vuln-500", &["assessment-ryu-dictvuln"], Better(200, "a secret is a finding, whatever an assessment says", r#"{"success":true,"requests_inserted":1,"secrets_found":1}"#)),
    ("spider-unknown-egg-500", &[], Better(404, "no text of the database", "{}")),
    ("status-bad", &[], Elsewhere(CONTROL)),
    ("status-kage", &[], Elsewhere(CONTROL)),
    ("status-kaze", &[], Elsewhere(CONTROL)),
    ("status-kumo", &[], Elsewhere(CONTROL)),
    ("status-ryu", &[], Elsewhere(CONTROL)),
    ("status-suzu", &[], Elsewhere(CONTROL)),
    ("suzu-progress-1-get-initial", &[], Alike),
    ("suzu-progress-2-post", &[], Alike),
    ("suzu-progress-3-get-after", &["suzu-progress-2-post"], Alike),
    ("suzu-progress-4-post-partial", &["suzu-progress-2-post"], Alike),
    ("suzu-progress-5-get-after-partial", &["suzu-progress-2-post", "suzu-progress-4-post-partial"], Alike),
    ("suzu-progress-by-GET-405", &[], Better(405, A_GET, "{}")),
];

fn captures() -> BTreeMap<String, Capture> {
    let lines = include_str!("fixtures/captures/recon-api.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|capture: Capture| (capture.name.clone(), capture))
        .collect()
}

/// A hub with the records that the captured server had.
struct Replay {
    bed: Bed,
    ids: Vec<(&'static str, String)>,
}

impl Replay {
    async fn start() -> Self {
        let allow = ["127.0.0.0/8", "*.example.org", "*.localhost"];
        let bed = Bed::with(scope(&allow, &[])).await;
        let mut ids = Vec::new();
        for (id, target) in [
            ("11111111-1111-4111-8111-111111111111", "127.0.0.1"),
            ("22222222-2222-4222-8222-222222222222", "b.example.org"),
            ("33333333-3333-4333-8333-333333333333", "c.example.org"),
            ("55555555-5555-4555-8555-555555555555", "d.example.org"),
        ] {
            ids.push((id, bed.add_one(target).await));
        }
        Self { bed, ids }
    }

    /// With the ids that the records have here.
    fn with_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (theirs, ours) in &self.ids {
            text = text.replace(theirs, ours);
        }
        text
    }

    async fn send(&self, capture: &Capture) -> (u16, Value) {
        let method: Method = capture.method.parse().unwrap();
        let mut request = self.bed.request(method, &self.with_ids(&capture.path));
        if !capture.body.is_empty() {
            request = request
                .header("Content-Type", "application/json")
                .body(self.with_ids(&capture.body));
        }
        let (status, answer) = self.bed.send(request).await;
        (status.as_u16(), answer)
    }

    async fn before(&self, steps: &[&str], captures: &BTreeMap<String, Capture>) {
        for step in steps {
            if let Some(hours) = step.strip_prefix('+') {
                self.bed
                    .clock
                    .advance(TimeDelta::hours(hours.parse().unwrap()));
            } else if step.starts_with('{') {
                let body = serde_json::from_str(&self.with_ids(step)).unwrap();
                self.bed.post("/api/daemon/kage/scan/", body).await;
            } else {
                self.send(&captures[*step]).await;
            }
        }
    }
}

/// Ids, times and the names of records differ from server to server.
fn normal(key: &str, value: &Value) -> Value {
    let free = [
        "id",
        "created_ids",
        "subDomain",
        "domainname",
        "ip_address",
        "ip",
    ];
    let time = ["updated_at", "created_at", "timestamp", "last_updated"];
    if free.contains(&key) || time.contains(&key) || key.ends_with("_id") || key == "egg_id_id" {
        return json!(format!("<{key}>"));
    }
    match value {
        Value::Array(list) => list.iter().map(|v| normal("", v)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), normal(key, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::String(text) if text.contains("eggrecord ") => {
            let words = text.split(' ').filter(|word| word.len() != 36);
            json!(words.collect::<Vec<_>>().join(" "))
        }
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// Whether all of `wanted` is in `found`.
fn within(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|f| within(value, f))),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| within(w, f))
        }
        _ => wanted == found,
    }
}

#[tokio::test]
async fn each_capture_is_answered_alike_or_better() {
    let captures = captures();
    let mut problems = Vec::new();
    for (name, before, ours) in TABLE {
        let capture = &captures[*name];
        let (status, wanted, why) = match ours {
            Alike => (capture.status, capture.answer.clone(), "alike"),
            Better(status, why, wanted) => (*status, serde_json::from_str(wanted).unwrap(), *why),
            Elsewhere(test) => {
                let (file, test) = test.split_once(": ").unwrap();
                let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
                let text = std::fs::read_to_string(path).unwrap();
                assert!(text.contains(&format!("fn {test}(")), "{name}: {test}");
                continue;
            }
        };
        let replay = Replay::start().await;
        replay.before(before, &captures).await;
        let (found_status, found) = replay.send(capture).await;
        let is_there = within(&normal("", &wanted), &normal("", &found));
        if found_status != status || !is_there {
            problems.push(format!(
                "{name} ({why}):\n  wanted {status} {wanted}\n  found {found_status} {found}"
            ));
        }
        let theirs = capture.answer["eggrecords"].as_array();
        for record in theirs.into_iter().flatten() {
            let has = |r: &Value| r.get("egg_id_id").is_some();
            let ours = found["eggrecords"].as_array();
            assert!(
                ours.into_iter().flatten().all(|r| has(r) == has(record)),
                "{name}"
            );
        }
        replay.bed.end().await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_capture_is_left_out() {
    let listed: Vec<_> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    sorted.dedup();
    let all: Vec<_> = captures().into_keys().collect();
    assert_eq!(sorted, all);
    assert_eq!(listed.len(), all.len(), "none twice");
}

/// The capture was made after these four results. Of it, only that an assessment's parts are JSON
/// and not JSON in a text is otherwise, and which texts the requests have in place of a body.
#[tokio::test]
async fn a_summary_of_everything() {
    let mut wanted = captures()["eggrecord-summary-full"].answer.clone();
    let replay = Replay::start().await;
    let id = &replay.ids[0].1;
    for (path, mut body) in [
        (
            "kage/scan",
            json!({ "target": "zz-kage-target", "result": { "open_ports": [
            { "port": 80, "service_name": "zzsvc" }] } }),
        ),
        (
            "kumo/spider",
            json!({ "result": { "request_metadata": [
            { "target_url": "http://zz-kumo-url/", "user_agent": "Kumo-Spider/2.0" }] } }),
        ),
        (
            "ryu/assessment",
            json!({ "risk_level": "high", "threat_summary": "zz-threat",
            "vulnerabilities": [{ "type": "zz-vuln" }], "narrative": "zz-narr" }),
        ),
        (
            "enumeration",
            json!({ "result": { "paths_discovered": [
            { "path": "/zz-suzu-path", "status": 200, "priority_score": 0.5 }] } }),
        ),
    ] {
        body["eggrecord_id"] = json!(id);
        let (status, answer) = replay.bed.post(&format!("/api/daemon/{path}/"), body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let path = format!("/reconnaissance/api/eggrecords/{id}/summary/");
    let (status, mut found) = replay.bed.get(&path).await;
    assert_eq!(status, 200);
    for part in ["attack_vectors", "remediation_priorities"] {
        assert_eq!(text(&wanted["data"]["ryu_assessment"][part]), "{}");
        wanted["data"]["ryu_assessment"][part] = json!({});
    }
    // A scan is one of its record, whatever the agent called it.
    let target = &mut wanted["data"]["nmap_scans"][0]["target"];
    assert_eq!(text(target), "zz-kage-target");
    *target = json!("127.0.0.1");
    for answer in [&mut wanted, &mut found] {
        // JSON in a text, as it was; the order of its fields is nobody's business.
        let ports = &mut answer["data"]["nmap_scans"][0]["open_ports"];
        *ports = serde_json::from_str(ports.as_str().unwrap()).unwrap();
    }
    let (wanted, found) = (normal("", &wanted), normal("", &found));
    assert!(
        within(&wanted, &found),
        "wanted {wanted:#}\nfound {found:#}"
    );
    replay.bed.end().await;
}
