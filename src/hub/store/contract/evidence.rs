//! What an assessment reads of a record.

use serde_json::json;
use uuid::Uuid;

use super::contract;
use super::results::send_paths;
use super::samples::{delivered, finding, paths, request, spider};
use super::spine::{add, after, scan, submit, t0};
use super::web::{page, send};
use crate::api::{AssessmentContext, CookieSigns, ScanPort, SpiderForm, Technology, WebSigns};
use crate::hub::store::*;

async fn context(store: &dyn Store, id: Uuid) -> AssessmentContext {
    store.assessment_context(id).await.unwrap().unwrap()
}

async fn nothing_is_known_of_a_new_record(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let known = context(store, id).await;
    let wanted = AssessmentContext {
        success: true,
        eggrecord_id: id,
        target: "10.0.0.1".to_owned(),
        group: Some("lab".to_owned()),
        ip_address: "10.0.0.1".parse().ok(),
        as_of: t0(),
        ..AssessmentContext::default()
    };
    assert_eq!(known, wanted);
    let unknown = store.assessment_context(Uuid::now_v7()).await.unwrap();
    assert!(unknown.is_none());
}

/// A scan of that type with these ports open.
pub(super) fn scanned(id: Uuid, kind: &str, minutes: i64, open: &[u16]) -> Submission {
    let mut submission = scan(id, "agent@a", after(minutes));
    submission.scan_type = kind.to_owned();
    submission.kind = kind.parse().ok();
    let found = submission.outcome.as_mut().unwrap();
    found.finished_at = after(minutes);
    let sample = found.open_ports[0].clone();
    let port = |port: &u16| ScanPort {
        port: *port,
        service: "x".to_owned(),
        confidence: 1.0,
        ..sample.clone()
    };
    found.open_ports = open.iter().map(port).collect();
    found.scan_command = "recon -p -".to_owned();
    submission
}

async fn the_newest_scan_has_the_last_word(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    for (kind, minutes, open) in [
        ("kage_port_scan", 0, [22, 80].as_slice()),
        ("kaze_port_scan", 10, &[80, 443]),
        ("kaze_port_scan", 20, &[443]),
    ] {
        submit(store, scanned(id, kind, minutes, open), None)
            .await
            .unwrap();
    }
    let known = context(store, id).await;
    let open: Vec<_> = known.ports.iter().map(|p| p.port.port).collect();
    assert_eq!(open, [443], "the others were looked for in vain");
    assert_eq!(known.ports[0].scan_type, "kaze_port_scan");
    assert_eq!(
        (known.ports[0].seen_at, known.as_of),
        (after(20), after(20))
    );
    let types: Vec<_> = known.scans.iter().map(|s| s.scan_type.as_str()).collect();
    assert_eq!(types, ["kaze_port_scan", "kage_port_scan"]);
}

