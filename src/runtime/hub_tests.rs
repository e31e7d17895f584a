//! The client against servers that answer as a test wants.

use std::time::Duration;

use uuid::Uuid;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Credentials, HubClient, HubError, Submitted};
use crate::api::{Personality, WorkKind};

async fn server(template: ResponseTemplate) -> (MockServer, HubClient) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    let client =
        HubClient::new(&server.uri(), "kaze@here".into(), &Credentials::default()).unwrap();
    (server, client)
}

async fn submit(template: ResponseTemplate) -> Result<Submitted, HubError> {
    let (_server, client) = server(template).await;
    client
        .submit("daemon/kaze/scan/", Uuid::nil(), b"{}".to_vec())
        .await
}

#[tokio::test]
async fn leases_in_the_earlier_servers_shape() {
    let server = MockServer::start().await;
    let body = serde_json::json!({"success": true, "count": 1, "eggrecords": [{
        "id": "11111111-1111-4111-8111-111111111111", "subDomain": "127.0.0.1",
        "domainname": null, "alive": true, "updated_at": "2026-11-11T04:05:15.446860+00:00",
        "egg_id_id": null}]});
    Mock::given(method("GET"))
        .and(path("/reconnaissance/api/daemon/kaze/eggrecords/"))
        .and(query_param("limit", "10"))
        .and(query_param("agent", "kaze@here"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    let client =
        HubClient::new(&server.uri(), "kaze@here".into(), &Credentials::default()).unwrap();
    let records = client
        .lease(
            Personality::Kaze,
            WorkKind::KazePortScan,
            10,
            Duration::from_secs(600),
            &[],
        )
        .await
        .unwrap();
    assert_eq!(records[0].target().as_deref(), Some("127.0.0.1"));
    assert_eq!(records[0].lease_id, None);
}

#[tokio::test]
async fn tells_final_from_transient() {
    let ok = ResponseTemplate::new(200).set_body_json(serde_json::json!({"success": true}));
    assert_eq!(submit(ok).await.unwrap(), Submitted::Stored);

    let recent = serde_json::json!({"success": false, "error": "x", "skip_reason": "very_recent_scan_exists"});
    let recent = ResponseTemplate::new(409).set_body_json(recent);
    assert_eq!(submit(recent).await.unwrap(), Submitted::Superseded);

    let busy = ResponseTemplate::new(503).insert_header("retry-after", "7");
    let busy = submit(busy).await.unwrap_err();
    assert!(busy.is_transient());
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));

    assert!(
        !submit(ResponseTemplate::new(422))
            .await
            .unwrap_err()
            .is_transient()
    );
    // What stands between us and the hub, or a token that is missing, gets better.
    for status in [301, 401, 403, 404, 407, 500, 502] {
        let error = submit(ResponseTemplate::new(status)).await.unwrap_err();
        assert!(error.is_transient(), "{status}");
    }
    let own = serde_json::json!({"success": false, "error": "unknown record"});
    let own = ResponseTemplate::new(404).set_body_json(own);
    assert!(!submit(own).await.unwrap_err().is_transient());
    let shadowed = serde_json::json!({"success": false, "error": "Invalid personality"});
    let shadowed = ResponseTemplate::new(200).set_body_json(shadowed);
    assert!(!submit(shadowed).await.unwrap_err().is_transient());
}

const STORED: &str = r#"{"success": true}"#;

async fn asks_for(token: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(header("authorization", format!("Bearer {token}")))
        .respond_with(ResponseTemplate::new(200).set_body_string(STORED))
        .mount(&server)
        .await;
    let body = serde_json::json!({"success": false, "error": "the hub does not know this token"});
    let refused = ResponseTemplate::new(401)
        .insert_header("www-authenticate", "Bearer realm=\"recon\"")
        .set_body_json(body);
    Mock::given(method("POST"))
        .respond_with(refused)
        .with_priority(9)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_token_that_comes_later_is_taken() {
    let server = asks_for("recon_anew").await;
    let dir = tempfile::tempdir().unwrap();
    let credentials = Credentials {
        token: Some(dir.path().join("hub-token")),
        authority: None,
    };
    let client = HubClient::new(&server.uri(), "kaze@here".into(), &credentials).unwrap();
    let submit = || client.submit("daemon/kaze/scan/", Uuid::nil(), b"{}".to_vec());
    let none = submit().await.unwrap_err();
    assert!(none.is_transient());
    assert!(none.to_string().contains("reconctl restart kaze"), "{none}");
    std::fs::write(dir.path().join("hub-token"), "recon_aold\n").unwrap();
    let old = submit().await.unwrap_err().to_string();
    assert!(old.contains("does not know this token"), "{old}");
    std::fs::write(dir.path().join("hub-token"), "recon_anew\n").unwrap();
    assert_eq!(submit().await.unwrap(), Submitted::Stored);
}

#[tokio::test]
async fn a_token_of_another_agent_loses_no_result() {
    let body = serde_json::json!({"success": false, "error": "the token is for kage@*"});
    let other = ResponseTemplate::new(403)
        .insert_header("www-authenticate", "Bearer error=\"insufficient_scope\"")
        .set_body_json(body);
    assert!(submit(other).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let client = HubClient::new(
        "http://127.0.0.1:1/",
        "kaze@here".into(),
        &Credentials::default(),
    )
    .unwrap();
    assert!(
        client
            .release(Uuid::nil())
            .await
            .unwrap_err()
            .is_transient()
    );
}

#[test]
fn refuses_what_is_no_hub() {
    for url in ["", "hub:9000", "ftp://hub", "unix:/x"] {
        assert!(
            HubClient::new(url, String::new(), &Credentials::default()).is_err(),
            "{url}"
        );
    }
}
