use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;

/// `sha256=HEX`, the HMAC-SHA256 of `TIMESTAMP.BODY`: the time is part of it, so that nobody can send
/// an old request anew under a later time.
pub(super) fn signature(secret: &Secret, timestamp: i64, body: &[u8]) -> Option<String> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!("sha256={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `printf '1700000000.{}' | openssl dgst -sha256 -hmac key` has it.
    #[test]
    fn as_openssl_signs() {
        let signed = signature(&Secret::new("key"), 1_700_000_000, b"{}").unwrap();
        assert_eq!(signed, EXPECTED);
    }

    const EXPECTED: &str =
        "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
}
