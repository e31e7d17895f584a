//! Pages, forms and endpoints that spiders bring.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::contract;
use super::results::{changes, claim};
use super::samples::{delivered, finding, render, spider};
use super::spine::{add, after, scan, submit, t0};
use crate::api::{FormInput, SpiderEndpoint, SpiderForm, SpiderPage, WebPage, WorkKind};
use crate::hub::store::*;

pub(super) fn page(path: &str, status: u16, hash: &str) -> SpiderPage {
    SpiderPage {
        url: format!("http://10.0.0.1{path}"),
        status,
        title: Some(format!("Title of {path}")),
        content_hash: Some(hash.to_owned()).filter(|h| !h.is_empty()),
        ..SpiderPage::default()
    }
}

fn pages(run: &str, pages: &[SpiderPage]) -> Spider {
    Spider {
        pages: Some(pages.to_vec()),
        ..spider(run, &["http://10.0.0.1/"])
    }
}

fn complete(mut spider: Spider) -> Spider {
    spider.facts.complete = Some(true);
    spider
}

pub(super) async fn send(store: &dyn Store, id: Uuid, spider: Spider, now: DateTime<Utc>) {
    let result = delivered(id, 182, now, spider);
    let answer = store.submit_spider(result, None, render()).await;
    assert_eq!(answer.unwrap().status, 200);
}

/// All changes so far, as `kind subject`, without the host.
async fn told(store: &dyn Store) -> Vec<String> {
    let all = changes(store).await;
    let text = |(kind, subject): &(serde_json::Value, serde_json::Value)| {
        let subject = subject.as_str().unwrap();
        let subject = subject.replace("http://10.0.0.1", "");
        format!("{} {subject}", kind.as_str().unwrap())
    };
    let mut all: Vec<_> = all.iter().map(text).collect();
    all.sort();
    all
}

async fn listed(store: &dyn Store, query: WebQuery) -> Vec<WebPage> {
    let query = WebQuery {
        limit: 1000,
        ..query
    };
    store.web_pages(query).await.unwrap().items
}

fn of(record_id: Uuid) -> WebQuery {
    WebQuery {
        record_id,
        ..WebQuery::default()
    }
}

async fn pages_that_differ_are_changes(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let first = [
        page("/", 200, "a"),
        page("/b", 200, "b"),
        page("/no", 404, ""),
        page("/down", 500, "d"),
    ];
    send(store, id, complete(pages("1", &first)), t0()).await;
    assert!(told(store).await.is_empty(), "there is nothing to compare");
    let second = [
        page("/", 200, "x"),
        page("/b", 200, "b"),
        page("/new", 200, "n"),
        page("/nor", 404, ""),
    ];
    send(store, id, complete(pages("2", &second)), after(1)).await;
    let wanted = ["page_added /new", "page_changed /"];
    assert_eq!(told(store).await, wanted, "what was in error goes unsaid");
    send(store, id, pages("3", &second[..1]), after(2)).await;
    assert_eq!(told(store).await, wanted, "it is not complete");
    send(store, id, complete(pages("4", &second[..1])), after(3)).await;
    let gone = ["page_removed /b", "page_removed /new"];
    assert_eq!(told(store).await, [&wanted[..], &gone].concat());
    send(store, id, pages("5", &second[..2]), after(4)).await;
    let back = told(store).await;
    assert_eq!(back.iter().filter(|c| *c == "page_added /b").count(), 1);
    let all = listed(store, of(id)).await;
    let state = |path: &str| {
        let page = all.iter().find(|p| p.url.ends_with(path)).unwrap();
        (page.first_seen_at, page.last_seen_at, page.gone_at)
    };
    assert_eq!(state("/b"), (t0(), after(4), None));
    assert_eq!(state("/new"), (after(1), after(1), Some(after(3))));
}

/// What answers 404 now was looked at, however little else was.
async fn a_page_that_is_not_found_is_removed(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    send(store, id, pages("1", &[page("/", 200, "a")]), t0()).await;
    let mut silent = page("/", 0, "");
    silent.title = None;
    send(store, id, pages("2", &[silent]), after(1)).await;
    assert!(told(store).await.is_empty(), "no answer says nothing");
    assert_eq!(listed(store, of(id)).await[0].status, 200);
    send(store, id, pages("3", &[page("/", 404, "e")]), after(2)).await;
    assert_eq!(told(store).await, ["page_removed /"]);
    send(store, id, pages("4", &[page("/", 200, "a")]), after(3)).await;
    assert_eq!(told(store).await, ["page_added /", "page_removed /"]);
}

async fn a_part_of_a_page_is_not_compared_with_the_whole(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let mut part = page("/", 200, "b");
    part.truncated = true;
    send(store, id, pages("1", &[page("/", 200, "a")]), t0()).await;
    send(store, id, pages("2", &[part]), after(1)).await;
    assert!(told(store).await.is_empty());
}

