//! What is asked of a service after it introduced itself, on the same connection.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::display::escape;
use super::wire::{ANSWER, Context};
use super::{Finding, databases, ssh, tls};

/// A protocol of commands in lines.
struct Lines {
    service: &'static str,
    /// Asks what the server can do.
    ask: &'static [u8],
    /// Under which name the answer is kept.
    detail: &'static str,
    /// The word of the answer that says it can start TLS, and the command that does.
    secure: Option<(&'static str, &'static [u8])>,
    /// The start of the answer that says "go on".
    go: &'static [u8],
    /// Says good-bye.
    quit: &'static [u8],
}

const LINES: [Lines; 7] = [
    Lines {
        service: "smtp",
        ask: b"EHLO recon.invalid\r\n",
        detail: "smtp.extensions",
        secure: Some(("STARTTLS", b"STARTTLS\r\n")),
        go: b"220",
        quit: b"QUIT\r\n",
    },
    Lines {
        service: "lmtp",
        ask: b"LHLO recon.invalid\r\n",
        detail: "smtp.extensions",
        secure: Some(("STARTTLS", b"STARTTLS\r\n")),
        go: b"220",
        quit: b"QUIT\r\n",
    },
    Lines {
        service: "imap",
        ask: b"r1 CAPABILITY\r\n",
        detail: "imap.capabilities",
        secure: Some(("STARTTLS", b"r2 STARTTLS\r\n")),
        go: b"r2 OK",
        quit: b"r3 LOGOUT\r\n",
    },
    Lines {
        service: "pop3",
        ask: b"CAPA\r\n",
        detail: "pop3.capabilities",
        secure: Some(("STLS", b"STLS\r\n")),
        go: b"+OK",
        quit: b"QUIT\r\n",
    },
    Lines {
        service: "ftp",
        ask: b"FEAT\r\n",
        detail: "ftp.features",
        secure: Some(("AUTH TLS", b"AUTH TLS\r\n")),
        go: b"234",
        quit: b"QUIT\r\n",
    },
    Lines {
        service: "nntp",
        ask: b"CAPABILITIES\r\n",
        detail: "nntp.capabilities",
        secure: Some(("STARTTLS", b"STARTTLS\r\n")),
        go: b"382",
        quit: b"QUIT\r\n",
    },
    Lines {
        service: "managesieve",
        ask: b"CAPABILITY\r\n",
        detail: "sieve.capabilities",
        secure: None,
        go: b"OK",
        quit: b"LOGOUT\r\n",
    },
];

/// Asks more of a service on a connection without TLS, starting TLS where the service can.
pub async fn plain(
    context: &Context<'_>,
    mut stream: TcpStream,
    said: &[u8],
    deadline: Instant,
    finding: &mut Finding,
) {
    inside(context, &mut stream, said, deadline, finding).await;
    if finding.service == "mysql" && databases::mysql_has_tls(said) {
        if context
            .say(&mut stream, &databases::MYSQL_SSL_REQUEST)
            .await
        {
            finding.tls = shaken(context, stream, deadline).await;
        }
        return;
    }
    let Some(lines) = LINES.iter().find(|lines| lines.service == finding.service) else {
        return;
    };
    let can = finding
        .details
        .get(lines.detail)
        .cloned()
        .unwrap_or_default();
    let secure = lines
        .secure
        .filter(|(word, _)| can.to_ascii_uppercase().contains(word));
    let Some((_, start)) = secure else {
        context.say(&mut stream, lines.quit).await;
        return;
    };
    if context.say(&mut stream, start).await {
        let answer = context
            .listen(&mut stream, ANSWER, deadline, ends_line)
            .await;
        if answer.starts_with(lines.go) {
            finding.tls = shaken(context, stream, deadline).await;
            finding.detail("starttls", "yes");
        }
    }
}

async fn shaken(
    context: &Context<'_>,
    stream: TcpStream,
    deadline: Instant,
) -> Option<crate::api::TlsFacts> {
    match tls::handshake(context, stream, tls::Offer::Nothing, deadline).await {
        tls::Shaken::Done(shaken) => Some(shaken.1),
        tls::Shaken::Refused(_) | tls::Shaken::NotTls => None,
    }
}

/// Whether a service that spoke first is asked for more.
pub fn says_more(service: &str) -> bool {
    matches!(service, "ssh" | "vnc" | "mysql") || LINES.iter().any(|l| l.service == service)
}

/// Asks more of a service on any connection.
pub async fn inside(
    context: &Context<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    said: &[u8],
    deadline: Instant,
    finding: &mut Finding,
) {
    match finding.service.as_str() {
        "ssh" => return ssh::algorithms(context, stream, said, deadline, finding).await,
        "vnc" => return vnc(context, stream, said, deadline, finding).await,
        _ => {}
    }
    let Some(lines) = LINES.iter().find(|lines| lines.service == finding.service) else {
        return;
    };
    if !context.say(stream, lines.ask).await {
        return;
    }
    let answer = context.listen(stream, ANSWER, deadline, whole_reply).await;
    let words = capabilities(&answer);
    finding.detail(lines.detail, words);
}

/// One line is there.
fn ends_line(said: &[u8]) -> bool {
    said.ends_with(b"\n")
}

