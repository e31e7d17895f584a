use tokio::time::Instant;

use super::display::{escape, first_line};
use super::products::{On, identify};
use super::wire::{ANSWER, Context, line, never};
use super::{Finding, tls};

/// Redis and its kin: `PING`, then `INFO server` for the version, which a server without a password
/// gives away.
pub async fn redis(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    if !context.say(&mut stream, b"PING\r\n").await {
        return None;
    }
    let pong = context.listen(&mut stream, ANSWER, deadline, line).await;
    let known = identify(On::Banner, &pong).filter(|found| found.service == "redis");
    let mut finding = known?;
    finding.info = first_line(&pong);
    if pong.starts_with(b"+PONG") && context.say(&mut stream, b"INFO server\r\n").await {
        let info = context.listen(&mut stream, ANSWER, deadline, never).await;
        if let Some(more) = identify(On::Banner, &info).filter(|more| !more.version.is_empty()) {
            finding = Finding {
                info: finding.info,
                ..more
            };
        }
    }
    Some(finding)
}

/// What memcached answers to `version` in its text protocol.
pub fn memcached_answer(answer: &[u8]) -> Option<Finding> {
    let mut finding = identify(On::Banner, answer)?;
    finding.info = first_line(answer);
    (finding.service == "memcached").then_some(finding)
}

/// What a Zabbix agent or server answers in its protocol.
pub fn zabbix_answer(answer: &[u8]) -> Option<Finding> {
    let body = answer.strip_prefix(b"ZBXD")?.get(9..)?;
    let mut finding = match body {
        [b'1'] => Finding::named("zabbix-agent", 1.0).of_product(
            "Zabbix agent",
            "",
            "cpe:/a:zabbix:zabbix",
        ),
        _ => Finding::named("zabbix-trapper", 0.9).of_product("Zabbix", "", "cpe:/a:zabbix:zabbix"),
    };
    finding.info = escape(body);
    Some(finding)
}

/// SSLRequest of the PostgreSQL protocol (§55.7 "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// PostgreSQL: asks whether it speaks TLS, then starts up as a user who need not exist. The version
/// is not told to strangers.
pub async fn postgres(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    if !context.say(&mut stream, &SSL_REQUEST).await {
        return None;
    }
    let one = |said: &[u8]| !said.is_empty();
    let answer = context.listen(&mut stream, ANSWER, deadline, one).await;
    let mut facts = None;
    match answer.as_slice() {
        b"S" => {
            let shaken = tls::handshake(context, stream, tls::Offer::Nothing, deadline).await;
            if let tls::Shaken::Done(shaken) = shaken {
                facts = Some(shaken.1);
            }
        }
        b"N" => {}
        _ => return None,
    }
    let mut startup = b"\0\0\0\0\0\x03\0\0user\0recon\0database\0recon\0\0".to_vec();
    let length = u32::try_from(startup.len()).unwrap_or_default();
    startup[..4].copy_from_slice(&length.to_be_bytes());
    let answer = context.ask(port, &startup, deadline, never).await;
    let info = postgres_answer(&answer);
    if info.is_none() && facts.is_none() {
        return None;
    }
    Some(Finding {
        product: "PostgreSQL DB".to_owned(),
        info: info.unwrap_or_default(),
        cpe: vec!["cpe:/a:postgresql:postgresql".to_owned()],
        tls: facts,
        ..Finding::named("postgresql", 1.0)
    })
}

/// What an answer to the start-up message says: how it wants us to log in, or its error message.
pub fn postgres_answer(answer: &[u8]) -> Option<String> {
    let length = u32::from_be_bytes(answer.get(1..5)?.try_into().ok()?);
    if !(8..=10_000).contains(&length) {
        return None;
    }
    match answer[0] {
        b'R' => {
            let kind = u32::from_be_bytes(answer.get(5..9)?.try_into().ok()?);
            Some(match kind {
                0 => "no password needed".to_owned(),
                3 => "clear-text password".to_owned(),
                5 => "MD5 password".to_owned(),
                10 => "SASL (SCRAM) password".to_owned(),
                other => format!("authentication method {other}"),
            })
        }
        b'E' => {
            let fields = answer.get(5..)?.split(|byte| *byte == 0);
            let message = fields.filter_map(|field| field.strip_prefix(b"M")).next()?;
            Some(escape(message))
        }
        _ => None,
    }
}

