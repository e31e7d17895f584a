//! The hub over HTTP: work, results, scope, health.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use hub_support::{Bed, heartbeat, live, scan, scope, text};
use reqwest::Method;
use serde_json::{Value, json};

fn ids(records: &[Value]) -> Vec<String> {
    records.iter().map(|r| text(&r["id"])).collect()
}

#[tokio::test]
async fn ten_clients_never_get_the_same_record() {
    let bed = Bed::start().await;
    let targets: Vec<_> = (0..200).map(|n| format!("10.0.1.{n}")).collect();
    bed.add(&targets).await;
    let bed = &bed;
    let clients = (0..10).map(|n| async move {
        let mut mine = Vec::new();
        loop {
            let some = bed.lease("kaze", &format!("kaze@h{n}"), 7).await;
            if some.is_empty() {
                return mine;
            }
            mine.extend(ids(&some));
        }
    });
    let all = join_all(clients).await.concat();
    assert_eq!(all.len(), 200);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 200);
    assert_eq!(
        bed.lease("kage", "kage@h0", 1000).await.len(),
        200,
        "kage has its own work"
    );
}

#[tokio::test]
async fn a_lease_runs_out_is_renewed_and_given_back() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let first = bed.lease("kaze", "kaze@a", 10).await;
    let lease = text(&first[0]["lease_id"]);
    bed.clock.advance(TimeDelta::seconds(590));
    assert!(bed.lease("kaze", "kaze@b", 10).await.is_empty());

    let beat = heartbeat("kaze", "a", std::slice::from_ref(&lease));
    let (status, answer) = bed.post("/api/daemon/kaze/heartbeat", beat.clone()).await;
    assert_eq!(status, 200);
    assert!(answer["leases"][0]["expires_at"].is_string());
    bed.clock.advance(TimeDelta::seconds(590));
    assert!(bed.lease("kaze", "kaze@b", 10).await.is_empty(), "renewed");

    bed.clock.advance(TimeDelta::seconds(10));
    let second = bed.lease("kaze", "kaze@b", 10).await;
    assert_eq!(ids(&second)[..], [id.as_str()]);
    let (_, answer) = bed.post("/api/daemon/kaze/heartbeat/", beat).await;
    assert_eq!(
        answer["leases"][0]["expires_at"],
        Value::Null,
        "it is b's now"
    );

    let path = format!("/api/daemon/leases/{}", text(&second[0]["lease_id"]));
    let other = format!("/api/daemon/leases/{lease}");
    assert_eq!(bed.delete(&other).await.0, 404);
    assert_eq!(bed.delete(&path).await.0, 200);
    assert_eq!(bed.delete(&path).await.0, 404);
    assert_eq!(
        bed.lease("kaze", "kaze@c", 10).await.len(),
        1,
        "due at once"
    );
}

#[tokio::test]
async fn a_hundred_retries_are_one_scan() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let body = scan(&id, "kaze");
    let (bed, body) = (&bed, &body);
    let paths = [
        "/reconnaissance/api/daemon/kaze/scan/",
        "/api/daemon/kaze/scan",
    ];
    let all = join_all((0..100).map(|n| bed.post_keyed(paths[n % 2], "key-1", body))).await;
    for answer in &all {
        assert_eq!(answer, &all[0]);
        assert_eq!(answer.0, 200);
    }
    assert_eq!(bed.scans().await.len(), 1);
    assert_eq!(bed.events("scan_completed").await.len(), 1);
    let mut other = body.clone();
    other["result"]["open_ports"][0]["port"] = json!(23);
    let (status, answer) = bed.post_keyed(paths[0], "key-1", &other).await;
    assert_eq!(status, 422);
    assert_eq!(answer["validation_errors"][0]["field"], "Idempotency-Key");
    assert_eq!(bed.scans().await.len(), 1);
}

