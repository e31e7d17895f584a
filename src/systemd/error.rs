use std::io;
use std::time::Duration;

use crate::api::ExitCode;

/// What can go wrong between us and systemd.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no bus, or systemd is not on it.
    #[error(
        "systemd cannot be reached ({reason}): was this machine or container booted with systemd, \
         and does `systemctl status dbus` say that dbus runs?"
    )]
    Unreachable {
        /// What was tried and what happened.
        reason: String,
    },
    /// systemd is there but did not answer.
    #[error("systemd did not answer within {} s ({what})", .after.as_secs())]
    Timeout {
        /// The call.
        what: String,
        /// How long we waited.
        after: Duration,
    },
    /// The caller has no right to do this.
    #[error(
        "not permitted: {what} needs the polkit action {action}; run it as root (sudo), or have an \
         administrator grant that action to you"
    )]
    AccessDenied {
        /// The call.
        what: String,
        /// The polkit action that would allow it.
        action: &'static str,
    },
    /// There is no such unit.
    #[error("no unit {unit}: run `reconctl apply`, or see `systemctl cat {unit}`")]
    NoSuchUnit {
        /// Its name.
        unit: String,
    },
    /// The unit is masked.
    #[error("{unit} is masked; allow it with `reconctl unmask`")]
    Masked {
        /// Its name.
        unit: String,
    },
    /// systemd refused for a reason of its own.
    #[error("{message}")]
    Refused {
        /// In systemd's words.
        message: String,
        /// Name of the D-Bus error.
        name: String,
    },
    /// A job ran and failed.
    #[error("{unit}: {reason}")]
    JobFailed {
        /// The unit.
        unit: String,
        /// Why, in words.
        reason: String,
    },
    /// Anything else on the bus.
    #[error("D-Bus: {0}")]
    Bus(String),
    /// The journal cannot be read.
    #[error("cannot run journalctl: {0}")]
    Journal(String),
}

/// A coarse machine-readable kind of an [`Error`], for metrics and HTTP answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No bus or no systemd.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// Not permitted.
    AccessDenied,
    /// No such unit.
    NoSuchUnit,
    /// Masked.
    Masked,
    /// Refused by systemd.
    Refused,
    /// Anything else.
    Other,
}

impl Error {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::AccessDenied { .. } => ErrorKind::AccessDenied,
            Self::NoSuchUnit { .. } => ErrorKind::NoSuchUnit,
            Self::Masked { .. } => ErrorKind::Masked,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::JobFailed { .. } | Self::Bus(_) | Self::Journal(_) => ErrorKind::Other,
        }
    }

    /// The exit code that it means.
    pub fn exit_code(&self) -> ExitCode {
        match self.kind() {
            ErrorKind::Unreachable => ExitCode::SystemdUnreachable,
            ErrorKind::AccessDenied => ExitCode::NotPermitted,
            ErrorKind::NoSuchUnit => ExitCode::NoSuchAgent,
            _ => ExitCode::Failure,
        }
    }

    /// Whether the object that was asked for does not exist.
    pub(crate) fn is_gone(error: &zbus::Error) -> bool {
        matches!(
            error_name(error).as_deref(),
            Some(
                "org.freedesktop.DBus.Error.UnknownObject"
                    | "org.freedesktop.DBus.Error.UnknownMethod"
                    | "org.freedesktop.DBus.Error.UnknownInterface"
                    | "org.freedesktop.DBus.Error.UnknownProperty"
                    | "org.freedesktop.systemd1.NoSuchJob"
            )
        )
    }

    pub(crate) fn connecting(error: &zbus::Error) -> Self {
        Self::Unreachable {
            reason: connect_reason(error),
        }
    }

    /// What an answer of the bus means.
    pub(crate) fn from_bus(error: &zbus::Error, call: &Call<'_>) -> Self {
        let Some(name) = error_name(error) else {
            return Self::from_transport(error, call);
        };
        let message = error_message(error);
        match name.as_str() {
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
            | "org.freedesktop.DBus.Error.AuthFailed" => Self::AccessDenied {
                what: call.to_string(),
                action: call.action,
            },
            "org.freedesktop.systemd1.NoSuchUnit" => Self::NoSuchUnit {
                unit: call.unit.unwrap_or("").to_owned(),
            },
            "org.freedesktop.systemd1.UnitMasked" => Self::Masked {
                unit: call.unit.unwrap_or("").to_owned(),
            },
            // Not ours, which would have taken its time: the bus tells that systemd went away.
            "org.freedesktop.DBus.Error.NoReply" => Self::Bus(format!(
                "systemd went away while {call}, as it does for a moment when it executes itself \
                 anew; try again"
            )),
            "org.freedesktop.DBus.Error.Timeout" | "org.freedesktop.DBus.Error.TimedOut" => {
                Self::Timeout {
                    what: call.to_string(),
                    after: call.timeout,
                }
            }
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.NoServer"
            | "org.freedesktop.DBus.Error.Disconnected" => Self::Unreachable {
                reason: format!("systemd is not on the bus: {message}"),
            },
            spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn.") => Self::Unreachable {
                reason: format!("systemd is not on the bus: {message}"),
            },
            _ => Self::Refused { message, name },
        }
    }

    fn from_transport(error: &zbus::Error, call: &Call<'_>) -> Self {
        match error {
            zbus::Error::InputOutput(io) if io.kind() == io::ErrorKind::TimedOut => Self::Timeout {
                what: call.to_string(),
                after: call.timeout,
            },
            zbus::Error::InputOutput(io) => Self::Unreachable {
                reason: format!("the connection broke: {io}"),
            },
            zbus::Error::Connection(..) | zbus::Error::Handshake(_) => Self::connecting(error),
            other => Self::Bus(other.to_string()),
        }
    }
}

/// A call, as far as errors need to know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// What it does, as a verb form that fits before a unit ("starting").
    pub what: &'static str,
    pub unit: Option<&'a str>,
    pub action: &'static str,
    pub timeout: Duration,
}

impl std::fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            Some(unit) => write!(f, "{} {unit}", self.what),
            None => f.write_str(self.what),
        }
    }
}

fn error_name(error: &zbus::Error) -> Option<String> {
    use zbus::DBusError;
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.as_str().to_owned()),
        zbus::Error::FDO(fdo) => match fdo.as_ref() {
            zbus::fdo::Error::ZBus(inner) => error_name(inner),
            other => Some(other.name().as_str().to_owned()),
        },
        _ => None,
    }
}

fn error_message(error: &zbus::Error) -> String {
    use zbus::DBusError;
    match error {
        zbus::Error::MethodError(name, message, _) => {
            message.clone().unwrap_or_else(|| name.as_str().to_owned())
        }
        zbus::Error::FDO(fdo) => fdo
            .description()
            .map_or_else(|| fdo.to_string(), str::to_owned),
        other => other.to_string(),
    }
}

fn connect_reason(error: &zbus::Error) -> String {
    match error {
        zbus::Error::Connection(io, address) => format!("{address}: {io}"),
        zbus::Error::InputOutput(io) => io.to_string(),
        other => other.to_string(),
    }
}
