//! The web side of targets over HTTP: what spiders and enumerations bring, what agents get before they
//! begin.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use chrono::TimeDelta;
use hub_support::access::{Root, closed, status};
use hub_support::{Bed, scan, text};
use recon::api::{AssessmentContext, WebContext, WebPage};
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "AKIAABCDEFGHIJKLMNOP";

/// A result of a spider with these pages.
fn spider(id: &str, run: &str, pages: &Value) -> Value {
    json!({
        "eggrecord_id": id, "target": "http://127.0.0.1",
        "result": {
            "success": true, "run_id": run, "complete": true, "pages": pages,
            "request_metadata": [{
                "target_url": "http://127.0.0.1/", "response_status": 200,
                "signs": { "error_page": "PHP", "cookies": [{ "name": "sid" }] },
                "javascript_analysis": {
                    "secrets_found": [{ "type": "aws_key", "value": SECRET }] } }],
            "forms": [{ "page": "http://127.0.0.1/", "method": "post",
                        "action": "http://127.0.0.1/login",
                        "inputs": [{ "name": "user", "type": "text" },
                                   { "name": "pass", "type": "password", "value": "hunter2" }] }],
            "endpoints": [{ "url": format!("/api/{run}"), "method": "get", "parameters": ["q"],
                            "source": "http://127.0.0.1/app.js", "kind": "fetch" }],
        },
    })
}

async fn send(bed: &Bed, body: Value) {
    let (status, answer) = bed.post("/api/daemon/kumo/spider?agent=kumo@a", body).await;
    assert_eq!(status, 200, "{answer}");
    bed.clock.advance(TimeDelta::hours(1));
}

async fn list(bed: &Bed, path: &str, name: &str) -> Vec<Value> {
    let (status, body) = bed.get(path).await;
    assert_eq!(status, 200, "{body}");
    body[name].as_array().unwrap().clone()
}

async fn raw(bed: &Bed, path: &str) -> String {
    let response = bed.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

/// A crawl too large for one result: the parts before the last end neither the work nor the lease, and
/// their pages are no less there than those of the last.
#[tokio::test]
async fn parts_of_a_result_do_not_end_the_work() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    assert_eq!(bed.lease("kumo", "kumo@a", 1).await.len(), 1);
    let page = |path: &str| json!([{ "url": format!("http://127.0.0.1{path}"), "status": 0 }]);
    let part = |path: &str, partial: bool| {
        let mut body = spider(&id, "one", &page(path));
        // Nothing in it answered: as a part it is no failed attempt.
        body["result"]["request_metadata"][0]["response_status"] = json!(0);
        body["result"]["complete"] = json!(!partial);
        body["result"]["partial"] = json!(partial);
        body
    };
    for path in ["/a", "/b"] {
        let (status, answer) = bed
            .post("/api/daemon/kumo/spider?agent=kumo@a", part(path, true))
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            answer["message"],
            "Spider result submitted for http://127.0.0.1"
        );
    }
    assert!(bed.events("spider_completed").await.is_empty());
    bed.clock.advance(TimeDelta::seconds(1));
    assert!(bed.lease("kumo", "kumo@b", 1).await.is_empty(), "it is a's");
    let mut last = part("/", false);
    last["result"]["request_metadata"] = json!([]);
    last["result"]["pages"] = json!([]);
    send(&bed, last).await;
    assert_eq!(bed.events("spider_completed").await.len(), 1);
    let pages = list(&bed, &format!("/api/targets/{id}/pages"), "pages").await;
    assert_eq!(pages.len(), 2);
    assert!(
        pages.iter().all(|page| page["gone_at"].is_null()),
        "{pages:?}"
    );
}

