use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OidRegistry;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::{ASN1Time, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::api::{CertificateFacts, TlsFacts};

use super::display::{escape, hex};

/// More names than this in one certificate are not kept.
const MOST_NAMES: usize = 256;

/// What a certificate in DER (RFC 5280) says; `None` if it cannot be read.
pub fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let validity = certificate.validity();
    Some(CertificateFacts {
        subject: show(&certificate.subject().to_string()),
        issuer: show(&certificate.issuer().to_string()),
        serial_number: show(&hex(certificate.raw_serial())),
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
    static REGISTRY: LazyLock<OidRegistry<'_>> =
        LazyLock::new(|| OidRegistry::default().with_crypto());
    let oid = &certificate.signature_algorithm.algorithm;
    match REGISTRY.get(oid) {
        Some(entry) => entry.sn().to_owned(),
        None => show(&oid.to_id_string()),
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

/// More certificates than this in one chain are not described.
const MOST_IN_CHAIN: usize = 16;

/// Puts what a chain of certificates in DER shows into the facts, the server's own first. `name` is
/// the name that the server was asked for.
pub fn describe(chain: &[&[u8]], name: Option<&str>, into: &mut TlsFacts) {
    into.chain_length = chain.len();
    let mut described = chain
        .iter()
        .take(MOST_IN_CHAIN)
        .filter_map(|der| facts(der));
    into.certificate = described.next();
    into.chain = described.collect();
    into.problems = problems(chain, name, into, Utc::now());
}

fn problems(
    chain: &[&[u8]],
    name: Option<&str>,
    facts: &TlsFacts,
    now: DateTime<Utc>,
) -> Vec<String> {
    let Some(own) = &facts.certificate else {
        return Vec::new();
    };
    let all = || std::iter::once(own).chain(&facts.chain);
    let weak_signature = |certificate: &CertificateFacts| {
        let algorithm = certificate.signature_algorithm.to_ascii_lowercase();
        // What a root signs itself with does not matter.
        !certificate.self_signed
            && ["md2", "md5", "sha1", "sha-1"]
                .iter()
                .any(|w| algorithm.contains(w))
    };
    let found = [
        (
            "expired",
            all().any(|certificate| certificate.not_after < now),
        ),
        (
            "not yet valid",
            all().any(|certificate| certificate.not_before > now),
        ),
        ("self-signed", own.self_signed),
        ("name mismatch", name.is_some_and(|name| !is_for(own, name))),
        (
            "weak key",
            chain.first().is_some_and(|der| has_weak_key(der)),
        ),
        ("weak signature", all().any(weak_signature)),
    ];
    let found = found.into_iter().filter(|(_, is)| *is);
    found.map(|(problem, _)| problem.to_owned()).collect()
}

/// Whether a certificate is for a name (RFC 9525 §6.3): one of its names, or a wildcard in place of
/// the first label.
fn is_for(certificate: &CertificateFacts, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    certificate.subject_alt_names.iter().any(|own| {
        let wildcard = own.strip_prefix("*.");
        let parent = name.split_once('.').map(|(_, parent)| parent);
        own.eq_ignore_ascii_case(name)
            || wildcard
                .zip(parent)
                .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    })
}

/// RSA and DSA below 2,048 bits, elliptic curves below 224 (NIST SP 800-131A).
fn has_weak_key(der: &[u8]) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return false;
    };
    let Some(bits) = key_bits(&certificate) else {
        return false;
    };
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(_) | PublicKey::DSA(_)) => bits < 2048,
        Ok(PublicKey::EC(_)) => bits < 224,
        _ => false,
    }
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

    fn own() -> CertificateFacts {
        facts(include_bytes!("testdata/server.crt.der")).unwrap()
    }

    #[test]
    fn names() {
        let own = own();
        for name in [
            "probe.example.org",
            "PROBE.example.org.",
            "other.example.org",
        ] {
            assert!(is_for(&own, name), "{name}");
        }
        for name in ["example.org", "a.b.example.org", "probe.example.com"] {
            assert!(!is_for(&own, name), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_chain() {
        let der: &[u8] = include_bytes!("testdata/server.crt.der");
        let mut facts = TlsFacts::default();
        describe(&[der, der], Some("a.example.com"), &mut facts);
        assert_eq!((facts.chain_length, facts.chain.len()), (2, 1));
        assert_eq!(facts.problems, ["self-signed", "name mismatch"]);
        let late = own().not_after + chrono::TimeDelta::days(1);
        assert_eq!(
            problems(&[der], None, &facts, late),
            ["expired", "self-signed"]
        );
        facts.certificate = Some(CertificateFacts {
            signature_algorithm: "sha1WithRSAEncryption".to_owned(),
            self_signed: false,
            ..own()
        });
        assert_eq!(
            problems(&[der], None, &facts, Utc::now()),
            ["weak signature"]
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(facts(&bytes).is_none());
        }
    }
}
