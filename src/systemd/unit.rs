use chrono::{DateTime, Utc};
use serde::Serialize;

use super::name::agent_of_unit;
use super::props::Props;
use super::reason;
use super::state::AgentState;
use crate::fleet::AgentKind;

/// How one agent is, from the properties of its unit. What a version of systemd, a kernel or a
/// container does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitState {
    /// Instance name (`kaze`), or the unit's name when it is no agent.
    pub name: String,
    /// Name of the unit.
    pub unit: String,
    /// Which program it is; from the name until the fleet says otherwise.
    pub kind: AgentKind,
    /// How it is, in one word.
    pub state: AgentState,
    /// systemd's `ActiveState`.
    pub active_state: String,
    /// systemd's `SubState`.
    pub sub_state: String,
    /// systemd's `LoadState`.
    pub load_state: String,
    /// systemd's `UnitFileState`: whether it starts at boot.
    pub unit_file_state: Option<String>,
    /// Main process, while there is one.
    pub pid: Option<u32>,
    /// Restarts by systemd since the last start by somebody.
    pub restarts: u32,
    /// When it got into its present state (when it became ready, if it is up).
    pub since: Option<DateTime<Utc>>,
    /// When systemd last saw it change, which a reload is too.
    #[serde(skip)]
    pub changed: Option<DateTime<Utc>>,
    /// What the agent says about itself.
    pub status_text: Option<String>,
    /// Seconds since the last sign of progress, when a watchdog is set.
    pub watchdog_age_s: Option<f64>,
    /// Longest time without progress, in seconds.
    pub watchdog_s: Option<f64>,
    /// Memory in use.
    pub memory_bytes: Option<u64>,
    /// CPU time used.
    pub cpu_s: Option<f64>,
    /// Bytes received.
    pub ip_in_bytes: Option<u64>,
    /// Bytes sent.
    pub ip_out_bytes: Option<u64>,
    /// It does its work now, as far as systemd can see.
    pub healthy: bool,
    /// Why it is not up.
    pub last_error: Option<String>,
    /// systemd's `Result`.
    pub result: Option<String>,
    /// How the main process ended: 1 exited, 2 killed, 3 dumped core.
    pub exec_main_code: Option<i32>,
    /// Exit status or signal of the main process.
    pub exec_main_status: Option<i32>,
    /// The delay before a restart when it does not grow, in microseconds.
    pub restart_us: Option<u64>,
    /// The coming restart delay, in microseconds (systemd 254).
    pub next_restart_us: Option<u64>,
    /// No more restarts until the failed state is cleared.
    pub restart_limit_reached: bool,
    /// Id of this run.
    pub invocation_id: Option<String>,
    /// Whether the unit is frozen.
    pub freezer_state: Option<String>,
    /// Path of the control group.
    pub control_group: Option<String>,
    /// The unit file.
    pub fragment_path: Option<String>,
    /// The drop-ins.
    pub drop_in_paths: Vec<String>,
    /// Units that it wants.
    pub wants: Vec<String>,
    /// Units that it cannot do without.
    pub requires: Vec<String>,
    /// Those of them with which it stops for good (`BindsTo=`).
    pub binds_to: Vec<String>,
    /// Agents that start before it and stop after it.
    pub after: Vec<String>,
    /// The unit file changed since systemd read it.
    pub need_daemon_reload: bool,
    /// A condition of the unit was not met at the last start.
    pub condition_failed: bool,
    /// It was ready in this run.
    #[serde(skip)]
    pub(super) was_up: bool,
    /// Why systemd could not load it.
    #[serde(skip)]
    pub(super) load_error: Option<String>,
}

/// What time it is for the systemd that is asked.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// Of this host, in microseconds: the clock of systemd's `…Monotonic` properties.
    Monotonic(u64),
    /// Of another host, as far as the two agree.
    Realtime(DateTime<Utc>),
}

