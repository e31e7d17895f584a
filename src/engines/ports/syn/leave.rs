//! When a packet may go to a host.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engines::ports::Probe;
use crate::engines::ports::rate::Leave;

use super::hosts::Care;
use super::neighbours::Neighbours;
use super::shared::Shared;
use super::worker::{Family, Worker};

/// A shorter wait than this costs more than it is worth.
const SHORT: Duration = Duration::from_micros(50);

/// Whether a packet leaves.
pub enum Leaves {
    /// Now.
    Now,
    /// At this time, which is near.
    At(Instant),
    /// Nobody is there.
    Never,
    /// To be asked again then.
    Later {
        /// That time.
        when: Instant,
        /// This holds for all hosts.
        all: bool,
        /// It waits for a rate, as others do then, most likely; else for whether this host is there.
        by_rate: bool,
    },
}

impl Worker {
    /// Whether a packet may go to a host.
    pub(super) fn leave(&mut self, probe: &Probe, now: Instant) -> Leaves {
        let shared = &self.shared;
        let all = shared.hosts.only_one();
        let clock = shared.clock(now);
        let at = |nanos| shared.began + Duration::from_nanos(nanos);
        let later = |when, all| Leaves::Later {
            when,
            all,
            by_rate: true,
        };
        if shared.careful.load(Ordering::Relaxed) && shared.hosts.exact() {
            match care(shared, &mut self.neighbours, probe, clock) {
                Care::Go => {}
                Care::Absent => return Leaves::Never,
                Care::Later(nanos) => {
                    return Leaves::Later {
                        when: at(nanos),
                        all,
                        by_rate: false,
                    };
                }
            }
        }
        if let Err(nanos) = shared.hosts.of(probe.host).leave(clock) {
            return later(at(nanos), all);
        }
        let leave = match all {
            true => shared.rates.leave(probe.host, 1, now),
            false => shared.rates.leave_at_once(probe.host, now),
        };
        match leave {
            Leave::Now => Leaves::Now,
            Leave::At(when) if when > now + SHORT => Leaves::At(when),
            Leave::At(_) => Leaves::Now,
            Leave::HostLater(when) => later(when, all),
            Leave::AllLater(when) => later(when, true),
        }
    }

    /// Packets of a batch have left.
    pub(super) fn left(&mut self, family: Family, from: usize, count: usize) {
        let shared = &self.shared;
        let clock = shared.clock(Instant::now());
        let careful = shared.careful.load(Ordering::Relaxed) && shared.hosts.exact();
        let probes = &self.probes[family as usize];
        for (place, target) in probes.iter().skip(from).take(count) {
            if shared.hosts.goes(*target, clock, careful) {
                let probe = shared.plan.at(*place);
                self.felt.extend(probe.map(|probe| (probe, clock)));
            }
        }
    }

    /// Asks again about the hosts that are felt for.
    pub(super) fn feel(&mut self, now: Instant) {
        let clock = self.shared.clock(now);
        while let Some((probe, due)) = self.felt.front().copied()
            && due <= clock
        {
            self.felt.pop_front();
            // One that is not felt for holds up nobody, and may be due only in seconds: those behind it
            // are not to wait for that.
            if let Care::Later(due) = care(&self.shared, &mut self.neighbours, &probe, clock)
                && self.shared.hosts.is_felt(probe.host)
            {
                self.felt.push_back((probe, due));
            }
        }
    }
}

fn care(shared: &Shared, neighbours: &mut Neighbours, probe: &Probe, clock: u64) -> Care {
    let look = || match probe.addr {
        IpAddr::V4(addr) => neighbours.of(addr, clock),
        IpAddr::V6(_) => None,
    };
    shared.hosts.care(probe.host, clock, shared.most_felt, look)
}
