use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use url::Url;

use super::h1::{Break, Stream};
use super::tls::{self, Offer};
use super::{ClientOptions, TlsSeen};

/// A proxy's answer is no longer than this.
const PROXY_HEAD: usize = 8 * 1024;

/// How long to wait when this process or this machine has no descriptor or port left for a connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// A new connection.
pub(super) enum Dialled {
    Http1(Stream, Option<Arc<TlsSeen>>),
    Http2(Box<TlsStream<TcpStream>>, Arc<TlsSeen>),
}

/// Connects to an address that was checked; with a name, TLS is spoken with it. Whoever calls sees to it
/// that it ends with the work.
pub(super) async fn dial(
    addr: SocketAddr,
    tls_name: Option<&str>,
    offer: Offer,
    before: Option<Arc<TlsSeen>>,
    options: &ClientOptions,
) -> Result<Dialled, Break> {
    let connecting = async {
        let stream = tcp(addr, options.proxy.as_ref()).await?;
        // Requests are written in one piece each.
        stream.set_nodelay(true)?;
        let Some(name) = tls_name else {
            return Ok(Dialled::Http1(Stream::Plain(stream), None));
        };
        let stream = Box::new(tls::handshake(name, stream, offer).await?);
        let seen = tls::seen(&stream, name, before.as_ref());
        Ok::<_, io::Error>(match tls::is_h2(&stream) {
            true => Dialled::Http2(stream, seen),
            false => Dialled::Http1(Stream::Tls(stream), Some(seen)),
        })
    };
    match timeout(options.connect_timeout, connecting).await {
        Err(_) => Err(Break::Connect("no connection in time".to_owned())),
        Ok(Err(error)) => Err(Break::Connect(error.to_string())),
        Ok(Ok(dialled)) => Ok(dialled),
    }
}

async fn tcp(addr: SocketAddr, proxy: Option<&Url>) -> io::Result<TcpStream> {
    let Some(proxy) = proxy else {
        return patient(|| TcpStream::connect(addr)).await;
    };
    if proxy.scheme() != "http" {
        return Err(io::Error::other("only HTTP proxies are spoken to"));
    }
    let host = proxy
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']']);
    let port = proxy.port_or_known_default().unwrap_or(80);
    let mut stream = patient(|| TcpStream::connect((host, port))).await?;
    stream.write_all(tunnel(addr, proxy).as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // What comes after the head belongs to the tunnel already.
        head.push(stream.read_u8().await?);
        if head.len() > PROXY_HEAD {
            return Err(io::Error::other("the proxy answered what is not HTTP"));
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    match line.get(..10) {
        Some(start) if start.starts_with(b"HTTP/1.") && start.ends_with(b" 2") => Ok(stream),
        _ => Err(io::Error::other(format!(
            "the proxy answered {:?}",
            String::from_utf8_lossy(&line[..line.len().min(80)])
        ))),
    }
}

fn tunnel(addr: SocketAddr, proxy: &Url) -> String {
    let mut request = format!("CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\n");
    if !proxy.username().is_empty() {
        // In the URL they are percent-encoded.
        let mut user: Vec<u8> = percent_decode_str(proxy.username()).collect();
        user.push(b':');
        user.extend(percent_decode_str(proxy.password().unwrap_or_default()));
        request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user));
    }
    request + "\r\n"
}

/// Tries again while there are no descriptors or local ports; others may be done soon. Whoever calls
/// limits the time.
async fn patient<F: Future<Output = io::Result<TcpStream>>>(
    connect: impl Fn() -> F,
) -> io::Result<TcpStream> {
    loop {
        match connect().await {
            Err(error) if is_exhausted(&error) => sleep(EXHAUSTED).await,
            done => return done,
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    let codes = [
        libc::EMFILE,
        libc::ENFILE,
        libc::EADDRNOTAVAIL,
        libc::ENOBUFS,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}
