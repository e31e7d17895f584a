use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::UnboundedSender;

use crate::engines::ports::Probe;
use crate::engines::ports::listen::Message;
use crate::engines::ports::report::SweepStats;
use crate::engines::ports::rtt::RttEstimator;

use super::block::Block;
use super::hear::ICMP_EVERY;
use super::leave::Leaves;
use super::loss::Loss;
use super::mmsg::{self, BATCH, Incoming, Outgoing};
use super::neighbours::Neighbours;
use super::pace::Pace;
use super::ring::Ring;
use super::routes::Routes;
use super::shared::Shared;
use super::socket::RawSockets;
use super::wire::{self, Syn, Unreachable};

/// One thread of a sweep: it sends a batch, takes what has come, and so on. Each has raw sockets and a
/// port of its own, so that it alone hears the answers to what it sent and shares nothing.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) messages: UnboundedSender<Message<SweepStats>>,
    pub(super) v4: Option<RawSockets>,
    pub(super) v6: Option<RawSockets>,
    /// Instead of the raw socket of IPv4, where it was asked for.
    pub(super) ring: Option<Ring>,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    /// Hosts that are felt for, and when to ask about each again, nanoseconds since the start.
    pub(super) felt: VecDeque<(Probe, u64)>,
    /// Those that are under way, the oldest first.
    pub(super) blocks: Vec<Block>,
    /// The first place that this worker has not decided; the checkpoint is made from it.
    pub(super) low: Arc<AtomicU64>,
    pub(super) incoming: Incoming,
    /// The batch of each family, and of each packet its place in the plan and its target.
    pub(super) outgoing: [Vec<Outgoing>; 2],
    pub(super) probes: [Vec<(u64, u64)>; 2],
    pub(super) rtt: RttEstimator,
    pub(super) pace: Pace,
    /// Answers of this worker's and those of them that came late.
    pub(super) loss: Loss,
    pub(super) stats: SweepStats,
    pub(super) turns: u32,
    pub(super) moved: bool,
    pub(super) reported_at: Instant,
}

/// Blocks that one worker has under way at most.
const MOST_BLOCKS: usize = 64;

/// After so many probes in a row that may not be sent yet, the worker waits.
const MOST_PASSED_OVER: u32 = 64;

/// How long the worker sleeps at most, so that it sees the end of the scan in time.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// Wait for room in the way out.
const RESOURCE_WAIT: Duration = Duration::from_millis(1);

/// How often the scan hears of progress.
const REPORT_EVERY: Duration = Duration::from_millis(20);

/// What a turn of sending came to.
enum Turn {
    /// Packets were sent.
    Sent,
    /// Nothing to send before this.
    Wait(Instant),
}

/// One side of the two families.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

impl Worker {
    /// A worker with these sockets.
    pub fn new(
        shared: Arc<Shared>,
        messages: UnboundedSender<Message<SweepStats>>,
        v4: Option<RawSockets>,
        v6: Option<RawSockets>,
        ring: Option<Ring>,
        low: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        Ok(Self {
            routes: Routes::open()?,
            neighbours: Neighbours::default(),
            felt: VecDeque::new(),
            shared,
            messages,
            v4,
            v6,
            ring,
            blocks: Vec::new(),
            low,
            incoming: Incoming::default(),
            outgoing: [Vec::with_capacity(BATCH), Vec::with_capacity(BATCH)],
            probes: [Vec::with_capacity(BATCH), Vec::with_capacity(BATCH)],
            rtt: RttEstimator::default(),
            pace: Pace::new(Instant::now()),
            loss: Loss::default(),
            stats: SweepStats::default(),
            turns: 0,
            moved: false,
            reported_at: Instant::now(),
        })
    }

    /// Works until every probe is decided or the sweep is stopped.
    pub fn run(mut self) {
        while !self.shared.stopped() {
            let turn = self.send();
            self.receive();
            self.turn_rounds(Instant::now());
            if self.blocks.is_empty() && self.shared.next_place() >= self.shared.plan.len() {
                break;
            }
            if let Turn::Wait(until) = turn {
                self.wait(until);
            }
            self.report();
        }
        self.shared
            .hosts
            .leave_alone(self.felt.iter().map(|(probe, _)| probe.host));
        // The scan may be gone already; then nobody wants to know.
        let _ = self.messages.send(Message::Finished(self.stats));
    }

