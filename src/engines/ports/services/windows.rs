use tokio::time::Instant;

use super::display::escape;
use super::wire::{ANSWER, Context};
use super::{Finding, tls};

/// SMB2 NEGOTIATE ([MS-SMB2] §2.2.3) that offers 2.0.2, 2.1, 3.0 and 3.0.2, in a direct TCP frame.
pub fn smb_negotiate() -> Vec<u8> {
    const DIALECTS: [u16; 4] = [0x0202, 0x0210, 0x0300, 0x0302];
    let mut body = vec![36, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0]; // size, count, signing enabled
    body.extend(*b"recon-smb-probe!"); // client GUID
    body.extend([0; 8]); // start time
    body.extend(DIALECTS.iter().flat_map(|dialect| dialect.to_le_bytes()));
    smb_message(0, &body)
}

/// SMB2 SESSION_SETUP (§2.2.5) with an NTLM negotiate message ([MS-NLMP] §2.2.1.1): the server
/// answers with a challenge that names it; nobody logs in.
fn smb_session_setup() -> Vec<u8> {
    let mut ntlm = b"NTLMSSP\0\x01\0\0\0\x05\x02\x88\xa0".to_vec();
    ntlm.resize(40, 0);
    let mut body = vec![25, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0, 40, 0];
    body.extend([0; 8]); // no earlier session
    body.extend(ntlm);
    smb_message(1, &body)
}

/// One SMB2 message in its frame; message ids count from 0 as the commands here do.
fn smb_message(command: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = b"\0\0\0\0\xfeSMB\x40\0".to_vec();
    packet.resize(4 + 64, 0);
    packet[4 + 12] = command;
    packet[4 + 14] = 1; // credits asked for
    packet[4 + 24] = command;
    packet.extend(body);
    let length = u32::try_from(packet.len() - 4).unwrap_or_default();
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// The frame is there in whole.
fn smb_whole(said: &[u8]) -> bool {
    let length = said.get(..4).and_then(|b| <[u8; 4]>::try_from(b).ok());
    length.is_some_and(|length| said.len() - 4 >= u32::from_be_bytes(length) as usize)
}

/// SMB over TCP.
pub async fn smb(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    if !context.say(&mut stream, &smb_negotiate()).await {
        return None;
    }
    let answer = context
        .listen(&mut stream, ANSWER, deadline, smb_whole)
        .await;
    let mut finding = smb_answer(&answer)?;
    if answer.get(4) == Some(&0xfe) && context.say(&mut stream, &smb_session_setup()).await {
        let answer = context
            .listen(&mut stream, ANSWER, deadline, smb_whole)
            .await;
        ntlm_names(&answer, &mut finding);
    }
    Some(finding)
}

/// Dialect, signing, identity and clock of a NEGOTIATE response ([MS-SMB2] §2.2.4).
pub fn smb_answer(answer: &[u8]) -> Option<Finding> {
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
    let mut finding = Finding::named("microsoft-ds", 1.0);
    finding.info = format!("SMB {version}, {signing}");
    finding.detail("smb.dialect", version);
    finding.detail("smb.signing", signing);
    if let Some(guid) = body.get(8..24) {
        finding.detail("smb.guid", super::display::hex(guid));
    }
    if let Some(time) = body.get(40..48).and_then(|time| time.try_into().ok()) {
        finding.detail("smb.time", windows_time(u64::from_le_bytes(time)));
    }
    Some(finding)
}

/// 100 ns since 1601 ([MS-DTYP] §2.3.3) as RFC 3339; "" when it is no time.
fn windows_time(ticks: u64) -> String {
    let seconds = i64::try_from(ticks / 10_000_000).unwrap_or_default() - 11_644_473_600;
    let time = chrono::DateTime::from_timestamp(seconds, 0).filter(|_| ticks > 0);
    time.map(|time| time.to_rfc3339()).unwrap_or_default()
}

/// Names and system of an NTLM challenge ([MS-NLMP] §2.2.1.2), wherever it is in the answer.
pub fn ntlm_names(answer: &[u8], finding: &mut Finding) -> Option<()> {
    let start = b"NTLMSSP\0\x02\0\0\0";
    let at = answer.windows(start.len()).position(|w| w == start)?;
    let challenge = &answer[at..];
    let field = |at: usize| {
        Some(u16::from_le_bytes(
            challenge.get(at..at + 2)?.try_into().ok()?,
        ))
    };
    let length = usize::from(field(40)?);
    let offset = usize::from(field(44)?);
    let mut pairs = challenge.get(offset..offset + length)?;
    while let Some((head, rest)) = pairs.split_at_checked(4) {
        let id = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let Some((text, rest)) = rest.split_at_checked(length).filter(|_| id != 0) else {
            break;
        };
        let name = match id {
            1 => "ntlm.computer",
            2 => "ntlm.domain",
            3 => "ntlm.dns_computer",
            4 => "ntlm.dns_domain",
            _ => "",
        };
        if !name.is_empty() {
            finding.detail(name, utf16(text));
        }
        pairs = rest;
    }
    let version = challenge.get(48..52)?;
    let (major, minor, build) = (version[0], version[1], field(50)?);
    if build == 0 {
        // Samba calls itself Windows 6.1 without a build number; no Windows does.
        finding.product = "Samba smbd".to_owned();
        finding.version = "4".to_owned();
        finding.cpe = vec!["cpe:/a:samba:samba".to_owned()];
        finding.confidence = 0.95;
    } else {
        finding.product = "Microsoft Windows".to_owned();
        finding.version = format!("{major}.{minor}.{build}");
        finding.cpe = vec!["cpe:/o:microsoft:windows".to_owned()];
    }
    Some(())
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or('\u{fffd}'))
        .collect();
    escape(text.as_bytes())
}

