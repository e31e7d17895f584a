use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Checkpoint, Observer, Progress};

/// What the threads of a sweep tell; `T` is what each has to say in the end.
#[derive(Debug)]
pub(super) enum Message<T> {
    /// A port is open.
    Open(IpAddr, u16),
    /// A port of this target was taken to be silent, or is told of once more; it is open.
    Late(IpAddr, u16, u64),
    /// The sweep got further.
    Progress,
    /// A thread has nothing more to do.
    Finished(T),
}

/// A sweep whose threads are at work.
pub(super) trait UnderWay {
    /// It shall end now.
    fn stop(&self);
    /// How far it is.
    fn progress(&self) -> Progress;
    /// Where it could go on.
    fn checkpoint(&self) -> Checkpoint;
    /// A port of this target that was counted as silent is open.
    fn was_open(&self, _target: u64) {}
}

/// Messages that are taken at a time.
const AT_A_TIME: usize = 256;

/// How often the observer is asked whether the scan shall end.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How often the observer is told where the scan could go on.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Hears the threads of a sweep until the last one is gone; returns what they said in the end. `found`
/// hears of each open port at once, and says whether that is news.
pub(super) async fn listen<T>(
    messages: &mut UnboundedReceiver<Message<T>>,
    sweep: &impl UnderWay,
    deadline: Option<Instant>,
    observer: &dyn Observer,
    mut found: impl FnMut(IpAddr, u16) -> bool,
) -> Vec<T> {
    let mut tick = tokio::time::interval(ASK_EVERY);
    let mut checkpoints = Checkpoints::new(Instant::now());
    let mut finished = Vec::new();
    let mut batch = Vec::new();
    loop {
        let count = tokio::select! {
            count = messages.recv_many(&mut batch, AT_A_TIME) => match count {
                0 => return finished,
                count => count,
            },
            _ = tick.tick() => {
                if observer.cancelled() || deadline.is_some_and(|at| Instant::now() >= at) {
                    sweep.stop();
                }
                if checkpoints.are_due(Instant::now()) {
                    let checkpoint = sweep.checkpoint();
                    checkpoints.next = Some((checkpoint, messages.len()));
                }
                0
            }
        };
        for message in batch.drain(..) {
            match message {
                Message::Open(addr, port) => {
                    found(addr, port);
                }
                Message::Late(addr, port, target) => {
                    if found(addr, port) {
                        sweep.was_open(target);
                    }
                }
                Message::Progress => {}
                Message::Finished(last) => finished.push(last),
            }
        }
        if let Some(checkpoint) = checkpoints.after(count) {
            observer.checkpoint(&checkpoint);
        }
        if count > 0 {
            observer.progress(&sweep.progress());
        }
    }
}

/// When checkpoints are told: once in a while, and never before what was found on the way there.
struct Checkpoints {
    taken_at: Instant,
    /// The next one, and how many messages were waiting when it was taken: the open ports that it is past
    /// are among them or were heard of before.
    next: Option<(Checkpoint, usize)>,
}

impl Checkpoints {
    fn new(now: Instant) -> Self {
        Self {
            taken_at: now,
            next: None,
        }
    }

    /// Whether it is time to take one.
    fn are_due(&mut self, now: Instant) -> bool {
        let due =
            self.next.is_none() && now.saturating_duration_since(self.taken_at) >= CHECKPOINT_EVERY;
        if due {
            self.taken_at = now;
        }
        due
    }

    /// So many messages more were heard; the checkpoint that may be told now.
    fn after(&mut self, count: usize) -> Option<Checkpoint> {
        let (_, before) = self.next.as_mut()?;
        *before = before.saturating_sub(count);
        let (checkpoint, _) = self.next.take_if(|(_, before)| *before == 0)?;
        Some(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_not_told_before_what_it_is_past() {
        let now = Instant::now();
        let mut checkpoints = Checkpoints::new(now);
        assert!(!checkpoints.are_due(now) && checkpoints.after(5).is_none());
        let later = now + CHECKPOINT_EVERY;
        assert!(checkpoints.are_due(later));
        let checkpoint = Checkpoint {
            seed: 1,
            place: 600,
            total: 1000,
        };
        checkpoints.next = Some((checkpoint, 300));
        assert_eq!(checkpoints.after(0), None);
        assert_eq!(checkpoints.after(256), None);
        // One at a time.
        assert!(!checkpoints.are_due(later + CHECKPOINT_EVERY));
        assert_eq!(checkpoints.after(256), Some(checkpoint));
        assert_eq!(checkpoints.after(256), None);
        assert!(checkpoints.are_due(later + CHECKPOINT_EVERY));
        // Nothing was waiting.
        checkpoints.next = Some((checkpoint, 0));
        assert_eq!(checkpoints.after(0), Some(checkpoint));
    }
}
