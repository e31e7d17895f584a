//! Several servers in one crawl: their rules, their silence, and what they say that is not to be told.

use super::*;

/// A site whose pages are on another port than its start: the rules of that port hold there, redirects on
/// the way to them included, and they are asked for before the first page.
#[tokio::test]
async fn each_server_is_asked_for_its_own_rules() {
    let site = Site::new(|url, _| match (url.port_or_known_default(), url.path()) {
        (Some(80), "/robots.txt") => redirect("http://site.test:8080/robots.txt"),
        (Some(80), _) => redirect("http://site.test:8080/"),
        (Some(8080), "/robots.txt") => redirect("/rules"),
        (Some(8080), "/rules") => ok("User-agent: *\nDisallow: /private/"),
        (Some(8080), "/") => ok("<a href=/private/x>p</a><a href=/open>o</a>
            <script src='http://cdn.test/x.js'></script>"),
        (Some(8080), _) => ok("text"),
        _ => missing(),
    });
    let polite = Options {
        robots: true,
        concurrency: 1,
        ..options("http://site.test/")
    };
    let (report, heard) = run(&site, &polite).await;
    assert_eq!(report.ended, Ended::Complete);
    assert_eq!(site.asked("/private/x"), 0);
    let pages: Vec<String> = heard
        .pages
        .lock()
        .unwrap()
        .iter()
        .map(|p| p.url.clone())
        .collect();
    assert!(
        pages.iter().any(|url| url == "http://site.test:8080/open"),
        "{pages:?}"
    );
    // Of each of the three servers once, the one that has a part of a page included, with the redirects.
    assert_eq!((site.asked("/robots.txt"), site.asked("/rules")), (5, 3));
    assert_eq!(site.asked("/x.js"), 1);
}

#[tokio::test]
async fn the_delay_that_robots_asks_for_is_kept() {
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&times);
    let site = Site::new(move |url, _| {
        seen.lock().unwrap().push(std::time::Instant::now());
        match url.path() {
            "/robots.txt" => ok("User-agent: *\nCrawl-delay: 0.02\n"),
            "/" => ok("<a href=/1>a</a><a href=/2>b</a><a href=/3>c</a>"),
            _ => missing(),
        }
    });
    let polite = Options {
        robots: true,
        ..options("http://site.test/")
    };
    run(&site, &polite).await;
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 7);
    for pair in times[1..].windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(20));
    }
}

/// Ports and hosts that nobody listens on, to which a page leads, are no sign that the site is gone.
#[tokio::test]
async fn dead_servers_that_are_linked_to_end_no_crawl() {
    let site = Site::new(|url, _| match (url.host_str(), url.port(), url.path()) {
        (Some("site.test"), None, "/") => {
            let dead: String = (0..40)
                .map(|n| format!("<a href='http://site.test:{}/'>d</a>", 9000 + n))
                .chain((0..40).map(|n| format!("<a href='http://site.test:99/{n}'>d</a>")))
                .chain((0..40).map(|n| format!("<script src='http://no{n}.test/x.js'></script>")))
                .collect();
            ok(format!("{dead}<a href=/a/b/c/d>alive</a>"))
        }
        (Some("site.test"), None, "/a/b/c/d") => ok("here"),
        (Some("site.test"), None, _) => missing(),
        (Some("site.test"), ..) => Err(FetchError::Connect("x".to_owned(), "refused".to_owned())),
        _ => Err(FetchError::Unresolved("x".to_owned())),
    });
    let few = Options {
        concurrency: 1,
        ..options("http://site.test/")
    };
    let (report, heard) = run(&site, &few).await;
    assert!(heard.paths().contains_key("/a/b/c/d"));
    assert_eq!(report.ended, Ended::Complete);
    // Of the forty on one dead port a few were asked for.
    let asked: u64 = (0..40).map(|n| site.asked(&format!("/{n}"))).sum();
    assert!(asked <= 6, "{asked}");
    let notes = report.notes.join(" ");
    assert!(notes.contains("servers that do not answer"), "{notes}");
}

