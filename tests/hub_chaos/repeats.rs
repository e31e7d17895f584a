//! The same submission a hundred times at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::log::World;
use super::processes::{Database, Hub};

#[tokio::test]
async fn a_repeated_result_is_one_row_on_sqlite() {
    a_repeated_result_is_one_row(1, Database::sqlite()).await;
}

#[tokio::test]
async fn a_repeated_result_is_one_row_on_postgresql() {
    a_repeated_result_is_one_row(2, Database::postgres()).await;
}

async fn a_repeated_result_is_one_row(hubs: usize, database: Database) {
    let database = database.ready().await;
    let mut all = Vec::new();
    for _ in 0..hubs {
        all.push(Hub::start(database.url()).await);
    }
    let world = World::new(all.iter().map(|hub| hub.url.clone()).collect(), 2);
    let body = json!({ "targets": [{ "target": "10.0.0.1" }, { "target": "10.0.0.2" }] });
    let added = world.post("/api/targets", "add", body.to_string()).send();
    let added: Value = added.await.unwrap().json().await.unwrap();
    for (n, key) in [(0, Some("the-key")), (1, None)] {
        let record = added["created"][n]["id"].as_str().unwrap();
        let answers = join_all((0..100).map(|hub| submit(&world, record, key, hub))).await;
        let stored: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .collect();
        if key.is_some() {
            assert_eq!(stored.len(), 100, "{answers:?}");
            assert!(answers.iter().all(|answer| *answer == answers[0]));
        } else {
            assert_eq!(stored.len(), 1, "{answers:?}");
            assert!(
                answers
                    .iter()
                    .all(|(status, _)| matches!(status, 200 | 409))
            );
        }
        let path = format!("/api/scans?target={record}");
        let scans: Value = world
            .get(&path, 0)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let own = scans["scans"].as_array().unwrap().iter();
        let own = own.filter(|scan| scan["eggrecord_id"] == record).count();
        assert_eq!(own, 1, "{scans}");
    }
    for mut hub in all {
        hub.kill().await;
    }
    database.check().await;
}

async fn submit(world: &World, record: &str, key: Option<&str>, hub: usize) -> (u16, String) {
    let body = json!({
        "eggrecord_id": record,
        "result": { "success": true, "open_ports": [{ "port": 22 }] },
    });
    let path = "/api/daemon/kaze/scan?agent=kaze@a";
    let mut request = world.post_to(path, hub, body.to_string());
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
