use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use crate::engines::ports::listen::Message;
use crate::engines::ports::rate::Leave;
use crate::engines::ports::report::SweepStats;
use crate::engines::ports::scan::socket_addr;

use super::queue::{For, Task, Waiting};
use super::shared::{Fatal, Shared};
use super::socket::{Answer, Socket};
use super::timers::{Timer, Timers};
use crate::engines::ports::rtt::FIRST_TIMEOUT;

/// What a worker went through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Attempts, retries, timeouts.
    pub stats: SweepStats,
    /// The last error that was no usual answer.
    pub last_error: Option<Errno>,
}

/// A place for one attempt in flight. The socket stays for the next one.
#[derive(Debug, Default)]
struct Slot {
    socket: Option<Socket>,
    flight: Option<Flight>,
}

/// An attempt in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub task: Task,
    pub serial: u64,
    pub since: Instant,
}

/// One thread of a sweep.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    number: usize,
    pub(super) messages: UnboundedSender<Message<Tally>>,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    /// Slots without an attempt in flight, the last used on top.
    free: Vec<usize>,
    pub(super) in_flight: usize,
    /// Attempts that this worker can have in flight before it runs out of file descriptors.
    pub(super) capacity: usize,
    timers: Timers,
    fired: Vec<Timer>,
    pub(super) waiting: Waiting,
    /// Tasks that may wait for their hosts before nothing new is begun.
    most_parked: usize,
    /// Places that are this worker's to begin.
    chunk: Range<u64>,
    /// Nothing is started before this.
    pub(super) blocked_until: Option<Instant>,
    /// Attempts in a row that had no answer when `connect` returned.
    slow_in_a_row: u32,
    serial: u64,
    /// Counts that were not added to the common ones yet.
    pub(super) ended: u32,
    pub(super) decided: u64,
    pub(super) answers: u64,
    sent: u64,
    moved: bool,
    reported_at: Instant,
    published_at: Instant,
    pub(super) tally: Tally,
}

/// Attempts that are started before events and timers are looked at again.
const BATCH: usize = 256;

/// Answers that are taken from the kernel at once.
const EVENTS: usize = 1024;

/// How long the worker sleeps at most, so that it sees the end of the scan in time.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// How often the scan hears of progress.
const REPORT_EVERY: Duration = Duration::from_millis(20);

/// How often the worker says how far it has got.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// Wait for a file descriptor or a local port.
pub(super) const RESOURCE_WAIT: Duration = Duration::from_millis(5);

/// Wait for room in the window of a host.
const WINDOW_WAIT: Duration = Duration::from_millis(2);

/// Tasks that wait for their hosts, in all and for each host.
const MOST_PARKED: usize = 1024;
const PARKED_A_HOST: usize = 4;

/// After so many attempts without an immediate answer the worker asks for one only now and then. On
/// loopback and to neighbours the answer is there when `connect` returns, and epoll is not needed.
const SLOW_ATTEMPTS: u32 = 32;
const ASK_SLOW_ONE_OF: u64 = 64;

impl Worker {
    /// The worker of this number.
    pub fn new(
        shared: Arc<Shared>,
        number: usize,
        messages: UnboundedSender<Message<Tally>>,
    ) -> std::io::Result<Self> {
        let now = Instant::now();
        let hosts = usize::try_from(shared.plan.targets().len()).unwrap_or(MOST_PARKED);
        Ok(Self {
            shared,
            number,
            messages,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
            capacity: usize::MAX,
            timers: Timers::new(now),
            fired: Vec::new(),
            waiting: Waiting::default(),
            most_parked: hosts.saturating_mul(PARKED_A_HOST).min(MOST_PARKED),
            chunk: 0..0,
            blocked_until: None,
            slow_in_a_row: 0,
            serial: 0,
            ended: 0,
            decided: 0,
            answers: 0,
            sent: 0,
            moved: false,
            reported_at: now,
            published_at: now,
            tally: Tally::default(),
        })
    }

