use std::sync::{Arc, LazyLock};

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error, ProtocolVersion};

use crate::api::TlsFacts;

use super::super::super::tls::any_certificate;
use super::certificate;
use super::wire::Context;

/// A connection with TLS on it.
pub type Stream = TlsStream<TcpStream>;

/// What to offer by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// `h2` and `http/1.1`: what a browser offers.
    Any,
    /// `http/1.1` only.
    Http1,
    /// No ALPN at all, for protocols other than HTTP.
    Nothing,
}

/// How a handshake ended.
pub enum Shaken {
    /// Well.
    Done(Box<(Stream, TlsFacts)>),
    /// The other side speaks TLS, but does not want to talk to us; why, in words.
    Refused(String),
    /// The other side does not speak TLS.
    NotTls,
}

/// Shakes hands with whoever answers; any certificate will do, since the point is to see it.
pub async fn handshake(
    context: &Context<'_>,
    stream: TcpStream,
    offer: Offer,
    deadline: Instant,
) -> Shaken {
    let Some(config) = config(offer) else {
        return Shaken::NotTls;
    };
    let name = context
        .name()
        .and_then(|name| ServerName::try_from(name.to_owned()).ok())
        .unwrap_or_else(|| ServerName::IpAddress(context.peer.ip().into()));
    let connector = TlsConnector::from(config);
    let shaken = timeout_at(deadline, connector.connect(name, stream)).await;
    (context.step)();
    match shaken {
        Ok(Ok(stream)) => {
            let facts = facts(&stream, context.name());
            Shaken::Done(Box::new((stream, facts)))
        }
        Ok(Err(error)) => refusal(&error).map_or(Shaken::NotTls, Shaken::Refused),
        Err(_) => Shaken::NotTls,
    }
}

/// The bytes are a TLS record (RFC 8446 §5.1): an alert or a handshake message.
pub fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..])
}

/// Why a server that does speak TLS refused.
fn refusal(error: &std::io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(format!("TLS alert: {alert:?}")),
        Error::PeerIncompatible(why) => Some(format!("TLS older than 1.2, or unusual: {why:?}")),
        Error::PeerMisbehaved(why) => Some(format!("broken TLS: {why:?}")),
        _ => None,
    }
}

fn facts(stream: &Stream, name: Option<&str>) -> TlsFacts {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    let suite = session.negotiated_cipher_suite();
    let mut facts = TlsFacts {
        version,
        cipher: suite.map_or_else(String::new, |suite| {
            // IANA calls the suites of TLS 1.3 TLS_AES_…, rustls TLS13_AES_….
            format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
        }),
        alpn: session.alpn_protocol().map(super::display::escape),
        ..TlsFacts::default()
    };
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    certificate::describe(&chain, name, &mut facts);
    facts
}

fn config(offer: Offer) -> Option<Arc<ClientConfig>> {
    static CONFIGS: LazyLock<Option<[Arc<ClientConfig>; 3]>> = LazyLock::new(|| {
        let build = |alpn: &[&str]| {
            let mut config = any_certificate(alpn).ok()?;
            // Each handshake must be a full one, else there is no certificate to see.
            config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
            Some(Arc::new(config))
        };
        Some([
            build(&["h2", "http/1.1"])?,
            build(&["http/1.1"])?,
            build(&[])?,
        ])
    });
    let [any, http1, nothing] = CONFIGS.as_ref()?;
    Some(Arc::clone(match offer {
        Offer::Any => any,
        Offer::Http1 => http1,
        Offer::Nothing => nothing,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        assert!(is_record(&[0x15, 3, 1, 0, 2, 2, 70]));
        assert!(is_record(&[0x16, 3, 3, 0, 2]));
        assert!(!is_record(b"HTTP/1.1"));
        assert!(!is_record(&[]));
    }

    #[test]
    fn the_configurations_can_be_built() {
        assert!(config(Offer::Any).is_some());
    }
}
