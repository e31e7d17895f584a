use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use url::Url;

use crate::engines::web::{self, Fetch, FetchError, Host, Lane, Request, Response};

/// Headers whose presence tells kinds of answers apart.
const PRESENT: [HeaderName; 4] = [
    header::ETAG,
    header::LAST_MODIFIED,
    header::CONTENT_DISPOSITION,
    header::WWW_AUTHENTICATE,
];

/// All that is sent goes through here.
pub(super) struct Sender<'a> {
    fetch: &'a dyn Fetch,
    /// The server, where there are lanes to it.
    host: Option<Host>,
    base: Url,
    body_limit: usize,
    sent: AtomicU64,
}

impl<'a> Sender<'a> {
    /// To the server of a URL.
    pub async fn new(
        fetch: &'a dyn Fetch,
        base: &Url,
        body_limit: usize,
    ) -> Result<Self, FetchError> {
        Ok(Self {
            fetch,
            host: fetch.lanes(base).await?,
            base: base.clone(),
            body_limit,
            sent: AtomicU64::new(0),
        })
    }

    /// Whether many requests can go over one connection at little cost.
    pub fn has_lanes(&self) -> bool {
        self.host.is_some()
    }

    /// A lane to the server, if there are any. Nothing else may be waited for while it is held.
    pub async fn lane(&self) -> Result<Option<Lane>, FetchError> {
        match &self.host {
            Some(host) => host.lane().await.map(Some),
            None => Ok(None),
        }
    }

    /// Asks for a path over a lane; none: nothing is there.
    pub async fn over(
        &self,
        lane: &mut Lane,
        method: &Method,
        path: &str,
    ) -> Result<Option<Answer>, FetchError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let answer = lane.ask(method, path.as_bytes(), self.body_limit).await?;
        if is_gone(answer.status.as_u16()) {
            return Ok(None);
        }
        Ok(Some(Answer::of_lane(&answer, path, &self.base)))
    }

    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Asks for a path by GET; once more if the connection broke, as one that was kept open may.
    pub async fn get(&self, path: &str) -> Result<Answer, FetchError> {
        match self.ask(Method::GET, path).await {
            Err(FetchError::Closed(..)) => self.ask(Method::GET, path).await,
            answer => answer,
        }
    }

    /// Asks once. The path is percent-encoded and begins at the server's root.
    pub async fn ask(&self, method: Method, path: &str) -> Result<Answer, FetchError> {
        let url = match self.base.join(path) {
            Ok(url) => url,
            Err(error) => return Err(FetchError::Protocol(path.to_owned(), error.to_string())),
        };
        self.sent.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            method,
            url,
            headers: HeaderMap::new(),
            body_limit: Some(self.body_limit),
        };
        let response = self.fetch.fetch(request).await?;
        Ok(Answer::new(response, &self.base))
    }
}

fn is_gone(status: u16) -> bool {
    matches!(status, 400 | 404 | 410 | 414)
}

/// Where an answer to a request for `asked` redirects to; from the root, if it is on the server of `base`.
fn location(
    status: StatusCode,
    headers: &HeaderMap,
    base: &Url,
    asked: impl FnOnce() -> Option<Url>,
) -> Option<String> {
    let value = headers.get(header::LOCATION);
    let value = value.filter(|_| status.is_redirection())?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(match asked()?.join(&text) {
        Ok(url) if url.origin() == base.origin() => url[url::Position::BeforePath..].to_owned(),
        Ok(url) => url.into(),
        Err(_) => text.into_owned(),
    })
}

/// What matters of a response.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    /// Where it redirects to; from the root, if it is on this server.
    pub location: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub truncated: bool,
    pub elapsed: Duration,
}

impl Answer {
    fn new(response: Response, base: &Url) -> Self {
        let location = location(response.status, &response.headers, base, || {
            Some(response.url)
        });
        Self {
            status: response.status.as_u16(),
            location,
            headers: response.headers,
            body: response.body,
            truncated: response.truncated,
            elapsed: response.elapsed,
        }
    }

    /// What a lane has in its buffers.
    fn of_lane(answer: &web::Answer<'_>, path: &str, base: &Url) -> Self {
        let headers = answer.headers();
        let location = location(answer.status, &headers, base, || base.join(path).ok());
        Self {
            status: answer.status.as_u16(),
            location,
            headers,
            body: Bytes::copy_from_slice(answer.body),
            truncated: answer.truncated,
            elapsed: answer.elapsed,
        }
    }

    /// Whether the server says that nothing is there, or that it does not take such a path.
    pub fn is_gone(&self) -> bool {
        is_gone(self.status)
    }

    /// `text/html`
    pub fn content_type(&self) -> Option<String> {
        let value = self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = value.split(';').next()?.trim();
        (!kind.is_empty()).then(|| kind.to_ascii_lowercase())
    }

    /// Bytes of the body as the server says, else as read.
    pub fn size(&self) -> u64 {
        let read = self.body.len() as u64;
        let said = self.header(&header::CONTENT_LENGTH);
        let said = said.and_then(|text| text.parse().ok());
        // Of an encoded body the length is that before decoding.
        match said {
            Some(said) if self.truncated => read.max(said),
            _ => read,
        }
    }

    /// Seconds that the server asks to wait.
    pub fn retry_after(&self) -> Option<u64> {
        let text = self.header(&header::RETRY_AFTER)?;
        text.trim().parse().ok()
    }

    /// A header, if it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Headers by which kinds of answers are told apart: only what does not change from one to the next.
    pub fn marks(&self) -> Vec<(&str, String)> {
        let present = PRESENT
            .iter()
            .filter(|name| self.headers.contains_key(*name));
        let mut marks: Vec<_> = present.map(|name| (name.as_str(), String::new())).collect();
        marks.extend(self.content_type().map(|kind| ("content-type", kind)));
        marks
    }
}
