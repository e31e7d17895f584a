use super::display::escape;
use super::{Finding, ber};

/// Search of the root DSE (RFC 4511 §4.5.1, RFC 4512 §5.1): base "", scope base, (objectClass=*), all
/// attributes and all operational ones.
pub const LDAP_ROOT: &[u8] =
    b"\x30\x2b\x02\x01\x01\x63\x26\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\
    \x01\x01\0\x87\x0bobjectClass\x30\x06\x04\x01*\x04\x01+";

/// Attributes of the root DSE that are kept.
const KEPT: [&str; 9] = [
    "namingContexts",
    "supportedLDAPVersion",
    "supportedSASLMechanisms",
    "vendorName",
    "vendorVersion",
    "dnsHostName",
    "ldapServiceName",
    "domainFunctionality",
    "forestFunctionality",
];

/// What the answer to a search says.
pub fn ldap_answer(answer: &[u8]) -> Option<Finding> {
    let (message, _) = ber::tagged(answer, 0x30)?;
    let (_id, operation) = ber::tagged(message, 2)?;
    let (tag, entry, _) = ber::value(operation)?;
    let mut finding = Finding::named("ldap", 1.0);
    match tag {
        // SearchResultEntry.
        0x64 => {}
        // SearchResultDone without an entry, or the notice of disconnection.
        0x65 | 0x78 => {
            let texts = ber::values(entry).filter(|(tag, _)| *tag == 4);
            let text = texts.map(|(_, text)| text).find(|text| !text.is_empty());
            finding.info = escape(text.unwrap_or_default());
            return Some(finding);
        }
        _ => return None,
    }
    let (_dn, rest) = ber::tagged(entry, 4)?;
    let (attributes, _) = ber::tagged(rest, 0x30)?;
    let mut directory = None;
    for (name, values) in ber::values(attributes).filter_map(|(_, pair)| attribute(pair)) {
        if name == "objectClass" && values.contains("OpenLDAProotDSE") {
            directory = Some(("OpenLDAP", String::new(), "cpe:/a:openldap:openldap"));
        }
        if name == "domainFunctionality" {
            let windows = "Microsoft Windows Active Directory LDAP";
            directory = Some((windows, String::new(), "cpe:/o:microsoft:windows"));
        }
        if name == "vendorName" && directory.is_none() {
            directory = Some(vendor(&values));
        }
        if name == "vendorVersion" && directory.as_ref().is_some_and(|d| d.0 != "OpenLDAP") {
            let number = values.rsplit(['/', ' ']).next().unwrap_or_default();
            if let Some(directory) = &mut directory {
                number.clone_into(&mut directory.1);
            }
        }
        if KEPT.contains(&name.as_str()) {
            finding.detail(&format!("ldap.{name}"), values);
        }
    }
    if let Some((product, version, cpe)) = directory {
        finding = finding.of_product(product, &version, cpe);
    }
    finding.info = finding
        .details
        .get("ldap.namingContexts")
        .cloned()
        .unwrap_or_default();
    Some(finding)
}

fn vendor(name: &str) -> (&'static str, String, &'static str) {
    let known = [
        (
            "389 Project",
            "389 Directory Server",
            "cpe:/a:redhat:389_directory_server",
        ),
        ("Apache", "ApacheDS", "cpe:/a:apache:directory_server"),
        ("Samba", "Samba Active Directory LDAP", "cpe:/a:samba:samba"),
        ("Oracle", "Oracle Directory Server", ""),
        ("Novell", "Novell eDirectory", ""),
        ("ForgeRock", "OpenDJ", ""),
    ];
    let found = known.iter().find(|(start, ..)| name.starts_with(start));
    found.map_or(
        ("LDAP directory", String::new(), ""),
        |(_, product, cpe)| (product, String::new(), cpe),
    )
}

/// Name and values of an attribute, the values in one text.
fn attribute(pair: &[u8]) -> Option<(String, String)> {
    let (name, rest) = ber::tagged(pair, 4)?;
    let (values, _) = ber::tagged(rest, 0x31)?;
    let values: Vec<String> = ber::values(values)
        .take(32)
        .map(|(_, text)| escape(text))
        .collect();
    Some((escape(name), values.join(" ")))
}

/// An SNMPv3 message with an unknown engine (RFC 3414 §4, discovery): the answer is a report with
/// the engine's identity.
pub const SNMP_V3: &[u8] = b"\x30\x3a\x02\x01\x03\x30\x0f\x02\x02\x52\x43\x02\x03\0\xff\xe3\x04\x01\x04\x02\x01\x03\
    \x04\x10\x30\x0e\x04\0\x02\x01\0\x02\x01\0\x04\0\x04\0\x04\0\x30\x12\x04\0\x04\0\xa0\x0c\x02\x02\x37\xf0\x02\x01\0\x02\x01\0\x30\0";