async fn a_crawl_is_evidence(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let signs = WebSigns {
        cookies: vec![CookieSigns {
            name: "sid".to_owned(),
            secure: true,
            ..CookieSigns::default()
        }],
        directory_listing: Some("nginx".to_owned()),
        ..WebSigns::default()
    };
    let mut crawl = spider("1", &["http://10.0.0.1/", "http://10.0.0.1/silent"]);
    crawl.requests[0].signs = Some(signs.clone());
    crawl.requests[0].response_headers =
        Some(json!({ "Server": "nginx", "Set-Cookie": "sid=…", "x-long": "ä".repeat(3000) }));
    crawl.requests[1].response_status = 0;
    crawl.pages = Some(vec![page("/", 200, "a"), page("/down", 0, "")]);
    crawl.forms = Some(vec![SpiderForm {
        page: "http://10.0.0.1/".to_owned(),
        method: "POST".to_owned(),
        action: "/login".to_owned(),
        ..SpiderForm::default()
    }]);
    crawl.technologies = Some(vec![Technology {
        name: "nginx".to_owned(),
        ..Technology::default()
    }]);
    crawl.findings = vec![finding(1)];
    crawl.facts.complete = Some(true);
    send(store, id, crawl.clone(), after(5)).await;
    let known = context(store, id).await;
    assert_eq!(known.exchanges.len(), 1);
    let answer = &known.exchanges[0];
    assert_eq!(
        (answer.url.as_str(), answer.status),
        ("http://10.0.0.1/", 200)
    );
    assert_eq!(answer.seen, signs);
    assert_eq!(answer.headers["server"], "nginx");
    assert!(!answer.headers.contains_key("set-cookie"));
    assert_eq!(answer.headers["x-long"].len(), 2000);
    let urls: Vec<_> = known.pages.iter().map(|p| p.url.as_str()).collect();
    assert_eq!(urls, ["http://10.0.0.1/"]);
    assert_eq!(
        (
            known.forms.len(),
            known.technologies.len(),
            known.findings.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(known.as_of, after(5));
    assert_eq!(context(store, id).await, known, "the same twice");

    // The next whole crawl sees neither form nor secret: both are gone.
    crawl.facts.run = "2".to_owned();
    crawl.forms = Some(Vec::new());
    crawl.findings = Vec::new();
    send(store, id, crawl, after(9)).await;
    let known = context(store, id).await;
    assert_eq!((known.forms.len(), known.findings.len()), (0, 0));
    assert_eq!(known.exchanges.len(), 1, "only the newest run's");
    assert_eq!(known.as_of, after(9));
}

async fn paths_that_a_whole_enumeration_did_not_find_again_are_gone(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let mut first = paths(&[
        ("/.git/HEAD", Some(200)),
        ("/no", Some(404)),
        ("/old", Some(403)),
    ]);
    first.cms = Some(Cms {
        name: "WordPress".to_owned(),
        version: Some("6.1".to_owned()),
        confidence: 0.8,
    });
    first.facts.run = "1".to_owned();
    send_paths(store, delivered(id, 30, after(1), first)).await;
    let known = context(store, id).await;
    let found = |known: &AssessmentContext| -> Vec<String> {
        known.paths.iter().map(|path| path.path.clone()).collect()
    };
    assert_eq!(found(&known), ["/.git/HEAD", "/old"]);
    assert_eq!(known.paths[1].status, Some(403));
    assert_eq!(known.cms[0].version.as_deref(), Some("6.1"));
    let mut second = paths(&[("/old", Some(200))]);
    second.facts.run = "2".to_owned();
    send_paths(store, delivered(id, 30, after(2), second.clone())).await;
    assert_eq!(
        found(&context(store, id).await).len(),
        2,
        "it may not have looked"
    );
    second.facts.run = "3".to_owned();
    second.facts.complete = Some(true);
    send_paths(store, delivered(id, 30, after(3), second)).await;
    let known = context(store, id).await;
    assert_eq!(found(&known), ["/old"]);
    assert_eq!(known.as_of, after(3));
}

async fn lists_are_bounded_and_say_so(store: &dyn Store) {
    let id = add(store, &["10.0.0.1"]).await[0];
    let names: Vec<String> = (0..2050).map(|n| format!("/{n:04}")).collect();
    let list: Vec<_> = names.iter().map(|n| (n.as_str(), Some(200))).collect();
    send_paths(store, delivered(id, 30, after(1), paths(&list))).await;
    let known = context(store, id).await;
    assert_eq!(known.paths.len(), 2000);
    assert_eq!(known.left_out["paths"], 50);
    let mut crawl = spider("1", &[]);
    let long = json!({ "x-long": "x".repeat(2000), "x-longer": "y".repeat(9000) });
    crawl.requests = (0..1200)
        .map(|n| Request {
            response_headers: Some(long.clone()),
            ..request(&format!("http://10.0.0.1/{n}"))
        })
        .collect();
    send(store, id, crawl, after(2)).await;
    let known = context(store, id).await;
    let told = known.exchanges.len();
    assert!((700..800).contains(&told), "{told}");
    let all = u64::try_from(told).unwrap() + known.left_out["exchanges"];
    assert_eq!(all, 1200);
}

contract!(
    nothing_is_known_of_a_new_record,
    the_newest_scan_has_the_last_word,
    a_crawl_is_evidence,
    paths_that_a_whole_enumeration_did_not_find_again_are_gone,
    lists_are_bounded_and_say_so,
);
