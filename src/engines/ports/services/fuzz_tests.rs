//! Fuzz targets: no answer, however broken, panics a parser or holds it up, and what is kept of it is
//! short and safe to show. The corpus, answers of real services, is in `testdata/corpus`.

use std::panic::RefUnwindSafe;

use super::ask::{self, Ask};
use super::products::{On, identify, identify_more};
use super::{
    Finding, ber, certificate, databases, directory, display, hello, http, messaging, names,
    products, ssh, talk, udp, udp_answers, waf, windows, wire,
};
use crate::api::{CertificateFacts, TlsFacts};
use crate::engines::ports::fuzz::{fuzz, is_fit_to_show};

/// Longest text of a finding, and longest detail, in characters.
const SHORT: usize = 200;
const LONG: usize = 8000;

fn is_sound(finding: &Finding) {
    let texts = [&finding.service, &finding.product, &finding.version];
    texts
        .into_iter()
        .for_each(|text| is_fit_to_show(text, SHORT));
    // "public; " and the like stand in front of what it said.
    is_fit_to_show(&finding.info, LONG);
    for cpe in &finding.cpe {
        assert!(cpe.starts_with("cpe:/") && cpe.len() < 400, "{cpe}");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/+%".contains(c);
        assert!(cpe.chars().all(allowed), "{cpe:?}");
    }
    assert!(finding.details.len() < 32, "{:?}", finding.details.keys());
    for (name, text) in &finding.details {
        is_fit_to_show(name, 40);
        is_fit_to_show(text, LONG);
    }
    assert!((0.0..=1.0).contains(&finding.confidence));
}

/// Runs a parser over answers that are made of these, each of which it understands.
fn answers(seeds: &[&[u8]], parse: impl Fn(&[u8]) -> Option<Finding> + RefUnwindSafe) {
    for seed in seeds {
        assert!(parse(seed).is_some(), "not understood: {seed:x?}");
    }
    fuzz(seeds, |bytes| {
        parse(bytes).iter().for_each(is_sound);
    });
}

macro_rules! corpus {
    ($name:literal) => {
        include_bytes!(concat!("testdata/corpus/", $name))
    };
}

const CERTIFICATE: &[u8] = include_bytes!("testdata/server.crt.der");

fn certificate_is_sound(facts: &CertificateFacts) {
    let texts = [
        &facts.subject,
        &facts.issuer,
        &facts.serial_number,
        &facts.signature_algorithm,
    ];
    let texts = texts.into_iter().chain(&facts.subject_alt_names);
    texts.for_each(|text| is_fit_to_show(text, SHORT));
    assert!(facts.subject_alt_names.len() <= 256);
    assert_eq!(facts.sha256.len(), 64);
    assert!(facts.key_bits != Some(0));
}

#[test]
fn tls_server_hello() {
    let seeds: [&[u8]; 2] = [corpus!("tls12.bin"), corpus!("tls13.bin")];
    assert!(
        seeds
            .iter()
            .all(|seed| hello::server_flight(seed).is_some())
    );
    fuzz(&seeds, |bytes| {
        // An answer that is enough is not less so with more of it.
        if let Some(end) = (1..bytes.len().min(64)).find(|end| hello::is_enough(&bytes[..*end])) {
            assert!(hello::is_enough(bytes), "{end}");
        }
        let Some(flight) = hello::server_flight(bytes) else {
            return;
        };
        let length: usize = flight.chain.iter().map(Vec::len).sum();
        assert!(length <= bytes.len() && flight.chain.len() <= 16);
        is_fit_to_show(&hello::version_name(flight.version), 16);
        is_fit_to_show(&hello::cipher_name(flight.cipher), 64);
    });
}

