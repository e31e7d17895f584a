//! `reconctl` against a systemd that the test makes up: what it prints, what it answers, what it
//! calls.

#![allow(clippy::unwrap_used)] // also in the helpers

mod systemd_fake;

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;
use systemd_fake::{Fake, Out, Unit};

const KAZE: &str = "recon@kaze.service";

fn reconctl(fake: &Fake, args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("reconctl").unwrap();
    command
        .env_clear()
        .env("DBUS_SYSTEM_BUS_ADDRESS", fake.address())
        .env("TZ", "UTC")
        .arg("--root")
        .arg(fake.root())
        .args(args)
        .timeout(std::time::Duration::from_secs(30));
    command
}

fn json(fake: &Fake, args: &[&str]) -> Value {
    let output = reconctl(fake, args).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn status_json_has_the_promised_fields_and_no_others() {
    let fake = Fake::start();
    fake.world().put(
        "kaze",
        Unit::running(42)
            .with("UnitFileState", "enabled")
            .with("ActiveEnterTimestamp", 1_795_239_660_123_456_u64)
            .and("StatusText", "scanning \u{1b}[31m"),
    );
    let status = json(&fake, &["status", "kaze", "--json"]);
    let agents = status["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 1);
    let fields: Vec<&str> = agents[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut promised = [
        "name",
        "unit",
        "kind",
        "state",
        "active_state",
        "sub_state",
        "unit_file_state",
        "pid",
        "restarts",
        "since",
        "status_text",
        "watchdog_age_s",
        "memory_bytes",
        "cpu_s",
        "healthy",
        "last_error",
        // Beyond those of the first release.
        "load_state",
        "result",
        "next_restart_s",
        "restart_limit_reached",
        "watchdog_s",
        "ip_in_bytes",
        "ip_out_bytes",
        "depends_on",
    ];
    promised.sort_unstable();
    let mut fields = fields;
    fields.sort_unstable();
    assert_eq!(fields, promised);
    assert_eq!(agents[0]["state"], "RUNNING");
    assert_eq!(agents[0]["since"], "2026-11-21T05:41:00.123Z");
    assert_eq!(agents[0]["memory_bytes"], Value::Null);
    // For people, nothing that a terminal would act on.
    reconctl(&fake, &["status", "kaze", "--color", "never"])
        .assert()
        .success()
        .stdout(predicate::str::contains("scanning \\x1b[31m"));
}

#[test]
fn status_of_named_agents_is_a_test() {
    let fake = Fake::start();
    fake.world().put("kaze", Unit::running(42));
    fake.world().put("kumo", Unit::failed("exit-code", 1, 203));
    reconctl(&fake, &["status", "kaze"]).assert().code(0);
    reconctl(&fake, &["status", "kaze", "kumo"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("IMPORT_FAILED"));
    reconctl(&fake, &["status"])
        .assert()
        .code(0)
        .stdout(predicate::str::is_match("(?s)kumo .*kaze ").unwrap());
    reconctl(&fake, &["status", "recon@kaze.service"])
        .assert()
        .code(0);
    reconctl(&fake, &["status", "kazw"])
        .assert()
        .code(4)
        .stderr(predicate::str::contains("did you mean kaze?"));
}

#[test]
fn no_systemd_is_exit_69_and_advice() {
    let fake = Fake::start();
    fake.world().absent = true;
    for args in [["status", "kaze"], ["start", "kaze"], ["stop", "all"]] {
        reconctl(&fake, &args)
            .assert()
            .code(69)
            .stdout(predicate::str::is_empty().or(predicate::str::contains("systemd")));
    }
    reconctl(&fake, &["status"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .assert()
        .code(69)
        .stderr(predicate::str::contains("booted with systemd"));
}

#[test]
fn start_says_what_became_of_it() {
    let fake = Fake::start();
    fake.world().put("kaze", Unit::new("inactive", "dead"));
    fake.on("StartUnit", |world, _| {
        world.put("kaze", Unit::running(42));
        vec![Out::JobRemoved(7, KAZE, "done"), Out::Job(7)]
    });
    reconctl(&fake, &["start", "kaze"])
        .assert()
        .code(0)
        .stdout(predicate::str::starts_with("kaze: started (pid 42, "));
    reconctl(&fake, &["start", "kaze"])
        .assert()
        .code(0)
        .stdout("kaze: already running (pid 42)\n");
    assert_eq!(
        fake.world().calls,
        [
            "ResetFailedUnit recon@kaze.service",
            "StartUnit recon@kaze.service"
        ]
    );
}

#[test]
fn a_failed_start_says_why_and_where_to_look() {
    let fake = Fake::start();
    fake.world().put("kaze", Unit::new("inactive", "dead"));
    fake.on("StartUnit", |world, _| {
        world.put("kaze", Unit::failed("exit-code", 1, 78));
        vec![Out::Job(7), Out::JobRemoved(7, KAZE, "failed")]
    });
    reconctl(&fake, &["start", "kaze"])
        .assert()
        .code(1)
        .stdout(predicate::str::contains("bad configuration (exit 78)"))
        .stdout(predicate::str::contains("see: journalctl -u recon@kaze"));
    let results = json(&fake, &["start", "kaze", "--json"]);
    assert_eq!(results["agents"][0]["ok"], false);
    assert_eq!(results["agents"][0]["state"], "IMPORT_FAILED");
}

#[test]
fn one_of_two_may_fail_and_the_other_is_done() {
    let fake = Fake::start();
    fake.world().put("kaze", Unit::running(1));
    fake.world().put("kumo", Unit::running(2));
    fake.on("StopUnit", |world, call| {
        if call.unit == KAZE {
            let name = "org.freedesktop.DBus.Error.AccessDenied";
            return vec![Out::Error(name, "Permission denied")];
        }
        world.put("kumo", Unit::new("inactive", "dead"));
        vec![
            Out::Job(7),
            Out::JobRemoved(7, "recon@kumo.service", "done"),
        ]
    });
    reconctl(&fake, &["stop", "all"])
        .assert()
        .code(5)
        .stdout(predicate::str::contains(
            "org.freedesktop.systemd1.manage-units",
        ))
        .stdout(predicate::str::contains("kumo: stopped"));
    reconctl(&fake, &["stop", "kumo"])
        .assert()
        .code(0)
        .stdout("kumo: not running\n");
}

#[test]
fn pause_waits_until_the_agent_says_so() {
    let fake = Fake::start();
    fake.world().put("kaze", Unit::running(1));
    fake.on("KillUnit", |world, call| {
        let text = if call.signal == 10 { "paused" } else { "idle" };
        world.put("kaze", Unit::running(1).and("StatusText", text));
        vec![Out::Changed(KAZE), Out::Done]
    });
    let says = |verb: &str, text: &'static str| {
        reconctl(&fake, &[verb, "kaze"])
            .assert()
            .code(0)
            .stdout(text);
    };
    says("pause", "kaze: paused\n");
    says("pause", "kaze: already paused\n");
    says("resume", "kaze: resumed\n");
    says("resume", "kaze: not paused\n");
    fake.world().put("kaze", Unit::new("activating", "start"));
    reconctl(&fake, &["pause", "kaze"])
        .assert()
        .code(3)
        .stdout("kaze: not running (it is STARTING)\n");
}

#[test]
fn a_program_that_knows_no_signals_is_frozen() {
    let fake = Fake::start();
    fake.world().put("mine", Unit::running(1));
    let unit = "recon@mine.service";
    fake.on("FreezeUnit", move |world, _| {
        world.put("mine", Unit::running(1).with("FreezerState", "frozen"));
        vec![Out::Changed(unit), Out::Done]
    });
    fake.on("ThawUnit", move |world, _| {
        world.put("mine", Unit::running(1).with("FreezerState", "running"));
        vec![Out::Changed(unit), Out::Done]
    });
    reconctl(&fake, &["pause", "mine"]).assert().code(0);
    reconctl(&fake, &["resume", "mine"]).assert().code(0);
    let calls = [
        "FreezeUnit recon@mine.service",
        "ThawUnit recon@mine.service",
    ];
    assert_eq!(fake.world().calls, calls);
    // The watchdog goes on in the cold.
    let watched = Unit::running(1).and("WatchdogUSec", 1_000_000_u64);
    fake.world().put("mine", watched);
    reconctl(&fake, &["pause", "mine"]).assert().code(1);
    assert_eq!(fake.world().calls.len(), 2);
}

#[test]
fn a_hub_takes_no_pause() {
    let fake = Fake::start();
    fake.world().put("hub", Unit::running(1));
    reconctl(&fake, &["pause", "hub"]).assert().code(1);
    assert!(fake.world().calls.is_empty());
}

#[test]
fn reset_and_force() {
    let fake = Fake::start();
    fake.world().put(
        "kaze",
        Unit::failed("exit-code", 1, 1).and("NRestarts", 6_u32),
    );
    fake.on("ResetFailedUnit", |world, _| {
        world.put("kaze", Unit::new("inactive", "dead"));
        vec![Out::Done]
    });
    fake.on("StartUnit", |_, _| vec![Out::Job(7)]);
    reconctl(&fake, &["reset", "kaze"])
        .assert()
        .code(0)
        .stdout("kaze: cleared (was FAILED, restarts 6)\n");
    reconctl(&fake, &["start", "--force", "--no-wait", "kaze"])
        .assert()
        .code(0)
        .stdout("kaze: start queued\n");
    reconctl(&fake, &["stop", "--force", "kaze"])
        .assert()
        .code(2);
}

#[test]
fn masked_and_missing_units_are_told_apart() {
    let fake = Fake::start();
    fake.world().put(
        "kaze",
        Unit::new("inactive", "dead").with("LoadState", "masked"),
    );
    reconctl(&fake, &["start", "kaze"])
        .assert()
        .code(1)
        .stdout(predicate::str::contains("is masked"));
    reconctl(&fake, &["start", "kage"])
        .assert()
        .code(4)
        .stdout(predicate::str::contains("reconctl apply"));
}
