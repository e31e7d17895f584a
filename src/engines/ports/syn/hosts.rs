use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::engines::ports::limits::Groups;
use crate::engines::ports::report::HostTally;
use crate::engines::ports::rtt::RttEstimator;

use super::loss::Loss;
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
    /// An answer came only to a later packet: others may have been lost, too.
    lossy: AtomicBool,
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
    /// Round-trip times, as an [`RttEstimator`].
    rtt: AtomicU64,
    /// Whether anybody has this address on our own network: see [`Presence`].
    presence: AtomicU8,
    /// It was asked for twice.
    asked_again: AtomicBool,
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
            lossy: AtomicBool::new(false),
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
                self.give_back(host);
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
                if self.once_more(host) {
                    return Care::Later(now);
                }
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
        if late {
            host.late.fetch_add(1, Ordering::Relaxed);
            self.lossy.store(true, Ordering::Relaxed);
        }
        if host.answered.fetch_add(1, Ordering::Relaxed) == 0 {
            self.settle(host, Presence::There);
        }
    }

    /// Nobody has the address of a target, this machine says. Of one that has answered this is believed
    /// for the packet that it is about, and no longer: it was there, and may be again. Says whether it is
    /// believed.
    pub fn is_absent(&self, target: u64) -> bool {
        let host = self.of(target);
        if !self.exact() || host.is_heard() {
            return true;
        }
        if !host.absent() && self.once_more(host) {
            return false;
        }
        self.settle(host, Presence::Absent);
        // Another worker may just have heard of it.
        if host.is_heard() {
            self.settle(host, Presence::There);
        }
        true
    }

    /// Where packets are lost, so are the kernel's questions who has an address: it asks three times, and
    /// is made to do so once more. Says whether it is.
    fn once_more(&self, host: &Host) -> bool {
        if !self.lossy.load(Ordering::Relaxed) || host.asked_again.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.give_back(host);
        host.first.store(0, Ordering::Relaxed);
        host.unheard.store(0, Ordering::Release);
        true
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

    /// Nobody will ask [`Self::care`] about these targets any more, of which some may be felt for still.
    pub fn leave_alone(&self, targets: impl Iterator<Item = u64>) {
        targets.for_each(|target| self.give_back(self.of(target)));
    }

    /// A host is not felt for any more, without more being known of it.
    fn give_back(&self, host: &Host) {
        let felt = [Presence::Felt, Presence::Asked];
        if felt
            .into_iter()
            .any(|felt| host.becomes(felt, Presence::Open))
        {
            self.felt.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether a target is felt for.
    pub fn is_felt(&self, target: u64) -> bool {
        matches!(self.of(target).presence(), Presence::Felt | Presence::Asked)
    }

    /// What was found, by group of targets.
    pub fn tallies(&self) -> Vec<HostTally> {
        self.states.iter().map(Host::tally).collect()
    }
}

/// More than this share of late answers is no accident of the way: the host answers only so often.
pub const TOO_LATE: f64 = 0.25;

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

    /// Something was heard of it.
    pub fn is_heard(&self) -> bool {
        self.answered.load(Ordering::Relaxed) > 0
    }

    /// Its round-trip times.
    pub fn rtt(&self) -> RttEstimator {
        RttEstimator::from_bits(self.rtt.load(Ordering::Relaxed))
    }

    /// An answer took so long.
    pub fn took(&self, rtt: Duration) {
        // Should two workers do so at once, one of the two times is lost, of very many.
        let bits = self.rtt().sample(rtt).to_bits();
        self.rtt.store(bits, Ordering::Relaxed);
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

    /// The network has said so of some port.
    pub fn was_unreachable(&self) -> bool {
        let said = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
        self.no_way.iter().any(said)
    }

    /// A port that was taken to be silent, or out of reach, is open after all.
    pub fn was_open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let less = |count: u32| count.checked_sub(1);
        std::iter::once(&self.silent)
            .chain(&self.no_way)
            .find(|count| {
                count
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                    .is_ok()
            });
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
            rtt: self.rtt().smoothed(),
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

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