#[test]
fn certificates() {
    let flight = hello::server_flight(corpus!("tls12.bin")).unwrap();
    let named: &[u8] = corpus!("certificate-names.der");
    let seeds = [CERTIFICATE, named, flight.chain[0].as_slice()];
    assert!(seeds.iter().all(|seed| certificate::facts(seed).is_some()));
    fuzz(&seeds, |bytes| {
        let mut facts = TlsFacts::default();
        certificate::describe(&[bytes, CERTIFICATE], Some("a.example.org"), &mut facts);
        assert_eq!(facts.chain_length, 2);
        let all = facts.certificate.iter().chain(&facts.chain);
        all.for_each(certificate_is_sound);
        assert!(facts.problems.len() <= 6);
    });
}

#[test]
fn ssh_key_exchange() {
    answers(&[corpus!("ssh-kexinit.bin")], |bytes| {
        let mut finding = Finding::default();
        for (name, list) in ssh::key_exchange(bytes)? {
            finding.detail(name, list);
        }
        Some(finding)
    });
}

/// Values lie in the data one after the other, so that reading them ends.
#[test]
fn ber_values() {
    let seeds: [&[u8]; 2] = [corpus!("openldap.bin"), corpus!("snmp.bin")];
    fuzz(&seeds, |bytes| {
        if let Some((tag, inner, after)) = ber::value(bytes) {
            assert_eq!(tag, bytes[0]);
            assert!(inner.len() + after.len() + 2 <= bytes.len());
            assert!(bytes.ends_with(after));
        }
        let total: usize = ber::values(bytes).map(|(_, inner)| inner.len() + 2).sum();
        assert!(total <= bytes.len());
    });
}

#[test]
fn mysql() {
    // What is no version is none in a CPE name, either.
    let odd = b"\x14\0\0\0\x0a5.\x01 \x1b.5\0\x08\0\0\0abcdefgh\0";
    answers(&[corpus!("mariadb.bin"), odd], |bytes| {
        let _ = databases::mysql_has_tls(bytes);
        databases::mysql_greeting(bytes)
    });
}

