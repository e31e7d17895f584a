//! A scan that goes on where an earlier process had got to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::{OpenPort, WorkKind};
use crate::engines::ports::{Checkpoint, PortSet, Progress, ScanOptions, ScanReport};

/// A scan that began anew so often at the same place would do so for ever: it begins at the start.
const SAME_PLACE: u32 = 3;

/// How far a scan is, as it is kept on disk: all that makes the next process's result the whole one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Kind of scan.
    pub kind: WorkKind,
    /// The target as given.
    pub target: String,
    /// The address that is scanned.
    pub address: IpAddr,
    /// The ports; the order of the work depends on them.
    ports: String,
    udp_ports: String,
    /// Where it is.
    pub engine: Checkpoint,
    /// How the ports before that place ended, but the open ones.
    pub decided: Decided,
    /// Ports found open.
    pub open: Vec<OpenPort>,
    /// The run, which all its results name.
    pub run: Uuid,
    /// Start of the run.
    pub started_at: DateTime<Utc>,
    /// Time that was spent on it.
    pub spent: Duration,
    /// Processes that went on at this very place.
    resumed: u32,
}

/// How ports ended that are not open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decided {
    /// They refused.
    pub closed: u64,
    /// They gave no answer.
    pub silent: u64,
}

/// Which scan it is.
#[derive(Debug, Clone)]
pub(super) struct Which<'a> {
    pub kind: WorkKind,
    pub target: &'a str,
    pub address: IpAddr,
    pub options: &'a ScanOptions,
}

impl Kept {
    /// One that begins now.
    pub(super) fn begin(which: &Which<'_>) -> Self {
        Self {
            kind: which.kind,
            target: which.target.to_owned(),
            address: which.address,
            ports: which.options.ports.to_string(),
            udp_ports: which.options.udp_ports.to_string(),
            engine: Checkpoint {
                seed: 0,
                place: 0,
                total: 0,
            },
            decided: Decided::default(),
            open: Vec::new(),
            run: Uuid::now_v7(),
            started_at: Utc::now(),
            spent: Duration::ZERO,
            resumed: 0,
        }
    }

    /// Why another scan is to be done now, if so.
    pub(super) fn is_other(&self, which: &Which<'_>) -> Option<String> {
        if (self.kind, self.target.as_str()) != (which.kind, which.target) {
            return Some("it is of another scan".to_owned());
        }
        if self.address != which.address {
            return Some(format!("the target was at {}", self.address));
        }
        let wanted = [&which.options.ports, &which.options.udp_ports].map(PortSet::to_string);
        if [&self.ports, &self.udp_ports] != [&wanted[0], &wanted[1]] {
            return Some("other ports are wanted now".to_owned());
        }
        if self.resumed >= SAME_PLACE {
            return Some(format!("it got no further {} times", self.resumed));
        }
        (self.engine.place > self.engine.total).then(|| "it makes no sense".to_owned())
    }

    /// The same at the start of the next process.
    pub(super) fn resumed(mut self) -> Self {
        self.resumed += 1;
        // An engine may take a plan without a single probe for a mistake.
        self.engine.place = self.engine.place.min(self.engine.total.saturating_sub(1));
        self
    }

    /// Whether it is of an earlier process: the engine goes on at its place.
    pub(super) fn engine(&self) -> Option<Checkpoint> {
        (self.resumed > 0).then_some(self.engine)
    }

    /// The same at a later place; `progress` is what this process has done, `open` what all have
    /// found, `spent` the time of this one.
    pub(super) fn at(
        &self,
        engine: Checkpoint,
        progress: &Progress,
        open: Vec<OpenPort>,
        spent: Duration,
    ) -> Self {
        Self {
            decided: self.decided.and(progress, self.engine.place, &engine),
            engine,
            open,
            spent: self.spent + spent,
            resumed: 0,
            ..self.clone()
        }
    }

