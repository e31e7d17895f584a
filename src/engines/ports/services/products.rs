use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::Finding;

/// What services say of themselves, then what web applications do.
const DATA: [&str; 3] = [
    include_str!("../../../../packaging/ports/products.toml"),
    include_str!("../../../../packaging/ports/services.toml"),
    include_str!("../../../../packaging/ports/apps.toml"),
];

/// Which text a pattern is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// What a service sent, at once or to a probe.
    Banner,
    /// The `Server` header of an HTTP answer.
    Server,
    /// Status line and headers of an HTTP answer.
    Head,
    /// An HTTP answer without its headers.
    Body,
}

/// Another page that tells the version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Its path.
    pub path: String,
    /// Pattern whose first group is the version.
    pub pattern: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    on: On,
    pattern: String,
    product: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    cpe: Vec<String>,
    #[serde(default = "certain")]
    confidence: f64,
    #[serde(default)]
    follow: Option<Follow>,
    /// Only in answer to this probe.
    #[serde(default)]
    probe: String,
}

/// Something to send to a port, and what follows is told by patterns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Its name; patterns may be for its answers only.
    pub name: String,
    /// Ports that it is for.
    pub ports: Vec<u16>,
    /// What is sent, escaped.
    send: String,
    /// Also for ports whose number says nothing.
    #[serde(default)]
    pub general: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    product: Vec<Entry>,
    #[serde(default)]
    probe: Vec<Payload>,
    #[serde(default)]
    page: Vec<Page>,
}

/// A page that may say what serves it, where the first page does not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    ports: Vec<u16>,
    /// Its path.
    pub path: String,
    /// What serves it, when its answer is as in `pattern`.
    #[serde(default)]
    product: String,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    cpe: Vec<String>,
}

impl Page {
    /// What the answer says by where it comes from.
    pub fn named(&self, answer: &[u8], finding: &mut Finding) {
        let fits = || compile(&self.pattern).is_some_and(|pattern| pattern.is_match(answer));
        if !self.product.is_empty() && fits() {
            finding.product.clone_from(&self.product);
            finding.cpe.clone_from(&self.cpe);
        }
    }
}

/// The page to ask a port for, next to the first one.
pub fn page_of(port: u16) -> Option<&'static Page> {
    static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
        let files = DATA
            .iter()
            .filter_map(|data| toml::from_str::<File>(data).ok());
        files.flat_map(|file| file.page).collect()
    });
    PAGES.iter().find(|page| page.ports.contains(&port))
}

impl Payload {
    /// The bytes to send.
    pub fn bytes(&self) -> Vec<u8> {
        unescape(&self.send).unwrap_or_default()
    }
}

/// `\r \n \t \0 \\` and `\xHH`; `None` for any other escape.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

/// The probes of the data files.
pub static PAYLOADS: LazyLock<Vec<Payload>> = LazyLock::new(|| {
    let files = DATA
        .iter()
        .filter_map(|data| toml::from_str::<File>(data).ok());
    files.flat_map(|file| file.probe).collect()
});

fn certain() -> f64 {
    1.0
}

/// A pattern of a data file: over bytes, so that what is not UTF-8 can be told, too.
pub fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().ok()
}

/// A test makes sure that all of the files read and all patterns compile.
static ENTRIES: LazyLock<Vec<(Entry, Regex)>> = LazyLock::new(|| {
    let files = DATA
        .iter()
        .filter_map(|data| toml::from_str::<File>(data).ok());
    files
        .flat_map(|file| file.product)
        .filter_map(|entry| {
            let pattern = compile(&entry.pattern)?;
            Some((entry, pattern))
        })
        .collect()
});

/// What a text says about the service that sent it.
pub fn identify(on: On, bytes: &[u8]) -> Option<Finding> {
    identify_more(on, bytes).map(|(finding, _)| finding)
}