    /// Sends one batch.
    fn send(&mut self) -> Turn {
        let now = Instant::now();
        self.feel(now);
        let (mut passed_over, mut held) = (0, 0);
        let mut earliest: Option<Instant> = None;
        let mut turn = None;
        while self.outgoing.iter().all(|packets| packets.len() < BATCH) {
            if let Err(when) = self.pace.leave(now) {
                turn = Some(Turn::Wait(when));
                break;
            }
            let Some((at, index)) = self.next_probe(now) else {
                turn = Some(Turn::Wait(self.next_due(now)));
                break;
            };
            let place = self.blocks[at].start + u64::from(index);
            let Some(probe) = self.shared.plan.at(place) else {
                self.blocks[at].take(index, now);
                continue;
            };
            match self.leave(&probe, now) {
                Leaves::Now => {
                    self.put(at, index, &probe, now);
                    (passed_over, held) = (0, 0);
                }
                Leaves::At(when) => {
                    self.put(at, index, &probe, now);
                    // Sent alone, and at its time.
                    std::thread::sleep(when.saturating_duration_since(Instant::now()));
                    break;
                }
                Leaves::Never => {
                    self.unreachable(at, index, probe.host, Unreachable::Host, now);
                }
                Leaves::Later { when, all, by_rate } => {
                    earliest = Some(earliest.map_or(when, |earliest| earliest.min(when)));
                    held += 1;
                    passed_over += u32::from(by_rate);
                    let pending = self.blocks[at].pass_over(index);
                    if all || held >= pending || passed_over >= MOST_PASSED_OVER {
                        turn = earliest.map(Turn::Wait);
                        break;
                    }
                }
            }
        }
        let sent = self.flush(Family::V4) | self.flush(Family::V6);
        match turn {
            Some(wait) if !sent => wait,
            _ => Turn::Sent,
        }
    }

    /// The next probe to send: the block it is in, and its number there.
    fn next_probe(&mut self, now: Instant) -> Option<(usize, u32)> {
        for (at, block) in self.blocks.iter_mut().enumerate() {
            if block.sent_at.is_none()
                && let Some(index) = block.next_pending()
            {
                return Some((at, index));
            }
        }
        if self.blocks.len() >= MOST_BLOCKS {
            return None;
        }
        // Before it is taken: a checkpoint must never be beyond it.
        let before = self.shared.next_place();
        self.low.fetch_min(before, Ordering::SeqCst);
        let taken = self.shared.take_block();
        if let Some((start, len)) = taken {
            self.blocks.push(Block::new(start, len, now));
        }
        self.publish_low();
        taken?;
        Some((self.blocks.len() - 1, 0))
    }

    /// Puts a probe into the batch.
    fn put(&mut self, at: usize, index: u32, probe: &Probe, now: Instant) {
        let mut packet = Outgoing {
            bytes: [0; mmsg::SEND_LEN],
            len: 0,
            to: self.shared.peer(probe.addr),
        };
        let family = match (probe.addr, &self.v4, &self.v6) {
            (IpAddr::V4(to), Some(sockets), _) => {
                let Some(from) = self.shared.sources.to(to, &self.routes) else {
                    return self.not_let_out(at, index, probe.host, Unreachable::Network, now);
                };
                wire::syn_v4(&mut packet, from, to, self.syn(probe, sockets.port));
                Family::V4
            }
            (IpAddr::V6(_), _, Some(sockets)) => {
                wire::syn_v6(&mut packet, self.syn(probe, sockets.port));
                Family::V6
            }
            _ => {
                self.unreachable(at, index, probe.host, Unreachable::Network, now);
                return;
            }
        };
        self.outgoing[family as usize].push(packet);
        let block = &mut self.blocks[at];
        self.probes[family as usize].push((block.start + u64::from(index), probe.host));
        self.stats.retries += u64::from(block.round > 0);
        block.sent(index, now);
    }

    fn syn(&self, probe: &Probe, source_port: u16) -> Syn {
        Syn {
            source_port,
            port: probe.port,
            sequence: self.shared.cookies.of(probe.addr, probe.port, source_port),
        }
    }

