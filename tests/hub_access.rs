//! Who may talk to the hub, over HTTP and over its control socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use hub_support::access::{Root, closed, status};
use hub_support::{Bed, heartbeat, scan, text};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let bed = closed().await;
    for path in [
        "/api/targets",
        "/api/nothing",
        "/reconnaissance/api/daemon/kaze/eggrecords/",
    ] {
        let response = bed.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
        let challenge = &response.headers()[WWW_AUTHENTICATE];
        assert_eq!(challenge, "Bearer realm=\"recon\"");
        let body: Value = response.json().await.unwrap();
        assert!(text(&body["error"]).contains("token"), "{body}");
    }
    for authorization in [
        "Bearer nonsense",
        "Basic eDp5",
        "Bearer",
        "Bearer recon_oAAAA",
    ] {
        let request = bed.request(Method::GET, "/api/targets");
        let response = request
            .header(AUTHORIZATION, authorization)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401, "{authorization}");
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(bed.get(path).await.0, 200, "{path}");
    }
    bed.end().await;
}

#[tokio::test]
async fn each_role_does_its_own() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let mut tokens = BTreeMap::new();
    for role in ["agent", "viewer", "operator"] {
        tokens.insert(role, root.token(json!({ "role": role })).await.1);
    }
    let (yes, no) = (true, false);
    let lease = "/api/daemon/kaze/eggrecords/?agent=kaze@a";
    let nil = "/api/targets/00000000-0000-0000-0000-000000000000";
    for (method, path, agent, viewer, operator) in [
        (Method::GET, lease, yes, no, yes),
        (Method::POST, "/api/daemon/kaze/scan/", yes, no, yes),
        (Method::POST, "/api/daemon/kaze/heartbeat/", yes, no, yes),
        (Method::GET, "/api/daemon/kaze/health/", yes, yes, yes),
        (Method::GET, "/api/targets", no, yes, yes),
        (Method::HEAD, "/api/targets", no, yes, yes),
        (Method::GET, "/api/scans", no, yes, yes),
        (Method::GET, "/api/changes", no, yes, yes),
        (Method::GET, "/api/events", no, yes, yes),
        (Method::GET, "/api/webhooks", no, yes, yes),
        (Method::POST, "/api/targets", no, no, yes),
        (Method::DELETE, nil, no, no, yes),
        (Method::POST, "/api/eggrecords/create/", no, no, yes),
        (Method::GET, "/api/tokens", no, no, yes),
        (Method::POST, "/api/tokens", no, no, yes),
        (Method::POST, "/api/tokens/local", no, no, yes),
        (Method::GET, "/api/audit", no, no, yes),
        // What is not there is not there for each of them.
        (Method::GET, "/api/nothing", yes, yes, yes),
        (Method::PUT, "/api/targets", yes, yes, yes),
    ] {
        for (role, may) in [("agent", agent), ("viewer", viewer), ("operator", operator)] {
            let got = status(&bed, method.clone(), path, &tokens[role]).await;
            assert_eq!(got != 403, may, "{role} {method} {path}: {got}");
            assert_ne!(got, 401, "{role} {method} {path}");
        }
    }
    bed.end().await;
}

#[tokio::test]
async fn what_a_role_lacks_is_said() {
    let bed = closed().await;
    let (_, viewer) = Root::of(&bed).token(json!({ "role": "viewer" })).await;
    let request = bed
        .request(Method::POST, "/api/targets")
        .bearer_auth(&viewer);
    let response = request.json(&json!({})).send().await.unwrap();
    assert_eq!(response.status(), 403);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        body["error"],
        "this takes the role operator, and the token's is viewer"
    );
    bed.end().await;
}

