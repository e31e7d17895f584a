//! Systems, copies, what other hosts taught, methods: what the engine adds to a word list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::site::{Page, Site, html};
use super::{Ended, Found, Observer, Options, Report, Source, Unobserved, WordList, enumerate};
use crate::engines::web::Robots;

fn options(words: &str) -> Options {
    Options {
        cooldown: Duration::ZERO,
        interval: Duration::ZERO,
        concurrency: 1,
        ..Options::new(
            Url::parse("http://site.test/").unwrap(),
            Arc::new(WordList::of_text(words.as_bytes())),
        )
    }
}

async fn run(options: &Options, site: &Site) -> Report {
    let report = enumerate(options, site, &Unobserved).await.unwrap();
    assert_eq!(report.ended, Ended::Complete);
    report
}

fn asked(site: &Site) -> Vec<String> {
    site.asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn found<'a>(report: &'a Report, path: &str) -> &'a Found {
    let found = report.found.iter().find(|found| found.path == path);
    found.unwrap_or_else(|| panic!("{path} in {report:?}"))
}

fn wordpress() -> Site {
    let mut site = Site::normal();
    let head = r#"<html><head><meta name="generator" content="WordPress 6.4.2"/></head>"#;
    site.page(
        "/",
        Page::new(200, format!("{head}<link href='/wp-content/x.css'></html>")),
    );
    site.page(
        "/wp-login.php",
        Page::new(200, html("Log In", "id=wp-submit")),
    );
    site.page(
        "/xmlrpc.php",
        Page::new(405, "XML-RPC server accepts POST requests only."),
    );
    site
}

#[tokio::test]
async fn system_is_detected_and_its_paths_are_tried() {
    let report = run(&options("x"), &wordpress()).await;
    let cms = report.cms.clone().unwrap();
    assert_eq!(
        (&*cms.name, cms.version.as_deref()),
        ("WordPress", Some("6.4.2"))
    );
    assert!(cms.confidence > 0.97 && cms.confidence <= 1.0, "{cms:?}");
    let login = found(&report, "/wp-login.php");
    assert_eq!(login.source, Source::Cms);
    // 0.40 for wp-login, 0.15 + 0.2 × confidence + 0.05 for the system, 0.10 for 200, 0.05 for PHP.
    let expected = 0.4 + 0.15 + 0.2 * cms.confidence + 0.05 + 0.1 + 0.05;
    assert!((login.priority_score - expected).abs() < 0.002, "{login:?}");
    assert_eq!(login.priority_factors.len(), 6);
}

#[tokio::test]
async fn no_system_is_seen_where_every_path_is_answered() {
    let site = Site::new(|path, _| Page::new(200, html("Oops", &format!("no {path} here"))));
    assert_eq!(run(&options("x"), &site).await.cms, None);
}