impl Clock {
    /// Microseconds since a time that the properties name.
    fn since(self, props: &Props, key: &str) -> Option<u64> {
        match self {
            Self::Monotonic(now) => {
                let at = props.nonzero(&format!("{key}Monotonic"))?;
                Some(now.saturating_sub(at))
            }
            Self::Realtime(now) => {
                let age = (now - props.time(key)?).num_microseconds()?;
                Some(u64::try_from(age).unwrap_or(0))
            }
        }
    }
}

impl UnitState {
    /// A unit that systemd does not know.
    pub fn absent(unit: &str) -> Self {
        let name = agent_of_unit(unit).map_or_else(|| unit.to_owned(), |n| n.as_str().to_owned());
        Self {
            kind: kind_of_name(&name),
            name,
            unit: unit.to_owned(),
            state: AgentState::Stopped,
            active_state: "inactive".to_owned(),
            sub_state: "dead".to_owned(),
            load_state: "not-found".to_owned(),
            unit_file_state: None,
            pid: None,
            restarts: 0,
            since: None,
            changed: None,
            status_text: None,
            watchdog_age_s: None,
            watchdog_s: None,
            memory_bytes: None,
            cpu_s: None,
            ip_in_bytes: None,
            ip_out_bytes: None,
            healthy: false,
            last_error: None,
            result: None,
            exec_main_code: None,
            exec_main_status: None,
            restart_us: None,
            next_restart_us: None,
            restart_limit_reached: false,
            invocation_id: None,
            freezer_state: None,
            control_group: None,
            fragment_path: None,
            drop_in_paths: Vec::new(),
            wants: Vec::new(),
            requires: Vec::new(),
            binds_to: Vec::new(),
            after: Vec::new(),
            need_daemon_reload: false,
            condition_failed: false,
            was_up: false,
            load_error: None,
        }
    }

    /// A unit that exists and that systemd has no reason to know about: it does not run, and it has
    /// not failed.
    pub(super) fn unloaded(unit: &str) -> Self {
        Self {
            load_state: "loaded".to_owned(),
            ..Self::absent(unit)
        }
    }

    /// Reads the properties of the interfaces `Unit` and `Service`, which have no name in common.
    ///
    /// Ages are counted from `now`.
    pub fn from_properties(name: &str, props: &Props, now: Clock) -> Self {
        let mut state = Self::absent(name);
        state.read_unit(props);
        state.read_service(props);
        let watchdog_us = props.nonzero("WatchdogUSec");
        state.watchdog_s = watchdog_us.map(seconds);
        if state.pid.is_some() && watchdog_us.is_some() {
            state.watchdog_age_s = now.since(props, "WatchdogTimestamp").map(seconds);
        }
        // systemd keeps the last words of a process that is gone ("stopping: …").
        if matches!(state.active_state.as_str(), "inactive" | "failed") {
            state.status_text = None;
        }
        state.restart_limit_reached = limit_reached(&state, props);
        state.explain();
        state
    }

    /// Says in our words what the properties mean.
    pub(super) fn explain(&mut self) {
        self.state = AgentState::of(self);
        self.last_error = reason::last_error(self);
        self.healthy = self.is_healthy();
    }

    fn read_unit(&mut self, unit: &Props) {
        let text = |key: &str, default: &str| unit.text(key).unwrap_or_else(|| default.to_owned());
        self.active_state = text("ActiveState", "inactive");
        self.sub_state = text("SubState", "dead");
        self.load_state = text("LoadState", "not-found");
        self.unit_file_state = unit.text("UnitFileState");
        self.freezer_state = unit.text("FreezerState");
        self.fragment_path = unit.text("FragmentPath");
        self.drop_in_paths = unit.texts("DropInPaths");
        self.wants = unit.texts("Wants");
        self.requires = unit.texts("Requires");
        self.binds_to = unit.texts("BindsTo");
        self.requires.extend(self.binds_to.clone());
        self.requires.extend(unit.texts("Requisite"));
        self.after = unit.texts("After");
        self.after.retain(|name| agent_of_unit(name).is_some());
        self.need_daemon_reload = unit.flag("NeedDaemonReload").unwrap_or(false);
        self.condition_failed = unit.nonzero("ConditionTimestampMonotonic").is_some()
            && unit.flag("ConditionResult") == Some(false);
        self.invocation_id = unit.id128("InvocationID");
        let up_at = unit.nonzero("ActiveEnterTimestampMonotonic");
        self.was_up = up_at.is_some() && up_at >= unit.nonzero("InactiveExitTimestampMonotonic");
        let since = match self.active_state.as_str() {
            "active" | "reloading" | "refreshing" => "ActiveEnterTimestamp",
            _ => "StateChangeTimestamp",
        };
        self.since = unit.time(since);
        self.changed = unit.time("StateChangeTimestamp");
    }

