use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use rustix::io::Errno;

use crate::api::{OpenPort, PortCounts, PortState, ScanResult};

use super::ScanOptions;

/// What a sweep had to go through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepStats {
    /// Connection attempts.
    pub attempts: u64,
    /// Attempts beyond the first for a port.
    pub retries: u64,
    /// Attempts that ended without an answer.
    pub timeouts: u64,
    /// Times that the work had to wait for a file descriptor or a local port.
    pub resource_waits: u64,
    /// Answers that came only to a second attempt: loss on the way.
    pub late_answers: u64,
}

/// Where a scan has got to: with the same targets and ports it goes on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// What the order of the work was made from.
    pub seed: u64,
    /// Everything before this place of the order is decided.
    pub place: u64,
    /// Number of probes in all, to tell when targets or ports are not the same.
    pub total: u64,
}

/// What a sweep of many hosts found, whichever engine made it. Open ports were told as they were
/// found.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Of each target, by its number; of more than 65,536 targets, of each group of neighbours.
    pub hosts: Vec<HostTally>,
    /// Why a port is closed: `conn-refused`, `reset`.
    pub refusal: &'static str,
    /// It was stopped before its end.
    pub incomplete: bool,
    /// Where it can go on then.
    pub checkpoint: Option<Checkpoint>,
    /// Attempts, retries, timeouts.
    pub stats: SweepStats,
    /// The last error that was no usual answer.
    pub last_error: Option<Errno>,
    /// What there is to say about how it was made.
    pub notes: Vec<String>,
}

impl SweepStats {
    /// Adds what another worker went through.
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.timeouts += other.timeouts;
        self.resource_waits += other.resource_waits;
        self.late_answers += other.late_answers;
    }
}

/// What a sweep found out about the ports of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostTally {
    /// Ports that accepted.
    pub open: u32,
    /// Ports that refused.
    pub closed: u32,
    /// Ports that did not answer.
    pub silent: u32,
    /// Ports for which the network said that the host cannot be reached.
    pub host_unreach: u32,
    /// Ports for which it said that the network cannot be reached.
    pub net_unreach: u32,
    /// Ports for which it said that it must not let us.
    pub prohibited: u32,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
}

/// Why so many ports of a host are in a state, in the words of nmap's `--reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason {
    /// The state.
    pub state: PortState,
    /// Of TCP `syn-ack`, `conn-refused`, `reset`; of UDP `udp-response`, `port-unreach`; of both
    /// `no-response`, `host-unreach`, `net-unreach`, `admin-prohibited`.
    pub reason: &'static str,
    /// Number of ports.
    pub ports: u32,
}

/// Why a UDP port is closed.
pub(crate) const PORT_UNREACH: &str = "port-unreach";

/// Whether a host is there at all. A scan leaves none out: what gives no answer is assumed to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostState {
    /// It answered; how it did first, in the words of [`Reason::reason`].
    Up(&'static str),
    /// It gave no answer at all.
    AssumedUp,
    /// The network says that it cannot be reached; in the same words.
    Unreachable(&'static str),
}

impl HostTally {
    /// Whether the host itself answered.
    pub(crate) fn answers(&self) -> bool {
        self.open + self.closed > 0
    }

    /// Why the ports are in which state. "No way" from a host that answers, here or to the sweep of the
    /// other protocol, is a filter that says so (RFC 1812 §5.2.7.1).
    pub(crate) fn reasons(&self, refusal: &'static str, elsewhere: bool) -> Vec<Reason> {
        let no_way = match self.answers() || elsewhere {
            false => PortState::Unreachable,
            true => PortState::Filtered,
        };
        let answer = match refusal {
            PORT_UNREACH => "udp-response",
            _ => "syn-ack",
        };
        let all = [
            (PortState::Open, answer, self.open),
            (PortState::Closed, refusal, self.closed),
            (PortState::Filtered, "no-response", self.silent),
            (no_way, "host-unreach", self.host_unreach),
            (no_way, "net-unreach", self.net_unreach),
            (no_way, "admin-prohibited", self.prohibited),
        ];
        all.into_iter()
            .filter(|(_, _, ports)| *ports > 0)
            .map(|(state, reason, ports)| Reason {
                state,
                reason,
                ports,
            })
            .collect()
    }
}

/// How many ports ended in which state: open, closed, filtered, unreachable. `others`: what the other
/// sweep counted of the same hosts.
pub(crate) fn counts(hosts: &[HostTally], others: &[HostTally]) -> [u64; 4] {
    let mut counts = [0; 4];
    let reasons = hosts.iter().enumerate().flat_map(|(host, tally)| {
        let elsewhere = others.get(host).is_some_and(HostTally::answers);
        tally.reasons("", elsewhere)
    });
    for reason in reasons {
        let state = match reason.state {
            PortState::Open => 0,
            PortState::Closed => 1,
            PortState::Filtered => 2,
            PortState::Unreachable => 3,
        };
        counts[state] += u64::from(reason.ports);
    }
    counts
}

/// What a scan of several hosts found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScanRun {
    /// Each host, by address. Of more than 65,536 targets only those with an open port. None of a scan
    /// that is [streamed](super::scan_streamed).
    pub hosts: Vec<ScanReport>,
    /// Which engines did it.
    pub engine: String,
    /// The scan as a command line.
    pub command: String,
    /// What the user should know of how it went: another engine than was asked for, nmap that failed.
    pub notes: Vec<String>,
    /// Number of addresses.
    pub targets: u64,
    /// How many TCP probes of all ended in which state: open, closed, filtered, unreachable.
    pub counts: [u64; 4],
    /// The same of UDP.
    pub udp_counts: [u64; 4],
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// From first attempt to last answer.
    pub duration: Duration,
    /// It did not get to its end.
    pub incomplete: bool,
    /// Where it can go on, when it did not.
    pub checkpoint: Option<Checkpoint>,
    /// Retries, timeouts and the like.
    pub stats: SweepStats,
}

