use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::display::{escape, first_line};
use super::products::{self, Follow, On, identify_more};
use super::wire::{ANSWER, Context};
use super::{Finding, tls, waf};

/// Asks for `/` and returns the answer, at most 16 KiB of it.
pub async fn get(
    context: &Context<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    port: u16,
    deadline: Instant,
) -> Vec<u8> {
    get_page(context, stream, port, "/", deadline).await
}

async fn get_page(
    context: &Context<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    port: u16,
    path: &str,
    deadline: Instant,
) -> Vec<u8> {
    let host = host_header(context, port);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: recon/{}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    if !context.say(stream, request.as_bytes()).await {
        return Vec::new();
    }
    context.listen(stream, ANSWER, deadline, is_whole).await
}

/// Asks for another page on a connection of its own, with or without TLS.
async fn fetch(
    context: &Context<'_>,
    port: u16,
    secure: bool,
    path: &str,
    deadline: Instant,
) -> Vec<u8> {
    let Some(mut stream) = context.connect(port, deadline).await else {
        return Vec::new();
    };
    if !secure {
        return get_page(context, &mut stream, port, path, deadline).await;
    }
    match tls::handshake(context, stream, tls::Offer::Http1, deadline).await {
        tls::Shaken::Done(mut shaken) => {
            get_page(context, &mut shaken.0, port, path, deadline).await
        }
        tls::Shaken::Refused(_) | tls::Shaken::NotTls => Vec::new(),
    }
}

/// What an answer to the first page says, and where it says too little, what other pages do. `None`
/// if it is not HTTP.
pub async fn explore(
    context: &Context<'_>,
    port: u16,
    secure: bool,
    answer: &[u8],
    deadline: Instant,
) -> Option<Finding> {
    let (mut finding, mut follow) = read(answer)?;
    if finding.product.is_empty()
        && let Some(page) = products::page_of(port)
    {
        let answer = fetch(context, port, secure, &page.path, deadline).await;
        match read(&answer).filter(|(more, _)| !more.product.is_empty()) {
            Some((more, further)) => {
                (finding.product, finding.version, finding.cpe) =
                    (more.product, more.version, more.cpe);
                follow = further;
            }
            None => page.named(&answer, &mut finding),
        }
    }
    // What Go's library says to whom it has no page for; the program is not known by that.
    if finding.product.is_empty() && answer.ends_with(b"\r\n\r\n404 page not found\n") {
        "Golang net/http server".clone_into(&mut finding.product);
    }
    if let Some(follow) = follow {
        let page = fetch(context, port, secure, &follow.path, deadline).await;
        products::followed(follow, &page, &mut finding);
    }
    Some(finding)
}

/// RFC 9110 §7.2: the name as given, else the address.
fn host_header(context: &Context<'_>, port: u16) -> String {
    let host = match (context.name(), context.peer) {
        (Some(name), _) => name.to_owned(),
        (None, SocketAddr::V4(v4)) => v4.ip().to_string(),
        (None, SocketAddr::V6(v6)) => format!("[{}]", v6.ip()),
    };
    match port {
        80 | 443 => host,
        port => format!("{host}:{port}"),
    }
}

/// Headers and body as promised by Content-Length are there; the wait for a pause is not needed.
pub fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else {
        return false;
    };
    header(head, "content-length")
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

/// What an answer says about the server; `None` if it is not HTTP.
pub fn read(answer: &[u8]) -> Option<(Finding, Option<&'static Follow>)> {
    if !answer.starts_with(b"HTTP/1.") && !answer.starts_with(b"HTTP/2") {
        return None;
    }
    let (head, body) = split(answer).unwrap_or((answer, b""));
    let server = header(head, "server");
    let by_server = server
        .as_ref()
        .and_then(|value| identify_more(On::Server, value.as_bytes()));
    // Headers and bodies that name an application say more than the name of the server below it;
    // but the error page of that server says less.
    let by_page = identify_more(On::Head, head).or_else(|| identify_more(On::Body, body));
    let is_same = |page: &Finding| {
        let server = by_server.as_ref().map(|(server, _)| server);
        server.is_some_and(|s| s.product == page.product && !s.version.is_empty())
    };
    let (mut finding, follow) = by_page
        .filter(|(page, _)| !is_same(page))
        .or(by_server)
        .unwrap_or_else(|| (Finding::named("http", 1.0), None));
    // That it speaks HTTP is certain, however vague its name.
    finding.confidence = 1.0;
    finding.waf = waf::hint(head, body);
    finding.info = first_line(answer);
    details(head, body, &mut finding);
    if let Some(location) = finding.details.get("http.location") {
        finding.info = format!("{}; to {location}", finding.info);
    }
    if let Some(title) = finding.details.get("http.title") {
        finding.info = format!("{}; title: {title}", finding.info);
    }
    finding.info = escape(finding.info.as_bytes());
    Some((finding, follow))
}

