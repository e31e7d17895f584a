use chrono::{DateTime, Utc};
use serde::Serialize;

use super::client::Values;
use super::state::{AgentState, Seen};

/// How one agent's unit is, as `reconctl status --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitStatus {
    /// Instance name of the agent.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Kind of agent; filled in from the fleet.
    pub kind: Option<String>,
    /// Our word for its state.
    pub state: AgentState,
    /// systemd's first dimension: active, inactive, failed, …
    pub active_state: String,
    /// Its finer word: running, dead, auto-restart, …
    pub sub_state: String,
    /// Second dimension: loaded, not-found, masked, bad-setting.
    pub load_state: String,
    /// Third dimension: enabled, disabled, static, masked, …; empty when there is no unit file.
    pub unit_file_state: String,
    /// Main process, when it runs.
    pub pid: Option<u32>,
    /// Automatic restarts since it last was started, or reset.
    pub restarts: u32,
    /// Delay before the next restart, seconds (systemd ≥ 254).
    pub next_restart_s: Option<f64>,
    /// When it came into its state.
    pub since: Option<DateTime<Utc>>,
    /// What the agent says it is doing.
    pub status_text: String,
    /// Time since its last watchdog ping, seconds.
    pub watchdog_age_s: Option<f64>,
    /// Memory of its cgroup, bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time of its cgroup, seconds.
    pub cpu_s: Option<f64>,
    /// It does what it is for.
    pub healthy: bool,
    /// Why it last ended, when that was not as asked.
    pub last_error: Option<String>,
    /// systemd's word for how it last ended.
    pub result: String,
    /// Identity of this run.
    pub invocation_id: String,
    /// Bytes received, when the unit counts them.
    pub ip_ingress_bytes: Option<u64>,
    /// Bytes sent.
    pub ip_egress_bytes: Option<u64>,
    /// Units that it cannot do without.
    #[serde(skip)]
    pub needs: Vec<String>,
}

impl UnitStatus {
    pub(super) fn new(unit_name: &str, unit: &Values, service: &Values) -> Self {
        let text = |name| unit.text(name);
        let (active_state, sub_state, load_state) =
            (text("ActiveState"), text("SubState"), text("LoadState"));
        let status_text = service.text("StatusText");
        let exit_status = service.get::<i32>("ExecMainStatus").unwrap_or_default();
        let state = AgentState::of(Seen {
            load: &load_state,
            active: &active_state,
            sub: &sub_state,
            exit_status,
            status_text: &status_text,
            frozen: unit.text("FreezerState") == "frozen",
        });
        let result = service.text("Result");
        let code = service.get::<i32>("ExecMainCode").unwrap_or_default();
        let up = matches!(active_state.as_str(), "active" | "reloading" | "refreshing");
        Self {
            name: agent_name(unit_name).to_owned(),
            unit: unit_name.to_owned(),
            kind: None,
            state,
            unit_file_state: text("UnitFileState"),
            pid: service.get::<u32>("MainPID").filter(|pid| *pid > 0),
            restarts: service.get("NRestarts").unwrap_or_default(),
            next_restart_s: service.number("RestartUSecNext").map(seconds),
            since: unit.number("StateChangeTimestamp").and_then(time),
            watchdog_age_s: if up { watchdog_age(service) } else { None },
            memory_bytes: service.number("MemoryCurrent"),
            cpu_s: service.number("CPUUsageNSec").map(|ns| seconds(ns / 1000)),
            healthy: state.is_healthy(),
            last_error: last_error(&result, code, exit_status, state),
            ip_ingress_bytes: service.number("IPIngressBytes"),
            ip_egress_bytes: service.number("IPEgressBytes"),
            invocation_id: hex(&unit.get::<Vec<u8>>("InvocationID").unwrap_or_default()),
            needs: [unit.get::<Vec<String>>("Requires"), unit.get("BindsTo")]
                .into_iter()
                .flatten()
                .flatten()
                .collect(),
            active_state,
            sub_state,
            load_state,
            status_text,
            result,
        }
    }

    /// Whether systemd knows a unit file for it.
    pub fn exists(&self) -> bool {
        self.load_state != "not-found"
    }
}

fn agent_name(unit: &str) -> &str {
    unit.strip_prefix("recon@")
        .and_then(|rest| rest.strip_suffix(".service"))
        .unwrap_or(unit)
}

/// Microseconds to seconds.
fn seconds(usec: u64) -> f64 {
    std::time::Duration::from_micros(usec).as_secs_f64()
}

fn time(usec: u64) -> Option<DateTime<Utc>> {
    (usec > 0)
        .then(|| DateTime::from_timestamp_micros(i64::try_from(usec).ok()?))
        .flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The ping's time is on the monotonic clock, which both ends share.
fn watchdog_age(service: &Values) -> Option<f64> {
    let last = service
        .number("WatchdogTimestampMonotonic")
        .filter(|usec| *usec > 0)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = u64::try_from(now.tv_sec).ok()? * 1_000_000 + u64::try_from(now.tv_nsec).ok()? / 1000;
    Some(seconds(now.saturating_sub(last)))
}

/// Why it last ended, in words: `Result=` of systemd.exec(5), `$EXIT_CODE` and `$EXIT_STATUS`.
fn last_error(result: &str, code: i32, status: i32, state: AgentState) -> Option<String> {
    let ended = match (result, status) {
        ("success" | "", _) => return None,
        ("exit-code", 203) => "its program could not be run (203/EXEC)".to_owned(),
        ("exit-code", 78) => "bad configuration (exit 78): see reconctl check".to_owned(),
        ("exit-code", n) => format!("exit status {n}"),
        ("signal", n) => format!("killed by signal {}", signal_name(n)),
        ("core-dump", n) => format!("crashed with signal {}, core dumped", signal_name(n)),
        ("watchdog", _) => "made no progress: watchdog timeout".to_owned(),
        ("timeout", _) => "did not start or stop in time".to_owned(),
        ("start-limit-hit", _) => "started too often".to_owned(),
        ("oom-kill", _) => "killed for using too much memory".to_owned(),
        ("resources", _) => "systemd could not get what it needs to start it".to_owned(),
        (other, _) => format!("{other} (code {code}, status {status})"),
    };
    Some(match state {
        AgentState::Failed => {
            format!("{ended}; not restarted any more: reconctl reset, then reconctl start")
        }
        _ => ended,
    })
}

/// Names of the signals that end processes (signal(7)).
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        15 => "TERM",
        31 => "SYS",
        n => return n.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_it_ended() {
        let why = |result, status| last_error(result, 1, status, AgentState::Restarting);
        assert_eq!(why("success", 0), None);
        assert_eq!(why("signal", 11).unwrap(), "killed by signal SEGV");
        assert!(why("exit-code", 203).unwrap().contains("203/EXEC"));
        assert!(why("exit-code", 78).unwrap().contains("reconctl check"));
        assert!(why("watchdog", 6).unwrap().contains("watchdog"));
        let last = last_error("exit-code", 1, 1, AgentState::Failed).unwrap();
        assert!(last.contains("reconctl reset"), "{last}");
    }

    #[test]
    fn names_agents() {
        assert_eq!(agent_name("recon@kaze-dmz.service"), "kaze-dmz");
        assert_eq!(agent_name("ssh.service"), "ssh.service");
    }
}
