use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::file::{UnitFile, quote_arg, unit_value};
use super::firewall::{Firewall, firewall, url_addresses};
use super::limits::limits;
use super::version::{Supervisor, SystemdVersion};
use super::{health, sandbox, targets};
use crate::fleet::{Agent, AgentKind, AgentName, Fleet, OnFailure, Settings, Span};

/// Below this directory are the programs of the agents.
pub(super) const PROGRAMS: &str = "/usr/lib/recon";
/// Name of the drop-ins. An operator's `90-*.conf` comes later and wins.
pub(super) const DROP_IN: &str = "50-recon.conf";

/// Puts the addresses of names into the firewall of all agents but the hub.
const SCOPE_SERVICE: &str = "recon-scope.service";

/// What the result depends on besides the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderContext {
    /// For this version of systemd.
    pub version: SystemdVersion,
    /// The fleet file, as the units are to name it (`SourcePath=`); `None` when there is none.
    pub source: Option<PathBuf>,
    /// Who starts the members of a profile.
    pub mode: Mode,
    /// For whose systemd.
    pub supervisor: Supervisor,
}

/// Who starts the members of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Links that `systemctl enable` and `disable` make and remove; apply makes them for an agent
    /// that is seen for the first time.
    #[default]
    Enablement,
    /// The profile targets themselves, for a generator, whose units cannot be enabled.
    Generator,
}

/// Unit files and what goes with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Text by path below a unit directory (`/etc/systemd/system`).
    pub files: BTreeMap<PathBuf, String>,
    /// For each agent, what is done when it is seen for the first time.
    pub presets: BTreeMap<AgentName, Preset>,
    /// What this systemd, or systemd at all, cannot do of what the fleet file says.
    pub notes: Vec<Note>,
}

/// Whether an agent is enabled when it is seen for the first time, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// It is enabled.
    pub auto_start: bool,
    /// The targets of its profiles.
    pub targets: Vec<String>,
}

/// Something that is lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// The agent.
    pub agent: AgentName,
    /// What and why, for people.
    pub text: String,
}

/// What the drop-ins of one fleet share, found out once.
struct Shared<'a> {
    fleet: &'a Fleet,
    context: &'a RenderContext,
    /// All agents that send to targets may reach the same.
    sending: OnceCell<Firewall>,
}

impl Shared<'_> {
    fn firewall(&self, agent: &Agent) -> Firewall {
        // A probe's address is in the firewall of its agent only.
        let alike = agent.kind != AgentKind::Hub && agent.settings.sends();
        if !alike || agent.health.is_some() {
            return firewall(self.fleet, agent);
        }
        let sending = self.sending.get_or_init(|| firewall(self.fleet, agent));
        sending.clone()
    }
}

/// Renders the unit files of a fleet. Pure: the same input gives the same bytes.
pub fn render(fleet: &Fleet, context: &RenderContext) -> Rendered {
    let mut rendered = Rendered::default();
    let shared = Shared {
        fleet,
        context,
        sending: OnceCell::new(),
    };
    let mut targets = targets::by_agent(fleet);
    for agent in fleet.agents.values() {
        let targets = targets.remove(&agent.name).unwrap_or_default();
        let mut notes = Vec::new();
        let text = drop_in(&shared, agent, &targets, &mut notes);
        let path = PathBuf::from(format!("{}.d", agent.name.unit())).join(DROP_IN);
        rendered.files.insert(path, text);
        rendered.files.extend(stable_drop_in(agent, context));
        let note = |text| Note {
            agent: agent.name.clone(),
            text,
        };
        rendered.notes.extend(notes.into_iter().map(note));
        let preset = Preset {
            auto_start: agent.auto_start,
            targets,
        };
        rendered.presets.insert(agent.name.clone(), preset);
    }
    rendered.files.extend(targets::render(fleet, context));
    rendered
}

/// First lines of every rendered file.
pub(super) fn header(context: &RenderContext) -> UnitFile {
    let source = match &context.source {
        Some(path) => path.display().to_string(),
        None => "its built-in defaults".to_owned(),
    };
    match context.mode {
        Mode::Enablement => UnitFile::new(&[
            &format!("Made by reconctl from {source}. Do not edit: put settings of"),
            "your own in a 90-local.conf beside this file. A change made here is reported and kept.",
        ]),
        Mode::Generator => UnitFile::new(&[
            &format!("Made by recon-generator from {source}, anew at every daemon-reload: put"),
            "settings of your own in a 90-local.conf below /etc/systemd.",
        ]),
    }
}

