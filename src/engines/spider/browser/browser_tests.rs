//! The system's Chromium, against servers that are started here. Without a Chromium these tests say so
//! and do nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::engines::spider::crawl::{self, Observer, Options, PageReport};
use crate::engines::web::{Client, ClientOptions, FetchError, Request, Response};
use crate::fleet::Scope;

/// The engine's own client, and what went through it.
pub(super) struct Counting {
    client: Client,
    asked: Mutex<BTreeMap<String, u32>>,
}

impl Counting {
    pub(super) fn asked(&self, path: &str) -> u32 {
        let asked = self.asked.lock().unwrap();
        asked.get(path).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Fetch for Counting {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let what = format!(
            "{} {}",
            request.method,
            &request.url[url::Position::BeforePath..]
        );
        *self.asked.lock().unwrap().entry(what).or_default() += 1;
        self.client.fetch(request).await
    }
}

/// Answers out of a function, and notes what was asked for.
pub(super) struct Canned {
    answer: fn(&Url) -> Option<&'static str>,
    asked: Mutex<Vec<String>>,
}

impl Canned {
    pub(super) fn new(answer: fn(&Url) -> Option<&'static str>) -> Self {
        Self {
            answer,
            asked: Mutex::default(),
        }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Fetch for Canned {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        self.asked.lock().unwrap().push(request.url.to_string());
        let Some(body) = (self.answer)(&request.url) else {
            return Err(FetchError::Unresolved(request.url.to_string()));
        };
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("text/html"));
        Ok(Response {
            url: request.url,
            status: http::StatusCode::OK,
            version: http::Version::HTTP_11,
            headers,
            body: body.into(),
            truncated: false,
            elapsed: Duration::ZERO,
            peer: None,
            tls: None,
        })
    }
}

/// A response: status, further headers (each with its line end), body.
pub(super) type Page = (u16, &'static str, String);

pub(super) fn html(body: &str) -> Page {
    (200, "Content-Type: text/html\r\n", body.to_owned())
}

/// A browser that has nothing to do with any other, and a server for it.
pub(super) struct Bed {
    pub browser: Browser,
    pub fetch: Arc<Counting>,
    base: Url,
    served: Counts,
}

/// A browser on a busy machine takes long to begin what a page wants.
fn patient(options: BrowserOptions) -> BrowserOptions {
    BrowserOptions {
        rest: options.limit.min(Duration::from_secs(3)),
        ..options
    }
}

/// How often, by method and path.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

impl Bed {
    /// None without a Chromium.
    pub(super) async fn new(
        options: BrowserOptions,
        pages: impl Fn(&str) -> Page + Send + Sync + 'static,
    ) -> Option<Self> {
        if let Err(error) = find() {
            eprintln!("skipped: {error}");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let served = Counts::default();
        tokio::spawn(serve(listener, Arc::new(pages), Arc::clone(&served)));
        let client = Client::new(ClientOptions {
            max_rate: 0,
            // Busy machines are no busy servers.
            adaptive: false,
            ..ClientOptions::new(Scope::default())
        });
        let fetch = Arc::new(Counting {
            client,
            asked: Mutex::default(),
        });
        let through: Arc<dyn Fetch> = Arc::<Counting>::clone(&fetch);
        Some(Self {
            browser: Browser::new(through, patient(options)).unwrap(),
            fetch,
            base: Url::parse(&base).unwrap(),
            served,
        })
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    pub(super) async fn render(&self, path: &str) -> Result<Rendered, String> {
        self.browser.render(&self.url(path)).await
    }

    /// Nothing came to the server by another way.
    pub(super) fn all_by_fetch(&self) {
        for (what, count) in self.served.lock().unwrap().iter() {
            assert!(*count <= self.fetch.asked(what), "{what}: {count}");
        }
    }

    /// What it asked for here, by path.
    pub(super) fn paths(&self, rendered: &Rendered) -> Vec<String> {
        let ours = |url: &&Url| url.origin() == self.base.origin();
        let ours = rendered.requested.iter().filter(ours);
        ours.map(|url| url[url::Position::BeforePath..].to_owned())
            .collect()
    }
}

type Pages = dyn Fn(&str) -> Page + Send + Sync;

async fn serve(listener: TcpListener, pages: Arc<Pages>, served: Counts) {
    while let Ok((stream, _)) = listener.accept().await {
        let (pages, served) = (Arc::clone(&pages), Arc::clone(&served));
        tokio::spawn(async move { one(stream, &*pages, &served).await });
    }
}

async fn one(mut stream: TcpStream, pages: &Pages, served: &Counts) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let what = format!("{method} {path}");
    *served.lock().unwrap().entry(what).or_default() += 1;
    let (status, headers, body) = pages(path);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

const APP: &str = r#"
const add = (href, text) => {
    const link = document.createElement('a');
    link.href = href;
    link.textContent = text;
    document.body.append(link);
};
add('/made', 'made by a script');
fetch('/api/items?page=1', {headers: {'X-App': '1'}})
    .then(answer => answer.json())
    .then(items => items.forEach(item => add('/item/' + item, 'item')));
customElements.define('x-menu', class extends HTMLElement {
    constructor() {
        super();
        this.attachShadow({mode: 'open'}).innerHTML = '<a href="/shadow">menu</a>';
    }
});
const worker = new Worker('/worker.js');
worker.onmessage = event => add('/worker/' + event.data, 'worker');
"#;

fn site(path: &str) -> Page {
    match path {
        "/" => html(
            "<title>App</title><body><x-menu></x-menu><div id=app></div>\
             <a href=/other>other</a><script src=/app.js></script></body>",
        ),
        "/other" => html("<title>Other</title><body><script src=/app.js></script>"),
        "/app.js" => (200, "Content-Type: text/javascript\r\n", APP.to_owned()),
        "/worker.js" => (
            200,
            "Content-Type: text/javascript\r\n",
            "fetch('/api/worker').then(answer => answer.text()).then(postMessage)".to_owned(),
        ),
        "/api/items?page=1" => (
            200,
            "Content-Type: application/json\r\n",
            "[7, 9]".to_owned(),
        ),
        "/api/worker" => (200, "", "w1".to_owned()),
        _ => (404, "Content-Type: text/html\r\n", "<p>none".to_owned()),
    }
}

#[tokio::test]
async fn a_page_is_what_its_scripts_make_of_it() {
    let Some(bed) = Bed::new(BrowserOptions::default(), site).await else {
        return;
    };
    let page = bed.render("/").await.unwrap();
    for link in [
        "/made",
        "/item/7",
        "/item/9",
        "/shadow",
        "/worker/w1",
        "/other",
    ] {
        let link = format!("href=\"{link}\"");
        assert!(page.html.contains(&link), "{link} in {}", page.html);
    }
    let paths = bed.paths(&page);
    for path in ["/app.js", "/api/items?page=1", "/worker.js", "/api/worker"] {
        assert!(
            paths.iter().any(|asked| asked == path),
            "{path} in {paths:?}"
        );
    }
    assert!(!paths.iter().any(|asked| asked == "/"), "not itself");
    let picture = page.screenshot.unwrap();
    assert_eq!(&picture[1..4], b"PNG");
    // IHDR: width and height.
    assert_eq!(picture[16..24], [0, 0, 5, 0, 0, 0, 3, 32]);

    // What they have in common is asked for once.
    bed.render("/other").await.unwrap();
    assert_eq!(bed.fetch.asked("GET /app.js"), 1);
    assert_eq!(bed.fetch.asked("GET /api/items?page=1"), 2);
}

/// Pages that a crawl told.
#[derive(Default)]
struct Heard(Mutex<Vec<PageReport>>);

impl Observer for Heard {
    fn page(&self, page: PageReport, _: Option<&Response>) {
        self.0.lock().unwrap().push(page);
    }

    fn screenshot(&self, page: &str, png: &[u8]) -> Option<String> {
        png.starts_with(b"\x89PNG").then(|| page.to_owned())
    }
}

#[tokio::test]
async fn a_crawl_finds_what_only_scripts_show() {
    let Some(bed) = Bed::new(BrowserOptions::default(), |path| match path {
        "/item/7" | "/item/9" | "/made" => html("<title>An item</title>"),
        _ => site(path),
    })
    .await
    else {
        return;
    };
    let heard = Heard::default();
    let options = Options::new(vec![bed.url("/")]);
    let report = crawl::crawl(&options, &*bed.fetch, Some(&bed.browser), &heard).await;
    assert_eq!(report.unwrap().ended, crawl::Ended::Complete);
    let pages = heard.0.into_inner().unwrap();
    for path in [
        "/",
        "/made",
        "/item/7",
        "/item/9",
        "/other",
        "/api/items?page=1",
        "/api/worker",
    ] {
        let url = bed.url(path);
        let page = pages.iter().find(|page| page.url == url.as_str());
        let page = page.unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(page.status, 200, "{path}");
        let is_html = page.content_type.as_deref() == Some("text/html");
        assert_eq!(
            page.screenshot.is_some(),
            is_html,
            "{path}: {:?}",
            page.not_rendered
        );
    }
}

#[tokio::test]
async fn robots_txt_holds_for_what_pages_ask_for() {
    let options = BrowserOptions {
        robots: true,
        ..BrowserOptions::default()
    };
    let Some(bed) = Bed::new(options, |path| match path {
        "/robots.txt" => (200, "", "User-agent: *\nDisallow: /api\n".to_owned()),
        _ => site(path),
    })
    .await
    else {
        return;
    };
    let page = bed.render("/").await.unwrap();
    assert!(page.html.contains("/made") && !page.html.contains("/item/7"));
    assert_eq!(bed.fetch.asked("GET /robots.txt"), 1);
    assert_eq!(bed.fetch.asked("GET /api/items?page=1"), 0);
}

#[tokio::test]
async fn pages_that_are_none() {
    let Some(bed) = Bed::new(BrowserOptions::default(), |path| match path {
        "/denied" => (
            401,
            "Content-Type: text/html\r\nWWW-Authenticate: Basic realm=x\r\n",
            "<p>Who are you?".to_owned(),
        ),
        "/file" => (
            200,
            "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=x\r\n",
            "12345".to_owned(),
        ),
        "/moved" => (302, "Location: /denied\r\n", String::new()),
        _ => (404, "", String::new()),
    })
    .await
    else {
        return;
    };
    // Nobody is asked for a password.
    let denied = bed.render("/denied").await.unwrap();
    assert!(denied.html.contains("Who are you?"));
    let file = bed.render("/file").await.unwrap_err();
    assert!(file.contains("download"), "{file}");
    let moved = bed.render("/moved").await.unwrap_err();
    assert!(moved.contains("redirect"), "{moved}");
    assert_eq!(
        bed.fetch.asked("GET /denied"),
        1,
        "redirects are for the crawl to follow"
    );
}

#[tokio::test]
async fn several_pages_at_once() {
    let Some(bed) = Bed::new(BrowserOptions::default(), |path| {
        html(&format!(
            "<script>document.write('<p id=x>' + 6 * 7 + ' {path}')</script>"
        ))
    })
    .await
    else {
        return;
    };
    let paths: Vec<String> = (0..6).map(|page| format!("/page{page}")).collect();
    let pages = paths.iter().map(|path| bed.render(path));
    let pages = futures_util::future::join_all(pages).await;
    for (path, page) in paths.iter().zip(pages) {
        let page = page.unwrap();
        assert!(
            page.html.contains(&format!("42 {path}</p>")),
            "{}",
            page.html
        );
        assert!(page.screenshot.is_some());
    }
}

/// Browsers of today try https first.
#[tokio::test]
async fn http_is_not_made_https() {
    if let Err(error) = find() {
        eprintln!("skipped: {error}");
        return;
    }
    // A name that anybody might have.
    let example = Canned::new(|url| {
        (url.as_str() == "http://www.example.com/").then_some("<p>as it was asked for")
    });
    let browser = Browser::new(Arc::new(example), BrowserOptions::default()).unwrap();
    let url = Url::parse("http://www.example.com/").unwrap();
    let page = browser.render(&url).await.unwrap();
    assert!(page.html.contains("as it was asked for"));
}