#[tokio::test]
async fn a_bound_token_is_one_agent_only() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let targets = json!({ "targets": [{ "target": "127.0.0.1" }, { "target": "127.0.0.2" }] });
    let (_, added) = root.send(Method::POST, "/api/targets", Some(targets)).await;
    let record = text(&added["created"][0]["id"]);
    let wish = json!({ "role": "agent", "agent": "kaze", "host": "a" });
    let (_, kaze) = root.token(wish).await;

    let api = |path: &str| format!("/reconnaissance/api{path}");
    let as_kaze = |method: Method, path: &str| bed.request(method, &api(path)).bearer_auth(&kaze);
    let lease = "/daemon/kaze/eggrecords/?limit=1";
    for (name, request) in [
        (
            "lease",
            as_kaze(Method::GET, &format!("{lease}&agent=kaze@b")),
        ),
        (
            "lease as another",
            as_kaze(Method::GET, &format!("{lease}&agent=kage@a")),
        ),
        (
            "two names",
            as_kaze(Method::GET, &format!("{lease}&agent=kage@a&agent=kaze@a")),
        ),
        (
            "header",
            as_kaze(Method::GET, lease).header("Recon-Agent", "kage@a"),
        ),
        (
            "another's work",
            as_kaze(Method::GET, "/daemon/kage/eggrecords/?agent=kaze@a"),
        ),
        (
            "another's work, unnamed",
            as_kaze(Method::GET, "/daemon/kage/eggrecords/"),
        ),
        (
            "submit",
            as_kaze(Method::POST, "/daemon/kaze/scan/?agent=kaze@b").json(&scan(&record, "kaze")),
        ),
        (
            "submit as another",
            as_kaze(Method::POST, "/daemon/kage/scan/").json(&scan(&record, "kage")),
        ),
        (
            "heartbeat",
            as_kaze(Method::POST, "/daemon/kaze/heartbeat/").json(&heartbeat("kage", "a", &[])),
        ),
        (
            "heartbeat of another host",
            as_kaze(Method::POST, "/daemon/kaze/heartbeat/").json(&heartbeat("kaze", "b", &[])),
        ),
    ] {
        let (status, body) = bed.send(request).await;
        assert_eq!(status, 403, "{name}: {body}");
        assert!(
            text(&body["error"]).contains("the token is for kaze@a"),
            "{body}"
        );
    }
    assert_eq!(root.get("/api/scans").await["scans"], json!([]));

    // Itself it may be, and it is without saying so.
    let (status, leased) = bed.send(as_kaze(Method::GET, lease)).await;
    assert_eq!(status, 200, "{leased}");
    let own = text(&leased["eggrecords"][0]["lease_id"]);
    let beat = heartbeat("kaze", "a", std::slice::from_ref(&own));
    let request = as_kaze(Method::POST, "/daemon/kaze/heartbeat/").json(&beat);
    let (_, beat) = bed.send(request).await;
    assert_eq!(text(&beat["leases"][0]["id"]), own);
    assert!(
        !beat["leases"][0]["expires_at"].is_null(),
        "it is its own: {beat}"
    );

    // Nor may it give back what another holds.
    let (_, other) = root
        .send(
            Method::GET,
            "/api/daemon/kaze/eggrecords/?agent=kaze@b",
            None,
        )
        .await;
    let others = text(&other["eggrecords"][0]["lease_id"]);
    for (lease, wanted) in [(&others, 403), (&own, 200), (&own, 404)] {
        let request = as_kaze(Method::DELETE, &format!("/daemon/leases/{lease}"));
        assert_eq!(bed.send(request).await.0, wanted);
    }
    bed.end().await;
}

#[tokio::test]
async fn a_bound_token_sends_no_results_of_another() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let wish = json!({ "role": "agent", "agent": "kaze", "host": "a" });
    let (_, kaze) = root.token(wish).await;
    for path in [
        "/daemon/spider/",
        "/daemon/enumeration/",
        "/daemon/assessment/",
        "/daemon/suzu/progress/",
        "/daemon/other/progress/",
    ] {
        let path = format!("/reconnaissance/api{path}");
        let request = bed.request(Method::POST, &path).bearer_auth(&kaze);
        let (status, body) = bed.send(request.json(&json!({}))).await;
        assert_eq!(status, 403, "{path}: {body}");
        let error = text(&body["error"]);
        assert!(error.contains("the token is for kaze@a"), "{error}");
    }
    bed.end().await;
}

#[tokio::test]
async fn revoked_and_expired_is_out_at_once() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let (id, viewer) = root.token(json!({ "role": "viewer" })).await;
    assert_eq!(
        status(&bed, Method::GET, "/api/targets", &viewer).await,
        200
    );
    let path = format!("/api/tokens/{id}");
    assert_eq!(root.send(Method::DELETE, &path, None).await.0, 200);
    assert_eq!(
        status(&bed, Method::GET, "/api/targets", &viewer).await,
        401
    );
    assert_eq!(root.send(Method::DELETE, &path, None).await.0, 200, "again");

    let (_, short) = root
        .token(json!({ "role": "viewer", "expires_in_s": 60 }))
        .await;
    assert_eq!(status(&bed, Method::GET, "/api/targets", &short).await, 200);
    bed.clock.advance(TimeDelta::seconds(61));
    assert_eq!(status(&bed, Method::GET, "/api/targets", &short).await, 401);
    bed.end().await;
}

