//! Fuzz targets: what operators and their files name. No text, however broken, panics a reader; what
//! it reads can be written and read again.

use super::fuzz::{fuzz, is_fit_to_show};
use super::{Inputs, NmapRun, PortSet, Targets, parse_nmap_xml};
use crate::api::OpenPort;

macro_rules! seeds {
    ($($text:expr),* $(,)?) => { [$($text.as_bytes()),*] };
}

const SCAN: &str = include_str!("../../../tests/fixtures/scan-output/scan.xml");

const NMAP: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun><!-- x --><nmaprun version="7.93" args="nmap -sV" start="1795244296">
<host starttime="1795244297"><status state="up"/><address addr="10.0.0.1" addrtype="ipv4"/>
<hostnames><hostname name="a.example.org" type="user"/><hostname name="&#x1b;[31mb" type="PTR"/></hostnames>
<ports><extraports state="closed" count="95"/><port protocol="tcp" portid="22"><state state="open" reason="syn-ack"/>
<service name="ssh" product="OpenSSH&#27;&#x9b;" version="9.2p1" extrainfo="x" tunnel="ssl" conf="nan"><cpe>cpe:/a:openbsd:openssh:9.2p1</cpe></service>
</port></ports></host><runstats><finished time="1795244301" exit="success"/></runstats></nmaprun>"#;

/// Whatever nmap writes, or whoever pretends to be it, is read or refused.
#[test]
fn nmap_xml() {
    fuzz(&seeds![NMAP, SCAN], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match parse_nmap_xml(&text) {
            Ok(run) => is_sound(&run, &text),
            Err(error) => is_fit_to_show(&error.to_string(), 2000),
        }
    });
}

/// Nothing of it steers a terminal, and there is no more of it than there was in the file.
fn is_sound(run: &NmapRun, text: &str) {
    is_fit_to_show(&run.version, 200);
    is_fit_to_show(&run.args, 5 * text.len());
    assert!(run.hosts.len() <= text.matches("<host").count());
    let hosts = run.hosts.iter();
    let ports = hosts.clone().map(|host| host.open.len()).sum::<usize>();
    assert!(ports <= text.matches("<port").count());
    for host in hosts {
        let names = host.hostnames.iter();
        names.for_each(|name| is_fit_to_show(name, 200));
        let total = u64::from(host.counts.open);
        assert!(total >= host.open.len() as u64 || host.counts.open == u32::MAX);
        host.open.iter().for_each(port_is_sound);
    }
}

fn port_is_sound(port: &OpenPort) {
    let texts = [
        &port.protocol,
        &port.state_reason,
        &port.service_name,
        &port.service_product,
        &port.service_version,
        &port.service_info,
    ];
    let texts = texts.into_iter().chain(&port.service_cpe);
    texts.for_each(|text| is_fit_to_show(text, 210));
    assert!((0.0..=1.0).contains(&port.confidence), "{port:?}");
}

/// A list of ports is refused, or means the same when it is written and read again.
#[test]
fn port_lists() {
    let seeds = seeds![
        "22,80,443,8000-8100,ssh",
        "top1000",
        "-1024,60000-,TOP100",
        "-",
        "all,http"
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for read in [text.parse(), PortSet::udp(&text), PortSet::tcp(&text)] {
            match read {
                Ok(set) => {
                    assert_eq!(set.iter().count(), set.len());
                    assert!(set.len() <= 65_535 && !set.contains(0));
                    assert_eq!(PortSet::tcp(&set.to_string()).unwrap(), set);
                    assert!(set.without(&set).is_empty());
                }
                Err(error) => is_fit_to_show(&error.to_string(), 2000),
            }
        }
    });
}

/// A list of targets is refused, or stands for so many addresses, each at its place.
#[test]
fn target_lists() {
    let seeds = seeds![
        "10.0.0.7,10.0.0.0/24, 10.0.0.1-10.0.0.20,192.168.0.1-20",
        "2001:db8::/120,fd00::1-fd00::ff,::ffff:10.0.0.1",
        "www.example.org,*.example.org,a-b.example.org",
        "0.0.0.0/0,::/88",
    ];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match text.parse::<Targets>() {
            Ok(targets) => has_its_places(&targets),
            Err(error) => is_fit_to_show(&error.to_string(), 2000),
        }
        match Inputs::parse(&[&text]) {
            Ok(inputs) => {
                has_its_places(&inputs.addresses());
                for name in inputs.names() {
                    is_fit_to_show(name, 260);
                }
            }
            Err(error) => is_fit_to_show(&error.to_string(), 2000),
        }
    });
}

fn has_its_places(targets: &Targets) {
    let len = targets.len();
    for place in [0, 1, len / 2, len.saturating_sub(1)] {
        let addr = targets.nth(place);
        assert_eq!(addr.is_some(), place < len);
        if let Some(addr) = addr {
            assert_eq!(targets.place(addr), Some(place));
        }
    }
    assert_eq!(targets.nth(len), None);
    if !targets.is_empty() {
        assert_eq!(targets.to_string().parse::<Targets>().as_ref(), Ok(targets));
    }
    assert!(targets.without(targets).is_empty());
    assert_eq!(targets.and(targets), *targets);
}

/// What a resolver says that the name of an address is.
#[test]
fn reverse_names() {
    fuzz(
        &seeds!["db.example.org.", "10.0.0.1", "fe80::1%eth0"],
        |bytes| {
            if let Some(name) = super::reverse::tidy(&String::from_utf8_lossy(bytes)) {
                is_fit_to_show(&name, 200);
                assert!(!name.is_empty() && !name.contains('%') && !name.ends_with('.'));
            }
        },
    );
}