#[tokio::test]
async fn an_error_that_was_kept_is_repeated() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let path = "/api/daemon/kaze/scan/?agent=kaze@a";
    bed.post_keyed(path, "a", &scan(&id, "kaze")).await;
    let other = "/api/daemon/kaze/scan/?agent=kaze@b";
    let first = bed.post_keyed(other, "b", &scan(&id, "kaze")).await;
    bed.clock.advance(TimeDelta::minutes(6));
    let second = bed.post_keyed(other, "b", &scan(&id, "kaze")).await;
    assert_eq!((first.0.as_u16(), second.0.as_u16()), (409, 409));
    assert_ne!(first.1["request_id"], second.1["request_id"]);
    assert_eq!(first.1["error"], second.1["error"]);
}

#[tokio::test]
async fn kage_and_kaze_scan_the_same_target_in_parallel() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    for p in ["kage", "kaze"] {
        assert_eq!(
            ids(&bed.lease(p, &format!("{p}@a"), 5).await)[..],
            [id.as_str()]
        );
    }
    for p in ["kage", "kaze"] {
        let path = format!("/reconnaissance/api/daemon/{p}/scan/?agent={p}@a");
        let (status, body) = bed.post(&path, scan(&id, p)).await;
        assert_eq!(status, 200, "{body}");
    }
    let types: BTreeSet<_> = bed
        .scans()
        .await
        .iter()
        .map(|s| text(&s["scan_type"]))
        .collect();
    assert_eq!(
        types,
        ["kage_port_scan", "kaze_port_scan"]
            .map(str::to_owned)
            .into()
    );
    assert!(bed.lease("kaze", "kaze@b", 5).await.is_empty());
    bed.clock.advance(TimeDelta::hours(24));
    assert_eq!(
        bed.lease("kaze", "kaze@b", 5).await.len(),
        1,
        "due again after a day"
    );
}

#[tokio::test]
async fn a_failed_attempt_is_no_scan() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    bed.lease("kaze", "kaze@a", 5).await;
    for result in [
        json!({ "success": false, "reason": "host down" }),
        json!({ "success": true, "skipped": true, "open_ports": [] }),
    ] {
        let body = json!({ "eggrecord_id": id, "result": result });
        let (status, answer) = bed.post("/api/daemon/kaze/scan/?agent=kaze@a", body).await;
        assert_eq!(status, 200);
        assert_eq!(answer["scan_status"], "attempt_recorded");
    }
    assert!(bed.scans().await.is_empty());
    bed.clock.advance(TimeDelta::minutes(9));
    assert!(
        bed.lease("kaze", "kaze@a", 5).await.is_empty(),
        "second attempt: 10 minutes"
    );
    bed.clock.advance(TimeDelta::minutes(1));
    assert_eq!(bed.lease("kaze", "kaze@a", 5).await.len(), 1);
    let (_, target) = bed.get(&format!("/api/targets/{id}")).await;
    let work = target["work"].as_array().unwrap();
    let kaze = work.iter().find(|w| w["kind"] == "kaze_port_scan").unwrap();
    assert_eq!(kaze["attempts"], 2);
}

#[tokio::test]
async fn out_of_scope_is_refused_at_entry_with_its_rule() {
    let bed = Bed::with(scope(&["10.20.0.0/16"], &["10.20.99.0/24"])).await;
    let body = json!({ "targets": [{ "target": "10.20.1.1" }, { "target": "10.20.99.7" }] });
    let (status, answer) = bed.post("/api/targets", body).await;
    assert_eq!(status, 403);
    assert_eq!(answer["success"], false);
    assert_eq!(
        answer["refused"],
        json!([{ "target": "10.20.99.7", "rule": "scope.deny 10.20.99.0/24" }])
    );
    let (_, list) = bed.get("/api/targets").await;
    assert_eq!(list["targets"], json!([]), "none is taken");
    for body in [
        json!({ "ip_address": "192.168.0.1" }),
        json!({ "cidr": "10.0.0.0/8" }),
        json!({ "cidr": "10.20.99.0/25" }),
        json!({ "domain": "no-such-host.invalid" }),
        json!({ "domain": "169.254.169.254" }),
    ] {
        let (status, answer) = bed
            .post("/reconnaissance/api/eggrecords/create/", body)
            .await;
        assert_eq!(status, 403, "{answer}");
        assert!(text(&answer["error"]).contains("scope"), "{answer}");
    }
    assert_eq!(bed.events("scope_violation_blocked").await.len(), 6);
}

