//! `reconctl config get | set | unset | edit` and `init`, as a user runs them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use predicates::prelude::*;
use predicates::str::contains;

mod cli_support;
use cli_support::Bed;

const FLEET: &str = "\
# ours
[scope]
allow = [\"10.0.0.0/8\", \"::1\"]   # both

[agents.kaze.config]
max_scans = 3   # a few
";

#[test]
fn get_prints_the_effective_value() {
    let bed = Bed::new(FLEET);
    for (key, value) in [
        ("agents.kaze.config.max_scans", "3\n"),
        ("agents.kaze.config.scan_interval", "15s\n"),
        ("agents.kaze.watchdog", "30s\n"),
        ("fleet.profile", "full\n"),
        ("scope.allow", "[\"10.0.0.0/8\", \"::1\"]\n"),
        ("agents.kaze.critical", "false\n"),
    ] {
        assert_eq!(bed.stdout(&["config", "get", key]), value, "{key}");
    }
    bed.run(&["config", "get", "agents.kaze.backoff"])
        .success()
        .stdout(contains("[agents.kaze.backoff]").and(contains("initial = \"1s\"")));
}

#[test]
fn get_says_where_a_value_is_from() {
    let bed = Bed::new(FLEET);
    let key = "agents.kaze.config.max_scans";
    bed.run(&["config", "get", "--origin", key])
        .success()
        .stdout(contains("3  # ").and(contains("recon.toml:6\n")));
    bed.run(&["config", "get", "--origin", "agents.kaze.config.retries"])
        .success()
        .stdout("2  # built in\n");
    let answer = bed.json(&["config", "get", key]);
    assert_eq!((&answer["key"], &answer["value"]), (&key.into(), &3.into()));
    assert!(answer["origin"].as_str().unwrap().ends_with("recon.toml:6"));
    bed.command(&["config", "get", "--origin", key])
        .env("KAZE_MAX_SCANS", "9")
        .assert()
        .stdout("9  # environment KAZE_MAX_SCANS\n");
}

#[test]
fn get_of_nothing_is_told_apart() {
    let bed = Bed::new(FLEET);
    bed.run(&["config", "get", "agents.kage.memory_max"])
        .stdout(predicates::str::is_empty().or(contains("M")));
    bed.run(&["config", "get", "agents.hub.config.database"])
        .code(1)
        .stderr(contains("agents.hub.config.database is not set"));
    bed.run(&["config", "get", "agents.kaze.config.max_scan"])
        .code(2)
        .stderr(contains("did you mean \"max_scans\"?"));
    bed.run(&["config", "get", "agents.kazee.watchdog"])
        .code(4)
        .stderr(contains("no agent \"kazee\""));
    bed.run(&["config", "get", "a..b"]).code(2);
}

#[test]
fn set_changes_one_value_and_no_other_byte() {
    let bed = Bed::new(FLEET);
    bed.run(&["config", "set", "agents.kaze.config.max_scans", "7"])
        .success()
        .stdout(
            contains("recon.toml:6: agents.kaze.config.max_scans = 7")
                .and(contains("it was 3 and is now 7"))
                .and(contains("\"reconctl apply\" puts it in force")),
        );
    assert_eq!(
        bed.text(),
        FLEET.replace("max_scans = 3 ", "max_scans = 7 ")
    );
    bed.run(&["config", "set", "agents.kaze.watchdog", "20s"])
        .success();
    assert_eq!(
        bed.stdout(&["config", "get", "agents.kaze.watchdog"]),
        "20s\n"
    );
    bed.run(&["config", "set", "agents.kaze.watchdog", "20s"])
        .success()
        .stdout(contains("nothing changed"));
    let report = bed.json(&["config", "set", "fleet.profile", "minimal"]);
    assert_eq!(
        (&report["changed"], &report["value"], &report["before"]),
        (&true.into(), &"minimal".into(), &"full".into())
    );
}

#[test]
fn a_value_that_is_not_valid_changes_nothing() {
    let bed = Bed::new(FLEET);
    for (args, message) in [
        (
            &["agents.kaze.config.max_scan", "7"][..],
            "recon.toml:7: agents.kaze.config.max_scan: unknown key \"max_scan\"; did you mean \"max_scans\"?",
        ),
        (
            &["agents.kaze.config.max_scans", "many"],
            "recon.toml:6: agents.kaze.config.max_scans: ",
        ),
        (&["agents.kaze.config.max_scans", "0"], "out of range"),
        (&["fleet.profile", "ful"], "did you mean \"full\"?"),
        (&["scop.allow", "::1"], "did you mean \"scope\"?"),
        (&["scope.allow", "not a name"], "neither an address"),
        (&["agents.kazee.critical", "true"], "did you mean \"kaze\"?"),
        (
            &["agents.kaze.depends_on", "kaze"],
            "cannot depend on itself",
        ),
        (&["fleet.hub", "a", "b"], "one value"),
        (
            &["scope.max_rate", "--append", "5"],
            "expected a whole number, found an array",
        ),
    ] {
        bed.run(&[&["config", "set"], args].concat())
            .code(2)
            .stderr(contains(message));
        assert_eq!(bed.text(), FLEET, "{args:?}");
    }
}

#[test]
fn a_new_agent_needs_one_call() {
    let bed = Bed::new(FLEET);
    bed.run(&["config", "set", "agents.kaze-dmz.kind", "kaze"])
        .success();
    bed.run(&["config", "set", "agents.kaze-dmz.config.ports", "22,80"])
        .success();
    assert!(bed.text().ends_with(
        "\n[agents.kaze-dmz]\nkind = \"kaze\"\n\n[agents.kaze-dmz.config]\nports = \"22,80\"\n"
    ));
    bed.run(&["config", "unset", "agents.kaze-dmz"]).success();
    assert_eq!(bed.text(), FLEET);
}

#[test]
fn lists_are_added_to_and_taken_from() {
    let bed = Bed::new(FLEET);
    let scope = |how: &str, what: &[&str]| {
        bed.run(&[&["config", "set", "scope.allow", how], what].concat())
    };
    scope("--append", &["10.20.0.0/16", "*.example.org"]).success();
    scope("--append", &["10.20.0.0/16"])
        .success()
        .stdout(contains("nothing changed"));
    scope("--remove", &["10.0.0.0/8"]).success();
    assert!(
        bed.text()
            .contains("allow = [\"::1\", \"10.20.0.0/16\", \"*.example.org\"]   # both\n")
    );
    scope("--remove", &["10.0.0.0/8"])
        .code(2)
        .stderr(contains("is not in scope.allow; there are"));
    // What the built-in default allows stays allowed when something is added to it.
    let bed = Bed::new("");
    bed.run(&["config", "set", "scope.allow", "--append", "10.0.0.0/8"])
        .success();
    assert_eq!(
        bed.text(),
        "[scope]\nallow = [\"127.0.0.0/8\", \"::1\", \"10.0.0.0/8\"]\n"
    );
}

#[test]
fn unset_goes_back_to_what_is_below() {
    let bed = Bed::new(FLEET);
    bed.run(&["config", "unset", "agents.kaze.config.max_scans"])
        .success()
        .stdout(contains("it was 3 and is now 10"));
    assert_eq!(bed.text(), FLEET.replace("max_scans = 3   # a few\n", ""));
    bed.run(&["config", "unset", "agents.kaze.config.max_scans"])
        .success()
        .stdout(contains("is not in").and(contains("nothing changed")));
    bed.run(&["config", "unset", "agents.kaze.config.max_scan"])
        .code(2)
        .stderr(contains("did you mean"));
}

#[test]
fn what_wins_over_the_file_is_told() {
    let bed = Bed::new(FLEET);
    bed.write(
        "etc/recon/recon.d/50-x.toml",
        "[agents.kaze.backoff]\nmax = \"9s\"\n",
    );
    bed.run(&[
        "config",
        "set",
        "agents.kaze.backoff",
        "{ initial = \"2s\", max = \"8s\" }",
    ])
    .success()
    .stdout(
        contains("warning: agents.kaze.backoff.max comes from")
            .and(contains("50-x.toml:2, which wins")),
    );
    bed.command(&["config", "set", "agents.kaze.config.max_scans", "4"])
        .env("KAZE_MAX_SCANS", "9")
        .assert()
        .success()
        .stdout(contains(
            "comes from environment KAZE_MAX_SCANS, which wins",
        ));
    let report = bed.json(&["config", "set", "agents.kaze.backoff.max", "7s"]);
    assert_eq!(report["overridden_by"][0]["key"], "agents.kaze.backoff.max");
}

#[test]
fn set_can_mend_a_broken_file() {
    let bed = Bed::new("[agents.kaze]\nwatchdog = \"soon\"\n");
    bed.run(&["config", "get", "agents.kaze.watchdog"]).code(2);
    bed.run(&["config", "set", "agents.kaze.watchdog", "9s"])
        .success();
    assert_eq!(bed.text(), "[agents.kaze]\nwatchdog = \"9s\"\n");
    let bed = Bed::new("[agents.kaze\n");
    bed.run(&["config", "set", "agents.kaze.watchdog", "9s"])
        .code(2)
        .stderr(contains("not valid TOML"));
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let bed = Bed::new(FLEET);
    bed.run(&[
        "config",
        "set",
        "--dry-run",
        "agents.kaze.config.max_scans",
        "7",
    ])
    .success()
    .stdout(contains(
        "-max_scans = 3   # a few\n+max_scans = 7   # a few\n",
    ));
    bed.run(&["config", "unset", "--dry-run", "scope"])
        .success()
        .stdout(contains("-[scope]"));
    assert_eq!(bed.text(), FLEET);
}

#[test]
fn mode_owner_and_links_stay() {
    let bed = Bed::new("");
    let real = bed.root().join("elsewhere.toml");
    fs::write(&real, FLEET).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let root = fs::metadata(&real).unwrap().uid() == 0;
    if root {
        std::os::unix::fs::chown(&real, Some(12), Some(34)).unwrap();
    }
    fs::remove_file(bed.file()).unwrap();
    symlink(&real, bed.file()).unwrap();
    bed.run(&["config", "set", "agents.kaze.config.max_scans", "7"])
        .success();
    assert!(bed.file().is_symlink());
    let meta = fs::metadata(&real).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o640);
    assert!(!root || (meta.uid(), meta.gid()) == (12, 34));
    fs::remove_file(bed.file()).unwrap();
    symlink("/dev/null", bed.file()).unwrap();
    bed.run(&["config", "set", "scope.max_rate", "7"])
        .code(1)
        .stderr(contains("masked"));
}

