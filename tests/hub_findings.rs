//! Findings of assessments, over time and with decisions, as agents and operators see them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::{SecondsFormat, TimeDelta};
use hub_support::access::{Root, closed, status};
use hub_support::{Bed, scope, text};
use reqwest::Method;
use serde_json::{Value, json};

const SUBMIT: &str = "/reconnaissance/api/daemon/ryu/assessment/";

fn entry(key: &str, severity: &str, priority: f64) -> Value {
    json!({
        "key": key, "type": "redis-no-auth", "category": "missing-authentication",
        "title": format!("Title of {key}"), "severity": severity, "location": key,
        "priority": { "score": priority, "factors": [] }, "confidence": 0.9,
        "reason": "anybody can read it", "evidence": [], "remediation": "close it",
    })
}

fn body(id: &str, vulnerabilities: Value) -> Value {
    json!({ "eggrecord_id": id, "target": "127.0.0.1", "risk_level": "high",
            "threat_summary": "two", "vulnerabilities": vulnerabilities })
}

async fn assess(bed: &Bed, id: &str, vulnerabilities: Value) {
    let (status, answer) = bed.post(SUBMIT, body(id, vulnerabilities)).await;
    assert_eq!(status, 200, "{answer}");
}

async fn list(bed: &Bed, query: &str) -> Vec<Value> {
    let (status, mut found) = bed.get(&format!("/api/findings?{query}")).await;
    assert_eq!(status, 200, "{found}");
    let Value::Array(list) = found["findings"].take() else {
        panic!("{found}");
    };
    list
}

#[tokio::test]
async fn an_assessment_makes_findings_and_ends_them() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let both = json!([
        entry("tcp/80", "low", 20.5),
        entry("tcp/6379", "critical", 99.0)
    ]);
    for _ in 0..2 {
        let (status, answer) = bed.post_keyed(SUBMIT, "k", &body(&id, both.clone())).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(bed.events("finding_created").await.len(), 2, "once");
    let found = list(&bed, "sort=-priority").await;
    let first = &found[0];
    assert_eq!(first["title"], "Title of tcp/6379");
    assert_eq!(
        (&first["priority"], &first["confidence"]),
        (&json!(99.0), &json!(0.9))
    );
    assert_eq!(
        (&first["type"], &first["status"]),
        (&json!("redis-no-auth"), &json!("open"))
    );
    assert_eq!(first["discovered_by"], "ryu");
    assert_eq!(first["evidence"]["remediation"], "close it");
    assert_eq!(first["evidence"]["key"], "tcp/6379");
    assert!(first["evidence"].get("title").is_none(), "it has a column");

    assess(&bed, &id, json!([entry("tcp/80", "low", 20.5)])).await;
    let fixed = list(&bed, "status=fixed").await;
    assert_eq!((fixed.len(), &fixed[0]["id"]), (1, &first["id"]));
    assert!(fixed[0]["fixed_at"].is_string());
    let (_, changes) = bed.get("/api/changes?type=finding_fixed").await;
    assert_eq!(changes["changes"][0]["subject"], "Title of tcp/6379");
    assert_eq!(changes["changes"][0]["before"]["severity"], "critical");
    assess(&bed, &id, both).await;
    let path = format!("/api/findings/{}", text(&first["id"]));
    let (_, back) = bed.get(&path).await;
    assert_eq!(
        (&back["status"], &back["times_reopened"]),
        (&json!("open"), &json!(1))
    );
    let (status, _) = bed.get(&path.replace(&text(&first["id"]), &id)).await;
    assert_eq!(status, 404);
    let (_, metrics) = {
        let response = bed.request(Method::GET, "/metrics").send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let line = "recon_findings{severity=\"critical\",status=\"open\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    bed.end().await;
}

/// What other agents send stays with their assessments.
#[tokio::test]
async fn old_clients_go_on() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    assess(&bed, &id, json!([entry("tcp/80", "low", 20.5)])).await;
    for other in [
        json!({}),
        json!([{ "type": "x" }]),
        json!(["text", 5]),
        json!(null),
    ] {
        assess(&bed, &id, other).await;
    }
    assert_eq!(list(&bed, "status=open").await.len(), 1, "left alone");
    let long = json!([{ "text": "x".repeat(70_000) }]);
    assert_eq!(bed.post(SUBMIT, body(&id, long)).await.0, 422, "as it was");
    let mut long = entry("tcp/80", "low", 20.5);
    long["reason"] = json!("x".repeat(3_000_000));
    let mut large = body(&id, json!([long]));
    large["attack_vectors"] = json!(["x".repeat(900_000)]);
    large["narrative"] = json!("x".repeat(900_000));
    let (status, answer) = bed.post(SUBMIT, large).await;
    assert_eq!(status, 200, "{answer}");
    bed.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_entry_is_named_and_nothing_stored() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let mut wrong = entry("b", "low", 1.0);
    wrong["severity"] = json!("banana");
    let list_of = json!([entry("a", "low", 1.0), wrong]);
    let (status, answer) = bed.post(SUBMIT, body(&id, list_of)).await;
    assert_eq!(status, 422, "{answer}");
    let field = &answer["validation_errors"][0]["field"];
    assert_eq!(field, "vulnerabilities[1].severity");
    assert_eq!(list(&bed, "").await.len(), 0);
    let many: Vec<_> = (0..2001).map(|n| json!({ "key": n.to_string() })).collect();
    let (status, answer) = bed.post(SUBMIT, body(&id, json!(many))).await;
    assert_eq!(
        (status.as_u16(), &answer["validation_errors"][0]["field"]),
        (422, &json!("vulnerabilities"))
    );
    bed.end().await;
}

