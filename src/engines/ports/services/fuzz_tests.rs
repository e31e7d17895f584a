//! Fuzz targets: no answer, however broken, panics a parser, and what is kept of it is short and safe
//! to show. The corpus, answers of real services, is in `testdata/corpus`; inputs are also made from it by changing a few bytes.
//!
//! A little of it runs under `cargo test`, ten minutes of each target under `make fuzz`, or, guided by coverage, `cargo bolero test engines::ports::services::fuzz_tests::NAME`.

use bolero::TypeGenerator;

use super::products::{On, identify};
use super::{
    Finding, certificate, databases, directory, hello, http, messaging, names, ssh, talk, udp,
    udp_answers, waf, windows,
};
use crate::engines::ports::parse_nmap_xml;

/// A real answer with some bytes changed, cut and doubled, or any bytes at all.
#[derive(Debug, Clone, TypeGenerator)]
struct Input {
    seed: u8,
    edits: Vec<(u16, u8)>,
    cut: u16,
    tail: Vec<u8>,
}

impl Input {
    fn bytes(&self, seeds: &[&[u8]]) -> Vec<u8> {
        let seed = usize::from(self.seed) % (seeds.len() + 1);
        let mut bytes = seeds.get(seed).map_or_else(Vec::new, |seed| seed.to_vec());
        for (at, byte) in self.edits.iter().take(8) {
            let length = bytes.len().max(1);
            if let Some(place) = bytes.get_mut(usize::from(*at) % length) {
                *place = *byte;
            }
        }
        if self.cut & 3 == 0 {
            bytes.truncate(usize::from(self.cut >> 2) % (bytes.len() + 1));
        }
        bytes.extend(&self.tail);
        bytes
    }
}