/// X.224 connection request with RDP_NEG_REQ ([MS-RDPBCGR] §2.2.1.1): TLS or CredSSP.
pub const RDP_REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

/// Remote Desktop, and the certificate that it shows.
pub async fn rdp(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    if !context.say(&mut stream, &RDP_REQUEST).await {
        return None;
    }
    let whole = |said: &[u8]| {
        said.get(3)
            .is_some_and(|length| said.len() >= usize::from(*length))
    };
    let answer = context.listen(&mut stream, ANSWER, deadline, whole).await;
    let mut finding = rdp_answer(&answer)?;
    if finding
        .details
        .get("rdp.security")
        .is_some_and(|security| security != "rdp")
    {
        let shaken = tls::handshake(context, stream, tls::Offer::Nothing, deadline).await;
        if let tls::Shaken::Done(shaken) = shaken {
            let facts = shaken.1;
            // xrdp's package makes this certificate; Windows puts its own name.
            let subject = facts
                .certificate
                .as_ref()
                .map_or("", |c| c.subject.as_str());
            if subject.to_ascii_lowercase().contains("xrdp") {
                finding = finding.of_product("xrdp", "", "cpe:/a:neutrinolabs:xrdp");
            }
            finding.tls = Some(facts);
        }
    }
    Some(finding)
}

/// The security that a server chose.
pub fn rdp_answer(answer: &[u8]) -> Option<Finding> {
    // TPKT version 3, then an X.224 connection confirm.
    if answer.first() != Some(&3) || answer.get(5)? & 0xf0 != 0xd0 {
        return None;
    }
    let (security, info) = match (answer.get(11), answer.get(15)) {
        (Some(2), Some(0)) => ("rdp", "standard RDP security"),
        (Some(2), Some(1)) => ("tls", "TLS"),
        (Some(2), Some(_)) => ("credssp", "network level authentication (CredSSP)"),
        (Some(3), _) => ("rdp", "refuses TLS and CredSSP"),
        _ => ("rdp", "standard RDP security only"),
    };
    let mut finding = Finding::named("ms-wbt-server", 1.0);
    finding.info = info.to_owned();
    finding.detail("rdp.security", security);
    // RDP_NEG_RSP flags (§2.2.1.2.1): every Windows that negotiates supports graphics pipelines or
    // restricted admin; xrdp sets extended client data alone, or nothing.
    if let (Some(2), Some(flags)) = (answer.get(11), answer.get(12)) {
        let (product, cpe, sure) = match flags {
            0 | 1 => ("xrdp", "cpe:/a:neutrinolabs:xrdp", 0.8),
            _ => (
                "Microsoft Terminal Services",
                "cpe:/o:microsoft:windows",
                0.9,
            ),
        };
        finding = finding.of_product(product, "", cpe);
        finding.confidence = sure;
    }
    Some(finding)
}

/// DCE/RPC bind (C706 §12.6.4.3) to the end point mapper, which every Windows has on port 135.
pub const MSRPC_BIND: &[u8] =
    b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0\xb8\x10\xb8\x10\0\0\0\0\
    \x01\0\0\0\0\0\x01\0\x08\x83\xaf\xe1\x1f\x5d\xc9\x11\x91\xa4\x08\0\x2b\x14\xa0\xfa\x03\0\0\0\
    \x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\0\0";

/// What the answer to a bind says.
pub fn msrpc_answer(answer: &[u8]) -> Option<Finding> {
    // Version 5.0, bind_ack (12) or bind_nak (13), call 1.
    let known = answer.get(..2)? == [5, 0] && matches!(answer.get(2)?, 12 | 13);
    if !known || answer.get(12..16)? != [1, 0, 0, 0] {
        return None;
    }
    let windows = Finding::named("msrpc", 0.9);
    Some(windows.of_product("Microsoft Windows RPC", "", "cpe:/o:microsoft:windows"))
}