async fn a_late_run_is_compared_with_nothing(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let at = |spider: Spider, ended| {
        let mut spider = complete(spider);
        spider.facts.finished_at = Some(after(ended));
        spider
    };
    let first = pages("1", &[page("/", 200, "a")]);
    send(store, id, at(first, 10), after(10)).await;
    let late = pages("0", &[page("/", 200, "z"), page("/old", 200, "o")]);
    send(store, id, at(late, 5), after(20)).await;
    assert!(told(store).await.is_empty());
    let root = &listed(store, of(id)).await;
    let root = root.iter().find(|p| p.url.ends_with("/")).unwrap();
    assert_eq!(
        root.content_hash.as_deref(),
        Some("a"),
        "it is still the last"
    );
    assert_eq!(
        (root.first_seen_at, root.last_seen_at),
        (after(5), after(10))
    );
    // One that ends in the future ends now.
    let third = pages("3", &[page("/", 200, "b")]);
    send(store, id, at(third, 9999), after(30)).await;
    let fourth = pages("4", &[page("/", 200, "c")]);
    send(store, id, at(fourth, 31), after(31)).await;
    assert_eq!(told(store).await, ["page_changed /", "page_changed /"]);
}

/// A run may come in several results: it is compared with the one before, not with itself.
async fn a_run_in_parts(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let (a, b) = (page("/a", 200, "a"), page("/b", 200, "b"));
    for (minutes, run) in [(0, "1"), (10, "2")] {
        send(
            store,
            id,
            pages(run, std::slice::from_ref(&a)),
            after(minutes),
        )
        .await;
        let last = complete(pages(run, &[b.clone(), page("/a", 200, "z")]));
        send(store, id, last, after(minutes + 1)).await;
    }
    // The last word on /a was z, and run 2 has a first.
    assert_eq!(told(store).await, ["page_changed /a"]);
}

async fn many_at_once_are_one_change(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let run = |hash: &str| -> Vec<_> {
        let paths = (0..150).map(|n| format!("/{n}"));
        paths.map(|path| page(&path, 200, hash)).collect()
    };
    send(store, id, pages("1", &run("a")), t0()).await;
    send(store, id, pages("2", &run("b")), after(1)).await;
    assert_eq!(told(store).await, ["page_changed 150 pages"]);
    let page = store
        .changes(ChangeQuery {
            limit: 10,
            ..ChangeQuery::default()
        })
        .await;
    let after = &page.unwrap().items[0].after;
    assert_eq!(after["count"], 150);
    assert_eq!(after["examples"].as_array().unwrap().len(), 5);
}

async fn forms_and_endpoints_that_are_new(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let form = |page: &str, name: &str| SpiderForm {
        page: format!("http://10.0.0.1{page}"),
        method: "POST".to_owned(),
        action: "http://10.0.0.1/login".to_owned(),
        enctype: String::new(),
        inputs: vec![FormInput {
            name: name.to_owned(),
            kind: "text".to_owned(),
            value: Some(page.to_owned()),
        }],
    };
    let endpoint = |url: &str, parameters: &[&str]| SpiderEndpoint {
        url: url.to_owned(),
        method: "GET".to_owned(),
        parameters: parameters.iter().map(|p| (*p).to_owned()).collect(),
        ..SpiderEndpoint::default()
    };
    let run = |run: &str, forms: &[SpiderForm], endpoints: &[SpiderEndpoint]| Spider {
        forms: Some(forms.to_vec()),
        endpoints: Some(endpoints.to_vec()),
        ..spider(run, &["http://10.0.0.1/"])
    };
    let first = run("1", &[form("/", "user")], &[endpoint("/api/a", &["x"])]);
    send(store, id, first, t0()).await;
    assert!(told(store).await.is_empty());
    let forms = [form("/", "user"), form("/b", "user"), form("/b", "mail")];
    let endpoints = [endpoint("/api/a", &[]), endpoint("/api/b", &[])];
    send(store, id, run("2", &forms, &endpoints), after(1)).await;
    let wanted = ["endpoint_added GET /api/b", "form_added POST /login"];
    assert_eq!(told(store).await, wanted);
    let limit = 10;
    let found = store.web_forms(WebQuery { limit, ..of(id) }).await.unwrap();
    assert_eq!(found.items.len(), 3);
    let mail = WebQuery {
        limit,
        contains: Some("MAIL".to_owned()),
        ..of(id)
    };
    let found = store.web_forms(mail).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].inputs[0].value.as_deref(), Some("/b"));
    let found = store
        .web_endpoints(WebQuery { limit, ..of(id) })
        .await
        .unwrap();
    let old = found.items.iter().find(|e| e.url == "/api/a").unwrap();
    assert_eq!(old.parameters, ["x"], "what is not said stays");
    assert_eq!((old.first_seen_at, old.last_seen_at), (t0(), after(1)));
    let post = WebQuery {
        limit,
        method: Some("POST".to_owned()),
        ..of(id)
    };
    assert!(store.web_endpoints(post).await.unwrap().items.is_empty());
}

