//! Which kinds of facts there are, and which fields each has. This is what a rule may name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Slot;

/// What a field begins with that is a header of an answer.
pub(super) const HEADER: &str = "header.";

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Yes or no.
    Flag,
    /// A whole number.
    Number,
    /// Text.
    Text,
    /// A list of texts.
    List,
    /// A time.
    Time,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "a flag",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Time => "a time",
        })
    }
}

/// A field that facts of a kind may have.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// What it says.
    pub about: &'static str,
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host as a whole.
    Host,
    /// An open port.
    Service,
    /// TLS on an open port.
    Tls,
    /// An answer of the record's own web servers.
    Http,
    /// A cookie, once for each origin.
    Cookie,
    /// A path that is there.
    Path,
    /// A form.
    Form,
    /// An endpoint that pages, scripts or API documents name.
    Endpoint,
    /// Software, from whatever shows it.
    Technology,
    /// A secret in a script.
    Secret,
    /// An open finding of another agent.
    Finding,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Host,
        Self::Service,
        Self::Tls,
        Self::Http,
        Self::Cookie,
        Self::Path,
        Self::Form,
        Self::Endpoint,
        Self::Technology,
        Self::Secret,
        Self::Finding,
    ];

    /// The name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Service => "service",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Cookie => "cookie",
            Self::Path => "path",
            Self::Form => "form",
            Self::Endpoint => "endpoint",
            Self::Technology => "technology",
            Self::Secret => "secret",
            Self::Finding => "finding",
        }
    }

    /// The fields that such a fact may have.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Host => HOST,
            Self::Service => SERVICE,
            Self::Tls => TLS,
            Self::Http => HTTP,
            Self::Cookie => COOKIE,
            Self::Path => PATH,
            Self::Form => FORM,
            Self::Endpoint => ENDPOINT,
            Self::Technology => TECHNOLOGY,
            Self::Secret => SECRET,
            Self::Finding => FINDING,
        }
    }

    /// Where a field is; `None` when the kind has none of that name.
    pub fn slot(self, name: &str) -> Option<Slot> {
        let at = self.fields().iter().position(|field| field.name == name);
        at.map(Slot::Field).or_else(|| {
            let header = name.strip_prefix(HEADER)?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            let sound = !header.is_empty() && header.bytes().all(token);
            (self == Self::Http && sound).then(|| Slot::Header(header.to_ascii_lowercase()))
        })
    }

    /// The type of a field.
    pub fn type_of(self, slot: &Slot) -> Type {
        match slot {
            Slot::Field(at) => self.fields().get(*at).map_or(Type::Text, |f| f.kind),
            Slot::Header(_) => Type::Text,
        }
    }

    /// The known field whose name is nearest to this one, if any is near.
    pub fn nearest(self, name: &str) -> Option<&'static str> {
        let names = self.fields().iter().map(|field| field.name);
        let near = names.map(|known| (strsim::jaro_winkler(name, known), known));
        let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(near, _)| *near > 0.8).map(|(_, known)| known)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == s)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::as_str).join(", ");
                format!("must be one of {names}")
            })
    }
}

const fn flag(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        kind: Type::Flag,
        about,
    }
}

const fn number(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        kind: Type::Number,
        about,
    }
}

const fn text(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        kind: Type::Text,
        about,
    }
}

const fn list(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        kind: Type::List,
        about,
    }
}

const fn time(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        kind: Type::Time,
        about,
    }
}

/// All kinds have it.
const PUBLIC: Field = flag(
    "public",
    "the record has an address that the whole Internet can reach (IANA's special-purpose registries); \
     absent when no address is known",
);

const HOST: &[Field] = &[
    PUBLIC,
    text("name", "name of the record"),
    list("addresses", "its addresses"),
    list("hostnames", "names that the DNS has for its addresses"),
    list("ports", "open ports (tcp/22)"),
    number("port_count", "number of open ports"),
    list("services", "services that were recognised"),
    list(
        "systems",
        "operating systems that banners and CPE names speak of",
    ),
    flag(
        "firewalled",
        "a web application firewall or delivery network is in front",
    ),
];

