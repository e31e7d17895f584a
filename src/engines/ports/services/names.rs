use super::Finding;
use super::display::escape;

/// `version.bind. CH TXT` (RFC 4892), with the length in front that TCP needs (RFC 1035 §4.2.2).
pub const DNS_QUERY: &[u8] =
    b"\0\x1e\x52\x43\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";

/// What a DNS server says over TCP.
pub fn dns_answer(answer: &[u8]) -> Option<Finding> {
    // Our id, and the bit that says response.
    if answer.get(2..4)? != [0x52, 0x43] || answer.get(4)? & 0x80 == 0 {
        return None;
    }
    let mut finding = Finding::named("domain", 1.0);
    // RA (RFC 1035 §4.1.1): it would resolve other names for us, too.
    if answer.get(5)? & 0x80 != 0 {
        finding.detail("dns.recursion", "available");
    }
    let answers = u16::from_be_bytes(answer.get(8..10)?.try_into().ok()?);
    let text = match answers {
        0 => None,
        _ => dns_text(answer),
    };
    if let Some(text) = text {
        let known = [
            ("dnsmasq-", "dnsmasq", "cpe:/a:thekelleys:dnsmasq"),
            ("unbound ", "Unbound", "cpe:/a:nlnetlabs:unbound"),
            ("NSD ", "NSD", "cpe:/a:nlnetlabs:nsd"),
            (
                "PowerDNS Authoritative Server ",
                "PowerDNS",
                "cpe:/a:powerdns:authoritative",
            ),
            (
                "PowerDNS Recursor ",
                "PowerDNS Recursor",
                "cpe:/a:powerdns:recursor",
            ),
            ("Knot DNS ", "Knot DNS", "cpe:/a:nic:knot_dns"),
            ("CoreDNS-", "CoreDNS", "cpe:/a:linuxfoundation:coredns"),
            ("9.", "ISC BIND", "cpe:/a:isc:bind"),
        ];
        for (start, product, cpe) in known {
            if let Some(rest) = text.strip_prefix(start) {
                finding.product = product.to_owned();
                let version = if start == "9." { &text } else { rest };
                // What a distribution adds is kept in the version, not in the CPE name.
                let own = version.split([' ', '-']).next().unwrap_or_default();
                version.clone_into(&mut finding.version);
                finding.cpe = vec![super::products::cpe_name(&format!("{cpe}:{own}"))];
            }
        }
        finding.info = text;
    }
    Some(finding)
}

/// First string of the first TXT record: after our question comes its name (a pointer or the name
/// again), type, class, TTL, length and the string.
fn dns_text(answer: &[u8]) -> Option<String> {
    let record = answer.get(DNS_QUERY.len()..)?;
    let name = match record.first()? {
        0xc0..=0xff => 2,
        _ => record.iter().position(|byte| *byte == 0)? + 1,
    };
    let rest = record.get(name..)?;
    if rest.get(..2)? != [0, 16] {
        return None;
    }
    let length = usize::from(*rest.get(10)?);
    Some(escape(rest.get(11..11 + length)?))
}

/// Telnet begins with option negotiation (RFC 854: IAC WILL/WONT/DO/DONT).
pub fn telnet(banner: &[u8]) -> Option<Finding> {
    let mut rest = banner;
    while let [0xff, 0xfb..=0xfe, _option, after @ ..] = rest {
        rest = after;
    }
    if rest.len() == banner.len() {
        return None;
    }
    Some(Finding {
        info: super::display::first_line(rest),
        ..Finding::named("telnet", 1.0)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers() {
        assert_eq!(DNS_QUERY[1] as usize, DNS_QUERY.len() - 2);
        let text = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.89";
        let mut dns = DNS_QUERY.to_vec();
        (dns[4], dns[9]) = (0x85, 1);
        dns.extend(text);
        let dns = dns_answer(&dns).unwrap();
        assert_eq!(
            (dns.product.as_str(), dns.version.as_str()),
            ("dnsmasq", "2.89")
        );
        assert!(dns.details.is_empty());
        let login = telnet(b"\xff\xfd\x18\xff\xfd\x20\r\nlogin: ").unwrap();
        assert_eq!(login.info, "login: ");
        assert!(telnet(b"hello").is_none());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (dns_answer(&bytes), telnet(&bytes));
            let dns = [b"\0\0\x52\x43\x80\0\0\x01\0\x01".as_slice(), &bytes].concat();
            let _ = dns_answer(&dns);
        }
    }
}
