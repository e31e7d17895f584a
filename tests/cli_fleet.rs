//! The verbs check, render, diff, apply and config, as a user runs them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

struct Bed(tempfile::TempDir);

impl Bed {
    fn new(fleet: &str) -> Self {
        let bed = Self(tempfile::tempdir().unwrap());
        bed.set(fleet);
        bed
    }

    fn set(&self, fleet: &str) {
        let dir = self.root().join("etc/recon");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("recon.toml"), fleet).unwrap();
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::cargo_bin("reconctl").unwrap();
        command
            .env_clear()
            .arg("--root")
            .arg(self.root())
            .args(args)
            .assert()
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(&[&["--json"], args].concat());
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    }
}

const SYSTEMD: &str = "--target-systemd=252";

#[test]
fn check_prints_every_error_and_exits_2() {
    let bed = Bed::new("[fleet]\nprofil = 1\n[agents.kaze]\nwatchdog = \"soon\"\n");
    let file = format!("{}/etc/recon/recon.toml", bed.root().display());
    bed.run(&["check"]).code(2).stderr(
        contains(format!(
            "{file}:2: fleet.profil: unknown key \"profil\"; did you mean \"profile\"?"
        ))
        .and(contains(format!(
            "{file}:4: agents.kaze.watchdog: \"soon\" is not a length"
        ))),
    );
    let report = bed.json(&["check"]);
    assert_eq!(
        (&report["ok"], &report["errors"][1]["line"]),
        (&false.into(), &4.into())
    );
}

#[test]
fn check_of_a_good_file_exits_0_and_tells_what_is_lost() {
    let bed = Bed::new("");
    bed.run(&["check"])
        .success()
        .stdout(contains("no errors: 7 agents, profile \"full\""));
    bed.run(&["check", SYSTEMD])
        .success()
        .stdout(contains("no RestartSteps="));
    let report = bed.json(&["check", "--target-systemd=258"]);
    assert_eq!(
        (&report["ok"], &report["notes"]),
        (&true.into(), &serde_json::json!([]))
    );
}

#[test]
fn render_writes_what_it_prints() {
    let bed = Bed::new("");
    let printed = bed.run(&["render", SYSTEMD]).success();
    let printed = String::from_utf8(printed.get_output().stdout.clone()).unwrap();
    let out = bed.root().join("out");
    bed.run(&["render", SYSTEMD, "--out", out.to_str().unwrap()])
        .success();
    let text = fs::read_to_string(out.join("recon@kaze.service.d/50-recon.conf")).unwrap();
    assert!(printed.contains(&text));
    assert!(
        out.join("recon-full.target.wants/recon@kaze.service")
            .is_symlink()
    );
    assert!(
        !bed.root().join("etc/systemd").exists(),
        "render must change nothing else"
    );
}

#[test]
fn diff_exits_1_until_apply() {
    let bed = Bed::new("");
    bed.run(&["diff", SYSTEMD])
        .code(1)
        .stdout(contains("+++ b/recon@kaze.service.d/50-recon.conf"));
    bed.run(&["apply", SYSTEMD, "--dry-run"])
        .success()
        .stdout(contains("would change 10 files"));
    assert!(
        !bed.root().join("etc/systemd").exists(),
        "a dry run must write nothing"
    );
    bed.run(&["apply", SYSTEMD])
        .success()
        .stdout(contains("changed 10 files"));
    bed.run(&["diff", SYSTEMD]).success().stdout("");
    bed.run(&["apply", SYSTEMD])
        .success()
        .stdout(contains("nothing to do"));
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\n");
    bed.run(&["diff", SYSTEMD])
        .code(1)
        .stdout(contains("-MemoryMax=512M\n+MemoryMax=1G"));
}

#[test]
fn apply_to_run_leaves_etc_alone() {
    let bed = Bed::new("");
    bed.run(&["apply", SYSTEMD, "--runtime"]).success();
    assert!(
        bed.root()
            .join("run/systemd/system/recon-full.target")
            .exists()
    );
    assert!(!bed.root().join("etc/systemd").exists());
}

#[test]
fn a_broken_fleet_file_leaves_everything_as_it_is() {
    let bed = Bed::new("");
    bed.run(&["apply", SYSTEMD]).success();
    let unit = bed
        .root()
        .join("etc/systemd/system/recon@kaze.service.d/50-recon.conf");
    let before = fs::metadata(&unit).unwrap().modified().unwrap();
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\nwatchdog = true\n");
    for verb in ["apply", "diff", "render"] {
        bed.run(&[verb, SYSTEMD])
            .code(2)
            .stderr(contains("recon.toml:3: agents.kaze.watchdog"));
    }
    assert_eq!(fs::metadata(&unit).unwrap().modified().unwrap(), before);
}

#[test]
fn config_show_tells_values_and_origins() {
    let bed = Bed::new("[agents.kaze.config]\nmax_scans = 3\n");
    bed.run(&["config", "show", "kaze", "--origin"])
        .success()
        .stdout(
            predicates::str::is_match(r"(?m)^max_scans = 3 +# .*/etc/recon/recon\.toml:2$")
                .unwrap()
                .and(predicates::str::is_match(r"(?m)^critical = false +# built in$").unwrap()),
        );
    let shown = bed.json(&["config", "show", "kaze", "--origin"]);
    assert_eq!(
        shown["config"]["agents"]["kaze"]["config"]["scan_interval"],
        "15s"
    );
    assert_eq!(shown["origins"].as_object().unwrap().len(), 1);
    bed.run(&["config", "show", "kazee"])
        .code(4)
        .stderr(contains("no agent \"kazee\""));
    let all = bed.run(&["config", "show"]).success();
    bed.set(&String::from_utf8(all.get_output().stdout.clone()).unwrap());
    bed.run(&["check"]).success();
}

#[test]
fn an_unreadable_version_says_what_to_do() {
    let bed = Bed::new("");
    bed.run(&["render", "--target-systemd=new"])
        .code(2)
        .stderr(contains("give a number such as 252"));
    let mut command = Command::cargo_bin("reconctl").unwrap();
    command
        .env_clear()
        .env("PATH", "/nonexistent")
        .arg("--root")
        .arg(bed.root());
    command
        .arg("render")
        .assert()
        .code(69)
        .stderr(contains("name the version with --target-systemd"));
}
