use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::engines::ports::limits::Groups;
use crate::engines::ports::report::HostTally;

use super::pace::Pace;
use crate::engines::ports::rtt::{FIRST_TIMEOUT, MIN_TIMEOUT};

/// What a sweep knows of each target, in bounded memory: above 65,536 targets neighbours share a
/// state.
#[derive(Debug)]
pub struct Hosts {
    groups: Groups,
    each: Box<[Host]>,
    /// All hosts together.
    pub all: Pace,
    most: u32,
    max_timeout: Duration,
}

/// The state of a target.
#[derive(Debug)]
pub struct Host {
    pace: Pace,
    /// Attempts in flight; not counted when there is one host only, whose window is that of all.
    in_flight: AtomicU32,
    /// An attempt left this machine.
    left: AtomicBool,
    open: AtomicU32,
    closed: AtomicU32,
    silent: AtomicU32,
    no_route: [AtomicU32; 3],
}

/// Why a port has no way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWay {
    /// The host cannot be reached.
    Host,
    /// Its network cannot be reached.
    Net,
    /// Somebody on the way, or this machine, does not let us.
    Prohibited,
}

/// Loss does not shrink the window of a host below this, nor that of all.
const LEAST_WINDOW: u32 = 8;
const LEAST_WINDOW_OF_ALL: u32 = 128;

/// So many ports of a host that never answered are waited for as long as for any unknown host. Then
/// it is taken to be as far as the others, were it there at all.
const PATIENCE: u32 = 16;

/// A host that was not heard of is waited for at least this long.
const LEAST_FOR_UNKNOWN: Duration = Duration::from_millis(250);

impl Hosts {
    /// Nothing is known yet. At most `most` attempts will be in flight, none of which waits longer
    /// than `max_timeout`.
    pub fn new(targets: u64, most: usize, max_timeout: Duration) -> Self {
        let groups = Groups::of(targets);
        let host = || Host {
            pace: Pace::new(most),
            in_flight: AtomicU32::new(0),
            left: AtomicBool::new(false),
            open: AtomicU32::new(0),
            closed: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            no_route: Default::default(),
        };
        Self {
            groups,
            each: (0..groups.len()).map(|_| host()).collect(),
            all: Pace::new(most),
            most: u32::try_from(most).unwrap_or(u32::MAX),
            max_timeout,
        }
    }

    /// The state of a target, by its number.
    pub fn host(&self, number: u64) -> &Host {
        // The index is below the number of states, and there is at least one.
        &self.each[self.groups.index(number).min(self.each.len() - 1)]
    }

    /// How a host is to be treated; a single host is all.
    fn pace(&self, number: u64) -> &Pace {
        match self.only_one() {
            true => &self.all,
            false => &self.host(number).pace,
        }
    }

    fn only_one(&self) -> bool {
        self.each.len() == 1
    }

    /// An attempt shall be made at a host: false when its window is full.
    pub fn enter(&self, number: u64) -> bool {
        if self.only_one() {
            return true;
        }
        let host = self.host(number);
        let before = host.in_flight.fetch_add(1, Relaxed);
        let fits = before < host.pace.window();
        if !fits {
            host.in_flight.fetch_sub(1, Relaxed);
        }
        fits
    }

    /// The attempt was not made after all.
    pub fn give_up(&self, number: u64) {
        if !self.only_one() {
            self.host(number).in_flight.fetch_sub(1, Relaxed);
        }
    }

    /// The attempt ended.
    pub fn leave(&self, number: u64) {
        if !self.only_one() {
            let host = self.host(number);
            host.in_flight.fetch_sub(1, Relaxed);
            host.pace.grow(1, self.most);
        }
    }

    /// So many attempts ended, at whatever host.
    pub fn ended(&self, attempts: u32) {
        self.all.grow(attempts, self.most);
    }

    /// A host answered to this attempt, after so long. `now` is the time since the start.
    pub fn answered(&self, number: u64, rtt: Duration, late: bool, now: Duration) {
        let pace = self.pace(number);
        if pace.answered() {
            pace.sample(rtt);
        }
        if !self.only_one() && self.all.answered() {
            self.all.sample(rtt);
        }
        if late {
            let timeout = self.timeout(number, 0);
            pace.lost_one(now, timeout, LEAST_WINDOW);
            if !self.only_one() {
                self.all.lost_one(now, timeout, LEAST_WINDOW_OF_ALL);
            }
        }
    }

    /// How long an attempt at a host waits. Later attempts wait twice as long each (RFC 6298 §5.5),
    /// but of the floor only where much is lost.
    pub fn timeout(&self, number: u64, attempt: u32) -> Duration {
        let (host, pace) = (self.host(number), self.pace(number));
        let backoff = 1 << attempt.min(4);
        let wanted = match (pace.rtt().timeout(), self.all.rtt().timeout()) {
            (Some(own), _) => {
                let floor = match pace.loses_much() {
                    true => MIN_TIMEOUT * backoff,
                    false => MIN_TIMEOUT,
                };
                (own * backoff).max(floor)
            }
            (None, Some(all)) if host.silent.load(Relaxed) >= PATIENCE => {
                (all * 2).max(LEAST_FOR_UNKNOWN) * backoff.min(2)
            }
            (None, _) => FIRST_TIMEOUT * backoff.min(2),
        };
        wanted.min(self.max_timeout)
    }

