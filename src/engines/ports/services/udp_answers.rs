//! What answers from UDP ports mean.

use super::display::{escape, first_line};
use super::udp::STUN;
use super::{Finding, names};

fn with_info(service: &str, info: impl Into<String>) -> Finding {
    Finding {
        info: info.into(),
        ..Finding::named(service, 1.0)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// What an answer in DNS means.
pub fn dns(answer: &[u8]) -> Option<Finding> {
    // The parser is for TCP, where the length comes first.
    names::dns_answer(&[&[0, 0], answer].concat())
}

/// What an answer in multicast DNS means.
pub fn mdns(answer: &[u8]) -> Option<Finding> {
    (answer.get(2)? & 0x80 != 0).then_some(())?;
    Some(with_info("mdns", format!("{} answers", word(answer, 6)?)))
}

/// What an answer in TFTP means.
pub fn tftp(answer: &[u8]) -> Option<Finding> {
    let text = |from: usize| {
        first_line(
            answer
                .get(from..)
                .unwrap_or_default()
                .split(|b| *b == 0)
                .next()
                .unwrap_or_default(),
        )
    };
    match word(answer, 0)? {
        5 if word(answer, 2)? <= 8 => Some(with_info("tftp", text(4))),
        3 | 6 => Some(with_info("tftp", "")),
        _ => None,
    }
}

/// What an answer in the port mapper's protocol means.
pub fn rpcbind(answer: &[u8]) -> Option<Finding> {
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
        0 | 1 => escape(
            answer[12..16]
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default(),
        ),
        _ => answer[12..16]
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join("."),
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
    let mac = answer
        .get(57 + count * 18..63 + count * 18)
        .unwrap_or_default();
    if mac.iter().any(|byte| *byte != 0) {
        let pairs: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        finding.detail("netbios.mac", pairs.join(":"));
    }
    finding.info = finding
        .details
        .get("netbios.name")
        .cloned()
        .unwrap_or_default();
    Some(finding)
}

/// The instances that the SQL Server Browser lists ([MC-SQLR] §2.2.5).
pub fn sql_browser(answer: &[u8]) -> Option<Finding> {
    let text = String::from_utf8_lossy(answer.strip_prefix(&[5])?.get(2..)?);
    let field = |name: &str| {
        text.split(&format!("{name};"))
            .nth(1)?
            .split(';')
            .next()
            .map(str::to_owned)
    };
    let version = field("Version").unwrap_or_default();
    let mut finding = Finding::named("ms-sql-m", 1.0).of_product(
        "Microsoft SQL Server",
        &version,
        "cpe:/a:microsoft:sql_server",
    );
    finding.info = escape(text.as_bytes());
    finding.detail(
        "mssql.server",
        field("ServerName")
            .map(|name| escape(name.as_bytes()))
            .unwrap_or_default(),
    );
    Some(finding)
}

/// What an answer in memcached's UDP frames means.
pub fn memcached(answer: &[u8]) -> Option<Finding> {
    super::databases::memcached_answer(answer.get(8..)?)
}

/// What an answer in Steam's server queries means.
pub fn steam(answer: &[u8]) -> Option<Finding> {
    let body = answer.strip_prefix(b"\xff\xff\xff\xff")?;
    match body.first()? {
        b'I' => Some(with_info(
            "steam",
            first_line(body.get(2..)?.split(|b| *b == 0).next()?),
        )),
        b'A' => Some(with_info("steam", "")),
        _ => None,
    }
}

/// What an answer in SIP means.
pub fn sip(answer: &[u8]) -> Option<Finding> {
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
        lines
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| escape(value.trim().as_bytes()))
    };
    let server = header("server").unwrap_or_default();
    let mut finding = with_info("upnp", server.clone());
    // `OS/version UPnP/version product/version`
    if let Some((product, version)) = server
        .rsplit(' ')
        .next()
        .and_then(|last| last.rsplit_once('/'))
    {
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

/// What an answer in STUN means.
pub fn stun(answer: &[u8]) -> Option<Finding> {
    let ours = matches!(word(answer, 0)?, 0x0101 | 0x0111) && answer.get(4..20)? == &STUN[4..20];
    ours.then_some(())?;
    let mut finding = Finding::named("stun", 1.0);
    let mut rest = answer.get(20..)?;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(value) = after.get(..length) else {
            break;
        };
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
    if answer.get(..8)? != b"RECONask"
        || !matches!(answer.get(17)?, 0x10 | 0x20)
        || answer.len() < 28
    {
        return None;
    }
    let mut finding = with_info("isakmp", if answer[17] == 0x10 { "IKEv1" } else { "IKEv2" });
    finding.detail("ike.exchange", answer[18].to_string());
    // Vendor ids (payload 13) that say who it is.
    let known: [(&[u8], &str); 3] = [
        (
            b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00",
            "dead peer detection",
        ),
        (
            b"\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb",
            "strongSwan",
        ),
        (
            b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00",
            "Cisco Unity",
        ),
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

/// What an answer in CoAP means.
pub fn coap(answer: &[u8]) -> Option<Finding> {
    // Version 1, our message id, an acknowledgement or a reset.
    let first = *answer.first()?;
    if !matches!(first >> 4, 6 | 7) || answer.get(2..4)? != b"\x52\x43" {
        return None;
    }
    let payload = answer
        .iter()
        .position(|byte| *byte == 0xff)
        .and_then(|at| answer.get(at + 1..));
    Some(with_info("coap", first_line(payload.unwrap_or_default())))
}

/// What an answer in L2TP means.
pub fn l2tp(answer: &[u8]) -> Option<Finding> {
    let control =
        word(answer, 0)? & 0xc80f == 0xc802 && usize::from(word(answer, 2)?) == answer.len();
    // AVP 0, message type: reply (2) or stop (4).
    let kind = answer.get(18..20)?;
    (control && matches!(kind, [0, 2 | 4])).then(|| Finding::named("l2tp", 1.0))
}

/// What an answer in OpenVPN means.
pub fn openvpn(answer: &[u8]) -> Option<Finding> {
    // P_CONTROL_HARD_RESET_SERVER_V2 that acknowledges our session.
    let ours = answer.first()? >> 3 == 8 && answer.windows(8).any(|w| w == b"RECONask");
    ours.then(|| Finding::named("openvpn", 1.0).of_product("OpenVPN", "", "cpe:/a:openvpn:openvpn"))
}

/// What an answer in NAT-PMP means.
pub fn natpmp(answer: &[u8]) -> Option<Finding> {
    let [0, 128, 0, _, _, _, _, _, address @ ..] = answer else {
        return None;
    };
    let [a, b, c, d] = <[u8; 4]>::try_from(address).ok()?;
    Some(with_info(
        "nat-pmp",
        format!("external address {a}.{b}.{c}.{d}"),
    ))
}

/// What an answer in RMCP means.
pub fn ipmi(answer: &[u8]) -> Option<Finding> {
    let known = answer.get(..4)? == [6, 0, 0xff, 7] && answer.len() >= 22;
    known.then(|| Finding::named("asf-rmcp", 1.0).of_product("IPMI", "", ""))
}

/// What an answer in RADIUS means.
pub fn radius(answer: &[u8]) -> Option<Finding> {
    let known = matches!(answer.first()?, 2 | 3 | 5) && answer.get(1)? == &0x52;
    (known && usize::from(word(answer, 2)?) == answer.len()).then(|| Finding::named("radius", 0.9))
}

/// What an answer in Mumble's ping means.
pub fn mumble(answer: &[u8]) -> Option<Finding> {
    if answer.len() != 24 || answer.get(4..12)? != b"RECONask" {
        return None;
    }
    let version = format!("{}.{}.{}", answer[1], answer[2], answer[3]);
    Some(Finding::named("mumble", 1.0).of_product(
        "Mumble server",
        &version,
        "cpe:/a:mumble:mumble",
    ))
}

/// What an answer in RakNet means.
pub fn raknet(answer: &[u8]) -> Option<Finding> {
    answer.starts_with(b"\x1cRECONask").then_some(())?;
    Some(with_info(
        "raknet",
        first_line(answer.get(35..).unwrap_or_default()),
    ))
}

/// What an answer in SLP means.
pub fn slp(answer: &[u8]) -> Option<Finding> {
    let known = answer.starts_with(b"\x02\x0a") && answer.get(10..12)? == b"\x52\x43";
    known.then(|| Finding::named("svrloc", 1.0))
}

/// What an answer in XDMCP means.
pub fn xdmcp(answer: &[u8]) -> Option<Finding> {
    let known = word(answer, 0)? == 1 && matches!(word(answer, 2)?, 5 | 6);
    (known && usize::from(word(answer, 4)?) + 6 == answer.len())
        .then(|| Finding::named("xdmcp", 1.0))
}
