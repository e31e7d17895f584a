use std::time::Duration;

use futures_util::StreamExt;
use zbus::OwnedObjectPath;

use super::client::{Systemd, SystemdError};
use super::proxy::ManagerProxy;
use super::unit::UnitStatus;

/// A job that did what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobResult {
    /// Done.
    Done,
    /// Nothing had to be done.
    Skipped,
}

/// A job that did not.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// systemd could not be asked, or refused at once.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// The job ended otherwise.
    #[error("{result}{}", .why.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Ended {
        /// systemd's word for it: `failed`, `timeout`, `dependency`, `canceled`, …
        result: String,
        /// What the unit says about it.
        why: Option<String>,
    },
}

/// How often a job is looked at, should its end be missed: signals are lost over a daemon-reload in
/// old versions.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Makes a job and waits until it is over. The signal stream exists before the call that makes the
/// job, so that even one that ends at once is not missed.
pub(super) async fn run<'m, F, Fut>(
    systemd: &Systemd,
    manager: &'m ManagerProxy<'static>,
    unit: &str,
    call: F,
) -> Result<JobResult, JobError>
where
    F: FnOnce(&'m ManagerProxy<'static>) -> Fut,
    Fut: Future<Output = zbus::Result<OwnedObjectPath>>,
{
    let mut removed = manager
        .receive_job_removed()
        .await
        .map_err(SystemdError::from)?;
    match manager.subscribe().await {
        Err(zbus::Error::MethodError(name, ..))
            if name.as_str() == "org.freedesktop.systemd1.AlreadySubscribed" => {}
        other => other.map_err(SystemdError::from)?,
    }
    let job = call(manager).await.map_err(SystemdError::from)?;
    let id = job.rsplit('/').next().and_then(|id| id.parse::<u32>().ok());
    loop {
        match tokio::time::timeout(LOOK_EVERY, removed.next()).await {
            Ok(Some(signal)) => {
                let Ok(args) = signal.args() else { continue };
                if args.job == job {
                    return ended(systemd, unit, &args.result).await;
                }
            }
            Ok(None) => {
                let lost = SystemdError::Unreachable("the connection was lost".to_owned());
                return Err(lost.into());
            }
            Err(_) => {
                if let Some(id) = id
                    && let Err(zbus::Error::MethodError(name, ..)) = manager.get_job(id).await
                    && name.as_str() == "org.freedesktop.systemd1.NoSuchJob"
                {
                    return settled(&systemd.unit(unit).await?);
                }
            }
        }
    }
}

async fn ended(systemd: &Systemd, unit: &str, result: &str) -> Result<JobResult, JobError> {
    match result {
        "done" => Ok(JobResult::Done),
        "skipped" => Ok(JobResult::Skipped),
        other => {
            let status = systemd.unit(unit).await?;
            let why = if other == "dependency" {
                failed_dependency(systemd, &status).await
            } else {
                status.last_error
            };
            Err(JobError::Ended {
                result: other.to_owned(),
                why,
            })
        }
    }
}

/// The end of the job was not seen; the unit tells how it went.
fn settled(status: &UnitStatus) -> Result<JobResult, JobError> {
    match &status.last_error {
        None => Ok(JobResult::Done),
        why => Err(JobError::Ended {
            result: "failed".to_owned(),
            why: why.clone(),
        }),
    }
}

async fn failed_dependency(systemd: &Systemd, status: &UnitStatus) -> Option<String> {
    for name in &status.needs {
        let Ok(other) = systemd.unit(name).await else {
            continue;
        };
        if other.active_state != "active" {
            let why = other.last_error.unwrap_or(other.active_state);
            return Some(format!("{name} is needed, and it is: {why}"));
        }
    }
    None
}