#[tokio::test]
async fn a_list_has_filters_and_pages() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let mut all: Vec<_> = (0..9)
        .map(|n| entry(&format!("tcp/{n}"), "high", f64::from(n / 3)))
        .collect();
    all[4]["cve"] = json!("CVE-2021-41773");
    all[4]["kev"] = json!(true);
    all[5]["severity"] = json!("info");
    assess(&bed, &id, json!(all)).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/findings?sort=-priority&limit=2{cursor}");
        let (_, page) = bed.get(&path).await;
        let list = page["findings"].as_array().unwrap();
        seen.extend(
            list.iter()
                .map(|f| (f["priority"].as_f64().unwrap(), text(&f["id"]))),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 9);
    assert!(
        seen.is_sorted_by(|a, b| (b.0, &b.1) < (a.0, &a.1)),
        "{seen:?}"
    );
    let of_record = format!("record={id}&sort=-priority");
    for (query, wanted) in [
        ("cve=cve-2021-41773", 1),
        ("kev=true", 1),
        ("min_severity=high", 8),
        ("min_severity=low&sort=-priority", 8),
        ("severity=info&category=missing-authentication", 1),
        ("type=redis-no-auth&status=open&target=127.0.0.1", 9),
        ("group=nobody", 0),
        ("since=2100-01-01T00:00:00Z", 0),
        (of_record.as_str(), 9),
    ] {
        assert_eq!(list(&bed, query).await.len(), wanted, "{query}");
    }
    for bad in [
        "sort=x",
        "sort=-priority&cursor=x",
        "min_severity=x",
        "kev=x",
        "since=x",
    ] {
        let (status, answer) = bed.get(&format!("/api/findings?{bad}")).await;
        assert_eq!(status, 400, "{bad}: {answer}");
    }
    let csv = bed.request(Method::GET, "/api/findings?format=csv&sort=-priority");
    let csv = csv.send().await.unwrap().text().await.unwrap();
    assert_eq!(csv.lines().count(), 10);
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .contains("priority,confidence,cve,kev")
    );
    bed.end().await;
}

