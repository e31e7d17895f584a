use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::api::TlsFacts;
use crate::engines::ports::table;

use super::ask::{self, Ask};
use super::display::first_line;
use super::products::{On, identify as by_pattern};
use super::wire::{self, Context};
use super::{BY_NUMBER, Finding, databases, http, names, over_tls, talk, tls, tls_deep, windows};

/// A way to find out what a port carries.
#[derive(Clone, Copy)]
enum Probe {
    /// Listen for so many milliseconds.
    Listen(u64),
    /// Ask for a page.
    Http,
    Tls,
    Redis,
    Postgres,
    Smb,
    Rdp,
    Ask(Ask),
}

impl Probe {
    /// Two probes of one name do the same.
    fn name(self) -> &'static str {
        match self {
            Probe::Listen(_) => "listen",
            Probe::Http => "http",
            Probe::Tls => "tls",
            Probe::Redis => "redis",
            Probe::Postgres => "postgresql",
            Probe::Smb => "smb",
            Probe::Rdp => "rdp",
            Probe::Ask(ask) => ask.name(),
        }
    }
}

/// Probes of one port at the same time.
const AT_ONCE: usize = 5;

/// After so long without an answer to what was asked, something else is asked, too.
const NEXT: Duration = Duration::from_millis(250);

/// The same where the number of the port says what it should be: services that resolve names before
/// they speak take this long.
const NEXT_KNOWN: Duration = Duration::from_millis(1200);

/// Nothing is sent to printers, which print it, nor to industrial devices, of which some stop: Modbus,
/// S7, DNP3, EtherNet/IP, IEC 60870-5-104, Fox, FINS, PCWorx, BACnet, OPC UA discovery, ProConOS.
const SILENT: [u16; 13] = [
    102, 502, 789, 1911, 1962, 2404, 4911, 5094, 9600, 18245, 20000, 20547, 44818,
];

fn is_silent(port: u16) -> bool {
    (9100..=9107).contains(&port) || SILENT.contains(&port)
}

/// The probes that the number of a port suggests.
fn likely(port: u16) -> Vec<Probe> {
    let mut likely: Vec<Probe> = ask::for_port(port).map(Probe::Ask).collect();
    let by_service = match table::usual_service(port) {
        "ssh" | "ftp" | "smtp" | "submission" | "pop3" | "imap" | "mysql" | "telnet" | "vnc"
        | "rsync" | "nntp" | "managesieve" | "svn" | "mpd" | "nats" => Some(Probe::Listen(5000)),
        "http" | "http-proxy" | "http-alt" | "ipp" | "elasticsearch" | "wsman" | "docker"
        | "rabbitmq-http" | "consul" | "vault" | "kibana" | "squid-http" | "couchdb"
        | "influxdb" | "solr" | "splunkd" | "ollama" | "etcd-client" | "grafana" | "prometheus" => {
            Some(Probe::Http)
        }
        "https" | "https-alt" | "imaps" | "pop3s" | "smtps" | "ldaps" | "ftps" | "domain-s"
        | "wsmans" | "docker-s" | "kubernetes" | "kubelet" | "amqps" | "mqtts" | "sips"
        | "ircs-u" | "rabbitmq-https" | "cpanel-ssl" | "whm-ssl" | "webmail-ssl" | "nntps"
        | "telnets" | "syslog-tls" | "proxmox" | "unifi" | "globalcat-ldaps" => Some(Probe::Tls),
        "redis" | "redis-sentinel" => Some(Probe::Redis),
        "postgresql" | "pgbouncer" | "cockroachdb" => Some(Probe::Postgres),
        "microsoft-ds" | "netbios-ssn" => Some(Probe::Smb),
        "ms-wbt-server" => Some(Probe::Rdp),
        _ => None,
    };
    match by_service {
        // TLS is a matter of the port; what runs inside comes after.
        Some(Probe::Tls) => likely.insert(0, Probe::Tls),
        other => likely.extend(other),
    }
    likely
}

