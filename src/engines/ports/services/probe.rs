use std::time::Duration;

use tokio::time::Instant;

use crate::api::TlsFacts;
use crate::engines::ports::table;

use super::display::first_line;
use super::products::{On, identify as by_pattern};
use super::wire::{self, Context};
use super::{BY_NUMBER, Finding, binary, databases, http, over_tls, tls};

/// A way to ask a port what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Listen for so many milliseconds, then ask for a page on the same connection.
    Plain(u64),
    Tls,
    Redis,
    Memcached,
    Postgres,
    Mongo,
    Smb,
    Rdp,
    Amqp,
    Mqtt,
    Dns,
}

/// Order for a port whose number says nothing.
const GENERAL: [Probe; 11] = [
    Probe::Plain(500),
    Probe::Tls,
    Probe::Redis,
    Probe::Postgres,
    Probe::Memcached,
    Probe::Mongo,
    Probe::Amqp,
    Probe::Smb,
    Probe::Rdp,
    Probe::Mqtt,
    Probe::Dns,
];

/// Which probe to begin with, by the usual service of the port.
fn first_probe(port: u16) -> Probe {
    match table::usual_service(port) {
        "ssh" | "ftp" | "smtp" | "submission" | "pop3" | "imap" | "mysql" | "telnet" | "vnc"
        | "rsync" | "nntp" | "irc" => Probe::Plain(2000),
        "http" | "http-proxy" | "http-alt" | "ipp" | "elasticsearch" | "wsman" | "docker"
        | "rabbitmq-http" | "consul" | "vault" | "kibana" | "squid-http" | "couchdb"
        | "influxdb" | "solr" | "splunkd" | "ollama" => Probe::Plain(0),
        "https" | "https-alt" | "imaps" | "pop3s" | "smtps" | "ldaps" | "ftps" | "domain-s"
        | "wsmans" | "docker-s" | "kubernetes" | "kubelet" | "amqps" | "mqtts" | "sips"
        | "ircs-u" | "rabbitmq-https" | "cpanel-ssl" | "whm-ssl" | "webmail-ssl" | "nntps"
        | "telnets" | "syslog-tls" | "proxmox" | "unifi" | "globalcat-ldaps" => Probe::Tls,
        "redis" | "redis-sentinel" => Probe::Redis,
        "memcached" => Probe::Memcached,
        "postgresql" | "pgbouncer" | "cockroachdb" => Probe::Postgres,
        "mongodb" => Probe::Mongo,
        "microsoft-ds" => Probe::Smb,
        "ms-wbt-server" => Probe::Rdp,
        "amqp" => Probe::Amqp,
        "mqtt" => Probe::Mqtt,
        "domain" => Probe::Dns,
        _ => Probe::Plain(500),
    }
}

fn plan(port: u16) -> impl Iterator<Item = Probe> {
    let first = first_probe(port);
    let same = move |probe: &Probe| std::mem::discriminant(probe) == std::mem::discriminant(&first);
    std::iter::once(first).chain(GENERAL.into_iter().filter(move |probe| !same(probe)))
}

/// Finds out what a port carries. `None`: nothing beyond its number is known.
pub async fn identify(context: &Context<'_>, port: u16) -> Option<Finding> {
    let deadline = Instant::now() + context.timeout;
    let mut unknown = None;
    for probe in plan(port) {
        if Instant::now() >= deadline {
            break;
        }
        let found = run(probe, context, port, deadline).await;
        (context.step)();
        match found {
            Some(finding) if finding.service.is_empty() => {
                // It speaks, but nothing that is known; its words are kept.
                unknown.get_or_insert(finding);
            }
            Some(finding) => return Some(finding),
            None => {}
        }
    }
    unknown
}

/// The facts of a TLS handshake with a port.
pub async fn tls_facts(context: &Context<'_>, port: u16) -> Option<TlsFacts> {
    let deadline = Instant::now() + context.timeout;
    let stream = context.connect(port, deadline).await?;
    match tls::handshake(context, stream, tls::Offer::Any, deadline).await {
        tls::Shaken::Done(shaken) => Some(shaken.1),
        tls::Shaken::Refused(_) | tls::Shaken::NotTls => None,
    }
}

async fn run(probe: Probe, context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    match probe {
        Probe::Plain(wait) => plain(context, port, Duration::from_millis(wait), deadline).await,
        Probe::Tls => encrypted(context, port, deadline).await,
        Probe::Redis => databases::redis(context, port, deadline).await,
        Probe::Memcached => databases::memcached(context, port, deadline).await,
        Probe::Postgres => databases::postgres(context, port, deadline).await,
        Probe::Mongo => databases::mongo(context, port, deadline).await,
        Probe::Smb => binary::smb(context, port, deadline).await,
        Probe::Rdp => binary::rdp(context, port, deadline).await,
        Probe::Amqp => binary::amqp(context, port, deadline).await,
        Probe::Mqtt => binary::mqtt(context, port, deadline).await,
        Probe::Dns => binary::dns(context, port, deadline).await,
    }
}