#[tokio::test]
async fn tokens_are_listed_without_their_secrets() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let wish = json!({ "role": "agent", "agent": "kaze", "name": "kaze of the lab" });
    let (id, secret) = root.token(wish).await;
    assert!(secret.starts_with("recon_a"), "{secret}");
    let list = root.get("/api/tokens").await;
    let first = &list["tokens"][0];
    assert_eq!(first["id"], json!(id));
    assert_eq!(first["name"], "kaze of the lab");
    assert!(!list.to_string().contains(&secret));
    for (wish, field) in [
        (json!({ "role": "admin" }), "role"),
        (json!({ "role": "viewer", "agent": "kaze" }), "role"),
        (json!({ "role": "agent", "agent": "K@" }), "agent"),
        (json!({ "role": "agent", "host": "a b" }), "host"),
        (json!({ "role": "agent", "name": "" }), "name"),
        (
            json!({ "role": "agent", "expires_in_s": 0 }),
            "expires_in_s",
        ),
    ] {
        let (status, body) = root.send(Method::POST, "/api/tokens", Some(wish)).await;
        assert_eq!(status, 422, "{body}");
        assert_eq!(body["validation_errors"][0]["field"], field, "{body}");
    }
    bed.end().await;
}

#[tokio::test]
async fn the_agents_of_this_host_have_a_token_from_the_start() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let file = bed.dir.path().join("agent-token");
    let read = || std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let first = read();
    let lease = "/api/daemon/kaze/eggrecords/?agent=kaze@a";
    assert_eq!(status(&bed, Method::GET, lease, &first).await, 200);
    assert_eq!(
        root.send(Method::POST, "/api/tokens/local", None).await.0,
        200
    );
    let second = read();
    assert_eq!(status(&bed, Method::GET, lease, &first).await, 401);
    assert_eq!(status(&bed, Method::GET, lease, &second).await, 200);
    bed.end().await;
}

#[tokio::test]
async fn a_hub_that_opens_loopback_still_gives_no_rights_to_nobody() {
    let bed = Bed::start().await;
    assert_eq!(bed.get("/api/targets").await.0, 200);
    bed.add_one("127.0.0.1").await;
    for (method, path) in [
        (Method::POST, "/api/tokens"),
        (Method::GET, "/api/tokens"),
        (Method::GET, "/api/audit"),
        (Method::POST, "/api/tokens/local"),
    ] {
        let request = bed
            .request(method, path)
            .json(&json!({ "role": "operator" }));
        let (status, body) = bed.send(request).await;
        assert_eq!(status, 403, "{path} {body}");
    }
    // Who shows a bad token is not taken for one who shows none.
    assert_eq!(
        status(&bed, Method::GET, "/api/targets", "nonsense").await,
        401
    );
    bed.end().await;
}

#[tokio::test]
async fn what_operators_change_is_noted() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let (id, operator) = root
        .token(json!({ "role": "operator", "name": "ann" }))
        .await;
    let body = json!({ "targets": [{ "target": "127.0.0.1" }, { "target": "127.0.0.2" }] });
    let add = || {
        let request = bed.request(Method::POST, "/api/targets").json(&body);
        request
            .bearer_auth(&operator)
            .header("Idempotency-Key", "k")
    };
    let (_, added) = bed.send(add()).await;
    bed.send(add()).await;
    let target = text(&added["created"][0]["id"]);
    let path = format!("/api/targets/{target}");
    assert_eq!(root.send(Method::DELETE, &path, None).await.0, 200);
    assert_eq!(root.send(Method::DELETE, &path, None).await.0, 404);
    let path = format!("/api/tokens/{id}");
    root.send(Method::DELETE, &path, None).await;

    let list = root.get("/api/audit").await;
    let entries = list["audit"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|e| text(&e["action"])).collect();
    // A repetition and a failure changed nothing.
    assert_eq!(
        actions,
        [
            "token.revoke",
            "target.delete",
            "target.create",
            "token.create"
        ]
    );
    let [_, deleted, created, made] = &entries[..] else {
        unreachable!()
    };
    assert_eq!(deleted["object"], "127.0.0.1");
    assert_eq!(deleted["old"]["id"], json!(target));
    assert_eq!(deleted["peer"], "control socket");
    let who = text(&created["who"]);
    assert!(who.starts_with("token ann ("), "{who}");
    assert_eq!(created["role"], "operator");
    assert_eq!(created["peer"], "127.0.0.1");
    assert_eq!(created["new"]["targets"], json!(["127.0.0.1", "127.0.0.2"]));
    assert_eq!(made["object"], json!(id));
    assert!(!list.to_string().contains(&operator));
    let page = root.get("/api/audit?limit=1").await;
    let next = text(&page["next_cursor"]);
    let page = root.get(&format!("/api/audit?limit=1&cursor={next}")).await;
    assert_eq!(page["audit"][0]["action"], "target.delete");
    bed.end().await;
}