/// The greeting of MySQL and MariaDB (protocol 10), or the error that they greet strangers with.
pub fn mysql_greeting(banner: &[u8]) -> Option<Finding> {
    let [l0, l1, 0, _sequence, payload @ ..] = banner else {
        return None;
    };
    let length = usize::from(u16::from_le_bytes([*l0, *l1]));
    if payload.len() < length.min(8) || length < 4 {
        return None;
    }
    match payload {
        [10, rest @ ..] => {
            let end = rest
                .iter()
                .position(|byte| *byte == 0)
                .filter(|end| *end < 80)?;
            let text = std::str::from_utf8(&rest[..end]).ok()?;
            text.starts_with(|c: char| c.is_ascii_digit())
                .then(|| mysql_version(text))
        }
        // ERR packet: 0xff, code (1040 to 1130 here), message.
        [0xff, code @ ..] if code.len() > 2 => {
            let number = u16::from_le_bytes([code[0], code[1]]);
            if ![1040, 1129, 1130].contains(&number) {
                return None;
            }
            let message = &code[2..length.saturating_sub(1).clamp(2, code.len())];
            let is_maria = message.windows(7).any(|word| word == b"MariaDB");
            let mut finding = mysql_product(is_maria, "");
            finding.info = escape(message);
            Some(finding)
        }
        _ => None,
    }
}

/// SSLRequest of MySQL's protocol: capabilities PROTOCOL_41, SSL and SECURE_CONNECTION, 16 MiB
/// packets, utf8mb4.
pub const MYSQL_SSL_REQUEST: [u8; 36] = {
    let mut packet = [0; 36];
    packet[0] = 32;
    packet[3] = 1;
    packet[5] = 0x8a;
    packet[11] = 1;
    packet[12] = 45;
    packet
};

/// Whether a greeting offers TLS: bit 11 of the lower capabilities, which follow the version, the
/// thread id, eight bytes of salt and a zero.
pub fn mysql_has_tls(banner: &[u8]) -> bool {
    let capabilities = || {
        let payload = banner.get(4..)?;
        let end = payload.iter().skip(1).position(|byte| *byte == 0)? + 1;
        let at = end + 1 + 4 + 8 + 1;
        payload.get(at..at + 2)
    };
    capabilities().is_some_and(|two| two[1] & 8 != 0)
}

fn mysql_version(text: &str) -> Finding {
    let is_maria = text.contains("MariaDB");
    // MariaDB puts 5.5.5- in front of its version, for old clients.
    let own = text
        .strip_prefix("5.5.5-")
        .filter(|_| is_maria)
        .unwrap_or(text);
    let number = own.split('-').next().unwrap_or_default();
    let mut finding = mysql_product(is_maria, number);
    finding.info = escape(text.as_bytes());
    finding
}

fn mysql_product(is_maria: bool, version: &str) -> Finding {
    let (product, cpe) = match is_maria {
        true => ("MariaDB", "cpe:/a:mariadb:mariadb"),
        false => ("MySQL", "cpe:/a:oracle:mysql"),
    };
    Finding::named("mysql", 1.0).of_product(product, version, cpe)
}

/// `{buildInfo: 1, $db: "admin"}` as an OP_MSG (MongoDB wire protocol), which needs no login.
pub const BUILD_INFO: &[u8] = b"\x38\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x23\0\0\0\x10buildInfo\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";

/// `{listDatabases: 1, nameOnly: true, $db: "admin"}`, which only a server without logins answers.
const LIST_DATABASES: &[u8] = b"\x47\0\0\0\x02\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x32\0\0\0\x10listDatabases\0\x01\0\0\0\x08nameOnly\0\x01\x02$db\0\x06\0\0\0admin\0\0";

/// Both, one after the other.
pub fn mongo_request() -> Vec<u8> {
    [BUILD_INFO, LIST_DATABASES].concat()
}

/// Whether MongoDB asks for a login, by its second answer.
fn mongo_auth(answer: &[u8]) -> Option<&'static str> {
    let first = u32::from_le_bytes(answer.get(..4)?.try_into().ok()?) as usize;
    let second = answer.get(first..)?;
    if second.get(8..16)? != [2, 0, 0, 0, 0xdd, 7, 0, 0] {
        return None;
    }
    let has = |words: &[u8]| second.windows(words.len()).any(|w| w == words);
    match (
        has(b"\x04databases\0"),
        has(b"codeName\0\x0d\0\0\0Unauthorized\0"),
    ) {
        (true, _) => Some("none"),
        (false, true) => Some("required"),
        (false, false) => None,
    }
}

