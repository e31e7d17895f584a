use std::env;
use std::path::{Path, PathBuf};

use crate::units::{Destination, Supervisor, UserDirs};

use super::Global;

impl Global {
    /// Whose systemd this is about.
    pub(super) fn supervisor(&self) -> Supervisor {
        if self.user {
            Supervisor::User
        } else {
            Supervisor::System
        }
    }

    /// Where apply writes.
    pub(super) fn destination(&self, runtime: bool) -> Destination {
        match (self.user, runtime) {
            (true, _) => Destination::user(&self.root, &user_dirs(), runtime),
            (false, true) => Destination::runtime(&self.root),
            (false, false) => Destination::system(&self.root),
        }
    }

    /// Whether the systemd that reads the unit files runs: sd_booted(3) and its like for a user.
    pub(super) fn systemd_runs(&self) -> bool {
        if self.user {
            user_dirs().runtime.join("systemd").is_dir()
        } else {
            Path::new("/run/systemd/system").is_dir()
        }
    }

    /// `systemctl` for this systemd, as one would type it.
    pub(super) fn systemctl(&self) -> &'static str {
        if self.user {
            "systemctl --user"
        } else {
            "systemctl"
        }
    }
}

/// The user's directory of `recon.toml` and `recon.d`.
pub(super) fn config_dir() -> PathBuf {
    user_dirs().config.join("recon")
}

/// The user's own token for the hub.
pub(super) fn token_file() -> PathBuf {
    config_dir().join("token")
}

/// The runtime directory of the user's own agents.
pub(super) fn runtime_dir() -> PathBuf {
    user_dirs().runtime.join("recon")
}

/// The directories of this user, as the XDG base directory specification has them.
fn user_dirs() -> UserDirs {
    let set = |name| env::var_os(name).map(PathBuf::from);
    let absolute = |name| set(name).filter(|dir| dir.is_absolute());
    let home = env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    let uid = rustix::process::getuid().as_raw();
    UserDirs {
        config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
        state: absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")),
        runtime: absolute("XDG_RUNTIME_DIR")
            .unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}"))),
    }
}
