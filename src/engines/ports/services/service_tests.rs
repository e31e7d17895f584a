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
    Engine, NmapError, Observer, Progress, ScanOptions, Unobserved, scan_host, scan_host_thorough,
};

#[path = "ssh_tests.rs"]
mod ssh;

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
        engine: Engine::Connect,
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

/// nmap has the last word only where ours know no product; facts of TLS are ours.
#[tokio::test]
async fn a_thorough_scan_with_and_without_nmap() {
    let port = https();
    let options = ScanOptions {
        engine: Engine::Connect,
        ports: [port].into_iter().collect(),
        ..ScanOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut nmap = fake_nmap(
        dir.path(),
        &format!(
            r#"echo '<nmaprun><host><address addr="127.0.0.1"/><ports>
            <port protocol="tcp" portid="{port}"><state state="open"/>
            <service name="http" tunnel="ssl" product="Caddy httpd" version="2.9" conf="10"/></port></ports></host>
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
        ("https", "Caddy httpd")
    );
    assert_eq!(open.service_version, "2.9");
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

/// A mail server that can start TLS.
fn mail() -> u16 {
    let config = tls_config();
    server(move |mut stream| {
        let _ = stream.write_all(b"220 mx.example.org ESMTP Postfix (Debian/GNU)\r\n");
        let mut request = [0; 512];
        while let Ok(len @ 1..) = stream.read(&mut request) {
            let answer: &[u8] = match &request[..len.min(4)] {
                b"EHLO" => b"250-mx.example.org\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
                b"STAR" => b"220 go ahead\r\n",
                _ => b"502 no\r\n",
            };
            let _ = stream.write_all(answer);
            if answer.starts_with(b"220") {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let _ = StreamOwned::new(session, stream).read(&mut request);
                return;
            }
        }
    })
}

#[tokio::test]
async fn a_mail_server_is_asked_what_it_can_do_and_for_its_certificate() {
    let open = probe(mail()).await;
    assert_eq!(
        (open.service_name.as_str(), open.service_product.as_str()),
        ("smtp", "Postfix smtpd")
    );
    assert_eq!(
        open.service_details["smtp.extensions"],
        "SIZE 1000, STARTTLS"
    );
    assert_eq!(open.service_details["starttls"], "yes");
    let tls = open.tls.unwrap();
    assert_eq!(tls.problems, ["self-signed"]);
    assert!(tls.certificate.is_some() && tls.chain.is_empty());
}

#[tokio::test]
async fn an_application_tells_its_version_on_another_page() {
    let open = probe(answers(&[
        (
            b"GET / ",
            b"HTTP/1.1 302 Found\r\nLocation: /graph\r\nContent-Length: 30\r\n\r\n<a href=\"/graph\">Found</a>.\n\n\n",
        ),
        (
            b"GET /api/v1/status/buildinfo ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{\"data\":{\"version\":\"2.42.0\",\"rev\":\"\"}}",
        ),
    ]))
    .await;
    assert_eq!(
        (open.service_product.as_str(), open.service_version.as_str()),
        ("Prometheus", "2.42.0")
    );
    assert_eq!(open.service_cpe, ["cpe:/a:prometheus:prometheus:2.42.0"]);
    assert_eq!(open.service_details["http.status"], "302");
}

#[tokio::test]
async fn a_firewall_in_front_is_named() {
    let open = probe(answers(&[(
        b"GET / ",
        b"HTTP/1.1 403 Forbidden\r\nServer: cloudflare\r\nCF-RAY: 1\r\nContent-Length: 0\r\n\r\n",
    )]))
    .await;
    assert_eq!(open.waf.as_deref(), Some("Cloudflare"));
}

#[tokio::test]
async fn a_deep_scan_lists_versions_and_ciphers() {
    let options = ScanOptions {
        engine: Engine::Connect,
        ports: [https()].into_iter().collect(),
        deep: true,
        service_timeout: Duration::from_secs(20),
        ..ScanOptions::default()
    };
    let addr = [127, 0, 0, 1].into();
    let report = scan_host(addr, "probe.example.org", &options, &Unobserved)
        .await
        .unwrap();
    let tls = report.open[0].tls.clone().unwrap();
    assert_eq!(tls.versions, ["TLSv1.2", "TLSv1.3"]);
    let new = &tls.ciphers["TLSv1.3"];
    assert!(
        new.len() == 3 && new.iter().all(|suite| suite.starts_with("TLS_")),
        "{new:?}"
    );
    let old = &tls.ciphers["TLSv1.2"];
    assert!(
        old.contains(&"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()),
        "{old:?}"
    );
}

/// A server of before TLS 1.2 is told by its own ServerHello.
#[tokio::test]
async fn a_server_that_speaks_only_old_tls() {
    const FLIGHT: &[u8] = include_bytes!("testdata/corpus/tls12.bin");
    let port = server(|mut stream| {
        let mut hello = [0; 2048];
        let Ok(10..) = stream.read(&mut hello) else {
            return;
        };
        // The version that is asked for at most, behind the heads of record and message.
        let is_10 = hello[9..11] == [3, 1];
        let mut flight = FLIGHT.to_vec();
        flight[9..11].copy_from_slice(&[3, 1]);
        let alert: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
        let _ = stream.write_all(if is_10 { &flight } else { alert });
        let _ = stream.read(&mut hello);
    });
    let open = probe(port).await;
    assert_eq!(open.service_name, "ssl");
    let tls = open.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.0");
    assert!(tls.certificate.unwrap().subject.contains("services.test"));
}

#[tokio::test]
async fn protocols_that_only_answer() {
    let mqtt = probe(answers(&[(
        b"\x10\x0c\0\x04MQTT",
        b"\x20\x02\0\0\x90\x03\0\x01\0\x31\x2d\0\x13$SYS/broker/versionmosquitto version 2.0.11",
    )]))
    .await;
    assert_eq!(
        (mqtt.service_product.as_str(), mqtt.service_version.as_str()),
        ("Mosquitto", "2.0.11")
    );
    const LDAP: &[u8] = include_bytes!("testdata/corpus/openldap.bin");
    let ldap = probe(answers(&[(b"\x30\x2b\x02\x01\x01\x63", LDAP)])).await;
    assert_eq!(
        (ldap.service_name.as_str(), ldap.service_product.as_str()),
        ("ldap", "OpenLDAP")
    );
}

/// The handshake that never ends, the reset in the middle, and the banner of binary garbage.
#[tokio::test]
async fn hostile_servers_cost_a_bounded_time_and_show_nothing_raw() {
    let short = Duration::from_millis(1500);
    let endless = server(|mut stream| {
        let _ = stream.write_all(&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc]);
        // One byte of a message that is never whole, for as long as somebody listens.
        while stream.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let open = probe_with(endless, short).await;
    assert!(!open.service_info.chars().any(char::is_control));
    let reset = server(|stream| {
        let socket = socket2::Socket::from(stream);
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.send(b"HTTP/1.1 200 OK\r\nContent-Le");
    });
    let open = probe_with(reset, short).await;
    assert!(!open.service_info.chars().any(char::is_control));
    let garbage = server(|mut stream| {
        let noise: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let _ = stream.write_all(&noise);
        let _ = stream.write_all(b"\x1b]0;owned\x07\x1b[2J");
    });
    let open = probe_with(garbage, short).await;
    assert!(!open.service_info.is_empty());
    let details = open
        .service_details
        .values()
        .chain([&open.service_info, &open.service_version]);
    assert!(
        details
            .into_iter()
            .all(|text| !text.chars().any(char::is_control))
    );
}

/// A terminal cannot be reached by way of a header, a title or a version either.
#[tokio::test]
async fn what_web_servers_say_is_escaped_everywhere() {
    let open = probe(answers(&[(
        b"GET / ",
        b"HTTP/1.1 200 OK\r\nServer: evil\x1b[2J/1.0\x07\r\nX-Powered-By: \x1b]0;x\x07\r\n\r\n<title>\x1b[31m</title>",
    )]))
    .await;
    let json = serde_json::to_string(&open).unwrap();
    assert!(
        !json.contains("\\u001b") && !json.contains('\u{1b}'),
        "{json}"
    );
}