fn is_fit_to_show(finding: &Finding) {
    let texts = [
        &finding.service,
        &finding.product,
        &finding.version,
        &finding.info,
    ];
    for text in texts
        .into_iter()
        .chain(&finding.cpe)
        .chain(finding.details.values())
    {
        assert!(text.chars().count() <= 8_000, "{} characters", text.len());
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    assert!((0.0..=1.0).contains(&finding.confidence));
}

/// Runs a parser over what is made of these seeds.
fn fuzz(seeds: &[&[u8]], parse: impl Fn(&[u8]) -> Option<Finding> + std::panic::RefUnwindSafe) {
    for seed in seeds {
        assert!(
            parse(seed).is_some(),
            "a seed that is not understood: {seed:x?}"
        );
    }
    bolero::check!()
        .with_type::<Input>()
        .with_iterations(3000)
        .for_each(|input| {
            if let Some(finding) = parse(&input.bytes(seeds)) {
                is_fit_to_show(&finding);
            }
        });
}

macro_rules! corpus {
    ($name:literal) => {
        include_bytes!(concat!("testdata/corpus/", $name))
    };
}

#[test]
fn tls_server_hello() {
    fuzz(&[corpus!("tls12.bin"), corpus!("tls13.bin")], |bytes| {
        let _ = hello::is_enough(bytes);
        let flight = hello::server_flight(bytes)?;
        let chain: Vec<&[u8]> = flight.chain.iter().map(Vec::as_slice).collect();
        let mut facts = crate::api::TlsFacts::default();
        certificate::describe(&chain, Some("a.example.org"), &mut facts);
        Some(Finding::default())
    });
}

#[test]
fn ssh_key_exchange() {
    fuzz(&[corpus!("ssh-kexinit.bin")], |bytes| {
        let mut finding = Finding::default();
        for (name, list) in ssh::key_exchange(bytes)? {
            finding.detail(name, list);
        }
        Some(finding)
    });
}

#[test]
fn mysql() {
    fuzz(&[corpus!("mariadb.bin")], |bytes| {
        let _ = databases::mysql_has_tls(bytes);
        databases::mysql_greeting(bytes)
    });
}

#[test]
fn tds() {
    let answer =
        b"\x04\x01\0\x25\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x0f\0\x08\x10\0\0\x01";
    fuzz(&[answer], windows::tds_answer);
}

#[test]
fn smb() {
    fuzz(
        &[corpus!("smb-negotiate.bin"), corpus!("smb-challenge.bin")],
        |bytes| {
            let mut finding = windows::smb_answer(bytes)?;
            let _ = windows::ntlm_names(bytes, &mut finding);
            Some(finding)
        },
    );
}

#[test]
fn rdp() {
    fuzz(&[corpus!("xrdp.bin")], windows::rdp_answer);
}

#[test]
fn ldap() {
    fuzz(&[corpus!("openldap.bin")], directory::ldap_answer);
}

#[test]
fn snmp() {
    fuzz(&[corpus!("snmp.bin")], directory::snmp_answer);
}

#[test]
fn dns() {
    fuzz(
        &[corpus!("bind.bin"), corpus!("unbound.bin")],
        names::dns_answer,
    );
}

#[test]
fn ntp_and_netbios() {
    fuzz(&[corpus!("ntp.bin")], |bytes| {
        udp_answers::ntp(bytes).or_else(|| udp_answers::netbios(bytes))
    });
}

#[test]
fn kafka() {
    let answer = b"\0\0\0\x16\0\0\x52\x43\0\0\0\0\0\x02\0\0\0\0\0\x09\0\x01\0\0\0\x0d";
    fuzz(&[answer], messaging::kafka_answer);
}

#[test]
fn mqtt() {
    fuzz(&[corpus!("mosquitto.bin")], messaging::mqtt_answer);
}

#[test]
fn amqp() {
    fuzz(&[corpus!("rabbitmq.bin")], messaging::amqp_answer);
}

#[test]
fn mongo() {
    let answer = b"\x40\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x20\0\0\0\x02version\0\x07\0\0\x007.0.12\0\0";
    fuzz(&[answer], databases::mongo_answer);
}

#[test]
fn other_databases() {
    let cql = b"\x84\0\0\x01\x06\0\0\0\x18\0\x01\0\x0bCQL_VERSION\0\x01\0\x053.4.5";
    fuzz(&[cql], |bytes| {
        let _ = databases::postgres_answer(bytes);
        databases::cql_answer(bytes).or_else(|| databases::tns_answer(bytes))
    });
}

#[test]
fn http_answers() {
    let page = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nLocation: /x\r\nSet-Cookie: grafana_session=1\r\n\r\n\
        <title>hi</title><meta name=\"generator\" content=\"WordPress 6.4\">";
    fuzz(&[page], |bytes| {
        let _ = (http::wants_tls(bytes), waf::hint(bytes, bytes));
        http::read(bytes).map(|(finding, _)| finding)
    });
}

#[test]
fn greetings() {
    let seeds: [&[u8]; 3] = [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        b"220 mx.example.org ESMTP Postfix (Debian/GNU)\r\n",
        b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
    ];
    fuzz(&seeds, |bytes| {
        let mut finding = identify(On::Banner, bytes)?;
        let _ = talk::whole_reply(bytes);
        finding.detail("words", talk::capabilities(bytes));
        finding.detail("vnc", talk::vnc_security(bytes, bytes.len() % 2 == 0));
        Some(finding)
    });
}

#[test]
fn udp_answers() {
    let ports = [
        53, 69, 111, 123, 137, 161, 389, 443, 500, 1434, 1900, 3478, 5060, 5353, 5683, 11211, 27015,
    ];
    let seeds: [&[u8]; 2] = [
        b"\xc0\0\0\0\0\x08recon555\x08RECONask\0\0\0\x01\x6b\x33\x43\xcf",
        b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n",
    ];
    fuzz(&seeds, |bytes| {
        let found = ports
            .iter()
            .filter_map(|port| udp::identify_udp(*port, bytes));
        let mut found: Vec<Finding> = found.inspect(is_fit_to_show).collect();
        found.pop()
    });
}

/// Whatever nmap writes, or whoever pretends to be it, is read or refused.
#[test]
fn nmap_xml() {
    let seed = br#"<?xml version="1.0"?><nmaprun version="7.93" args="nmap -sV"><host><status state="up"/>
        <address addr="10.0.0.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack"/>
        <service name="ssh" product="OpenSSH" version="9.2p1" conf="10"><cpe>cpe:/a:openbsd:openssh:9.2p1</cpe></service>
        </port></ports></host><runstats><finished exit="success"/></runstats></nmaprun>"#;
    let read = |bytes: &[u8]| parse_nmap_xml(&String::from_utf8_lossy(bytes));
    assert!(read(seed).is_ok());
    bolero::check!()
        .with_type::<Input>()
        .with_iterations(1500)
        .for_each(|input| {
            let _ = read(&input.bytes(&[seed]));
        });
}