/// What MongoDB says to that.
pub fn mongo_answer(answer: &[u8]) -> Option<Finding> {
    // An OP_MSG (2013) in answer to our request 1.
    if answer.get(8..16)? != [1, 0, 0, 0, 0xdd, 7, 0, 0] {
        return None;
    }
    let version = bson_string(answer, b"version").unwrap_or_default();
    let named = Finding::named("mongodb", 1.0);
    let mut finding = named.of_product("MongoDB", &version, "cpe:/a:mongodb:mongodb");
    finding.detail("mongodb.auth", mongo_auth(answer).unwrap_or_default());
    Some(finding)
}

/// The first string element of that name in a BSON document, wherever it is.
fn bson_string(document: &[u8], name: &[u8]) -> Option<String> {
    let key = [b"\x02".as_slice(), name, b"\0"].concat();
    let at = document.windows(key.len()).position(|w| w == key)? + key.len();
    let length = u32::from_le_bytes(document.get(at..at + 4)?.try_into().ok()?) as usize;
    let text = document.get(at + 4..at + 4 + length.checked_sub(1)?)?;
    (text.len() < 64).then(|| escape(text))
}

/// CQL OPTIONS (native protocol v4 §4.1.3), stream 1.
pub const CQL_OPTIONS: &[u8] = b"\x04\0\0\x01\x05\0\0\0\0";

/// What a Cassandra server says: SUPPORTED, or the error that names the versions it speaks.
pub fn cql_answer(answer: &[u8]) -> Option<Finding> {
    if !matches!(answer.first()?, 0x81..=0x86) || !matches!(answer.get(4)?, 0 | 6) {
        return None;
    }
    let length = u32::from_be_bytes(answer.get(5..9)?.try_into().ok()?) as usize;
    let body = answer.get(9..)?;
    if length > 4096 || body.len() < length.min(8) {
        return None;
    }
    let mut finding = Finding::named("cassandra", 1.0);
    let key = b"CQL_VERSION\0\x01";
    let at = body.windows(key.len()).position(|w| w == key);
    let version = at.and_then(|at| {
        let rest = body.get(at + key.len()..)?;
        let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
        rest.get(2..2 + length.min(32))
    });
    if answer[4] == 6 && version.is_none() {
        return None;
    }
    finding = finding.of_product("Apache Cassandra", "", "cpe:/a:apache:cassandra");
    finding.confidence = 0.95;
    if let Some(version) = version {
        finding.info = format!("CQL {}", escape(version));
        finding.detail("cassandra.cql", escape(version));
    }
    Some(finding)
}

/// TNS connect packet (Oracle Net) that asks the listener for its version.
pub fn tns_connect() -> Vec<u8> {
    const ASK: &[u8] = b"(CONNECT_DATA=(COMMAND=version))";
    let mut packet = vec![0, 0, 0, 0, 1, 0, 0, 0];
    // Version 314, compatible with 300, SDU 2048, TDU 32767, NT characteristics, byte order.
    packet.extend([
        0x01, 0x3a, 0x01, 0x2c, 0, 0, 8, 0, 0x7f, 0xff, 0x7f, 8, 0, 0, 0, 1,
    ]);
    packet.extend([0, 32, 0, 58, 0, 0, 0, 0, 0, 0]);
    packet.resize(58, 0);
    packet.extend(ASK);
    packet[1] = 90; // 58 + 32
    packet
}

