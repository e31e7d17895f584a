//! Waiting awake.
//!
//! Each statement is an answer from SQLite's own thread within some ten microseconds. A thread that
//! slept meanwhile would be woken as long after that as the statement took: it looks again and again
//! for a moment, as an adaptive mutex does before it sleeps.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long it stays awake: a few statements, but not a flush to disk.
const AWAKE: Duration = Duration::from_micros(60);

/// Runs a future that is polled again and again for a moment each time that it has to wait. With one
/// processor that would keep from work what it waits for.
pub(super) async fn impatiently<F: Future>(future: F, processors: usize) -> F::Output {
    let mut future = pin!(future);
    if processors < 2 {
        return future.await;
    }
    std::future::poll_fn(|context| poll(future.as_mut(), context)).await
}

fn poll<F: Future>(mut future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    let mut since = None;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if since.get_or_insert_with(Instant::now).elapsed() > AWAKE {
            return Poll::Pending;
        }
        for _ in 0..32 {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_comes_soon_and_what_comes_late() {
        for processors in [1, 2] {
            for wait in [Duration::ZERO, AWAKE * 20] {
                let (sender, receiver) = oneshot::channel();
                let answer = std::thread::spawn(move || {
                    std::thread::sleep(wait);
                    sender.send(7)
                });
                assert_eq!(impatiently(receiver, processors).await, Ok(7));
                answer.join().unwrap().unwrap();
            }
        }
    }
}
