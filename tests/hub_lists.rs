//! Lists over HTTP: orders and exports, and what they do not know is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::access::{Root, closed};
use hub_support::{Bed, text};
use reqwest::Method;
use serde_json::{Value, json};

/// Two of everything.
async fn filled() -> Bed {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    for (n, (port, risk)) in [(22, "low"), (80, "high"), (81, "low")]
        .into_iter()
        .enumerate()
    {
        let scan = json!({
            "eggrecord_id": id, "target": "127.0.0.1", "scan_type": "kaze_port_scan",
            "result": { "success": true, "ports_scanned": 1, "open_ports": [{ "port": port }] },
        });
        let secrets = json!([{ "type": "aws_key", "value": format!("AKIAABCDEFGHIJKLMNO{n}") }]);
        let spider = json!({
            "eggrecord_id": id, "target": "http://127.0.0.1",
            "result": { "success": true, "request_metadata": [{
                "target_url": format!("http://127.0.0.1/{n}"), "request_method": "GET",
                "response_status": 200, "javascript_analysis": { "secrets_found": secrets } }] },
        });
        let assessment = json!({
            "eggrecord_id": id, "target": "127.0.0.1", "risk_level": risk,
            "threat_summary": "=1+1", "vulnerabilities": ["a,b"],
        });
        for (path, body) in [
            ("kaze/scan", scan),
            ("kumo/spider", spider),
            ("ryu/assessment", assessment),
        ] {
            let path = format!("/api/daemon/{path}?agent=any@a");
            let (status, answer) = bed.post(&path, body).await;
            assert_eq!(status, 200, "{answer}");
        }
        bed.clock.advance(TimeDelta::hours(1));
    }
    bed
}

async fn raw(bed: &Bed, path: &str) -> String {
    let response = bed.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

const LISTS: [&str; 4] = ["scans", "findings", "changes", "assessments"];

#[tokio::test]
async fn lists_are_sorted_and_exported() {
    let bed = filled().await;
    for list in LISTS {
        let ids = async |query: &str| -> Vec<String> {
            let (status, body) = bed.get(&format!("/api/{list}?{query}")).await;
            assert_eq!(status, 200, "{body}");
            let all = body[list].as_array().unwrap();
            all.iter().map(|item| text(&item["id"])).collect()
        };
        let newest = ids("sort=-created").await;
        assert!(newest.len() >= 2, "{list}: {newest:?}");
        assert_eq!(ids("").await, newest);
        let mut oldest = ids("sort=created").await;
        assert_eq!(ids("sort=created&limit=1").await, oldest[..1]);

        let lines = raw(&bed, &format!("/api/{list}?format=jsonl&sort=created")).await;
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let exported: Vec<_> = lines.iter().map(|line| text(&line["id"])).collect();
        assert_eq!(exported, oldest, "{list}");
        let table = raw(&bed, &format!("/api/{list}?format=csv&limit=1")).await;
        let mut rows = table.lines();
        assert!(rows.next().unwrap().starts_with("id,eggrecord_id,target,"));
        assert!(rows.next().unwrap().starts_with(&newest[0]), "{table}");
        assert_eq!(rows.next(), None, "{list}: {table}");
        oldest.reverse();
        assert_eq!(newest, oldest);
    }
    let table = raw(&bed, "/api/assessments?format=csv&risk_level=high").await;
    assert!(
        table.ends_with(&format!(
            ",high,'=1+1,\"[\"\"a,b\"\"]\",{{}},{{}},,any@a,{}",
            table.rsplit(',').next().unwrap()
        )),
        "{table}"
    );
    bed.end().await;
}

/// What an agent does not say is not made up.
#[tokio::test]
async fn scans_show_their_host_and_its_udp_ports() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let udp = json!({ "open": 1, "closed": 2, "filtered": 17, "unreachable": 0 });
    let result = json!({
        "ports_scanned": 1000, "udp_counts": udp, "hostname": "db.example.org",
        "host_state": "up", "host_state_reason": "udp-response",
        "open_ports": [{ "port": 53, "protocol": "udp", "service_name": "domain" }],
    });
    let none = json!({ "ports_scanned": 10, "hostname": null, "udp_counts": null });
    for (kind, result) in [("kage", result), ("kaze", none)] {
        let body = json!({ "eggrecord_id": id, "target": "127.0.0.1", "result": result });
        let path = format!("/api/daemon/{kind}/scan?agent=any@a");
        let (status, answer) = bed.post(&path, body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let fields = ["hostname", "host_state", "host_state_reason", "udp_counts"];
    let lines = raw(&bed, "/api/scans?format=jsonl&sort=created").await;
    let scans: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = fields.map(|field| scans[0][field].clone());
    let wanted = ["db.example.org", "up", "udp-response"].map(Value::from);
    assert_eq!((&told[..3], &told[3]), (&wanted[..], &udp));
    assert!(fields.iter().all(|field| scans[1].get(field).is_none()));
    let one = bed
        .get(&format!("/api/scans/{}", text(&scans[0]["id"])))
        .await;
    assert_eq!(one.1, scans[0]);
    let table = raw(&bed, "/api/scans?format=csv&sort=created").await;
    let rows: Vec<_> = table.lines().collect();
    assert!(
        rows[1].ends_with(",53/udp/domain,db.example.org,up,udp-response,20"),
        "{table}"
    );
    assert!(rows[2].ends_with(",10,,,,,"), "{table}");
    bed.end().await;
}

#[tokio::test]
async fn what_a_list_does_not_know_is_refused() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let get = async |path: &str| root.send(Method::GET, path, None).await;
    for list in LISTS
        .iter()
        .chain(&["targets", "audit", "tokens", "events"])
    {
        for query in ["sort=size", "format=xml"] {
            let (status, body) = get(&format!("/api/{list}?{query}")).await;
            assert_eq!(status, 400, "{list}?{query}: {body}");
        }
    }
    for query in [
        "audit?format=csv",
        "tokens?format=jsonl",
        "events?format=csv",
    ] {
        assert_eq!(get(&format!("/api/{query}")).await.0, 400, "{query}");
    }
    bed.end().await;
}
