use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::engines::ports::limits::Groups;
use crate::engines::ports::report::HostTally;

use super::neighbours::{Neighbour, READ_EVERY};
use super::wire::Unreachable;

/// What the workers know of each host, in bounded memory: of very many targets neighbours share a
/// state.
#[derive(Debug)]
pub struct Hosts {
    states: Box<[Host]>,
    groups: Groups,
    /// Hosts of which it is not known yet whether they are there, and to which packets have gone.
    felt: AtomicU32,
}

/// Whether a host is there, while packets are sent with care: those for addresses that nobody has are
/// kept by the kernel for seconds, and fill the way out for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Nobody has asked.
    Open,
    /// Packets have gone there, and nothing was heard yet.
    Felt,
    /// The same, and the kernel is asking who has the address.
    Asked,
    /// It is there, or a router takes what is for it.
    There,
    /// Nobody has the address.
    Absent,
}

/// Whether a packet may go to a host while packets are sent with care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// It may go.
    Go,
    /// To be asked again at this time, nanoseconds since the start.
    Later(u64),
    /// There is nobody.
    Absent,
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
    /// Whether anybody has this address on our own network: see [`Presence`].
    presence: AtomicU8,
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
            felt: AtomicU32::new(0),
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

    /// Whether a packet may go to a target, of which `look` tells what the kernel knows. At most `most`
    /// hosts are felt for at the same time.
    pub fn care(
        &self,
        target: u64,
        now: u64,
        most: u32,
        look: impl FnOnce() -> Option<Neighbour>,
    ) -> Care {
        let host = self.of(target);
        let unheard = host.unheard.load(Ordering::Acquire);
        match host.presence() {
            Presence::There => return Care::Go,
            Presence::Absent => return Care::Absent,
            Presence::Open if unheard == 0 => {
                return match self.felt.load(Ordering::Relaxed) < most {
                    true => Care::Go,
                    false => Care::Later(now + READ_EVERY),
                };
            }
            Presence::Open | Presence::Felt | Presence::Asked => {}
        }
        let first = host.first.load(Ordering::Relaxed);
        let asked = now.saturating_sub(first);
        if asked < LOOK_AFTER {
            return Care::Later(first + LOOK_AFTER);
        }
        match (look(), host.presence()) {
            (None, _) => {
                if host.becomes(Presence::Felt, Presence::Open) {
                    self.felt.fetch_sub(1, Ordering::Relaxed);
                }
                match host.leave_carefully(now) {
                    Ok(()) => Care::Go,
                    Err(when) => Care::Later(when),
                }
            }
            (Some(Neighbour::There), _)
            | (Some(Neighbour::Elsewhere), Presence::Open | Presence::Felt) => {
                self.settle(host, Presence::There);
                Care::Go
            }
            // The kernel forgets whom it did not find.
            (Some(_), _) if asked >= PATIENCE => {
                self.settle(host, Presence::Absent);
                Care::Absent
            }
            (Some(_), _) => {
                host.becomes(Presence::Felt, Presence::Asked);
                Care::Later((first + PATIENCE).min(now + READ_EVERY))
            }
        }
    }

    /// A packet goes to a target. Says whether the host is felt for by it: then [`Self::care`] is to be
    /// asked about it until it has an answer, as others wait for that.
    pub fn goes(&self, target: u64, now: u64, careful: bool) -> bool {
        let host = self.of(target);
        if host.answered.load(Ordering::Relaxed) > 0 {
            return false;
        }
        // Before it can be seen that there is a first one.
        let first =
            host.first
                .compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        let felt = first.is_ok() && careful && self.feel(host);
        host.unheard.fetch_add(1, Ordering::Release);
        felt
    }

    /// An answer came from a target; `late` when the probe had been sent again before.
    pub fn answer(&self, target: u64, late: bool) {
        let host = self.of(target);
        host.late.fetch_add(u32::from(late), Ordering::Relaxed);
        if host.answered.fetch_add(1, Ordering::Relaxed) == 0 {
            self.settle(host, Presence::There);
        }
    }

    /// Nobody has the address of a target.
    pub fn is_absent(&self, target: u64) {
        if self.exact() {
            self.settle(self.of(target), Presence::Absent);
        }
    }

    /// It is known whether a host is there.
    fn settle(&self, host: &Host, presence: Presence) {
        let before = host.presence.swap(presence as u8, Ordering::Relaxed);
        let felt = [Presence::Felt as u8, Presence::Asked as u8].contains(&before);
        self.felt.fetch_sub(u32::from(felt), Ordering::Relaxed);
    }

    /// A host is felt for from now on, unless more is known of it.
    fn feel(&self, host: &Host) -> bool {
        let felt = host.becomes(Presence::Open, Presence::Felt);
        self.felt.fetch_add(u32::from(felt), Ordering::Relaxed);
        felt
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
    fn presence(&self) -> Presence {
        match self.presence.load(Ordering::Acquire) {
            0 => Presence::Open,
            1 => Presence::Felt,
            2 => Presence::Asked,
            3 => Presence::There,
            _ => Presence::Absent,
        }
    }

    /// Goes over from one to the other; only one of several threads does.
    fn becomes(&self, from: Presence, to: Presence) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.presence
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Nobody has its address.
    pub fn absent(&self) -> bool {
        self.presence() == Presence::Absent
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

    /// The same where the kernel does not tell: ever more packets, as time goes by without an answer.
    fn leave_carefully(&self, now: u64) -> Result<(), u64> {
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

/// The kernel's table is looked at so long after the first packet: an answer to it comes sooner from
/// most, and what was read of the table is then no older than the packet. Nanoseconds.
const LOOK_AFTER: u64 = READ_EVERY;

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
            hosts.answer(1, n % 2 == 0);
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
            hosts.goes(0, now, true);
        }
        assert_eq!(host.leave_carefully(9), Err(7 + PATIENCE));
        for _ in 2..8 {
            assert!(host.leave_carefully(7 + PATIENCE).is_ok());
            hosts.goes(0, 7 + PATIENCE, true);
        }
        assert_eq!(host.leave_carefully(8 + PATIENCE), Err(7 + 2 * PATIENCE));
        hosts.answer(0, false);
        assert!(host.leave_carefully(9).is_ok());
    }

    #[test]
    fn addresses_that_nobody_has_are_felt_for_a_few_at_a_time() {
        let hosts = Hosts::new(4);
        let never = || -> Option<Neighbour> { panic!("looked") };
        for target in [0, 1] {
            assert_eq!(hosts.care(target, 0, 2, never), Care::Go);
            assert!(hosts.goes(target, 1, true));
        }
        assert_eq!(hosts.care(2, 1, 2, never), Care::Later(1 + READ_EVERY));
        // The first packet has just gone.
        assert_eq!(hosts.care(0, 1, 2, never), Care::Later(1 + LOOK_AFTER));
        let silent = || Some(Neighbour::Silent);
        let later = hosts.care(0, 1 + LOOK_AFTER, 2, silent);
        assert_eq!(later, Care::Later(1 + LOOK_AFTER + READ_EVERY));
        // One of them answers: there is room for the next one, which a router takes.
        hosts.answer(1, false);
        assert_eq!(hosts.care(1, 2, 2, never), Care::Go);
        assert_eq!(hosts.care(2, 2, 2, never), Care::Go);
        assert!(hosts.goes(2, 2, true));
        let elsewhere = || Some(Neighbour::Elsewhere);
        assert_eq!(hosts.care(2, 2 + LOOK_AFTER, 2, elsewhere), Care::Go);
        // The kernel asked for the first one, found nobody, and has forgotten about it.
        assert_eq!(hosts.care(0, 1 + PATIENCE, 2, elsewhere), Care::Absent);
        assert_eq!(hosts.care(0, 0, 2, never), Care::Absent);
        assert!(hosts.of(0).absent() && !hosts.of(1).absent());
        assert_eq!(hosts.felt.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn where_the_kernel_does_not_tell_time_does() {
        let hosts = Hosts::new(1);
        hosts.goes(0, 1, false);
        assert_eq!(hosts.care(0, 1 + LOOK_AFTER, 9, || None), Care::Go);
        assert!(!hosts.goes(0, 1 + LOOK_AFTER, true));
        assert_eq!(
            hosts.care(0, 1 + LOOK_AFTER, 9, || None),
            Care::Later(1 + PATIENCE)
        );
        hosts.is_absent(0);
        assert_eq!(hosts.care(0, 0, 9, || None), Care::Absent);
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
