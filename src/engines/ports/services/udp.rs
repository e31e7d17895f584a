//! UDP: what to send to a port so that the service behind it answers, and what its answer means. The
//! sweep that sends and receives is elsewhere.
//!
//! All requests only ask. Where an answer could be much larger than the request, the smaller form is
//! asked for.

use super::display::{escape, first_line};
use super::{Finding, directory, names};

/// Requests by port; see [`payload`].
const PAYLOADS: [(&[u16], &[u8]); 24] = [
    (&[53, 5300, 1053], DNS),
    (&[67, 68], b""),
    (&[69], TFTP),
    (&[111], RPCBIND),
    (&[123], NTP),
    (&[137], NETBIOS),
    (&[161, 1161], SNMP_V1),
    (&[177], b"\0\x01\0\x02\0\x01\0"),
    (&[389], directory::LDAP_ROOT),
    (&[427], SLP),
    (&[443, 8443, 784, 853, 4433], QUIC),
    (&[500], IKE),
    (&[4500], IKE_NAT),
    (&[623], b"\x06\0\xff\x07\0\0\0\0\0\0\0\0\0\x09\x20\x18\xc8\x81\0\x38\x8e\x04\xb5"),
    (&[1194], b"\x38RECONask\0\0\0\0\0"),
    (&[1434], b"\x02"),
    (&[1645, 1812], RADIUS),
    (&[1701], L2TP),
    (&[1900], SSDP),
    (&[3478, 3479, 5349, 19302], STUN),
    (&[5060, 5061], SIP),
    (&[5351], b"\0\0"),
    (&[5353], MDNS),
    (&[5683, 5684], COAP),
];

/// More requests by port.
const PAYLOADS_MORE: [(&[u16], &[u8]); 5] = [
    (&[11211], b"\x52\x43\0\0\0\x01\0\0version\r\n"),
    (&[27015, 27016, 27017, 27018], STEAM),
    (&[64738], b"\0\0\0\0RECONask"),
    (&[25565, 19132], RAKNET),
    (&[10001], b"\x01\0\0\0"),
];

/// version.bind TXT CH.
const DNS: &[u8] = names::DNS_QUERY.split_at(2).1;

/// A read request for a file that is not there (RFC 1350): the answer is an error.
const TFTP: &[u8] = b"\0\x01recon-no-such-file\0octet\0";

/// A NULL call to the port mapper, version 2 (RFC 5531, RFC 1833).
const RPCBIND: &[u8] = b"RCrc\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A client's request, version 4 (RFC 5905 §7.3), with a transmit time to be echoed.
const NTP: &[u8] = b"\xe3\0\x06\xec\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0RECONask";

/// NBSTAT query for `*` (RFC 1002 §4.2.17).
const NETBIOS: &[u8] = b"\x52\x43\0\0\0\x01\0\0\0\0\0\0\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01";

/// GET of sysDescr.0 and sysName.0, community `public`; version 1, which every agent speaks.
const SNMP_V1: &[u8] = b"\x30\x35\x02\x01\0\x04\x06public\xa0\x28\x02\x02\x52\x43\x02\x01\0\x02\x01\0\x30\x1c\
    \x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\0\x05\0\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x05\0\x05\0";

/// Service type request (RFC 2608 §10.1).
const SLP: &[u8] = b"\x02\x09\0\0\x1d\0\0\0\0\0\x52\x43\0\x02en\0\0\xff\xff\0\x07default";

/// SA_INIT of version 1: one proposal of 3DES, SHA-1, group 2, pre-shared key (RFC 2409).
const IKE: &[u8] = b"RECONask\0\0\0\0\0\0\0\0\x01\x10\x02\0\0\0\0\0\0\0\0\x54\
    \0\0\0\x38\0\0\0\x01\0\0\0\x01\0\0\0\x2c\x01\x01\0\x01\0\0\0\x24\x01\x01\0\0\
    \x80\x01\0\x05\x80\x02\0\x02\x80\x03\0\x01\x80\x04\0\x02\x80\x0b\0\x01\0\x0c\0\x04\0\0\x70\x80";

