use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mmsg::{Outgoing, SEND_LEN};

/// Length of the TCP header of a probe: 20 bytes and the option MSS.
const TCP_LEN: usize = 24;

/// Length of an IPv4 header without options.
const IPV4_LEN: usize = 20;

/// Length of an IPv6 header.
const IPV6_LEN: usize = 40;

/// The MSS of Ethernet (RFC 879): some filters drop a SYN without one.
const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// Flags of a TCP header (RFC 9293 §3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// One probe as it goes on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Syn {
    /// Our port.
    pub source_port: u16,
    /// The port that is tried.
    pub port: u16,
    /// The cookie.
    pub sequence: u32,
}

/// A whole IPv4 packet. For a raw socket (`IP_HDRINCL`) the kernel would fill in length and header
/// checksum; a packet socket sends it as it is.
pub fn syn_v4(packet: &mut Outgoing, from: Ipv4Addr, to: Ipv4Addr, syn: Syn) {
    let bytes = &mut packet.bytes;
    *bytes = [0; SEND_LEN];
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&((IPV4_LEN + TCP_LEN) as u16).to_be_bytes());
    // A different identification for each packet, as hosts do it; it carries nothing.
    bytes[4..6].copy_from_slice(&((syn.sequence >> 8) as u16).to_be_bytes());
    bytes[8] = 64;
    bytes[9] = TCP;
    bytes[12..16].copy_from_slice(&from.octets());
    bytes[16..20].copy_from_slice(&to.octets());
    tcp(&mut bytes[IPV4_LEN..], syn);
    // RFC 9293 §3.1: the pseudo header is both addresses, the protocol and the length.
    let pseudo = sum(&bytes[12..20]) + u32::from(TCP) + TCP_LEN as u32;
    let checksum = fold(pseudo + sum(&bytes[IPV4_LEN..]));
    bytes[IPV4_LEN + 16..IPV4_LEN + 18].copy_from_slice(&checksum.to_be_bytes());
    let checksum = fold(sum(&bytes[..IPV4_LEN]));
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.len = IPV4_LEN + TCP_LEN;
}

/// A TCP header alone: on a raw IPv6 socket the kernel adds the rest and the checksum.
pub fn syn_v6(packet: &mut Outgoing, syn: Syn) {
    packet.bytes = [0; SEND_LEN];
    tcp(&mut packet.bytes, syn);
    packet.len = TCP_LEN;
}

fn tcp(bytes: &mut [u8], syn: Syn) {
    bytes[0..2].copy_from_slice(&syn.source_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&syn.port.to_be_bytes());
    bytes[4..8].copy_from_slice(&syn.sequence.to_be_bytes());
    bytes[12] = ((TCP_LEN / 4) << 4) as u8;
    bytes[13] = SYN;
    bytes[14..16].copy_from_slice(&1024_u16.to_be_bytes());
    bytes[20..24].copy_from_slice(&MSS);
}

/// The one's complement sum of RFC 1071, not folded. The length must be even.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// What a TCP answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// SYN and ACK: something listens.
    Accepted,
    /// RST: nothing does.
    Refused,
}

/// A TCP answer, of which nothing is verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The port that answers.
    pub port: u16,
    /// The port of ours that it answers to.
    pub our_port: u16,
    /// What it acknowledges, less the one of the SYN: the sequence number of the probe.
    pub acknowledged: u32,
    /// What it says.
    pub said: Said,
}

/// The TCP answer in an IPv4 packet, and who sent it; `None` when there is none.
pub fn answer_v4(packet: &[u8]) -> Option<(Ipv4Addr, Answer)> {
    let (from, _, tcp) = ipv4(packet, TCP)?;
    Some((from, answer(tcp)?))
}

