//! The UDP sweep: which UDP ports of the hosts of a plan answer, and what their answers tell.
//!
//! Each probe has a connected socket of its own, so that an ICMP error comes back as an error of that
//! socket, without any privilege ([`socket`]). A port is asked what its usual service answers
//! (`services::udp`); what does not answer is asked once more, in another form where there is one
//! ([`ask`]). The probes are few (tens of ports a host), so that they run as futures on the caller's
//! task, a bounded number at a time; neither memory nor descriptors grow with the plan.
//!
//! Silence says little: a service that does not know the request is as silent as a filter, and hosts
//! send few "port unreachable" (Linux: six at once, then one a second, `icmp_ratelimit`). Silent ports
//! are counted, as filtered, and never called open.

mod ask;
mod socket;
#[cfg(test)]
mod udp_tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::api::OpenPort;

use super::limits::FdBudget;
use super::rate::Rates;
use super::report::{PORT_UNREACH, Sweep, SweepStats};
use super::sweep::hosts::Hosts;
use super::{Observer, Plan, Probe, Progress, ScanOptions};

use ask::Verdict;

/// Probes at the same time, of all hosts. Each has a socket.
const MOST_AT_ONCE: usize = 2048;

/// The same for each host of the plan: a burst of more overflows the queues of small devices.
const MOST_A_HOST: u64 = 256;

/// The part of the file descriptors that is left to the TCP sweep, which runs at the same time, is
/// all but one in so many.
const SHARE_OF_DESCRIPTORS: usize = 4;

/// How often the observer hears of progress and is asked whether the scan shall end.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What a UDP sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Counts by host.
    pub sweep: Sweep,
    /// Ports that answered, by number of the host, with what the answer told.
    pub open: BTreeMap<u64, Vec<OpenPort>>,
}

/// What the probes of a sweep share.
struct Shared<'a> {
    plan: &'a Plan,
    options: &'a ScanOptions,
    rates: &'a Arc<Rates>,
    hosts: Hosts,
    start: Instant,
    sent: AtomicU64,
    again: AtomicU64,
    answered: AtomicU64,
    timeouts: AtomicU64,
    late: AtomicU64,
    waits: AtomicU64,
}

/// Sweeps a plan whose ports are UDP ports. It needs no privilege, and a host that cannot be reached
/// is a count, so that there is no error.
pub(super) async fn sweep(
    plan: &Plan,
    options: &ScanOptions,
    rates: &Arc<Rates>,
    deadline: Option<Instant>,
    observer: &dyn Observer,
) -> Swept {
    let most = at_once(plan, options);
    let shared = Shared::new(plan, options, rates, most);
    let mut swept = Swept::default();
    let mut running = FuturesUnordered::new();
    let mut tick = tokio::time::interval(ASK_EVERY);
    let (mut next, mut done, mut open) = (0, 0, 0);
    loop {
        while running.len() < most
            && let Some(probe) = plan.at(next)
        {
            next += 1;
            running.push(shared.ask(probe));
        }
        tokio::select! {
            decided = running.next() => {
                let Some((probe, verdict)) = decided else {
                    break;
                };
                done += 1;
                open += u64::from(matches!(verdict, Verdict::Open(_)));
                swept.take(&shared, probe, verdict, observer);
            }
            _ = tick.tick() => {
                // Every wait of a probe has an end, so that this is progress.
                observer.progress(&shared.progress(done, open));
                if observer.cancelled() || deadline.is_some_and(|at| Instant::now() >= at) {
                    break;
                }
            }
        }
    }
    observer.progress(&shared.progress(done, open));
    swept.sweep.refusal = PORT_UNREACH;
    swept.sweep.incomplete = done < plan.len();
    swept.sweep.hosts = shared.hosts.tallies();
    swept.sweep.stats = shared.stats();
    swept
}

/// Number of probes at the same time.
fn at_once(plan: &Plan, options: &ScanOptions) -> usize {
    let hosts = plan.targets().len();
    let of_hosts = usize::try_from(hosts.saturating_mul(MOST_A_HOST)).unwrap_or(usize::MAX);
    let wanted = match options.concurrency {
        0 => MOST_AT_ONCE,
        wanted => wanted.min(MOST_AT_ONCE),
    };
    let descriptors = FdBudget::of_process().limit() / SHARE_OF_DESCRIPTORS;
    wanted.min(of_hosts).min(descriptors).max(1)
}

impl Swept {
    /// Why no datagram left this machine, if none did because it must not.
    pub fn nothing_left(&self) -> Option<std::io::Error> {
        let prohibited = self.sweep.hosts.iter().any(|host| host.prohibited > 0);
        let none = self.sweep.stats.attempts == 0 && prohibited;
        self.sweep.last_error.filter(|_| none).map(Into::into)
    }

    /// Counts a probe that is decided.
    fn take(&mut self, shared: &Shared<'_>, probe: Probe, verdict: Verdict, told: &dyn Observer) {
        let host = shared.hosts.host(probe.host);
        match verdict {
            Verdict::Open(port) => {
                host.is_open();
                told.open(probe.addr, &|| (*port).clone());
                self.open.entry(probe.host).or_default().push(*port);
            }
            Verdict::Closed => host.is_closed(),
            Verdict::Silent => host.is_silent(),
            Verdict::NoWay(why, errno) => {
                host.has_no_way(why);
                self.sweep.last_error = Some(errno);
            }
        }
    }
}

impl<'a> Shared<'a> {
    fn new(plan: &'a Plan, options: &'a ScanOptions, rates: &'a Arc<Rates>, most: usize) -> Self {
        Self {
            plan,
            options,
            rates,
            hosts: Hosts::new(plan.targets().len(), most, options.connect_timeout),
            start: Instant::now(),
            sent: AtomicU64::new(0),
            again: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            late: AtomicU64::new(0),
            waits: AtomicU64::new(0),
        }
    }

    fn progress(&self, done: u64, open: u64) -> Progress {
        Progress {
            done,
            total: self.plan.len(),
            open,
            sent: self.sent.load(Relaxed),
            answered: self.answered.load(Relaxed),
        }
    }

    fn stats(&self) -> SweepStats {
        SweepStats {
            attempts: self.sent.load(Relaxed),
            retries: self.again.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            resource_waits: self.waits.load(Relaxed),
            late_answers: self.late.load(Relaxed),
        }
    }
}
