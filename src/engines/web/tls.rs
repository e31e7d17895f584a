use std::io;
use std::sync::{Arc, LazyLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, ProtocolVersion, RootCertStore};
use x509_parser::parse_x509_certificate;

use super::super::tls::any_certificate;
use super::TlsSeen;

/// More certificates of a chain than this are not kept.
const MOST_IN_CHAIN: usize = 16;

/// What to offer by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// `h2` and `http/1.1`.
    Any,
    /// `http/1.1`.
    Http1,
}

/// Shakes hands; any certificate will do.
pub(super) async fn handshake(
    name: &str,
    stream: TcpStream,
    offer: Offer,
) -> io::Result<TlsStream<TcpStream>> {
    let configs = CONFIGS
        .as_ref()
        .map_err(|error| io::Error::other(error.clone()))?;
    let config = match offer {
        Offer::Any => &configs[0],
        Offer::Http1 => &configs[1],
    };
    let name = server_name(name)?;
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    let name = name.trim_end_matches('.').to_owned();
    ServerName::try_from(name).map_err(io::Error::other)
}

/// Whether HTTP/2 was agreed on.
pub(super) fn is_h2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// What is to be seen of a connection. `before`: what was seen of the last one to the same host, which
/// is most often the same.
pub(super) fn seen(
    stream: &TlsStream<TcpStream>,
    name: &str,
    before: Option<&Arc<TlsSeen>>,
) -> Arc<TlsSeen> {
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    let suite = session.negotiated_cipher_suite();
    let cipher = suite.map_or_else(String::new, |suite| {
        // IANA calls the suites of TLS 1.3 TLS_AES_…, rustls TLS13_AES_….
        format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
    });
    let chain = session.peer_certificates().unwrap_or_default();
    let chain = &chain[..chain.len().min(MOST_IN_CHAIN)];
    if let Some(before) = before
        && before.version == version
        && before.cipher == cipher
        && before
            .chain
            .iter()
            .map(Vec::as_slice)
            .eq(chain.iter().map(AsRef::as_ref))
    {
        return Arc::clone(before);
    }
    Arc::new(TlsSeen {
        version,
        cipher,
        invalid: invalid(chain, name),
        chain: chain.iter().map(|der| der.to_vec()).collect(),
    })
}

/// Why a browser with this system's root certificates would refuse the chain.
fn invalid(chain: &[CertificateDer<'_>], name: &str) -> Option<String> {
    let (own, others) = chain.split_first()?;
    let Some(verifier) = VERIFIER.as_ref() else {
        return Some("this system has no root certificates".to_owned());
    };
    let name = server_name(name).ok()?;
    let error = verifier
        .verify_server_cert(own, others, &name, &[], UnixTime::now())
        .err()?;
    let Error::InvalidCertificate(error) = error else {
        return Some(error.to_string());
    };
    Some(match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not yet valid".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "name mismatch".to_owned()
        }
        CertificateError::UnknownIssuer if is_self_signed(own) => "self-signed".to_owned(),
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        other => other.to_string(),
    })
}

fn is_self_signed(der: &[u8]) -> bool {
    parse_x509_certificate(der)
        .is_ok_and(|(_, own)| own.subject().as_raw() == own.issuer().as_raw())
}

/// The roots of this system, as its browsers have them.
static VERIFIER: LazyLock<Option<Arc<WebPkiServerVerifier>>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()
});

static CONFIGS: LazyLock<Result<[Arc<ClientConfig>; 2], String>> = LazyLock::new(|| {
    let build = |alpn: &[&str]| {
        let config = any_certificate(alpn).map_err(|error| error.to_string())?;
        Ok::<_, String>(Arc::new(config))
    };
    Ok([build(&["h2", "http/1.1"])?, build(&["http/1.1"])?])
});
