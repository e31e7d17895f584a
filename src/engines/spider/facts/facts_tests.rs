use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use url::Url;

use super::{Facts, read};
use crate::engines::spider::html;

fn facts(url: &str, headers: &[(&str, &str)], text: &str) -> Facts {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    let url = Url::parse(url).unwrap();
    read(&url, &map, text, Some(&html::read(text, &url)))
}

fn problems(url: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let found = facts(url, headers, "").headers.into_iter();
    found
        .map(|finding| format!("{}: {}", finding.header, finding.problem))
        .collect()
}

const GOOD: [(&str, &str); 9] = [
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'self'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[test]
fn security_headers() {
    assert_eq!(problems("https://a/", &GOOD), Vec::<String>::new());
    assert_eq!(problems("https://a/", &[]).len(), 9);
    // HSTS by http means nothing.
    assert_eq!(problems("http://a/", &[]).len(), 8);
    let with = |at: usize, value: &'static str| {
        let mut headers = GOOD;
        headers[at].1 = value;
        problems("https://a/", &headers)
    };
    assert_eq!(
        with(0, "max-age=60"),
        ["strict-transport-security: shorter than half a year"]
    );
    assert_eq!(
        with(3, "ALLOW-FROM x"),
        ["x-frame-options: not understood by browsers"]
    );
    assert_eq!(
        with(4, "unsafe-url"),
        ["referrer-policy: tells whole URLs to others"]
    );
    assert_eq!(
        with(2, "script-src 'unsafe-inline' 'unsafe-eval' *"),
        [
            "content-security-policy: inline scripts are allowed",
            "content-security-policy: eval is allowed",
            "content-security-policy: scripts from anywhere are allowed",
        ]
    );
    assert_eq!(
        with(
            2,
            "script-src 'nonce-x' 'unsafe-inline' 'strict-dynamic' https:"
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        with(2, "img-src *"),
        ["content-security-policy: scripts are not restricted"]
    );
}

#[test]
fn cookies_and_cors() {
    let found = facts(
        "http://a/",
        &[
            (
                "set-cookie",
                "sid=secret; Path=/; HttpOnly; Secure; SameSite=Lax",
            ),
            ("set-cookie", "t=1; max-age=9; domain=a"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
        ],
        "",
    );
    let [sid, t] = found.cookies.as_slice() else {
        panic!("{found:?}")
    };
    assert!(
        sid.secure && sid.http_only && !sid.persistent && sid.same_site.as_deref() == Some("Lax")
    );
    assert!(!t.secure && t.persistent && t.domain.as_deref() == Some("a"));
    assert!(!format!("{found:?}").contains("secret"));
    let cors = found.cors.unwrap();
    assert!(cors.origin == "*" && cors.credentials);
}

#[test]
fn mixed_content() {
    let text = "<script src=http://b/x.js></script><a href=http://b/>x</a><img src=/y>";
    assert_eq!(
        facts("https://a/", &[], text).mixed_content,
        ["http://b/x.js"]
    );
    assert!(facts("http://a/", &[], text).mixed_content.is_empty());
}

#[test]
fn pages_that_nobody_made() {
    let listing = |text: &str| facts("http://a/", &[], text).directory_listing;
    let nginx = "<html><head><title>Index of /x/</title></head><body><h1>Index of /x/</h1><hr><pre><a href=\"../\">../</a>";
    assert_eq!(listing(nginx).as_deref(), Some("nginx"));
    assert_eq!(
        listing("<title>Index of /x</title><a href=\"?C=N;O=D\">Name</a>").as_deref(),
        Some("Apache")
    );
    assert_eq!(
        listing("<title>Directory listing for /</title><ul>").as_deref(),
        Some("Python http.server")
    );
    assert_eq!(
        listing("<title>a - /</title><A HREF=\"/\">[To Parent Directory]</A>").as_deref(),
        Some("IIS")
    );
    assert_eq!(listing("<title>Index of /</title>a list of words"), None);
    let error = |text: &str| facts("http://a/", &[], text).error_page;
    assert_eq!(
        error("<b>Fatal error</b>:  Uncaught").as_deref(),
        Some("PHP")
    );
    assert_eq!(
        error("<pre>Traceback (most recent call last):").as_deref(),
        Some("Python")
    );
    assert_eq!(error("<p>not found</p>"), None);
    let default = |text: &str| facts("http://a/", &[], text).default_page;
    assert_eq!(
        default("<title>Welcome to nginx!</title>").as_deref(),
        Some("nginx")
    );
    assert_eq!(
        default("<html><body><h1>It works!</h1></body></html>").as_deref(),
        Some("Apache")
    );
}
