//! Repetitions of requests whose work is no result.

use futures_util::future::join_all;
use serde_json::json;

use super::contract;
use super::spine::{after, key, t0};
use crate::api::{Progress, Role};
use crate::hub::store::*;

fn said(text: &str) -> Answer {
    Answer {
        status: 200,
        body: text.to_owned(),
    }
}

async fn the_first_answer_is_kept(store: &dyn Store) {
    let (one, other) = (key("k", 1).unwrap(), key("k", 2).unwrap());
    assert_eq!(store.kept_answer(one.clone()).await.unwrap(), None);
    let all = (0..20).map(|n| store.keep_answer(one.clone(), said(&n.to_string()), t0()));
    let mut kept: Vec<_> = join_all(all)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    kept.dedup();
    assert_eq!(kept.len(), 1);
    assert_eq!(store.kept_answer(one).await.unwrap(), kept.pop());
    let reused = store.kept_answer(other.clone()).await;
    assert!(matches!(reused, Err(StoreError::KeyReused)));
    let reused = store.keep_answer(other, said("x"), t0()).await;
    assert!(matches!(reused, Err(StoreError::KeyReused)));
}

async fn a_key_makes_one_token(store: &dyn Store) {
    let make = |secret, key| {
        let token = NewToken {
            name: "one".to_owned(),
            role: Role::Viewer,
            secret_sha256: [secret; 32],
            agent: None,
            host: None,
            expires_at: None,
        };
        store.create_token(token, key, t0())
    };
    let made = make(1, key("k", 1)).await.unwrap();
    let again = make(2, key("k", 1)).await;
    assert!(matches!(again, Err(StoreError::MadeBefore(id)) if id == made.id.to_string()));
    let other = make(3, key("k", 2)).await;
    assert!(matches!(other, Err(StoreError::KeyReused)));
    make(4, key("l", 1)).await.unwrap();
    let query = PageQuery {
        limit: 10,
        before: None,
    };
    assert_eq!(store.tokens(query).await.unwrap().items.len(), 2);
}

async fn old_progress_that_comes_again_changes_nothing(store: &dyn Store) {
    let say = |percent: u32, key, minutes| {
        let update = ProgressUpdate {
            progress: Progress {
                progress_percent: json!(percent),
                ..Progress::default()
            },
            ..ProgressUpdate::default()
        };
        store.set_progress("suzu".into(), update, key, said("ok"), after(minutes))
    };
    say(10, key("1", 1), 0).await.unwrap();
    say(20, key("2", 2), 1).await.unwrap();
    assert_eq!(say(10, key("1", 1), 2).await.unwrap(), said("ok"));
    let now = store.progress("suzu").await.unwrap().unwrap();
    assert_eq!(now.progress_percent, json!(20));
    let other = say(30, key("2", 3), 3).await;
    assert!(matches!(other, Err(StoreError::KeyReused)));
}

contract!(
    the_first_answer_is_kept,
    a_key_makes_one_token,
    old_progress_that_comes_again_changes_nothing,
);