/// A reply is there in whole, in the manner of any of these protocols: a last line `250 `, `r1 OK`
/// or `.`, or an error.
pub fn whole_reply(said: &[u8]) -> bool {
    let Some(said) = said.strip_suffix(b"\n") else {
        return false;
    };
    let last = said
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let last = last.trim_ascii_end();
    let code = last.len() >= 3 && last[..3].iter().all(u8::is_ascii_digit);
    (code && last.get(3).is_none_or(|byte| *byte == b' ') && !said.starts_with(b"101"))
        || last == b"."
        || [b"r1 ".as_slice(), b"-ERR", b"OK", b"NO"]
            .iter()
            .any(|start| last.starts_with(start))
}

/// What a server can do, of a reply in lines: without codes, tags and first or last words.
pub fn capabilities(reply: &[u8]) -> String {
    let text = escape_long(reply);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let coded = line.len() > 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
        if line.starts_with("* CAPABILITY ") {
            found.extend(line.split(' ').skip(2).map(str::to_owned));
        } else if coded && number > 0 {
            found.push(line.get(4..).unwrap_or_default().to_owned());
        } else if number > 0
            && line != "."
            && !["r1 ", "-ERR", "OK", "NO", "* "]
                .iter()
                .any(|start| line.starts_with(start))
        {
            found.push(line.to_owned());
        }
    }
    found.retain(|word| {
        !word.is_empty() && !["End", "End.", "END", "HELP"].contains(&word.as_str())
    });
    let mut words = String::new();
    for word in found.iter().take(64) {
        if words.len() + word.len() > 1000 {
            break;
        }
        let between = if words.is_empty() { "" } else { ", " };
        words.push_str(between);
        words.push_str(word);
    }
    words
}

/// A reply as text that is safe to show, line by line.
fn escape_long(reply: &[u8]) -> String {
    let lines = reply.split(|byte| *byte == b'\n').take(80);
    let lines = lines.map(|line| escape(line.strip_suffix(b"\r").unwrap_or(line)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Security types of RFB (RFC 6143 §7.1.2 and IANA's registry).
const VNC_SECURITY: [(u8, &str); 10] = [
    (1, "None"),
    (2, "VNC authentication"),
    (5, "RA2"),
    (6, "RA2ne"),
    (16, "Tight"),
    (17, "Ultra"),
    (18, "TLS"),
    (19, "VeNCrypt"),
    (30, "Apple Remote Desktop"),
    (129, "RA2_256"),
];

async fn vnc(
    context: &Context<'_>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    said: &[u8],
    deadline: Instant,
    finding: &mut Finding,
) {
    // The server's own version, as long as it is one that we know.
    let Some(version) = said.get(..12) else {
        return;
    };
    let ours: &[u8] = match version {
        b"RFB 003.003\n" => b"RFB 003.003\n",
        b"RFB 003.007\n" => b"RFB 003.007\n",
        _ => b"RFB 003.008\n",
    };
    if !context.say(stream, ours).await {
        return;
    }
    let some = |said: &[u8]| {
        said.first()
            .is_some_and(|count| said.len() > usize::from(*count))
    };
    let answer = context.listen(stream, ANSWER, deadline, some).await;
    let types = vnc_security(&answer, ours.ends_with(b"3\n"));
    finding.detail("vnc.security", types);
}

/// The names of the security types that a server offers.
pub fn vnc_security(answer: &[u8], old: bool) -> String {
    let types: &[u8] = match (old, answer) {
        // Version 3.3: the server decides, in four bytes.
        (true, [0, 0, 0, kind, ..]) => std::slice::from_ref(kind),
        (false, [count, rest @ ..]) => &rest[..rest.len().min(usize::from(*count))],
        _ => return String::new(),
    };
    let name = |kind: &u8| {
        let known = VNC_SECURITY.iter().find(|(number, _)| number == kind);
        known.map_or_else(|| format!("type {kind}"), |(_, name)| (*name).to_owned())
    };
    types.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_can_do() {
        let smtp = b"250-mx.example.org\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n";
        assert!(whole_reply(smtp) && !whole_reply(&smtp[..40]));
        assert_eq!(capabilities(smtp), "SIZE 10240000, STARTTLS, SMTPUTF8");
        let imap = b"* CAPABILITY IMAP4rev1 STARTTLS\r\nr1 OK done\r\n";
        assert!(whole_reply(imap) && !whole_reply(&imap[..33]));
        assert_eq!(capabilities(imap), "IMAP4rev1, STARTTLS");
        let pop = b"+OK\r\nCAPA\r\nSTLS\r\n.\r\n";
        assert!(whole_reply(pop));
        assert_eq!(capabilities(pop), "CAPA, STLS");
        let ftp = b"211-Features:\r\n AUTH TLS\r\n EPRT\r\n211 End\r\n";
        assert!(whole_reply(ftp));
        assert_eq!(capabilities(ftp), "AUTH TLS, EPRT");
        assert_eq!(
            capabilities(b"530 Please login with USER and PASS.\r\n"),
            ""
        );
    }

    #[test]
    fn vnc_types() {
        assert_eq!(
            vnc_security(&[2, 2, 19], false),
            "VNC authentication, VeNCrypt"
        );
        assert_eq!(vnc_security(&[9, 1], false), "None");
        assert_eq!(vnc_security(&[0, 0, 0, 1], true), "None");
        assert_eq!(vnc_security(&[], false), "");
    }
}