/// The probes of a port in order, each once, and how many of them its number suggests.
fn plan(port: u16) -> (Vec<Probe>, usize) {
    if is_silent(port) {
        return (vec![Probe::Listen(2000)], 1);
    }
    let mut plan = likely(port);
    let known = plan.len();
    let fixed = [
        Probe::Listen(600),
        Probe::Http,
        Probe::Tls,
        Probe::Redis,
        Probe::Postgres,
        Probe::Smb,
        Probe::Rdp,
    ];
    let rest = fixed.into_iter().chain(ask::general().map(Probe::Ask));
    for probe in rest {
        if !plan.iter().any(|other| other.name() == probe.name()) {
            plan.push(probe);
        }
    }
    (plan, known)
}

/// How long a service that is known to speak first is listened to.
const GREETING: Duration = Duration::from_secs(2);

type Running<'a> = Pin<Box<dyn Future<Output = (usize, Option<Finding>)> + Send + 'a>>;

/// Finds out what a port carries. `None`: nothing beyond its number is known. A probe that gets no
/// answer soon is joined by the next one, so that a silent service costs little time; the first that
/// knows the service wins.
pub async fn identify(context: &Context<'_>, port: u16) -> Option<Finding> {
    let deadline = Instant::now() + context.timeout;
    let (plan, known) = plan(port);
    let mut waiting = plan.into_iter().enumerate();
    let mut running: FuturesUnordered<Running<'_>> = FuturesUnordered::new();
    // What speaks, but nothing that is known: the words heard by the first probe are kept.
    let mut unknown: Option<(usize, Finding)> = None;
    // A port whose number says nothing is listened to and asked for a page at once.
    let mut start = if known == 0 { 2 } else { 1 };
    loop {
        while start > 0 && running.len() < AT_ONCE {
            start -= 1;
            let Some((rank, probe)) = waiting.next() else {
                break;
            };
            running.push(Box::pin(async move {
                (rank, run(probe, context, port, deadline).await)
            }));
        }
        let pause = if known > 0 { NEXT_KNOWN } else { NEXT };
        tokio::select! {
            next = running.next() => match next {
                Some((_, Some(finding))) if !finding.service.is_empty() => {
                    return Some(finished(context, port, finding).await);
                }
                Some((rank, Some(finding))) => {
                    if unknown.as_ref().is_none_or(|(other, _)| rank < *other) {
                        unknown = Some((rank, finding));
                    }
                    start = 1;
                }
                Some((_, None)) => start = 1,
                None => break,
            },
            () = tokio::time::sleep(pause) => start = 1,
            () = tokio::time::sleep_until(deadline) => break,
        }
        (context.step)();
        if running.is_empty() && waiting.len() == 0 {
            break;
        }
    }
    unknown.map(|(_, finding)| finding)
}

/// What a deep scan adds.
async fn finished(context: &Context<'_>, port: u16, mut finding: Finding) -> Finding {
    if !finding.details.contains_key("starttls") {
        tls_deep::deepen(context, port, finding.tls.as_mut()).await;
    }
    finding
}

/// The facts of a TLS handshake with a port.
pub async fn tls_facts(context: &Context<'_>, port: u16) -> Option<TlsFacts> {
    let mut facts = tls_deep::any(context, port, Instant::now() + context.timeout).await;
    tls_deep::deepen(context, port, facts.as_mut()).await;
    facts
}

async fn run(probe: Probe, context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    match probe {
        Probe::Listen(wait) => listen(context, port, Duration::from_millis(wait), deadline).await,
        Probe::Http => page(context, port, deadline).await,
        Probe::Tls => encrypted(context, port, deadline).await,
        Probe::Redis => databases::redis(context, port, deadline).await,
        Probe::Postgres => databases::postgres(context, port, deadline).await,
        Probe::Smb => windows::smb(context, port, deadline).await,
        Probe::Rdp => windows::rdp(context, port, deadline).await,
        Probe::Ask(ask) => ask.run(context, port, deadline).await,
    }
}

