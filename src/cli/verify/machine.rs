//! What this machine cannot do of what the units ask for.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::finding::{Area, Finding, Level};
use super::{Subject, Systemd};
use crate::api::ExitCode;
use crate::cli::Outcome;
use crate::fleet::AgentKind;

const CGROUPS: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2: i128 = 0x6367_7270;

/// Looks at the control groups of this machine and tries its firewall.
pub async fn machine(subject: &Subject<'_>, systemd: &Systemd) -> Vec<Finding> {
    if !subject.is_live() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let unified = rustix::fs::statfs(CGROUPS).is_ok_and(|fs| i128::from(fs.f_type) == CGROUP2);
    if unified {
        controllers(subject, &mut found);
        freezer(subject, &mut found);
    } else {
        let text = format!(
            "{CGROUPS} is not control group v2: memory limits, the IP firewall and freezing may not work"
        );
        let fix = "boot with systemd.unified_cgroup_hierarchy=1";
        found.push(finding(Level::Warning, text).fix(fix));
    }
    if systemd.running {
        found.extend(firewall().await);
    }
    if found.is_empty() {
        let text = "control groups and IP firewall work";
        found.push(finding(Level::Ok, text));
    }
    found
}

fn finding(level: Level, text: impl Into<String>) -> Finding {
    Finding::new(level, Area::Machine, text)
}

fn controllers(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let text =
        fs::read_to_string(Path::new(CGROUPS).join("cgroup.controllers")).unwrap_or_default();
    let has = |name: &str| text.split_whitespace().any(|word| word == name);
    let limited = subject
        .agents
        .iter()
        .any(|agent| agent.memory_max.is_some());
    if !has("memory") {
        let level = if limited { Level::Warning } else { Level::Note };
        let text = "no memory controller: memory_max is not enforced, and memory is shown as -";
        found.push(finding(level, text));
    }
    for (name, lost) in [
        ("cpu", "CPU weights and quotas"),
        ("io", "I/O weights and limits"),
    ] {
        if !has(name) {
            found.push(finding(
                Level::Note,
                format!("no {name} controller: {lost} have no effect"),
            ));
        }
    }
}

/// Programs of the user's own are paused by freezing them.
fn freezer(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let custom = subject
        .agents
        .iter()
        .any(|agent| agent.kind == AgentKind::Custom);
    let groups = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    // The root group itself cannot be frozen.
    let can = groups
        .map(|entry| entry.path())
        .any(|dir| dir.join("cgroup.freeze").exists());
    if custom && !can {
        let text =
            "control groups cannot be frozen (Linux 5.2): programs of your own cannot be paused";
        found.push(finding(Level::Warning, text));
    }
}

/// Whether `IPAddressDeny=` is enforced. systemd says so nowhere but in a line of its log, and it
/// depends on the kernel, on what a container may do, and on how systemd was built: a unit for which
/// everything is denied tries to send.
async fn firewall() -> Option<Finding> {
    if !rustix::process::geteuid().is_root() {
        let text = "whether the IP firewall works was not tried: that needs root";
        return Some(finding(Level::Note, text));
    }
    let program = std::env::current_exe().ok()?;
    let status = Command::new("systemd-run")
        .args([
            "--quiet",
            "--wait",
            "--collect",
            "--property=IPAddressDeny=any",
        ])
        .args([
            "--property=RuntimeMaxSec=10",
            "--description=Does the IP firewall work?",
        ])
        .arg(program)
        .arg(PROBE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .ok()?;
    match status.code() {
        Some(0) => None,
        Some(code) if code == LEFT as i32 => {
            let text = "the IP firewall is not enforced: IPAddressDeny= has no effect here, only hub and \
                        agents keep to the scope";
            let fix = "systemd needs bpf(2) for it: a container must allow it";
            Some(finding(Level::Warning, text).fix(fix))
        }
        _ => {
            let text = "whether the IP firewall works could not be tried: systemd-run failed";
            Some(finding(Level::Note, text))
        }
    }
}

/// The hidden verb that tries to send.
const PROBE: &str = "probe-firewall";
/// The packet left: the firewall is not active. What was expected is no failure in systemd's log.
const LEFT: ExitCode = ExitCode::NotActive;

/// Sends a packet to itself over loopback: exit 0 when that was not permitted, 3 when it left.
pub fn probe() -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    match socket.send_to(b"recon", socket.local_addr()?) {
        Ok(_) => Ok(LEFT),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(ExitCode::Ok),
        Err(error) => Err(error.into()),
    }
}
