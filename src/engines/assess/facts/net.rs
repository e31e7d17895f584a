//! Which addresses the whole Internet can reach: those that IANA's special-purpose address registries
//! (RFC 6890, as of 2025: iana-ipv4-special-registry, iana-ipv6-special-registry) do not take out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefix, its length, whether it is globally reachable. The longest that fits decides.
const V4: [([u8; 4], u8, bool); 22] = [
    ([0, 0, 0, 0], 8, false),
    ([10, 0, 0, 0], 8, false),
    ([100, 64, 0, 0], 10, false),
    ([127, 0, 0, 0], 8, false),
    ([169, 254, 0, 0], 16, false),
    ([172, 16, 0, 0], 12, false),
    ([192, 0, 0, 0], 24, false),
    ([192, 0, 0, 9], 32, true),
    ([192, 0, 0, 10], 32, true),
    ([192, 0, 2, 0], 24, false),
    ([192, 31, 196, 0], 24, true),
    ([192, 52, 193, 0], 24, true),
    ([192, 88, 99, 0], 24, false),
    ([192, 168, 0, 0], 16, false),
    ([192, 175, 48, 0], 24, true),
    ([198, 18, 0, 0], 15, false),
    ([198, 51, 100, 0], 24, false),
    ([203, 0, 113, 0], 24, false),
    // Multicast (RFC 5771): no host has it.
    ([224, 0, 0, 0], 4, false),
    ([240, 0, 0, 0], 4, false),
    ([255, 255, 255, 255], 32, false),
    ([0, 0, 0, 0], 0, true),
];

/// The same of IPv6. Only 2000::/3 is given out (RFC 4291 §2.4).
const V6: [([u16; 8], u8, bool); 19] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 0, false),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, true),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, false),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, false),
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128, true),
    ([0x2001, 1, 0, 0, 0, 0, 0, 2], 128, true),
    ([0x2001, 1, 0, 0, 0, 0, 0, 3], 128, true),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, false),
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, true),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, true),
    ([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, false),
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, true),
    ([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, true),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, false),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, true),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, false),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, false),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, false),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, false),
];

/// Whether an address can be reached from the whole Internet, by IANA's registries. An IPv6 address that
/// stands for an IPv4 address (mapped, NAT64, 6to4) is what that one is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => of_v4(v4),
            None => of_v6(v6),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let fits = V4.iter().filter(|(prefix, length, _)| {
        let differ = bits ^ u32::from(Ipv4Addr::from(*prefix));
        differ.leading_zeros() >= u32::from(*length)
    });
    fits.max_by_key(|(_, length, _)| *length)
        .is_some_and(|(_, _, public)| *public)
}

fn of_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let fits = V6.iter().filter(|(prefix, length, _)| {
        let differ = bits ^ u128::from(Ipv6Addr::from(*prefix));
        differ.leading_zeros() >= u32::from(*length)
    });
    fits.max_by_key(|(_, length, _)| *length)
        .is_some_and(|(_, _, public)| *public)
}

/// `::ffff:a.b.c.d` (RFC 4291), `64:ff9b::a.b.c.d` (RFC 6052), `2002:a.b.c.d::` (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_registries_say() {
        for public in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.0.9",
            "192.0.1.1",
            "192.31.196.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.1",
            "2606:4700::1111",
            "2001:20::1",
            "2001:4:112::1",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:1::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fdff::1",
            "2001:db8::1",
            "2001::1",
            "2001:2::1",
            "3fff::1",
            "5f00::1",
            "100::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "64:ff9b:1::1",
            "4000::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