/// The same behind the marker of NAT traversal (RFC 3948 §2.2).
const IKE_NAT: &[u8] = b"\0\0\0\0RECONask\0\0\0\0\0\0\0\0\x01\x10\x02\0\0\0\0\0\0\0\0\x54\
    \0\0\0\x38\0\0\0\x01\0\0\0\x01\0\0\0\x2c\x01\x01\0\x01\0\0\0\x24\x01\x01\0\0\
    \x80\x01\0\x05\x80\x02\0\x02\x80\x03\0\x01\x80\x04\0\x02\x80\x0b\0\x01\0\x0c\0\x04\0\0\x70\x80";

/// Status-Server (RFC 5997). Without the shared secret its authenticator is wrong: most servers are
/// silent.
const RADIUS: &[u8] = b"\x0c\x52\0\x14RECON asks a lot";

/// Start-Control-Connection-Request (RFC 2661 §6.1).
const L2TP: &[u8] = b"\xc8\x02\0\x3c\0\0\0\0\0\0\0\0\x80\x08\0\0\0\0\0\x01\x80\x08\0\0\0\x02\x01\0\
    \x80\x0a\0\0\0\x03\0\0\0\x03\x80\x0b\0\0\0\x07recon\x80\x08\0\0\0\x09\x52\x43\x80\x08\0\0\0\x0a\0\x04";

const SSDP: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n";

/// Binding request (RFC 8489 §6).
const STUN: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42RECON asks a";

const SIP: &[u8] = b"OPTIONS sip:recon@recon.invalid SIP/2.0\r\n\
    Via: SIP/2.0/UDP recon.invalid;branch=z9hG4bK7265636f6e;rport\r\nMax-Forwards: 0\r\n\
    From: <sip:recon@recon.invalid>;tag=7265636f\r\nTo: <sip:recon@recon.invalid>\r\n\
    Call-ID: recon\r\nCSeq: 1 OPTIONS\r\nContact: <sip:recon@recon.invalid>\r\n\
    Accept: application/sdp\r\nContent-Length: 0\r\n\r\n";

/// `_services._dns-sd._udp.local PTR`, unicast answer wanted (RFC 6762 §5.4).
const MDNS: &[u8] = b"\x52\x43\0\0\0\x01\0\0\0\0\0\0\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\x80\x01";

/// GET /.well-known/core (RFC 7252, RFC 6690), confirmable.
const COAP: &[u8] = b"\x40\x01\x52\x43\xbb.well-known\x04core";

/// A2S_INFO.
const STEAM: &[u8] = b"\xff\xff\xff\xffTSource Engine Query\0";

/// Unconnected ping.
const RAKNET: &[u8] = b"\x01RECONask\0\xff\xff\0\xfe\xfe\xfe\xfe\xfd\xfd\xfd\xfd\x12\x34\x56\x78RECONask";

/// A long header with a version that nobody speaks (RFC 9000 §6, §15): any server answers with the
/// versions that it does. As long as a server wants an initial packet to be.
const QUIC: &[u8] = &{
    let mut packet = [0; 1200];
    packet[0] = 0xc0;
    let head = *b"\x1a\x2a\x3a\x4a\x08RECONask\x08recon555";
    let mut at = 0;
    while at < head.len() {
        packet[1 + at] = head[at];
        at += 1;
    }
    packet
};

/// What to send to a UDP port so that its usual service answers. For other ports a single line feed
/// and return: more services answer that than an empty datagram.
pub(crate) fn payload(port: u16) -> &'static [u8] {
    let all = PAYLOADS.iter().chain(&PAYLOADS_MORE);
    let mut all = all.filter(|(ports, _)| ports.contains(&port));
    all.next().map_or(b"\r\n\r\n", |(_, payload)| payload)
}

/// Whether the usual service of a port has an answer to what [`payload`] sends; from the others (syslog,
/// WireGuard, DHCP, RADIUS without the secret) silence says nothing.
pub(crate) fn answers(port: u16) -> bool {
    const SILENT: [u16; 8] = [67, 68, 514, 1645, 1812, 1813, 4789, 51820];
    payload(port).len() > 4 && !SILENT.contains(&port)
}

