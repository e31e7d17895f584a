//! What follows from the answer to an attempt.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::io::Errno;

use super::hosts::NoWay;
use super::queue::{For, Task};
use super::shared::HOPELESS_WAITS;
use super::socket::{Answer, Origin, Socket};
use super::worker::{Flight, RESOURCE_WAIT, Worker};
use crate::engines::ports::listen::Message;

impl Worker {
    /// An attempt that could not even begin.
    pub(super) fn not_started(&mut self, task: Task, answer: Answer, now: Instant) {
        if let Answer::NoResource(errno) = answer {
            // It keeps its leave.
            self.short_of(errno, now);
            self.waiting.push(now + RESOURCE_WAIT, For::Departure, task);
            return;
        }
        self.shared.hosts.leave(task.host);
        let flight = Flight {
            task,
            serial: 0,
            since: now,
        };
        self.conclude(&flight, answer, None, now);
    }

    /// An attempt has ended.
    pub(super) fn conclude(
        &mut self,
        flight: &Flight,
        answer: Answer,
        socket: Option<Socket>,
        now: Instant,
    ) {
        let task = flight.task;
        if !matches!(answer, Answer::NoResource(_) | Answer::NotPermitted(_)) {
            self.shared.has_left();
            self.shared.hosts.host(task.host).has_left();
        }
        match answer {
            Answer::Accepted => {
                self.answered(flight, now);
                self.accepted(task, socket, now);
            }
            Answer::Refused => {
                self.answered(flight, now);
                self.shared.hosts.host(task.host).is_closed();
                self.decide();
            }
            // A link that is down may be up a moment later.
            Answer::NoRoute(NoWay::Net) if u32::from(task.attempt) < self.shared.retries => {
                self.unanswered(task, now);
            }
            Answer::NoRoute(why) => {
                self.answers += 1;
                self.no_way(task, why);
            }
            Answer::Lost | Answer::Pending => self.unanswered(task, now),
            Answer::NoResource(Errno::ADDRNOTAVAIL) => self.no_address(task, now),
            Answer::NoResource(errno) => {
                self.short_of(errno, now);
                self.waiting.push(now + RESOURCE_WAIT, For::Retry, task);
            }
            Answer::NotPermitted(errno) => {
                self.tally.last_error = Some(errno);
                self.no_way(task, NoWay::Prohibited);
                self.shared.forbid(errno);
            }
            Answer::Failed(errno) => {
                self.tally.last_error = Some(errno);
                self.no_way(task, NoWay::Host);
            }
        }
    }

    /// The host answered: measures, and notes when a first attempt was lost.
    fn answered(&mut self, flight: &Flight, now: Instant) {
        self.answers += 1;
        let Task {
            host,
            attempt,
            confirm,
            ..
        } = flight.task;
        let late = attempt > 0 && !confirm;
        self.tally.stats.late_answers += u64::from(late);
        let rtt = now.saturating_duration_since(flight.since);
        let since_start = now.saturating_duration_since(self.shared.start);
        self.shared.hosts.answered(host, rtt, late, since_start);
    }

    fn accepted(&mut self, task: Task, socket: Option<Socket>, now: Instant) {
        let peer = std::net::SocketAddr::new(task.addr, task.port);
        let origin = socket
            .and_then(|socket| socket.local_addr())
            .map(|local| Origin::of(&local, &peer));
        match origin {
            Some(Origin::Remote) => {}
            Some(Origin::SameHost) if task.confirm => {}
            Some(Origin::SameHost) => {
                let again = Task {
                    confirm: true,
                    ..task
                };
                return self.waiting.push(now, For::Retry, again);
            }
            // From another local port it will not happen again.
            Some(Origin::Itself) => return self.waiting.push(now, For::Retry, task),
            None => return self.unanswered(task, now),
        }
        self.shared.hosts.host(task.host).is_open();
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        let _ = self.messages.send(Message::Open(task.addr, task.port));
        self.decide();
    }

    fn unanswered(&mut self, task: Task, now: Instant) {
        self.tally.stats.timeouts += 1;
        let hosts = &self.shared.hosts;
        if u32::from(task.attempt) < hosts.retries(task.host, self.shared.retries) {
            let due = now + hosts.timeout(task.host, 0);
            let attempt = task.attempt.saturating_add(1);
            self.waiting.push(due, For::Retry, Task { attempt, ..task });
        } else {
            hosts.host(task.host).is_silent();
            self.decide();
        }
    }

    fn no_way(&mut self, task: Task, why: NoWay) {
        self.shared.hosts.host(task.host).has_no_way(why);
        self.decide();
    }

    /// No local address leads to a host. It may come; if it does not, and nothing has ever been
    /// sent there, it will not.
    fn no_address(&mut self, task: Task, now: Instant) {
        self.tally.stats.resource_waits += 1;
        self.shared.wait_for(Errno::ADDRNOTAVAIL);
        let never_left = self.shared.hosts.host(task.host).never_left();
        if never_left && task.waits >= HOPELESS_WAITS {
            self.tally.last_error = Some(Errno::ADDRNOTAVAIL);
            return self.no_way(task, NoWay::Host);
        }
        let waits = task.waits.saturating_add(1);
        self.waiting
            .push(now + RESOURCE_WAIT, For::Retry, Task { waits, ..task });
    }

    /// This machine is short of something that it will have again.
    fn short_of(&mut self, errno: Errno, now: Instant) {
        self.tally.stats.resource_waits += 1;
        self.shared.wait_for(errno);
        self.capacity = self.in_flight;
        self.blocked_until = Some(now + RESOURCE_WAIT);
    }

    fn decide(&mut self) {
        self.decided += 1;
        self.capacity = self.capacity.saturating_add(1);
    }
}
