//! What the units need of the host: programs, users, files; and what they are allowed beyond the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Subject;
use super::finding::{Area, Finding, Level};
use super::unit_file::Settings;
use crate::engines::spider::browser;
use crate::fleet::{Agent, AgentKind, HealthProbe, NmapUse, Settings as Own};

/// Where the programs of the agents are.
const PROGRAMS: &str = "usr/lib/recon";

/// Where programs are looked for that are named without a path.
const PATH: [&str; 6] = [
    "usr/local/sbin",
    "usr/local/bin",
    "usr/sbin",
    "usr/bin",
    "sbin",
    "bin",
];

/// Looks at what each agent needs.
pub fn needs(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut users = Vec::new();
    for agent in &subject.agents {
        programs(subject, agent, &mut found);
        if let Some(settings) = Settings::read(subject.root, &agent.name.unit()) {
            credentials(subject, agent, &settings, &mut found);
            rights(agent, &settings, &mut found);
            if !settings.is_on("DynamicUser") {
                users.extend(settings.last("User").map(str::to_owned));
            }
        }
    }
    users.sort();
    users.dedup();
    users.retain(|user| !has_user(subject, user));
    found.extend(users.iter().map(|user| {
        let text = format!("there is no user {user:?}: its units cannot start");
        Finding::new(Level::Error, Area::Host, text).fix("systemd-sysusers")
    }));
    if found.iter().all(|finding| finding.level == Level::Note) {
        let text = "programs, users and files that the units need are there";
        found.push(Finding::new(Level::Ok, Area::Host, text));
    }
    found
}

fn programs(subject: &Subject<'_>, agent: &Agent, found: &mut Vec<Finding>) {
    let own = format!("/{PROGRAMS}/recon-{}", agent.kind.as_str());
    let program = match &agent.exec {
        Some(exec) => exec.first().map_or("", String::as_str),
        None => &own,
    };
    let mut need = vec![program];
    if let Some(HealthProbe::Exec(exec)) = agent.health.as_ref().map(|health| &health.probe) {
        need.extend(exec.first().map(String::as_str));
    }
    for program in need {
        if is_program(&below(subject.root, program)) {
            continue;
        }
        found.push(if subject.is_in_a_profile(agent) {
            let text = format!("{program} is missing or cannot be executed");
            let fix = "install it, or take the agent out of the profiles";
            finding(Level::Error, agent, text).fix(fix)
        } else {
            let text = "its program is not installed; no profile has the agent";
            finding(Level::Note, agent, text)
        });
    }
    if let (AgentKind::Kage, Own::Scan(scan)) = (agent.kind, &agent.settings) {
        nmap(subject, agent, scan.nmap, found);
    }
    if agent.settings.browser() && !browser::PROGRAMS.iter().any(|name| has(subject, name)) {
        found.push(
            finding(
                Level::Error,
                agent,
                "Chromium is not installed, and config.browser is true",
            )
            .fix("install the package chromium, or set config.browser to false"),
        );
    }
}

/// Whether a program is in the usual places.
fn has(subject: &Subject<'_>, name: &str) -> bool {
    PATH.iter()
        .any(|dir| is_program(&subject.root.join(dir).join(name)))
}

fn nmap(subject: &Subject<'_>, agent: &Agent, when: NmapUse, found: &mut Vec<Finding>) {
    let there = has(subject, "nmap");
    match when {
        NmapUse::Never => {}
        _ if there => {}
        NmapUse::Always => found.push(
            finding(
                Level::Error,
                agent,
                "nmap is not installed, and config.nmap is \"always\"",
            )
            .fix("install nmap, or set config.nmap to \"auto\""),
        ),
        NmapUse::Auto => found.push(
            finding(
                Level::Note,
                agent,
                "nmap is not installed: it uses its own service probes",
            )
            .fix("install nmap for versions of more services"),
        ),
    }
}

fn credentials(subject: &Subject<'_>, agent: &Agent, unit: &Settings, found: &mut Vec<Finding>) {
    let given: Vec<&str> = ["SetCredential", "SetCredentialEncrypted"]
        .into_iter()
        .flat_map(|key| unit.list(key))
        .filter_map(|value| Some(value.split_once(':')?.0))
        .collect();
    for key in ["LoadCredential", "LoadCredentialEncrypted"] {
        for value in unit.list(key) {
            // Without a path it comes from systemd's own credentials, which are no file here.
            let Some((name, path)) = value.split_once(':').filter(|(_, p)| p.starts_with('/'))
            else {
                continue;
            };
            let path = path.replace("%i", agent.name.as_str());
            if path.contains('%') || given.contains(&name) || below(subject.root, &path).exists() {
                continue;
            }
            let text = format!("credential {name}: there is no {path}, so it cannot start");
            found.push(finding(Level::Error, agent, text).fix(format!("write {path}, mode 0600")));
        }
    }
}

/// What a unit may do that the others may not.
fn rights(agent: &Agent, unit: &Settings, found: &mut Vec<Finding>) {
    let families = unit.words("RestrictAddressFamilies");
    let allowed = families
        .first()
        .is_some_and(|first| !first.starts_with('~'));
    // What the fleet file itself asks for is told with what else the units cannot hold back.
    if allowed && families.contains(&"AF_PACKET") && !agent.settings.packet_ring() {
        let text = "may use AF_PACKET, which passes by the IP firewall: only the agent itself keeps to \
                    the scope";
        found.push(finding(Level::Warning, agent, text).fix("take AF_PACKET out of its drop-ins"));
    }
    if !unit.words("IPAddressDeny").contains(&"any") {
        let text = "its IP firewall is open: IPAddressDeny=any is not in force";
        found.push(
            finding(Level::Warning, agent, text).fix("take IPAddressDeny= out of its drop-ins"),
        );
    }
    let capabilities = unit.words("CapabilityBoundingSet");
    if !capabilities.is_empty() {
        let text = format!("keeps {}", capabilities.join(" "));
        found.push(finding(Level::Note, agent, text));
    }
}

/// Who may change the fleet file may change the scope.
pub fn fleet_file(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let text = format!(
        "{} can be written by everybody, and with it the scope",
        path.display()
    );
    let fix = format!("chmod o-w {}", path.display());
    (mode & 0o002 != 0).then(|| Finding::new(Level::Error, Area::Fleet, text).fix(fix))
}

fn has_user(subject: &Subject<'_>, user: &str) -> bool {
    let passwd = fs::read_to_string(subject.root.join("etc/passwd")).unwrap_or_default();
    let listed = passwd
        .lines()
        .any(|line| line.split(':').next() == Some(user));
    // It may come from a directory service.
    let asked = || Command::new("getent").args(["passwd", user]).output();
    listed || (subject.is_live() && asked().is_ok_and(|output| output.status.success()))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn finding(level: Level, agent: &Agent, text: impl Into<String>) -> Finding {
    Finding::new(level, Area::Host, text).unit(agent.name.unit())
}
