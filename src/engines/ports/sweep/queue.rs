use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Instant;

/// A port of a host that is to be tried (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Its place in the order of the plan.
    pub place: u64,
    /// Number of the host among the targets.
    pub host: u64,
    /// The host.
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
    /// 0 for the first attempt.
    pub attempt: u8,
    /// Times that there was no local address for it.
    pub waits: u8,
    /// It was accepted once, by this same host, and must be accepted once more.
    pub confirm: bool,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum For {
    /// Its time; it may go then.
    Departure,
    /// Another attempt.
    Retry,
    /// Room in the window of its host, or leave to send there.
    Host,
}

/// Tasks that wait, the first to be due on top.
#[derive(Debug, Default)]
pub struct Waiting {
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
    parked: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    due: Instant,
    serial: u64,
    why: For,
    task: Task,
}

impl Waiting {
    /// Puts a task into the queue, due at this time.
    pub fn push(&mut self, due: Instant, why: For, task: Task) {
        self.serial += 1;
        self.parked += usize::from(why == For::Host);
        self.heap.push(Reverse(Entry {
            due,
            serial: self.serial,
            why,
            task,
        }));
    }

    /// Takes the first task if it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<(For, Task)> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.parked -= usize::from(entry.why == For::Host);
        Some((entry.why, entry.task))
    }

    /// When the first task is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    /// How many wait for their host.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// No task waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The smallest place of those that wait.
    pub fn lowest(&self) -> Option<u64> {
        self.heap
            .iter()
            .map(|Reverse(entry)| entry.task.place)
            .min()
    }
}

impl Entry {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.serial)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tasks_come_when_due() {
        let now = Instant::now();
        let task = |place| Task {
            place,
            host: 0,
            addr: [127, 0, 0, 1].into(),
            port: 1,
            attempt: 1,
            waits: 0,
            confirm: false,
        };
        let later = now + Duration::from_secs(1);
        let mut waiting = Waiting::default();
        waiting.push(later, For::Retry, task(7));
        waiting.push(later, For::Retry, task(3));
        assert_eq!(waiting.take_due(now), None);
        waiting.push(now, For::Host, task(9));
        assert_eq!((waiting.parked(), waiting.lowest()), (1, Some(3)));
        assert_eq!(waiting.next_due(), Some(now));
        assert_eq!(waiting.take_due(now), Some((For::Host, task(9))));
        assert_eq!(waiting.parked(), 0);
        assert_eq!(waiting.take_due(now), None);
        // Of those due at the same time the first to come is the first to go.
        assert_eq!(waiting.take_due(later), Some((For::Retry, task(7))));
        assert_eq!(waiting.take_due(later), Some((For::Retry, task(3))));
        assert!(waiting.is_empty());
    }
}