#[test]
fn postgres() {
    let error = b"E\0\0\0\x2fSFATAL\0VFATAL\0C28000\0Mno such role\0\0";
    fuzz(
        &[error, b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"],
        |bytes| {
            if let Some(info) = databases::postgres_answer(bytes) {
                is_fit_to_show(&info, SHORT);
            }
        },
    );
}

#[test]
fn mongo() {
    let answer = b"\x40\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x20\0\0\0\x02version\0\x07\0\0\x007.0.12\0\0";
    let odd = b"\x40\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x20\0\0\0\x02version\0\x07\0\0\x007\x1b[0m \0\0";
    answers(&[answer, odd], databases::mongo_answer);
}

#[test]
fn cassandra_and_oracle() {
    let cql = b"\x84\0\0\x01\x06\0\0\0\x18\0\x01\0\x0bCQL_VERSION\0\x01\0\x053.4.5";
    let tns = b"\0\x49\0\0\x04\0\0\0\"\0\0=(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189)(ERROR_STACK=(x)))";
    answers(&[cql, tns], |bytes| {
        databases::cql_answer(bytes).or_else(|| databases::tns_answer(bytes))
    });
}

#[test]
fn memcached_and_zabbix() {
    let agent = b"ZBXD\x01\x01\0\0\0\0\0\0\x001";
    answers(&[b"VERSION 1.6.18\r\n", agent], |bytes| {
        databases::memcached_answer(bytes).or_else(|| databases::zabbix_answer(bytes))
    });
}

#[test]
fn tds() {
    let answer =
        b"\x04\x01\0\x25\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x0f\0\x08\x10\0\0\x01";
    answers(&[answer], windows::tds_answer);
}

#[test]
fn smb() {
    let seeds: [&[u8]; 2] = [corpus!("smb-negotiate.bin"), corpus!("smb-challenge.bin")];
    answers(&seeds, |bytes| {
        let mut finding = windows::smb_answer(bytes)?;
        let _ = windows::ntlm_names(bytes, &mut finding);
        Some(finding)
    });
}

#[test]
fn ntlm() {
    let seed: &[u8] = corpus!("smb-challenge.bin");
    answers(&[seed], |bytes| {
        let mut finding = Finding::default();
        windows::ntlm_names(bytes, &mut finding)?;
        Some(finding)
    });
}

#[test]
fn rdp_and_msrpc() {
    let bound = b"\x05\0\x0c\x03\x10\0\0\0\x3c\0\0\0\x01\0\0\0\xb8\x10\xb8\x10\0\0\0\0";
    answers(&[corpus!("xrdp.bin"), bound], |bytes| {
        windows::rdp_answer(bytes).or_else(|| windows::msrpc_answer(bytes))
    });
}

#[test]
fn ldap() {
    answers(&[corpus!("openldap.bin")], directory::ldap_answer);
}

#[test]
fn snmp() {
    answers(&[corpus!("snmp.bin")], directory::snmp_answer);
}

#[test]
fn dns() {
    answers(
        &[corpus!("bind.bin"), corpus!("unbound.bin")],
        names::dns_answer,
    );
}

#[test]
fn kafka() {
    let answer = b"\0\0\0\x16\0\0\x52\x43\0\0\0\0\0\x02\0\0\0\0\0\x09\0\x01\0\0\0\x0d";
    answers(&[answer], messaging::kafka_answer);
}

#[test]
fn mqtt() {
    answers(&[corpus!("mosquitto.bin")], messaging::mqtt_answer);
}

#[test]
fn amqp() {
    answers(&[corpus!("rabbitmq.bin")], messaging::amqp_answer);
}

#[test]
fn minecraft() {
    let answer = b"\x40\0\x3e{\"version\":{\"name\":\"1.20.4\",\"protocol\":765}}";
    answers(&[answer], messaging::minecraft_answer);
}

#[test]
fn http_answers() {
    let seeds: [&[u8]; 4] = [
        corpus!("nginx.http"),
        b"HTTP/1.1 302 Found\r\nServer: nginx/1.22.1\r\nLocation: /x\r\nSet-Cookie: grafana_session=1\r\n\r\n\
            <title>hi</title><meta name=\"generator\" content=\"WordPress 6.4\">",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        b"HTTP/1.1 403 Forbidden\nServer: cloudflare\nVia: 1.1 x\n\nblocked by mod_security",
    ];
    answers(&seeds, |bytes| {
        let _ = (http::wants_tls(bytes), http::is_whole(bytes));
        if let Some(name) = waf::hint(bytes, bytes) {
            is_fit_to_show(&name, 40);
        }
        let (mut finding, follow) = http::read(bytes)?;
        if let Some(follow) = follow {
            products::followed(follow, bytes, &mut finding);
        }
        for port in [80, 6443, 8086, 9090, 10250] {
            if let Some(page) = products::page_of(port) {
                page.named(bytes, &mut finding);
            }
        }
        Some(finding)
    });
}

#[test]
fn greetings() {
    let seeds: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        b"220 mx.example.org ESMTP Postfix (Debian/GNU)\r\n",
        b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
        b"RFB 003.008\n",
        b"\xff\xfd\x18\xff\xfd\x20\r\nlogin: ",
    ];
    answers(&seeds, |bytes| {
        let _ = (wire::greeting(bytes), wire::line(bytes));
        names::telnet(bytes).or_else(|| identify(On::Banner, bytes))
    });
}

/// What services say when they are asked what they can do.
#[test]
fn replies() {
    let seeds: [&[u8]; 4] = [
        b"250-mx.example.org\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n",
        b"* CAPABILITY IMAP4rev1 STARTTLS\r\nr1 OK done\r\n",
        b"211-Features:\r\n AUTH TLS\r\n EPRT\r\n211 End\r\n",
        &[2, 2, 19],
    ];
    fuzz(&seeds, |bytes| {
        let _ = talk::whole_reply(bytes);
        is_fit_to_show(&talk::capabilities(bytes), 1200);
        is_fit_to_show(&talk::vnc_security(bytes, false), LONG);
        is_fit_to_show(&talk::vnc_security(bytes, true), 30);
    });
}

