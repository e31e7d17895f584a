//! What a worker hears, and what follows from it.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::block::Taken;
use super::mmsg::BATCH;
use super::wire::{self, Answer, IcmpError, Said, Unreachable};
use super::worker::{Family, Worker};
use crate::engines::ports::listen::Message;

/// ICMP is rare: it is looked for every so many turns.
pub const ICMP_EVERY: u32 = 16;

impl Worker {
    /// Takes all answers that have come.
    pub(super) fn receive(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        let icmp = self.turns.is_multiple_of(ICMP_EVERY);
        for family in [Family::V4, Family::V6] {
            self.receive_from(family, false);
            if icmp {
                self.receive_from(family, true);
            }
        }
    }

    fn receive_from(&mut self, family: Family, icmp: bool) {
        if family == Family::V4 && !icmp && self.ring.is_some() {
            return self.receive_from_ring();
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        loop {
            let sockets = match family {
                Family::V4 => &self.v4,
                Family::V6 => &self.v6,
            };
            let Some(sockets) = sockets else { break };
            let socket = if icmp { sockets.icmp() } else { sockets.tcp() };
            let count = match incoming.receive(socket) {
                Ok(count) => count,
                Err(error) => {
                    self.shared.fail(error);
                    break;
                }
            };
            let now = Instant::now();
            let our_port = sockets.port;
            for (packet, from) in incoming.packets() {
                match (icmp, family) {
                    (false, Family::V4) => {
                        if let Some((from, answer)) = wire::answer_v4(packet) {
                            self.answer(from.into(), answer, our_port, now);
                        }
                    }
                    (false, Family::V6) => {
                        if let Some(answer) = wire::answer(packet) {
                            self.answer(from, answer, our_port, now);
                        }
                    }
                    (true, Family::V4) => self.icmp(wire::icmp_v4(packet), our_port, now),
                    (true, Family::V6) => self.icmp(wire::icmp_v6(packet, from), our_port, now),
                }
            }
            if count < BATCH {
                break;
            }
        }
        self.incoming = incoming;
    }

    fn receive_from_ring(&mut self) {
        // Out of the worker while it is read from: answers change the worker.
        let (Some(mut ring), Some(sockets)) = (self.ring.take(), &self.v4) else {
            return;
        };
        let our_port = sockets.port;
        let now = Instant::now();
        ring.receive(|packet| {
            if let Some((from, answer)) = wire::answer_v4(packet) {
                self.answer(from.into(), answer, our_port, now);
            }
        });
        self.ring = Some(ring);
    }

    /// A TCP answer: counted when it acknowledges the sequence number of a probe of ours.
    fn answer(&mut self, from: IpAddr, answer: Answer, our_port: u16, now: Instant) {
        let cookie = self.shared.cookies.of(from, answer.port, our_port);
        if answer.our_port != our_port || answer.acknowledged != cookie {
            return;
        }
        let Some((place, target)) = self.shared.plan.place(from, answer.port) else {
            return;
        };
        let found = self
            .blocks
            .iter_mut()
            .find_map(|block| Some((block.index(place)?, block)));
        let host = self.shared.hosts.of(target);
        let Some((index, block)) = found else {
            // Its block was given up already; an open port is worth being told of all the same.
            if answer.said == Said::Accepted {
                let _ = self.messages.send(Message::Late(from, answer.port, target));
            }
            return;
        };
        let Taken::First { late, rtt } = block.take(index, now) else {
            // It is told of again; or an ICMP error came first, of a router that knew no way for a moment.
            if answer.said == Said::Accepted && host.was_unreachable() {
                let _ = self.messages.send(Message::Late(from, answer.port, target));
            }
            return;
        };
        self.pace.answer();
        if let Some(micros) = rtt {
            let rtt = Duration::from_micros(micros.into());
            self.rtt = self.rtt.sample(rtt);
            self.pace.sample(rtt, now);
            host.took(rtt);
        }
        self.shared.hosts.answer(target, late);
        self.loss.answered += 1;
        self.loss.late += u32::from(late);
        self.stats.late_answers += u64::from(late);
        self.moved = true;
        self.shared.answered.fetch_add(1, Ordering::Relaxed);
        self.shared.decided.fetch_add(1, Ordering::Relaxed);
        match answer.said {
            Said::Refused => {
                host.closed.fetch_add(1, Ordering::Relaxed);
            }
            Said::Accepted => {
                host.open.fetch_add(1, Ordering::Relaxed);
                self.shared.open.fetch_add(1, Ordering::Relaxed);
                let _ = self.messages.send(Message::Open(from, answer.port));
            }
        }
    }

    /// An ICMP error: counted when it quotes a probe of ours.
    fn icmp(&mut self, error: Option<IcmpError>, our_port: u16, now: Instant) {
        let Some(error) = error else { return };
        let cookie = self.shared.cookies.of(error.to, error.port, our_port);
        if error.our_port != our_port || error.sequence != cookie {
            return;
        }
        let Some((place, target)) = self.shared.plan.place(error.to, error.port) else {
            return;
        };
        let found = self
            .blocks
            .iter()
            .enumerate()
            .find_map(|(at, block)| Some((at, block.index(place)?)));
        // Of an address behind a router it means the router.
        let own = error.own && error.why == Unreachable::Host;
        let on_link = own && self.shared.sources.may_be_on_link(error.to);
        if on_link && !self.shared.hosts.is_absent(target) {
            // It is asked for once more.
            return;
        }
        if let Some((at, index)) = found
            && self.unreachable(at, index, target, error.why, now)
        {
            self.shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There is no way to a port; says whether that decides it.
    pub(super) fn unreachable(
        &mut self,
        at: usize,
        index: u32,
        target: u64,
        why: Unreachable,
        now: Instant,
    ) -> bool {
        if self.blocks[at].take(index, now) == Taken::Again {
            return false;
        }
        self.shared.hosts.of(target).has_no_way(why);
        self.shared.decided.fetch_add(1, Ordering::Relaxed);
        self.moved = true;
        true
    }
}
