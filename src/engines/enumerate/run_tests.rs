use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::any;
use url::Url;

use super::site::{Page, Site, html};
use super::{Ended, Options, Report, Strain, Unobserved, WordList, enumerate};

const STATUSES: [u16; 5] = [200, 301, 403, 401, 302];

/// Words, of which every 400th is there: 25 pages, ten directories that redirect, 5 × 403, 401 and 302.
fn words(count: usize) -> Vec<String> {
    let endings = ["", ".php", ".html", "", "-old", ".txt", "", "s"];
    let starts = ["log", "page", "data", "user", "img", "api", "doc", "n"];
    (0..count)
        .map(|i| format!("{}{i}{}", starts[i % 8], endings[(i / 8) % 8]))
        .collect()
}

fn hidden(words: &[String]) -> Vec<(String, u16)> {
    let step = words.len() / 50;
    (0..50)
        .map(|i| {
            let status = match i % 10 {
                0..5 => STATUSES[0],
                5..7 => STATUSES[1],
                7 => STATUSES[2],
                8 => STATUSES[3],
                _ => STATUSES[4],
            };
            (format!("/{}", words[i * step + i % 7]), status)
        })
        .collect()
}

fn hide(site: &mut Site, paths: &[(String, u16)], directories: bool) {
    for (i, (path, status)) in paths.iter().enumerate() {
        let page = match status {
            301 if directories => Page {
                status: 301,
                ..Page::redirect(format!("http://site.test{path}/"))
            },
            301 => Page::new(200, html(&format!("Index of part {i}"), "a list of files")),
            302 => Page::redirect(format!("/elsewhere/{i}")),
            403 | 401 => Page::new(*status, html("No", "You may not enter this room")),
            _ => Page::new(
                200,
                html(&format!("Real {i}"), &format!("what is in room {i}")),
            ),
        };
        site.page(path, page);
    }
}

fn options(words: &[String]) -> Options {
    let list = WordList::of_text(words.join("\n").as_bytes());
    Options {
        cooldown: Duration::ZERO,
        interval: Duration::ZERO,
        // Each wait is a request or two, and that is all that passes here.
        patience: 2000,
        backups: false,
        depth: 0,
        ..Options::new(Url::parse("http://site.test/").unwrap(), Arc::new(list))
    }
}

async fn run(options: &Options, site: &Site) -> Report {
    enumerate(options, site, &Unobserved).await.unwrap()
}

fn paths(report: &Report) -> Vec<&str> {
    report.found.iter().map(|found| &*found.path).collect()
}

#[track_caller]
fn assert_found(report: &Report, expected: &[(String, u16)]) {
    let mut expected: Vec<_> = expected.iter().map(|(path, _)| &**path).collect();
    expected.sort_unstable();
    let found = paths(report);
    let lost: Vec<_> = expected
        .iter()
        .filter(|path| !found.contains(path))
        .collect();
    let false_ones: Vec<_> = found
        .iter()
        .filter(|path| !expected.contains(path))
        .collect();
    assert!(
        lost.is_empty() && false_ones.is_empty(),
        "lost {lost:?}, false {false_ones:?}, {:?} {:?} {}",
        report.ended,
        report.interference,
        report.requests
    );
    assert_eq!(report.ended, Ended::Complete, "{report:?}");
}

/// 50 among 20,000 on a site that answers so for what is not there. Returns the report and requests for
/// each word.
async fn fifty(site: Site, directories: bool) -> (Report, f64) {
    fifty_of(20_000, site, directories).await
}

async fn fifty_of(count: usize, mut site: Site, directories: bool) -> (Report, f64) {
    let words = words(count);
    let expected = hidden(&words);
    hide(&mut site, &expected, directories);
    let report = run(&options(&words), &site).await;
    assert_found(&report, &expected);
    (report, site.count() as f64 / words.len() as f64)
}

/// Numbers that look like chance and are the same in each run.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 8
    })
}

