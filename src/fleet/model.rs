use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Scope, Settings, Span};

/// The validated fleet: what should run.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// The profile that `recon.target` starts.
    pub profile: String,
    /// Base URL of the hub, without a slash at the end.
    pub hub: String,
    /// What may be touched.
    pub scope: Scope,
    /// Members of each profile.
    pub profiles: BTreeMap<String, Vec<AgentName>>,
    /// The agents, by name.
    pub agents: BTreeMap<AgentName, Agent>,
}

/// Instance name of an agent: the `%i` of `recon@%i.service`. Lower-case letters, digits, `-` and
/// `_`, starting with a letter, at most 64 characters; it needs no escaping in a unit name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

impl AgentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unit that runs it.
    pub fn unit(&self) -> String {
        format!("recon@{}.service", self.0)
    }
}

/// `all` means every agent; the others are programs beside the agents' (`recon-NAME`).
const RESERVED: [&str; 4] = ["all", "reconctl", "shim", "generator"];

impl FromStr for AgentName {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let ok = s.len() <= 64
            && s.starts_with(|c: char| c.is_ascii_lowercase())
            && s.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        if RESERVED.contains(&s) {
            Err(format!(
                "{s:?} means something else to recon: take another name"
            ))
        } else if ok {
            Ok(Self(s.to_owned()))
        } else {
            Err(format!(
                "{s:?} is not an agent name: use lower-case letters, digits, - and _, starting with \
                 a letter, at most 64 characters"
            ))
        }
    }
}

impl TryFrom<String> for AgentName {
    type Error = String;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which program an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// The server.
    Hub,
    /// Thorough port scan.
    Kage,
    /// Fast port scan.
    Kaze,
    /// HTTP spider.
    Kumo,
    /// Directory enumeration.
    Suzu,
    /// Own scan and threat assessment.
    Ryu,
    /// Test agent.
    Sentinel,
    /// A program of the user's own (`exec`).
    Custom,
}

impl AgentKind {
    /// Our own kinds.
    pub const BUILT_IN: [Self; 7] = [
        Self::Hub,
        Self::Kage,
        Self::Kaze,
        Self::Kumo,
        Self::Suzu,
        Self::Ryu,
        Self::Sentinel,
    ];

    /// The name in the fleet file and of the binary (`recon-NAME`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Kage => "kage",
            Self::Kaze => "kaze",
            Self::Kumo => "kumo",
            Self::Suzu => "suzu",
            Self::Ryu => "ryu",
            Self::Sentinel => "sentinel",
            Self::Custom => "custom",
        }
    }
}

/// One agent: a program, and how systemd is to supervise it.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Instance name.
    pub name: AgentName,
    /// Program.
    pub kind: AgentKind,
    /// One line for people.
    pub description: String,
    /// Counts towards CRITICAL in health.
    pub critical: bool,
    /// What it needs, and what happens when that fails.
    pub depends_on: Vec<Dependency>,
    /// Preset for an agent that is seen for the first time; after that `systemctl enable` is the
    /// truth.
    pub auto_start: bool,
    /// Restarted after a crash.
    pub auto_restart: bool,
    /// Restarts within `restart_window`; then failed.
    pub max_restarts: u32,
    /// The window of `max_restarts`.
    pub restart_window: Span,
    /// Delay before a restart.
    pub backoff: Backoff,
    /// After so long without a failure the backoff starts afresh.
    pub stable_after: Span,
    /// Without progress for so long it is killed and restarted; zero switches it off, or with a
    /// health probe leaves it to [`Health::watchdog`].
    pub watchdog: Span,
    /// Time to finish the task in hand when told to stop.
    pub stop_timeout: Span,
    /// Memory limit, as systemd writes it (`512M`).
    pub memory_max: Option<String>,
    /// Above this it is slowed down and its memory is reclaimed; below `memory_max`.
    pub memory_high: Option<String>,
    /// Most CPU time, in percent of one CPU (`150%` is one and a half).
    pub cpu_quota: Option<String>,
    /// Most processes and threads.
    pub tasks_max: Option<u32>,
    /// Secrets that systemd hands it below `$CREDENTIALS_DIRECTORY`: path of the file, by name.
    pub credentials: BTreeMap<String, String>,
    /// Capabilities that it keeps (`CAP_NET_RAW`).
    pub capabilities: Vec<String>,
    /// Command line of a program of the user's own.
    pub exec: Option<Vec<String>>,
    /// A program of the user's own speaks sd_notify itself.
    pub notify: bool,
    /// How to see whether a program that does not speak sd_notify is well.
    pub health: Option<Health>,
    /// Its own settings.
    pub settings: Settings,
}

/// A dependency on another agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other agent.
    pub agent: AgentName,
    /// What happens to this one when that one fails.
    pub on_failure: OnFailure,
}

/// What happens to an agent when one that it depends on fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing (`Wants=`).
    #[default]
    Ignore,
    /// It is restarted with it (`Requires=`).
    Restart,
    /// It stops and stays stopped (`BindsTo=`).
    Stop,
}

/// Delay before a restart: `initial` growing to `max` in `steps` steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first restart.
    pub initial: Span,
    /// Never more than this.
    pub max: Span,
    /// Number of steps from `initial` to `max`.
    pub steps: u32,
}

/// How to see whether a program is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What to ask.
    pub probe: HealthProbe,
    /// How often.
    pub interval: Span,
    /// So many failures in a row are a failure.
    pub failures: u32,
}

impl Health {
    /// Longest wait for one answer.
    const LONGEST_ANSWER: Span = Span::secs(5);

    /// A busy host may hold up the prober of a healthy program for this long.
    const SLACK: Duration = Duration::from_secs(5);

    /// How long one answer may take: never longer than the interval, so that probes do not pile up.
    pub fn timeout(&self) -> Span {
        self.interval.min(Self::LONGEST_ANSWER)
    }

    /// The watchdog that goes with it. The prober reports `failures` failures in a row itself, at
    /// the latest one answer after so many intervals; systemd's own clock, which acts when the
    /// prober is gone, must not be faster than that.
    pub fn watchdog(&self) -> Span {
        let failing = self.interval.0.saturating_mul(self.failures);
        Span(failing.saturating_add(self.timeout().0 + Self::SLACK))
    }
}

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// A URL that answers 2xx.
    Http(String),
    /// A command that exits 0.
    Exec(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_slower_than_the_prober() {
        let health = |interval, failures| Health {
            probe: HealthProbe::Http("http://127.0.0.1/".to_owned()),
            interval: Span::secs(interval),
            failures,
        };
        assert_eq!(health(10, 3).timeout(), Span::secs(5));
        assert_eq!(health(10, 3).watchdog(), Span::secs(40));
        assert_eq!(health(2, 1).timeout(), Span::secs(2));
        assert_eq!(health(2, 1).watchdog(), Span::secs(9));
    }
}