    fn read_service(&mut self, service: &Props) {
        self.pid = service
            .nonzero("MainPID")
            .and_then(|n| u32::try_from(n).ok());
        self.restarts = service
            .number("NRestarts")
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0);
        self.status_text = service.text("StatusText");
        self.memory_bytes = service.number("MemoryCurrent");
        self.cpu_s = service.number("CPUUsageNSec").map(|ns| seconds(ns / 1000));
        self.ip_in_bytes = service.number("IPIngressBytes");
        self.ip_out_bytes = service.number("IPEgressBytes");
        self.result = service.text("Result");
        self.exec_main_code = int(service, "ExecMainCode");
        self.exec_main_status = int(service, "ExecMainStatus");
        self.restart_us = service.number("RestartUSec");
        self.next_restart_us = service.number("RestartUSecNext");
        self.control_group = service.text("ControlGroup");
    }

    /// Systemd could not execute it, or it refused its configuration.
    pub(super) fn cannot_start(&self) -> bool {
        self.exec_main_code == Some(1) && matches!(self.exec_main_status, Some(203 | 78))
    }

    /// The main process ended, and with success.
    pub(super) fn exec_main_fine(&self) -> bool {
        self.exec_main_code == Some(1) && self.exec_main_status == Some(0)
    }

    /// Marks a running agent as degraded: something that it wants is not up.
    pub fn degrade(&mut self) {
        if self.state == AgentState::Running {
            self.state = AgentState::Degraded;
            self.healthy = false;
        }
    }

    fn is_healthy(&self) -> bool {
        let fresh = match (self.watchdog_age_s, self.watchdog_s) {
            (Some(age), Some(limit)) => age <= limit,
            _ => true,
        };
        matches!(self.state, AgentState::Running | AgentState::Paused) && fresh
    }

    /// Whether systemd counts it as active, as `systemctl is-active` does.
    pub fn is_active(&self) -> bool {
        matches!(
            self.active_state.as_str(),
            "active" | "reloading" | "refreshing"
        )
    }
}

#[allow(clippy::cast_precision_loss)] // microseconds of a century fit into 53 bits
fn seconds(us: u64) -> f64 {
    (us / 1000) as f64 / 1000.0
}

fn int(props: &Props, key: &str) -> Option<i32> {
    props.number(key).and_then(|n| i32::try_from(n).ok())
}

fn kind_of_name(name: &str) -> AgentKind {
    AgentKind::BUILT_IN
        .into_iter()
        .find(|k| k.as_str() == name)
        .unwrap_or(AgentKind::Custom)
}

/// systemd does not tell that it gave up: the unit is just failed, with the result of the last
/// attempt. It gave up when its policy covers that result and the restarts are used up.
fn limit_reached(state: &UnitState, props: &Props) -> bool {
    let result = state.result.as_deref().unwrap_or("success");
    if state.active_state != "failed" || state.sub_state != "failed" {
        return false;
    }
    if result == "start-limit-hit" {
        return true;
    }
    let prevented = state.exec_main_code == Some(1)
        && state.exec_main_status.is_some_and(|status| {
            props
                .exit_statuses("RestartPreventExitStatus")
                .contains(&status)
        });
    let policy = props.text("Restart").unwrap_or_default();
    let burst = props.nonzero("StartLimitBurst");
    !prevented
        && reason::restart_covers(&policy, result)
        && burst.is_some_and(|burst| u64::from(state.restarts) >= burst)
}