    /// Sends what was put into the batch of a family; says whether there was anything.
    fn flush(&mut self, family: Family) -> bool {
        let packets = std::mem::take(&mut self.outgoing[family as usize]);
        let any = !packets.is_empty();
        let mut at = 0;
        while at < packets.len() && !self.shared.stopped() {
            let sockets = match family {
                Family::V4 => &self.v4,
                Family::V6 => &self.v6,
            };
            let Some(sockets) = sockets else { break };
            let result = match (family, &mut self.ring) {
                (Family::V4, Some(ring)) => ring.send(sockets.tcp(), &packets[at..]),
                _ => mmsg::send(sockets.tcp(), &packets[at..]),
            };
            match result {
                Ok(count) => {
                    self.stats.attempts += count as u64;
                    self.shared.sent.fetch_add(count as u64, Ordering::Relaxed);
                    self.left(family, at, count);
                    at += count.max(1);
                }
                Err(error) if mmsg::is_short_of_room(&error) => {
                    self.stats.resource_waits += 1;
                    if !self.ring.as_ref().is_some_and(Ring::was_on_link) {
                        self.shared.careful.store(true, Ordering::Relaxed);
                    }
                    self.put_back(family, at);
                    std::thread::sleep(RESOURCE_WAIT);
                    break;
                }
                Err(error) => {
                    let probe = self.probes[family as usize].get(at).copied();
                    self.not_sent(probe, error);
                    at += 1;
                }
            }
        }
        self.probes[family as usize].clear();
        let mut packets = packets;
        packets.clear();
        self.outgoing[family as usize] = packets;
        self.moved |= any;
        any
    }

    /// The packets of a batch from this one on have not left.
    fn put_back(&mut self, family: Family, from: usize) {
        for (place, _) in self.probes[family as usize].iter().skip(from) {
            let mut blocks = self.blocks.iter_mut();
            let found = blocks.find_map(|block| Some((block.index(*place)?, block)));
            if let Some((index, block)) = found {
                block.put_back(index);
            }
        }
    }

    /// This machine did not let a packet out.
    fn not_sent(&mut self, probe: Option<(u64, u64)>, error: io::Error) {
        let why = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                self.shared.forbid(error);
                Unreachable::Prohibited
            }
            Some(libc::EHOSTUNREACH) => Unreachable::Host,
            _ => Unreachable::Network,
        };
        let Some((place, target)) = probe else { return };
        let mut blocks = self.blocks.iter().enumerate();
        let found = blocks.find_map(|(at, block)| Some((at, block.index(place)?)));
        if let Some((at, index)) = found {
            self.not_let_out(at, index, target, why, Instant::now());
        }
    }

    /// A probe could not be sent. A link that is down may be up in the next round.
    fn not_let_out(&mut self, at: usize, index: u32, target: u64, why: Unreachable, now: Instant) {
        let block = &mut self.blocks[at];
        if why == Unreachable::Network && block.round < self.shared.retries {
            return block.sent(index, now);
        }
        self.unreachable(at, index, target, why, now);
    }

    /// Waits for answers until then.
    fn wait(&mut self, until: Instant) {
        // What the last turn brought may have changed what there is to do.
        let rest = until
            .saturating_duration_since(Instant::now())
            .min(LONGEST_SLEEP);
        if rest.is_zero() {
            return;
        }
        let sockets = [&self.v4, &self.v6];
        let fds = sockets
            .into_iter()
            .flatten()
            .flat_map(|s| [s.tcp(), s.icmp()])
            .chain(self.ring.as_ref().map(Ring::fd));
        let fds: Vec<BorrowedFd<'_>> = fds.collect();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        let ready = Timespec::try_from(rest)
            .map_err(|_| rustix::io::Errno::INVAL)
            .and_then(|rest| poll(&mut polled, Some(&rest)));
        match ready {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => self.shared.fail(io::Error::from(errno)),
        }
        // After a wait everything is looked at.
        self.turns = ICMP_EVERY - 1;
    }

    /// Tells the scan, from time to time, that the sweep got further.
    fn report(&mut self) {
        if self.moved && self.reported_at.elapsed() >= REPORT_EVERY {
            self.moved = false;
            self.reported_at = Instant::now();
            let _ = self.messages.send(Message::Progress);
        }
    }
}
