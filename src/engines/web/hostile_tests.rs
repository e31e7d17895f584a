//! The client against servers that mean harm, or are broken. Each is started here, on a port of its
//! own of 127.0.0.1.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use url::Url;

use super::{Client, ClientOptions, FetchError, Request, Response, redirect_target};
use crate::fleet::{Rule, Scope};

/// A server that reads a request's head, writes this, and closes; for every connection. Says when each
/// request came.
struct Server {
    url: Url,
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Server {
    /// `times`: requests that a connection answers; `piece`: written again and again after the answer,
    /// until nobody reads it.
    async fn start(answer: impl Into<Vec<u8>>, times: usize, piece: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer.into()), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move { serve(stream, &answer, times, piece, &seen).await });
            }
        });
        Self {
            url: Url::parse(&format!("http://{addr}/")).unwrap(),
            requests,
        }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &[u8],
    times: usize,
    piece: &[u8],
    seen: &Mutex<Vec<(Instant, String)>>,
) -> Option<()> {
    for _ in 0..times {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let now = Instant::now();
        seen.lock()
            .unwrap()
            .push((now, String::from_utf8(head).unwrap()));
        stream.write_all(answer).await.ok()?;
        while !piece.is_empty() {
            stream.write_all(piece).await.ok()?;
        }
    }
    Some(())
}

fn options() -> ClientOptions {
    ClientOptions {
        max_rate: 0,
        max_body: 64 * 1024,
        ..ClientOptions::new(Scope::default())
    }
}

async fn get(server: &Server, options: ClientOptions) -> Result<Response, FetchError> {
    Client::new(options)
        .send(Request::get(server.url.clone()))
        .await
}

async fn answered(answer: impl Into<Vec<u8>>) -> Result<Response, FetchError> {
    get(&Server::start(answer, 1, b"").await, options()).await
}

#[tokio::test]
async fn bodies_without_end() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n",
    ] {
        let server = Server::start(head, 1, &[b'x'; 4096]).await;
        let response = get(&server, options()).await.unwrap();
        assert!(response.truncated, "{head}");
        assert_eq!(response.body.len(), 64 * 1024, "{head}");
    }
}

#[tokio::test]
async fn heads_without_end() {
    for start in ["HTTP/1.1 200 OK\r\n", ""] {
        let server = Server::start(start, 1, b"HTTP/1.1 100 a\r\nX-Y: zzzzzzzz\r\n").await;
        let error = get(&server, options()).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol(..)), "{error}");
    }
    let server = Server::start("", 1, b"HTTP/1.1 100 Continue\r\n\r\n").await;
    let error = get(&server, options()).await.unwrap_err();
    assert!(error.to_string().contains("interim"), "{error}");
}

#[tokio::test]
async fn bombs() {
    let zeros = vec![0; 16 * 1024 * 1024];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::bulk::compress(&zeros, 1).unwrap();
    for (coding, bomb) in [("gzip", gzip), ("zstd", zstd)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        let larger = ClientOptions {
            max_body: 1024 * 1024,
            ..options()
        };
        let server = Server::start([head.as_bytes(), &bomb].concat(), 1, b"").await;
        let response = get(&server, larger).await.unwrap();
        assert!(response.truncated, "{coding}");
        assert_eq!(response.body.len(), 1024 * 1024, "{coding}");
    }
}

#[tokio::test]
async fn lies_about_the_length() {
    let short = answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        .await
        .unwrap();
    assert_eq!((&short.body[..], short.truncated), (&b"hello"[..], true));
    // More than it said, which may be taken for an answer to the next request.
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 201 no\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(long, 9, b"").await;
    let client = Client::new(options());
    for _ in 0..3 {
        let response = client.send(Request::get(server.url.clone())).await.unwrap();
        assert_eq!(
            (response.status.as_u16(), &response.body[..]),
            (200, &b"hello"[..])
        );
    }
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(answered(both).await.unwrap().body, "hello");
    let two =
        answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(matches!(two, Err(FetchError::Protocol(..))));
}

#[tokio::test]
async fn garbage_and_sudden_ends() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "<html>no head</html>",
        "HTTP/1.1 OK\r\n\r\n",
    ] {
        let error = answered(garbage).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol(..)), "{error}");
    }
    for part in ["", "HTTP/1.1 200 OK\r\nServer: x\r\n"] {
        let error = answered(part).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(..)), "{error}");
    }
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo";
    let response = answered(chunks).await.unwrap();
    assert_eq!(
        (&response.body[..], response.truncated),
        (&b"hellowo"[..], true)
    );
}

#[tokio::test]
async fn silence() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let impatient = ClientOptions {
        read_timeout: Duration::from_millis(20),
        ..options()
    };
    let client = Client::new(impatient);
    let request = Request::get(Url::parse(&url).unwrap());
    let error = client.send(request).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout(_)), "{error}");
}

