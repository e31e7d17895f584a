use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::error::Error;
use super::job::JobResult;
use super::proxy::JobRemovedStream;

/// So many ends are remembered. An end that nobody asks for, of a job that is not ours, falls out.
const REMEMBERED: usize = 4096;

/// How jobs ended, as `JobRemoved` told.
///
/// One task takes the signals off the connection for all who wait: the queue of a stream is bounded,
/// and a full queue would hold up the very answers that its reader waits for.
#[derive(Debug)]
pub(super) struct JobEnds {
    told: Mutex<Told>,
    changed: watch::Sender<()>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Told {
    results: HashMap<String, JobResult>,
    order: VecDeque<String>,
    broken: bool,
}

impl JobEnds {
    /// Remembers what this stream says until the last user is gone.
    pub(super) fn watch(removed: JobRemovedStream) -> Arc<Self> {
        let ends = Arc::new(Self {
            told: Mutex::default(),
            changed: watch::Sender::new(()),
            task: Mutex::default(),
        });
        let task = tokio::spawn(read(removed, Arc::downgrade(&ends)));
        *ends.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        ends
    }

    /// Waits for the end of a job.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn of(&self, job: &str) -> Result<JobResult, Error> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(result) = self.take(job)? {
                return Ok(result);
            }
            // Never an error: the sender is in self.
            let _ = changed.changed().await;
        }
    }

    fn take(&self, job: &str) -> Result<Option<JobResult>, Error> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.results.remove(job) {
            None if told.broken => Err(Error::Unreachable {
                reason: "the connection broke while a job ran".to_owned(),
            }),
            result => Ok(result),
        }
    }

    fn tell(&self, job: String, result: JobResult) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.order.push_back(job.clone());
        told.results.insert(job, result);
        while told.order.len() > REMEMBERED {
            if let Some(old) = told.order.pop_front() {
                told.results.remove(&old);
            }
        }
        drop(told);
        self.changed.send_replace(());
    }
}

impl Drop for JobEnds {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn read(mut removed: JobRemovedStream, ends: Weak<JobEnds>) {
    while let Some(signal) = removed.next().await {
        let Some(ends) = ends.upgrade() else { return };
        if let Ok(args) = signal.args() {
            ends.tell(args.job().as_str().to_owned(), (*args.result()).into());
        }
    }
    if let Some(ends) = ends.upgrade() {
        let mut told = ends.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.broken = true;
        drop(told);
        ends.changed.send_replace(());
    }
}
