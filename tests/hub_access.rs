//! Who may talk to the hub, over HTTP and over its control socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use hub_support::{Bed, heartbeat, scan, scope, text};
use recon::runtime::{Credentials, HubClient, HubError, Submitted};
use reqwest::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A hub that lets nobody in without a token, and its control socket.
async fn closed() -> Bed {
    let scope = scope(&["127.0.0.0/8"], &[]);
    Bed::configured(scope, |config, dir| {
        config
            .without_anonymous()
            .control_socket(dir.join("control.sock"))
            .local_token(dir.join("agent-token"))
    })
    .await
}

/// What root sends.
struct Root(reqwest::Client);

impl Root {
    fn of(bed: &Bed) -> Self {
        let socket = bed.dir.path().join("control.sock");
        Self(
            reqwest::Client::builder()
                .unix_socket(socket)
                .build()
                .unwrap(),
        )
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.0.request(method, format!("http://localhost{path}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn token(&self, wish: Value) -> (String, String) {
        let (status, made) = self.send(Method::POST, "/api/tokens", Some(wish)).await;
        assert_eq!(status, 201, "{made}");
        (text(&made["token"]["id"]), text(&made["secret"]))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

async fn status(bed: &Bed, method: Method, path: &str, token: &str) -> StatusCode {
    let mut request = bed.request(method.clone(), path).bearer_auth(token);
    if method == Method::POST {
        request = request.json(&json!({}));
    }
    request.send().await.unwrap().status()
}

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

#[tokio::test]
async fn too_many_requests_are_put_off() {
    let scope = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(scope, |config, dir| {
        config
            .max_requests(4)
            .control_socket(dir.join("control.sock"))
    })
    .await;
    let root = Root::of(&bed);
    let (_, viewer) = root.token(json!({ "role": "viewer" })).await;
    let ask = |token: Option<&str>| {
        let request = bed.request(Method::GET, "/api/targets");
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    // A burst of 8 with a token, of 4 without; some time passes meanwhile.
    for (token, burst) in [(Some(viewer.as_str()), 8), (None, 4)] {
        let mut good = 0;
        let refused = loop {
            let response = ask(token).send().await.unwrap();
            match response.status() {
                StatusCode::OK => good += 1,
                _ => break response,
            }
        };
        assert!(good >= burst, "{good}");
        assert_eq!(refused.status(), 429);
        let wait: u64 = refused.headers()[RETRY_AFTER]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(wait >= 1);
    }
    for _ in 0..20 {
        root.get("/api/targets").await;
    }
    bed.end().await;
}

#[tokio::test]
async fn whoever_tries_out_tokens_is_slowed_down() {
    let bed = closed().await;
    let (_, viewer) = Root::of(&bed).token(json!({ "role": "viewer" })).await;
    assert_eq!(
        status(&bed, Method::GET, "/api/targets", &viewer).await,
        200
    );
    let guess = format!("recon_o{}", "A".repeat(43));
    let mut failed = 0;
    while status(&bed, Method::GET, "/api/targets", &guess).await == 401 {
        failed += 1;
        assert!(failed < 10_000);
    }
    assert!(failed >= 10, "{failed}");
    assert_eq!(
        status(&bed, Method::GET, "/api/targets", &viewer).await,
        200,
        "who is known from the same address is not held up"
    );
    bed.end().await;
}

#[tokio::test]
async fn slow_bodies_and_long_queries_are_given_up() {
    let scope = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(scope, |config, _| {
        config.body_pause(Duration::from_millis(50))
    })
    .await;
    let mut stream = TcpStream::connect(bed.address).await.unwrap();
    let head = "POST /api/targets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");

    let long = format!("/api/targets?q={}", "x".repeat(9000));
    assert_eq!(bed.get(&long).await.0, 414);
    let fits = format!("/api/targets?q={}", "x".repeat(8000));
    assert_eq!(bed.get(&fits).await.0, 200);
    bed.end().await;
}

#[tokio::test]
async fn the_control_socket_is_for_its_owner_and_goes_with_the_hub() {
    use std::os::unix::fs::PermissionsExt;
    let bed = closed().await;
    let path = bed.dir.path().join("control.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A page in a browser cannot use it, so that any name will do.
    let client = reqwest::Client::builder().unix_socket(path.clone());
    let request = client
        .build()
        .unwrap()
        .get("http://any.example/api/targets");
    assert_eq!(request.send().await.unwrap().status(), 200);
    // A token there is still what it is elsewhere.
    let (_, viewer) = Root::of(&bed).token(json!({ "role": "viewer" })).await;
    let client = Root::of(&bed).0;
    let request = client
        .post("http://localhost/api/targets")
        .bearer_auth(viewer);
    assert_eq!(request.json(&json!({})).send().await.unwrap().status(), 403);
    let dir = bed.dir.path().to_owned();
    bed.end().await;
    assert!(!dir.join("control.sock").exists());
}

/// A certificate for 127.0.0.1, signed by itself, and its key.
fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn trusting(path: &Path) -> reqwest::Client {
    let pem = std::fs::read(path).unwrap();
    let authority = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
    let builder = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0);
    builder.tls_certs_only(authority).build().unwrap()
}

#[tokio::test]
async fn tls_for_who_wants_it() {
    let scope = scope(&["127.0.0.0/8"], &[]);
    let bed = Bed::configured(scope, |config, dir| {
        certificate(dir);
        config
            .without_anonymous()
            .control_socket(dir.join("control.sock"))
            .local_token(dir.join("agent-token"))
            .tls(dir.join("cert.pem"), dir.join("key.pem"))
    })
    .await;
    let dir = bed.dir.path();
    let url = format!("https://{}", bed.address);
    let client = trusting(&dir.join("cert.pem"));
    let alive = client.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    assert!(
        bed.http.get(bed.url("/healthz")).send().await.is_err(),
        "in the clear"
    );
    // The control socket needs none.
    Root::of(&bed).get("/api/targets").await;

    // An agent with the credentials that it has under systemd.
    let credentials = Credentials {
        token: Some(dir.join("agent-token")),
        authority: Some(dir.join("cert.pem")),
    };
    let agent = HubClient::new(&url, "kaze@here".to_owned(), &credentials).unwrap();
    let body = serde_json::to_vec(&scan("00000000-0000-0000-0000-000000000000", "kaze")).unwrap();
    let submit = |agent: &HubClient| {
        let (agent, body) = (agent.clone(), body.clone());
        async move {
            agent
                .submit("daemon/kaze/scan/", uuid::Uuid::nil(), body)
                .await
        }
    };
    let answer: Result<Submitted, HubError> = submit(&agent).await;
    assert!(
        matches!(answer, Err(HubError::Refused { .. })),
        "no such record: {answer:?}"
    );
    let stranger = HubClient::new(&url, "kaze@here".to_owned(), &Credentials::default()).unwrap();
    let answer = submit(&stranger).await;
    assert!(
        matches!(answer, Err(HubError::Unreachable(_))),
        "{answer:?}"
    );

    // Another certificate takes effect by a reload; a bad one does not.
    std::fs::write(dir.join("cert.pem"), "nonsense").unwrap();
    assert!(bed.hub.reload_certificate().is_err());
    assert_eq!(
        client
            .get(format!("{url}/healthz"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    certificate(dir);
    bed.hub.reload_certificate().unwrap();
    assert!(client.get(format!("{url}/healthz")).send().await.is_err());
    let client = trusting(&dir.join("cert.pem"));
    assert_eq!(
        client
            .get(format!("{url}/healthz"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    bed.end().await;
}
