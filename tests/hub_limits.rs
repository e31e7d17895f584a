//! What the hub puts up with: rates, sizes and times of requests, sockets and TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::path::Path;
use std::time::Duration;

use hub_support::access::{Root, closed, status};
use hub_support::{Bed, scan, scope};
use recon::runtime::{Credentials, HubClient, HubError, Submitted};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    let root = Root::of(&bed);
    let (_, known) = root.token(json!({ "role": "viewer" })).await;
    let (_, fresh) = root.token(json!({ "role": "viewer" })).await;
    assert_eq!(status(&bed, Method::GET, "/api/targets", &known).await, 200);
    let guess = format!("recon_o{}", "A".repeat(43));
    let mut failed = 0;
    while status(&bed, Method::GET, "/api/targets", &guess).await == 401 {
        failed += 1;
        assert!(failed < 10_000);
    }
    assert!(failed >= 10, "{failed}");
    // Whoever has a token is not held up by others of its address, even when it comes for the first
    // time.
    for token in [known, fresh] {
        assert_eq!(status(&bed, Method::GET, "/api/targets", &token).await, 200);
    }
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
