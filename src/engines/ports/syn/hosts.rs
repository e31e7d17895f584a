use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::engines::ports::limits::Groups;
use crate::engines::ports::report::HostTally;

use super::wire::Unreachable;

/// What the workers know of each host, in bounded memory: of very many targets neighbours share a
/// state.
#[derive(Debug)]
pub struct Hosts {
    states: Box<[Host]>,
    groups: Groups,
}

/// What is known of one host.
#[derive(Debug, Default)]
pub struct Host {
    /// Ports that accepted.
    pub open: AtomicU32,
    /// Ports that refused.
    pub closed: AtomicU32,
    /// Ports that did not answer in the end.
    pub silent: AtomicU32,
    /// Ports for which the network said that there is no way, by [`Unreachable`].
    no_way: [AtomicU32; 4],
    /// Nanoseconds between packets, for a host that did not keep up; else 0.
    interval: AtomicU64,
    /// When the next packet may go there, nanoseconds since the start.
    next: AtomicU64,
    /// Answers, whatever they said.
    answered: AtomicU32,
    /// Those of them that came only after the probe had been sent again.
    late: AtomicU32,
    /// Our address to there; 0 = not known yet.
    source: AtomicU32,
    /// Nobody has this address on our own network.
    pub absent: AtomicBool,
    /// Packets sent while nothing was heard of it, and when the first of them was sent.
    unheard: AtomicU32,
    first: AtomicU64,
}

impl Hosts {
    /// States of so many targets.
    pub fn new(targets: u64) -> Self {
        let groups = Groups::of(targets);
        Self {
            states: (0..groups.len()).map(|_| Host::default()).collect(),
            groups,
        }
    }

    /// The state of this target, or the one that it shares.
    pub fn of(&self, target: u64) -> &Host {
        // The index is below the number of states, and there is at least one.
        &self.states[self.groups.index(target).min(self.states.len() - 1)]
    }

    /// Each target has a state of its own.
    pub fn exact(&self) -> bool {
        self.groups.are_single()
    }

    /// Whether there is only one host to wait for.
    pub fn only_one(&self) -> bool {
        self.states.len() == 1
    }

    /// What was found, by group of targets.
    pub fn tallies(&self) -> Vec<HostTally> {
        self.states.iter().map(Host::tally).collect()
    }
}

/// More than this share of late answers is no accident of the way: the host answers only so often.
const TOO_LATE: f64 = 0.25;

/// So many answers make a share.
const ENOUGH: u32 = 20;

/// A host is not slowed below this, packets/s.
const LEAST_RATE: f64 = 100.0;

impl Host {
    /// An answer came; `late` when the probe had been sent again before.
    pub fn answer(&self, late: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.late.fetch_add(u32::from(late), Ordering::Relaxed);
    }

    /// Answers and those of them that were late.
    pub fn loss(&self) -> Loss {
        Loss {
            answered: self.answered.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
        }
    }

    /// Slows down, once, to the rate at which the host has answered since the start, when it has not
    /// kept up. Says whether it is slowed.
    pub fn slow_down(&self, elapsed: Duration) -> bool {
        if self.interval.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let loss = self.loss();
        if loss.answered < ENOUGH || loss.share() < TOO_LATE {
            return false;
        }
        let rate = f64::from(loss.answered) / elapsed.as_secs_f64().max(1e-3);
        // At most 10 ms.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let interval = (1e9 / rate.max(LEAST_RATE)) as u64;
        self.interval.store(interval.max(1), Ordering::Relaxed);
        true
    }

    /// Whether a packet may go to a host of which nothing was heard, while packets for hosts that do
    /// not exist fill the way out; else when.
    pub fn leave_carefully(&self, now: u64) -> Result<(), u64> {
        let unheard = self.unheard.load(Ordering::Relaxed);
        if unheard == 0 || self.answered.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let first = self.first.load(Ordering::Relaxed);
        let periods = now.saturating_sub(first) / PATIENCE;
        // Four times as many each time: it may be there after all, and only silent.
        let allowed = u64::from(UNHEARD) << (2 * periods).min(32);
        match u64::from(unheard) < allowed {
            true => Ok(()),
            false => Err(first + (periods + 1) * PATIENCE),
        }
    }

    /// A packet goes there.
    pub fn goes(&self, now: u64) {
        if self.answered.load(Ordering::Relaxed) == 0
            && self.unheard.fetch_add(1, Ordering::Relaxed) == 0
        {
            self.first.store(now, Ordering::Relaxed);
        }
    }

    /// Our address to there, asked for by `find` the first time.
    pub fn source(&self, find: impl FnOnce() -> Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        match self.source.load(Ordering::Relaxed) {
            0 => {
                let found = find()?;
                self.source.store(found.to_bits(), Ordering::Relaxed);
                Some(found)
            }
            known => Some(Ipv4Addr::from_bits(known)),
        }
    }