    /// Works until every port is decided or the sweep is stopped.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.shared.stopped() {
            let wake = self.launch();
            if self.is_done() {
                break;
            }
            if let Err(errno) = self.poll(wake, &mut events) {
                self.shared.fail(Fatal::Poll(errno));
            }
            // An answer that is there already must not be taken for none.
            if events.len() < EVENTS {
                self.expire();
            }
            self.report();
        }
        self.add_up();
        self.publish();
        let tally = self.tally;
        // The scan may be gone already; then nobody wants to know.
        let _ = self.messages.send(Message::Finished(tally));
    }

    fn is_done(&self) -> bool {
        self.in_flight == 0
            && self.waiting.is_empty()
            && self.chunk.is_empty()
            && !self.shared.has_fresh()
    }

    /// Starts attempts while there is room. Says when more could be started, if nothing happens
    /// before.
    fn launch(&mut self) -> Instant {
        let mut now = Instant::now();
        let share = self.shared.hosts.all.window() as usize / self.shared.workers;
        for _ in 0..BATCH {
            if let Some(until) = self.blocked_until {
                if now < until {
                    return until;
                }
                self.blocked_until = None;
            }
            if self.in_flight >= share.clamp(1, self.capacity.max(1)) {
                // An answer or a timeout makes room and wakes the worker.
                return now + LONGEST_SLEEP;
            }
            let Some((why, task)) = self.next_task(now) else {
                return self.waiting.next_due().unwrap_or(now + LONGEST_SLEEP);
            };
            if why == For::Departure || self.admit(task, now) {
                self.start(task, now);
                now = Instant::now();
            }
        }
        now
    }

    /// What is to be tried next, and what it had to wait for.
    fn next_task(&mut self, now: Instant) -> Option<(For, Task)> {
        if let Some(due) = self.waiting.take_due(now) {
            return Some(due);
        }
        if self.waiting.parked() >= self.most_parked {
            return None;
        }
        if self.chunk.is_empty() {
            self.chunk = self.shared.take_chunk();
        }
        let place = self.chunk.next()?;
        // Every place below its length is one of the plan.
        let probe = self.shared.plan.at(place)?;
        let task = Task {
            place,
            host: probe.host,
            addr: probe.addr,
            port: probe.port,
            attempt: 0,
            waits: 0,
            confirm: false,
        };
        Some((For::Host, task))
    }

    /// Whether a task may start now; else puts it where it waits for that.
    fn admit(&mut self, task: Task, now: Instant) -> bool {
        let hosts = &self.shared.hosts;
        if !hosts.enter(task.host) {
            self.waiting.push(now + WINDOW_WAIT, For::Host, task);
            return false;
        }
        let packets = packets(hosts.timeout(task.host, task.attempt.into()));
        match self.shared.rates.leave(task.host, packets, now) {
            Leave::Now => return true,
            Leave::At(at) => self.waiting.push(at, For::Departure, task),
            Leave::HostLater(at) => {
                hosts.give_up(task.host);
                self.waiting.push(at, For::Host, task);
            }
            Leave::AllLater(at) => {
                hosts.give_up(task.host);
                self.waiting.push(at, For::Host, task);
                self.blocked_until = self.waiting.next_due().map(|due| due.min(at));
            }
        }
        false
    }

    /// A slot with a socket for this target and without an attempt.
    fn free_slot(&mut self, target: &SocketAddr) -> Result<usize, Answer> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let socket = &mut self.slots[slot].socket;
        if socket.as_ref().is_none_or(|socket| !socket.serves(target)) {
            // Closed first: there may be no room for two.
            *socket = None;
            match Socket::open(target) {
                Ok(opened) => *socket = Some(opened),
                Err(answer) => {
                    self.free.push(slot);
                    return Err(answer);
                }
            }
        }
        Ok(slot)
    }

    fn start(&mut self, task: Task, now: Instant) {
        let target = target(&task, self.shared.scope_id);
        let slot = match self.free_slot(&target) {
            Ok(slot) => slot,
            Err(answer) => return self.not_started(task, answer, now),
        };
        let Some(socket) = self.slots[slot].socket.as_mut() else {
            return;
        };
        self.sent += 1;
        self.tally.stats.attempts += 1;
        self.tally.stats.retries += u64::from(task.attempt > 0);
        self.serial += 1;
        let mut answer = socket.connect(&target);
        let ask = self.slow_in_a_row < SLOW_ATTEMPTS || self.serial.is_multiple_of(ASK_SLOW_ONE_OF);
        if answer == Answer::Pending && ask {
            answer = socket.connect(&target).heard_from_afar();
            self.slow_in_a_row = match answer {
                Answer::Pending => self.slow_in_a_row.saturating_add(1),
                _ => 0,
            };
        }
        if answer == Answer::Pending && !socket.registered {
            let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
            let data = epoll::EventData::new_u64(slot as u64);
            match epoll::add(&self.epoll, &*socket, data, flags) {
                Ok(()) => socket.registered = true,
                Err(errno) => answer = Answer::NoResource(errno),
            }
        }
        let serial = self.serial;
        let flight = Flight {
            task,
            serial,
            since: now,
        };
        self.slots[slot].flight = Some(flight);
        self.in_flight += 1;
        if answer == Answer::Pending {
            let wait = self.shared.hosts.timeout(task.host, task.attempt.into());
            self.timers.set(Timer { slot, serial }, now + wait, now);
        } else {
            self.settle(slot, answer);
        }
    }

    /// Waits for answers until `wake`.
    fn poll(&mut self, wake: Instant, events: &mut Vec<epoll::Event>) -> Result<(), Errno> {
        events.clear();
        let now = Instant::now();
        let wake = self.timers.next().map_or(wake, |timer| timer.min(wake));
        let sleep = wake.saturating_duration_since(now).min(LONGEST_SLEEP);
        if self.in_flight == 0 && sleep.is_zero() {
            return Ok(());
        }
        let timeout = Timespec::try_from(sleep).map_err(|_| Errno::INVAL)?;
        let buffer = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        for event in events.iter() {
            let data = event.data;
            self.ask(usize::try_from(data.u64()).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    /// Something happened on a socket: asks it for the answer.
    fn ask(&mut self, slot: usize) {
        let Some(Slot {
            socket: Some(socket),
            flight: Some(flight),
        }) = self.slots.get(slot)
        else {
            return;
        };
        let target = target(&flight.task, self.shared.scope_id);
        let answer = socket.connect(&target).heard_from_afar();
        if answer != Answer::Pending {
            self.settle(slot, answer);
        }
    }

    /// Ends the attempts that waited long enough.
    fn expire(&mut self) {
        let now = Instant::now();
        let mut fired = std::mem::take(&mut self.fired);
        while self.timers.fire(now, &mut fired) {
            for timer in fired.drain(..) {
                let flight = self.slots.get(timer.slot).and_then(|slot| slot.flight);
                let Some(flight) = flight.filter(|flight| flight.serial == timer.serial) else {
                    continue;
                };
                let Task { host, attempt, .. } = flight.task;
                let end = flight.since + self.shared.hosts.timeout(host, attempt.into());
                match end <= now {
                    true => self.settle(timer.slot, Answer::Lost),
                    false => self.timers.set(timer, end, now),
                }
            }
        }
        self.fired = fired;
    }

    /// An attempt has its answer.
    fn settle(&mut self, slot: usize, answer: Answer) {
        let Some(flight) = self.slots[slot].flight.take() else {
            return;
        };
        let now = Instant::now();
        self.in_flight -= 1;
        self.ended += 1;
        self.moved = true;
        self.free.push(slot);
        let mut socket = self.slots[slot].socket.take();
        let as_good_as_new = match answer {
            Answer::Refused | Answer::NoRoute(_) => true,
            Answer::Lost => socket.as_ref().is_some_and(Socket::dissolve),
            _ => false,
        };
        if as_good_as_new {
            self.slots[slot].socket = socket.take();
        }
        self.shared.hosts.leave(flight.task.host);
        self.conclude(&flight, answer, socket, now);
    }

    /// Adds to the common counts what was counted apart, so that they need no lock nor cache line of
    /// their own for each attempt.
    fn add_up(&mut self) {
        let shared = &self.shared;
        shared.hosts.ended(std::mem::take(&mut self.ended));
        for (count, common) in [
            (&mut self.decided, &shared.decided),
            (&mut self.answers, &shared.answered),
            (&mut self.sent, &shared.sent),
        ] {
            if *count > 0 {
                common.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
    }

    /// Tells the scan, from time to time, that the sweep got further.
    fn report(&mut self) {
        self.add_up();
        if self.moved && self.reported_at.elapsed() >= REPORT_EVERY {
            self.moved = false;
            self.reported_at = Instant::now();
            let _ = self.messages.send(Message::Progress);
        }
        if self.published_at.elapsed() >= PUBLISH_EVERY {
            self.published_at = Instant::now();
            self.publish();
        }
    }

    /// Says up to which place everything that this worker took is decided.
    fn publish(&self) {
        // Looked at first: what is taken after this comes after it in the order.
        let next = self.shared.next();
        let flights = self.slots.iter().filter_map(|slot| slot.flight);
        let lowest = flights
            .map(|flight| flight.task.place)
            .chain(self.waiting.lowest())
            .chain((!self.chunk.is_empty()).then_some(self.chunk.start))
            .fold(next, u64::min);
        self.shared.publish(self.number, lowest);
    }
}

fn target(task: &Task, scope_id: u32) -> SocketAddr {
    let mut target = socket_addr(task.addr, scope_id);
    target.set_port(task.port);
    target
}

/// How many SYN an attempt of this length is: the kernel sends one more after a second, and
/// another two seconds later.
fn packets(timeout: Duration) -> u32 {
    1 + u32::from(timeout > FIRST_TIMEOUT) + u32::from(timeout > Duration::from_millis(2900))
}
