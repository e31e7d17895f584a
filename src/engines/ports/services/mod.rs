//! Service probes: what an open port carries.
//!
//! Each port has a deadline and each answer a size cap, so that nothing a server sends, or does not
//! send, can hold a scan up. A service may speak for itself, and it is asked, what its port number
//! suggests first: HTTP, TLS (and HTTP or a banner inside it), then the other protocols. What the
//! answers mean is data in `packaging/ports` where a pattern can say it: `services.toml`,
//! `products.toml`, `apps.toml` and `waf.toml`.

mod ask;
mod ber;
mod certificate;
mod databases;
mod directory;
mod display;
mod hello;
mod http;
mod messaging;
mod names;
mod probe;
mod products;
mod ssh;
mod talk;
mod tls;
mod tls_deep;
pub(super) mod udp;
mod udp_answers;
mod waf;
mod windows;
mod wire;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod service_tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::api::{OpenPort, TlsFacts};

use super::rate::RateLimiter;
use super::report::ScanReport;
use super::scan::socket_addr;
use super::{Observer, Progress, ScanOptions};

use wire::Context;

/// How sure a service is that is named by its port number only.
pub const BY_NUMBER: f64 = 0.3;

/// Ports of one host that are probed at the same time.
const AT_ONCE: usize = 32;

/// Open ports that are probed. A host with more open ports than this is a tarpit or a firewall that
/// accepts everything; the rest is named by number.
const MOST_PROBED: usize = 1024;

/// How often the observer is asked whether the scan shall end.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// By how much a limit of time may be missed on a busy host.
const LATE: Duration = Duration::from_secs(2);

/// What was found out about a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Finding {
    /// Service (`http`).
    pub service: String,
    /// Product, "" when unknown.
    pub product: String,
    /// Its version, "" when unknown.
    pub version: String,
    /// First line of what it said, escaped.
    pub info: String,
    /// CPE names.
    pub cpe: Vec<String>,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// Facts of the TLS handshake.
    pub tls: Option<TlsFacts>,
    /// The web application firewall or delivery network in front.
    pub waf: Option<String>,
    /// What else it said, by name.
    pub details: BTreeMap<String, String>,
}

impl Finding {
    /// A service of which only the kind is known.
    fn named(service: &str, confidence: f64) -> Self {
        Self {
            service: service.to_owned(),
            confidence,
            ..Self::default()
        }
    }

    /// Adds a detail, unless there is nothing to tell.
    fn detail(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.details.insert(name.to_owned(), value);
        }
    }

    /// The same with a product; the CPE name gets the version.
    fn of_product(mut self, product: &str, version: &str, cpe: &str) -> Self {
        product.clone_into(&mut self.product);
        self.version = display::escape(version.as_bytes());
        if !cpe.is_empty() {
            self.cpe = vec![products::cpe_name(&format!("{cpe}:{version}"))];
        }
        self
    }

    /// Writes all of it into an open port.
    pub(crate) fn put_into(self, port: &mut OpenPort) {
        if !self.service.is_empty() {
            port.service_name = self.service;
            port.confidence = self.confidence;
        }
        port.service_product = self.product;
        port.service_version = self.version;
        port.service_info = self.info;
        port.service_cpe = self.cpe;
        port.tls = self.tls;
        port.waf = self.waf;
        port.service_details = self.details;
    }
}

/// Services whose name over TLS is another.
const OVER_TLS: [(&str, &str); 15] = [
    ("http", "https"),
    ("http-alt", "https"),
    ("http-proxy", "https"),
    ("https", "https"),
    ("imap", "imaps"),
    ("pop3", "pop3s"),
    ("smtp", "smtps"),
    ("ftp", "ftps"),
    ("ldap", "ldaps"),
    ("irc", "ircs"),
    ("amqp", "amqps"),
    ("mqtt", "mqtts"),
    ("nntp", "nntps"),
    ("telnet", "telnets"),
    ("domain", "domain-s"),
];

