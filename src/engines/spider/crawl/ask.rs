//! One request of a crawl, and what its answer says.

use bytes::Bytes;
use url::Url;

use super::super::extract::{Extracted, Kind, PageInput, extract};
use super::super::url::normalise;
use super::super::{Link, LinkKind};
use super::Render;
use super::start::AGENT;
use crate::engines::web::{Fetch, FetchError, Request, Response, Robots, ask_robots};

/// Bodies above this are read in a thread of their own: the agent's has a watchdog to feed.
const LARGE: usize = 256 * 1024;

/// What was asked for came.
pub(super) enum Taken {
    /// A page, or none.
    Page(Box<Answered>),
    /// The rules of a server, and how many requests they took.
    Rules(Url, Result<(Robots, u64), FetchError>),
}

/// What a request came to.
pub(super) struct Answered {
    pub(super) number: u64,
    pub(super) url: Url,
    pub(super) result: Result<(Response, Box<Extracted>), FetchError>,
    pub(super) screenshot: Option<Vec<u8>>,
    pub(super) not_rendered: Option<String>,
}

/// Asks for a URL, and reads what comes.
pub(super) async fn ask(
    number: u64,
    url: Url,
    body_limit: usize,
    fetch: &dyn Fetch,
    render: Option<&dyn Render>,
) -> Taken {
    let request = Request {
        body_limit: Some(body_limit),
        ..Request::get(url.clone())
    };
    let mut taken = Answered {
        number,
        url,
        result: Err(FetchError::Stopped(String::new())),
        screenshot: None,
        not_rendered: None,
    };
    let response = match fetch.fetch(request).await {
        Ok(response) => response,
        Err(error) => {
            taken.result = Err(error);
            return Taken::Page(Box::new(taken));
        }
    };
    let mut extracted = read(&response, None).await;
    if let Some(render) = render
        && extracted.kind == Kind::Html
        && response.status.is_success()
    {
        match render.render(&taken.url).await {
            Ok(rendered) => {
                let dom = read(&response, Some(rendered.html.into())).await;
                extracted = merged(*extracted, *dom);
                let requested = rendered.requested.into_iter().map(normalise);
                let kind = LinkKind::Code;
                extracted
                    .links
                    .extend(requested.map(|url| Link { url, kind }));
                taken.screenshot = rendered.screenshot;
            }
            Err(error) => taken.not_rendered = Some(error),
        }
    }
    taken.result = Ok((response, extracted));
    Taken::Page(Box::new(taken))
}

/// Asks the server of a URL for its rules.
pub(super) async fn ask_rules(server: Url, fetch: &dyn Fetch) -> Taken {
    let rules = ask_robots(fetch, &server, AGENT).await;
    Taken::Rules(server, rules)
}

/// What a response says, or what a browser made of it.
async fn read(response: &Response, body: Option<Bytes>) -> Box<Extracted> {
    let body = body.unwrap_or_else(|| response.body.clone());
    let read = |url: &Url, headers: &http::HeaderMap, body: &Bytes| {
        Box::new(extract(&PageInput { url, headers, body }))
    };
    if body.len() < LARGE {
        return read(&response.url, &response.headers, &body);
    }
    let (url, headers) = (response.url.clone(), response.headers.clone());
    let thread = tokio::task::spawn_blocking(move || read(&url, &headers, &body));
    // It does not panic: every input is fuzzed; should it, the page is as if empty.
    thread.await.unwrap_or_default()
}

/// What the server sent and what its scripts made of it.
fn merged(sent: Extracted, mut dom: Extracted) -> Box<Extracted> {
    let new = |link: &Link| !dom.links.contains(link);
    let links: Vec<Link> = sent.links.into_iter().filter(new).collect();
    dom.links.extend(links);
    let forms: Vec<_> = sent
        .forms
        .into_iter()
        .filter(|form| !dom.forms.contains(form))
        .collect();
    dom.forms.extend(forms);
    for secret in sent.secrets {
        if dom
            .secrets
            .iter()
            .all(|known| known.sha256 != secret.sha256)
        {
            dom.secrets.push(secret);
        }
    }
    // Changes are told by what the server sends: scripts may show the time.
    dom.hash = sent.hash;
    dom.facts = sent.facts;
    Box::new(dom)
}
