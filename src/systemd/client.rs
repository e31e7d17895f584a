use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use zbus::connection::Builder;
use zbus::{Connection, OwnedVariant};

use super::job::{self, JobError, JobResult};
use super::proxy::{ManagerProxy, PropertiesProxy};
use super::unit::UnitStatus;

/// A connection to systemd's manager.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    manager: ManagerProxy<'static>,
}

/// Why systemd could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// There is no bus, or no systemd on it.
    #[error(
        "cannot reach systemd over D-Bus: {0}; is systemd PID 1 here, and dbus.service running?"
    )]
    Unreachable(String),
    /// The caller may not do that.
    #[error(
        "not permitted: {0}; run it as root, or let a polkit rule grant org.freedesktop.systemd1.manage-units"
    )]
    Denied(String),
    /// systemd said no.
    #[error("{0}")]
    Refused(String),
}

/// Time to connect, and for one call that does no work.
const CALL: Duration = Duration::from_secs(5);
/// A daemon-reload answers when it is over, which takes its time on a busy host.
const RELOAD: Duration = Duration::from_secs(180);

impl Systemd {
    /// Connects to the system's manager.
    ///
    /// # Errors
    /// There is none within a few seconds.
    pub async fn connect() -> Result<Self, SystemdError> {
        let unreachable = |e: zbus::Error| SystemdError::Unreachable(e.to_string());
        let connect = async {
            let connection = Builder::system().method_timeout(RELOAD).build().await?;
            // Properties are read with GetAll, so that a cache would only be kept for nothing.
            let manager = ManagerProxy::builder(&connection)
                .cache_properties(zbus::proxy::CacheProperties::No)
                .build()
                .await?;
            Ok(Self {
                connection,
                manager,
            })
        };
        tokio::time::timeout(CALL, connect)
            .await
            .map_err(|_| SystemdError::Unreachable("no answer from the bus".to_owned()))?
            .map_err(unreachable)
    }

    /// The version of systemd, as it says it (`252 (252.39-1~deb12u2)`).
    ///
    /// # Errors
    /// systemd could not be asked.
    pub async fn version(&self) -> Result<String, SystemdError> {
        Ok(soon(self.manager.version()).await?)
    }

    /// How these units are, in the order asked; one that does not exist has load state `not-found`.
    ///
    /// # Errors
    /// systemd could not be asked.
    pub async fn units(&self, names: &[String]) -> Result<Vec<UnitStatus>, SystemdError> {
        try_join_all(names.iter().map(|name| self.unit(name))).await
    }

    /// How this unit is.
    ///
    /// # Errors
    /// systemd could not be asked.
    pub async fn unit(&self, name: &str) -> Result<UnitStatus, SystemdError> {
        let path = soon(self.manager.load_unit(name)).await?;
        let properties = PropertiesProxy::builder(&self.connection)
            .path(path)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        let (unit, service) = tokio::try_join!(
            soon(properties.get_all("org.freedesktop.systemd1.Unit")),
            soon(properties.get_all("org.freedesktop.systemd1.Service")),
        )?;
        Ok(UnitStatus::new(name, &Values(unit), &Values(service)))
    }

    /// Names of the loaded units that match this pattern.
    ///
    /// # Errors
    /// systemd could not be asked.
    pub async fn loaded(&self, pattern: &str) -> Result<Vec<String>, SystemdError> {
        let rows = soon(self.manager.list_units_by_patterns(&[], &[pattern])).await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// Starts a unit and waits until its job is over.
    ///
    /// # Errors
    /// The job failed, or systemd refused it.
    pub async fn start(&self, unit: &str) -> Result<JobResult, JobError> {
        job::run(self, &self.manager, unit, |m| m.start_unit(unit, "replace")).await
    }

    /// Stops a unit and waits until its job is over.
    ///
    /// # Errors
    /// The job failed, or systemd refused it.
    pub async fn stop(&self, unit: &str) -> Result<JobResult, JobError> {
        job::run(self, &self.manager, unit, |m| m.stop_unit(unit, "replace")).await
    }

    /// Restarts a unit and waits until its job is over.
    ///
    /// # Errors
    /// The job failed, or systemd refused it.
    pub async fn restart(&self, unit: &str) -> Result<JobResult, JobError> {
        job::run(self, &self.manager, unit, |m| {
            m.restart_unit(unit, "replace")
        })
        .await
    }

    /// Reloads the configuration of a unit and waits until its job is over.
    ///
    /// # Errors
    /// The job failed, or systemd refused it.
    pub async fn reload(&self, unit: &str) -> Result<JobResult, JobError> {
        job::run(self, &self.manager, unit, |m| {
            m.reload_unit(unit, "replace")
        })
        .await
    }

    /// Sends a signal to the main process of a unit.
    ///
    /// # Errors
    /// The caller may not, or there is no such process.
    pub async fn kill(&self, unit: &str, signal: i32) -> Result<(), SystemdError> {
        Ok(soon(self.manager.kill_unit(unit, "main", signal)).await?)
    }

    /// Clears the failed state, the restart count and the start limit of a unit, running or not.
    ///
    /// # Errors
    /// The caller may not.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), SystemdError> {
        Ok(soon(self.manager.reset_failed_unit(unit)).await?)
    }

    /// Makes systemd read its unit files again, and waits until it has.
    ///
    /// # Errors
    /// The caller may not, or it took longer than three minutes.
    pub async fn daemon_reload(&self) -> Result<(), SystemdError> {
        Ok(self.manager.reload().await?)
    }
}

/// A call that does no work answers soon or not at all.
async fn soon<T>(call: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    tokio::time::timeout(CALL, call)
        .await
        .unwrap_or_else(|_| Err(zbus::Error::Failure("no answer in 5 s".to_owned())))
}

/// Properties of one interface; older versions of systemd lack some.
pub(super) struct Values(HashMap<String, OwnedVariant>);

impl Values {
    /// The property as this type, if there is one.
    pub fn get<T>(&self, name: &str) -> Option<T>
    where
        T: TryFrom<OwnedVariant>,
    {
        self.0.get(name)?.try_clone().ok()?.try_into().ok()
    }

    /// A string, empty when absent.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }

    /// A number for which systemd says `u64::MAX` when it has none.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get::<u64>(name).filter(|n| *n != u64::MAX)
    }
}

impl From<zbus::Error> for SystemdError {
    fn from(error: zbus::Error) -> Self {
        use zbus::fdo::Error as Fdo;
        match error {
            zbus::Error::FDO(error) => match *error {
                Fdo::AccessDenied(text)
                | Fdo::AuthFailed(text)
                | Fdo::InteractiveAuthorizationRequired(text) => Self::Denied(text),
                Fdo::ServiceUnknown(text) | Fdo::NameHasNoOwner(text) | Fdo::NoReply(text) => {
                    Self::Unreachable(text)
                }
                other => Self::Refused(other.to_string()),
            },
            zbus::Error::MethodError(name, text, _) => {
                Self::Refused(text.unwrap_or_else(|| name.to_string()))
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}
