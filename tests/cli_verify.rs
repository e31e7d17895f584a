//! `reconctl verify` on a root with the packaged units, by a systemd that does not run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

mod cli_support;
use cli_support::Bed;

const SYSTEMD: &str = "--target-systemd=252";

/// Units of systemd that ours name.
const TARGETS: [&str; 10] = [
    "basic",
    "local-fs",
    "multi-user",
    "network",
    "nss-lookup",
    "shutdown",
    "sockets",
    "sysinit",
    "time-set",
    "timers",
];

/// A host on which everything is installed and applied.
fn host(fleet: &str) -> Bed {
    let bed = Bed::new(fleet);
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    install(&bed, &packaged, "usr/lib/systemd/system");
    for target in TARGETS {
        let path = format!("usr/lib/systemd/system/{target}.target");
        bed.write(&path, "[Unit]\nDescription=Stub\n");
    }
    for kind in ["hub", "kage", "kaze", "kumo", "suzu", "ryu", "sentinel"] {
        program(&bed, &format!("usr/lib/recon/recon-{kind}"));
    }
    program(&bed, "usr/bin/nmap");
    bed.write(
        "etc/passwd",
        "root:x:0:0::/:\nrecon:x:9:9::/:\nrecon-hub:x:10:10::/:\n",
    );
    bed.run(&["apply", SYSTEMD]).success();
    bed
}

/// Installs the units of the system's systemd; those of a user's are not its.
fn install(bed: &Bed, from: &Path, to: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if name == "user" => {}
            true => install(bed, &path, &format!("{to}/{name}")),
            false => bed.write(&format!("{to}/{name}"), &fs::read_to_string(&path).unwrap()),
        }
    }
}