pub(super) fn source_path(file: &mut UnitFile, context: &RenderContext) {
    if let Some(source) = &context.source {
        file.set("SourcePath", unit_value(&source.to_string_lossy()));
    }
}

fn drop_in(
    shared: &Shared<'_>,
    agent: &Agent,
    targets: &[String],
    notes: &mut Vec<String>,
) -> String {
    let context = shared.context;
    let mut file = header(context);
    unit_section(&mut file, shared, agent, targets);
    file.section("Service");
    program(&mut file, agent, context.version, notes);
    restart(&mut file, agent, context.version, notes);
    limits(&mut file, agent, notes);
    match context.supervisor {
        Supervisor::System => {
            let firewall = shared.firewall(agent);
            sandbox::identity(&mut file, agent, &firewall);
            sandbox::privileges(&mut file, agent, &firewall);
            notes.extend(firewall.notes);
            sandbox::packet_ring(&mut file, agent, notes);
        }
        Supervisor::User => sandbox::losses(agent, notes),
    }
    sandbox::relaxed(&mut file, agent);
    sandbox::browser(&mut file, agent, notes);
    if context.mode == Mode::Enablement && !targets.is_empty() {
        file.section("Install")
            .replace("WantedBy", targets.join(" "));
    }
    file.to_string()
}

fn unit_section(file: &mut UnitFile, shared: &Shared<'_>, agent: &Agent, targets: &[String]) {
    let (fleet, context) = (shared.fleet, shared.context);
    file.section("Unit");
    let description = match agent.description.trim() {
        "" => format!("Recon agent {}", agent.name),
        text => format!("Recon agent {}: {text}", agent.name),
    };
    file.set("Description", unit_value(&description));
    source_path(file, context);
    for target in targets {
        file.set("PartOf", target);
    }
    for dependency in &agent.depends_on {
        let unit = dependency.agent.unit();
        file.set("After", &unit);
        match dependency.on_failure {
            OnFailure::Ignore if is_elsewhere(fleet, &dependency.agent) => {
                file.comment("fleet.hub is on another host: the one here is not pulled in.")
            }
            OnFailure::Ignore => file.set("Wants", &unit),
            OnFailure::Restart => file.set("Requires", &unit),
            OnFailure::Stop => file.set("BindsTo", &unit),
        };
    }
    let shut_in = context.supervisor == Supervisor::System;
    if shut_in && agent.kind != AgentKind::Hub && fleet.has_names() {
        file.comment("Its firewall waits for the addresses of the names in the fleet file.");
        file.set("Wants", SCOPE_SERVICE).set("After", SCOPE_SERVICE);
    }
    if needs_stable_timer(agent, context.version) {
        // In this order: systemd starts what a unit wants and is not ordered after, if it is not
        // there, when the unit waits for its restart; the timer would pull the agent in with it and
        // make an end of the wait.
        let timer = stable_timer(agent);
        file.set("Wants", &timer).set("After", &timer);
    }
    // The first start counts.
    file.set("StartLimitIntervalSec", seconds(agent.restart_window));
    file.set("StartLimitBurst", agent.max_restarts + 1);
}

/// Restarts are counted for ever (systemd issue 43813) unless the agent or a timer resets the count.
/// Ours do it themselves where systemd lets them.
fn needs_stable_timer(agent: &Agent, version: SystemdVersion) -> bool {
    let resets_itself = version.has_restart_reset() && agent.kind != AgentKind::Custom;
    agent.auto_restart && !resets_itself
}

fn stable_timer(agent: &Agent) -> String {
    format!("recon-stable@{}.timer", agent.name)
}

/// A drop-in for the timer, when it is to run at another time than the packaged one.
fn stable_drop_in(agent: &Agent, context: &RenderContext) -> Option<(PathBuf, String)> {
    let differs = agent.stable_after != Span::secs(3600);
    (differs && needs_stable_timer(agent, context.version)).then(|| {
        let mut file = header(context);
        source_path(file.section("Unit"), context);
        file.section("Timer")
            .replace("OnActiveSec", seconds(agent.stable_after));
        let path = PathBuf::from(format!("{}.d", stable_timer(agent))).join(DROP_IN);
        (path, file.to_string())
    })
}

/// Whether an agent is a hub on this host while the fleet reports to one on another.
fn is_elsewhere(fleet: &Fleet, name: &AgentName) -> bool {
    let Some(Settings::Hub(hub)) = fleet.agents.get(name).map(|agent| &agent.settings) else {
        return false;
    };
    let listen = hub
        .listen
        .parse()
        .map(|addr: std::net::SocketAddr| addr.ip())
        .ok();
    match url_addresses(&fleet.hub) {
        Ok(addresses) => !addresses
            .iter()
            .any(|a| a.is_loopback() || Some(*a) == listen),
        Err(_) => listen.is_some_and(|ip| ip.is_loopback()),
    }
}

