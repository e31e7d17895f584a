//! What is dear to find out and may be a little old.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// Finding it out takes at most this share of the time.
const SHARE: u32 = 100;

/// A value that is found out anew now and then, by one caller for all.
#[derive(Debug)]
pub(super) struct Cached<T> {
    every: Duration,
    value: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cached<T> {
    /// A value that is good for so long at least.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            value: Mutex::new(None),
        }
    }

    /// The value; one that could not be found out is tried again by the next caller.
    pub(super) async fn get<E>(&self, find: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut value = self.value.lock().await;
        if let Some((until, known)) = value.as_ref()
            && Instant::now() < *until
        {
            return Ok(known.clone());
        }
        let start = Instant::now();
        let found = find.await?;
        // In a large database counting takes its time; it must not take a noticeable share of it.
        let keep = self.every.max(start.elapsed() * SHARE);
        *value = Some((Instant::now() + keep, found.clone()));
        Ok(found)
    }
}