/// What an SNMP answer says.
pub fn snmp_answer(answer: &[u8]) -> Option<Finding> {
    let (message, _) = ber::tagged(answer, 0x30)?;
    let (version, rest) = ber::tagged(message, 2)?;
    let mut finding = Finding::named("snmp", 1.0);
    match version {
        [0 | 1] => {}
        [3] => {
            finding.info = "SNMPv3 server".to_owned();
            finding.detail("snmp.version", "3");
            return Some(finding);
        }
        _ => return None,
    }
    finding.detail("snmp.version", if version == [0] { "1" } else { "2c" });
    let (_community, pdu) = ber::tagged(rest, 4)?;
    let (pdu, _) = ber::tagged(pdu, 0xa2)?;
    let (_id, rest) = ber::tagged(pdu, 2)?;
    let (_error, rest) = ber::tagged(rest, 2)?;
    let (_index, rest) = ber::tagged(rest, 2)?;
    let (bindings, _) = ber::tagged(rest, 0x30)?;
    for (_, binding) in ber::values(bindings).take(8) {
        let Some((oid, value)) = ber::tagged(binding, 6) else {
            continue;
        };
        let Some((text, _)) = ber::tagged(value, 4) else {
            continue;
        };
        match oid.get(6) {
            Some(1) => finding.detail("snmp.sysDescr", escape(text)),
            Some(5) => finding.detail("snmp.sysName", escape(text)),
            _ => {}
        }
    }
    let descr = finding
        .details
        .get("snmp.sysDescr")
        .cloned()
        .unwrap_or_default();
    let product = match descr.as_str() {
        text if text.starts_with("Linux ") => ("net-snmp", "cpe:/a:net-snmp:net-snmp", 0.8),
        text if text.contains("Cisco IOS") => ("Cisco SNMP service", "cpe:/o:cisco:ios", 1.0),
        text if text.contains("RouterOS") => {
            ("MikroTik RouterOS snmpd", "cpe:/o:mikrotik:routeros", 1.0)
        }
        text if text.contains("Windows") => (
            "Microsoft Windows SNMP service",
            "cpe:/o:microsoft:windows",
            1.0,
        ),
        _ => ("", "", 1.0),
    };
    finding = finding.of_product(product.0, "", product.1);
    finding.confidence = product.2;
    finding.info = format!("public; {descr}").trim_end_matches("; ").to_owned();
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_values() {
        for request in [LDAP_ROOT, SNMP_V3] {
            let (_, after) = ber::tagged(request, 0x30).unwrap();
            assert!(after.is_empty(), "{request:x?}");
            assert!(request.len() < 130);
        }
    }

    fn put(tag: u8, inner: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(inner.len()).unwrap()], inner].concat()
    }

    fn entry(attributes: &[(&str, &[&str])]) -> Vec<u8> {
        let one = |(name, values): &(&str, &[&str])| {
            let values: Vec<u8> = values.iter().flat_map(|v| put(4, v.as_bytes())).collect();
            put(
                0x30,
                &[put(4, name.as_bytes()), put(0x31, &values)].concat(),
            )
        };
        let all: Vec<u8> = attributes.iter().flat_map(one).collect();
        let entry = put(0x64, &[put(4, b""), put(0x30, &all)].concat());
        put(0x30, &[vec![2, 1, 1], entry].concat())
    }

    #[test]
    fn directories() {
        let open = entry(&[
            ("objectClass", &["top", "OpenLDAProotDSE"]),
            ("namingContexts", &["dc=a", "dc=b"]),
        ]);
        let found = ldap_answer(&open).unwrap();
        assert_eq!(
            (found.product.as_str(), found.info.as_str()),
            ("OpenLDAP", "dc=a dc=b")
        );
        let other = entry(&[
            ("vendorName", &["389 Project"]),
            ("vendorVersion", &["389-Directory/2.3.1"]),
        ]);
        let found = ldap_answer(&other).unwrap();
        assert_eq!(
            (found.product.as_str(), found.version.as_str()),
            ("389 Directory Server", "2.3.1")
        );
        assert!(ldap_answer(b"\x30\x03\x02\x01\x01").is_none());
    }

    #[test]
    fn snmp_tells_the_system() {
        let binding = put(
            0x30,
            &[put(6, &[0x2b, 6, 1, 2, 1, 1, 1, 0]), put(4, b"Linux a 6.1")].concat(),
        );
        let pdu = [
            &[2, 2, 0x52, 0x43, 2, 1, 0, 2, 1, 0],
            put(0x30, &binding).as_slice(),
        ]
        .concat();
        let message = [&[2, 1, 1], put(4, b"public").as_slice(), &put(0xa2, &pdu)].concat();
        let found = snmp_answer(&put(0x30, &message)).unwrap();
        assert_eq!(found.info, "public; Linux a 6.1");
        assert_eq!(found.product, "net-snmp");
    }
}
