use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Version of systemd that unit files are rendered for. What a version lacks is left out, because
/// systemd warns about every key that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemdVersion(pub u32);

/// Whose systemd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Supervisor {
    /// The machine's: PID 1.
    #[default]
    System,
    /// A user's own (`systemctl --user`), which has only that user's rights.
    User,
}

/// The oldest version that is supported (Debian 12, RHEL 9).
pub const BASELINE: SystemdVersion = SystemdVersion(252);

impl SystemdVersion {
    /// The version that is installed below a root, by the name of its library
    /// (`libsystemd-shared-252.so`), which is found without asking anybody: a generator may neither
    /// start a process nor talk to one, and systemd tells it no version. Of several, while an upgrade
    /// is under way, the oldest, which the newer ones understand.
    pub fn installed(root: &Path) -> Option<Self> {
        let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
        let usr_lib = root.join("usr/lib");
        // Debian's is in a directory of the architecture.
        let mut dirs: Vec<PathBuf> = below(usr_lib.clone()).map(|entry| entry.path()).collect();
        dirs.extend([usr_lib, root.join("usr/lib64")]);
        let names = dirs
            .into_iter()
            .flat_map(|dir| below(dir.join("systemd")))
            .filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter_map(|name| name.strip_prefix("libsystemd-shared-")?.parse().ok())
            .min()
    }

    /// `Type=notify-reload` (NEWS 253).
    pub fn has_notify_reload(self) -> bool {
        self.0 >= 253
    }

    /// `RestartSteps=`, `RestartMaxDelaySec=` (NEWS 254).
    pub fn has_restart_steps(self) -> bool {
        self.0 >= 254
    }

    /// `RESTART_RESET=1` of sd_notify(3) (258).
    pub fn has_restart_reset(self) -> bool {
        self.0 >= 258
    }
}

impl FromStr for SystemdVersion {
    type Err = String;

    /// Reads `252`, `v252.38-1~deb12u1`, `252 (252.38-1~deb12u1)` and the first line of
    /// `systemctl --version`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let text = s.trim();
        let text = text.strip_prefix("systemd").unwrap_or(text).trim_start();
        let text = text.strip_prefix('v').unwrap_or(text);
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        text[..digits]
            .parse()
            .map(Self)
            .map_err(|_| format!("{s:?} is not a version of systemd: give a number such as 252"))
    }
}

impl fmt::Display for SystemdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_installed() {
        let root = tempfile::tempdir().unwrap();
        let install = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        assert_eq!(SystemdVersion::installed(root.path()), None);
        install("usr/lib/systemd/libsystemd-core-300.so");
        assert_eq!(SystemdVersion::installed(root.path()), None);
        install("usr/lib64/systemd/libsystemd-shared-257.9-2.fc42.so");
        assert_eq!(
            SystemdVersion::installed(root.path()),
            Some(SystemdVersion(257))
        );
        install("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-255.so");
        assert_eq!(
            SystemdVersion::installed(root.path()),
            Some(SystemdVersion(255))
        );
    }

    #[test]
    fn reads_what_systemd_says() {
        for (text, version) in [
            ("252", 252),
            ("252 (252.38-1~deb12u1)", 252),
            ("systemd 257 (257.13-1)\n+PAM", 257),
            ("v255.4-1ubuntu8", 255),
            ("258~rc1", 258),
        ] {
            assert_eq!(text.parse(), Ok(SystemdVersion(version)), "{text}");
        }
        assert!("".parse::<SystemdVersion>().is_err());
        assert!("unknown".parse::<SystemdVersion>().is_err());
    }
}