#[tokio::test]
async fn a_site_is_kept_and_compared() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let page = |path: &str, hash: &str| {
        json!({ "url": format!("http://127.0.0.1{path}"), "status": 200, "content_hash": hash,
                "title": "=1+1", "content_type": "text/html", "length": 12, "depth": 1 })
    };
    let with_secret = page(&format!("/s?k={SECRET}"), "05");
    let first = json!([page("/", "0a"), page("/old", "0b"), with_secret.clone()]);
    send(&bed, spider(&id, "one", &first)).await;
    let second = json!([page("/", "0c"), page("/new", "0b"), with_secret]);
    send(&bed, spider(&id, "two", &second)).await;
    let changes = list(&bed, "/api/changes?sort=created", "changes").await;
    let mut changes: Vec<_> = changes
        .iter()
        .map(|c| format!("{} {}", text(&c["type"]), text(&c["subject"])))
        .collect();
    changes.sort();
    let wanted = [
        "endpoint_added GET /api/two",
        "page_added http://127.0.0.1/new",
        "page_changed http://127.0.0.1/",
        "page_removed http://127.0.0.1/old",
    ];
    assert_eq!(changes, wanted);
    let removed = list(&bed, "/api/changes?type=page_removed", "changes").await;
    assert_eq!(removed.len(), 1);

    let pages = format!("/api/targets/{id}/pages");
    let all = list(&bed, &pages, "pages").await;
    assert_eq!(all.len(), 4);
    let old = all
        .iter()
        .find(|p| text(&p["url"]).ends_with("/old"))
        .unwrap();
    assert!(!old["gone_at"].is_null());
    assert!(!json!(all).to_string().contains(SECRET), "{all:?}");
    assert_eq!(
        list(&bed, &format!("{pages}/?q=NEW"), "pages").await.len(),
        1
    );
    assert_eq!(
        list(&bed, &format!("{pages}?status=404"), "pages")
            .await
            .len(),
        0
    );
    let (_, one) = bed.get(&format!("{pages}?limit=1&sort=created")).await;
    let next = text(&one["next_cursor"]);
    let rest = list(
        &bed,
        &format!("{pages}?sort=created&cursor={next}"),
        "pages",
    )
    .await;
    assert_eq!(rest.len(), 3);
    let lines = raw(&bed, &format!("{pages}?format=jsonl")).await;
    let lines: Vec<WebPage> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0].content_type.as_deref(), Some("text/html"));
    let table = raw(&bed, &format!("{pages}?format=csv")).await;
    assert_eq!(table.lines().count(), 5);
    assert!(table.contains(",'=1+1,"), "{table}");

    let forms = format!("/api/targets/{id}/forms");
    let all = list(&bed, &forms, "forms").await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["method"], "POST");
    assert!(!json!(all).to_string().contains("hunter2"));
    assert!(
        raw(&bed, &format!("{forms}?format=csv"))
            .await
            .contains("user:text pass:password")
    );
    let endpoints = format!("/api/targets/{id}/endpoints");
    assert_eq!(
        list(&bed, &format!("{endpoints}?method=get"), "endpoints")
            .await
            .len(),
        2
    );
    let found = list(&bed, &format!("{endpoints}?q=api/two"), "endpoints").await;
    assert_eq!(found[0]["parameters"], json!(["q"]));
    for path in [&pages, &forms, &endpoints] {
        for bad in ["limit=0", "cursor=x", "sort=x", "format=x"] {
            assert_eq!(
                bed.get(&format!("{path}?{bad}")).await.0,
                400,
                "{path}?{bad}"
            );
        }
    }
    assert_eq!(bed.delete(&format!("/api/targets/{id}")).await.0, 200);
    assert_eq!(bed.get(&pages).await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_site_is_named() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let with = |name: &str, value: Value| {
        let mut body = spider(&id, "one", &json!([]));
        body["result"][name] = value;
        body
    };
    let many = json!(vec![json!({ "url": "/" }); 10_001]);
    for (body, field) in [
        (with("pages", many), "result.pages"),
        (with("pages", json!([{ "url": 1 }])), "result.pages[0].url"),
        (
            with("forms", json!([{ "inputs": "x" }])),
            "result.forms[0].inputs",
        ),
        (with("endpoints", json!([7])), "result.endpoints[0]"),
        (with("complete", json!("yes")), "result.complete"),
        (with("finished_at", json!("noon")), "result.finished_at"),
        (with("notes", json!([1])), "result.notes"),
    ] {
        let (status, answer) = bed.post("/api/daemon/kumo/spider", body).await;
        assert_eq!(status, 422, "{field}: {answer}");
        assert_eq!(answer["validation_errors"][0]["field"], field, "{answer}");
    }
    let pages = format!("/api/targets/{id}/pages");
    assert!(list(&bed, &pages, "pages").await.is_empty());
    assert!(bed.events("spider_completed").await.is_empty());
}

