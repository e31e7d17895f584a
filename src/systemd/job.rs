use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use zbus::OwnedObjectPath;

use super::ends::JobEnds;
use super::error::Error;
use super::manager::Manager;
use super::unit::UnitState;

/// How long the task that reads signals may lag behind the answers to calls.
const LATE: Duration = Duration::from_millis(500);

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
        self.submit(kind, unit).await?.wait().await
    }

    /// Puts a job into the queue; its end is awaited with [`Pending::wait`]. Jobs that are submitted
    /// one after the other are ordered by systemd as the units say (After=).
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn submit(&self, kind: JobKind, unit: &str) -> Result<Pending, Error> {
        let begun = Instant::now();
        // Before the call: a short job is over before the answer to the call is read.
        let ends = self.job_ends().await?;
        let job = self.send_job(kind, unit).await?;
        Ok(Pending {
            manager: self.clone(),
            ends,
            kind,
            unit: unit.to_owned(),
            job,
            begun,
        })
    }

    /// Marks a target as stopped and leaves its members alone (job mode `ignore-dependencies`): a
    /// profile is over while some of its members run on in another one.
    ///
    /// # Errors
    /// See [`Manager::job`].
    pub async fn stop_alone(&self, unit: &str) -> Result<(), Error> {
        let call = self.call("stopping", unit);
        let body = (unit, "ignore-dependencies");
        let _: OwnedObjectPath = self.act("StopUnit", &body, call).await?;
        Ok(())
    }

    async fn send_job(&self, kind: JobKind, unit: &str) -> Result<OwnedObjectPath, Error> {
        self.act(
            kind.method(),
            &(unit, "replace"),
            self.call(kind.what(), unit),
        )
        .await
    }

    async fn job_is_gone(&self, job: &OwnedObjectPath) -> bool {
        let Ok(proxy) = self.properties(job.as_str()).await else {
            return false;
        };
        let _turn = self.turn(1).await;
        let state = proxy.get("org.freedesktop.systemd1.Job", "State").await;
        state.is_err_and(|e| Error::is_gone(&e))
    }
}

/// A job in systemd's queue.
#[must_use = "the job runs on its own; `wait` says what became of it"]
pub struct Pending {
    manager: Manager,
    ends: Arc<JobEnds>,
    kind: JobKind,
    unit: String,
    job: OwnedObjectPath,
    begun: Instant,
}

impl Pending {
    /// Waits for the end of the job; systemd's own time limits apply.
    ///
    /// # Errors
    /// systemd cannot be asked any more.
    pub async fn wait(self) -> Result<JobOutcome, Error> {
        let result = self.end().await?;
        let took = self.begun.elapsed();
        let after = self.manager.unit_if_loaded(&self.unit).await?;
        let result = result.unwrap_or_else(|| infer(self.kind, &after));
        let failed_dependencies = match result {
            JobResult::Dependency => self.manager.culprits(&after.requires).await?,
            _ => Vec::new(),
        };
        Ok(JobOutcome {
            result,
            unit: after,
            failed_dependencies,
            took,
        })
    }

    /// The result, or `None` when the job went away without a word.
    ///
    /// A daemon-reload keeps jobs and their paths, but a signal can be lost in it (and is, when
    /// systemd executes itself anew): so the job is also looked at now and then.
    async fn end(&self) -> Result<Option<JobResult>, Error> {
        let mut poll = interval(self.manager.job_poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll.tick().await;
        loop {
            tokio::select! {
                result = self.ends.of(self.job.as_str()) => return result.map(Some),
                _ = poll.tick() => if self.manager.job_is_gone(&self.job).await {
                    // systemd sends the signal before it answers that the job is gone, so it is
                    // here by now if it was sent at all; only the task that reads it may be late.
                    return match timeout(LATE, self.ends.of(self.job.as_str())).await {
                        Ok(result) => result.map(Some),
                        Err(_) => Ok(None),
                    };
                },
            }
        }
    }
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
