use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::*;
use crate::engines::web::{Fetch, FetchError, Request, Response};

type Answer = Result<(u16, Vec<(&'static str, String)>, String), FetchError>;

type Answers = dyn Fn(&Url, u64) -> Answer + Send + Sync;

/// A site in this process.
struct Site {
    answer: Box<Answers>,
    asked: Mutex<BTreeMap<String, u64>>,
    count: AtomicU64,
}

impl Site {
    fn new(answer: impl Fn(&Url, u64) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
            count: AtomicU64::new(0),
        }
    }

    fn asked(&self, path: &str) -> u64 {
        let asked = self.asked.lock().unwrap();
        asked.get(path).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Fetch for Site {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let path = request.url[url::Position::BeforePath..].to_owned();
        *self.asked.lock().unwrap().entry(path).or_default() += 1;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // Others get their turn: answers come in another order than they were asked for.
        for _ in 0..number % 3 {
            tokio::task::yield_now().await;
        }
        let (status, headers, body) = (self.answer)(&request.url, number)?;
        let mut map = HeaderMap::new();
        map.insert("content-type", HeaderValue::from_static("text/html"));
        for (name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        Ok(Response {
            url: request.url,
            status: StatusCode::from_u16(status).unwrap(),
            version: http::Version::HTTP_11,
            headers: map,
            body: Bytes::from(body),
            truncated: false,
            elapsed: Duration::from_millis(1),
            peer: None,
            tls: None,
        })
    }
}

fn ok(body: impl Into<String>) -> Answer {
    Ok((200, Vec::new(), body.into()))
}

fn missing() -> Answer {
    Ok((404, Vec::new(), "not here".to_owned()))
}

fn redirect(to: &str) -> Answer {
    Ok((302, vec![("location", to.to_owned())], String::new()))
}

#[derive(Default)]
struct Heard {
    pages: Mutex<Vec<PageReport>>,
    stop_after: Option<usize>,
}

impl Observer for Heard {
    fn page(&self, page: PageReport, _: Option<&Response>) {
        self.pages.lock().unwrap().push(page);
    }

    fn cancelled(&self) -> bool {
        let pages = self.pages.lock().unwrap().len();
        self.stop_after.is_some_and(|most| pages >= most)
    }
}

impl Heard {
    /// Paths that answered 200, and how often each was told.
    fn paths(&self) -> HashMap<String, u32> {
        let mut paths = HashMap::new();
        for page in self
            .pages
            .lock()
            .unwrap()
            .iter()
            .filter(|p| p.status == 200)
        {
            let url = Url::parse(&page.url).unwrap();
            let path = url[url::Position::BeforePath..].to_owned();
            *paths.entry(path).or_default() += 1;
        }
        paths
    }
}

fn options(start: &str) -> Options {
    Options::new(vec![Url::parse(start).unwrap()])
}

async fn run(site: &Site, options: &Options) -> (Report, Heard) {
    let heard = Heard::default();
    let report = crawl(options, site, None, &heard).await.unwrap();
    (report, heard)
}

/// 5,000 pages, each with 15 links in several spellings; page 0 is the start.
fn large() -> Site {
    Site::new(|url, _| {
        let path = url.path();
        let number: Option<u32> = match path {
            "/" => Some(0),
            _ => path.strip_prefix("/page/").and_then(|n| n.parse().ok()),
        };
        let Some(n) = number.filter(|n| *n < 5000) else {
            return missing();
        };
        let mut body = format!(
            "<title>Page {n}</title><p>Text of page {n}, unlike others {}</p>",
            n * 7919
        );
        for link in 1..=15 {
            let to = (n * 15 + link) % 5000;
            body += &match link % 5 {
                0 => format!("<a href=\"/page/{to}\">x</a>"),
                1 => format!("<a href=\"/page/../page/{to}#top\">x</a>"),
                2 => format!("<a href=/page/{to}?utm_source=x>x</a>"),
                3 => format!("<a href=\"http://SITE.test:80/page/{to}\">x</a>"),
                _ => format!("<a href='//site.test/page/{to}'>x</a>"),
            };
        }
        ok(body)
    })
}

#[tokio::test]
async fn every_page_of_a_large_site_is_found_once() {
    for concurrency in [1, 16, 300] {
        let site = large();
        let options = Options {
            concurrency,
            ..options("http://site.test/")
        };
        let (report, heard) = run(&site, &options).await;
        let paths = heard.paths();
        // The start page is page 0, and there is a link to that, too.
        assert_eq!(paths.len(), 5001, "{concurrency}");
        assert!(paths.values().all(|count| *count == 1));
        assert_eq!(report.ended, Ended::Complete);
        assert!(report.notes.is_empty(), "{:?}", report.notes);
    }
}

#[tokio::test]
async fn a_crawl_that_was_stopped_goes_on() {
    let site = large();
    let mut options = options("http://site.test/");
    let mut paths = BTreeSet::new();
    let mut runs = 0;
    loop {
        let heard = Heard {
            stop_after: Some(700),
            ..Heard::default()
        };
        let report = crawl(&options, &site, None, &heard).await.unwrap();
        for (path, count) in heard.paths() {
            assert_eq!(count, 1);
            assert!(paths.insert(path.clone()), "{path}");
        }
        runs += 1;
        let Some(resume) = report.resume else { break };
        // As it comes back from disk.
        let text = serde_json::to_string(&resume).unwrap();
        options.resume = Some(serde_json::from_str(&text).unwrap());
    }
    assert_eq!((paths.len(), runs), (5001, 8));
}

#[tokio::test]
async fn limits_are_kept_and_told() {
    let site = large();
    let (report, heard) = run(
        &site,
        &Options {
            max_pages: 100,
            ..options("http://site.test/")
        },
    )
    .await;
    assert_eq!(
        (report.ended, heard.pages.lock().unwrap().len()),
        (Ended::MaxPages, 100)
    );
    assert!(report.resume.is_some());
    let (report, heard) = run(
        &large(),
        &Options {
            depth: 1,
            ..options("http://site.test/")
        },
    )
    .await;
    assert_eq!((report.ended, heard.paths().len()), (Ended::Complete, 16));
    assert!(
        report.notes.iter().any(|note| note.contains("deeper")),
        "{:?}",
        report.notes
    );
}

#[tokio::test]
async fn nothing_but_the_site_is_asked() {
    let site = Site::new(|url, _| {
        assert_eq!(url.host_str(), Some("site.test"));
        match url.path() {
            "/" => ok("<a href='http://other.test/x'>x</a><img src=http://img.test/a.png>
                <a href=/go>go</a><a href=/loop/1>l</a><a href='mailto:a@b.test'>m</a><img src=/i.png>"),
            "/go" => redirect("http://other.test/y"),
            path if path.starts_with("/loop/") => {
                let n: u32 = path[6..].parse().unwrap();
                redirect(&format!("/loop/{}", n + 1))
            }
            _ => missing(),
        }
    });
    let (report, heard) = run(&site, &options("http://site.test/")).await;
    assert_eq!(report.external["other.test"], 2);
    assert_eq!(report.external["img.test"], 1);
    assert_eq!((site.asked("/loop/11"), site.asked("/loop/12")), (1, 0));
    assert_eq!(site.asked("/i.png"), 0);
    let pages = heard.pages.lock().unwrap();
    let go = pages.iter().find(|page| page.url.ends_with("/go")).unwrap();
    assert_eq!(go.redirect.as_deref(), Some("http://other.test/y"));
}

#[tokio::test]
async fn robots_is_read_for_what_it_names_and_kept_to_on_demand() {
    let site = || {
        Site::new(|url, _| match url.path() {
            "/robots.txt" => ok("User-agent: *\nDisallow: /private/\nSitemap: /map.xml\n"),
            "/map.xml" => Ok((
                200,
                vec![("content-type", "application/xml".to_owned())],
                "<urlset><url><loc>http://site.test/only-in-map</loc></url></urlset>".to_owned(),
            )),
            "/" | "/private/" | "/only-in-map" => ok("<a href=/private/>p</a>"),
            _ => missing(),
        })
    };
    let (report, heard) = run(&site(), &options("http://site.test/")).await;
    assert_eq!(report.robots, ["/private/"]);
    assert!(heard.paths().contains_key("/private/") && heard.paths().contains_key("/only-in-map"));
    let polite = Options {
        robots: true,
        ..options("http://site.test/")
    };
    let (report, heard) = run(&site(), &polite).await;
    assert!(!heard.paths().contains_key("/private/"));
    assert!(report.notes.iter().any(|note| note.contains("robots.txt")));
}

#[tokio::test]
async fn traps_are_left_and_told() {
    let site = Site::new(|url, _| {
        let path = url.path();
        if path == "/robots.txt" || path == "/sitemap.xml" || path.starts_with("/.well") {
            return missing();
        }
        // A relative link without end, a calendar, a counter whose pages are all the same.
        let n: u64 = path
            .rsplit('/')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        ok(format!(
            "<a href='more/'>x</a><a href='/cal/{}/01/'>next</a><a href='/same/{}'>n</a>",
            2000 + url.path().len() * 3,
            n + 1
        ))
    });
    let (report, heard) = run(&site, &options("http://site.test/")).await;
    assert_eq!(report.ended, Ended::Complete);
    let pages = heard.pages.lock().unwrap().len();
    assert!(pages < 1000, "{pages}");
    assert!(!report.notes.is_empty());
}

#[tokio::test]
async fn what_does_not_answer_is_asked_again_and_given_up() {
    let site = Site::new(|url, number| match url.path() {
        "/" => ok("<a href=/busy>b</a><a href=/flaky>f</a><a href=/dead>d</a>"),
        "/busy" if number < 8 => Ok((503, Vec::new(), "later".to_owned())),
        "/flaky" if number < 8 => Err(FetchError::Timeout("x".to_owned())),
        "/busy" | "/flaky" => ok("here"),
        "/dead" => Err(FetchError::Closed("x".to_owned(), "y".to_owned())),
        _ => missing(),
    });
    let (report, heard) = run(
        &site,
        &Options {
            concurrency: 1,
            ..options("http://site.test/")
        },
    )
    .await;
    let paths = heard.paths();
    assert!(
        paths.contains_key("/busy") && paths.contains_key("/flaky"),
        "{paths:?}"
    );
    assert_eq!((report.failed, site.asked("/dead")), (1, 3));
    let dead = Site::new(|_, _| Err(FetchError::Connect("x".to_owned(), "refused".to_owned())));
    let done = crawl(
        &options("http://site.test/"),
        &dead,
        None,
        &Heard::default(),
    )
    .await;
    assert!(matches!(done, Err(CrawlError::Unanswered(why)) if why.contains("refused")));
}

#[tokio::test]
async fn a_session_is_not_ended() {
    let site = || {
        Site::new(|url, _| match url.path() {
            "/" => ok("<a href=/logout>out</a><a href=/in>in</a>"),
            _ => missing(),
        })
    };
    let (anonymous, logged_in) = (site(), site());
    run(&anonymous, &options("http://site.test/")).await;
    run(
        &logged_in,
        &Options {
            logged_in: true,
            ..options("http://site.test/")
        },
    )
    .await;
    assert_eq!(
        (anonymous.asked("/logout"), logged_in.asked("/logout")),
        (1, 0)
    );
}

#[tokio::test]
async fn a_small_budget_sees_something_of_everything() {
    let site = Site::new(|url, _| match url.path() {
        "/" => {
            let many: String = (0..500)
                .map(|n| format!("<a href=/item/{n}>i</a>"))
                .collect();
            ok(format!(
                "{many}<a href=/about/us>a</a><a href=/admin/login>l</a>"
            ))
        }
        "/robots.txt" | "/sitemap.xml" => missing(),
        path => ok(format!("this is {path}")),
    });
    let small = Options {
        max_pages: 20,
        ..options("http://site.test/")
    };
    let (_, heard) = run(&site, &small).await;
    let paths = heard.paths();
    assert!(
        paths.contains_key("/about/us") && paths.contains_key("/admin/login"),
        "{paths:?}"
    );
}

#[path = "server_tests.rs"]
mod server_tests;