#[tokio::test]
async fn operators_decide_for_a_time() {
    let allowed = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(allowed, |config, dir| {
        config.control_socket(dir.join("control.sock"))
    });
    let bed = bed.await;
    let id = bed.add_one("127.0.0.1").await;
    assess(&bed, &id, json!([entry("tcp/80", "high", 50.0)])).await;
    let finding = text(&list(&bed, "").await[0]["id"]);
    let path = format!("/reconnaissance/api/findings/{finding}/decision/");
    let until = bed.clock.now() + TimeDelta::days(90);
    let until = until.to_rfc3339_opts(SecondsFormat::Micros, true);
    for (wish, field) in [
        (json!({}), "status"),
        (json!({ "status": "fixed" }), "status"),
        (json!({ "status": "accepted" }), "reason"),
        (
            json!({ "status": "false_positive", "reason": " " }),
            "reason",
        ),
        (
            json!({ "status": "accepted", "reason": "a\u{7}b" }),
            "reason",
        ),
        (
            json!({ "status": "accepted", "reason": "x".repeat(2001) }),
            "reason",
        ),
        (json!({ "status": "open", "until": until }), "until"),
        (
            json!({ "status": "false_positive", "reason": "r", "until": "2020-01-01T00:00:00Z" }),
            "until",
        ),
    ] {
        let (status, answer) = bed.post(&path, wish.clone()).await;
        assert_eq!(status, 422, "{wish}: {answer}");
        assert_eq!(answer["validation_errors"][0]["field"], field, "{answer}");
    }
    let wish = json!({ "status": "accepted", "reason": "goes in March", "until": until });
    let (status, accepted) = bed.post_keyed(&path, "k", &wish).await;
    assert_eq!(
        (status.as_u16(), &accepted["status"]),
        (200, &json!("accepted"))
    );
    assert_eq!(accepted["decision"]["reason"], "goes in March");
    assert_eq!(accepted["decision"]["by"], "anonymous");
    assert_eq!(
        bed.post_keyed(&path, "k", &wish).await.1,
        accepted,
        "the same answer"
    );
    assert_eq!(list(&bed, "status=open").await.len(), 0);
    let audit = Root::of(&bed).get("/api/audit").await;
    let trail: Vec<_> = audit["audit"].as_array().unwrap().iter().collect();
    let noted: Vec<_> = trail
        .iter()
        .filter(|a| a["action"] == "finding.accept")
        .collect();
    assert_eq!(noted.len(), 1, "{audit}");
    assert_eq!(noted[0]["object"], json!(finding));
    assert_eq!(noted[0]["new"]["reason"], "goes in March");

    bed.clock.advance(TimeDelta::days(91));
    let open = list(&bed, "status=open").await;
    assert_eq!((open.len(), open[0].get("decision")), (1, None));
    let told = bed.events("finding_reopened").await;
    assert_eq!(told[0]["data"]["why"], "decision_expired");
    let later = bed.clock.now() + TimeDelta::days(1);
    let wish = json!({ "status": "false_positive", "reason": "no", "until": later });
    let (status, decided) = bed.post(&path, wish).await;
    assert_eq!(status, 200);
    assert_eq!(decided["decision"]["status"], "false_positive");
    assert!(decided["decision"]["until"].is_string(), "{decided}");
    let (_, again) = bed.post(&path, json!({ "status": "open" })).await;
    assert_eq!(again["status"], "open");
    let nobody = format!("/api/findings/{id}/decision");
    let (status, answer) = bed.post(&nobody, json!({ "status": "open" })).await;
    assert_eq!(status, 404, "{answer}");
    bed.end().await;
}

#[tokio::test]
async fn deciding_is_for_operators() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let nil = "/api/findings/00000000-0000-0000-0000-000000000000";
    let decision = format!("{nil}/decision");
    for (role, may_look, may_decide) in [
        ("agent", false, false),
        ("viewer", true, false),
        ("operator", true, true),
    ] {
        let token = root.token(json!({ "role": role })).await.1;
        let look = status(&bed, Method::GET, nil, &token).await;
        assert_eq!(look != 403, may_look, "{role}: {look}");
        let decide = status(&bed, Method::POST, &decision, &token).await;
        assert_eq!(decide != 403, may_decide, "{role}: {decide}");
    }
    bed.end().await;
}