/// The name of a service when it runs over TLS; `ssl/NAME` when it has none of its own.
pub(super) fn over_tls(service: &str) -> String {
    if service.is_empty() || speaks_tls(service) {
        return if service.is_empty() { "ssl" } else { service }.to_owned();
    }
    let own = OVER_TLS.iter().find(|(plain, _)| *plain == service);
    own.map_or_else(|| format!("ssl/{service}"), |(_, own)| (*own).to_owned())
}

/// Whether this is the name of a service over TLS.
fn speaks_tls(service: &str) -> bool {
    service == "ssl"
        || service.starts_with("ssl/")
        || OVER_TLS.iter().any(|(_, tls)| *tls == service)
}

/// The name of a service without its TLS (`http` of `https`, `x` of `ssl/x`); `None` when it is not the
/// name of one over TLS.
pub(super) fn in_clear(service: &str) -> Option<String> {
    if !speaks_tls(service) || service == "ssl" {
        return None;
    }
    let own = OVER_TLS.iter().find(|(_, tls)| *tls == service);
    let plain = own.map(|(plain, _)| *plain);
    Some(plain.or(service.strip_prefix("ssl/"))?.to_owned())
}

/// A text of a stranger, safe to show.
pub(super) fn escaped(text: &str) -> String {
    display::escape(text.as_bytes())
}

/// What to find out about open ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Which service each carries.
    Services,
    /// The facts of TLS, where a service is known to run over it.
    TlsFacts,
}

/// Finds out what there is to know about the open ports of a report. Ends early, `incomplete`, at the
/// deadline and when the observer says so.
pub(super) async fn detect(
    report: &mut ScanReport,
    target: &str,
    options: &ScanOptions,
    limiter: &RateLimiter,
    deadline: Option<Instant>,
    observer: &dyn Observer,
    job: Job,
) {
    let scanned = u64::from(report.counts.total());
    let open = report.open_tcp().count() as u64;
    let done = std::sync::atomic::AtomicU64::new(0);
    let report_progress = |done| Progress {
        done,
        total: scanned + open,
        open,
        ..Progress::default()
    };
    let step = || {
        let done = done.load(std::sync::atomic::Ordering::Relaxed);
        observer.progress(&report_progress(scanned + done));
    };
    let context = Context {
        peer: socket_addr(report.addr, options.scope_id),
        target,
        limiter,
        timeout: options.service_timeout,
        deep: options.deep,
        step: &step,
    };
    let mut waiting = report
        .open
        .iter_mut()
        // What a UDP port carries its answer has told.
        .filter(|port| port.protocol == "tcp")
        .take(MOST_PROBED)
        .filter(|port| match job {
            Job::Services => true,
            Job::TlsFacts => port.tls.is_none() && speaks_tls(&port.service_name),
        });
    let mut running = FuturesUnordered::new();
    let mut tick = tokio::time::interval(ASK_EVERY);
    let mut moved = Instant::now();
    loop {
        while running.len() < AT_ONCE
            && let Some(port) = waiting.next()
        {
            running.push(async {
                // Of all hosts together only so many ports are probed at a time.
                let _seat = limiter.seat().await;
                match job {
                    Job::Services => {
                        if let Some(finding) = probe::identify(&context, port.port).await {
                            finding.put_into(port);
                        }
                    }
                    Job::TlsFacts => port.tls = probe::tls_facts(&context, port.port).await,
                }
            });
        }
        tokio::select! {
            next = running.next() => {
                if next.is_none() {
                    break;
                }
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                moved = Instant::now();
                step();
            }
            _ = tick.tick() => {
                // Every port has a hard limit of its own; a wait within it will end.
                if moved.elapsed() <= options.service_timeout + LATE {
                    step();
                }
                if observer.cancelled() || deadline.is_some_and(|at| Instant::now() >= at) {
                    report.incomplete = true;
                    return;
                }
            }
        }
    }
    observer.progress(&report_progress(scanned + open));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_over_tls() {
        for (plain, tls) in [
            ("http", "https"),
            ("https", "https"),
            ("imaps", "imaps"),
            ("", "ssl"),
            ("postgresql", "ssl/postgresql"),
            ("ssl/postgresql", "ssl/postgresql"),
        ] {
            assert_eq!(over_tls(plain), tls);
            assert!(speaks_tls(tls));
        }
        assert!(!speaks_tls("ssh"));
    }
}