/// What a scan of one host found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanReport {
    /// The address.
    pub addr: IpAddr,
    /// Which engines did it: `connect`, `connect + nmap 7.93`, `nmap 7.93`.
    pub engine: String,
    /// The scan as a command line (nmap's own, or in its manner). Of a scan of many hosts only what
    /// nmap was asked about this one: the run has the rest.
    pub command: String,
    /// The name that the DNS has for the address, escaped; only where a port is open.
    pub hostname: Option<String>,
    /// How many TCP ports ended in which state. Ports that were not decided are not counted. Of a scan of
    /// more than 65,536 targets only the open ones are.
    pub counts: PortCounts,
    /// Why they did.
    pub reasons: Vec<Reason>,
    /// How many UDP ports did; `filtered` are those that gave no answer (nmap: open|filtered).
    pub udp_counts: PortCounts,
    /// Why they did.
    pub udp_reasons: Vec<Reason>,
    /// The open ones by number, those of TCP before those of UDP.
    pub open: Vec<OpenPort>,
    /// From first attempt to last answer.
    pub duration: Duration,
    /// The scan did not get to its end (cancelled, or `max_time`): more ports may be open, or some
    /// services are not known.
    pub incomplete: bool,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: DateTime<Utc>,
    /// Retries, timeouts and the like.
    pub stats: SweepStats,
    /// Smoothed round-trip time of the answers, if there was one.
    pub rtt: Option<Duration>,
    /// Why nothing could be reached, when nothing could.
    pub reason: Option<String>,
}

impl ScanReport {
    /// An empty report that starts now.
    pub(crate) fn start(addr: IpAddr, command: String) -> Self {
        let now = Utc::now();
        Self {
            addr,
            engine: "connect".to_owned(),
            command,
            hostname: None,
            counts: PortCounts::default(),
            reasons: Vec::new(),
            udp_counts: PortCounts::default(),
            udp_reasons: Vec::new(),
            open: Vec::new(),
            duration: Duration::ZERO,
            incomplete: false,
            started_at: now,
            finished_at: now,
            stats: SweepStats::default(),
            rtt: None,
            reason: None,
        }
    }

