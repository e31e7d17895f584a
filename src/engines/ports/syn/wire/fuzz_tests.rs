//! Fuzz targets: a packet tells what stands in it, at the places where the RFCs put it, or nothing at
//! all. The corpus is what Linux answers to a SYN, as a raw socket gives it.

use super::*;
use crate::engines::ports::fuzz::fuzz;

macro_rules! corpus {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/corpus/", $name))
    };
}

/// What any of several protocols may say; the seeds are told apart by nothing else.
fn tells(seeds: &[&[u8]], parse: impl Fn(&[u8]) -> bool + std::panic::RefUnwindSafe) {
    for seed in seeds {
        assert!(parse(seed), "a seed that says nothing: {seed:x?}");
        // Nor is one cut short read beyond its end.
        for end in 0..seed.len() {
            parse(&seed[..end]);
        }
    }
    fuzz(seeds, |bytes| {
        parse(bytes);
    });
}

/// The answer is what the TCP header says that begins here.
fn is_in(answer: &Answer, tcp: &[u8]) {
    assert_eq!(answer.port.to_be_bytes(), tcp[..2]);
    assert_eq!(answer.our_port.to_be_bytes(), tcp[2..4]);
    assert_eq!(
        answer.acknowledged.wrapping_add(1).to_be_bytes(),
        tcp[8..12]
    );
    let flags = match answer.said {
        Said::Accepted => SYN | ACK,
        Said::Refused => RST | ACK,
    };
    assert_eq!(tcp[13] & (SYN | RST | ACK), flags);
}

#[test]
fn tcp_v4() {
    tells(
        &[corpus!("syn-ack-v4.bin"), corpus!("reset-v4.bin")],
        |packet| {
            let Some((from, answer)) = answer_v4(packet) else {
                return false;
            };
            assert_eq!((packet[0] >> 4, packet[9]), (4, TCP));
            assert_eq!(from.octets(), packet[12..16]);
            // Only the first fragment has a TCP header.
            assert_eq!((packet[6] & 0x1f, packet[7]), (0, 0));
            is_in(&answer, &packet[usize::from(packet[0] & 15) * 4..]);
            true
        },
    );
}

#[test]
fn tcp_v6() {
    tells(
        &[corpus!("syn-ack-v6.bin"), corpus!("reset-v6.bin")],
        |packet| {
            let answer = answer(packet);
            answer.inspect(|answer| is_in(answer, packet)).is_some()
        },
    );
}

/// The probe that an error is about, made again, begins as what the error quotes.
fn is_quoted(error: &IcmpError, quoted: &[u8]) {
    let mut probe = Outgoing {
        bytes: [0; SEND_LEN],
        len: 0,
        to: "0.0.0.0:0".parse().unwrap(),
    };
    let syn = Syn {
        source_port: error.our_port,
        port: error.port,
        sequence: error.sequence,
    };
    syn_v6(&mut probe, syn);
    assert_eq!(probe.bytes[..8], quoted[..8]);
}

#[test]
fn icmp_errors_v4() {
    let seeds: [&[u8]; 3] = [
        corpus!("prohibited-v4.bin"),
        corpus!("no-network-v4.bin"),
        corpus!("no-host-v4.bin"),
    ];
    tells(&seeds, |packet| {
        let Some(error) = icmp_v4(packet) else {
            return false;
        };
        let icmp = &packet[usize::from(packet[0] & 15) * 4..];
        let inner = &icmp[8..];
        // It is about TCP, and says that something was unreachable.
        assert_eq!((packet[9], icmp[0], inner[9]), (1, 3, TCP));
        assert_eq!(error.to.to_string(), addr(&inner[16..20]).to_string());
        let by_us = packet[12..16] == inner[12..16] && packet[12..16] != inner[16..20];
        assert_eq!(error.own, by_us);
        is_quoted(&error, &inner[usize::from(inner[0] & 15) * 4..]);
        true
    });
}

fn addr(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap())
}

#[test]
fn icmp_errors_v6() {
    let seeds: [&[u8]; 3] = [
        corpus!("prohibited-v6.bin"),
        corpus!("no-route-v6.bin"),
        corpus!("no-host-v6.bin"),
    ];
    let router: IpAddr = "fd00::1".parse().unwrap();
    tells(&seeds, |packet| {
        let Some(error) = icmp_v6(packet, router) else {
            return false;
        };
        let inner = &packet[8..];
        assert_eq!((packet[0], inner[0] >> 4, inner[6]), (1, 6, TCP));
        let IpAddr::V6(to) = error.to else {
            panic!("{error:?}")
        };
        assert_eq!(to.octets(), inner[24..40]);
        is_quoted(&error, &inner[40..]);
        true
    });
}