#[test]
fn two_at_once_both_count() {
    let bed = Bed::new(FLEET);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let bed = &bed;
            scope.spawn(move || {
                let net = format!("10.{n}.0.0/16");
                bed.run(&["config", "set", "scope.allow", "--append", &net])
                    .success();
            });
        }
    });
    let list = bed.stdout(&["config", "get", "scope.allow"]);
    for n in 0..8 {
        assert!(list.contains(&format!("10.{n}.0.0/16")), "{list}");
    }
    let left: Vec<_> = fs::read_dir(bed.root().join("etc/recon"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "nothing is left over");
}

#[test]
fn a_fleet_file_of_another_name_is_edited() {
    let bed = Bed::new("");
    bed.write("mine.toml", FLEET);
    let mine = bed.root().join("mine.toml");
    bed.run(&[
        "--fleet",
        mine.to_str().unwrap(),
        "config",
        "set",
        "scope.max_rate",
        "9",
    ])
    .success();
    assert!(fs::read_to_string(mine).unwrap().contains("max_rate = 9"));
    assert_eq!(bed.text(), "");
}

#[test]
fn an_editor_keeps_only_what_is_valid() {
    let bed = Bed::new(FLEET);
    let edit = |script: &str| {
        let script = format!("f() {{ {script}; }}; f");
        bed.command(&["config", "edit"])
            .env("EDITOR", script)
            .env("TMPDIR", bed.root())
            .assert()
    };
    edit("sed -i s/=.3/=7/ \"$1\"")
        .success()
        .stdout(contains("is written"));
    assert_eq!(bed.text(), FLEET.replace("= 3", "=7"));
    edit("true").success().stdout("nothing changed\n");
    let before = bed.text();
    edit("echo oops >\"$1\"")
        .code(2)
        .stderr(contains("not valid TOML").and(contains("what you wrote is in")));
    edit("false").code(1);
    assert_eq!(bed.text(), before);
}

#[test]
fn init_writes_a_fleet_file_that_is_valid_and_says_what_is_next() {
    let bed = Bed::empty();
    bed.run(&["init"])
        .success()
        .stdout(contains("reconctl apply"));
    bed.run(&["check"]).success();
    assert_eq!(bed.stdout(&["init", "--stdout"]), bed.text());
    // It says what holds without it.
    let with = bed.json(&["config", "show"]);
    let mut without = Bed::empty().json(&["config", "show"]);
    without["config"]["scope"] = with["config"]["scope"].clone();
    assert_eq!(with, without);
    bed.write("etc/recon/recon.toml", FLEET);
    bed.run(&["init"])
        .code(1)
        .stderr(contains("is there already; --force"));
    assert_eq!(bed.text(), FLEET);
    bed.run(&["init", "--force"]).success();
    assert_ne!(bed.text(), FLEET);
}