    /// Further attempts for a port of a host that gives no answer.
    pub fn retries(&self, number: u64, asked: u32) -> u32 {
        let own = self.pace(number);
        match own.knows_loss() {
            true => own.retries(asked),
            false => self.all.retries(asked),
        }
    }

    /// What the sweep found, by group of targets.
    pub fn tallies(&self) -> Vec<HostTally> {
        let mut tallies: Vec<HostTally> = self.each.iter().map(Host::tally).collect();
        if let [only] = tallies.as_mut_slice() {
            only.rtt = self.all.rtt().smoothed();
        }
        tallies
    }
}

impl Host {
    /// An attempt left this machine.
    pub fn has_left(&self) {
        if !self.left.load(Relaxed) {
            self.left.store(true, Relaxed);
        }
    }

    /// No attempt has left this machine so far.
    pub fn never_left(&self) -> bool {
        !self.left.load(Relaxed)
    }

    /// A port accepted.
    pub fn is_open(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A port refused.
    pub fn is_closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    /// A port gave no answer.
    pub fn is_silent(&self) {
        self.silent.fetch_add(1, Relaxed);
    }

    /// There is no way to a port.
    pub fn has_no_way(&self, why: NoWay) {
        self.no_route[why as usize].fetch_add(1, Relaxed);
    }

    fn tally(&self) -> HostTally {
        let [host_unreach, net_unreach, prohibited] =
            self.no_route.each_ref().map(|count| count.load(Relaxed));
        HostTally {
            open: self.open.load(Relaxed),
            closed: self.closed.load(Relaxed),
            silent: self.silent.load(Relaxed),
            host_unreach,
            net_unreach,
            prohibited,
            rtt: self.pace.rtt().smoothed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn hosts(targets: u64) -> Hosts {
        Hosts::new(targets, 4000, MS * 1500)
    }

    #[test]
    fn each_host_has_its_own_time() {
        let hosts = hosts(2);
        assert_eq!(hosts.timeout(0, 0), FIRST_TIMEOUT);
        hosts.answered(0, MS * 200, false, MS);
        assert_eq!(hosts.timeout(0, 0), MS * 600);
        assert_eq!(hosts.timeout(0, 1), MS * 1200);
        assert_eq!(hosts.timeout(0, 2), MS * 1500);
        assert_eq!(hosts.timeout(1, 0), FIRST_TIMEOUT);
        hosts.answered(1, MS / 10, false, MS);
        assert_eq!(hosts.timeout(1, 0), MIN_TIMEOUT);
        assert_eq!(hosts.timeout(1, 3), MIN_TIMEOUT);
        assert_eq!(hosts.tallies()[0].rtt, Some(MS * 200));
    }

    #[test]
    fn a_silent_host_is_waited_for_and_then_treated_like_the_others() {
        let hosts = hosts(2);
        hosts.answered(0, MS, false, MS);
        for _ in 0..PATIENCE {
            assert_eq!(hosts.timeout(1, 0), FIRST_TIMEOUT);
            hosts.host(1).is_silent();
        }
        assert_eq!(hosts.timeout(1, 0), LEAST_FOR_UNKNOWN);
        assert_eq!(hosts.timeout(1, 1), LEAST_FOR_UNKNOWN * 2);
    }

    #[test]
    fn a_window_is_full_when_it_is() {
        let hosts = Hosts::new(2, 3, MS);
        assert!((0..3).all(|_| hosts.enter(0)));
        assert!(!hosts.enter(0));
        assert!(hosts.enter(1));
        hosts.leave(0);
        assert!(hosts.enter(0));
    }

    #[test]
    fn what_is_lost_elsewhere_counts_where_nothing_is_known() {
        let hosts = hosts(2);
        for turn in 0..100 {
            hosts.answered(0, MS, turn % 12 == 11, MS);
        }
        assert_eq!(hosts.retries(0, 1), 4);
        assert_eq!(hosts.retries(1, 1), 4);
        for _ in 0..100 {
            hosts.answered(1, MS, false, MS);
        }
        assert_eq!(hosts.retries(1, 1), 1);
    }

    #[test]
    fn counts_are_kept_by_host() {
        let hosts = hosts(3);
        hosts.host(2).is_closed();
        hosts.host(2).has_no_way(NoWay::Net);
        let tallies = hosts.tallies();
        assert_eq!((tallies[2].closed, tallies[2].net_unreach), (1, 1));
        assert_eq!(tallies[1], HostTally::default());
    }
}
