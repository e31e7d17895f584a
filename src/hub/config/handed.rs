//! What systemd hands over: credentials and directories.

use std::env;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The token of the agents of this host, in the state directory: recon@.service names it.
const LOCAL_TOKEN: &str = "agent-token";

/// The file of the local agents' token, where systemd gave a directory for it.
pub(in crate::hub) fn local_token() -> Option<PathBuf> {
    first_of("STATE_DIRECTORY").map(|dir| dir.join(LOCAL_TOKEN))
}

/// A secret that systemd hands over as a file; `None` when it has none of this name.
pub(super) fn credential(name: &str) -> Result<Option<String>, ConfigError> {
    let Some(dir) = set("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    match std::fs::read_to_string(Path::new(&dir).join(name)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Credential {
            name: name.to_owned(),
            source,
        }),
    }
}

/// A variable that is set and not empty.
pub(super) fn set(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|v| !v.is_empty())
}

/// A directory that systemd made for the hub; of several, separated by colons, the first is ours.
pub(super) fn first_of(variable: &str) -> Option<PathBuf> {
    env::split_paths(&set(variable)?).next()
}

/// As systemd gives it, else the user's own (XDG base directories).
pub(super) fn state_directory() -> Result<PathBuf, ConfigError> {
    if let Some(dir) = first_of("STATE_DIRECTORY") {
        return Ok(dir);
    }
    let state = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| Some(Path::new(&set("HOME")?).join(".local/state")))
        .ok_or(ConfigError::NoStateDirectory)?;
    Ok(state.join("recon"))
}
