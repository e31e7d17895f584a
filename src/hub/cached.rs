//! What is dear to find out and may be a little old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tracing::warn;

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
        let until = good_until(self.every, start);
        *value = Some((until, found.clone()));
        Ok(found)
    }
}

/// In a large database counting takes its time; it must not take a noticeable share of it.
fn good_until(every: Duration, start: Instant) -> Instant {
    Instant::now() + every.max(start.elapsed() * SHARE)
}

/// A value that may take longer to find out than anybody waits: that is done beside the callers, who
/// get the last one known.
#[derive(Debug)]
pub(super) struct Estimate<T> {
    every: Duration,
    value: watch::Sender<Option<(Instant, T)>>,
    finding: Arc<Mutex<()>>,
}

impl<T: Clone + Send + Sync + 'static> Estimate<T> {
    /// A value that is good for so long at least.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            value: watch::Sender::new(None),
            finding: Arc::default(),
        }
    }

    /// The last value; where there is none yet, the first one, if it comes within this time.
    pub(super) async fn get<E, F>(&self, find: F, patience: Duration) -> Option<T>
    where
        E: std::fmt::Display + Send,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let known = self.value.borrow().clone();
        if known
            .as_ref()
            .is_none_or(|(until, _)| Instant::now() >= *until)
        {
            self.find(find);
        }
        if let Some((_, known)) = known {
            return Some(known);
        }
        let mut value = self.value.subscribe();
        let found = tokio::time::timeout(patience, value.wait_for(Option::is_some)).await;
        let found = found.ok()?.ok()?;
        found.as_ref().map(|(_, found)| found.clone())
    }

    /// Finds it out, unless that is under way.
    fn find<E, F>(&self, find: F)
    where
        E: std::fmt::Display + Send,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Ok(alone) = Arc::clone(&self.finding).try_lock_owned() else {
            return;
        };
        let (every, value) = (self.every, self.value.clone());
        tokio::spawn(async move {
            let start = Instant::now();
            match find.await {
                Ok(found) => {
                    value.send_replace(Some((good_until(every, start), found)));
                }
                Err(problem) => warn!(%problem, "what there is was not counted"),
            }
            drop(alone);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn nobody_waits_for_an_estimate_but_the_first() {
        let estimate = Estimate::new(Duration::ZERO);
        let failing = async { Err::<u8, _>("the database is away") };
        assert_eq!(estimate.get(failing, Duration::ZERO).await, None);
        let (tell, told) = oneshot::channel();
        // The failed one may be at it still.
        drop(estimate.finding.lock().await);
        assert_eq!(estimate.get(told, Duration::ZERO).await, None);
        let never = std::future::pending::<Result<u8, String>>;
        assert_eq!(estimate.get(never(), Duration::ZERO).await, None);
        tell.send(1).unwrap();
        assert_eq!(estimate.get(never(), LONG).await, Some(1));
        drop(estimate.finding.lock().await);
        assert_eq!(estimate.get(never(), LONG).await, Some(1), "an old one");
        assert_eq!(estimate.get(never(), LONG).await, Some(1), "again");
    }
}