/// The answers to all questions, those of the data files included, by whatever is there in their stead.
#[test]
fn questions() {
    let seeds: [&[u8]; 5] = [
        b"Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2023-01-01\n",
        b"@RSYNCD: 31.0\n",
        b"OK MPD 0.23.5\n",
        b"INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"go\":\"go1.19\"}\r\n",
        b":irc.example.org 004 x irc.example.org ngircd-26.1 abBcC\r\n",
    ];
    let all: Vec<Ask> = ask::general().collect();
    fuzz(&seeds, |bytes| {
        // One at a time: most of the work is the same for all of them.
        let ask = all[bytes.len() % all.len()];
        ask.read(bytes).iter().for_each(is_sound);
        for on in [On::Head, On::Body] {
            if let Some((finding, _)) = identify_more(on, bytes) {
                is_sound(&finding);
            }
        }
    });
}

/// What answers at the ports whose protocols are told by nothing but the port.
#[test]
fn udp_by_port() {
    let ports = [53, 5353, 69, 111, 123, 137, 161, 389, 1434, 11211, 27015];
    let seeds: [&[u8]; 6] = [
        corpus!("ntp.bin"),
        b"\x52\x43\x84\0\0\0\0\x01\0\0\0\0\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01\0\0\0\0\0\x4d\x01SRV            \0\x04\0\x02\0\0\0\0\x01",
        b"\x05\x40\0ServerName;DB;InstanceName;X;IsClustered;No;Version;15.0.2000.5;;",
        b"\x52\x43\0\0\0\x01\0\0VERSION 1.6.18\r\n",
        b"\xff\xff\xff\xffI\x11name\0map\0",
        b"\0\x05\0\x01File not found\0",
    ];
    fuzz(&seeds, |bytes| {
        // One at a time, as in `questions`.
        let port = ports[bytes.len() % ports.len()];
        udp::identify_udp(port, bytes).iter().for_each(is_sound);
    });
}

/// What answers at any port.
#[test]
fn udp_by_answer() {
    let seeds: [&[u8]; 8] = [
        b"\xc0\0\0\0\0\x08recon555\x08RECONask\0\0\0\x01\x6b\x33\x43\xcf",
        b"SIP/2.0 200 OK\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSERVER: Linux/5.4 UPnP/1.0 miniupnpd/2.2.1\r\nLOCATION: http://10.0.0.1:5000/x\r\n\r\n",
        b"\x01\x01\0\x14\x21\x12\xa4\x42RECON asks a\x80\x22\0\x0dCoturn-4.5.2 x\0\0\0",
        b"RECONaskabcdefgh\x01\x10\x02\0\0\0\0\0\0\0\0\x1c",
        b"\x60\x45\x52\x43\xff</x>",
        b"\x1cRECONask12345678\0\xff\xff\0\xfe\xfe\xfe\xfe\xfd\xfd\xfd\xfd\x12\x34\x56\x78\0\x10MCPE;x",
        b"\0\x01\x04\x03RECONaskabcdefgh1234",
    ];
    answers(&seeds, |bytes| {
        let found = udp::identify_udp(40_000, bytes)?;
        let _ = udp_answers::natpmp(bytes);
        Some(found)
    });
}

/// The one way by which what strangers say becomes text.
#[test]
fn display_of_bytes() {
    let seeds: [&[u8]; 2] = [
        b"a\x1b[31mb\0\xff\r\nc",
        "x\u{202e}y\u{9b}é\u{e0041}\u{feff}".as_bytes(),
    ];
    fuzz(&seeds, |bytes| {
        let text = display::escape(bytes);
        is_fit_to_show(&text, SHORT);
        // What is shown is itself fit to be shown, as it is.
        assert_eq!(display::escape(text.as_bytes()), text);
        is_fit_to_show(&display::first_line(bytes), SHORT);
        let name = products::cpe_name(&format!("cpe:/a:x:{text}"));
        assert!(name.is_ascii() && !name.contains(' '), "{name}");
    });
}