/// The TCP answer in what a raw IPv6 socket gives: the TCP header alone.
pub fn answer(tcp: &[u8]) -> Option<Answer> {
    let tcp: &[u8; 20] = tcp.first_chunk()?;
    let flags = tcp[13];
    let said = match flags & (SYN | RST | ACK) {
        accepted if accepted == SYN | ACK => Said::Accepted,
        refused if refused == RST | ACK => Said::Refused,
        // RFC 9293 §3.5.2: a reset that answers a SYN always acknowledges it.
        _ => return None,
    };
    Some(Answer {
        port: word(tcp, 0),
        our_port: word(tcp, 2),
        acknowledged: long(tcp, 8).wrapping_sub(1),
        said,
    })
}

/// Why a router or host says that a probe did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unreachable {
    /// No way to the network (RFC 792, code 0; RFC 4443 §3.1, code 0).
    Network,
    /// The host does not answer on its own network (code 1; ICMPv6 code 3).
    Host,
    /// A filter that says so (RFC 1812 §5.2.7.1, codes 9, 10 and 13; ICMPv6 codes 1, 5 and 6).
    Prohibited,
    /// The protocol or port, which a TCP stack would not say: a filter, too (codes 2 and 3; 4).
    Port,
}

/// An ICMP error about a probe, of which nothing is verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the probe went.
    pub to: IpAddr,
    /// The port that was tried.
    pub port: u16,
    /// The port of ours.
    pub our_port: u16,
    /// The sequence number of the probe.
    pub sequence: u32,
    /// What is wrong.
    pub why: Unreachable,
    /// It is this machine that says so: nobody has the address on its own network.
    pub own: bool,
}

/// The error in an IPv4 packet with ICMP (RFC 792: type 3 quotes the header and 8 bytes).
pub fn icmp_v4(packet: &[u8]) -> Option<IcmpError> {
    let (from, _, icmp) = ipv4(packet, 1)?;
    let [3, code, ..] = *icmp else { return None };
    let why = match code {
        0 | 6 | 11 => Unreachable::Network,
        1 | 5 | 7 | 8 | 12 => Unreachable::Host,
        9 | 10 | 13 => Unreachable::Prohibited,
        2 | 3 => Unreachable::Port,
        _ => return None,
    };
    let (source, to, quoted) = ipv4(icmp.get(8..)?, TCP)?;
    quote(to.into(), quoted, why, from == source && from != to)
}

/// The error in what a raw ICMPv6 socket gives (RFC 4443 §3.1: type 1 quotes the whole packet).
pub fn icmp_v6(icmp: &[u8], from: IpAddr) -> Option<IcmpError> {
    let [1, code, ..] = *icmp else { return None };
    let why = match code {
        0 => Unreachable::Network,
        1 | 5 | 6 => Unreachable::Prohibited,
        3 => Unreachable::Host,
        4 => Unreachable::Port,
        _ => return None,
    };
    let inner = icmp.get(8..)?;
    let header: &[u8; IPV6_LEN] = inner.first_chunk()?;
    if header[0] >> 4 != 6 || header[6] != TCP {
        return None;
    }
    let address = |at: usize| Some(Ipv6Addr::from(*header[at..].first_chunk::<16>()?));
    let to = IpAddr::V6(address(24)?);
    let own = from == IpAddr::V6(address(8)?) && from != to;
    quote(to, &inner[IPV6_LEN..], why, own)
}

fn quote(to: IpAddr, tcp: &[u8], why: Unreachable, own: bool) -> Option<IcmpError> {
    let tcp: &[u8; 8] = tcp.first_chunk()?;
    Some(IcmpError {
        to,
        our_port: word(tcp, 0),
        port: word(tcp, 2),
        sequence: long(tcp, 4),
        why,
        own,
    })
}