/// What an answer to a probe of the data files says.
pub fn identify_answer(probe: &str, bytes: &[u8]) -> Option<Finding> {
    matching(
        |entry| entry.on == On::Banner && (entry.probe == probe || entry.probe.is_empty()),
        bytes,
    )
    .map(|(finding, _)| finding)
}

/// The same, with the page that tells the version when this text does not.
pub fn identify_more(on: On, bytes: &[u8]) -> Option<(Finding, Option<&'static Follow>)> {
    matching(|entry| entry.on == on && entry.probe.is_empty(), bytes)
}

fn matching(
    asked: impl Fn(&Entry) -> bool,
    bytes: &[u8],
) -> Option<(Finding, Option<&'static Follow>)> {
    ENTRIES
        .iter()
        .filter(|(entry, _)| asked(entry))
        .find_map(|(entry, pattern)| {
            let captures = pattern.captures(bytes)?;
            let fill = |template: &str| {
                let mut filled = Vec::new();
                captures.expand(template.as_bytes(), &mut filled);
                super::display::escape(filled.trim_ascii())
            };
            let finding = Finding {
                service: entry.service.clone(),
                product: fill(&entry.product),
                version: fill(&entry.version),
                cpe: entry.cpe.iter().map(|cpe| cpe_name(&fill(cpe))).collect(),
                confidence: entry.confidence,
                ..Finding::default()
            };
            let follow = entry.follow.as_ref().filter(|_| finding.version.is_empty());
            Some((finding, follow))
        })
}

/// What the page says that was asked for the version.
pub fn followed(follow: &Follow, page: &[u8], finding: &mut Finding) {
    let Some(pattern) = compile(&follow.pattern) else {
        return;
    };
    let found = pattern.captures(page).and_then(|captures| captures.get(1));
    if let Some(version) = found {
        finding.version = super::display::escape(version.as_bytes());
        if let Some(cpe) = finding.cpe.first_mut() {
            *cpe = cpe_name(&format!("{cpe}:{}", finding.version));
        }
    }
}

