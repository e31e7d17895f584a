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
    let mut told_at = Instant::now();
    let mut finished = Vec::new();
    let mut batch = Vec::new();
    loop {
        let count = tokio::select! {
            count = messages.recv_many(&mut batch, AT_A_TIME) => count,
            _ = tick.tick() => {
                if observer.cancelled() || deadline.is_some_and(|at| Instant::now() >= at) {
                    sweep.stop();
                }
                if told_at.elapsed() >= CHECKPOINT_EVERY {
                    told_at = Instant::now();
                    observer.checkpoint(&sweep.checkpoint());
                }
                continue;
            }
        };
        if count == 0 {
            return finished;
        }
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
        observer.progress(&sweep.progress());
    }
}