    /// Whether the host, if it was slowed, may be sent a packet at `now` (nanoseconds since the start);
    /// else when.
    pub fn leave(&self, now: u64) -> Result<(), u64> {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return Ok(());
        }
        let next = self.next.load(Ordering::Relaxed);
        if next > now {
            return Err(next);
        }
        // Two workers at once may both go: this is courtesy, the cap is kept elsewhere.
        self.next.store(
            next.max(now.saturating_sub(CREDIT)) + interval,
            Ordering::Relaxed,
        );
        Ok(())
    }

    /// The network says that there is no way to a port.
    pub fn has_no_way(&self, why: Unreachable) {
        self.no_way[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A port that was taken to be silent is open after all.
    pub fn was_open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let less = |silent: u32| Some(silent.saturating_sub(1));
        // It always has a value to store.
        let _ = self
            .silent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn tally(&self) -> HostTally {
        let load = |count: &AtomicU32| count.load(Ordering::Relaxed);
        let [net_unreach, host_unreach, prohibited, port] = self.no_way.each_ref().map(load);
        HostTally {
            open: load(&self.open),
            closed: load(&self.closed),
            silent: load(&self.silent),
            host_unreach,
            net_unreach,
            prohibited: prohibited + port,
            rtt: None,
        }
    }
}

/// A host of which nothing was heard gets so many packets while the way out is full of such.
const UNHEARD: u32 = 2;

/// After this it is known whether it is there: the kernel asks three times, a second apart, who has an
/// address (arp(7), `mcast_solicit` and `retrans_time_ms`), and then says that nobody does.
/// Nanoseconds.
const PATIENCE: u64 = 3_500_000_000;

/// How much of missed time may be made up for, nanoseconds.
const CREDIT: u64 = 10_000_000;

/// How much was lost on a way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Answers.
    pub answered: u32,
    /// Those of them that came only to a later probe.
    pub late: u32,
}

/// As few answers as this are expected to be missed when no more is sent.
const MISSED: f64 = 0.01;

impl Loss {
    /// The share of probes that is lost, on the careful side: Laplace's rule of succession.
    pub fn share(self) -> f64 {
        (f64::from(self.late) + 1.0) / (f64::from(self.answered) + 2.0)
    }

    /// The same answers, on a way that loses as much as that one, if that is more.
    pub fn with_share_of(self, other: Self) -> Self {
        if other.share() <= self.share() {
            return self;
        }
        // A share is less than one.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let late = (f64::from(self.answered) * other.share()).ceil() as u32;
        Self { late, ..self }
    }

    /// After so many rounds, whether another one may still bring an answer. Each round loses the same
    /// share, so that of the `answered` ones `answered × share^rounds` are still missing.
    pub fn wants_more(self, rounds: u32) -> bool {
        let rounds = i32::try_from(rounds).unwrap_or(i32::MAX);
        self.answered > 0 && f64::from(self.answered) * self.share().powi(rounds) > MISSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_from_the_loss() {
        let rounds = |answered, late| {
            let loss = Loss { answered, late };
            (1..).find(|rounds| !loss.wants_more(*rounds)).unwrap()
        };
        assert_eq!(rounds(0, 0), 1);
        // A host that is all closed and loses nothing: the second round is enough.
        assert_eq!(rounds(65_535, 0), 2);
        assert_eq!(rounds(20, 0), 3);
        // 5 % lost each way: 65,535 × 0.0975^7 = 0.005.
        assert_eq!(rounds(65_535, 6_390), 7);
        assert_eq!(rounds(200, 20), 5);
    }

    #[test]
    fn a_host_that_does_not_keep_up_is_slowed() {
        let hosts = Hosts::new(2);
        let host = hosts.of(1);
        for n in 0..1000 {
            host.answer(n % 2 == 0);
        }
        assert!(host.slow_down(Duration::from_secs(2)));
        assert!(host.slow_down(Duration::from_secs(9)));
        let granted: usize = (5000..6000)
            .map(|ms| std::iter::from_fn(|| host.leave(ms * 1_000_000).ok()).count())
            .sum();
        assert!((495..=510).contains(&granted), "{granted}");
        // The other host knows nothing of it.
        let other = hosts.of(0);
        assert!((0..10_000).all(|_| other.leave(0).is_ok()));
    }

    #[test]
    fn a_host_that_nobody_has_heard_of_waits() {
        let hosts = Hosts::new(1);
        let host = hosts.of(0);
        for now in [7, 8] {
            assert!(host.leave_carefully(now).is_ok());
            host.goes(now);
        }
        assert_eq!(host.leave_carefully(9), Err(7 + PATIENCE));
        for _ in 2..8 {
            assert!(host.leave_carefully(7 + PATIENCE).is_ok());
            host.goes(7 + PATIENCE);
        }
        assert_eq!(host.leave_carefully(8 + PATIENCE), Err(7 + 2 * PATIENCE));
        host.answer(false);
        assert!(host.leave_carefully(9).is_ok());
    }

    #[test]
    fn counts() {
        let hosts = Hosts::new(3);
        hosts.of(2).has_no_way(Unreachable::Host);
        hosts.of(2).has_no_way(Unreachable::Port);
        hosts.of(2).closed.fetch_add(5, Ordering::Relaxed);
        let tally = &hosts.tallies()[2];
        assert_eq!(
            (tally.closed, tally.host_unreach, tally.prohibited),
            (5, 1, 1)
        );
        assert!(!hosts.only_one());
    }
}