/// What is there when the time is over is what there is.
#[tokio::test]
async fn a_body_that_does_not_end_in_time() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc";
    let server = Server::start(head, 2, b"").await;
    let impatient = ClientOptions {
        total_timeout: Duration::from_millis(50),
        ..options()
    };
    let response = get(&server, impatient).await.unwrap();
    assert_eq!(
        (&response.body[..], response.truncated),
        (&b"abc"[..], true)
    );
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_tried_again_once() {
    let server = Server::start("HTTP/1.1 204 x\r\n\r\n", 1, b"").await;
    let client = Client::new(options());
    for _ in 0..3 {
        let response = client.send(Request::get(server.url.clone())).await.unwrap();
        assert_eq!(response.status, 204);
    }
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn outside_scope_nothing_is_sent() {
    let server = Server::start("HTTP/1.1 204 x\r\n\r\n", 1, b"").await;
    let port = server.url.port().unwrap();
    let mut options = options();
    options.scope = Scope::new(
        vec![
            "127.0.0.0/8".parse::<Rule>().unwrap(),
            "*.example.org".parse().unwrap(),
        ],
        vec![
            "127.0.0.1".parse().unwrap(),
            "no.example.org".parse().unwrap(),
        ],
    );
    // A name that is in scope and leads where it may not.
    let to = "127.0.0.1".parse().unwrap();
    options.addresses.insert("a.example.org".to_owned(), to);
    let client = Client::new(options);
    for host in ["127.0.0.1", "a.example.org", "no.example.org"] {
        let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
        let error = client.send(Request::get(url)).await.unwrap_err();
        assert!(matches!(error, FetchError::OutsideScope { .. }), "{error}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn redirects_are_for_others_to_follow() {
    let answer = "HTTP/1.1 302 x\r\nLocation: //other.example/\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(answer, 1, b"").await;
    let response = get(&server, options()).await.unwrap();
    assert_eq!(
        redirect_target(&response).unwrap().as_str(),
        "http://other.example/"
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn no_word_of_a_list_becomes_a_request_of_its_own() {
    let server = Server::start("HTTP/1.1 204 x\r\n\r\n", 9, b"").await;
    let host = Client::new(options()).host(&server.url).await.unwrap();
    let mut lane = host.lane().await.unwrap();
    lane.get(b"/a b\r\nX: y#\xc3", 99).await.unwrap();
    let requests = server.requests.lock().unwrap();
    assert!(
        requests[0]
            .1
            .starts_with("GET /a%20b%0D%0AX:%20y%23%C3 HTTP/1.1\r\nHost: 127")
    );
}

#[tokio::test]
async fn credentials_stay_at_home() {
    let server = Server::start("HTTP/1.1 204 x\r\n\r\n", 9, b"").await;
    let with = |home: &str| ClientOptions {
        home: Some(home.to_owned()),
        auth: Some(super::Auth::Bearer("secret".to_owned())),
        ..options()
    };
    get(&server, with("127.0.0.1")).await.unwrap();
    get(&server, with("other.example")).await.unwrap();
    let requests = server.requests.lock().unwrap();
    let told = |at: usize| requests[at].1.contains("Authorization: Bearer secret");
    assert!(told(0) && !told(1));
}

/// Counted at the server, by its own clock: in no second more than the cap.
#[tokio::test]
async fn never_above_the_cap() {
    const CAP: usize = 200;
    let server = Server::start("HTTP/1.1 204 x\r\n\r\n", 1000, b"").await;
    let capped = ClientOptions {
        max_rate: 200,
        adaptive: false,
        ..options()
    };
    let host = Client::new(capped).host(&server.url).await.unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move {
                let mut lane = host.lane().await.unwrap();
                for _ in 0..50 {
                    lane.get(b"/", 99).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut times: Vec<Instant> = server
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|r| r.0)
        .collect();
    times.sort_unstable();
    assert_eq!(times.len(), 500);
    for stretch in times.windows(CAP + 1) {
        assert!(stretch[CAP] - stretch[0] >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let answer = "HTTP/1.1 429 x\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(answer, 9, b"").await;
    let mut options = options();
    options.max_rate = 100;
    let cancel = options.cancel.clone();
    let client = Client::new(options);
    client.send(Request::get(server.url.clone())).await.unwrap();
    let pace = &client.paces()[0];
    assert!(pace.rate < 100 && pace.paused.unwrap() > Duration::from_secs(50));
    assert_eq!(
        pace.reason.as_deref(),
        Some("it answered 429 with Retry-After: 60 s")
    );
    // The next one waits; when the work is over it does not wait on.
    let next = client.send(Request::get(server.url.clone()));
    let (error, ()) = tokio::join!(next, async { cancel.cancel() });
    assert!(matches!(error, Err(FetchError::Stopped(_))));
    assert_eq!(server.count(), 1);
}