#[tokio::test]
async fn what_other_hosts_taught_comes_first() {
    let mut options = options("a\nb");
    options.cms = false;
    options.learned = vec![("/rare".to_owned(), 0.2), ("/often/x".to_owned(), 0.9)];
    let mut site = Site::normal();
    site.page("/often/x", Page::new(200, html("x", "x")));
    let report = run(&options, &site).await;
    let asked = asked(&site);
    let place = |path: &str| asked.iter().position(|p| p == path).unwrap();
    assert!(place("/often/x") < place("/rare") && place("/rare") < place("/a"));
    assert!((found(&report, "/often/x").priority_score - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn copies_of_what_is_found_are_found() {
    let mut site = Site::normal();
    site.page("/config.php", Page::new(200, ""));
    site.page("/config.php~", Page::new(200, "<?php $password"));
    site.page("/.config.php.swp", Page::new(200, "b0VIM"));
    let report = run(&options("config.php"), &site).await;
    assert_eq!(report.found.len(), 3, "{report:?}");
    assert_eq!(found(&report, "/config.php~").source, Source::Backup);
}

#[tokio::test]
async fn extensions_are_those_of_the_technology() {
    let mut site = Site::normal();
    let mut home = Page::new(200, "home");
    home.headers.push(("set-cookie", "PHPSESSID=1".to_owned()));
    site.page("/", home);
    site.page("/panel.php", Page::new(200, html("Panel", "x")));
    let report = run(&options("panel\nlist.%EXT%"), &site).await;
    found(&report, "/panel.php");
    assert!(asked(&site).contains(&"/list.php".to_owned()));
}

#[tokio::test]
async fn names_from_the_spider_are_tried_in_each_directory() {
    let mut options = options("docs");
    options.spidered = vec!["/shop/basket?x=1".to_owned()];
    let mut site = Site::normal();
    site.page("/docs", Page::redirect("/docs/"));
    site.page("/docs/basket", Page::new(200, html("b", "b")));
    let report = run(&options, &site).await;
    assert_eq!(found(&report, "/docs/basket").source, Source::Spidered);
}

#[tokio::test]
async fn disallowed_paths_are_not_asked_for() {
    let mut options = options("admin\nprivate/x\nok");
    let robots = b"User-agent: *\nDisallow: /private\n";
    options.robots = Some(Arc::new(Robots::parse(robots, "recon")));
    let site = Site::normal();
    run(&options, &site).await;
    assert!(!asked(&site).iter().any(|path| path.starts_with("/private")));
}

#[tokio::test]
async fn page_that_ignores_what_follows_is_no_directory() {
    let site = Site::normal().before(|path, _| {
        let app = path == "/app" || path.starts_with("/app/");
        app.then(|| Page::new(200, html("App", "one page for all")))
    });
    let report = run(&options("app\nx"), &site).await;
    assert!(!found(&report, "/app").directory);
    assert_eq!(report.found.len(), 1);
}

#[tokio::test]
async fn link_to_itself_is_not_gone_into_for_ever() {
    let site = Site::normal().before(|path, _| {
        let steps: Vec<_> = path.trim_matches('/').split('/').collect();
        let loops = steps.iter().all(|step| *step == "loop");
        match loops {
            true if path.ends_with('/') => Some(Page::new(403, "no")),
            true => Some(Page::redirect(format!("{path}/"))),
            false => None,
        }
    });
    let mut options = options("loop\nx");
    options.depth = 50;
    let report = run(&options, &site).await;
    assert!(report.found.len() <= 3, "{report:?}");
}

#[tokio::test]
async fn result_is_in_the_hubs_form() {
    let report = run(&options("x"), &wordpress()).await;
    let result = report.heuristics("default");
    assert_eq!(result["cms_detection"]["cms"], "WordPress");
    assert_eq!(result["enumeration_metadata"]["tool_used"], "recon-suzu");
    let first = &result["paths_discovered"][0];
    assert_eq!(first["path"], "/wp-login.php");
    assert!(first["priority_factors"].is_array() && first["status"] == 200);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>, Mutex<Vec<String>>);

impl Observer for Told {
    fn found(&self, found: &Found) {
        self.0.lock().unwrap().push(found.path.clone());
    }

    fn taken_back(&self, found: &Found) {
        self.1.lock().unwrap().push(found.path.clone());
    }
}

#[tokio::test]
async fn what_is_taken_back_is_told() {
    let words: Vec<_> = (0..300).map(|i| format!("w{i}")).collect();
    let mut options = options(&words.join("\n"));
    (options.check_every, options.cms, options.backups) = (100, false, false);
    let mut site =
        Site::normal().before(|_, n| (240..260).contains(&n).then(|| Page::new(503, "busy")));
    for i in [5, 220, 290] {
        site.page(
            &format!("/w{i}"),
            Page::new(200, html("x", &format!("page {i}"))),
        );
    }
    options.patience = 100;
    let told = Told::default();
    let report = enumerate(&options, &site, &told).await.unwrap();
    assert_eq!(report.found.len(), 3);
    let back = told.1.into_inner().unwrap();
    assert_eq!(back, ["/w220"]);
    assert_eq!(
        told.0.into_inner().unwrap(),
        ["/w5", "/w220", "/w220", "/w290"]
    );
    assert_eq!(report.interference[0].taken_back, 1);
}
