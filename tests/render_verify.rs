//! systemd itself reads what is rendered, and rates its sandbox. Skipped where systemd-analyze is
//! missing.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[path = "render/support.rs"]
mod support;

use recon::fleet::AgentKind;
use recon::units::{RenderContext, Supervisor, SystemdVersion};
use support::{Case, cases};

/// Units of systemd that ours name; without them verify speaks of what is missing.
const TARGETS: [&str; 11] = [
    "basic",
    "local-fs",
    "multi-user",
    "network",
    "network-online",
    "nss-lookup",
    "shutdown",
    "sockets",
    "sysinit",
    "time-set",
    "timers",
];

fn has_systemd_analyze() -> bool {
    let found = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        eprintln!("skipped: systemd-analyze is not installed");
    }
    found
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if from.is_dir() {
            copy(&from, &to);
        } else {
            write(&to, &fs::read_to_string(from).unwrap());
        }
    }
}

fn program(path: &Path) {
    write(path, "#!/bin/sh\n");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A root with the packaged units, stubs of the programs, and what a case renders to.
fn root(case: &Case) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = match case.context.supervisor {
        Supervisor::System => "systemd/system",
        Supervisor::User => "systemd/user",
    };
    fs::create_dir_all(root.path().join("run/user")).unwrap();
    let vendor = root.path().join("usr/lib").join(dir);
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    match case.context.supervisor {
        Supervisor::System => copy(&packaged, &vendor),
        Supervisor::User => copy(&packaged.join("user"), &vendor),
    }
    for target in TARGETS {
        write(
            &vendor.join(format!("{target}.target")),
            "[Unit]\nDescription=Stub\n",
        );
    }
    for kind in AgentKind::BUILT_IN {
        program(
            &root
                .path()
                .join(format!("usr/lib/recon/recon-{}", kind.as_str())),
        );
    }
    program(&root.path().join("usr/lib/recon/recon-generator"));
    program(&root.path().join("usr/lib/recon/recon-shim"));
    program(&root.path().join("usr/bin/reconctl"));
    for agent in case.loaded.iter().flat_map(|fleet| fleet.agents.values()) {
        if let Some(exec) = &agent.exec {
            program(&root.path().join(exec[0].trim_start_matches('/')));
        }
    }
    // Keys that this systemd lacks are not what is tested here.
    let context = RenderContext {
        version: SystemdVersion(252),
        ..case.context.clone()
    };
    for (path, text) in case.rendered_for(&context).files {
        write(&root.path().join("etc").join(dir).join(path), &text);
    }
    root
}

