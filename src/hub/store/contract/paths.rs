//! Paths that enumerations find.

use serde_json::json;

use super::contract;
use super::results::{changes, claim, events, send_paths};
use super::samples::{delivered, paths};
use super::spine::{add, after, t0};
use crate::api::WorkKind;
use crate::hub::store::*;

async fn a_path_seen_again_is_not_another(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let send = |list: &[(&str, Option<u16>)], minutes| {
        send_paths(store, delivered(id, 30, after(minutes), paths(list)))
    };
    let first = [("/", Some(200)), ("/old", Some(200)), ("/no", Some(404))];
    assert!(send(&first, 0).await.starts_with("Stored(3)"));
    assert!(
        changes(store).await.is_empty(),
        "there is nothing to compare"
    );
    let second = [
        ("/", None),
        ("/admin", Some(403)),
        ("/old", Some(404)),
        ("/no", Some(200)),
        ("/nor", Some(404)),
    ];
    assert!(send(&second, 1).await.starts_with("Stored(5)"));
    let summary = store.summary(id).await.unwrap().unwrap();
    assert_eq!(summary.counts.paths, 5);
    let root = summary.paths.iter().find(|p| p.path == "/").unwrap();
    assert_eq!(root.status, Some(200), "what is not said stays");
    assert_eq!((root.discovered_at, root.last_seen_at), (t0(), after(1)));
    let told = changes(store).await;
    let wanted = [
        ("path_appeared", "/admin"),
        ("path_disappeared", "/old"),
        ("path_appeared", "/no"),
    ];
    assert_eq!(told, wanted.map(|(kind, path)| (json!(kind), json!(path))));
    assert_eq!(events(store, "enumeration_completed").await.len(), 2);
    let month = 30 * 24 * 60;
    assert!(
        claim(store, WorkKind::SuzuEnum, after(month))
            .await
            .is_empty()
    );
    assert_eq!(
        claim(store, WorkKind::SuzuEnum, after(month + 1))
            .await
            .len(),
        1
    );
    assert_eq!(
        claim(store, WorkKind::KumoSpider, t0()).await.len(),
        1,
        "it is no spidering"
    );
}

/// Some tools name paths alone: they neither come nor go by that.
async fn a_path_without_a_status_is_as_it_was(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let send = |list: &[(&str, Option<u16>)], minutes| {
        send_paths(store, delivered(id, 30, after(minutes), paths(list)))
    };
    send(&[("/no", Some(404)), ("/", None)], 0).await;
    for minutes in 1..4 {
        send(&[("/no", None), ("/", None)], minutes).await;
    }
    assert!(changes(store).await.is_empty());
    send(&[("/no", Some(200))], 4).await;
    send(&[("/no", None)], 5).await;
    let told = changes(store).await;
    assert_eq!(told, [(json!("path_appeared"), json!("/no"))]);
}

async fn a_first_path_after_none_appeared(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    send_paths(store, delivered(id, 30, t0(), paths(&[]))).await;
    let long = format!("/{}", "x".repeat(4000));
    let found = paths(&[(&long, Some(200))]);
    send_paths(store, delivered(id, 30, after(1), found)).await;
    assert_eq!(changes(store).await.len(), 1);
}

contract!(
    a_path_seen_again_is_not_another,
    a_path_without_a_status_is_as_it_was,
    a_first_path_after_none_appeared,
);
