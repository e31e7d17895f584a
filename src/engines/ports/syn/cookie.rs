use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// Sequence numbers that nobody can guess who has not seen the probe: an answer that acknowledges
/// one is an answer to it, and no list of what was sent is needed (Bernstein's SYN cookies turned
/// around, as in masscan and zmap). SipHash-1-3 under a key of this process (Aumasson and
/// Bernstein 2012).
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    keys: (u64, u64),
}

impl Cookies {
    /// New ones, with a random key.
    pub fn new() -> Self {
        Self {
            keys: rand::random(),
        }
    }

    /// The sequence number of the probe of this port from that port of ours.
    pub fn of(&self, addr: IpAddr, port: u16, source_port: u16) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        match addr {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits()),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits()),
        }
        hasher.write_u32(u32::from(port) << 16 | u32::from(source_port));
        let hash = hasher.finish();
        // Folded, not cut: both halves count.
        (hash ^ (hash >> 32)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_probe_has_its_own() {
        let cookies = Cookies::new();
        let of = |addr: [u8; 4], port, source| cookies.of(addr.into(), port, source);
        let one = of([10, 0, 0, 1], 80, 5000);
        assert_eq!(of([10, 0, 0, 1], 80, 5000), one);
        assert_ne!(of([10, 0, 0, 2], 80, 5000), one);
        assert_ne!(of([10, 0, 0, 1], 81, 5000), one);
        assert_ne!(of([10, 0, 0, 1], 80, 5001), one);
        assert_ne!(Cookies::new().of([10, 0, 0, 1].into(), 80, 5000), one);
    }
}
