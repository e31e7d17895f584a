use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use zbus::OwnedObjectPath;

use super::error::Error;
use super::manager::Manager;
use super::proxy::{JobRemoved, JobRemovedStream};
use super::unit::UnitState;

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop it if it runs, then start it.
    Restart,
    /// Restart it if it runs.
    TryRestart,
    /// Reload its configuration.
    Reload,
    /// Reload if it can, else restart.
    ReloadOrRestart,
}

impl JobKind {
    fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::TryRestart => "TryRestartUnit",
            Self::Reload => "ReloadUnit",
            Self::ReloadOrRestart => "ReloadOrRestartUnit",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::Restart | Self::TryRestart => "restarting",
            Self::Reload | Self::ReloadOrRestart => "reloading",
        }
    }
}

/// How a job ended (org.freedesktop.systemd1(5), `JobRemoved`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobResult {
    /// Done.
    Done,
    /// Cancelled before it ended, for instance by the opposite job.
    Canceled,
    /// The job's own time ran out.
    Timeout,
    /// Failed.
    Failed,
    /// Something that it requires failed.
    Dependency,
    /// Did not apply.
    Skipped,
    /// A word that newer versions know.
    #[serde(untagged)]
    Other(String),
}

impl From<&str> for JobResult {
    fn from(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "canceled" => Self::Canceled,
            "timeout" => Self::Timeout,
            "failed" => Self::Failed,
            "dependency" => Self::Dependency,
            "skipped" => Self::Skipped,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        })
    }
}

/// What became of a job, and of its unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobOutcome {
    /// How the job ended. `Done` does not mean that the unit still runs: see `unit`.
    pub result: JobResult,
    /// The unit afterwards.
    pub unit: UnitState,
    /// With [`JobResult::Dependency`], the units that are in the way.
    pub failed_dependencies: Vec<String>,
    /// From the call to the end of the job.
    pub took: Duration,
}

impl JobOutcome {
    /// Whether the job was done.
    pub fn is_done(&self) -> bool {
        self.result == JobResult::Done
    }

    /// A job that was not done as an error.
    ///
    /// # Errors
    /// [`Error::JobFailed`]
    pub fn ok(self) -> Result<Self, Error> {
        if self.is_done() || self.result == JobResult::Skipped {
            return Ok(self);
        }
        Err(Error::JobFailed {
            reason: self.reason(),
            unit: self.unit.unit,
        })
    }

    /// Why it was not done, in words.
    pub fn reason(&self) -> String {
        let own = || {
            self.unit
                .last_error
                .clone()
                .unwrap_or_else(|| format!("job {}", self.result))
        };
        match &self.result {
            JobResult::Dependency if self.failed_dependencies.is_empty() => {
                "a unit that it requires failed".to_owned()
            }
            JobResult::Dependency => {
                format!(
                    "it requires {}, which failed",
                    self.failed_dependencies.join(", ")
                )
            }
            JobResult::Canceled => "another job for it got in between".to_owned(),
            JobResult::Timeout => "the job took too long".to_owned(),
            _ => own(),
        }
    }
}

impl Manager {
    /// Starts a unit and waits until it is ready.
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn start(&self, unit: &str) -> Result<JobOutcome, Error> {
        self.job(JobKind::Start, unit).await
    }

    /// Stops a unit and waits until it is gone.
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn stop(&self, unit: &str) -> Result<JobOutcome, Error> {
        self.job(JobKind::Stop, unit).await
    }

    /// Restarts a unit and waits until it is ready.
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn restart(&self, unit: &str) -> Result<JobOutcome, Error> {
        self.job(JobKind::Restart, unit).await
    }

    /// Reloads a unit's configuration and waits until that is done.
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn reload(&self, unit: &str) -> Result<JobOutcome, Error> {
        self.job(JobKind::Reload, unit).await
    }

    /// Puts a job into the queue and does not wait for it; the answer is its D-Bus path.
    ///
    /// # Errors
    /// As [`Manager::job`], as far as they are known at once.
    pub async fn enqueue(&self, kind: JobKind, unit: &str) -> Result<String, Error> {
        let path = self.send_job(kind, unit).await?;
        Ok(path.as_str().to_owned())
    }

    /// Runs a job and waits for its end; systemd's own time limits apply.
    ///
    /// # Errors
    /// The job was refused (not permitted, no such unit, masked, nothing to reload), or systemd
    /// cannot be asked. A job that ran and failed is not an error but an outcome.
    pub async fn job(&self, kind: JobKind, unit: &str) -> Result<JobOutcome, Error> {
        let begun = Instant::now();
        self.subscribe().await?;
        // Before the call: a short job is over before the answer to the call is read.
        let removed = self.proxy.receive_job_removed().await;
        let removed = removed.map_err(|e| Error::from_bus(&e, &self.call("watching", unit)))?;
        let result = self.run_job(kind, unit, removed).await?;
        let took = begun.elapsed();
        let after = self.unit(unit).await?;
        let result = result.unwrap_or_else(|| infer(kind, &after));
        let failed_dependencies = match result {
            JobResult::Dependency => self.failed_of(&after.requires).await?,
            _ => Vec::new(),
        };
        Ok(JobOutcome {
            result,
            unit: after,
            failed_dependencies,
            took,
        })
    }