const SERVICE: &[Field] = &[
    PUBLIC,
    number("port", "port number"),
    text("protocol", "tcp or udp"),
    text(
        "service",
        "service that was recognised, in clear (http for https); never one guessed by number",
    ),
    text("usual", "service that usually has this port"),
    flag("tls", "it speaks TLS from the beginning"),
    flag("starttls", "it can start TLS"),
    text("product", "product"),
    text("version", "its version"),
    text("banner", "first line of what it said"),
    list("cpe", "CPE names"),
    text("waf", "firewall or delivery network in front"),
    time("seen_at", "when it was last seen open"),
    text("http.status", "status of /"),
    text("http.title", "title of /"),
    text("http.server", "Server header"),
    text("http.powered_by", "X-Powered-By header"),
    text("http.authenticate", "WWW-Authenticate header"),
    text("http.location", "where / redirects to"),
    text("http.generator", "generator of the page"),
    text("http.via", "Via header"),
    list("ssh.kex", "key exchanges of SSH"),
    list("ssh.hostkey", "host key algorithms of SSH"),
    list("ssh.cipher", "ciphers of SSH"),
    list("ssh.mac", "message authentication codes of SSH"),
    list("ssh.compression", "compressions of SSH"),
    list("smtp.extensions", "what EHLO lists"),
    list("imap.capabilities", "what IMAP can do"),
    list("pop3.capabilities", "what POP3 can do"),
    list("ftp.features", "what FTP can do"),
    list("nntp.capabilities", "what NNTP can do"),
    list("vnc.security", "security types that VNC offers"),
    text(
        "rdp.security",
        "security of Remote Desktop: rdp, tls, credssp",
    ),
    text("smb.dialect", "SMB dialect"),
    text("smb.signing", "signing required, or not"),
    text("mssql.encryption", "off, on, required, not supported"),
    text("mssql.server", "server that SQL Server Browser names"),
    text("snmp.version", "SNMP version that answers"),
    text("ntlm.computer", "name of the computer"),
    text("ntlm.domain", "name of the domain"),
    text("ntp.stratum", "stratum of NTP"),
    text(
        "mqtt.version",
        "version topic of an MQTT broker that anybody may read",
    ),
    text(
        "mongodb.auth",
        "none: it lists its databases to strangers; required",
    ),
    text(
        "dns.recursion",
        "available: it says that it resolves for us",
    ),
    text("upnp.location", "description document of UPnP"),
    text("netbios.name", "NetBIOS name"),
    text("ike.exchange", "exchange type of IKE"),
    list(
        "ldap.namingContexts",
        "trees that the directory tells strangers of",
    ),
    list(
        "ldap.supportedSASLMechanisms",
        "ways to log in to the directory",
    ),
];

const TLS: &[Field] = &[
    PUBLIC,
    number("port", "port number"),
    text("service", "service inside, in clear"),
    flag("starttls", "TLS is started by a command"),
    text("version", "version of the handshake"),
    list(
        "versions",
        "versions that are accepted; that of the handshake alone unless a deep scan asked",
    ),
    text("cipher", "cipher suite of the handshake"),
    list(
        "ciphers",
        "cipher suites that are accepted; that of the handshake alone unless a deep scan asked",
    ),
    flag("deep", "all versions and suites were asked for"),
    text("subject", "subject of the certificate"),
    text("issuer", "its issuer"),
    list("names", "names that it is good for"),
    time("not_before", "start of its validity"),
    time("not_after", "end of its validity"),
    number("days_left", "days until it expires; negative: it has"),
    number(
        "days_old",
        "days since it is valid; negative: it is not yet",
    ),
    number("validity_days", "days from start to end of its validity"),
    flag("self_signed", "it is its own issuer"),
    text("signature", "signature algorithm"),
    number("key_bits", "bits of its key"),
    number("chain_length", "certificates that were sent"),
    list(
        "problems",
        "expired, not yet valid, self-signed, name mismatch, weak key, weak signature",
    ),
];