fn program(bed: &Bed, path: &str) {
    bed.write(path, "#!/bin/sh\n");
    fs::set_permissions(bed.root().join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn analyze_is_here() -> bool {
    Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok()
}

fn verify(bed: &Bed) -> Value {
    bed.json(&["verify", SYSTEMD])
}

/// What was found of this level, as `unit: text`.
fn found(report: &Value, level: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|f| f["level"] == level)
        .map(|f| {
            format!(
                "{}: {}",
                f["unit"].as_str().unwrap_or("-"),
                f["text"].as_str().unwrap()
            )
        })
        .collect()
}

/// Exactly one finding of this level, with these words.
#[track_caller]
fn one(report: &Value, level: &str, words: &str) {
    let all = found(report, level);
    let hits = all.iter().filter(|text| text.contains(words)).count();
    assert_eq!(hits, 1, "{words:?} in {all:#?}");
}

#[test]
fn a_host_where_all_is_well_has_no_error_and_no_warning() {
    let bed = host("");
    let report = verify(&bed);
    assert_eq!(report["ok"], true);
    assert_eq!(found(&report, "error"), [""; 0]);
    assert_eq!(found(&report, "warning"), [""; 0]);
    bed.run(&["verify", SYSTEMD])
        .success()
        .stdout(contains("0 errors, 0 warnings"));
}

#[test]
fn what_an_older_systemd_cannot_do_is_a_note() {
    let bed = host("");
    let notes = found(&verify(&bed), "note").join("\n");
    assert!(
        notes.contains("recon@kaze.service: every restart waits 1s instead of growing to 1m"),
        "{notes}"
    );
    assert!(notes.contains("no Type=notify-reload (253)"), "{notes}");
    let notes = found(&bed.json(&["verify", "--target-systemd=258"]), "note").join("\n");
    assert!(!notes.contains("every restart"), "{notes}");
    assert!(
        notes.contains("recon@kaze.service: keeps CAP_NET_RAW"),
        "{notes}"
    );
}

#[test]
fn drift_is_found() {
    let bed = host("");
    bed.write(
        "etc/recon/recon.toml",
        "[agents.kaze]\nmemory_max = \"1G\"\n",
    );
    one(
        &verify(&bed),
        "warning",
        "recon@kaze.service: is not as the fleet file says",
    );
    let unit = "etc/systemd/system/recon@kage.service.d/50-recon.conf";
    let text = fs::read_to_string(bed.root().join(unit)).unwrap();
    bed.write(unit, &text.replace("MemoryMax=512M", "MemoryMax=infinity"));
    one(
        &verify(&bed),
        "warning",
        "recon@kage.service.d/50-recon.conf was edited by hand",
    );
    symlink(
        "/dev/null",
        bed.root().join("etc/systemd/system/recon@hub.service"),
    )
    .unwrap();
    one(&verify(&bed), "warning", "recon@hub.service: is masked");
    let bed = host("[agents.kaze-dmz]\nkind = \"kaze\"\n");
    bed.write("etc/recon/recon.toml", "");
    one(
        &verify(&bed),
        "warning",
        "recon@kaze-dmz.service: is no longer in the fleet",
    );
}

#[test]
fn before_apply_there_is_one_finding_not_one_a_file() {
    let bed = host("");
    fs::remove_dir_all(bed.root().join("var")).unwrap();
    fs::remove_dir_all(bed.root().join("etc/systemd")).unwrap();
    let warnings = found(&verify(&bed), "warning");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    one(&verify(&bed), "warning", "the packaged unit is in force");
    bed.run(&["apply", SYSTEMD, "--runtime"]).success();
    assert_eq!(found(&verify(&bed), "warning"), [""; 0]);
}

#[test]
fn a_setting_that_systemd_does_not_read_is_an_error() {
    if !analyze_is_here() {
        return;
    }
    let bed = host("");
    bed.write(
        "etc/systemd/system/recon@kaze.service.d/90-local.conf",
        "[Service]\nMemoryMaxx=1\n",
    );
    let report = verify(&bed);
    one(&report, "error", "90-local.conf:2: Unknown key");
    assert_eq!(report["ok"], false);
    bed.run(&["verify", SYSTEMD]).code(1);
    bed.run(&["verify", SYSTEMD, "kaze"]).code(1);
    bed.run(&["verify", SYSTEMD, "kage"]).success();
}

#[test]
fn a_packet_ring_is_pointed_out() {
    let bed = host("[agents.kaze.config]\npacket_ring = true\n");
    let report = verify(&bed);
    one(
        &report,
        "warning",
        "recon@kaze.service: with config.packet_ring its probes bypass nftables",
    );
    assert!(
        !found(&report, "warning")
            .iter()
            .any(|text| text.contains("may use AF_PACKET")),
        "{report}"
    );
}

#[test]
fn a_sandbox_that_was_opened_is_found() {
    let bed = host("");
    bed.write(
        "etc/systemd/system/recon@kage.service.d/90-local.conf",
        "[Service]\nUser=root\nProtectSystem=no\nSystemCallFilter=\nCapabilityBoundingSet=CAP_SYS_ADMIN\n\
         RestrictAddressFamilies=AF_PACKET\nIPAddressDeny=\n",
    );
    let report = verify(&bed);
    one(&report, "warning", "recon@kage.service: may use AF_PACKET");
    one(
        &report,
        "warning",
        "recon@kage.service: its IP firewall is open",
    );
    one(&report, "note", "recon@kage.service: keeps CAP_SYS_ADMIN");
    if analyze_is_here() {
        one(&report, "warning", "recon@kage.service: exposure");
        let units = report["exposure"].as_array().unwrap();
        let of = |unit: &str| units.iter().find(|e| e["unit"] == unit).unwrap().clone();
        assert_eq!(of("recon@kaze.service")["limit"], 2.5);
        assert_eq!(of("recon@hub.service")["limit"], 2.0);
        assert!(of("recon@hub.service")["score"].as_f64().unwrap() <= 2.0);
    }
}

#[test]
fn what_is_missing_on_the_host_is_found() {
    let bed = host(
        "[agents.kage.config]\nnmap = \"always\"\n[agents.mine]\nexec = [\"/opt/mine\"]\n\
              [agents.kumo.config]\nbrowser = true\n",
    );
    bed.write("etc/passwd", "root:x:0:0::/:\n");
    for gone in [
        "usr/lib/recon/recon-kaze",
        "usr/lib/recon/recon-sentinel",
        "usr/bin/nmap",
    ] {
        fs::remove_file(bed.root().join(gone)).unwrap();
    }
    bed.write(
        "etc/systemd/system/recon@hub.service.d/90-local.conf",
        "[Service]\nLoadCredential=token:/etc/recon/%i-token\nLoadCredential=other\n\
         LoadCredential=given:/none\nSetCredential=given:x\nUser=recon-hub\n",
    );
    let report = verify(&bed);
    one(&report, "error", "/usr/lib/recon/recon-kaze is missing");
    one(
        &report,
        "note",
        "recon@sentinel.service: its program is not installed; no profile",
    );
    one(
        &report,
        "note",
        "recon@mine.service: its program is not installed; no profile",
    );
    one(
        &report,
        "error",
        "Chromium is not installed, and config.browser is true",
    );
    one(
        &report,
        "error",
        "nmap is not installed, and config.nmap is \"always\"",
    );
    one(&report, "error", "there is no user \"recon\"");
    one(&report, "error", "there is no user \"recon-hub\"");
    one(
        &report,
        "error",
        "credential token: there is no /etc/recon/hub-token",
    );
    assert_eq!(found(&report, "error").len(), 6);
}

#[test]
fn a_broken_fleet_file_is_an_error_and_so_is_one_that_all_may_write() {
    let bed = host("");
    fs::set_permissions(bed.file(), fs::Permissions::from_mode(0o666)).unwrap();
    one(&verify(&bed), "error", "can be written by everybody");
    bed.write("etc/recon/recon.toml", "[fleet]\nprofil = 1\n");
    let report = verify(&bed);
    one(&report, "error", "recon.toml:2: fleet.profil: unknown key");
    assert_eq!(report["ok"], false);
}

#[test]
fn an_agent_can_be_looked_at_alone() {
    let bed = host("");
    let report = bed.json(&["verify", SYSTEMD, "kaze"]);
    let units: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| f["unit"].as_str())
        .collect();
    assert!(
        units.iter().all(|unit| *unit == "recon@kaze.service"),
        "{units:?}"
    );
    bed.run(&["verify", "kazee"])
        .code(4)
        .stderr(contains("no agent \"kazee\""));
}

#[test]
fn an_empty_machine_gets_a_report_too() {
    let bed = Bed::empty();
    bed.run(&["verify", SYSTEMD]).code(1).stdout(
        contains("recon@.service is not installed").and(contains("there is no user").not()),
    );
    let lines = bed.run(&["--jsonl", "verify", SYSTEMD]);
    for line in String::from_utf8_lossy(&lines.get_output().stdout).lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        assert!(finding["level"].is_string() && finding["area"].is_string());
    }
}

#[test]
fn three_hundred_agents_take_no_minutes() {
    let fleet: String = (0..300)
        .map(|n| format!("[agents.kaze-{n}]\nkind = \"kaze\"\n"))
        .collect();
    let bed = host(&fleet);
    let begun = std::time::Instant::now();
    let report = verify(&bed);
    // It takes a second; the limit is for a machine that is busy with other tests.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    assert_eq!(found(&report, "warning"), [""; 0]);
}
