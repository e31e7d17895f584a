use super::*;
use crate::fleet::AgentKind;
use crate::runtime::{ConfigSource, Control, Options};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn context(hub: &str, root: &Path) -> Context {
    let options = Options {
        hub: Some(hub.to_owned()),
        root: root.to_owned(),
        ..Options::default()
    };
    let source = ConfigSource::new(AgentKind::Kaze, options).unwrap();
    let config = source.load(|_| Ok(())).unwrap();
    Context::new(config, Control::new(None), Default::default())
}

fn result(key: Uuid) -> Spooled {
    Spooled {
        id: Uuid::now_v7(),
        path: "daemon/kaze/scan/".into(),
        key,
        lease_id: Some(key),
        target: "127.0.0.1".into(),
        body: RawValue::from_string("{}".into()).unwrap(),
    }
}

async fn answering(status: u16) -> MockServer {
    let server = MockServer::start().await;
    let body = serde_json::json!({"success": status == 200, "error": "x"});
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let gone = ResponseTemplate::new(200).set_body_json(serde_json::json!({"success": true}));
    Mock::given(method("DELETE"))
        .respond_with(gone)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_result_outlives_a_busy_hub_and_a_restart_and_goes_out_under_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = Uuid::now_v7();
    let busy = answering(503).await;
    let ctx = context(&busy.uri(), dir.path());
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.hold(&ctx, [key]);
    outbox.put(&ctx, result(key));
    outbox.drain(&ctx).await;
    assert_eq!(outbox.blocked(), Some("waiting for the hub"));
    assert_eq!(ctx.vitals.get().spooled, 1);
    assert!(ctx.vitals.get().degraded.is_some());
    drop(outbox);

    let server = MockServer::start().await;
    let stored = ResponseTemplate::new(200).set_body_json(serde_json::json!({"success": true}));
    Mock::given(method("POST"))
        .and(header("Idempotency-Key", key.to_string()))
        .respond_with(stored)
        .expect(1)
        .mount(&server)
        .await;
    let ctx = context(&server.uri(), dir.path());
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.drain(&ctx).await;
    assert_eq!(ctx.vitals.get().spooled, 0);
    assert_eq!(outbox.blocked(), None);
}

#[tokio::test]
async fn what_the_hub_will_never_take_is_set_aside_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = answering(422).await;
    let ctx = context(&server.uri(), dir.path());
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.put(&ctx, result(Uuid::now_v7()));
    outbox.drain(&ctx).await;
    assert_eq!(outbox.blocked(), None);
    let rejected = std::fs::read_dir(dir.path().join("spool/rejected")).unwrap();
    assert_eq!(rejected.count(), 1);
}

/// Paths of what was given back.
async fn given_back(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let deleted = requests.iter().filter(|r| r.method.as_str() == "DELETE");
    deleted.map(|r| r.url.path().to_owned()).collect()
}

#[tokio::test]
async fn a_killed_agent_asks_for_what_it_had_begun() {
    let dir = tempfile::tempdir().unwrap();
    let server = answering(200).await;
    let ctx = context(&server.uri(), dir.path());
    let [begun, done, other] = [0; 3].map(|_| Uuid::now_v7());
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.hold(&ctx, [begun, done, other]);
    for lease in [begun, done] {
        // A record has the id of its lease, here.
        outbox.checkpoints().save(lease, Some(lease), ()).unwrap();
    }
    // Killed between the result's coming into the spool and the checkpoint's going.
    outbox.put(&ctx, result(done));
    drop(outbox);

    let mut outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.to_resume(), [begun]);
    assert!(outbox.checkpoints().load::<()>(done).is_none());
    outbox.drain(&ctx).await;
    assert!(given_back(&server).await[0].contains(&other.to_string()));
    // It is killed once more before it could ask.
    drop(outbox);
    let mut outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.to_resume(), [begun]);
    // The hub gives something else: the lease goes back.
    outbox.hold(&ctx, [Uuid::now_v7()]);
    outbox.asked_to_resume(&ctx);
    outbox.drain(&ctx).await;
    assert!(given_back(&server).await[1].contains(&begun.to_string()));
    assert!(outbox.to_resume().is_empty());
}

#[tokio::test]
async fn a_checkpoint_stays_until_the_result_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let server = answering(503).await;
    let ctx = context(&server.uri(), dir.path());
    let record = Uuid::now_v7();
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.checkpoints().save(record, None, ()).unwrap();
    let spool = dir.path().join("spool");
    std::fs::remove_dir(&spool).unwrap();
    outbox.put(&ctx, result(record));
    outbox.finished(record);
    assert!(outbox.checkpoints().load::<()>(record).is_some());
    std::fs::create_dir(&spool).unwrap();
    outbox.drain(&ctx).await;
    assert!(outbox.checkpoints().load::<()>(record).is_none());
    assert_eq!(ctx.vitals.get().spooled, 1);
}

#[tokio::test]
async fn a_killed_agent_gives_back_at_its_next_start_what_no_result_will_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = answering(200).await;
    let ctx = context(&server.uri(), dir.path());
    let (unfinished, finished) = (Uuid::now_v7(), Uuid::now_v7());
    let mut outbox = Outbox::open(dir.path()).unwrap();
    outbox.hold(&ctx, [unfinished, finished]);
    outbox.put(&ctx, result(finished));
    drop(outbox);

    Outbox::open(dir.path()).unwrap().drain(&ctx).await;
    let requests = server.received_requests().await.unwrap();
    let released: Vec<_> = requests
        .iter()
        .filter(|r| r.method.as_str() == "DELETE")
        .map(|r| r.url.path())
        .collect();
    assert_eq!(released.len(), 1);
    assert!(released[0].contains(&unfinished.to_string()));
}
