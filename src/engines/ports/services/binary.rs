use tokio::time::Instant;

use super::Finding;
use super::display::escape;
use super::wire::{Context, never};

/// SMB2 NEGOTIATE ([MS-SMB2] §2.2.3) that offers 2.0.2, 2.1, 3.0 and 3.0.2, in a direct TCP frame.
fn smb_negotiate() -> Vec<u8> {
    const DIALECTS: [u16; 4] = [0x0202, 0x0210, 0x0300, 0x0302];
    let mut packet = b"\0\0\0\0\xfeSMB\x40\0".to_vec();
    packet.resize(4 + 64, 0); // command 0, all other fields of the header 0
    packet[4 + 14] = 1; // credits asked for
    packet.extend([36, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0]); // size, count, signing enabled
    packet.extend(*b"recon-smb-probe!"); // client GUID
    packet.extend([0; 8]); // start time
    packet.extend(DIALECTS.iter().flat_map(|dialect| dialect.to_le_bytes()));
    let length = u32::try_from(packet.len() - 4).unwrap_or_default();
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// SMB over TCP.
pub async fn smb(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let answer = context.ask(port, &smb_negotiate(), deadline, never).await;
    smb_answer(&answer)
}

/// Dialect and signing of a NEGOTIATE response ([MS-SMB2] §2.2.4).
fn smb_answer(answer: &[u8]) -> Option<Finding> {
    if answer.get(4..8)? != b"\xfeSMB" {
        let old = answer.get(4..8)? == b"\xffSMB";
        return old.then(|| Finding {
            info: "SMB 1 only".to_owned(),
            ..Finding::named("microsoft-ds", 1.0)
        });
    }
    let body = answer.get(68..)?;
    let dialect = u16::from_le_bytes(body.get(4..6)?.try_into().ok()?);
    let version = match dialect {
        0x0202 => "2.0.2",
        0x0210 => "2.1",
        0x0300 => "3.0",
        0x0302 => "3.0.2",
        _ => "2",
    };
    let signing = match body.get(2)? & 2 {
        0 => "signing not required",
        _ => "signing required",
    };
    Some(Finding {
        info: format!("SMB {version}, {signing}"),
        ..Finding::named("microsoft-ds", 1.0)
    })
}

/// X.224 connection request with RDP_NEG_REQ ([MS-RDPBCGR] §2.2.1.1): TLS or CredSSP.
const RDP_REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// Remote Desktop.
pub async fn rdp(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let answer = context.ask(port, &RDP_REQUEST, deadline, never).await;
    rdp_answer(&answer)
}

fn rdp_answer(answer: &[u8]) -> Option<Finding> {
    // TPKT version 3, then an X.224 connection confirm.
    if answer.first() != Some(&3) || answer.get(5)? & 0xf0 != 0xd0 {
        return None;
    }
    let security = match (answer.get(11), answer.get(15)) {
        (Some(2), Some(0)) => "standard RDP security",
        (Some(2), Some(1)) => "TLS",
        (Some(2), Some(_)) => "network level authentication (CredSSP)",
        (Some(3), _) => "refuses TLS and CredSSP",
        _ => "standard RDP security only",
    };
    Some(Finding {
        info: security.to_owned(),
        ..Finding::named("ms-wbt-server", 1.0)
    })
}

/// AMQP 0-9-1 (§4.2.2): the protocol header; the server answers with connection.start, or with the
/// header of the version that it wants.
pub async fn amqp(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let answer = context
        .ask(port, b"AMQP\0\0\x09\x01", deadline, never)
        .await;
    amqp_answer(&answer)
}

fn amqp_answer(answer: &[u8]) -> Option<Finding> {
    if answer.starts_with(b"AMQP") && answer.len() == 8 {
        return Some(Finding {
            info: format!("AMQP {}.{}.{}", answer[5], answer[6], answer[7]),
            ..Finding::named("amqp", 1.0)
        });
    }
    // Method frame on channel 0: class 10 (connection), method 10 (start).
    if answer.get(..3)? != [1, 0, 0] || answer.get(7..11)? != [0, 10, 0, 10] {
        return None;
    }
    let text = |name: &[u8]| table_string(answer, name).unwrap_or_default();
    let (product, version) = (text(b"product"), text(b"version"));
    let cpe = match product.as_str() {
        "RabbitMQ" => vec![format!("cpe:/a:vmware:rabbitmq:{version}")],
        _ => Vec::new(),
    };
    Some(Finding {
        product,
        version,
        cpe,
        info: text(b"platform"),
        ..Finding::named("amqp", 1.0)
    })
}

/// A long string (`S`) of an AMQP field table.
fn table_string(frame: &[u8], name: &[u8]) -> Option<String> {
    let length = u8::try_from(name.len()).ok()?;
    let key = [&[length], name, b"S"].concat();
    let at = frame.windows(key.len()).position(|w| w == key)? + key.len();
    let length = u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?) as usize;
    let text = frame.get(at + 4..(at + 4).checked_add(length)?)?;
    (text.len() < 64).then(|| escape(text))
}

