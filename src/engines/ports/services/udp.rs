//! UDP: what to send to a port so that the service behind it answers, and what its answer means. The
//! sweep that sends and receives is `ports::udp`.
//!
//! All requests only ask. Where an answer could be much larger than the request, the smaller form is
//! asked for.

use super::{Finding, directory, names, udp_answers as answer_of};

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
    (
        &[623],
        b"\x06\0\xff\x07\0\0\0\0\0\0\0\0\0\x09\x20\x18\xc8\x81\0\x38\x8e\x04\xb5",
    ),
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
const RPCBIND: &[u8] =
    b"RCrc\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A client's request, version 4 (RFC 5905 §7.3), with a transmit time to be echoed.
const NTP: &[u8] = b"\xe3\0\x06\xec\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0RECONask";

/// NBSTAT query for `*` (RFC 1002 §4.2.17).
const NETBIOS: &[u8] =
    b"\x52\x43\0\0\0\x01\0\0\0\0\0\0\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01";

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
const L2TP: &[u8] = b"\xc8\x02\0\x41\0\0\0\0\0\0\0\0\x80\x08\0\0\0\0\0\x01\x80\x08\0\0\0\x02\x01\0\
    \x80\x0a\0\0\0\x03\0\0\0\x03\x80\x0b\0\0\0\x07recon\x80\x08\0\0\0\x09\x52\x43\x80\x08\0\0\0\x0a\0\x04";

const SSDP: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n";

/// Binding request (RFC 8489 §6).
pub const STUN: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42RECON asks a";

const SIP: &[u8] = b"OPTIONS sip:recon@recon.invalid SIP/2.0\r\n\
    Via: SIP/2.0/UDP recon.invalid;branch=z9hG4bK7265636f6e;rport\r\nMax-Forwards: 0\r\n\
    From: <sip:recon@recon.invalid>;tag=7265636f\r\nTo: <sip:recon@recon.invalid>\r\n\
    Call-ID: recon\r\nCSeq: 1 OPTIONS\r\nContact: <sip:recon@recon.invalid>\r\n\
    Accept: application/sdp\r\nContent-Length: 0\r\n\r\n";

/// `_services._dns-sd._udp.local PTR`, unicast answer wanted (RFC 6762 §5.4).
const MDNS: &[u8] =
    b"\x52\x43\0\0\0\x01\0\0\0\0\0\0\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\x80\x01";

/// GET /.well-known/core (RFC 7252, RFC 6690), confirmable.
const COAP: &[u8] = b"\x40\x01\x52\x43\xbb.well-known\x04core";

/// A2S_INFO.
const STEAM: &[u8] = b"\xff\xff\xff\xffTSource Engine Query\0";

/// Unconnected ping.
const RAKNET: &[u8] =
    b"\x01RECONask\0\xff\xff\0\xfe\xfe\xfe\xfe\xfd\xfd\xfd\xfd\x12\x34\x56\x78RECONask";

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

/// What to send to a UDP port so that its usual service answers. For other ports two empty
/// lines: more services answer those than an empty datagram.
pub(crate) fn payload(port: u16) -> &'static [u8] {
    let all = PAYLOADS.iter().chain(&PAYLOADS_MORE);
    let mut all = all.filter(|(ports, _)| ports.contains(&port));
    all.next().map_or(b"\r\n\r\n", |(_, payload)| payload)
}

/// What to send when there was no answer: another form of the request, for services that know only
/// that one; else the same again.
pub(crate) fn payload_again(port: u16) -> &'static [u8] {
    match port {
        161 | 1161 => directory::SNMP_V3,
        _ => payload(port),
    }
}

/// Reads an answer.
type Parser = fn(&[u8]) -> Option<Finding>;

/// What an answer from a UDP port means. `None`: nothing that is known; the port is open all the
/// same.
pub(crate) fn identify_udp(port: u16, answer: &[u8]) -> Option<Finding> {
    let by_port: &[Parser] = match port {
        53 | 5300 | 1053 => &[answer_of::dns],
        5353 => &[answer_of::mdns],
        69 => &[answer_of::tftp],
        111 => &[answer_of::rpcbind],
        123 => &[answer_of::ntp],
        137 => &[answer_of::netbios],
        161 | 1161 => &[directory::snmp_answer],
        389 => &[directory::ldap_answer],
        1434 => &[answer_of::sql_browser],
        11211 => &[answer_of::memcached],
        27015..=27018 => &[answer_of::steam],
        _ => &[],
    };
    // The answer of a service that listens elsewhere than it usually does is to a request that it does
    // not know; those that can be told from their first bytes are tried all the same.
    const ANY: [Parser; 15] = [
        answer_of::sip,
        answer_of::ssdp,
        answer_of::quic,
        answer_of::stun,
        answer_of::ike,
        answer_of::coap,
        answer_of::l2tp,
        answer_of::openvpn,
        answer_of::natpmp,
        answer_of::ipmi,
        answer_of::radius,
        answer_of::mumble,
        answer_of::raknet,
        answer_of::slp,
        answer_of::xdmcp,
    ];
    let all = by_port.iter().chain(&ANY);
    all.into_iter().find_map(|parser| parser(answer))
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
        assert_eq!(
            (
                found.info.as_str(),
                found.details["netbios.workgroup"].as_str()
            ),
            ("FILES", "WORK")
        );
        assert_eq!(found.details["netbios.mac"], "00:11:22:33:44:55");
    }

    #[test]
    fn by_their_first_bytes() {
        let quic = b"\xc0\0\0\0\0\x08recon555\x08RECONask\0\0\0\x01\x6b\x33\x43\xcf";
        assert_eq!(identify_udp(443, quic).unwrap().info, "QUIC v1 v2");
        let upnp = b"HTTP/1.1 200 OK\r\nSERVER: Linux/5.4 UPnP/1.1 MiniUPnPd/2.2.1\r\nLOCATION: http://10.0.0.1/r.xml\r\n\r\n";
        let found = identify_udp(1900, upnp).unwrap();
        assert_eq!(
            (found.product.as_str(), found.version.as_str()),
            ("MiniUPnPd", "2.2.1")
        );
        let stun = [
            b"\x01\x01\0\x0c",
            &STUN[4..],
            b"\x80\x22\0\x08Coturn-4".as_slice(),
        ]
        .concat();
        assert_eq!(identify_udp(3478, &stun).unwrap().product, "Coturn");
        let sip = b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n";
        assert_eq!(identify_udp(5060, sip).unwrap().version, "5.6.3");
        let cached = b"\x52\x43\0\0\0\x01\0\0VERSION 1.6.18\r\n";
        assert_eq!(identify_udp(11211, cached).unwrap().version, "1.6.18");
        assert_eq!(
            identify_udp(69, b"\0\x05\0\x01File not found\0")
                .unwrap()
                .info,
            "File not found"
        );
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