#[tokio::test]
async fn what_leaves_the_scope_is_never_leased() {
    let bed = Bed::start().await;
    let targets: Vec<_> = (0..20).map(|n| format!("10.0.{}.1", n)).collect();
    bed.add(&targets).await;
    bed.add_one("a.example.org").await;
    bed.hub.set_live(live(scope(&["10.0.0.0/24"], &[])));
    let got = bed.lease("kaze", "kaze@a", 5).await;
    let addresses: Vec<_> = got.iter().map(|r| text(&r["subDomain"])).collect();
    assert_eq!(addresses, ["10.0.0.1"]);
    let events = bed.events("scope_violation_blocked").await;
    assert_eq!(events.len(), 19);
    assert_eq!(events[0]["daemon_name"], "kaze");
    assert!(bed.lease("kaze", "kaze@a", 100).await.is_empty());
    bed.hub.set_live(live(scope(&["10.0.0.0/16"], &[])));
    assert!(
        bed.lease("kaze", "kaze@a", 100).await.is_empty(),
        "put off for an hour"
    );
    bed.clock.advance(TimeDelta::hours(1));
    assert_eq!(bed.lease("kaze", "kaze@a", 100).await.len(), 20);
}

#[tokio::test]
async fn a_result_from_out_of_scope_is_refused() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let mut body = scan(&id, "kaze");
    body["result"]["ip_address"] = json!("8.8.8.8");
    let (status, answer) = bed.post("/api/daemon/kaze/scan/", body).await;
    assert_eq!(status, 403);
    assert!(text(&answer["error"]).contains("scope"), "{answer}");
    assert!(bed.scans().await.is_empty());
    let name = bed.add_one("www.example.org").await;
    let mut body = scan(&name, "kaze");
    body["result"]["ip_address"] = json!("93.184.216.34");
    assert_eq!(
        bed.post("/api/daemon/kaze/scan/", body.clone()).await.0,
        200
    );
    body["result"]["ip_address"] = json!("169.254.169.254");
    assert_eq!(bed.post("/api/daemon/kage/scan/", body).await.0, 403);
}