    async fn send_job(&self, kind: JobKind, unit: &str) -> Result<OwnedObjectPath, Error> {
        self.act(
            kind.method(),
            &(unit, "replace"),
            self.call(kind.what(), unit),
        )
        .await
    }

    /// The result, or `None` when the job went away without a word.
    async fn run_job(
        &self,
        kind: JobKind,
        unit: &str,
        mut removed: JobRemovedStream,
    ) -> Result<Option<JobResult>, Error> {
        let mut ended = HashMap::new();
        let mut sending = pin!(self.send_job(kind, unit));
        // The stream is drained during the call: its queue is bounded, and a full queue would hold
        // up the very answer that we wait for.
        let job = loop {
            tokio::select! {
                job = &mut sending => break job?,
                Some(signal) = removed.next() => remember(&mut ended, &signal),
            }
        };
        if let Some(result) = ended.remove(job.as_str()) {
            return Ok(Some(result));
        }
        self.await_end(&job, removed).await
    }

    /// A daemon-reload keeps jobs and their paths, but a signal can be lost in it (and is, when
    /// systemd executes itself anew): so the job is also looked at now and then.
    async fn await_end(
        &self,
        job: &OwnedObjectPath,
        mut removed: JobRemovedStream,
    ) -> Result<Option<JobResult>, Error> {
        let mut poll = interval(self.job_poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll.tick().await;
        loop {
            tokio::select! {
                signal = removed.next() => match signal {
                    Some(signal) => if let Some(result) = result_of(&signal, job) {
                        return Ok(Some(result));
                    },
                    None => return Err(Error::Unreachable {
                        reason: "the connection broke while a job ran".to_owned(),
                    }),
                },
                _ = poll.tick() => if self.job_is_gone(job).await {
                    // systemd sends the signal before it answers that the job is gone, so it is
                    // here by now if it was sent at all.
                    while let Some(Some(signal)) = removed.next().now_or_never() {
                        if let Some(result) = result_of(&signal, job) {
                            return Ok(Some(result));
                        }
                    }
                    return Ok(None);
                },
            }
        }
    }

    async fn job_is_gone(&self, job: &OwnedObjectPath) -> bool {
        let Ok(proxy) = self.properties(job.as_str()).await else {
            return false;
        };
        let state = proxy.get("org.freedesktop.systemd1.Job", "State").await;
        state.is_err_and(|e| Error::is_gone(&e))
    }

    async fn failed_of(&self, names: &[String]) -> Result<Vec<String>, Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let states = self.active_states(&names).await?;
        Ok(states
            .into_iter()
            .filter(|(_, active)| matches!(active.as_str(), "failed" | "inactive"))
            .map(|(name, _)| name)
            .collect())
    }
}

fn remember(ended: &mut HashMap<String, JobResult>, signal: &JobRemoved) {
    if let Ok(args) = signal.args() {
        ended.insert(args.job().as_str().to_owned(), (*args.result()).into());
    }
}

fn result_of(signal: &JobRemoved, job: &OwnedObjectPath) -> Option<JobResult> {
    let args = signal.args().ok()?;
    (args.job().as_str() == job.as_str()).then(|| (*args.result()).into())
}

/// What a job that ended unseen must have been, from the unit that it left.
fn infer(kind: JobKind, unit: &UnitState) -> JobResult {
    let active = unit.is_active();
    match kind {
        JobKind::Stop if !active => JobResult::Done,
        JobKind::Stop => JobResult::Canceled,
        _ if active => JobResult::Done,
        JobKind::TryRestart if unit.active_state == "inactive" => JobResult::Done,
        _ => JobResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_words() {
        for word in [
            "done",
            "canceled",
            "timeout",
            "failed",
            "dependency",
            "skipped",
            "once",
        ] {
            let result = JobResult::from(word);
            assert_eq!(result.to_string(), word);
            assert_eq!(serde_json::to_value(&result).unwrap(), word);
        }
    }

    #[test]
    fn an_unseen_end_is_read_off_the_unit() {
        let mut unit = UnitState::absent("recon@kaze.service");
        assert_eq!(infer(JobKind::Stop, &unit), JobResult::Done);
        assert_eq!(infer(JobKind::TryRestart, &unit), JobResult::Done);
        assert_eq!(infer(JobKind::Start, &unit), JobResult::Failed);
        unit.active_state = "active".to_owned();
        assert_eq!(infer(JobKind::Restart, &unit), JobResult::Done);
        assert_eq!(infer(JobKind::Stop, &unit), JobResult::Canceled);
    }
}
