//! What agents get before they begin: ports, paths, and what enumerations have taught.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::contract;
use super::results::send_paths;
use super::samples::{delivered, paths, spider};
use super::spine::{add, after, scan, submit, t0};
use super::web::{page, send};
use crate::api::{LearnedPath, Technology, WebContext};
use crate::hub::store::*;

async fn context(store: &dyn Store, id: Uuid) -> WebContext {
    store.web_context(id, true).await.unwrap().unwrap()
}

async fn enumerated(
    store: &dyn Store,
    id: Uuid,
    list: &[(&str, Option<u16>)],
    cms: Option<&str>,
    now: DateTime<Utc>,
) {
    let mut found = paths(list);
    found.cms = cms.map(|name| Cms {
        name: name.to_owned(),
        version: None,
        confidence: 1.0,
    });
    send_paths(store, delivered(id, 30, now, found)).await;
}

async fn runs(store: &dyn Store, id: Uuid, name: &str) {
    let technology = Technology {
        name: name.to_owned(),
        category: "CMS".to_owned(),
        ..Technology::default()
    };
    let found = Spider {
        technologies: Some(vec![technology]),
        ..spider("1", &["http://10.0.0.1/"])
    };
    send(store, id, found, t0()).await;
}

fn weight(learned: &[LearnedPath], path: &str) -> f64 {
    let found = learned.iter().find(|l| l.path == path);
    found.map(|l| l.weight).unwrap_or_default()
}

async fn paths_of_similar_records_weigh_more(store: &dyn Store) {
    let names: Vec<_> = (1..=9).map(|n| format!("10.0.0.{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ids = add(store, &names).await;
    for id in &ids[..3] {
        let list = [
            ("/wp-login.php", Some(200)),
            ("/robots.txt", Some(200)),
            ("/no", Some(404)),
        ];
        enumerated(store, *id, &list, Some("WordPress"), t0()).await;
    }
    for id in &ids[3..7] {
        runs(store, *id, "Drupal").await;
        enumerated(store, *id, &[("robots.txt?x", None)], None, after(1)).await;
    }
    runs(store, ids[7], "wordpress").await;
    let similar = context(store, ids[7]).await.learned;
    assert_eq!(similar[0].path, "/robots.txt", "on all of both");
    assert_eq!(similar[1].path, "/wp-login.php");
    let other = context(store, ids[8]).await.learned;
    assert!(
        similar
            .iter()
            .chain(&other)
            .all(|l| (0.0..=1.0).contains(&l.weight))
    );
    // 3 of 7, and 3 of 3 that run the same.
    let overall = 3.0 / 10.0;
    assert!((weight(&other, "/wp-login.php") - overall).abs() < 1e-9);
    let on_same = (3.0 + 3.0 * overall) / 6.0;
    assert!((weight(&similar, "/wp-login.php") - on_same).abs() < 1e-9);
    assert_eq!(similar.iter().find(|l| l.path == "/no"), None);
    let kumo = store.web_context(ids[7], false).await.unwrap().unwrap();
    assert!(kumo.learned.is_empty() && kumo.paths.is_empty());
    assert_eq!(kumo.technologies[0].name, "wordpress");
    assert!(
        store
            .web_context(Uuid::now_v7(), true)
            .await
            .unwrap()
            .is_none()
    );
}

/// A record counts once, as it is now.
async fn a_record_is_counted_once(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let both = [("/a", Some(200)), ("/b", Some(403))];
    for minutes in 0..3 {
        enumerated(store, ids[0], &both, Some("x"), after(minutes)).await;
    }
    let learned = context(store, ids[1]).await.learned;
    assert!((weight(&learned, "/a") - 0.25).abs() < 1e-9, "{learned:?}");
    assert!((weight(&learned, "/b") - 0.25).abs() < 1e-9);
    enumerated(store, ids[0], &[("/a", Some(404))], Some("y"), after(4)).await;
    runs(store, ids[1], "y").await;
    let learned = context(store, ids[1]).await.learned;
    assert_eq!(learned.len(), 1, "{learned:?}");
    assert!((weight(&learned, "/b") - (1.0 + 0.75) / 4.0).abs() < 1e-9);
    runs(store, ids[1], "x").await;
    let learned = context(store, ids[1]).await.learned;
    assert!(
        (weight(&learned, "/b") - 0.25).abs() < 1e-9,
        "nobody runs x now"
    );
}

async fn rare_paths_are_forgotten(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]).await;
    enumerated(
        store,
        ids[0],
        &[("/a", Some(200)), ("/b", Some(200))],
        None,
        t0(),
    )
    .await;
    enumerated(store, ids[1], &[("/a", Some(200))], None, after(1)).await;
    let many: Vec<_> = (0..60).map(|n| format!("/{n}")).collect();
    let many: Vec<_> = many.iter().map(|p| (p.as_str(), Some(200))).collect();
    enumerated(store, ids[1], &many, None, after(10)).await;
    let purge = async |before| {
        let done = store.purge(Kept::Learned, before, None, 100).await;
        done.unwrap().removed
    };
    assert_eq!(purge(t0()).await, 11, "50 are kept in all");
    assert_eq!(purge(t0()).await, 0);
    let learned = context(store, ids[2]).await.learned;
    assert_eq!(learned[0].path, "/a");
    assert_eq!((learned.len(), weight(&learned, "/b")), (51, 0.0));
    assert_eq!(purge(after(100)).await, 50, "all that is old");
    assert_eq!(context(store, ids[2]).await.learned.len(), 1);
    // A row that was forgotten begins anew.
    enumerated(store, ids[0], &[("/b", Some(404))], None, after(200)).await;
    enumerated(store, ids[2], &[("/b", Some(200))], None, after(200)).await;
    assert_eq!(context(store, ids[2]).await.learned.len(), 2);
}