    /// Nothing answered as a host would: no port is open or closed, and the network said that the
    /// host cannot be reached.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.host_state(), HostState::Unreachable(_))
    }

    /// Whether the host is there, and what says so.
    pub fn host_state(&self) -> HostState {
        let reason = |tcp: u32, udp: u32, state, usual: &'static str| {
            let reasons = self.reasons.iter().chain(&self.udp_reasons);
            let first = reasons.filter(|r| r.state == state).map(|r| r.reason);
            (tcp + udp > 0).then(|| first.chain([usual]).next().unwrap_or(usual))
        };
        let (tcp, udp) = (&self.counts, &self.udp_counts);
        let open = reason(tcp.open, udp.open, PortState::Open, "syn-ack");
        let closed = reason(tcp.closed, udp.closed, PortState::Closed, "conn-refused");
        let no_way = reason(
            tcp.unreachable,
            udp.unreachable,
            PortState::Unreachable,
            "host-unreach",
        );
        match (open.or(closed), no_way) {
            (Some(answer), _) => HostState::Up(answer),
            (None, Some(why)) => HostState::Unreachable(why),
            (None, None) => HostState::AssumedUp,
        }
    }

    /// The open TCP ports.
    pub(crate) fn open_tcp(&self) -> impl Iterator<Item = &OpenPort> {
        self.open.iter().filter(|port| port.protocol == "tcp")
    }

    /// The `result` of a submission to the hub. `target` is the target as given.
    pub fn into_result(self, target: &str) -> ScanResult {
        let state = self.host_state();
        ScanResult {
            success: !matches!(state, HostState::Unreachable(_)),
            reason: self.reason,
            target: target.to_owned(),
            ip_address: Some(self.addr),
            hostname: self.hostname,
            host_state: Some(state.word().to_owned()),
            host_state_reason: Some(state.reason().to_owned()),
            ports_scanned: self.counts.total(),
            port_counts: self.counts,
            udp_counts: self.udp_counts,
            open_ports_count: u32::try_from(self.open.len()).unwrap_or(u32::MAX),
            open_ports: self.open,
            scan_duration: self.duration.as_secs_f64(),
            engine: self.engine,
            scan_command: Some(self.command).filter(|command| !command.is_empty()),
            incomplete: self.incomplete,
            started_at: Some(self.started_at),
            finished_at: Some(self.finished_at),
            ..ScanResult::default()
        }
    }
}

impl HostState {
    /// `up`, `assumed-up` or `unreachable`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::AssumedUp => "assumed-up",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// What says so, in nmap's words; `user-set`: nothing did.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Up(reason) | Self::Unreachable(reason) => reason,
            Self::AssumedUp => "user-set",
        }
    }
}

/// The scan in the manner of an nmap command line.
pub(crate) fn describe(
    engine: &str,
    targets: &impl std::fmt::Display,
    options: &ScanOptions,
) -> String {
    let udp = options.udp_ports.to_numbers();
    let mut text = match (options.ports.is_empty(), udp.is_empty()) {
        (_, true) => format!("{engine} -p {}", options.ports),
        (true, false) => format!("{engine} -sU -p U:{udp}"),
        (false, false) => format!("{engine} -sT -sU -p T:{},U:{udp}", options.ports),
    };
    if options.max_rate > 0 {
        text.push_str(&format!(" --max-rate {}", options.max_rate));
    }
    text.push_str(&format!(" --max-retries {}", options.retries));
    if options.services {
        text.push_str(" -sV");
    }
    format!("{text} {targets}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_be_reached_is_no_scan() {
        let mut report = ScanReport::start([127, 0, 0, 1].into(), String::new());
        report.counts.unreachable = 7;
        report.reason = Some("no route".to_owned());
        let result = report.clone().into_result("db.example.org");
        assert!(!result.success);
        assert_eq!(result.ports_scanned, 7);
        report.counts.closed = 1;
        assert!(report.into_result("x").success);
    }

    #[test]
    fn the_network_is_believed_unless_the_host_answers() {
        let mut tally = HostTally {
            silent: 1,
            host_unreach: 2,
            ..HostTally::default()
        };
        let reasons = |tally: &HostTally, elsewhere| {
            let reasons = tally.reasons("conn-refused", elsewhere).into_iter();
            reasons
                .map(|r| (r.state, r.reason, r.ports))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            reasons(&tally, false),
            [
                (PortState::Filtered, "no-response", 1),
                (PortState::Unreachable, "host-unreach", 2)
            ]
        );
        assert_eq!(
            reasons(&tally, true)[1],
            (PortState::Filtered, "host-unreach", 2)
        );
        tally.closed = 5;
        assert_eq!(
            reasons(&tally, false),
            [
                (PortState::Closed, "conn-refused", 5),
                (PortState::Filtered, "no-response", 1),
                (PortState::Filtered, "host-unreach", 2)
            ]
        );
    }

    #[test]
    fn the_command_tells_the_options() {
        let options = ScanOptions {
            ports: "22,80".parse().unwrap(),
            max_rate: 500,
            ..ScanOptions::default()
        };
        assert_eq!(
            describe("connect", &"10.0.0.1", &options),
            "connect -p 22,80 --max-rate 500 --max-retries 1 -sV 10.0.0.1"
        );
    }
}