/// Headers that are kept, and under which names.
const KEPT: [(&str, &str); 7] = [
    ("server", "http.server"),
    ("location", "http.location"),
    ("x-powered-by", "http.powered_by"),
    ("www-authenticate", "http.authenticate"),
    ("via", "http.via"),
    ("x-generator", "http.generator"),
    ("strict-transport-security", "http.hsts"),
];

fn details(head: &[u8], body: &[u8], finding: &mut Finding) {
    for (name, kept) in KEPT {
        finding.detail(kept, header(head, name).unwrap_or_default());
    }
    finding.detail("http.status", escape(head.get(9..12).unwrap_or_default()));
    finding.detail("http.title", title(body).unwrap_or_default());
    if let Some(generator) = generator(body) {
        finding.detail("http.generator", generator);
    }
}

/// What made the page, by its own `<meta name="generator">`.
fn generator(body: &[u8]) -> Option<String> {
    static PATTERN: std::sync::LazyLock<Option<regex::bytes::Regex>> =
        std::sync::LazyLock::new(|| {
            products::compile(
                r#"(?i)<meta[^>]{0,80}name="generator"[^>]{0,80}content="([^"]{1,80})""#,
            )
        });
    let captures = PATTERN.as_ref()?.captures(body)?;
    Some(escape(captures.get(1)?.as_bytes()))
}

/// The server says that it speaks HTTPS here (nginx, Apache, Go, Jetty each have words of their
/// own).
pub fn wants_tls(answer: &[u8]) -> bool {
    const WORDS: [&str; 5] = [
        "plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL-enabled server port",
        "Client sent an HTTP request to an HTTPS server",
        "This combination of host and port requires TLS",
        "This web server is running in SSL mode",
    ];
    let text = String::from_utf8_lossy(answer);
    text.starts_with("HTTP/1.") && WORDS.iter().any(|words| text.contains(words))
}

/// Headers and body.
fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = |pattern: &[u8]| answer.windows(pattern.len()).position(|w| w == pattern);
    match (at(b"\r\n\r\n"), at(b"\n\n")) {
        (Some(end), other) if other.is_none_or(|other| end < other) => {
            Some((&answer[..end], &answer[end + 4..]))
        }
        (_, Some(end)) => Some((&answer[..end], &answer[end + 2..])),
        _ => None,
    }
}

fn header(head: &[u8], name: &str) -> Option<String> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (key, value) = line.split_at(colon);
        key.trim_ascii()
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| escape(value[1..].trim_ascii()))
    })
}

/// Text of the first `<title>`, with white space folded. Only a hint for a human: no HTML parser.
fn title(body: &[u8]) -> Option<String> {
    let lower = body.to_ascii_lowercase();
    let find = |what: &[u8], from: usize| {
        let found = lower
            .get(from..)?
            .windows(what.len())
            .position(|w| w == what);
        found.map(|at| at + from)
    };
    let open = find(b"<title", 0)?;
    let start = find(b">", open)? + 1;
    let end = find(b"</title", start)?;
    let text = String::from_utf8_lossy(&body[start..end]);
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!folded.is_empty()).then(|| escape(folded.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_tells_server_status_and_title() {
        let answer = b"HTTP/1.1 200 OK\r\nserver: nginx/1.22.1\r\n\r\n<html><TITLE lang=en>\n Hello\t there </title>";
        let (finding, _) = read(answer).unwrap();
        assert_eq!(finding.product, "nginx");
        assert_eq!(finding.version, "1.22.1");
        assert_eq!(finding.info, "HTTP/1.1 200 OK; title: Hello there");
        let (redirect, _) = read(b"HTTP/1.0 302 Found\nLocation: /login\x1b\n\n").unwrap();
        assert_eq!(redirect.info, "HTTP/1.0 302 Found; to /login\\x1b");
        assert_eq!(redirect.service, "http");
        assert!(read(b"220 ftp").is_none());
    }

    #[test]
    fn knows_when_an_answer_is_whole() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert!(!is_whole(format!("{head}1234").as_bytes()));
        assert!(is_whole(format!("{head}12345").as_bytes()));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n"));
    }

    #[test]
    fn a_server_that_wants_tls_says_so() {
        assert!(wants_tls(
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        ));
        assert!(!wants_tls(b"HTTP/1.0 400 Bad Request\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let answer = [b"HTTP/1.1 200 OK\r\n\r\n<title>".as_slice(), &bytes].concat();
            prop_assert!(read(&answer).is_some());
            let _ = (is_whole(&bytes), wants_tls(&bytes), title(&bytes));
        }
    }
}