/// A CPE 2.2 URI (NISTIR 7695): lower case, no empty version at the end, no character that would
/// have to be quoted.
pub fn cpe_name(filled: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/+".contains(c);
    let name: String = filled.chars().filter(|c| allowed(*c)).collect();
    name.trim_end_matches(':').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_file_is_good() {
        let files = DATA.map(|data| toml::from_str::<File>(data).unwrap());
        for payload in files.iter().flat_map(|file| &file.probe) {
            assert!(unescape(&payload.send).is_some(), "{}", payload.name);
        }
        for page in files.iter().flat_map(|file| &file.page) {
            assert!(compile(&page.pattern).is_some(), "{}", page.path);
        }
        let files = files.map(|file| file.product);
        let entries: Vec<Entry> = files.into_iter().flatten().collect();
        for entry in &entries {
            assert!(compile(&entry.pattern).is_some(), "{}", entry.pattern);
            let follow = entry.follow.as_ref();
            assert!(follow.is_none_or(|follow| compile(&follow.pattern).is_some()));
            assert!((0.0..=1.0).contains(&entry.confidence), "{entry:?}");
            assert!(
                entry.cpe.iter().all(|cpe| cpe.starts_with("cpe:/")),
                "{entry:?}"
            );
        }
        assert_eq!(entries.len(), ENTRIES.len());
        assert!(ENTRIES.len() > 200);
    }

    #[track_caller]
    fn check(on: On, text: &str, service: &str, product: &str, version: &str, cpe: &[&str]) {
        let found = identify(on, text.as_bytes()).unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(
            (
                found.service.as_str(),
                found.product.as_str(),
                found.version.as_str()
            ),
            (service, product, version),
            "{text:?}"
        );
        assert_eq!(found.cpe, cpe, "{text:?}");
    }

    #[test]
    fn banners() {
        check(
            On::Banner,
            "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
            "ssh",
            "OpenSSH",
            "9.2p1 Debian-2+deb12u3",
            &["cpe:/a:openbsd:openssh:9.2p1", "cpe:/o:debian:debian_linux"],
        );
        check(
            On::Banner,
            "SSH-2.0-OpenSSH_9.9\r\n",
            "ssh",
            "OpenSSH",
            "9.9",
            &["cpe:/a:openbsd:openssh:9.9"],
        );
        let dropbear = "cpe:/a:matt_johnston:dropbear_ssh_server:2022.83";
        check(
            On::Banner,
            "SSH-2.0-dropbear_2022.83\r\n",
            "ssh",
            "Dropbear sshd",
            "2022.83",
            &[dropbear],
        );
        check(
            On::Banner,
            "220 (vsFTPd 3.0.3)\r\n",
            "ftp",
            "vsftpd",
            "3.0.3",
            &["cpe:/a:vsftpd:vsftpd:3.0.3"],
        );
        check(
            On::Banner,
            "220 ProFTPD Server (Debian) [::ffff:10.0.0.1]\r\n",
            "ftp",
            "ProFTPD",
            "",
            &["cpe:/a:proftpd:proftpd"],
        );
        check(
            On::Banner,
            "220---------- Welcome to Pure-FTPd [privsep] ----------\r\n",
            "ftp",
            "Pure-FTPd",
            "",
            &["cpe:/a:pureftpd:pure-ftpd"],
        );
        check(
            On::Banner,
            "220 mx.example.org ESMTP Postfix (Debian/GNU)\r\n",
            "smtp",
            "Postfix smtpd",
            "",
            &["cpe:/a:postfix:postfix"],
        );
        check(
            On::Banner,
            "220 mx.example.org ESMTP Exim 4.96 Sat, 21 Nov 2026\r\n",
            "smtp",
            "Exim smtpd",
            "4.96",
            &["cpe:/a:exim:exim:4.96"],
        );
        check(
            On::Banner,
            "+OK Dovecot (Debian) ready.\r\n",
            "pop3",
            "Dovecot pop3d",
            "",
            &["cpe:/a:dovecot:dovecot"],
        );
        check(
            On::Banner,
            "* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
            "imap",
            "Dovecot imapd",
            "",
            &["cpe:/a:dovecot:dovecot"],
        );
        check(On::Banner, "RFB 003.008\n", "vnc", "VNC", "003.008", &[]);
    }

    #[test]
    fn headers_and_bodies() {
        check(
            On::Server,
            "nginx/1.22.1",
            "http",
            "nginx",
            "1.22.1",
            &["cpe:/a:f5:nginx:1.22.1"],
        );
        check(
            On::Server,
            "nginx",
            "http",
            "nginx",
            "",
            &["cpe:/a:f5:nginx"],
        );
        check(
            On::Server,
            "Apache/2.4.57 (Debian)",
            "http",
            "Apache httpd",
            "2.4.57",
            &["cpe:/a:apache:http_server:2.4.57"],
        );
        check(On::Server, "thing/1.2", "http", "thing", "1.2", &[]);
        check(
            On::Body,
            "{\"cluster_name\":\"x\",\"version\":{\"number\" : \"8.11.1\",\"build_flavor\":\"default\"}}",
            "http",
            "Elasticsearch REST API",
            "8.11.1",
            &["cpe:/a:elastic:elasticsearch:8.11.1"],
        );
        assert!(identify(On::Banner, b"hello").is_none());
    }

    #[test]
    fn what_a_service_says_does_not_get_out_of_its_place() {
        let found = identify(On::Server, b"nginx/1.2\x1b]0;x").unwrap();
        assert_eq!(found.version, "1.2");
        assert_eq!(cpe_name("cpe:/a:X:Y:"), "cpe:/a:x:y");
        assert_eq!(cpe_name("cpe:/a:x:y:1 (\"2"), "cpe:/a:x:y:12");
    }
}
