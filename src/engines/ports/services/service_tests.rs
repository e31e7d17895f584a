//! Probes against small servers of the test's own, on ports whose number says nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::api::OpenPort;
use crate::engines::ports::fake_nmap::fake_nmap;
use crate::engines::ports::{
    NmapError, Observer, Progress, ScanOptions, Unobserved, scan_host, scan_host_thorough,
};

/// A server that handles each connection by `serve`, for as long as the test process lives.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// A server that sends this at once.
fn banner(text: &'static [u8]) -> u16 {
    server(move |mut stream| {
        let _ = stream.write_all(text);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A server that answers requests that begin in a certain way, each with its answer.
fn answers(pairs: &'static [(&'static [u8], &'static [u8])]) -> u16 {
    server(move |mut stream| {
        let mut request = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut request) {
            let pair = pairs
                .iter()
                .find(|(start, _)| request[..len].starts_with(start));
            let Some((_, answer)) = pair else { return };
            let _ = stream.write_all(answer);
        }
    })
}

struct Steps(AtomicU64);

impl Observer for Steps {
    fn progress(&self, _: &Progress) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn probe_with(port: u16, service_timeout: Duration) -> OpenPort {
    let options = ScanOptions {
        ports: [port].into_iter().collect(),
        service_timeout,
        ..ScanOptions::default()
    };
    let steps = Steps(AtomicU64::new(0));
    let report = scan_host([127, 0, 0, 1].into(), "probe.example.org", &options, &steps)
        .await
        .unwrap();
    assert!(!report.incomplete);
    assert!(steps.0.load(Ordering::Relaxed) >= 3);
    let [open] = <[OpenPort; 1]>::try_from(report.open).unwrap();
    open
}

async fn probe(port: u16) -> OpenPort {
    probe_with(port, Duration::from_secs(20)).await
}

#[tokio::test]
async fn a_service_that_speaks_first() {
    let open = probe(banner(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")).await;
    assert_eq!(
        (open.service_name.as_str(), open.service_product.as_str()),
        ("ssh", "OpenSSH")
    );
    assert_eq!(open.service_version, "9.2p1 Debian-2+deb12u3");
    assert_eq!(open.service_info, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
    assert!((open.confidence - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn http() {
    let open = probe(answers(&[(
        b"GET / HTTP/1.1\r\nHost: probe.example.org:",
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 18\r\n\r\n<title>hi</title>\n",
    )]))
    .await;
    assert_eq!(
        (open.service_name.as_str(), open.service_product.as_str()),
        ("http", "nginx")
    );
    assert_eq!(open.service_cpe, ["cpe:/a:f5:nginx:1.22.1"]);
    assert_eq!(open.service_info, "HTTP/1.1 200 OK; title: hi");
}

#[tokio::test]
async fn redis_gives_its_version() {
    let open = probe(answers(&[
        (b"PING", b"+PONG\r\n"),
        (
            b"INFO",
            b"$50\r\n# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n",
        ),
    ]))
    .await;
    assert_eq!(open.service_name, "redis");
    assert_eq!(open.service_version, "7.0.15");
    let shy = probe(answers(&[(
        b"PING",
        b"-NOAUTH Authentication required.\r\n",
    )]))
    .await;
    assert_eq!(
        (shy.service_name.as_str(), shy.service_version.as_str()),
        ("redis", "")
    );
}

#[tokio::test]
async fn postgres_and_memcached() {
    let open = probe(answers(&[
        (b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"),
        (b"\0\0\0", b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"),
    ]))
    .await;
    assert_eq!(open.service_name, "postgresql");
    assert_eq!(open.service_info, "SASL (SCRAM) password");
    let open = probe(answers(&[(b"version", b"VERSION 1.6.18\r\n")])).await;
    assert_eq!(
        (open.service_name.as_str(), open.service_version.as_str()),
        ("memcached", "1.6.18")
    );
}

fn tls_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from(include_bytes!("testdata/server.crt.der").as_slice());
    let key = PrivatePkcs8KeyDer::from(include_bytes!("testdata/server.key.der").as_slice());
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// An HTTPS server.
fn https() -> u16 {
    let config = tls_config();
    server(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let mut request = [0; 4096];
        if let Ok(1..) = stream.read(&mut request) {
            let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\nServer: Caddy\r\n\r\n");
        }
        stream.conn.send_close_notify();
        let _ = stream.flush();
    })
}

#[tokio::test]
async fn https_with_the_facts_of_its_certificate() {
    let open = probe(https()).await;
    assert_eq!(
        (open.service_name.as_str(), open.service_product.as_str()),
        ("https", "Caddy httpd")
    );
    let tls = open.tls.unwrap();
    assert_eq!(
        (tls.version.as_str(), tls.alpn.as_deref()),
        ("TLSv1.3", Some("http/1.1"))
    );
    assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
    assert_eq!(tls.chain_length, 1);
    let certificate = tls.certificate.unwrap();
    assert_eq!(certificate.subject, "O=recon tests, CN=probe.example.org");
    assert!(certificate.self_signed);
    assert_eq!(
        certificate.subject_alt_names,
        ["probe.example.org", "*.example.org", "127.0.0.1"]
    );
    assert_eq!(certificate.key_bits, Some(256));
    assert_eq!(certificate.signature_algorithm, "ecdsa-with-SHA256");
    assert_eq!(certificate.sha256.len(), 64);
}

/// With nmap: its words on the service, our facts of TLS. Without: our own probes for both.
#[tokio::test]
async fn a_thorough_scan_with_and_without_nmap() {
    let port = https();
    let options = ScanOptions {
        ports: [port].into_iter().collect(),
        ..ScanOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut nmap = fake_nmap(
        dir.path(),
        &format!(
            r#"echo '<nmaprun><host><address addr="127.0.0.1"/><ports>
            <port protocol="tcp" portid="{port}"><state state="open"/>
            <service name="http" tunnel="ssl" product="X" conf="10"/></port></ports></host>
            <runstats><finished exit="success"/></runstats></nmaprun>'"#
        ),
    );
    let addr = [127, 0, 0, 1].into();
    let (report, failure) = scan_host_thorough(addr, "", &options, Some(&nmap), &Unobserved)
        .await
        .unwrap();
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(report.engine, "connect + nmap 7.93");
    let open = &report.open[0];
    assert_eq!(
        (open.service_name.as_str(), open.service_product.as_str()),
        ("https", "X")
    );
    assert!(open.tls.is_some());

    nmap.path = dir.path().join("gone");
    let (report, failure) = scan_host_thorough(addr, "", &options, Some(&nmap), &Unobserved)
        .await
        .unwrap();
    assert!(
        matches!(failure, Some(NmapError::Run { .. })),
        "{failure:?}"
    );
    assert_eq!(report.engine, "connect");
    assert_eq!(report.open[0].service_product, "Caddy httpd");
    assert!(report.open[0].tls.is_some());
}

#[tokio::test]
async fn a_service_that_is_not_known_keeps_its_words() {
    let open = probe_with(
        banner(b"\x1b[2JWelcome\x00 to nothing\r\n"),
        Duration::from_secs(2),
    )
    .await;
    assert_eq!(open.service_name, "");
    assert_eq!(open.service_info, "\\x1b[2JWelcome\\x00 to nothing");
}

#[tokio::test]
async fn one_that_never_stops_talking_is_cut_off() {
    let open = probe_with(
        server(|mut stream| while stream.write_all(&[b'x'; 65536]).is_ok() {}),
        Duration::from_secs(1),
    )
    .await;
    assert_eq!(open.service_info.chars().count(), 200);
}

#[tokio::test]
async fn one_that_never_says_a_word_is_given_up() {
    let open = probe_with(
        server(|mut stream| drop(stream.read_to_end(&mut Vec::new()))),
        Duration::from_millis(700),
    )
    .await;
    assert_eq!(
        (open.service_name.as_str(), open.service_info.as_str()),
        ("", "")
    );
}