/// One that was there and is gone ends it, and what is left is for another time.
#[tokio::test]
async fn a_site_that_goes_away_is_gone_on_with_later() {
    let site = |limit: u64| {
        Site::new(move |url, number| match url.path() {
            _ if number > limit => Err(FetchError::Connect("x".to_owned(), "refused".to_owned())),
            "/" => {
                let links: String = (0..200).map(|n| format!("<a href=/p/{n}>p</a>")).collect();
                ok(links)
            }
            path if path.starts_with("/p/") => ok(format!("this is {path}")),
            _ => missing(),
        })
    };
    let mut options = options("http://site.test/");
    let (report, first) = run(&site(50), &options).await;
    assert_eq!(report.ended, Ended::Unanswered);
    options.resume = report.resume;
    let (report, second) = run(&site(u64::MAX), &options).await;
    assert_eq!(report.ended, Ended::Complete);
    let mut paths: BTreeSet<String> = first.paths().into_keys().collect();
    paths.extend(second.paths().into_keys());
    let pages = paths.iter().filter(|path| path.starts_with("/p/")).count();
    assert!(pages >= 200 - 40, "{pages}");
}

/// Whoever sends has stopped: nothing is asked again and again.
#[tokio::test]
async fn a_client_that_stops_ends_the_crawl() {
    let site = Site::new(|url, number| match number {
        0..3 if url.path() == "/" => ok("<a href=/a>a</a><a href=/b>b</a>"),
        0..3 => missing(),
        _ => Err(FetchError::Stopped("x".to_owned())),
    });
    let slow = Options {
        concurrency: 1,
        ..options("http://site.test/")
    };
    let (report, _) = run(&site, &slow).await;
    assert_eq!(report.ended, Ended::Cancelled);
    assert!(report.resume.is_some_and(|at| !at.waiting.is_empty()));
}

#[tokio::test]
async fn secrets_are_told_of_and_not_told() {
    const KEY: &str = "AKIAQ3EGRS5TUVWXYZ2A";
    let site = Site::new(|url, _| {
        match url.path() {
        "/" => Ok((
            200,
            vec![("set-cookie", "session=0123456789abcdef; Path=/; HttpOnly".to_owned()),
                 ("x-debug", format!("key {KEY}"))],
            format!("<!-- old key: {KEY} --><title>{KEY}</title><script>fetch('/api?k={KEY}')</script>
                <form action='/f?k={KEY}'><input name=k value={KEY}></form><a href='/l?k={KEY}'>x</a>
                <a href='/a/b/a/b/a/b/?k={KEY}'>trap</a><a href='/dead?k={KEY}'>d</a>"),
        )),
        "/api" | "/l" => ok("answer"),
        "/dead" => Err(FetchError::Closed(url.to_string(), "reset".to_owned())),
        _ => missing(),
    }
    });
    let (report, heard) = run(&site, &options("http://site.test/")).await;
    // It is asked for as it stands there, and shown without it.
    assert_eq!(site.asked(&format!("/api?k={KEY}")), 1);
    assert_eq!(site.asked(&format!("/l?k={KEY}")), 1);
    let pages = heard.pages.lock().unwrap();
    let text = serde_json::to_string(&*pages).unwrap() + &serde_json::to_string(&report).unwrap();
    assert!(!text.contains(KEY), "{text}");
    assert!(!text.contains("0123456789abcdef") && text.contains("session=0123…; Path=/; HttpOnly"));
    let start = pages
        .iter()
        .find(|page| page.url == "http://site.test/")
        .unwrap();
    assert!(!start.secrets.is_empty());
    assert!(start.secrets.iter().all(|secret| secret.sha256.len() == 64));
    assert_eq!(
        (
            start.comments.len(),
            start.forms.len(),
            start.endpoints.len()
        ),
        (1, 1, 1)
    );
}

/// What a server says at length is not kept at length: the hub refuses too much of it, and with it all
/// that was found.
#[tokio::test]
async fn headers_without_end_are_cut_off() {
    let site = Site::new(|url, _| match url.path() {
        "/" => {
            let long = "x".repeat(1500);
            let names = [
                "x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "x-g", "x-h", "x-i", "x-j",
            ];
            let headers = names.into_iter().map(|name| (name, long.clone()));
            Ok((200, headers.collect(), "x".to_owned()))
        }
        _ => missing(),
    });
    let (_, heard) = run(&site, &options("http://site.test/")).await;
    let pages = heard.pages.lock().unwrap();
    let start = pages.iter().find(|page| page.status == 200).unwrap();
    let bytes: usize = start
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(bytes <= 10 * 1024 && start.headers.len() >= 5, "{bytes}");
}
