use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OidRegistry;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::{ASN1Time, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::api::CertificateFacts;

use super::display::escape;

/// More names than this in one certificate are not kept.
const MOST_NAMES: usize = 256;

/// What a certificate in DER (RFC 5280) says; `None` if it cannot be read.
pub fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let validity = certificate.validity();
    Some(CertificateFacts {
        subject: show(&certificate.subject().to_string()),
        issuer: show(&certificate.issuer().to_string()),
        serial_number: hex(certificate.raw_serial()),
        not_before: time(validity.not_before)?,
        not_after: time(validity.not_after)?,
        subject_alt_names: alt_names(&certificate),
        self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        sha256: hex(&Sha256::digest(der)),
        signature_algorithm: signature_algorithm(&certificate),
        key_bits: key_bits(&certificate),
    })
}

fn alt_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some(show(name))
        }
        GeneralName::IPAddress(bytes) => ip(bytes),
        _ => None,
    };
    let names = names.value.general_names.iter();
    names.filter_map(text).take(MOST_NAMES).collect()
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(v6).to_string())
}

/// The registered name, else the OID.
fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = &certificate.signature_algorithm.algorithm;
    let registry = OidRegistry::default().with_crypto();
    match registry.get(oid) {
        Some(entry) => entry.sn().to_owned(),
        None => oid.to_id_string(),
    }
}

fn key_bits(certificate: &X509Certificate<'_>) -> Option<u32> {
    let key = certificate.public_key();
    let bits = match key.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let zeros = rsa.modulus.iter().take_while(|byte| **byte == 0).count();
            let modulus = &rsa.modulus[zeros..];
            modulus.len() * 8 - modulus.first()?.leading_zeros() as usize
        }
        // Ed25519 and X25519 (RFC 8410): the key is the bit string itself.
        PublicKey::Unknown(_) => key.subject_public_key.data.len() * 8,
        other => other.key_size(),
    };
    u32::try_from(bits).ok().filter(|bits| *bits > 0)
}

fn time(time: ASN1Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.timestamp(), 0)
}

fn show(text: &str) -> String {
    escape(text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(ip(&[10, 0, 0, 1]).as_deref(), Some("10.0.0.1"));
        let mut loopback = [0; 16];
        loopback[15] = 1;
        assert_eq!(ip(&loopback).as_deref(), Some("::1"));
        assert_eq!(ip(&[1, 2, 3]), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(facts(&bytes).is_none());
        }
    }
}
