//! HTTPS and HTTP/2, against a server that is started here.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
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

use super::{Client, ClientOptions, Request};
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
        let body = if whole { "hello" } else { "who?" };
        async move { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(body)))) }
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