async fn lists_are_filtered_and_paged(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let mut all: Vec<_> = (0..5).map(|n| page(&format!("/{n}_%"), 200, "a")).collect();
    all.push(page("/admin", 403, "a"));
    send(store, ids[0], pages("1", &all), t0()).await;
    send(store, ids[1], pages("1", &all[..1]), t0()).await;
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let query = WebQuery {
            limit: 4,
            before,
            ..of(ids[0])
        };
        let page = store.web_pages(query).await.unwrap();
        seen.extend(page.items.iter().map(|p| p.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 6);
    let oldest = WebQuery {
        oldest_first: true,
        ..of(ids[0])
    };
    let mut oldest: Vec<_> = listed(store, oldest).await.iter().map(|p| p.id).collect();
    oldest.reverse();
    assert_eq!(seen, oldest);
    let forbidden = WebQuery {
        status: Some(403),
        ..of(ids[0])
    };
    assert_eq!(listed(store, forbidden).await.len(), 1);
    for (text, n) in [("ADMIN", 1), ("_%", 5), ("title of /3", 1), ("\\", 0)] {
        let query = WebQuery {
            contains: Some(text.to_owned()),
            ..of(ids[0])
        };
        assert_eq!(listed(store, query).await.len(), n, "{text}");
    }
    assert_eq!(listed(store, of(ids[1])).await.len(), 1);
}

/// A result whose end cannot be stored leaves nothing of its beginning.
async fn all_or_nothing(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let gone = Uuid::now_v7();
    let mut found = pages("1", &[page("/", 200, "a")]);
    found.findings = vec![finding(1)];
    let result = delivered(gone, 182, t0(), found.clone());
    let refused = store.submit_spider(result, None, render()).await;
    assert!(matches!(refused, Err(StoreError::UnknownRecord)));
    // PostgreSQL takes no NUL; SQLite does.
    found.pages = Some(vec![page("/", 200, "a"), page("/\0", 200, "b")]);
    let result = delivered(id, 182, t0(), found);
    let stored = store.submit_spider(result, None, render()).await.is_ok();
    let summary = store.summary(id).await.unwrap().unwrap();
    let wanted = if stored { (1, 1, 2) } else { (0, 0, 0) };
    let found = listed(store, of(id)).await.len();
    assert_eq!(
        (summary.counts.requests, summary.web_runs.len(), found),
        wanted
    );
}

async fn a_site_without_end_is_bounded(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let some = |from: usize, n: usize| -> Vec<_> {
        let paths = (from..from + n).map(|n| format!("/{n}"));
        paths.map(|path| page(&path, 200, "a")).collect()
    };
    send(store, id, pages("1", &some(0, 300)), t0()).await;
    send(store, id, pages("2", &some(200, 300)), after(1)).await;
    assert_eq!(listed(store, of(id)).await.len(), 400);
    let told = told(store).await;
    assert_eq!(told.len(), 100, "none is told that is not stored");
}

async fn what_is_gone_goes_with_time_and_target(store: &dyn Store) {
    let ids = add(store, &["10.0.0.1", "10.0.0.2"]).await;
    let full = |run: &str, pages: &[SpiderPage]| Spider {
        forms: Some(vec![SpiderForm::default()]),
        endpoints: Some(vec![SpiderEndpoint {
            url: format!("/{run}"),
            ..SpiderEndpoint::default()
        }]),
        pages: Some(pages.to_vec()),
        ..spider(run, &["http://10.0.0.1/"])
    };
    let both = [page("/", 200, "a"), page("/b", 200, "b")];
    send(store, ids[0], full("1", &both), t0()).await;
    send(store, ids[0], full("2", &both[..1]), after(10)).await;
    send(store, ids[1], full("1", &both), t0()).await;
    let purge = async |what, before| {
        let (mut removed, mut place) = (0, None);
        loop {
            let done = store.purge(what, before, place, 2).await.unwrap();
            removed += done.removed;
            place = done.next;
            if place.is_none() {
                break removed;
            }
        }
    };
    assert_eq!(purge(Kept::Pages, t0()).await, 0);
    assert_eq!(purge(Kept::Pages, after(5)).await, 1, "/b of the first");
    assert_eq!(purge(Kept::Forms, after(100)).await, 0, "it was seen again");
    assert_eq!(purge(Kept::Endpoints, after(100)).await, 1);
    assert_eq!(purge(Kept::WebRuns, after(100)).await, 1, "the last stay");
    assert_eq!(purge(Kept::Pages, after(100)).await, 0);
    let limit = 10;
    assert!(store.delete_target(ids[0]).await.unwrap());
    assert!(listed(store, of(ids[0])).await.is_empty());
    let query = WebQuery {
        limit,
        ..of(ids[0])
    };
    assert!(store.web_endpoints(query).await.unwrap().items.is_empty());
    assert_eq!(listed(store, of(ids[1])).await.len(), 2);
    assert!(store.verify().await.unwrap().is_empty());
}

fn with_ports(id: Uuid, kind: WorkKind, ports: &[u16], minutes: i64) -> Submission {
    let mut submission = scan(id, "agent@a", after(minutes));
    submission.scan_type = kind.as_str().to_owned();
    submission.kind = Some(kind);
    if let Ok(scan) = &mut submission.outcome {
        let one = scan.open_ports[0].clone();
        scan.open_ports = ports
            .iter()
            .map(|port| {
                let mut one = one.clone();
                one.port = *port;
                if *port == 22 {
                    "ssh".clone_into(&mut one.service);
                }
                one
            })
            .collect();
    }
    submission
}

/// Spiders and enumerations that were done come again when there is more to look at.
async fn a_new_web_port_is_looked_at_at_once(store: &dyn Store) {
    use WorkKind::{KagePortScan, KazePortScan, KumoSpider, SuzuEnum};
    let id = add(store, &["10.0.0.1"]).await[0];
    let due = async |minutes| {
        let mut due = Vec::new();
        for kind in [KumoSpider, SuzuEnum] {
            due.extend(claim(store, kind, after(minutes)).await);
        }
        due.len()
    };
    let scan = async |kind, ports: &[u16], minutes: i64| {
        let scan = with_ports(id, kind, ports, minutes);
        submit(store, scan, None).await.unwrap();
    };
    let both_done = async |minutes| {
        send(
            store,
            id,
            spider("1", &["http://10.0.0.1/"]),
            after(minutes),
        )
        .await;
        let paths = super::samples::paths(&[("/", Some(200))]);
        super::results::send_paths(store, delivered(id, 30, after(minutes), paths)).await;
    };
    scan(KazePortScan, &[80], 0).await;
    assert_eq!(due(0).await, 2, "the first time");
    both_done(1).await;
    scan(KagePortScan, &[80], 10).await;
    scan(KazePortScan, &[80, 22], 11).await;
    assert_eq!(due(12).await, 0, "80 was known");
    scan(KazePortScan, &[80, 8443], 20).await;
    assert_eq!(due(20).await, 2, "8443 was not");
    both_done(21).await;
    scan(KagePortScan, &[80, 8443], 30).await;
    assert_eq!(due(30).await, 0, "another type knows it");
    let mut late = with_ports(id, KazePortScan, &[80, 8000], 40);
    if let Ok(scan) = &mut late.outcome {
        scan.finished_at = after(5);
    }
    submit(store, late, None).await.unwrap();
    assert_eq!(due(41).await, 0, "it was seen otherwise since");
}

async fn a_run_keeps_what_is_said_of_it(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let mut found = super::samples::paths(&[("/admin", Some(200))]);
    found.facts = RunFacts {
        run: "7".to_owned(),
        complete: Some(false),
        notes: vec!["blocked after 1,204 requests: stopped".to_owned()],
        calibration: vec!["server answers 200 for everything; compared by content".to_owned()],
        finished_at: None,
    };
    super::results::send_paths(store, delivered(id, 30, t0(), found.clone())).await;
    let runs = store.summary(id).await.unwrap().unwrap().web_runs;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].kind, "suzu_enum");
    assert_eq!(runs[0].complete, Some(false));
    assert_eq!(runs[0].notes, found.facts.notes);
    assert_eq!(runs[0].calibration, found.facts.calibration);
    let told = super::results::events(store, "enumeration_completed").await;
    assert_eq!(told[0].data["notes"], json!(found.facts.notes));
}

contract!(
    pages_that_differ_are_changes,
    a_page_that_is_not_found_is_removed,
    a_part_of_a_page_is_not_compared_with_the_whole,
    a_late_run_is_compared_with_nothing,
    a_run_in_parts,
    many_at_once_are_one_change,
    forms_and_endpoints_that_are_new,
    lists_are_filtered_and_paged,
    all_or_nothing,
    a_site_without_end_is_bounded,
    what_is_gone_goes_with_time_and_target,
    a_new_web_port_is_looked_at_at_once,
    a_run_keeps_what_is_said_of_it,
);