    /// Adds what earlier processes found to what this one did: the engine knows of nothing before the
    /// place where it went on.
    pub(super) fn complete(&self, report: &mut ScanReport) {
        let found: u64 = report.counts.total().into();
        // An engine that did all anew leaves nothing to be added.
        let missing = self.engine.total.saturating_sub(found);
        let missing = missing.min(self.engine.place);
        let open = merged(&report.open, &self.open);
        let added = number(&open, "tcp").saturating_sub(number(&report.open, "tcp"));
        let rest = missing.saturating_sub(added);
        let closed = self.decided.closed.min(rest);
        let counts = &mut report.counts;
        counts.open = narrow(number(&open, "tcp"));
        counts.closed += narrow(closed);
        counts.filtered += narrow(rest - closed);
        // All UDP ports are gone through again; some may answer only once.
        let udp = &mut report.udp_counts;
        let again = narrow(number(&open, "udp"));
        udp.filtered = udp.filtered.saturating_sub(again.saturating_sub(udp.open));
        udp.open = again;
        report.open = open;
        report.started_at = self.started_at;
        report.duration += self.spent;
        if counts.open + counts.closed > 0 {
            // It was reached before.
            counts.filtered += std::mem::take(&mut counts.unreachable);
            report.reason = None;
        }
    }
}

impl Decided {
    /// With what was decided between two places. The engine tells how many probes were answered, not
    /// which: those few that it was ahead of the place make no difference that matters.
    fn and(self, progress: &Progress, from: u64, to: &Checkpoint) -> Self {
        let passed = to.place.saturating_sub(from);
        let rest = passed.saturating_sub(progress.open);
        let closed = progress.answered.saturating_sub(progress.open).min(rest);
        Self {
            closed: self.closed + closed,
            silent: self.silent + (rest - closed),
        }
    }
}

/// All ports of both, those of TCP first, by number, as the first has them where both do.
pub(super) fn merged(first: &[OpenPort], second: &[OpenPort]) -> Vec<OpenPort> {
    let mut ports = BTreeMap::new();
    for port in first.iter().chain(second) {
        ports
            .entry((&port.protocol, port.port))
            .or_insert_with(|| port.clone());
    }
    ports.into_values().collect()
}

