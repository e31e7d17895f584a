//! What the observer of a scan hears, put together from what its parts tell.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::api::OpenPort;

use super::{Checkpoint, Observer, Progress, ScanReport};

/// The sweeps of TCP and UDP, which run at the same time: tells their sum.
pub(super) struct Sweeps<'a> {
    observer: &'a dyn Observer,
    each: Mutex<[Progress; 2]>,
}

/// One of the two.
pub(super) struct OneSweep<'a> {
    all: &'a Sweeps<'a>,
    number: usize,
}

impl<'a> Sweeps<'a> {
    /// Of so many probes of TCP and UDP, none of which was sent.
    pub fn new(observer: &'a dyn Observer, totals: [u64; 2]) -> Self {
        let begun = |total| Progress {
            total,
            ..Progress::default()
        };
        Self {
            observer,
            each: Mutex::new(totals.map(begun)),
        }
    }

    /// What the sweep of TCP tells to.
    pub fn tcp(&'a self) -> OneSweep<'a> {
        OneSweep {
            all: self,
            number: 0,
        }
    }

    /// What the sweep of UDP tells to.
    pub fn udp(&'a self) -> OneSweep<'a> {
        OneSweep {
            all: self,
            number: 1,
        }
    }

    /// Both together.
    pub fn sum(&self) -> Progress {
        sum(&self.each.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn sum([tcp, udp]: &[Progress; 2]) -> Progress {
    Progress {
        done: tcp.done + udp.done,
        total: tcp.total + udp.total,
        open: tcp.open + udp.open,
        sent: tcp.sent + udp.sent,
        answered: tcp.answered + udp.answered,
    }
}

impl Observer for OneSweep<'_> {
    fn progress(&self, progress: &Progress) {
        let sum = {
            let each = &self.all.each;
            let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
            each[self.number] = *progress;
            sum(&each)
        };
        self.all.observer.progress(&sum);
    }

    fn open(&self, addr: IpAddr, port: &dyn Fn() -> OpenPort) {
        self.all.observer.open(addr, port);
    }

    fn host(&self, report: &ScanReport) {
        self.all.observer.host(report);
    }

    fn checkpoint(&self, checkpoint: &Checkpoint) {
        self.all.observer.checkpoint(checkpoint);
    }

    fn cancelled(&self) -> bool {
        self.all.observer.cancelled()
    }
}

/// Progress of the service probes of all hosts.
pub(super) struct Steps<'a> {
    observer: &'a dyn Observer,
    done: AtomicU64,
    base: Progress,
}

/// Adds the progress of one host to that of all.
pub(super) struct Watch<'a> {
    steps: &'a Steps<'a>,
    /// What its progress begins with: the ports that were swept.
    scanned: u64,
    /// Ports that were added.
    done: AtomicU64,
}

impl<'a> Steps<'a> {
    /// So much of all was done before.
    pub fn new(observer: &'a dyn Observer, base: Progress) -> Self {
        Self {
            observer,
            done: AtomicU64::new(base.done),
            base,
        }
    }

    /// What the probes of a host tell to, whose progress begins with the ports that were swept.
    pub fn of(&'a self, scanned: u64) -> Watch<'a> {
        Watch {
            steps: self,
            scanned,
            done: AtomicU64::new(0),
        }
    }
}

impl Observer for Watch<'_> {
    fn progress(&self, progress: &Progress) {
        let done = progress.done.saturating_sub(self.scanned);
        // nmap and the facts of TLS each go through all the ports: what is done stays done.
        let before = self.done.fetch_max(done, Ordering::Relaxed);
        let more = done.saturating_sub(before);
        let all = self.steps.done.fetch_add(more, Ordering::Relaxed) + more;
        self.steps.observer.progress(&Progress {
            done: all.min(self.steps.base.total),
            ..self.steps.base
        });
    }

    fn open(&self, addr: IpAddr, port: &dyn Fn() -> OpenPort) {
        self.steps.observer.open(addr, port);
    }

    fn cancelled(&self) -> bool {
        self.steps.observer.cancelled()
    }
}
