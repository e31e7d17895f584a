//! What a stopped request is answered with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use url::Url;

use super::connection::Connection;
use super::kept::Kept;
use super::rules::Rules;
use crate::engines::web::{Fetch, Request, Response, redirect_target};

/// Bytes of a response's body that the browser gets.
const BODY: usize = 8 * 1024 * 1024;

/// What a stopped request shall come to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It goes on by itself: it leads nowhere.
    GoOn,
    /// It fails.
    Fail,
    /// It is for another page: this one stays (204, RFC 9110 §15.3.5).
    Stay,
    /// It is asked for.
    Ask {
        method: Method,
        url: Url,
        headers: Box<HeaderMap>,
        /// Whether it is for the page itself, which must not be another than was wanted.
        page: bool,
        /// Whether it may be kept, or have been.
        part: bool,
    },
}

/// Where answers come from.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    pub fetch: &'a dyn Fetch,
    pub kept: &'a Kept,
    pub rules: &'a Rules,
}

/// Answers a stopped request.
pub(super) async fn answer(
    connection: &Connection,
    session: &str,
    ways: Ways<'_>,
    id: String,
    verdict: Verdict,
) {
    let (method, params) = match verdict {
        Verdict::GoOn => ("Fetch.continueRequest", json!({"requestId": id})),
        Verdict::Fail => failed(&id),
        Verdict::Stay => ("Fetch.fulfillRequest", stay(&id)),
        Verdict::Ask {
            method,
            url,
            headers,
            page,
            part,
        } => {
            let part = part && method == Method::GET;
            let request = Request {
                method,
                url,
                headers: *headers,
                body_limit: Some(BODY),
            };
            match got(ways, request, part).await {
                Some(response) if page && redirect_target(&response).is_some() => {
                    ("Fetch.fulfillRequest", stay(&id))
                }
                Some(response) => ("Fetch.fulfillRequest", fulfilled(&id, &response)),
                None => failed(&id),
            }
        }
    };
    let answered = connection.call(Some(session), method, params).await;
    if answered.is_err() && method == "Fetch.fulfillRequest" {
        // It cannot do with such a response, or does not wait for it any more.
        let (method, params) = failed(&id);
        let _ = connection.call(Some(session), method, params).await;
    }
}

async fn got(ways: Ways<'_>, request: Request, part: bool) -> Option<Response> {
    let Ways { fetch, kept, rules } = ways;
    if part && let Some(response) = kept.get(&request.url) {
        return Some(response);
    }
    if !rules.allow(fetch, &request.url).await {
        return None;
    }
    let response = fetch.fetch(request).await.ok()?;
    if part {
        kept.keep(&response);
    }
    Some(response)
}

fn failed(id: &str) -> (&'static str, Value) {
    let params = json!({"requestId": id, "errorReason": "BlockedByClient"});
    ("Fetch.failRequest", params)
}

fn stay(id: &str) -> Value {
    json!({"requestId": id, "responseCode": 204, "responsePhrase": "No Content"})
}

/// How a body came is over when it is handed on.
const OF_THE_WAY: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ALT_SVC,
];

fn fulfilled(id: &str, response: &Response) -> Value {
    let headers = response.headers.iter();
    let headers = headers.filter(|(name, _)| !OF_THE_WAY.contains(name));
    let headers: Vec<Value> = headers
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            json!({"name": name.as_str(), "value": value})
        })
        .collect();
    // One that it does not know must have a phrase.
    let phrase = response.status.canonical_reason().unwrap_or("Unknown");
    json!({
        "requestId": id,
        "responseCode": response.status.as_u16(),
        "responsePhrase": phrase,
        "responseHeaders": headers,
        "body": STANDARD.encode(&response.body[..response.body.len().min(BODY)]),
    })
}