/// Number of ports of a protocol.
pub(super) fn number(ports: &[OpenPort], protocol: &str) -> u64 {
    let those = ports.iter().filter(|port| port.protocol == protocol);
    those.count() as u64
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PortCounts;
    use crate::engines::ports::{Unobserved, scan_host};

    fn options() -> ScanOptions {
        ScanOptions {
            ports: "1-1000".parse().unwrap(),
            ..ScanOptions::default()
        }
    }

    fn which(options: &ScanOptions) -> Which<'_> {
        Which {
            kind: WorkKind::RyuPortScan,
            target: "db.example.org",
            address: [10, 0, 0, 7].into(),
            options,
        }
    }

    fn place(place: u64) -> Checkpoint {
        Checkpoint {
            seed: 7,
            place,
            total: 1000,
        }
    }

    fn port(port: u16, service: &str) -> OpenPort {
        OpenPort {
            port,
            protocol: "tcp".to_owned(),
            service_name: service.to_owned(),
            ..OpenPort::default()
        }
    }

    fn progress(answered: u64, open: u64) -> Progress {
        Progress {
            answered,
            open,
            ..Progress::default()
        }
    }

    /// What a sweep of the rest would say.
    async fn report(
        open: Vec<OpenPort>,
        closed: u32,
        filtered: u32,
        unreachable: u32,
    ) -> ScanReport {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ScanOptions {
            ports: std::iter::once(listener.local_addr().unwrap().port()).collect(),
            services: false,
            ..ScanOptions::default()
        };
        let address = [127, 0, 0, 1].into();
        let swept = scan_host(address, "127.0.0.1", &options, &Unobserved).await;
        ScanReport {
            counts: PortCounts {
                open: narrow(open.len() as u64),
                closed,
                filtered,
                unreachable,
            },
            open,
            duration: Duration::from_secs(5),
            reason: (unreachable > 0).then(|| "no route".to_owned()),
            ..swept.unwrap()
        }
    }

    #[tokio::test]
    async fn two_halves_make_a_whole() {
        let options = options();
        let begun = Kept::begin(&which(&options));
        assert_eq!(begun.engine(), None);
        let found = vec![port(22, "ssh"), port(80, "http")];
        let first = begun.at(
            place(400),
            &progress(302, 2),
            found,
            Duration::from_secs(60),
        );
        assert_eq!(
            first.decided,
            Decided {
                closed: 300,
                silent: 98
            }
        );
        let json = serde_json::to_string(&first).unwrap();
        let kept: Kept = serde_json::from_str(&json).unwrap();
        assert_eq!(kept, first);
        assert_eq!(kept.is_other(&which(&options)), None);
        let second = kept.resumed();
        assert_eq!(second.engine(), Some(place(400)));

        // A port that was ahead of the place is found twice.
        let rest = vec![port(80, "http-alt"), port(443, "https")];
        let mut whole = report(rest, 500, 98, 0).await;
        second.complete(&mut whole);
        let ports: Vec<_> = whole.open.iter().map(|p| p.port).collect();
        assert_eq!(ports, [22, 80, 443]);
        assert_eq!(whole.open[1].service_name, "http-alt", "the later one");
        assert_eq!(whole.counts.total(), 1000);
        assert_eq!((whole.counts.open, whole.counts.closed), (3, 800));
        assert_eq!(whole.started_at, begun.started_at);
        assert_eq!(whole.duration, Duration::from_secs(65));
    }

    #[tokio::test]
    async fn three_processes_add_up() {
        let options = options();
        let first = Kept::begin(&which(&options)).at(
            place(100),
            &progress(100, 0),
            Vec::new(),
            Duration::ZERO,
        );
        let second = first
            .resumed()
            .at(place(300), &progress(150, 0), Vec::new(), Duration::ZERO);
        let decided = Decided {
            closed: 250,
            silent: 50,
        };
        assert_eq!(second.decided, decided);
        let mut whole = report(Vec::new(), 700, 0, 0).await;
        second.resumed().complete(&mut whole);
        assert_eq!((whole.counts.closed, whole.counts.filtered), (950, 50));
    }

    #[tokio::test]
    async fn an_engine_that_does_all_anew_is_not_added_to() {
        let options = options();
        let kept = Kept::begin(&which(&options))
            .at(place(400), &progress(400, 0), Vec::new(), Duration::ZERO)
            .resumed();
        let mut whole = report(Vec::new(), 1000, 0, 0).await;
        kept.complete(&mut whole);
        assert_eq!(whole.counts.total(), 1000);
    }

    #[tokio::test]
    async fn a_host_that_went_away_was_there() {
        let options = options();
        let kept = Kept::begin(&which(&options))
            .at(
                place(400),
                &progress(400, 1),
                vec![port(22, "ssh")],
                Duration::ZERO,
            )
            .resumed();
        let mut whole = report(Vec::new(), 0, 0, 600).await;
        kept.complete(&mut whole);
        assert!(!whole.is_unreachable());
        assert_eq!((whole.counts.unreachable, whole.counts.filtered), (0, 600));
        assert_eq!(whole.reason, None);
    }

    #[test]
    fn another_scan_begins_anew() {
        let options = options();
        let same = which(&options);
        let kept = Kept::begin(&same).at(place(9), &progress(9, 0), Vec::new(), Duration::ZERO);
        let elsewhere = Which {
            address: [10, 0, 0, 8].into(),
            ..same.clone()
        };
        assert!(kept.is_other(&elsewhere).unwrap().contains("10.0.0.7"));
        let other = ScanOptions {
            ports: "1-999".parse().unwrap(),
            ..options.clone()
        };
        assert!(kept.is_other(&which(&other)).is_some());
        let udp = ScanOptions {
            udp_ports: "53".parse().unwrap(),
            ..options.clone()
        };
        assert!(kept.is_other(&which(&udp)).is_some());
        let kage = Which {
            kind: WorkKind::KagePortScan,
            ..same.clone()
        };
        assert!(kept.is_other(&kage).is_some());
        let stuck = kept.clone().resumed().resumed();
        assert_eq!(stuck.is_other(&same), None);
        assert!(stuck.resumed().is_other(&same).is_some());
        let mad = kept.at(place(1001), &progress(0, 0), Vec::new(), Duration::ZERO);
        assert!(mad.is_other(&same).is_some());
    }

    #[test]
    fn one_that_was_at_its_end_has_something_to_do() {
        let options = options();
        let end = Kept::begin(&which(&options)).at(
            place(1000),
            &progress(1000, 0),
            Vec::new(),
            Duration::ZERO,
        );
        assert_eq!(end.resumed().engine(), Some(place(999)));
    }
}