#[tokio::test]
async fn networks_become_addresses() {
    let bed = Bed::with(scope(&["10.20.0.0/16"], &["10.20.0.4/30"])).await;
    let body = json!({ "targets": [{ "target": "10.20.0.0/28" }] });
    let (status, answer) = bed.post("/api/targets", body).await;
    assert_eq!(status, 200);
    assert_eq!(answer["created"].as_array().unwrap().len(), 1);
    assert_eq!(answer["skipped"][0]["target"], "10.20.0.4/30");
    assert_eq!(bed.lease("kaze", "kaze@a", 1000).await.len(), 12);
    let (status, answer) = bed
        .post("/api/eggrecords/create/", json!({ "cidr": "10.20.8.0/21" }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer["created_count"], 1);
    assert_eq!(bed.lease("kaze", "kaze@a", 1000).await.len(), 1000);
    assert_eq!(bed.lease("kaze", "kaze@b", 1000).await.len(), 1000);
    assert_eq!(bed.lease("kaze", "kaze@c", 1000).await.len(), 48);
}

/// Shapes as captured from the earlier server; members that it has not may be added.
#[tokio::test]
async fn answers_have_the_earlier_servers_shapes() {
    let bed = Bed::start().await;
    let form = json!({ "domain": "example.org", "subdomain": "app.example.org", "alive": true,
                       "eggname": "Acme", "projectegg": "season" });
    let (status, made) = bed
        .post("/reconnaissance/api/eggrecords/create/", form.clone())
        .await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["message"], "Created 1 eggrecord(s)");
    assert_eq!(made["created_count"], 1);
    assert_eq!(made["projectegg"], "season");
    let id = text(&made["created_ids"][0]);
    let (_, again) = bed.post("/api/eggrecords/create/", form).await;
    assert_eq!(
        (again["created_count"].clone(), &again["existing_ids"]),
        (json!(0), &made["created_ids"])
    );

    let (_, list) = bed.get("/reconnaissance/api/daemon/kage/eggrecords/").await;
    let record = &list["eggrecords"][0];
    assert_eq!(record["id"], id);
    assert_eq!(record["subDomain"], "app.example.org");
    assert_eq!(record["domainname"], "example.org");
    assert_eq!(record["alive"], true);
    assert!(record["updated_at"].is_string() && record.get("egg_id_id").is_some());

    let body = json!({ "eggrecord_id": id, "target": "app.example.org", "result": { "success": true,
        "open_ports": [{ "port": 80, "protocol": "tcp", "state": "open", "service_name": "http" },
                       { "port": "8080", "service_name": "http-proxy" }] } });
    let path = "/reconnaissance/api/daemon/kage/scan/";
    assert_eq!(
        bed.post(path, body.clone()).await.1,
        json!({ "success": true, "message": "Scan result submitted for app.example.org",
                "open_ports_found": 2, "scan_status": "completed" })
    );
    let (status, refused) = bed.post(path, body).await;
    assert_eq!(status, 409);
    assert_eq!(
        refused["error"],
        "Domain has been scanned very recently (within last 5 minutes). Found 1 recent scan(s). \
         Skipping duplicate."
    );
    assert_eq!(refused["skip_reason"], "very_recent_scan_exists");
    let none = json!({ "eggrecord_id": id, "target": "x", "result": { "open_ports": null } });
    let (_, answer) = bed
        .post("/reconnaissance/api/daemon/kaze/scan/", none)
        .await;
    assert_eq!(answer["scan_status"], "completed_no_ports");

    let (status, answer) = bed.get("/reconnaissance/api/daemon/ryu/eggrecords/").await;
    assert_eq!(
        (status.as_u16(), answer["count"].clone()),
        (200, json!(1)),
        "assessment list"
    );
    assert_eq!(answer["eggrecords"][0]["priority"], 0);
    let (_, answer) = bed
        .get("/reconnaissance/api/daemon/ryu/eggrecords/?scan_type=ryu_port_scan")
        .await;
    assert_eq!(answer["eggrecords"][0]["kind"], "ryu_port_scan");
    assert_eq!(
        bed.lease("suzu", "suzu@a", 2).await.len(),
        1,
        "an HTTP port is known"
    );
}