/// Source, destination and content of an IPv4 packet with this protocol; no later fragments.
fn ipv4(packet: &[u8], protocol: u8) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let header: &[u8; IPV4_LEN] = packet.first_chunk()?;
    let len = usize::from(header[0] & 15) * 4;
    let fragment = word(header, 6) & 0x1fff;
    if header[0] >> 4 != 4 || header[9] != protocol || fragment != 0 || len < IPV4_LEN {
        return None;
    }
    let at = |from: usize| {
        Ipv4Addr::new(
            header[from],
            header[from + 1],
            header[from + 2],
            header[from + 3],
        )
    };
    Some((at(12), at(16), packet.get(len..)?))
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod fuzz_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Outgoing {
        Outgoing {
            bytes: [0; SEND_LEN],
            len: 0,
            to: "0.0.0.0:0".parse().unwrap(),
        }
    }

    const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const PROBE: Syn = Syn {
        source_port: 50_000,
        port: 443,
        sequence: 0xdead_beef,
    };

    #[test]
    fn a_syn_has_a_right_checksum() {
        let mut packet = blank();
        syn_v4(&mut packet, FROM, TO, PROBE);
        assert_eq!(packet.len, 44);
        // RFC 1071: with the checksum in its place the sum is all ones.
        let whole = sum(&packet.bytes[12..44]) + 6 + 24;
        assert_eq!(fold(whole), 0);
        assert_eq!(fold(sum(&packet.bytes[..20])), 0);
        assert_eq!(packet.bytes[33], SYN);
        let mut v6 = blank();
        syn_v6(&mut v6, PROBE);
        assert_eq!(v6.bytes[4..8], packet.bytes[24..28]);
        assert_eq!(v6.len, 24);
    }

    /// An answer to [`PROBE`] with these flags.
    fn answering(flags: u8) -> Vec<u8> {
        let mut packet = blank();
        let back = Syn {
            source_port: 443,
            port: 50_000,
            sequence: 1,
        };
        syn_v4(&mut packet, TO, FROM, back);
        packet.bytes[28..32].copy_from_slice(&0xdead_bef0_u32.to_be_bytes());
        packet.bytes[33] = flags;
        packet.bytes.to_vec()
    }

    #[test]
    fn answers() {
        let (from, accepted) = answer_v4(&answering(SYN | ACK)).unwrap();
        assert_eq!(from, TO);
        assert_eq!(
            accepted,
            Answer {
                port: 443,
                our_port: 50_000,
                acknowledged: 0xdead_beef,
                said: Said::Accepted
            }
        );
        assert_eq!(
            answer_v4(&answering(RST | ACK)).unwrap().1.said,
            Said::Refused
        );
        for none in [RST, SYN, ACK, SYN | RST | ACK, 0] {
            assert_eq!(answer_v4(&answering(none)), None, "{none:#x}");
        }
        let mut fragment = answering(SYN | ACK);
        fragment[7] = 1;
        assert_eq!(answer_v4(&fragment), None);
        assert_eq!(answer_v4(&answering(SYN | ACK)[..39]), None);
    }

    #[test]
    fn icmp_errors_quote_the_probe() {
        let mut probe = blank();
        syn_v4(&mut probe, FROM, TO, PROBE);
        let mut packet = vec![
            0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1,
        ];
        packet.extend([3, 13, 0, 0, 0, 0, 0, 0]);
        packet.extend(&probe.bytes[..28]);
        let error = icmp_v4(&packet).unwrap();
        let expected = IcmpError {
            to: TO.into(),
            port: 443,
            our_port: 50_000,
            sequence: 0xdead_beef,
            why: Unreachable::Prohibited,
            own: false,
        };
        assert_eq!(error, expected);
        packet[20] = 11;
        assert_eq!(icmp_v4(&packet), None);

        let mut v6 = vec![1, 4, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 24, 6, 64];
        let to: Ipv6Addr = "2001:db8::2".parse().unwrap();
        v6.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend(to.octets());
        v6.extend(&probe.bytes[20..28]);
        let error = icmp_v6(&v6, "2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(
            error,
            IcmpError {
                to: to.into(),
                why: Unreachable::Port,
                own: true,
                ..expected
            }
        );
    }
}