/// Listens for a greeting, and talks to who gave one.
async fn listen(
    context: &Context<'_>,
    port: u16,
    wait: Duration,
    deadline: Instant,
) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    let said = context
        .listen(&mut stream, wait, deadline, wire::greeting)
        .await;
    if said.is_empty() {
        return None;
    }
    let mut finding = of_banner(&said, port);
    talk::plain(context, stream, &said, deadline, &mut finding).await;
    Some(finding)
}

/// Asks for a page.
async fn page(context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
    let mut stream = context.connect(port, deadline).await?;
    let answer = http::get(context, &mut stream, port, deadline).await;
    // Servers that speak TLS only say so in plain HTTP, or in a TLS alert; the TLS probe comes next.
    if answer.is_empty() || http::wants_tls(&answer) || tls::is_record(&answer) {
        return None;
    }
    match http::explore(context, port, false, &answer, deadline).await {
        Some(finding) => Some(finding),
        None => {
            let heard = of_banner(&answer, port);
            // It spoke first, and our request broke off what it would have said: on a port whose number
            // says nothing this may be known before the one who listens is done with it.
            match talk::says_more(&heard.service) {
                true => listen(context, port, GREETING, deadline)
                    .await
                    .or(Some(heard)),
                false => Some(heard),
            }
        }
    }
}

/// What a banner means. Service "" when nothing is known of it.
fn of_banner(banner: &[u8], port: u16) -> Finding {
    let known = databases::mysql_greeting(banner)
        .or_else(|| names::telnet(banner))
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
            tls: tls_deep::old(context, port, deadline).await,
            ..Finding::named("", 0.8)
        },
        tls::Shaken::NotTls => return None,
    };
    if finding.service.is_empty() {
        let usual = table::usual_service(port);
        finding.service = match usual {
            "https" | "https-alt" => "https".to_owned(),
            usual if matches!(likely(port).first(), Some(Probe::Tls)) => usual.to_owned(),
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
            .listen(&mut stream, wait, deadline, wire::greeting)
            .await;
        if !banner.is_empty() {
            let mut finding = of_banner(&banner, port);
            talk::inside(context, &mut stream, &banner, deadline, &mut finding).await;
            return finding;
        }
        if let Some(finding) = asked_inside(context, &mut stream, port, deadline).await {
            return finding;
        }
    }
    let answer = http::get(context, &mut stream, port, deadline).await;
    match http::explore(context, port, true, &answer, deadline).await {
        Some(finding) => finding,
        None if answer.is_empty() => Finding::named("", 0.8),
        None => of_banner(&answer, port),
    }
}

/// Asks in TLS what ports without TLS are asked, where the number of the port suggests one protocol.
async fn asked_inside(
    context: &Context<'_>,
    stream: &mut tls::Stream,
    port: u16,
    deadline: Instant,
) -> Option<Finding> {
    let plain = match table::usual_service(port) {
        "ldaps" | "globalcat-ldaps" => 389,
        "domain-s" => 53,
        "amqps" => 5672,
        "mqtts" => 1883,
        "sips" => 5060,
        _ => port,
    };
    let ask = ask::for_port(plain).next()?;
    if !context.say(stream, &ask.request()).await {
        return None;
    }
    let answer = context
        .listen(stream, wire::ANSWER, deadline, wire::never)
        .await;
    ask.read(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_once_the_likely_one_first() {
        let first = |port| plan(port).0[0].name();
        for port in [1, 22, 80, 443, 6379, 5432, 445, 53, 2181, 40_000] {
            let (plan, _) = plan(port);
            let mut names: Vec<&str> = plan.iter().map(|probe| probe.name()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), plan.len(), "{port}");
        }
        assert_eq!(
            (first(443), first(6379), first(8080)),
            ("tls", "redis", "http")
        );
        assert_eq!(
            (first(22), first(40_000), first(2181)),
            ("listen", "listen", "zookeeper")
        );
    }

    #[test]
    fn nothing_is_sent_to_printers_and_machines() {
        for port in [9100, 9107, 502, 102, 44818] {
            let (plan, _) = plan(port);
            assert!(matches!(plan.as_slice(), [Probe::Listen(_)]), "{port}");
        }
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