/// MQTT 3.1.1 CONNECT (§3.1) with a clean session and no client id.
const MQTT_CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0";

/// MQTT.
pub async fn mqtt(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let answer = context.ask(port, MQTT_CONNECT, deadline, never).await;
    let [0x20, 2, _, code, ..] = answer.as_slice() else {
        return None;
    };
    let info = match code {
        0 => "accepts connections without a password",
        4 | 5 => "wants a password",
        _ => "refuses",
    };
    Some(Finding {
        info: info.to_owned(),
        ..Finding::named("mqtt", 1.0)
    })
}

/// `version.bind. CH TXT` (RFC 4892), with the length in front that TCP needs (RFC 1035 §4.2.2).
const DNS_QUERY: &[u8] = b"\0\x1e\x52\x43\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";

/// DNS over TCP.
pub async fn dns(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let answer = context.ask(port, DNS_QUERY, deadline, never).await;
    dns_answer(&answer)
}

fn dns_answer(answer: &[u8]) -> Option<Finding> {
    // Our id, and the bit that says response.
    if answer.get(2..4)? != [0x52, 0x43] || answer.get(4)? & 0x80 == 0 {
        return None;
    }
    let mut finding = Finding::named("domain", 1.0);
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
            ("PowerDNS", "PowerDNS", "cpe:/a:powerdns:powerdns"),
            ("9.", "ISC BIND", "cpe:/a:isc:bind"),
        ];
        for (start, product, cpe) in known {
            if let Some(rest) = text.strip_prefix(start) {
                finding.product = product.to_owned();
                let version = if start == "9." { &text } else { rest };
                let version = version.split([' ', '-']).next().unwrap_or_default();
                finding.version = version.to_owned();
                finding.cpe = vec![format!("{cpe}:{version}").trim_end_matches(':').to_owned()];
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
    fn requests_have_the_lengths_they_say() {
        let smb = smb_negotiate();
        assert_eq!(smb.len(), 4 + 64 + 36 + 8);
        assert_eq!(smb[3] as usize, smb.len() - 4);
        assert_eq!(RDP_REQUEST[3] as usize, RDP_REQUEST.len());
        assert_eq!(DNS_QUERY[1] as usize, DNS_QUERY.len() - 2);
        assert_eq!(MQTT_CONNECT[1] as usize, MQTT_CONNECT.len() - 2);
    }

    #[test]
    fn answers() {
        let mut smb = vec![0; 68];
        smb[4..8].copy_from_slice(b"\xfeSMB");
        smb.extend([65, 0, 3, 0, 0x02, 0x03]);
        assert_eq!(
            smb_answer(&smb).unwrap().info,
            "SMB 3.0.2, signing required"
        );
        let rdp = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 2, 0, 8, 0, 2, 0, 0, 0];
        assert!(rdp_answer(&rdp).unwrap().info.contains("CredSSP"));
        let amqp = b"\x01\0\0\0\0\0\xff\0\x0a\0\x0a\0\x09\0\0\0\xff\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x073.12.14";
        let amqp = amqp_answer(amqp).unwrap();
        assert_eq!(
            (amqp.product.as_str(), amqp.version.as_str()),
            ("RabbitMQ", "3.12.14")
        );
        let text = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.89";
        let mut dns = DNS_QUERY.to_vec();
        (dns[4], dns[9]) = (0x85, 1);
        dns.extend(text);
        let dns = dns_answer(&dns).unwrap();
        assert_eq!(
            (dns.product.as_str(), dns.version.as_str()),
            ("dnsmasq", "2.89")
        );
        let login = telnet(b"\xff\xfd\x18\xff\xfd\x20\r\nlogin: ").unwrap();
        assert_eq!(login.info, "login: ");
        assert!(telnet(b"hello").is_none());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (smb_answer(&bytes), rdp_answer(&bytes), amqp_answer(&bytes));
            let _ = (dns_answer(&bytes), telnet(&bytes));
            let dns = [b"\0\0\x52\x43\x80\0\0\x01\0\x01".as_slice(), &bytes].concat();
            let _ = dns_answer(&dns);
        }
    }
}