const HTTP: &[Field] = &[
    PUBLIC,
    text("url", "URL"),
    text("scheme", "http or https"),
    text("host", "name or address in the URL"),
    number("port", "port of the URL"),
    text("path", "path of the URL"),
    flag("root", "it is the start page"),
    text("method", "method of the request"),
    number("status", "status"),
    flag("html", "it is HTML"),
    text("title", "title of the page"),
    text("content_type", "type of the content"),
    flag("headers_known", "the headers are known, not the page alone"),
    number("hsts_max_age", "seconds of Strict-Transport-Security"),
    text(
        "csp",
        "policy for its content, from the header; \"in the page\" where only the page has one",
    ),
    list("csp_scripts", "sources of scripts that the policy allows"),
    flag("frame_ancestors", "the policy says who may frame the page"),
    text("cors_origin", "Access-Control-Allow-Origin"),
    flag("cors_credentials", "Access-Control-Allow-Credentials: true"),
    list("mixed", "what a page by https loads by http"),
    text("listing", "whose directory listing it is"),
    text("error_page", "whose error page with inner details it is"),
    text("default_page", "whose page of a fresh installation it is"),
    flag("to_https", "it redirects to https"),
    flag("password", "a form on it asks for a password"),
];

const COOKIE: &[Field] = &[
    PUBLIC,
    text("name", "name"),
    text("scheme", "scheme of the page that sets it"),
    flag("secure", "only sent by https"),
    flag("http_only", "not seen by scripts"),
    text("same_site", "Strict, Lax or None"),
    text("domain", "domain, if it is told to more than the host"),
    text("path", "path"),
    flag("persistent", "it outlives the session"),
    flag("session", "by its name it carries a session or a login"),
];

const PATH: &[Field] = &[
    PUBLIC,
    text("path", "path without query"),
    text("url", "URL"),
    number("status", "status"),
    flag("open", "it answers 200: anybody can read it"),
    number("size", "bytes"),
    text("content_type", "type of the content"),
    text("title", "title of the page"),
    text("from", "enumeration or spider"),
];

const FORM: &[Field] = &[
    PUBLIC,
    text("page", "URL of the page"),
    text("action", "URL that it sends to"),
    text("method", "method"),
    text("scheme", "scheme of the page"),
    text("action_scheme", "scheme of the action"),
    flag("password", "it has a password field"),
    flag("upload", "it sends files"),
    flag("card", "it has fields of a payment card"),
    flag(
        "token",
        "it has a hidden field as those against forgery are named",
    ),
    flag("elsewhere", "it sends to another host"),
    list("inputs", "names of its fields"),
];

const ENDPOINT: &[Field] = &[
    PUBLIC,
    text("url", "URL or path"),
    text("path", "path without query"),
    text("method", "method; absent when not known"),
    list("parameters", "names of its parameters"),
    text("found_in", "fetch, openapi and the like"),
    text("source_page", "page or script that names it"),
    flag("own", "it is the record's own"),
];

const TECHNOLOGY: &[Field] = &[
    PUBLIC,
    text("name", "name"),
    text("version", "version"),
    text("category", "category"),
    list("cpe", "CPE names"),
    list("places", "where it was seen (tcp/22, web, cms)"),
    flag(
        "backports",
        "a distribution maintains it: its version says little about its faults",
    ),
];

const SECRET: &[Field] = &[
    PUBLIC,
    text("type", "kind of secret"),
    text("severity", "severity by kind"),
    text("location", "URL of the page or script"),
    text("title", "title of the finding"),
];

const FINDING: &[Field] = &[
    PUBLIC,
    text("type", "type"),
    text("category", "category"),
    text("severity", "severity"),
    text("location", "where it is"),
    text("title", "title"),
    text("by", "kind of agent that found it"),
];