/// A later result of a run needs no requests.
#[tokio::test]
async fn a_run_in_parts() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    for n in 0..2 {
        let page = json!([{ "url": format!("http://127.0.0.1/{n}"), "status": 200 }]);
        let mut body = spider(&id, "one", &page);
        if n == 1 {
            body["result"]
                .as_object_mut()
                .unwrap()
                .remove("request_metadata");
        }
        send(&bed, body).await;
    }
    let pages = list(&bed, &format!("/api/targets/{id}/pages"), "pages").await;
    assert_eq!(pages.len(), 2);
    assert!(pages.iter().all(|p| p["gone_at"].is_null()));
    let (_, summary) = bed.get(&format!("/api/eggrecords/{id}/summary")).await;
    assert_eq!(summary["data"]["web_runs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn agents_get_what_is_known() {
    let bed = Bed::start().await;
    let id = bed.add_one("127.0.0.1").await;
    let other = bed.add_one("127.0.0.2").await;
    let mut ports = scan(&id, "kaze");
    ports["result"]["open_ports"] = json!([
        { "port": 8443, "service_name": "https", "confidence": 1.0 }, { "port": 22 }, { "port": 80 },
    ]);
    bed.post("/api/daemon/kaze/scan?agent=kaze@a", ports).await;
    send(
        &bed,
        spider(&id, "one", &json!([{ "url": "http://127.0.0.1/x/y?z" }])),
    )
    .await;
    let enumeration = json!({
        "eggrecord_id": other, "target": "127.0.0.2", "result": {
            "paths_discovered": [{ "path": "/.git/HEAD", "status": 200 }],
            "complete": false, "notes": "blocked after 1,204 requests: stopped",
            "calibration": ["server answers 200 for everything; compared by content"] },
    });
    let (status, answer) = bed.post("/api/daemon/suzu/enumeration", enumeration).await;
    assert_eq!(status, 200, "{answer}");
    let (_, summary) = bed.get(&format!("/api/eggrecords/{other}/summary")).await;
    let run = &summary["data"]["web_runs"][0];
    assert_eq!(run["complete"], false);
    assert_eq!(
        run["notes"],
        json!(["blocked after 1,204 requests: stopped"])
    );
    assert_eq!(run["calibration"].as_array().unwrap().len(), 1);

    for prefix in ["/reconnaissance/api", "/api"] {
        for slash in ["", "/"] {
            let of = |who| format!("{prefix}/daemon/{who}/context/{id}{slash}");
            let (status, body) = bed.get(&of("suzu")).await;
            assert_eq!(status, 200, "{body}");
            let context: WebContext = serde_json::from_value(body).unwrap();
            let ports: Vec<_> = context.ports.iter().map(|p| (p.port, p.tls)).collect();
            assert_eq!(ports, [(8443, Some(true)), (80, None)]);
            assert_eq!(context.paths, ["/", "/x/y"]);
            assert_eq!(context.learned[0].path, "/.git/HEAD");
            let (_, kumo) = bed.get(&of("kumo")).await;
            assert_eq!(
                (&kumo["learned"], &kumo["target"]),
                (&json!([]), &json!("127.0.0.1"))
            );
            assert_eq!(bed.get(&of("kage")).await.0, 400);
            let (status, body) = bed.get(&of("ryu")).await;
            assert_eq!(status, 200, "{body}");
            let known: AssessmentContext = serde_json::from_value(body).unwrap();
            let ports: Vec<_> = known.ports.iter().map(|p| p.port.port).collect();
            assert!(ports.contains(&8443) && ports.contains(&80), "{ports:?}");
            assert_eq!(known.exchanges[0].seen.error_page.as_deref(), Some("PHP"));
        }
    }
    let unknown = uuid::Uuid::now_v7();
    assert_eq!(
        bed.get(&format!("/api/daemon/suzu/context/{unknown}"))
            .await
            .0,
        404
    );
    assert_eq!(bed.get("/api/daemon/suzu/context/x").await.0, 400);
}

#[tokio::test]
async fn a_context_is_for_agents() {
    let bed = closed().await;
    let root = Root::of(&bed);
    let (_, viewer) = root.token(json!({ "role": "viewer" })).await;
    let (_, suzu) = root
        .token(json!({ "role": "agent", "agent": "suzu" }))
        .await;
    let path = format!("/api/daemon/suzu/context/{}", uuid::Uuid::now_v7());
    assert_eq!(status(&bed, Method::GET, &path, &viewer).await, 403);
    assert_eq!(status(&bed, Method::GET, &path, &suzu).await, 404);
    let pages = format!("/api/targets/{}/pages", uuid::Uuid::now_v7());
    assert_eq!(status(&bed, Method::GET, &pages, &suzu).await, 403);
    assert_eq!(status(&bed, Method::GET, &pages, &viewer).await, 404);
}