fn program(file: &mut UnitFile, agent: &Agent, version: SystemdVersion, notes: &mut Vec<String>) {
    let Some(exec) = &agent.exec else {
        return own_program(file, agent, version, notes);
    };
    if let Some(health) = &agent.health {
        return health::probed_program(file, agent, exec, health);
    }
    let words: Vec<_> = exec
        .iter()
        .enumerate()
        .map(|(i, arg)| quote_arg(arg, i == 0))
        .collect();
    let (kind, access) = if agent.notify {
        ("notify", "main")
    } else {
        ("exec", "none")
    };
    file.set("Type", kind);
    file.set("NotifyAccess", access);
    file.replace("ExecStart", words.join(" "));
    // Nobody knows whether it survives a SIGHUP.
    file.set("ExecReload", "");
    file.set(
        "WatchdogSec",
        if agent.notify {
            seconds(agent.watchdog)
        } else {
            "0".to_owned()
        },
    );
}

fn own_program(
    file: &mut UnitFile,
    agent: &Agent,
    version: SystemdVersion,
    notes: &mut Vec<String>,
) {
    let (name, program) = (
        &agent.name,
        format!("{PROGRAMS}/recon-{}", agent.kind.as_str()),
    );
    file.set(
        "Type",
        if version.has_notify_reload() {
            "notify-reload"
        } else {
            "notify"
        },
    );
    file.replace("ExecStart", format!("@{program} {name}-recon-daemon"));
    file.replace("ExecReload", format!("{program} --check-config"));
    if !version.has_notify_reload() {
        file.set("ExecReload", "kill -HUP $MAINPID");
        notes.push(format!(
            "a reload is reported as done before it is: systemd {version} has no \
             Type=notify-reload (253)"
        ));
    }
    file.set("WatchdogSec", seconds(agent.watchdog));
}

/// Added to `stop_timeout`, so that an agent that uses all of it still hands back its work.
const STOP_GRACE: Span = Span::secs(5);

fn restart(file: &mut UnitFile, agent: &Agent, version: SystemdVersion, notes: &mut Vec<String>) {
    file.set(
        "TimeoutStopSec",
        seconds(Span(agent.stop_timeout.0 + STOP_GRACE.0)),
    );
    file.set(
        "Restart",
        if agent.auto_restart {
            "on-failure"
        } else {
            "no"
        },
    );
    file.set("RestartSec", seconds(agent.backoff.initial));
    notes.extend(endless(agent, version));
    if !agent.auto_restart || agent.backoff.max <= agent.backoff.initial {
        return;
    }
    if version.has_restart_steps() {
        file.set("RestartSteps", agent.backoff.steps);
        file.set("RestartMaxDelaySec", seconds(agent.backoff.max));
    } else {
        notes.push(format!(
            "every restart waits {} instead of growing to {}: systemd {version} has no \
             RestartSteps= (254)",
            agent.backoff.initial, agent.backoff.max
        ));
    }
}

/// A note when the restarts up to the limit take longer than the window that they are counted in.
fn endless(agent: &Agent, version: SystemdVersion) -> Option<String> {
    let (first, last) = (agent.backoff.initial.0, agent.backoff.max.0);
    let grows = version.has_restart_steps() && last > first;
    // systemd.service(5): RestartSteps= steps from the first to the last delay, exponentially.
    let ratio = match grows {
        true => (last.as_secs_f64() / first.as_secs_f64().max(1e-3))
            .powf(1.0 / f64::from(agent.backoff.steps.max(1))),
        false => 1.0,
    };
    let most = if grows { last } else { first }.as_secs_f64();
    let mut delay = first.as_secs_f64();
    let mut total = 0.0;
    for _ in 0..agent.max_restarts {
        total += delay.min(most);
        delay *= ratio;
    }
    let endless = agent.auto_restart && total >= agent.restart_window.0.as_secs_f64();
    (endless && agent.max_restarts > 0).then(|| {
        format!(
            "it is restarted for ever: {} restarts with this backoff take {total:.0} s, and \
             restart_window is {}",
            agent.max_restarts, agent.restart_window
        )
    })
}

/// A length of time as systemd.time(7) reads it; whole seconds as a plain number.
pub(super) fn seconds(span: Span) -> String {
    let time = span.0;
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        ns if ns % 1_000_000 == 0 => format!("{}ms", time.as_millis()),
        _ => format!("{}us", time.as_micros().max(1)),
    }
}