/// What an Oracle listener says.
pub fn tns_answer(answer: &[u8]) -> Option<Finding> {
    // Accept, refuse or resend, with the length of the packet in front.
    let length = usize::from(u16::from_be_bytes(answer.get(..2)?.try_into().ok()?));
    if !(8..=8192).contains(&length)
        || !matches!(answer.get(4)?, 2 | 4 | 11)
        || answer.get(2..4)? != [0, 0]
    {
        return None;
    }
    let text = String::from_utf8_lossy(answer);
    let by_text = text.split("Version ").nth(1).and_then(|rest| {
        let version = rest
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()?;
        (!version.is_empty()).then(|| version.to_owned())
    });
    let by_number = || {
        let digits = text.split("VSNNUM=").nth(1)?;
        let number: u32 = digits.split(')').next()?.parse().ok()?;
        let [major, b, c, d] = number.to_be_bytes();
        (number > 0).then(|| format!("{major}.{}.{}.{c}.{d}", b >> 4, b & 15))
    };
    let version = by_text.or_else(by_number).unwrap_or_default();
    if answer[4] == 4 && !text.contains("(DESCRIPTION=") {
        return None;
    }
    let named = Finding::named("oracle-tns", if answer[4] == 11 { 0.8 } else { 1.0 });
    Some(named.of_product(
        "Oracle TNS listener",
        &version,
        "cpe:/a:oracle:database_server",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn greeting(version: &str) -> Vec<u8> {
        let payload = [b"\x0a", version.as_bytes(), b"\0\x08\0\0\0abcdefgh\0"].concat();
        [
            &[u8::try_from(payload.len()).unwrap(), 0, 0, 0],
            payload.as_slice(),
        ]
        .concat()
    }

    #[test]
    fn mysql_and_mariadb() {
        let mysql = mysql_greeting(&greeting("8.0.36-0ubuntu0.22.04.1")).unwrap();
        assert_eq!(
            (mysql.product.as_str(), mysql.version.as_str()),
            ("MySQL", "8.0.36")
        );
        assert_eq!(mysql.cpe, ["cpe:/a:oracle:mysql:8.0.36"]);
        let maria = mysql_greeting(&greeting("5.5.5-10.11.6-MariaDB-0+deb12u1")).unwrap();
        assert_eq!(
            (maria.product.as_str(), maria.version.as_str()),
            ("MariaDB", "10.11.6")
        );
        let message =
            b"\xff\x6a\x04Host '10.0.0.9' is not allowed to connect to this MariaDB server";
        let length = u8::try_from(message.len()).unwrap();
        let refused = mysql_greeting(&[&[length, 0, 0, 0], message.as_slice()].concat()).unwrap();
        assert_eq!(refused.product, "MariaDB");
        assert!(refused.info.starts_with("Host '10.0.0.9'"));
        assert!(mysql_greeting(b"220 hello there").is_none());
        let mut with_tls = greeting("8.0.36");
        assert!(!mysql_has_tls(&with_tls));
        with_tls.extend([0xff, 0xff]);
        assert!(mysql_has_tls(&with_tls));
    }

    #[test]
    pub fn postgres_answers() {
        let error = b"E\0\0\0\x2fSFATAL\0VFATAL\0C28000\0Mno such role\0\0";
        assert_eq!(postgres_answer(error).as_deref(), Some("no such role"));
        assert_eq!(
            postgres_answer(b"R\0\0\0\x17\0\0\0\x0aSCRAM").as_deref(),
            Some("SASL (SCRAM) password")
        );
        assert_eq!(postgres_answer(b"E hello, this is no PostgreSQL"), None);
    }

    #[test]
    fn the_mongo_requests_have_their_lengths() {
        for request in [BUILD_INFO, LIST_DATABASES] {
            let length = u32::from_le_bytes(request[..4].try_into().unwrap());
            assert_eq!(request.len(), length as usize);
            let document = u32::from_le_bytes(request[21..25].try_into().unwrap());
            assert_eq!(request.len() - 21, document as usize);
        }
    }

    #[test]
    fn cassandra_and_oracle() {
        let cql = b"\x84\0\0\x01\x06\0\0\0\x18\0\x01\0\x0bCQL_VERSION\0\x01\0\x053.4.5";
        assert_eq!(cql_answer(cql).unwrap().info, "CQL 3.4.5");
        let connect = tns_connect();
        assert_eq!(connect.len(), usize::from(connect[1]));
        let refuse = b"\0\x49\0\0\x04\0\0\0\"\0\0=(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1189)(ERROR_STACK=(x)))";
        assert_eq!(tns_answer(refuse).unwrap().version, "19.0.0.0.0");
    }

    #[test]
    fn mongo_tells_its_version() {
        let answer = b"\x40\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x20\0\0\0\x02version\0\x07\0\0\x007.0.12\0\0";
        let finding = mongo_answer(answer).unwrap();
        assert_eq!(finding.version, "7.0.12");
        assert_eq!(finding.cpe, ["cpe:/a:mongodb:mongodb:7.0.12"]);
        assert!(finding.details.is_empty());
        let mut first = answer.to_vec();
        let length = u32::try_from(first.len()).unwrap();
        first[..4].copy_from_slice(&length.to_le_bytes());
        let head = b"\x40\0\0\0\x0a\0\0\0\x02\0\0\0\xdd\x07\0\0";
        for (body, auth) in [
            (b"..\x04databases\0..".as_slice(), "none"),
            (b"\x02codeName\0\x0d\0\0\0Unauthorized\0", "required"),
        ] {
            let both = [first.as_slice(), head, body].concat();
            assert_eq!(mongo_answer(&both).unwrap().details["mongodb.auth"], auth);
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (cql_answer(&bytes), tns_answer(&bytes));
            let _ = (mysql_greeting(&bytes), postgres_answer(&bytes), mongo_answer(&bytes));
            let start = [&[30, 0, 0, 0, 0xff], bytes.as_slice()].concat();
            let _ = mysql_greeting(&start);
        }
    }
}
