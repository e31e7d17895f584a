use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use crate::engines::ports::report::SweepStats;

use super::queue::{Retries, Task, Timers};
use super::shared::{Fatal, Shared};
use super::socket::{Answer, Origin, Socket};

/// What a worker tells the scan.
#[derive(Debug)]
pub enum Message {
    /// A port is open.
    Open(u16),
    /// The sweep got further (the numbers are in [`Shared`]).
    Progress,
    /// The worker has nothing more to do.
    Finished(Tally),
}

/// What a worker found and went through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Ports that refused.
    pub closed: u32,
    /// Ports that did not answer.
    pub silent: u32,
    /// Ports for which the network said that there is no way.
    pub no_route: u32,
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

#[derive(Debug, Clone, Copy)]
struct Flight {
    task: Task,
    serial: u64,
    since: Instant,
}

/// One thread of a sweep.
pub struct Worker {
    shared: Arc<Shared>,
    messages: UnboundedSender<Message>,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    /// Slots without an attempt in flight, the last used on top.
    free: Vec<usize>,
    in_flight: usize,
    /// How many of the window's attempts are this worker's share: one in so many.
    workers: usize,
    /// Attempts that this worker can have in flight before it runs out of file descriptors.
    capacity: usize,
    timers: Timers,
    retries: Retries,
    /// Nothing is started before this.
    blocked_until: Option<Instant>,
    /// Attempts in a row that had no answer when `connect` returned.
    slow_in_a_row: u32,
    serial: u64,
    samples: u64,
    /// Attempts that ended since the window was last told.
    ended: usize,
    moved: bool,
    reported_at: Instant,
    tally: Tally,
}

/// Attempts that are started before events and timers are looked at again.
const BATCH: usize = 256;

/// Answers that are taken from the kernel at once.
const EVENTS: usize = 1024;

/// How long the worker sleeps at most, so that it sees the end of the scan in time.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// How often the scan hears of progress.
const REPORT_EVERY: Duration = Duration::from_millis(20);

/// Wait for a file descriptor or a local port.
const RESOURCE_WAIT: Duration = Duration::from_millis(5);

/// After so many attempts without an immediate answer the worker no longer asks for one. On
/// loopback and to neighbours the answer is there when `connect` returns, and epoll is not needed.
const SLOW_ATTEMPTS: u32 = 32;

impl Worker {
    /// A worker, one of `workers`.
    pub fn new(
        shared: Arc<Shared>,
        messages: UnboundedSender<Message>,
        workers: usize,
    ) -> std::io::Result<Self> {
        Ok(Self {
            shared,
            messages,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
            workers,
            capacity: usize::MAX,
            timers: Timers::default(),
            retries: Retries::default(),
            blocked_until: None,
            slow_in_a_row: 0,
            serial: 0,
            samples: 0,
            ended: 0,
            moved: false,
            reported_at: Instant::now(),
            tally: Tally::default(),
        })
    }

