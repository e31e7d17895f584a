//! HTTPS and HTTP/2, against a server that is started here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;
use url::Url;

use super::{Client, ClientOptions, FetchError, Request};
use crate::fleet::Scope;

/// A server with a certificate that nobody signed, which speaks these protocols. Each connection goes
/// away after so many requests.
async fn server(alpn: &[&str], requests: usize) -> Url {
    let names = vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                serve(TokioIo::new(stream), requests).await;
                Some(())
            });
        }
    });
    Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap()
}

/// A body of this size is larger than what is read without a seat, and than a stream's window.
const LARGE: usize = 1024 * 1024;

/// What makes hyper reset a stream.
#[derive(Debug, thiserror::Error)]
#[error("reset")]
struct Reset;

fn body(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, Reset> {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Begins, and is reset; not before somebody took more than a stream's window holds, head and all.
fn half() -> UnsyncBoxBody<Bytes, Reset> {
    let piece = || Ok(Frame::data(Bytes::from(vec![b'x'; 16 * 1024])));
    let pieces = std::iter::repeat_with(piece).take(LARGE / (16 * 1024));
    let all = pieces.chain(std::iter::once(Err(Reset)));
    StreamBody::new(futures_util::stream::iter(all)).boxed_unsync()
}

async fn serve(stream: TokioIo<TlsStream<TcpStream>>, most: usize) {
    let h2 = stream.inner().get_ref().1.alpn_protocol() == Some(b"h2");
    let (left, over) = (AtomicUsize::new(most), Arc::new(Notify::new()));
    let told = Arc::clone(&over);
    let service = service_fn(move |request: http::Request<Incoming>| {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            told.notify_one();
        }
        // Whichever protocol it came by, first or not.
        let whole = request.headers().contains_key("user-agent");
        let answer = match request.uri().path() {
            "/large" => body(vec![b'x'; LARGE]),
            "/half" => half(),
            "/authority" => body(request.uri().authority().unwrap().to_string()),
            _ if whole => body("hello"),
            _ => body("who?"),
        };
        let reset = request.uri().path() == "/reset";
        async move {
            match reset {
                true => Err(Reset),
                false => Ok(http::Response::new(answer)),
            }
        }
    });
    if h2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = over.notified() => {}
        }
        // GOAWAY (RFC 9113 §6.8).
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.serve_connection(stream, service).await;
    }
}

fn client() -> Client {
    Client::new(ClientOptions {
        max_rate: 0,
        ..ClientOptions::new(Scope::default())
    })
}

#[tokio::test]
async fn the_protocol_and_the_certificate_are_told_of() {
    for (alpn, version) in [("h2", "HTTP/2.0"), ("http/1.1", "HTTP/1.1")] {
        let url = server(&[alpn], 99).await;
        let client = client();
        for _ in 0..2 {
            let response = client.send(Request::get(url.clone())).await.unwrap();
            assert_eq!(format!("{:?}", response.version), version);
            assert_eq!(response.body, "hello");
            let tls = response.tls.unwrap();
            assert_eq!((tls.version.as_str(), tls.chain.len()), ("TLSv1.3", 1));
            assert!(
                tls.cipher.starts_with("TLS_") && tls.invalid.is_some(),
                "{tls:?}"
            );
        }
    }
}

#[tokio::test]
async fn http2_connections_that_go_away_are_made_anew() {
    let url = server(&["h2"], 1).await;
    let client = client();
    for _ in 0..4 {
        let response = client.send(Request::get(url.clone())).await.unwrap();
        assert_eq!(response.body, "hello");
    }
}

#[tokio::test]
async fn a_lane_speaks_http1_to_all() {
    let url = server(&["h2", "http/1.1"], 99).await;
    let host = client().host(&url).await.unwrap();
    let mut lane = host.lane().await.unwrap();
    for _ in 0..2 {
        assert_eq!(lane.get(b"/", 99).await.unwrap().body, b"hello");
    }
}

/// More large bodies at once than have a seat: those that wait keep nothing from the others.
#[tokio::test]
async fn large_bodies_of_one_connection_all_come() {
    let url = server(&["h2"], 9999).await.join("/large").unwrap();
    let client = client();
    let asked = (0..32).map(|_| client.send(Request::get(url.clone())));
    for response in futures_util::future::join_all(asked).await {
        let response = response.unwrap();
        assert_eq!((response.truncated, response.body.len()), (false, LARGE));
    }
}

/// A stream that is reset (RFC 9113 §6.4) is one request without an answer, and no more.
#[tokio::test]
async fn a_stream_that_is_reset_costs_no_other() {
    let url = server(&["h2"], 9999).await;
    let client = client();
    client.send(Request::get(url.clone())).await.unwrap();
    let broken = client.send(Request::get(url.join("/reset").unwrap()));
    let good = (0..10).map(|_| client.send(Request::get(url.clone())));
    let (broken, good) = tokio::join!(broken, futures_util::future::join_all(good));
    let error = broken.unwrap_err();
    assert!(matches!(error, FetchError::Closed(..)), "{error}");
    assert!(
        good.into_iter()
            .all(|response| response.unwrap().body == "hello")
    );
    let after = client.send(Request::get(url)).await.unwrap();
    assert_eq!(after.body, "hello");
}

/// In the middle of a body there is an answer already: what came of it is told, and that it is not all.
#[tokio::test]
async fn a_body_that_is_reset_is_cut_off() {
    let url = server(&["h2"], 9999).await;
    let client = client();
    let half = client.send(Request::get(url.join("/half").unwrap()));
    let half = half.await.unwrap();
    assert!(half.truncated, "{} bytes", half.body.len());
    assert!(!half.body.is_empty() && half.body.iter().all(|byte| *byte == b'x'));
    let after = client.send(Request::get(url)).await.unwrap();
    assert_eq!(after.body, "hello");
}

#[tokio::test]
async fn user_and_password_are_no_part_of_the_authority() {
    let mut url = server(&["h2"], 9999).await.join("/authority").unwrap();
    url.set_username("me").unwrap();
    url.set_password(Some("secret")).unwrap();
    let response = client().send(Request::get(url)).await.unwrap();
    let authority = String::from_utf8_lossy(&response.body).into_owned();
    assert!(authority.starts_with("127.0.0.1:"), "{authority}");
}