/// What an answer from a UDP port means. `None`: nothing that is known; the port is open all the
/// same.
pub(crate) fn identify_udp(port: u16, answer: &[u8]) -> Option<Finding> {
    let by_port: &[fn(&[u8]) -> Option<Finding>] = match port {
        53 | 5300 | 1053 => &[dns],
        5353 => &[mdns],
        69 => &[tftp],
        111 => &[rpcbind],
        123 => &[ntp],
        137 => &[netbios],
        161 | 1161 => &[directory::snmp_answer],
        389 => &[directory::ldap_answer],
        1434 => &[sql_browser],
        11211 => &[memcached],
        27015..=27018 => &[steam],
        _ => &[],
    };
    // The answer of a service that listens elsewhere than it usually does is to a request that it does
    // not know; those that can be told from their first bytes are tried all the same.
    const ANY: [fn(&[u8]) -> Option<Finding>; 15] = [
        sip, ssdp, quic, stun, ike, coap, l2tp, openvpn, natpmp, ipmi, radius, mumble, raknet, slp, xdmcp,
    ];
    let all = by_port.iter().chain(&ANY);
    all.into_iter().find_map(|parser| parser(answer))
}

fn with_info(service: &str, info: impl Into<String>) -> Finding {
    Finding {
        info: info.into(),
        ..Finding::named(service, 1.0)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn dns(answer: &[u8]) -> Option<Finding> {
    // The parser is for TCP, where the length comes first.
    names::dns_answer(&[&[0, 0], answer].concat())
}

fn mdns(answer: &[u8]) -> Option<Finding> {
    (answer.get(2)? & 0x80 != 0).then_some(())?;
    Some(with_info("mdns", format!("{} answers", word(answer, 6)?)))
}

fn tftp(answer: &[u8]) -> Option<Finding> {
    let text = |from: usize| first_line(answer.get(from..).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default());
    match word(answer, 0)? {
        5 if word(answer, 2)? <= 8 => Some(with_info("tftp", text(4))),
        3 | 6 => Some(with_info("tftp", "")),
        _ => None,
    }
}

fn rpcbind(answer: &[u8]) -> Option<Finding> {
    // Our call, a reply, accepted.
    let ours = answer.get(..4)? == b"RCrc" && answer.get(4..8)? == [0, 0, 0, 1];
    ours.then(|| Finding::named("rpcbind", 1.0))
}

/// Leap, version, mode, stratum and reference of an NTP answer (RFC 5905 §7.3).
pub fn ntp(answer: &[u8]) -> Option<Finding> {
    let first = *answer.first()?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    if answer.len() < 48 || mode != 4 || !(1..=4).contains(&version) {
        return None;
    }
    let stratum = answer[1];
    let mut finding = with_info("ntp", format!("NTP v{version}, stratum {stratum}"));
    finding.detail("ntp.stratum", stratum.to_string());
    let reference = match stratum {
        0 | 1 => escape(answer[12..16].split(|byte| *byte == 0).next().unwrap_or_default()),
        _ => answer[12..16].iter().map(u8::to_string).collect::<Vec<_>>().join("."),
    };
    finding.detail("ntp.reference", reference);
    if answer.get(24..32) != Some(b"RECONask") {
        finding.confidence = 0.8;
    }
    Some(finding)
}

/// The names of a NetBIOS node (RFC 1002 §4.2.18).
pub fn netbios(answer: &[u8]) -> Option<Finding> {
    // Our id, a response, one answer; a name of 34 bytes, NBSTAT.
    if word(answer, 0)? != 0x5243 || answer.get(2)? & 0x80 == 0 || word(answer, 46)? != 0x21 {
        return None;
    }
    let count = usize::from(*answer.get(56)?);
    let mut finding = Finding::named("netbios-ns", 1.0);
    for name in answer.get(57..)?.chunks_exact(18).take(count) {
        let text = escape(name[..15].trim_ascii_end());
        let group = name[16] & 0x80 != 0;
        match (name[15], group) {
            (0, false) => finding.detail("netbios.name", text),
            (0, true) => finding.detail("netbios.workgroup", text),
            (3, false) => finding.detail("netbios.user", text),
            _ => {}
        }
    }
    let mac = answer.get(57 + count * 18..63 + count * 18).unwrap_or_default();
    if mac.iter().any(|byte| *byte != 0) {
        let pairs: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        finding.detail("netbios.mac", pairs.join(":"));
    }
    finding.info = finding.details.get("netbios.name").cloned().unwrap_or_default();
    Some(finding)
}

/// The instances that the SQL Server Browser lists ([MC-SQLR] §2.2.5).
pub fn sql_browser(answer: &[u8]) -> Option<Finding> {
    let text = String::from_utf8_lossy(answer.strip_prefix(&[5])?.get(2..)?);
    let field = |name: &str| text.split(&format!("{name};")).nth(1)?.split(';').next().map(str::to_owned);
    let version = field("Version").unwrap_or_default();
    let mut finding = Finding::named("ms-sql-m", 1.0).of_product("Microsoft SQL Server", &version, "cpe:/a:microsoft:sql_server");
    finding.info = escape(text.as_bytes());
    finding.detail("mssql.server", field("ServerName").map(|name| escape(name.as_bytes())).unwrap_or_default());
    Some(finding)
}

fn memcached(answer: &[u8]) -> Option<Finding> {
    super::databases::memcached_answer(answer.get(8..)?)
}

fn steam(answer: &[u8]) -> Option<Finding> {
    let body = answer.strip_prefix(b"\xff\xff\xff\xff")?;
    match body.first()? {
        b'I' => Some(with_info("steam", first_line(body.get(2..)?.split(|b| *b == 0).next()?))),
        b'A' => Some(with_info("steam", "")),
        _ => None,
    }
}

fn sip(answer: &[u8]) -> Option<Finding> {
    answer.starts_with(b"SIP/2.0 ").then_some(())?;
    let mut finding = super::products::identify_answer("sip", answer)?;
    finding.info = first_line(answer);
    Some(finding)
}

/// Server and location of an answer to a search (UPnP device architecture §1.3.3).
pub fn ssdp(answer: &[u8]) -> Option<Finding> {
    if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"NOTIFY * ") {
        return None;
    }
    let text = String::from_utf8_lossy(answer);
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| escape(value.trim().as_bytes()))
    };
    let server = header("server").unwrap_or_default();
    let mut finding = with_info("upnp", server.clone());
    // `OS/version UPnP/version product/version`
    if let Some((product, version)) = server.rsplit(' ').next().and_then(|last| last.rsplit_once('/')) {
        finding = finding.of_product(product, version, "");
        finding.confidence = 0.95;
    }
    finding.detail("upnp.location", header("location").unwrap_or_default());
    Some(finding)
}