/// Results for several records at once count the same paths.
async fn many_at_once_lose_no_count(store: &dyn Store) {
    let names: Vec<_> = (1..=12).map(|n| format!("10.0.0.{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ids = add(store, &names).await;
    let (forth, back) = ([("/a", None), ("/b", None)], [("/b", None), ("/a", None)]);
    let all = ids.iter().enumerate().map(|(n, id)| {
        let list = if n % 2 == 0 { forth } else { back };
        async move { enumerated(store, *id, &list, Some("x"), t0()).await }
    });
    futures_util::future::join_all(all).await;
    let learned = context(store, ids[0]).await.learned;
    assert!(
        (weight(&learned, "/a") - 12.0 / 15.0).abs() < 1e-9,
        "{learned:?}"
    );
}

async fn agents_learn_ports_and_paths(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    assert_eq!(context(store, id).await.ports, []);
    let mut kaze = scan(id, "kaze@a", t0());
    if let Ok(scan) = &mut kaze.outcome {
        let mut ssh = scan.open_ports[0].clone();
        (ssh.port, ssh.service, ssh.confidence) = (2222, "ssh".to_owned(), 1.0);
        let mut unknown = scan.open_ports[0].clone();
        (unknown.port, unknown.service) = (8080, String::new());
        scan.open_ports.extend([ssh, unknown]);
    }
    submit(store, kaze, None).await.unwrap();
    let mut kage = scan(id, "kage@a", after(1));
    kage.scan_type = "kage_port_scan".to_owned();
    if let Ok(scan) = &mut kage.outcome {
        let port = &mut scan.open_ports[0];
        (port.port, port.service, port.confidence) = (8080, "ssl/http".to_owned(), 1.0);
    }
    submit(store, kage, None).await.unwrap();
    let found = Spider {
        pages: Some(vec![
            page("/b/c", 200, "a"),
            page("/gone", 404, ""),
            page("/a?x=1", 200, ""),
        ]),
        ..spider(
            "2",
            &["http://10.0.0.1/r", "http://cdn.example.org/x.js", "/rel#x"],
        )
    };
    send(store, id, spider("1", &["http://10.0.0.1/old"]), t0()).await;
    send(store, id, found, after(1)).await;
    let context = context(store, id).await;
    let ports: Vec<_> = context.ports.iter().map(|p| (p.port, p.tls)).collect();
    assert_eq!(ports, [(8080, Some(true)), (80, None)]);
    assert_eq!(context.paths, ["/a", "/r", "/rel", "/b/c"]);
    assert_eq!(
        (context.eggrecord_id, context.target.as_str()),
        (id, "10.0.0.1")
    );
}

contract!(
    paths_of_similar_records_weigh_more,
    a_record_is_counted_once,
    rare_paths_are_forgotten,
    many_at_once_lose_no_count,
    agents_learn_ports_and_paths,
);
