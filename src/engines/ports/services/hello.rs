//! TLS hellos, written and read here: rustls speaks 1.2 and 1.3 only and chooses for itself.

/// Protocol versions by number, oldest first, and how they are called.
pub const VERSIONS: [(u16, &str); 5] = [
    (0x0300, "SSLv3"),
    (0x0301, "TLSv1.0"),
    (0x0302, "TLSv1.1"),
    (0x0303, "TLSv1.2"),
    (0x0304, "TLSv1.3"),
];

/// The name of a version.
pub fn version_name(number: u16) -> String {
    let known = VERSIONS.iter().find(|(version, _)| *version == number);
    known.map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}

/// Cipher suites by number (IANA's TLS Cipher Suites registry): those that servers are configured with,
/// the broken ones of old included.
pub const CIPHERS: [(u16, &str); 72] = [
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM"),
    (0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"),
    (0xc0af, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8"),
    (0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
    (0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc072, "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256"),
    (0xc076, "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"),
    (0xc073, "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384"),
    (0xc077, "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384"),
    (0xc008, "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc007, "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"),
    (0xc011, "TLS_ECDHE_RSA_WITH_RC4_128_SHA"),
    (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc09f, "TLS_DHE_RSA_WITH_AES_256_CCM"),
    (0xc09e, "TLS_DHE_RSA_WITH_AES_128_CCM"),
    (0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0088, "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"),
    (0x0045, "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    (0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0015, "TLS_DHE_RSA_WITH_DES_CBC_SHA"),
    (0x0014, "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc09d, "TLS_RSA_WITH_AES_256_CCM"),
    (0xc09c, "TLS_RSA_WITH_AES_128_CCM"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0084, "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA"),
    (0x0041, "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    (0x0096, "TLS_RSA_WITH_SEED_CBC_SHA"),
    (0x0007, "TLS_RSA_WITH_IDEA_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
    (0x0009, "TLS_RSA_WITH_DES_CBC_SHA"),
    (0x0008, "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5"),
    (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
    (0x0002, "TLS_RSA_WITH_NULL_SHA"),
    (0x0001, "TLS_RSA_WITH_NULL_MD5"),
    (0x003b, "TLS_RSA_WITH_NULL_SHA256"),
    (0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"),
    (0xc018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"),
    (0x003a, "TLS_DH_anon_WITH_AES_256_CBC_SHA"),
    (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA"),
    (0x0018, "TLS_DH_anon_WITH_RC4_128_MD5"),
];

/// The name of a cipher suite.
pub fn cipher_name(number: u16) -> String {
    let known = CIPHERS.iter().find(|(cipher, _)| *cipher == number);
    known.map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}

/// Whether a suite is for TLS 1.3 (RFC 8446 §B.4); the others are for what came before.
pub fn is_for_13(cipher: u16) -> bool {
    cipher >> 8 == 0x13
}

/// A ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) that offers one version and these suites.
pub fn client_hello(version: u16, ciphers: &[u16], name: Option<&str>) -> Vec<u8> {
    let is_13 = version >= 0x0304;
    let mut body = version.min(0x0303).to_be_bytes().to_vec();
    // Nothing is ever encrypted with what comes of this: the random need not be random.
    body.extend(*b"recon asks what you can do, only");
    match is_13 {
        true => body.extend(with_length(1, b"recon asks what you can do, only")),
        false => body.push(0),
    }
    let suites: Vec<u8> = ciphers
        .iter()
        .flat_map(|cipher| cipher.to_be_bytes())
        .collect();
    body.extend(with_length(2, &suites));
    body.extend([1, 0]); // no compression
    if version > 0x0300 {
        body.extend(with_length(2, &extensions(version, name)));
    }
    let mut message = vec![1, 0];
    message.extend(with_length(2, &body));
    let record = if version == 0x0300 { 0 } else { 1 };
    let mut hello = vec![0x16, 3, record];
    hello.extend(with_length(2, &message));
    hello
}

fn extensions(version: u16, name: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut put = |kind: u16, inner: &[u8]| {
        all.extend(kind.to_be_bytes());
        all.extend(with_length(2, inner));
    };
    if let Some(name) = name.filter(|name| name.len() < 256) {
        let entry = [&[0], with_length(2, name.as_bytes()).as_slice()].concat();
        put(0, &with_length(2, &entry));
    }
    // x25519, P-256, P-384, P-521, ffdhe2048, ffdhe3072.
    put(10, &[0, 12, 0, 29, 0, 23, 0, 24, 0, 25, 1, 0, 1, 1]);
    put(11, &[1, 0]);
    if version >= 0x0303 {
        // Ed25519, ECDSA, RSA-PSS, RSA with SHA-2; then SHA-1, which old servers need.
        put(
            13,
            &[
                0, 24, 8, 7, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1,
            ],
        );
    }
    if version >= 0x0304 {
        put(43, &[2, 3, 4]);
        let mut share = vec![0, 36, 0, 29, 0, 32];
        share.extend([9; 32]); // any 32 bytes are a point of x25519
        put(51, &share);
    }
    all
}

/// Bytes with their number in front, in one or two bytes.
fn with_length(width: usize, bytes: &[u8]) -> Vec<u8> {
    // Everything that is written here is far shorter than 64 KiB.
    let length = u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    [&length[2 - width..], bytes].concat()
}

/// What a server answered to a hello.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFlight {
    /// The version chosen.
    pub version: u16,
    /// The cipher suite chosen.
    pub cipher: u16,
    /// The certificates in DER, the server's own first; TLS 1.3 sends them encrypted.
    pub chain: Vec<Vec<u8>>,
}

/// More certificates than this are not read.
const MOST_CERTIFICATES: usize = 16;

/// Reads the answer to a hello; `None` when there is no ServerHello in it.
pub fn server_flight(answer: &[u8]) -> Option<ServerFlight> {
    let messages = handshake_bytes(answer);
    let mut rest = messages.as_slice();
    let mut flight = None;
    while let Some((kind, body, after)) = handshake_message(rest) {
        match (kind, &mut flight) {
            (2, None) => flight = server_hello(body),
            (11, Some(flight)) => flight.chain = certificates(body),
            _ => {}
        }
        rest = after;
    }
    flight
}

/// Whether the answer can be left at that: an alert, ServerHelloDone, or encrypted data after the
/// ServerHello.
pub fn is_enough(answer: &[u8]) -> bool {
    let mut rest = answer;
    while let Some((kind, inner, after)) = record(rest) {
        if matches!(kind, 0x14 | 0x15 | 0x17) {
            return true;
        }
        if kind != 0x16 {
            return true;
        }
        // ServerHelloDone is the last message and has no body.
        if inner.ends_with(&[14, 0, 0, 0]) {
            return true;
        }
        rest = after;
    }
    !answer.is_empty() && !matches!(answer[0], 0x14..=0x17)
}

/// One record: its type, what is in it, what follows.
fn record(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = data.split_at_checked(5)?;
    if head[1] != 3 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    let (inner, after) = rest.split_at_checked(length)?;
    Some((head[0], inner, after))
}

/// What the handshake records of the beginning carry.
fn handshake_bytes(mut answer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((0x16, inner, after)) = record(answer) {
        bytes.extend_from_slice(inner);
        answer = after;
    }
    bytes
}

fn handshake_message(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = data.split_at_checked(4)?;
    let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
    let (body, after) = rest.split_at_checked(length)?;
    Some((head[0], body, after))
}

fn server_hello(body: &[u8]) -> Option<ServerFlight> {
    let two = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    let session = usize::from(*body.get(34)?);
    let rest = body.get(35 + session..)?;
    let mut flight = ServerFlight {
        version: two(body)?,
        cipher: two(rest)?,
        chain: Vec::new(),
    };
    let mut extensions = rest.get(5..).unwrap_or_default();
    while let Some((head, after)) = extensions.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some((inner, after)) = after.split_at_checked(length) else {
            break;
        };
        // supported_versions: the version that really is spoken (RFC 8446 §4.2.1).
        if head[..2] == [0, 43] {
            flight.version = two(inner)?;
        }
        extensions = after;
    }
    Some(flight)
}

fn certificates(body: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = body.get(3..).unwrap_or_default();
    let mut chain = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(3) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((der, after)) = after.split_at_checked(length) else {
            break;
        };
        if chain.len() == MOST_CERTIFICATES {
            break;
        }
        chain.push(der.to_vec());
        rest = after;
    }
    chain
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hellos_are_as_long_as_they_say() {
        for (version, _) in VERSIONS {
            let ciphers: Vec<u16> = CIPHERS.iter().map(|(cipher, _)| *cipher).collect();
            let hello = client_hello(version, &ciphers, Some("a.example.org"));
            let (kind, inner, after) = record(&hello).unwrap();
            assert!(kind == 0x16 && after.is_empty());
            let (kind, body, after) = handshake_message(inner).unwrap();
            assert!(kind == 1 && after.is_empty());
            assert_eq!(body[..2], version.min(0x0303).to_be_bytes());
        }
        let numbers: HashSet<u16> = CIPHERS.iter().map(|(cipher, _)| *cipher).collect();
        assert_eq!(numbers.len(), CIPHERS.len());
    }

    #[test]
    fn a_flight_with_a_chain() {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0xc0, 0x2f, 0]);
        let mut messages = vec![2, 0, 0, u8::try_from(body.len()).unwrap()];
        messages.extend(body);
        messages.extend([11, 0, 0, 9, 0, 0, 6, 0, 0, 3, 1, 2, 3, 14, 0, 0, 0]);
        let mut answer = vec![0x16, 3, 3];
        answer.extend(with_length(2, &messages));
        let flight = server_flight(&answer).unwrap();
        assert_eq!((flight.version, flight.cipher), (0x0303, 0xc02f));
        assert_eq!(flight.chain, [[1, 2, 3]]);
        assert!(is_enough(&answer) && !is_enough(&answer[..answer.len() - 1]));
        assert!(is_enough(&[0x15, 3, 1, 0, 2, 2, 70]));
        assert!(server_flight(&[0x15, 3, 1, 0, 2, 2, 70]).is_none());
        assert!(is_enough(b"HTTP/1.1 400") && !is_enough(b""));
    }
}
