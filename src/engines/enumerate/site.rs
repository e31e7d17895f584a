//! A web server that is none: the tests' sites, with the ways in which servers answer for what is not
//! there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Version};

use crate::engines::web::{Fetch, FetchError, Request, Response};

/// Status, redirect and body.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Page {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self {
            status: 302,
            location: Some(to.into()),
            ..Self::default()
        }
    }
}

type Missing = Box<dyn Fn(&str, u64) -> Page + Send + Sync>;
type Before = Box<dyn Fn(&str, u64) -> Option<Page> + Send + Sync>;

/// The site: pages that are there, an answer for all others, and one that comes before either.
pub struct Site {
    pub pages: BTreeMap<String, Page>,
    missing: Missing,
    before: Before,
    /// Requests by path.
    pub asked: Mutex<Vec<String>>,
    count: AtomicU64,
    /// Requests that are not answered from the so-manieth on.
    pub breaks: Option<std::ops::Range<u64>>,
}

impl Site {
    /// A site with pages and an answer for what is not there, made of the path and the number of the
    /// request.
    pub fn new(missing: impl Fn(&str, u64) -> Page + Send + Sync + 'static) -> Self {
        let mut site = Self {
            pages: BTreeMap::new(),
            missing: Box::new(missing),
            before: Box::new(|_, _| None),
            asked: Mutex::default(),
            count: AtomicU64::new(0),
            breaks: None,
        };
        site.page(
            "/",
            Page::new(200, html("Home", "Welcome to the best of all sites")),
        );
        site
    }

    /// That answers as it should.
    pub fn normal() -> Self {
        Self::new(|_, _| Page::new(404, html("Not found", "There is nothing here")))
    }

    pub fn page(&mut self, path: &str, page: Page) {
        self.pages.insert(path.to_owned(), page);
    }

    /// What is answered before it is looked whether there is a page, if anything.
    pub fn before(
        mut self,
        with: impl Fn(&str, u64) -> Option<Page> + Send + Sync + 'static,
    ) -> Self {
        self.before = Box::new(with);
        self
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn note(&self, path: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(path.to_owned());
    }

    fn answer(&self, path: &str, number: u64) -> Page {
        if let Some(page) = (self.before)(path, number) {
            return page;
        }
        match self.pages.get(path) {
            Some(page) => page.clone(),
            None => (self.missing)(path, number),
        }
    }
}

/// A page with a title and a text.
pub fn html(title: &str, text: &str) -> String {
    format!(
        "<!doctype html><html><head><title>{title}</title></head><body><nav>a b c d e</nav>\
         <h1>{title}</h1><p>{text}</p><footer>made by hand</footer></body></html>"
    )
}

#[async_trait]
impl Fetch for Site {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = request.url[url::Position::BeforePath..].to_owned();
        self.note(&path);
        // So that answers do not come in the order of the requests.
        if number.is_multiple_of(3) {
            tokio::task::yield_now().await;
        }
        if self
            .breaks
            .as_ref()
            .is_some_and(|breaks| breaks.contains(&number))
        {
            return Err(FetchError::Timeout(path));
        }
        let page = self.answer(&path, number);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        if let Some(location) = &page.location {
            headers.insert(header::LOCATION, location.parse().unwrap());
        }
        for (name, value) in &page.headers {
            headers.insert(*name, value.parse().unwrap());
        }
        let mut body = page.body.into_bytes();
        let limit = request.body_limit.unwrap_or(usize::MAX);
        let truncated = body.len() > limit;
        body.truncate(limit);
        Ok(Response {
            url: request.url,
            status: StatusCode::from_u16(page.status).unwrap(),
            version: Version::HTTP_11,
            headers,
            body: body.into(),
            truncated,
            elapsed: Duration::from_millis(1),
            peer: None,
            tls: None,
        })
    }
}