/// Listens for a banner; asks for a page when there is none.
async fn plain(
    context: &Context<'_>,
    port: u16,
    wait: Duration,
    deadline: Instant,
) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    if !wait.is_zero() {
        let banner = context
            .listen(&mut stream, wait, deadline, wire::never)
            .await;
        if !banner.is_empty() {
            return Some(of_banner(&banner, port));
        }
    }
    let answer = http::get(context, &mut stream, port, deadline).await;
    if answer.is_empty() {
        return None;
    }
    if let Some(finding) = http::of_answer(&answer) {
        // Servers that speak TLS only say so in plain HTTP; the TLS probe comes next.
        return (!http::wants_tls(&answer)).then_some(finding);
    }
    if tls::is_record(&answer) {
        return None;
    }
    Some(of_banner(&answer, port))
}

/// What a banner means. Service "" when nothing is known of it.
fn of_banner(banner: &[u8], port: u16) -> Finding {
    let known = databases::mysql_greeting(banner)
        .or_else(|| binary::telnet(banner))
        .or_else(|| by_pattern(On::Banner, banner));
    let mut finding = known.unwrap_or_else(|| {
        // A reply in the manner of FTP and SMTP, at the usual port of one of them.
        let usual = table::usual_service(port);
        let replies = banner.starts_with(b"220") && ["ftp", "smtp", "submission"].contains(&usual);
        if replies {
            Finding::named(usual, 0.8)
        } else {
            Finding::named("", BY_NUMBER)
        }
    });
    if finding.info.is_empty() {
        finding.info = first_line(banner);
    }
    finding
}

/// Shakes hands, then listens or asks for a page inside.
async fn encrypted(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let stream = context.connect(port, deadline).await?;
    let mut finding = match tls::handshake(context, stream, tls::Offer::Any, deadline).await {
        tls::Shaken::Done(shaken) => {
            let (stream, facts) = *shaken;
            let mut inside = inside(context, stream, &facts, port, deadline).await;
            inside.tls = Some(facts);
            inside
        }
        tls::Shaken::Refused(why) => Finding {
            info: why,
            ..Finding::named("", 0.8)
        },
        tls::Shaken::NotTls => return None,
    };
    if finding.service.is_empty() {
        let usual = table::usual_service(port);
        finding.service = match usual {
            "https" | "https-alt" => "https".to_owned(),
            usual if first_probe(port) == Probe::Tls => usual.to_owned(),
            _ => "ssl".to_owned(),
        };
        finding.confidence = finding.confidence.min(0.8);
    } else {
        finding.service = over_tls(&finding.service);
    }
    Some(finding)
}

async fn inside(
    context: &Context<'_>,
    mut stream: tls::Stream,
    facts: &TlsFacts,
    port: u16,
    deadline: Instant,
) -> Finding {
    let speaks_first = [
        "imaps", "pop3s", "smtps", "ftps", "nntps", "ircs-u", "telnets",
    ]
    .contains(&table::usual_service(port));
    if facts.alpn.as_deref() == Some("h2") {
        // We ask in HTTP/1.1 only, on a connection of its own.
        let again = match context.connect(port, deadline).await {
            Some(tcp) => tls::handshake(context, tcp, tls::Offer::Http1, deadline).await,
            None => tls::Shaken::NotTls,
        };
        match again {
            tls::Shaken::Done(again) => stream = again.0,
            _ => return Finding::named("http", 0.9),
        }
    } else if facts.alpn.is_none() {
        let wait = if speaks_first { 2000 } else { 200 };
        let wait = Duration::from_millis(wait);
        let banner = context
            .listen(&mut stream, wait, deadline, wire::never)
            .await;
        if !banner.is_empty() {
            return of_banner(&banner, port);
        }
    }
    let answer = http::get(context, &mut stream, port, deadline).await;
    match http::of_answer(&answer) {
        Some(finding) => finding,
        None if answer.is_empty() => Finding::named("", 0.8),
        None => of_banner(&answer, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_once_the_likely_one_first() {
        for port in [1, 22, 80, 443, 6379, 5432, 445, 53, 40_000] {
            let plan: Vec<Probe> = plan(port).collect();
            assert_eq!(plan.len(), GENERAL.len(), "{port}");
        }
        assert_eq!(plan(443).next(), Some(Probe::Tls));
        assert_eq!(plan(6379).next(), Some(Probe::Redis));
        assert_eq!(plan(8080).next(), Some(Probe::Plain(0)));
    }

    #[test]
    fn banners_that_are_not_known_keep_their_words() {
        let finding = of_banner(b"hello\x07 there\r\n", 40_000);
        assert_eq!(
            (finding.service.as_str(), finding.info.as_str()),
            ("", "hello\\x07 there")
        );
        assert_eq!(of_banner(b"220 welcome\r\n", 21).service, "ftp");
        assert_eq!(of_banner(b"220 welcome\r\n", 25).service, "smtp");
    }
}