    /// Works until every port is decided or the sweep is stopped.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.shared.stopped() {
            self.expire();
            let wake = self.launch();
            if self.in_flight == 0 && self.retries.is_empty() && !self.shared.has_fresh() {
                break;
            }
            if let Err(errno) = self.poll(wake, &mut events) {
                self.shared.fail(Fatal::Poll(errno));
            }
            self.report();
        }
        let tally = self.tally;
        // The scan may be gone already; then nobody wants to know.
        let _ = self.messages.send(Message::Finished(tally));
    }

    /// Starts attempts while there is room. Says when more could be started, if nothing happens
    /// before.
    fn launch(&mut self) -> Instant {
        let mut now = Instant::now();
        if let Some(until) = self.blocked_until {
            if now < until {
                return until;
            }
            self.blocked_until = None;
        }
        let share = (self.shared.pace.window() / self.workers).clamp(1, self.capacity.max(1));
        for _ in 0..BATCH {
            let due = self.retries.next_due();
            let ready = due.is_some_and(|due| due <= now) || self.shared.has_fresh();
            if self.in_flight >= share {
                // An answer or a timeout makes room and wakes the worker.
                return now + LONGEST_SLEEP;
            }
            if !ready {
                return due.unwrap_or(now + LONGEST_SLEEP).max(now);
            }
            let slot = match self.free_slot() {
                Ok(slot) => slot,
                Err(answer) => {
                    self.no_socket(answer, now);
                    return now + RESOURCE_WAIT;
                }
            };
            if let Err(wait) = self.shared.limiter.try_take(now) {
                self.free.push(slot);
                return now + wait;
            }
            let Some(task) = self.next_task(now) else {
                self.free.push(slot);
                continue;
            };
            self.start(slot, task, now);
            now = Instant::now();
        }
        now
    }

    fn next_task(&mut self, now: Instant) -> Option<Task> {
        self.retries.take_due(now).or_else(|| {
            Some(Task {
                port: self.shared.take_fresh()?,
                attempt: 0,
                confirm: false,
            })
        })
    }

    /// A slot with a socket and without an attempt.
    fn free_slot(&mut self) -> Result<usize, Answer> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        if self.slots[slot].socket.is_none() {
            match Socket::open(&self.shared.target) {
                Ok(socket) => self.slots[slot].socket = Some(socket),
                Err(answer) => {
                    self.free.push(slot);
                    return Err(answer);
                }
            }
        }
        Ok(slot)
    }

    /// No socket could be had: waits, or gives the scan up when it never will.
    fn no_socket(&mut self, answer: Answer, now: Instant) {
        self.blocked_until = Some(now + RESOURCE_WAIT);
        match answer {
            Answer::NoResource(errno) => {
                self.capacity = self.in_flight;
                self.tally.stats.resource_waits += 1;
                self.shared.wait_for(errno);
            }
            Answer::NotPermitted(errno) | Answer::Failed(errno) => {
                self.shared.fail(Fatal::NotPermitted(errno));
            }
            _ => {}
        }
    }

    fn start(&mut self, slot: usize, task: Task, now: Instant) {
        let mut target = self.shared.target;
        target.set_port(task.port);
        let Some(socket) = self.slots[slot].socket.as_mut() else {
            return;
        };
        self.tally.stats.attempts += 1;
        self.tally.stats.retries += u64::from(task.attempt > 0);
        self.serial += 1;
        let mut answer = socket.connect(&target);
        if answer == Answer::Pending && self.slow_in_a_row < SLOW_ATTEMPTS {
            answer = socket.connect(&target);
            self.slow_in_a_row = match answer {
                Answer::Pending => self.slow_in_a_row + 1,
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
        self.slots[slot].flight = Some(Flight {
            task,
            serial: self.serial,
            since: now,
        });
        self.in_flight += 1;
        if answer == Answer::Pending {
            self.timers.start(slot, self.serial, task.attempt, now);
        } else {
            self.settle(slot, answer);
        }
    }

    /// Waits for answers until `wake`.
    fn poll(&mut self, wake: Instant, events: &mut Vec<epoll::Event>) -> Result<(), Errno> {
        let now = Instant::now();
        let wake = match self.timers.next_expiry(self.shared.pace.timeouts()) {
            Some(expiry) if self.in_flight > 0 => wake.min(expiry),
            _ => wake,
        };
        let sleep = wake.saturating_duration_since(now).min(LONGEST_SLEEP);
        if self.in_flight == 0 && sleep.is_zero() {
            return Ok(());
        }
        let timeout = Timespec::try_from(sleep).map_err(|_| Errno::INVAL)?;
        events.clear();
        let buffer = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        for event in events {
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
        let mut target = self.shared.target;
        target.set_port(flight.task.port);
        let answer = socket.connect(&target);
        if answer != Answer::Pending {
            self.settle(slot, answer);
        }
    }

    /// Ends the attempts that waited long enough.
    fn expire(&mut self) {
        let (now, timeouts) = (Instant::now(), self.shared.pace.timeouts());
        let slots = &self.slots;
        let current = |slot: usize| Some(slots.get(slot)?.flight?.serial);
        let expired = std::iter::from_fn(|| self.timers.take_expired(now, timeouts, current));
        for slot in expired.collect::<Vec<_>>() {
            self.settle(slot, Answer::Lost);
        }
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
        let socket = self.slots[slot].socket.take();
        self.free.push(slot);
        let task = flight.task;
        if !matches!(answer, Answer::NoResource(_) | Answer::NotPermitted(_)) {
            self.shared.left.fetch_add(1, Ordering::Relaxed);
        }
        match answer {
            Answer::Accepted => {
                self.answered(&flight, now);
                self.accepted(task, socket, now);
            }
            Answer::Refused => {
                self.answered(&flight, now);
                // Only here is the socket as good as new.
                self.slots[slot].socket = socket;
                self.tally.closed += 1;
                self.decided();
            }
            Answer::NoRoute => {
                self.tally.no_route += 1;
                self.decided();
            }
            Answer::Lost | Answer::Pending => self.unanswered(task, now),
            Answer::NoResource(errno) => {
                self.tally.stats.resource_waits += 1;
                self.shared.wait_for(errno);
                self.capacity = self.in_flight;
                self.blocked_until = Some(now + RESOURCE_WAIT);
                self.retries.at_once(now, task);
            }
            Answer::NotPermitted(errno) => {
                self.tally.last_error = Some(errno);
                self.tally.no_route += 1;
                self.decided();
                self.shared.forbid(errno);
            }
            Answer::Failed(errno) => {
                self.tally.last_error = Some(errno);
                self.tally.no_route += 1;
                self.decided();
            }
        }
    }

    /// The host answered: measures, and notes when a first attempt was lost.
    fn answered(&mut self, flight: &Flight, now: Instant) {
        self.samples += 1;
        if self.samples <= 64 || self.samples.is_multiple_of(16) {
            let rtt = now.saturating_duration_since(flight.since);
            self.shared.pace.sample(rtt);
        }
        if flight.task.attempt > 0 && !flight.task.confirm {
            self.tally.stats.late_answers += 1;
            self.shared.pace.lost_one(now);
            self.shared.helped(flight.task.attempt);
        }
    }

    fn accepted(&mut self, task: Task, socket: Option<Socket>, now: Instant) {
        let mut peer = self.shared.target;
        peer.set_port(task.port);
        let origin = socket
            .and_then(|socket| socket.local_addr())
            .map(|local| Origin::of(&local, &peer));
        match origin {
            Some(Origin::Remote) => {}
            Some(Origin::SameHost) if task.confirm => {}
            Some(Origin::SameHost) => {
                return self.retries.at_once(
                    now,
                    Task {
                        confirm: true,
                        ..task
                    },
                );
            }
            // From another local port it will not happen again.
            Some(Origin::Itself) => return self.retries.at_once(now, task),
            None => return self.unanswered(task, now),
        }
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        let _ = self.messages.send(Message::Open(task.port));
        self.decided();
    }

    fn unanswered(&mut self, task: Task, now: Instant) {
        self.tally.stats.timeouts += 1;
        if task.attempt < self.shared.retries() {
            let due = now + self.shared.pace.timeout();
            let attempt = task.attempt + 1;
            self.retries.later(due, Task { attempt, ..task });
        } else {
            self.tally.silent += 1;
            self.decided();
        }
    }

    fn decided(&mut self) {
        self.shared.decided.fetch_add(1, Ordering::Relaxed);
        self.capacity = self.capacity.saturating_add(1);
    }

    /// Tells the scan, from time to time, that the sweep got further.
    fn report(&mut self) {
        self.shared.pace.grow(std::mem::take(&mut self.ended));
        if self.moved && self.reported_at.elapsed() >= REPORT_EVERY {
            self.moved = false;
            self.reported_at = Instant::now();
            let _ = self.messages.send(Message::Progress);
        }
    }
}
