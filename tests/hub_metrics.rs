//! What the hub tells Prometheus, and the description of its routes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::{BTreeMap, BTreeSet};

use hub_support::{Bed, heartbeat, scan};
use serde_json::Value;

type Labels = BTreeMap<String, String>;

/// Samples by name, read as strictly as Prometheus does.
fn parse(text: &str) -> BTreeMap<String, Vec<(Labels, f64)>> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut samples: BTreeMap<String, Vec<(Labels, f64)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    assert!(text.ends_with("# EOF\n"), "it is whole");
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let twice = types.insert(name.to_owned(), kind.to_owned());
            assert!(twice.is_none(), "{name} is described twice");
            continue;
        }
        if line.starts_with("# ") {
            assert!(
                line.starts_with("# HELP ") || line.starts_with("# UNIT "),
                "{line}"
            );
            continue;
        }
        let (series, number) = line.rsplit_once(' ').expect(line);
        assert!(seen.insert(series.to_owned()), "twice: {series}");
        let number: f64 = number.parse().expect(line);
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels_of(labels.strip_suffix('}').expect(line))),
            None => (series, Labels::new()),
        };
        let family = ["_total", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|n| types.contains_key(*n)))
            .unwrap_or(name);
        assert!(types.contains_key(family), "no TYPE of {name}");
        assert!(name.starts_with("recon_"), "{name}");
        samples
            .entry(name.to_owned())
            .or_default()
            .push((labels, number));
    }
    samples
}

fn labels_of(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect(text);
        let end = after.find('"').expect(text);
        assert!(
            !after[..end].contains('\\'),
            "none of ours needs escapes: {text}"
        );
        assert!(
            labels
                .insert(name.to_owned(), after[..end].to_owned())
                .is_none()
        );
        rest = after[end + 1..].trim_start_matches(',');
    }
    labels
}

fn one(all: &BTreeMap<String, Vec<(Labels, f64)>>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let of = all.get(name).unwrap_or_else(|| panic!("no {name}"));
    let found: Vec<f64> = of
        .iter()
        .filter(|(have, _)| {
            labels
                .iter()
                .all(|(k, v)| have.get(*k).is_some_and(|h| h == v))
        })
        .map(|(_, n)| *n)
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0]
}

#[tokio::test]
async fn metrics_say_how_much_there_is_and_what_was_done() {
    let bed = Bed::start().await;
    let targets: Vec<_> = (1..=5).map(|n| format!("127.0.0.{n}")).collect();
    let ids = bed.add(&targets).await;
    bed.lease("kaze", "kaze@a", 2).await;
    bed.post("/api/daemon/kaze/heartbeat", heartbeat("kaze", "a", &[]))
        .await;
    for _ in 0..2 {
        let path = "/api/daemon/kage/scan";
        bed.post_keyed(path, "same", &scan(&ids[4], "kage")).await;
    }
    bed.get("/api/targets/not-an-id").await;
    bed.get("/nowhere/at/all").await;
    let response = bed
        .request(reqwest::Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let all = parse(&response.text().await.unwrap());
    let depth = |kind, state| {
        one(
            &all,
            "recon_queue_depth",
            &[("kind", kind), ("state", state)],
        )
    };
    assert_eq!(
        (
            depth("kaze_port_scan", "due"),
            depth("kaze_port_scan", "leased")
        ),
        (3.0, 2.0)
    );
    assert_eq!(depth("kage_port_scan", "due"), 4.0, "one is done");
    let stored = [("kind", "kage_port_scan"), ("outcome", "stored")];
    assert_eq!(
        one(&all, "recon_results_total", &stored),
        1.0,
        "a repetition is none"
    );
    assert_eq!(one(&all, "recon_leases", &[]), 2.0);
    assert_eq!(one(&all, "recon_targets", &[]), 5.0);
    assert_eq!(one(&all, "recon_scans", &[]), 1.0);
    assert!(one(&all, "recon_database_size_bytes", &[]) > 0.0);
    assert!(one(&all, "recon_hub_resident_memory_bytes", &[]) > 0.0);
    let kaze = [("agent", "kaze"), ("host", "a")];
    assert!(one(&all, "recon_agent_heartbeat_age_seconds", &kaze) >= 0.0);
    let state = [("agent", "kaze"), ("state", "RUNNING")];
    assert_eq!(one(&all, "recon_agent_state", &state), 1.0);
    let route = "/api/targets/{id}";
    let labels = [("route", route), ("method", "GET"), ("status", "400")];
    assert_eq!(one(&all, "recon_http_requests_total", &labels), 1.0);
    let count = "recon_http_request_duration_seconds_count";
    assert_eq!(one(&all, count, &[("route", route)]), 1.0);
    let routes = all["recon_http_requests_total"].iter();
    let routes: Vec<&str> = routes.map(|(labels, _)| labels["route"].as_str()).collect();
    assert!(
        !routes
            .iter()
            .any(|r| r.contains("nowhere") || r.contains("not-an-id")),
        "{routes:?}"
    );
    let buckets: Vec<f64> = all["recon_http_request_duration_seconds_bucket"]
        .iter()
        .filter(|(labels, _)| labels["route"] == route)
        .map(|(_, n)| *n)
        .collect();
    assert!(
        buckets.is_sorted() && buckets.last() == Some(&1.0),
        "{buckets:?}"
    );
}

#[tokio::test]
async fn the_description_is_the_one_that_is_written_down() {
    let bed = Bed::start().await;
    let (status, document) = bed.get("/openapi.json").await;
    assert_eq!(status, 200);
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openapi.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == text,
        "tests/fixtures/openapi.json is not what the hub says; UPDATE_EXPECT=1 renews it"
    );
}

/// Every path of the description leads somewhere, every reference too, and no two are the same.
#[tokio::test]
async fn the_description_is_true() {
    let bed = Bed::start().await;
    let (_, document) = bed.get("/openapi.json").await;
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].to_string()), "{path}");
            // A control route would answer 503 here, which is an answer of its own.
            let real = path.replace("{id}", "0").replace("{personality}", "NONE");
            let method = method.to_uppercase().parse().unwrap();
            let response = bed.request(method, &real).send().await.unwrap();
            let status = response.status();
            let body = response.text().await.unwrap();
            assert!(!body.contains("there is nothing at this path"), "{path}");
            assert_ne!(status, 405, "{path}");
        }
    }
    references(&document, &document);
}

fn references(root: &Value, value: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                let place = reference.strip_prefix('#').unwrap();
                assert!(root.pointer(place).is_some(), "{reference} leads nowhere");
            }
            map.values().for_each(|v| references(root, v));
        }
        Value::Array(list) => list.iter().for_each(|v| references(root, v)),
        _ => {}
    }
}