fn babble(seed: u64, vocabulary: u64) -> String {
    let mut noise = noise(seed);
    let count = 40 + noise.next().unwrap() % 200;
    let letters = |mut n: u64| {
        let mut word = String::new();
        while word.len() < 5 {
            word.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        word
    };
    noise
        .take(count as usize)
        .map(|n| letters((n % vocabulary).wrapping_mul(7_919_937)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn by_path(path: &str) -> u64 {
    path.bytes()
        .fold(7, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)))
}

#[tokio::test]
async fn normal_server() {
    let (report, cost) = fifty(Site::normal(), true).await;
    assert_eq!(
        report.found.iter().filter(|found| found.directory).count(),
        10
    );
    assert!(cost < 1.03, "{cost}");
}

#[tokio::test]
async fn random_bodies_with_404() {
    let site = Site::new(|_, n| Page::new(404, babble(n, 1 << 40)));
    fifty_of(1000, site, true).await;
}

#[tokio::test]
async fn fixed_template_that_repeats_the_path() {
    let site = Site::new(|path, _| {
        let text = format!("The page {path} was not found on this server, try again");
        Page::new(200, html("Oops", &text))
    });
    let (_, cost) = fifty(site, false).await;
    assert!(cost < 1.03, "{cost}");
}

#[tokio::test]
async fn length_and_words_that_vary() {
    // Of few words most pages have them all: then it is their order that tells.
    for (vocabulary, count) in [(24, 5000), (50, 2000), (500, 20_000), (5000, 2000)] {
        let site = Site::new(move |path, n| {
            let text = format!("Nothing at {path}. {}", babble(n, vocabulary));
            Page::new(200, html("Page not found", &text))
        });
        let (_, cost) = fifty_of(count, site, false).await;
        assert!(cost < 1.4, "{cost} with {vocabulary}");
    }
}

#[tokio::test]
async fn bodies_of_nothing_but_chance() {
    let site = Site::new(|_, n| Page::new(200, babble(n, 1 << 40)));
    let (_, cost) = fifty_of(1000, site, false).await;
    assert!(cost < 3.0, "{cost}");
}

#[tokio::test]
async fn bodies_by_path() {
    let site = Site::new(|path, _| {
        let text = format!("Sorry, no such thing. {}", babble(by_path(path), 2000));
        Page::new(200, html("Sorry", &text))
    });
    fifty_of(1000, site, false).await;
}

#[tokio::test]
async fn login_for_all() {
    let site =
        Site::new(|path, _| Page::redirect(format!("/login?next={}", path.replace('/', "%2F"))));
    let (_, cost) = fifty(site, false).await;
    assert!(cost < 1.03, "{cost}");
}

#[tokio::test]
async fn redirects_to_anywhere() {
    let site = Site::new(|_, n| {
        Page::redirect(format!(
            "/s/{}",
            babble(n, 1 << 40).split(' ').next().unwrap()
        ))
    });
    fifty_of(1000, site, false).await;
}

#[tokio::test]
async fn statuses_by_chance() {
    let site = Site::new(|_, n| match noise(n).nth(3).unwrap() % 50 {
        0 => Page::new(500, "oops"),
        1 => Page::new(200, html("Hm", "perhaps")),
        _ => Page::new(404, "no"),
    });
    fifty_of(1000, site, true).await;
}

#[tokio::test]
async fn home_for_all() {
    fifty_of(
        4000,
        Site::new(|_, _| Page::redirect("http://site.test/")),
        false,
    )
    .await;
}

#[tokio::test]
async fn forbidden_for_all() {
    let site = Site::new(|_, _| Page::new(403, html("Forbidden", "Go away")));
    fifty_of(1000, site, true).await;
}

#[tokio::test]
async fn one_extension_answers_always() {
    let site = Site::new(|path, _| match path.ends_with(".php") {
        true => Page::new(200, html("App", "The application starts here")),
        false => Page::new(404, "no"),
    });
    let (report, _) = fifty_of(1000, site, true).await;
    assert!(report.interference.is_empty());
}

#[tokio::test]
async fn dotfiles_are_forbidden() {
    let site = Site::new(|path, _| match path.contains("/.") {
        true => Page::new(403, "no"),
        false => Page::new(404, "no"),
    });
    let words = [".env", ".git", ".htaccess", ".a", "index"].map(str::to_owned);
    let report = run(&options(&words), &site).await;
    assert_found(&report, &[]);
}

#[tokio::test]
async fn all_gets_a_slash() {
    let site = Site::new(|path, _| match path.ends_with('/') {
        true => Page::new(404, html("Not found", "no")),
        false => Page::redirect(format!("{path}/")),
    });
    let words = words(400);
    let mut site = site;
    site.page(
        &format!("/{}/", words[33]),
        Page::new(200, html("x", "a page")),
    );
    let report = run(&options(&words), &site).await;
    assert_eq!(paths(&report), [format!("/{}/", words[33])]);
}

#[tokio::test]
async fn case_that_does_not_matter_is_told_once() {
    let site = Site::normal().before(|path, _| {
        let known = path.eq_ignore_ascii_case("/admin");
        known.then(|| Page::new(200, html("Admin", "x")))
    });
    let words = ["admin", "Admin", "ADMIN"].map(str::to_owned);
    let report = run(&options(&words), &site).await;
    assert_eq!(report.found.len(), 1);
    assert!(report.case_insensitive);
}

#[tokio::test]
async fn rule_for_a_prefix_is_told_once() {
    let site = Site::normal()
        .before(|path, _| path.starts_with("/admin").then(|| Page::new(403, "denied")));
    let words = ["admin", "admin1", "administrator", "x"].map(str::to_owned);
    let mut options = options(&words);
    options.concurrency = 1;
    let report = run(&options, &site).await;
    assert_eq!(paths(&report), ["/admin"]);
    assert!(report.found[0].prefix);
}

/// A firewall that answers everything from the so-manieth request on, for so many requests.
fn wall(site: Site, from: u64, count: u64, page: Page) -> Site {
    site.before(move |_, n| (from..from + count).contains(&n).then(|| page.clone()))
}

#[tokio::test]
async fn wall_for_a_while_costs_nothing_found() {
    for (page, strain) in [
        (
            Page::new(403, html("Blocked", "Request blocked")),
            Strain::Blocked,
        ),
        (Page::new(429, "slow down"), Strain::RateLimited),
        (Page::new(503, "maintenance"), Strain::Unavailable),
        (
            Page::new(200, html("Captcha", "Solve this captcha")),
            Strain::Blocked,
        ),
    ] {
        let site = wall(Site::normal(), 1_700, 60, page);
        let (report, _) = fifty_of(4000, site, true).await;
        assert_eq!(
            report.interference[0].strain, strain,
            "{:?}",
            report.interference
        );
        assert!(report.interference.iter().all(|i| i.recovered));
    }
}

#[tokio::test]
async fn silent_wall_is_seen_by_what_was_there() {
    let page = Page::new(404, html("Not found", "There is nothing here"));
    let (report, _) = fifty_of(4000, wall(Site::normal(), 1_700, 700, page), true).await;
    assert!(!report.interference.is_empty());
}

#[tokio::test]
async fn wall_that_stays_ends_it_and_is_told() {
    let words = words(4000);
    let mut site = wall(
        Site::normal(),
        1_900,
        u64::MAX / 2,
        Page::new(403, "Access denied"),
    );
    hide(&mut site, &hidden(&words), true);
    let mut options = options(&words);
    options.patience = 3;
    let report = run(&options, &site).await;
    assert_eq!(report.ended, Ended::Blocked);
    assert_eq!(report.interference.last().unwrap().strain, Strain::Blocked);
    assert!(report.found.len() >= 9 && report.resume.is_some());
    let hidden = hidden(&words);
    assert!(
        report
            .found
            .iter()
            .all(|f| hidden.iter().any(|(path, _)| *path == f.path))
    );
}

#[tokio::test]
async fn new_page_for_what_is_missing_is_learned() {
    let site = Site::new(|_, n| match n {
        0..2_100 => Page::new(404, "no"),
        _ => Page::new(200, html("Whoops", "we are so sorry")),
    });
    let (report, _) = fifty_of(4000, site, true).await;
    assert_eq!(report.interference[0].strain, Strain::Changed);
}

#[tokio::test]
async fn answers_that_fail_are_asked_for_again() {
    let mut site = Site::normal();
    site.breaks = Some(1_300..1_500);
    let (report, _) = fifty_of(4000, site, true).await;
    assert_eq!(report.unanswered, 0);
}

#[tokio::test]
async fn directories_are_gone_into() {
    let words: Vec<String> = words(300);
    let mut site = Site::normal();
    let mut expected = Vec::new();
    let mut directory = String::new();
    for i in 0..5 {
        let name = format!("{directory}/{}", words[i * 24]);
        site.page(
            &name,
            Page {
                status: 301,
                ..Page::redirect(format!("{name}/"))
            },
        );
        site.page(&format!("{name}/"), Page::new(403, "no listing"));
        expected.push(name.clone());
        for j in 0..2 {
            let file = format!("{name}/{}", words[100 + i * 8 + j]);
            site.page(&file, Page::new(200, html("Nested", &file)));
            expected.push(file);
        }
        directory = name;
    }
    let mut options = options(&words);
    options.depth = 5;
    let report = run(&options, &site).await;
    expected.sort();
    assert_eq!(paths(&report), expected);
    options.depth = 2;
    assert_eq!(run(&options, &site).await.found.len(), 3 + 4);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(8))]
    /// Whatever words there are, what is there is found and nothing else.
    #[test]
    fn any_words_are_found(seed in any::<u64>()) {
        let words: Vec<String> = noise(seed).take(300).map(|n| format!("{}{}", babble(n, 400).split(' ').next().unwrap(), n % 90)).collect();
        let mut site = Site::new(|path, _| Page::new(200, html("Nope", &format!("no {path} here"))));
        let expected = [format!("/{}", words[5]), format!("/{}", words[250])];
        for path in &expected {
            site.page(path, Page::new(200, html("Secret", "there")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let report = runtime.block_on(run(&options(&words), &site));
        assert_found(&report, &expected.map(|path| (path, 200)));
    }
}