#[tokio::test]
async fn the_earlier_daemons_large_bodies_are_taken_and_not_kept() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let closed: Vec<_> = (1..=65_535)
        .map(|p| {
            json!({ "port": p, "status": "closed", "protocol": "tcp", "service_name": "",
                    "service_product": "", "service_version": "", "service_info": "",
                    "scan_time": 0.0001, "timestamp": "2026-11-21T04:31:30.666927" })
        })
        .collect();
    let mut body = scan(&id, "ryu");
    body["result"]["results"] = json!(closed);
    body["result"]["strategy_used"] = json!("x".repeat(448_000));
    assert!(body.to_string().len() > 10_000_000);
    let (status, answer) = bed.post("/reconnaissance/api/daemon/ryu/scan/", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        bed.scans().await[0]["open_ports"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn health_is_the_agents_own() {
    let bed = Bed::start().await;
    let path = "/reconnaissance/api/daemon/kaze/health/";
    let (status, body) = bed.get(path).await;
    assert_eq!(status, 503);
    assert_eq!(
        (&body["status"], &body["pid"]),
        (&json!("unhealthy"), &Value::Null)
    );
    bed.post("/api/daemon/kaze/heartbeat/", heartbeat("kaze", "a", &[]))
        .await;
    let (status, body) = bed.get(path).await;
    assert_eq!(status, 200);
    let names: BTreeSet<_> = body.as_object().unwrap().keys().cloned().collect();
    let earlier = [
        "database",
        "functional",
        "personality",
        "pid",
        "status",
        "success",
        "timestamp",
    ];
    assert_eq!(names, earlier.map(str::to_owned).into());
    assert_eq!(body["pid"], 4242);
    let (_, all) = bed.get("/api/health").await;
    assert_eq!(
        (&all["overall"], &all["daemons"][0]["name"]),
        (&json!("HEALTHY"), &json!("kaze"))
    );
    bed.clock.advance(TimeDelta::seconds(31));
    assert_eq!(bed.get(path).await.0, 503, "its heartbeat is too old");
    assert_eq!(bed.get("/api/health").await.1["overall"], "DEGRADED");
    for (path, code) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/api/daemon/oak/health/", 400),
    ] {
        assert_eq!(bed.get(path).await.0, code, "{path}");
    }
    let beat = heartbeat("sentinel", "a", &[]);
    assert_eq!(
        bed.post("/api/daemon/sentinel/heartbeat/", beat).await.0,
        200
    );
    assert_eq!(bed.get("/api/daemon/sentinel/health/").await.0, 200);
}

#[tokio::test]
async fn lists_page_in_a_fixed_order() {
    let bed = Bed::start().await;
    let targets: Vec<_> = (0..25).map(|n| format!("10.0.2.{n}")).collect();
    let added = bed.add(&targets).await;
    let mut seen = Vec::new();
    let mut path = "/api/targets?limit=10".to_owned();
    loop {
        let (status, page) = bed.get(&path).await;
        assert_eq!(status, 200);
        seen.extend(ids(page["targets"].as_array().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/targets/?limit=10&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, added);
    let (_, some) = bed.get("/api/targets?q=10.0.2.1").await;
    assert_eq!(some["targets"].as_array().unwrap().len(), 11);
    let id = &added[3];
    assert_eq!(
        bed.get(&format!("/api/targets/{id}/")).await.1["target"],
        "10.0.2.3"
    );
    assert_eq!(bed.delete(&format!("/api/targets/{id}")).await.0, 200);
    assert_eq!(bed.get(&format!("/api/targets/{id}")).await.0, 404);
    assert_eq!(bed.lease("kaze", "kaze@a", 100).await.len(), 24);
}

#[tokio::test]
async fn creating_twice_with_one_key_answers_alike() {
    let bed = Bed::start().await;
    let body = json!({ "targets": [{ "target": "10.0.0.9", "group": "lab" }] });
    let first = bed.post_keyed("/api/targets", "t", &body).await;
    let second = bed.post_keyed("/api/targets/", "t", &body).await;
    assert_eq!(first, second);
    assert_eq!(first.1["created"][0]["group"], "lab");
    let (_, third) = bed.post("/api/targets", body).await;
    assert_eq!(third["existing"][0]["id"], first.1["created"][0]["id"]);
}

#[tokio::test]
async fn an_agent_can_name_itself_in_a_header() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let request = bed.request(Method::GET, "/api/daemon/kaze/eggrecords/");
    bed.send(request.header("Recon-Agent", "kaze@lab-1")).await;
    let (_, target) = bed.get(&format!("/api/targets/{id}")).await;
    let work = target["work"].as_array().unwrap();
    let kaze = work.iter().find(|w| w["kind"] == "kaze_port_scan").unwrap();
    assert_eq!(kaze["lease_owner"], "kaze@lab-1");
    bed.end().await;
}
