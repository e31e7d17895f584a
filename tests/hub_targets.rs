//! Targets at scale, over HTTP: networks, filters, imports, exports, blackouts.
#![allow(clippy::unwrap_used)]

mod hub_support;

use chrono::{Duration, NaiveTime, Utc};
use hub_support::{Bed, live, scope, text};
use recon::fleet::{Blackout, Timezone};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn add(bed: &Bed, target: &str) -> Value {
    let body = json!({ "targets": [{ "target": target, "group": "lab", "project": "p1" }] });
    let (status, answer) = bed.post("/api/targets", body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn import(bed: &Bed, lines: &str) -> (StatusCode, Value) {
    let request = bed.request(Method::POST, "/api/targets/import");
    let request = request.header("Content-Type", "application/x-ndjson");
    bed.send(request.body(lines.to_owned())).await
}

async fn raw(bed: &Bed, path: &str) -> (String, String) {
    let response = bed.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (kind, response.text().await.unwrap())
}

fn targets(records: &[Value]) -> Vec<String> {
    let mut all: Vec<_> = records.iter().map(|r| text(&r["subDomain"])).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_network_is_one_target_with_counts() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &["10.0.0.0/31", "10.9.0.0/16"])).await;
    let answer = add(&bed, "10.0.0.0/8").await;
    let made = &answer["created"][0];
    assert_eq!(answer["created"].as_array().unwrap().len(), 1);
    assert_eq!(made["network"]["addresses"], 1 << 24);
    assert_eq!(
        answer["skipped"][1],
        json!({ "target": "10.9.0.0/16", "rule": "scope.deny 10.9.0.0/16" })
    );
    let leased = bed.lease("kaze", "kaze@a", 3).await;
    assert_eq!(targets(&leased), ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    assert_eq!(leased[0]["cidr"], "10.0.0.0/8");
    let path = format!("/api/targets/{}", text(&made["id"]));
    let (_, shown) = bed.get(&path).await;
    assert_eq!(shown["network"]["expanded"]["kaze_port_scan"], 256);
    assert_eq!(shown["network"]["expanded"]["kage_port_scan"], 0);
    let (_, known) = bed.get("/api/targets?limit=1000").await;
    assert_eq!(known["targets"].as_array().unwrap().len(), 257);

    let (status, gone) = bed.delete(&format!("{path}?expanded=true")).await;
    assert_eq!(
        (status, &gone["expanded_removed"]),
        (StatusCode::OK, &json!(256))
    );
    let (_, left) = bed.get("/api/targets").await;
    assert_eq!(left["targets"], json!([]));
}

#[tokio::test]
async fn a_network_follows_the_scope_of_the_moment() {
    let bed = Bed::with(scope(&["10.0.0.0/8"], &[])).await;
    add(&bed, "10.0.0.0/30").await;
    bed.hub.set_live(live(scope(&["10.0.0.2/32"], &[])));
    assert_eq!(targets(&bed.lease("kaze", "kaze@a", 9).await), ["10.0.0.2"]);
    for out in ["11.0.0.0/8", "10.0.0.0/8"] {
        let body = json!({ "targets": [{ "target": out }] });
        assert_eq!(bed.post("/api/targets", body).await.0, 403, "{out}");
    }
    bed.hub.set_live(live(scope(
        &["10.0.0.0/8"],
        &["10.0.0.0/9", "10.128.0.0/9"],
    )));
    let body = json!({ "targets": [{ "target": "10.0.0.0/8" }] });
    let (status, answer) = bed.post("/api/targets", body).await;
    assert_eq!(status, 403);
    assert_eq!(answer["refused"][0]["rule"], "no address of it is allowed");
}

#[tokio::test]
async fn lists_have_filters_order_and_pages() {
    let bed = Bed::start().await;
    for target in ["10.0.0.3", "10.0.0.1", "10.0.0.2"] {
        add(&bed, target).await;
    }
    bed.add_one("a.example.org").await;
    let names = async |query: &str| {
        let (status, body) = bed.get(&format!("/api/targets?{query}")).await;
        assert_eq!(status, 200, "{body}");
        let list = body["targets"].as_array().unwrap();
        let names: Vec<_> = list.iter().map(|t| text(&t["target"])).collect();
        (names, body["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(
        names("sort=target&limit=2").await.0,
        ["10.0.0.1", "10.0.0.2"]
    );
    let (_, cursor) = names("sort=target&limit=2").await;
    let (rest, end) = names(&format!("sort=target&limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!((rest.len(), end), (2, None));
    assert_eq!(rest, ["10.0.0.3", "a.example.org"]);
    assert_eq!(names("sort=-created&limit=1").await.0, ["a.example.org"]);
    assert_eq!(names("group=lab&project=p1&q=0.1").await.0, ["10.0.0.1"]);
    assert_eq!(names("target=A.example.org.").await.0, ["a.example.org"]);
    assert_eq!(names("due=kaze_port_scan").await.0.len(), 4);
    assert_eq!(names("alive=false").await.0.len(), 0);
    for bad in [
        "sort=size",
        "alive=maybe",
        "due=nap",
        "format=xml",
        "id=7",
        "cursor=x",
    ] {
        assert_eq!(
            bed.get(&format!("/api/targets?{bad}")).await.0,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_is_set_aside_is_not_handed_out() {
    let bed = Bed::start().await;
    let path = format!("/api/targets/{}", bed.add_one("10.0.0.1").await);
    let patch = async |body: Value| {
        let request = bed.request(Method::PATCH, &path).json(&body);
        bed.send(request).await
    };
    let (status, changed) = patch(json!({ "skip_scan": true, "group": "later" })).await;
    assert_eq!(
        (status, &changed["group"]),
        (StatusCode::OK, &json!("later"))
    );
    assert!(bed.lease("kaze", "kaze@a", 1).await.is_empty());
    assert_eq!(
        bed.get("/api/targets?skip=true").await.1["targets"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    patch(json!({ "skipScan": false, "group": "" })).await;
    assert_eq!(bed.lease("kaze", "kaze@a", 1).await.len(), 1);
    assert_eq!(bed.get(&path).await.1["group"], Value::Null);
    assert_eq!(patch(json!({})).await.0, 422);
    assert_eq!(patch(json!({ "alive": "no" })).await.0, 422);
    let nobody = bed.request(
        Method::PATCH,
        "/api/targets/00000000-0000-7000-8000-000000000000",
    );
    assert_eq!(
        bed.send(nobody.json(&json!({ "alive": false }))).await.0,
        404
    );
}

#[tokio::test]
async fn an_import_takes_what_is_good() {
    let bed = Bed::with(scope(&["10.0.0.0/16", "*.example.org"], &["10.0.9.0/24"])).await;
    let lines = "{\"target\":\"10.0.0.1\",\"group\":\"g\",\"project\":\"p\"}\n\n\
                 {\"target\":\"a.example.org\"}\n\
                 {\"target\":\"10.0.9.1\"}\n\
                 {\"target\":\"http://x/\"}\n\
                 nonsense\n\
                 {\"target\":\"10.0.0.0/17\"}\n\
                 {\"target\":\"11.0.0.0/8\"}\n\
                 {\"target\":\"undecided.example.net\"}\n\
                 {\"target\":\"10.0.0.1\"}\n";
    let (status, answer) = import(&bed, lines).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["success"], false);
    let counts = ["created", "existing", "undecided"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 1]);
    let errors = answer["errors"].as_array().unwrap();
    let wrong: Vec<_> = errors
        .iter()
        .map(|e| (e["line"].as_u64().unwrap(), e["refused"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        wrong,
        [(4, true), (5, false), (6, false), (8, true)],
        "{answer}"
    );
    assert_eq!(errors[0]["message"], "scope.deny 10.0.9.0/24");
    assert_eq!(bed.events("scope_violation_blocked").await.len(), 2);
    let (_, again) = import(&bed, "{\"target\":\"10.0.0.1\"}").await;
    assert_eq!(
        (&again["success"], &again["existing"]),
        (&json!(true), &json!(1))
    );
    let (_, list) = bed.get("/api/targets?group=g").await;
    assert_eq!(list["targets"][0]["project"], "p");

    let many = "{}\n".repeat(100_001);
    assert_eq!(import(&bed, &many).await.0, 422);
    assert_eq!(import(&bed, &" ".repeat(33 * 1024 * 1024)).await.0, 413);
}

#[tokio::test]
async fn exports_are_whole_and_harmless() {
    let bed = Bed::start().await;
    let lines: String = (0..2100)
        .map(|n| {
            format!(
                "{{\"target\":\"10.0.{}.{}\",\"group\":\"=cmd()\"}}\n",
                n / 250,
                n % 250
            )
        })
        .collect();
    assert_eq!(import(&bed, &lines).await.1["created"], 2100);
    let (kind, rows) = raw(&bed, "/api/targets?format=jsonl").await;
    assert_eq!(kind, "application/x-ndjson");
    assert_eq!(rows.lines().count(), 2100);
    let first: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let (kind, table) = raw(&bed, "/api/targets?format=csv&sort=target&limit=1500").await;
    assert!(kind.starts_with("text/csv"), "{kind}");
    assert_eq!(table.lines().count(), 1501);
    assert!(table.starts_with("id,target,"), "{table}");
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .contains(",10.0.0.0,10.0.0.0,,'=cmd(),")
    );

    let id = text(&first["id"]);
    let (status, _) = bed
        .post("/api/daemon/kaze/scan/", hub_support::scan(&id, "kaze"))
        .await;
    assert_eq!(status, 200);
    let (_, table) = raw(&bed, "/api/scans?format=csv").await;
    assert!(
        table.lines().nth(1).unwrap().contains(",22/tcp/ssh,"),
        "{table}"
    );
    let (_, rows) = raw(&bed, "/api/scans?format=jsonl&scan_type=kage_port_scan").await;
    assert_eq!(rows, "");
}

/// A blackout from now on, for an hour at least.
fn now(targets: &[&str]) -> Blackout {
    let hour = |hours| (Utc::now() + Duration::hours(hours)).time();
    let minutes = |time: NaiveTime| {
        NaiveTime::parse_from_str(&time.format("%H:%M").to_string(), "%H:%M").unwrap()
    };
    Blackout {
        days: Vec::new(),
        from: minutes(hour(-1)),
        to: minutes(hour(2)),
        timezone: Timezone::Utc,
        targets: targets.iter().map(|t| t.parse().unwrap()).collect(),
        reason: "backups".to_owned(),
    }
}

#[tokio::test]
async fn a_blackout_puts_work_off() {
    let bed = Bed::start().await;
    bed.add(&["10.0.0.1".into(), "10.0.1.1".into(), "a.example.org".into()])
        .await;
    add(&bed, "10.0.2.0/30").await;
    let mut scope = scope(&["10.0.0.0/16", "*.example.org"], &[]);
    scope.blackouts = vec![now(&["10.0.0.0/24", "10.0.2.2/31", "a.example.org"])];
    bed.hub.set_live(live(scope.clone()));
    let leased = bed.lease("kaze", "kaze@a", 9).await;
    assert_eq!(targets(&leased), ["10.0.1.1", "10.0.2.0", "10.0.2.1"]);
    bed.clock.advance(Duration::hours(3));
    // The leases of the others have run out by then.
    let leased = targets(&bed.lease("kaze", "kaze@a", 9).await);
    assert!(leased.contains(&"10.0.0.1".to_owned()), "{leased:?}");
    assert!(leased.contains(&"10.0.2.3".to_owned()), "{leased:?}");

    scope.blackouts = vec![Blackout {
        to: NaiveTime::MIN,
        from: NaiveTime::MIN,
        ..now(&[])
    }];
    bed.hub.set_live(live(scope));
    assert!(bed.lease("kage", "kage@a", 9).await.is_empty());
}
