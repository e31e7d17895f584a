//! A request that a page makes, as the browser shows it, and what is to be done about it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

/// Headers of a request that are passed on.
const MOST_HEADERS: usize = 50;

/// A longer value is not passed on.
const LONGEST_VALUE: usize = 8 * 1024;

/// A longer URL is not asked for; servers take 8 KiB.
const LONGEST_URL: usize = 16 * 1024;

/// A request that was stopped.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paused {
    /// What the browser calls it.
    pub id: String,
    /// The frame that makes it.
    pub frame: String,
    /// Whether it is for a document: the page's, or that of a frame in it.
    pub document: bool,
    /// Whether all pages of a site have it in common: scripts, styles, pictures, fonts.
    pub part: bool,
    /// What is asked for.
    pub wants: Wants,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wants {
    /// Something that a server has.
    Web {
        method: Method,
        url: Url,
        headers: Box<HeaderMap>,
    },
    /// Something of the page itself (`data:`, `blob:`, `about:`).
    Inner,
    /// Anything else, files among it.
    Other,
}

impl Paused {
    /// Reads the parameters of `Fetch.requestPaused`.
    pub(super) fn read(params: &Value) -> Option<Self> {
        let request = &params["request"];
        let kind = params["resourceType"].as_str().unwrap_or_default();
        let address = request["url"].as_str()?;
        let method = request["method"].as_str()?;
        Some(Self {
            id: params["requestId"].as_str()?.to_owned(),
            frame: params["frameId"].as_str().unwrap_or_default().to_owned(),
            document: kind == "Document",
            part: matches!(kind, "Script" | "Stylesheet" | "Image" | "Font" | "Other"),
            wants: wants(address, method, &request["headers"]),
        })
    }
}

fn wants(address: &str, method: &str, headers: &Value) -> Wants {
    if address.len() > LONGEST_URL && !address.starts_with("data:") {
        return Wants::Other;
    }
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        Some("http" | "https") => {}
        Some("data" | "blob" | "about") => return Wants::Inner,
        _ => return Wants::Other,
    }
    let (Ok(mut url), Ok(method)) = (Url::parse(address), method.parse()) else {
        return Wants::Other;
    };
    url.set_fragment(None);
    // Neither is sent as part of a URL.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Wants::Web {
        method,
        url,
        headers: Box::new(passed_on(headers)),
    }
}

/// Of its headers those that scripts set, and what kind of answer is wanted. User-Agent, cookies and
/// codings are for who sends it to say.
fn passed_on(headers: &Value) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in headers.as_object().into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        if is_the_browsers(&name) || all.len() >= MOST_HEADERS {
            continue;
        }
        let value = value.as_str().filter(|value| value.len() <= LONGEST_VALUE);
        let value = value.and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), value) {
            all.insert(name, value);
        }
    }
    all
}

fn is_the_browsers(name: &str) -> bool {
    name.starts_with("sec-")
        || name.starts_with("proxy-")
        || name.starts_with("if-")
        || matches!(
            name,
            "user-agent"
                | "cookie"
                | "accept-encoding"
                | "range"
                | "upgrade-insecure-requests"
                | "host"
                | "connection"
                | "content-length"
                | "content-type"
                | "transfer-encoding"
                | "upgrade"
                | "te"
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(url: &str, headers: Value) -> Paused {
        let request = json!({"url": url, "method": "GET", "headers": headers});
        let params = json!({
            "requestId": "R", "frameId": "F", "resourceType": "Script", "request": request
        });
        Paused::read(&params).unwrap()
    }

    #[test]
    fn what_is_asked_for() {
        let headers = json!({
            "User-Agent": "x", "Cookie": "a=b", "sec-ch-ua": "y", "X-Api": "1", "Accept": "*/*",
            "Bad\n": "z", "X-Bad": "a\r\nb",
        });
        let paused = read("http://u:p@a.test/x?y#z", headers);
        assert!(paused.part && !paused.document);
        let Wants::Web {
            method,
            url,
            headers,
        } = paused.wants
        else {
            panic!("{paused:?}");
        };
        assert_eq!((method, url.as_str()), (Method::GET, "http://a.test/x?y"));
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "x-api"]);
    }

    #[test]
    fn only_the_web_is_asked() {
        assert_eq!(read("data:text/html,x", json!({})).wants, Wants::Inner);
        assert_eq!(read("blob:http://a.test/1", json!({})).wants, Wants::Inner);
        for other in [
            "file:///etc/passwd",
            "chrome://version",
            "ftp://a.test/",
            "x",
            "http://",
        ] {
            assert_eq!(read(other, json!({})).wants, Wants::Other, "{other}");
        }
        assert_eq!(Paused::read(&json!({"requestId": "R"})), None);
    }
}