fn analyze(root: &Path, args: &[&str]) -> (bool, String, String) {
    let output = Command::new("systemd-analyze")
        .arg(format!("--root={}", root.display()))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// What it says of the units of a user's systemd. It knows no --root for those, so it looks for our
/// programs on this machine, where they need not be.
fn user_errors(root: &Path, args: &[&str]) -> String {
    let (etc, vendor) = (
        root.join("etc/systemd/user"),
        root.join("usr/lib/systemd/user"),
    );
    let output = Command::new("systemd-analyze")
        .arg("--user")
        .args(args)
        .env(
            "SYSTEMD_UNIT_PATH",
            format!("{}:{}", etc.display(), vendor.display()),
        )
        .env("XDG_RUNTIME_DIR", root.join("run/user"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    errors
        .lines()
        .filter(|line| !line.ends_with("is not executable: No such file or directory"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn systemd_reads_every_line() {
    if !has_systemd_analyze() {
        return;
    }
    for case in cases() {
        let root = root(&case);
        let mut args = vec![
            "verify".to_owned(),
            "--man=no".to_owned(),
            "recon.target".to_owned(),
        ];
        if case.context.supervisor == Supervisor::System {
            args.extend(["recon-scope.service", "recon-scope.timer"].map(str::to_owned));
        }
        args.extend(
            case.loaded
                .iter()
                .flat_map(|fleet| fleet.profiles.keys())
                .map(|name| format!("recon-{name}.target")),
        );
        args.extend(
            case.loaded
                .iter()
                .flat_map(|fleet| fleet.agents.keys())
                .map(|name| name.unit()),
        );
        if case.loaded.is_err() {
            args.push("recon@kaze.service".to_owned());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (good, errors) = match case.context.supervisor {
            Supervisor::System => {
                let (good, _, errors) = analyze(root.path(), &args);
                (good, errors)
            }
            Supervisor::User => (true, user_errors(root.path(), &args)),
        };
        // It exits 0 for keys that it does not know: any word of it is a failure.
        assert!(good && errors.is_empty(), "{}: {errors}", case.name());
    }
}

#[test]
fn a_mistake_would_be_found() {
    if !has_systemd_analyze() {
        return;
    }
    let case = &cases()[0];
    let root = root(case);
    let drop_in = "etc/systemd/system/recon@kaze.service.d/60-bad.conf";
    write(&root.path().join(drop_in), "[Service]\nMemoryMaxx=1\n");
    let (_, _, errors) = analyze(root.path(), &["verify", "--man=no", "recon@kaze.service"]);
    assert!(errors.contains("MemoryMaxx"), "{errors}");
    let mut cases = cases();
    cases.retain(|case| case.context.supervisor == Supervisor::User);
    let root = self::root(&cases[0]);
    let drop_in = "etc/systemd/user/recon@kaze.service.d/60-bad.conf";
    write(&root.path().join(drop_in), "[Service]\nMemoryMaxx=1\n");
    let errors = user_errors(root.path(), &["verify", "--man=no", "recon@kaze.service"]);
    assert!(errors.contains("MemoryMaxx"), "{errors}");
}

#[test]
fn sandboxes_are_tight() {
    if !has_systemd_analyze() {
        return;
    }
    for case in cases() {
        // A user's systemd has no right to most of what is rated.
        if case.context.supervisor == Supervisor::User {
            continue;
        }
        let root = root(&case);
        for unit in [
            "recon-stable@kaze.service",
            "recon-failed@kaze.service",
            "recon-enable@kaze.service",
            "recon-disable@kaze.service",
            "recon-scope.service",
        ] {
            let args = ["security", "--offline=true", "--threshold=20", unit];
            let (good, report, _) = analyze(root.path(), &args);
            assert!(good, "{unit}: {report}");
        }
        for agent in case.loaded.iter().flat_map(|fleet| fleet.agents.values()) {
            // Tenths of a point: every unit is at most 2.0, one that keeps capabilities 2.5.
            let threshold = if agent.capabilities.is_empty() {
                20
            } else {
                25
            };
            let threshold = format!("--threshold={threshold}");
            let unit = agent.name.unit();
            let args = ["security", "--offline=true", &threshold, &unit];
            let (good, report, errors) = analyze(root.path(), &args);
            let bad: String = report
                .lines()
                .filter(|l| !l.contains('✓'))
                .collect::<Vec<_>>()
                .join("\n");
            assert!(good, "{}: {unit}: {errors}\n{bad}", case.name());
        }
    }
}

/// Our links and [Install] sections are what `systemctl enable` and `disable` make of them.
#[test]
fn systemctl_agrees_about_enablement() {
    if !has_systemd_analyze() {
        return;
    }
    let case = &cases()[0];
    let root = root(case);
    let units = root.path().join("etc/systemd/system");
    let systemctl = |verb: &str| {
        let root = format!("--root={}", root.path().display());
        let output = Command::new("systemctl")
            .args([&root, verb, "recon@kaze.service"])
            .output();
        String::from_utf8_lossy(&output.unwrap().stdout)
            .trim()
            .to_owned()
    };
    let link = units.join("recon-full.target.wants/recon@kaze.service");
    assert_eq!(systemctl("is-enabled"), "disabled");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/usr/lib/systemd/system/recon@.service", &link).unwrap();
    assert_eq!(systemctl("is-enabled"), "enabled");
    systemctl("disable");
    assert!(!link.is_symlink());
    systemctl("enable");
    assert!(
        link.is_symlink()
            && units
                .join("recon-minimal.target.wants/recon@kaze.service")
                .is_symlink()
    );
    assert!(!units.join("recon.target.wants").exists());
}