/// TDS PRELOGIN ([MS-TDS] §2.2.6.5): version, encryption not supported, instance, thread.
pub const TDS_PRELOGIN: &[u8] =
    b"\x12\x01\0\x2f\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\
    \x03\0\x22\0\x04\x04\0\x26\0\x01\xff\x11\0\0\0\0\0\x02\0\0\0\0\0\0";

/// The version of SQL Server in the answer to PRELOGIN.
pub fn tds_answer(answer: &[u8]) -> Option<Finding> {
    // A tabular result, and all of it in one packet.
    if answer.get(..2)? != [4, 1] {
        return None;
    }
    let body = answer.get(8..)?;
    let mut options = body.chunks_exact(5).take_while(|option| option[0] != 0xff);
    let at = |option: &[u8]| usize::from(u16::from_be_bytes([option[1], option[2]]));
    let version = options.clone().find(|option| option[0] == 0)?;
    let version = body.get(at(version)..at(version) + 6)?;
    let build = u16::from_be_bytes([version[2], version[3]]);
    let year = match (version[0], version[1]) {
        (8, _) => "2000",
        (9, _) => "2005",
        (10, 0) => "2008",
        (10, _) => "2008 R2",
        (11, _) => "2012",
        (12, _) => "2014",
        (13, _) => "2016",
        (14, _) => "2017",
        (15, _) => "2019",
        (16, _) => "2022",
        (17, _) => "2025",
        _ => "",
    };
    let product = format!("Microsoft SQL Server {year}");
    let number = format!("{}.{:02}.{build}", version[0], version[1]);
    let year = year.replace(' ', "_");
    let cpe = format!("cpe:/a:microsoft:sql_server:{year}");
    let mut finding = Finding::named("ms-sql-s", 1.0).of_product(product.trim_end(), &number, "");
    finding.cpe = vec![super::products::cpe_name(&cpe)];
    let encryption = options.find(|option| option[0] == 1);
    let encryption = encryption.and_then(|option| body.get(at(option)));
    finding.detail(
        "mssql.encryption",
        match encryption {
            Some(0) => "off",
            Some(1) => "on",
            Some(2) => "not supported",
            Some(3) => "required",
            _ => "",
        },
    );
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_lengths_they_say() {
        let smb = smb_negotiate();
        assert_eq!(smb.len(), 4 + 64 + 36 + 8);
        assert!(smb_whole(&smb) && !smb_whole(&smb[..100]) && !smb_whole(&[0]));
        assert_eq!(smb_session_setup().len(), 4 + 88 + 40);
        assert_eq!(RDP_REQUEST[3] as usize, RDP_REQUEST.len());
        assert_eq!(MSRPC_BIND[8] as usize, MSRPC_BIND.len());
        assert_eq!(TDS_PRELOGIN[3] as usize, TDS_PRELOGIN.len());
    }

    #[test]
    fn smb_and_rdp() {
        let mut smb = vec![0; 68];
        smb[4..8].copy_from_slice(b"\xfeSMB");
        smb.extend([65, 0, 3, 0, 0x02, 0x03]);
        smb.resize(68 + 65, 7);
        smb[68 + 40..68 + 48].copy_from_slice(&133_000_000_000_000_000_u64.to_le_bytes());
        let found = smb_answer(&smb).unwrap();
        assert_eq!(found.info, "SMB 3.0.2, signing required");
        assert_eq!(found.details["smb.time"], "2022-06-18T04:26:40+00:00");
        let rdp = [
            3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0,
        ];
        let found = rdp_answer(&rdp).unwrap();
        assert!(found.info.contains("CredSSP"));
        assert_eq!(found.product, "Microsoft Terminal Services");
    }

    #[test]
    fn a_challenge_names_the_host() {
        let mut challenge = b"..NTLMSSP\0\x02\0\0\0".to_vec();
        challenge.resize(2 + 56, 0);
        challenge[2 + 40] = 12;
        challenge[2 + 44] = 56;
        challenge[2 + 48..2 + 52].copy_from_slice(&[10, 0, 0x39, 0x38]);
        challenge.extend(b"\x01\0\x04\0P\0C\0\0\0\0\0");
        let mut finding = Finding::default();
        ntlm_names(&challenge, &mut finding).unwrap();
        assert_eq!(finding.details["ntlm.computer"], "PC");
        assert_eq!(
            (finding.product.as_str(), finding.version.as_str()),
            ("Microsoft Windows", "10.0.14393")
        );
    }

    #[test]
    fn sql_server() {
        let answer =
            b"\x04\x01\0\x25\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x0f\0\x08\x10\0\0\x01";
        let found = tds_answer(answer).unwrap();
        assert_eq!(
            (found.product.as_str(), found.version.as_str()),
            ("Microsoft SQL Server 2019", "15.00.2064")
        );
        assert_eq!(found.details["mssql.encryption"], "on");
    }
}