/// The versions of a QUIC version negotiation (RFC 9000 §17.2.1).
pub fn quic(answer: &[u8]) -> Option<Finding> {
    if answer.first()? & 0x80 == 0 || answer.get(1..5)? != [0; 4] {
        return None;
    }
    // Our source id is their destination id.
    let ours = usize::from(*answer.get(5)?);
    let theirs = usize::from(*answer.get(6 + ours)?);
    let versions = answer.get(7 + ours + theirs..)?.chunks_exact(4).take(16);
    let name = |version: &[u8]| match *version {
        [0, 0, 0, 1] => "v1".to_owned(),
        [0x6b, 0x33, 0x43, 0xcf] => "v2".to_owned(),
        [0xff, 0, 0, draft] => format!("draft-{draft}"),
        [b'Q', ..] => escape(version),
        _ => String::new(),
    };
    let names: Vec<String> = versions.map(name).filter(|name| !name.is_empty()).collect();
    if answer.get(6..6 + ours)? != b"recon555" || names.is_empty() {
        return None;
    }
    Some(with_info("quic", format!("QUIC {}", names.join(" "))))
}

fn stun(answer: &[u8]) -> Option<Finding> {
    let ours = matches!(word(answer, 0)?, 0x0101 | 0x0111) && answer.get(4..20)? == &STUN[4..20];
    ours.then_some(())?;
    let mut finding = Finding::named("stun", 1.0);
    let mut rest = answer.get(20..)?;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(value) = after.get(..length) else { break };
        if head[..2] == [0x80, 0x22] {
            // SOFTWARE.
            finding.info = first_line(value);
            let words = finding.info.clone();
            let (product, version) = words.split_once('-').unwrap_or((&words, ""));
            let version = version.split([' ', '\'']).next().unwrap_or_default();
            finding = finding.of_product(product, version, "");
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(finding)
}

/// An IKE answer to our SA (RFC 2408 §3.1), with the marker of NAT traversal or without.
pub fn ike(answer: &[u8]) -> Option<Finding> {
    let answer = answer.strip_prefix(&[0, 0, 0, 0]).unwrap_or(answer);
    if answer.get(..8)? != b"RECONask" || !matches!(answer.get(17)?, 0x10 | 0x20) || answer.len() < 28 {
        return None;
    }
    let mut finding = with_info("isakmp", if answer[17] == 0x10 { "IKEv1" } else { "IKEv2" });
    finding.detail("ike.exchange", answer[18].to_string());
    // Vendor ids (payload 13) that say who it is.
    let known: [(&[u8], &str); 3] = [
        (b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00", "dead peer detection"),
        (b"\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb", "strongSwan"),
        (b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00", "Cisco Unity"),
    ];
    for (id, name) in known {
        if answer.windows(id.len()).any(|w| w == id) {
            if name == "strongSwan" {
                finding = finding.of_product(name, "", "cpe:/a:strongswan:strongswan");
            }
            finding.info = format!("{}, {name}", finding.info);
        }
    }
    Some(finding)
}

fn coap(answer: &[u8]) -> Option<Finding> {
    // Version 1, our message id, an acknowledgement or a reset.
    let first = *answer.first()?;
    if !matches!(first >> 4, 6 | 7) || answer.get(2..4)? != b"\x52\x43" {
        return None;
    }
    let payload = answer.iter().position(|byte| *byte == 0xff).and_then(|at| answer.get(at + 1..));
    Some(with_info("coap", first_line(payload.unwrap_or_default())))
}

fn l2tp(answer: &[u8]) -> Option<Finding> {
    let control = word(answer, 0)? & 0xc80f == 0xc802 && usize::from(word(answer, 2)?) == answer.len();
    // AVP 0, message type: reply (2) or stop (4).
    let kind = answer.get(18..20)?;
    (control && matches!(kind, [0, 2 | 4])).then(|| Finding::named("l2tp", 1.0))
}

fn openvpn(answer: &[u8]) -> Option<Finding> {
    // P_CONTROL_HARD_RESET_SERVER_V2 that acknowledges our session.
    let ours = answer.first()? >> 3 == 8 && answer.windows(8).any(|w| w == b"RECONask");
    ours.then(|| Finding::named("openvpn", 1.0).of_product("OpenVPN", "", "cpe:/a:openvpn:openvpn"))
}

fn natpmp(answer: &[u8]) -> Option<Finding> {
    let [0, 128, 0, _, _, _, _, _, address @ ..] = answer else { return None };
    let [a, b, c, d] = <[u8; 4]>::try_from(address).ok()?;
    Some(with_info("nat-pmp", format!("external address {a}.{b}.{c}.{d}")))
}

fn ipmi(answer: &[u8]) -> Option<Finding> {
    let known = answer.get(..4)? == [6, 0, 0xff, 7] && answer.len() >= 22;
    known.then(|| Finding::named("asf-rmcp", 1.0).of_product("IPMI", "", ""))
}

fn radius(answer: &[u8]) -> Option<Finding> {
    let known = matches!(answer.first()?, 2 | 3 | 5) && answer.get(1)? == &0x52;
    (known && usize::from(word(answer, 2)?) == answer.len()).then(|| Finding::named("radius", 0.9))
}

fn mumble(answer: &[u8]) -> Option<Finding> {
    if answer.len() != 24 || answer.get(4..12)? != b"RECONask" {
        return None;
    }
    let version = format!("{}.{}.{}", answer[1], answer[2], answer[3]);
    Some(Finding::named("mumble", 1.0).of_product("Mumble server", &version, "cpe:/a:mumble:mumble"))
}

fn raknet(answer: &[u8]) -> Option<Finding> {
    answer.starts_with(b"\x1cRECONask").then_some(())?;
    Some(with_info("raknet", first_line(answer.get(35..).unwrap_or_default())))
}

fn slp(answer: &[u8]) -> Option<Finding> {
    let known = answer.starts_with(b"\x02\x0a") && answer.get(10..12)? == b"\x52\x43";
    known.then(|| Finding::named("svrloc", 1.0))
}

fn xdmcp(answer: &[u8]) -> Option<Finding> {
    let known = word(answer, 0)? == 1 && matches!(word(answer, 2)?, 5 | 6);
    (known && usize::from(word(answer, 4)?) + 6 == answer.len()).then(|| Finding::named("xdmcp", 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ber;
    use super::*;

    #[test]
    fn requests_have_the_lengths_they_say() {
        assert_eq!(NTP.len(), 48);
        assert_eq!(NETBIOS.len(), 50);
        assert_eq!(RPCBIND.len(), 40);
        assert_eq!(usize::from(IKE[27]), IKE.len());
        assert_eq!(IKE_NAT[4..], *IKE);
        assert_eq!(usize::from(RADIUS[3]), RADIUS.len());
        assert_eq!(usize::from(L2TP[3]), L2TP.len());
        assert_eq!(STUN.len(), 20);
        assert_eq!(usize::from(SLP[4]), SLP.len());
        assert!(ber::tagged(SNMP_V1, 0x30).unwrap().1.is_empty());
        assert_eq!(payload(53)[..2], *b"\x52\x43");
        assert_eq!(payload(40_000), b"\r\n\r\n");
        assert_eq!(payload(443).len(), 1200);
        assert!(answers(53) && !answers(514) && !answers(51_820));
    }

    #[test]
    fn time_and_names() {
        let mut answer = b"\x24\x02\x06\xec\0\0\0\0\0\0\0\0\x0a\0\0\x01".to_vec();
        answer.resize(24, 0);
        answer.extend(b"RECONask");
        answer.resize(48, 0);
        let found = identify_udp(123, &answer).unwrap();
        assert_eq!(found.info, "NTP v4, stratum 2");
        assert_eq!(found.details["ntp.reference"], "10.0.0.1");

        let mut answer = b"\x52\x43\x84\0\0\0\0\x01\0\0\0\0\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01\0\0\0\0\0\x2b\x02".to_vec();
        answer.extend(b"FILES          \0\x04\0WORK           \0\x84\0\0\x11\x22\x33\x44\x55");
        let found = identify_udp(137, &answer).unwrap();
        assert_eq!((found.info.as_str(), found.details["netbios.workgroup"].as_str()), ("FILES", "WORK"));
        assert_eq!(found.details["netbios.mac"], "00:11:22:33:44:55");
    }

    #[test]
    fn by_their_first_bytes() {
        let quic = b"\xc0\0\0\0\0\x08recon555\x08RECONask\0\0\0\x01\x6b\x33\x43\xcf";
        assert_eq!(identify_udp(443, quic).unwrap().info, "QUIC v1 v2");
        let upnp = b"HTTP/1.1 200 OK\r\nSERVER: Linux/5.4 UPnP/1.1 MiniUPnPd/2.2.1\r\nLOCATION: http://10.0.0.1/r.xml\r\n\r\n";
        let found = identify_udp(1900, upnp).unwrap();
        assert_eq!((found.product.as_str(), found.version.as_str()), ("MiniUPnPd", "2.2.1"));
        let stun = [b"\x01\x01\0\x0c", &STUN[4..], b"\x80\x22\0\x08Coturn-4".as_slice()].concat();
        assert_eq!(identify_udp(3478, &stun).unwrap().product, "Coturn");
        let sip = b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n";
        assert_eq!(identify_udp(5060, sip).unwrap().version, "5.6.3");
        let cached = b"\x52\x43\0\0\0\x01\0\0VERSION 1.6.18\r\n";
        assert_eq!(identify_udp(11211, cached).unwrap().version, "1.6.18");
        assert_eq!(identify_udp(69, b"\0\x05\0\x01File not found\0").unwrap().info, "File not found");
        let sql = b"\x05\x40\0ServerName;DB;InstanceName;X;IsClustered;No;Version;15.0.2000.5;;";
        assert_eq!(identify_udp(1434, sql).unwrap().version, "15.0.2000.5");
        assert!(identify_udp(40_000, b"hello").is_none());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), index in 0_usize..29) {
            let all = PAYLOADS.iter().chain(&PAYLOADS_MORE);
            let (ports, request) = all.clone().nth(index).unwrap();
            let _ = identify_udp(ports[0], &bytes);
            let echo = [*request, bytes.as_slice()].concat();
            let _ = identify_udp(ports[0], &echo);
        }
    }
}
