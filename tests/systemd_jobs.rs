//! Jobs against a systemd that does things in awkward order.

mod systemd_fake;

use std::time::{Duration, Instant};

use recon::api::ExitCode;
use recon::systemd::{Bus, Error, ErrorKind, JobResult, Manager, Options};
use systemd_fake::{Fake, Out, Unit};

const KAZE: &str = "recon@kaze.service";

#[tokio::test]
async fn the_end_of_a_job_may_come_before_the_answer_to_its_call() {
    let fake = Fake::start();
    fake.on("StartUnit", |world, _| {
        world.put("kaze", Unit::running(42));
        vec![Out::JobRemoved(7, KAZE, "done"), Out::Job(7)]
    });
    let outcome = fake.manager().await.start(KAZE).await.unwrap();
    assert_eq!(outcome.result, JobResult::Done);
    assert_eq!(outcome.unit.pid, Some(42));
}

#[tokio::test]
async fn ends_of_other_jobs_are_not_ours() {
    let fake = Fake::start();
    fake.on("RestartUnit", |world, _| {
        world.jobs.insert(7);
        world.put("kaze", Unit::failed("exit-code", 1, 3));
        vec![
            Out::JobRemoved(6, KAZE, "canceled"),
            Out::Job(7),
            Out::JobRemoved(8, "recon@kumo.service", "done"),
            Out::JobRemoved(77, KAZE, "done"),
            Out::JobRemoved(7, KAZE, "failed"),
        ]
    });
    let outcome = fake.manager().await.restart(KAZE).await.unwrap();
    assert_eq!(outcome.result, JobResult::Failed);
    assert_eq!(outcome.reason(), "exit status 3");
}

#[tokio::test]
async fn a_daemon_reload_in_the_middle_keeps_the_job() {
    let fake = Fake::start();
    fake.on("StopUnit", |world, _| {
        world.jobs.insert(7);
        world.put("kaze", Unit::new("inactive", "dead"));
        vec![
            Out::Job(7),
            Out::Reloading(true),
            Out::UnitRemoved(KAZE),
            Out::UnitNew(KAZE),
            Out::Reloading(false),
            Out::JobRemoved(7, KAZE, "done"),
        ]
    });
    let outcome = fake.manager().await.stop(KAZE).await.unwrap();
    assert_eq!(outcome.result, JobResult::Done);
}

#[tokio::test]
async fn a_lost_end_is_read_off_the_unit() {
    for (unit, want) in [
        (Unit::running(1), JobResult::Done),
        (Unit::failed("signal", 2, 11), JobResult::Failed),
    ] {
        let fake = Fake::start();
        let mut unit = Some(unit);
        fake.on("StartUnit", move |world, _| {
            world.put("kaze", unit.take().unwrap());
            vec![Out::Job(7), Out::Reloading(true), Out::Reloading(false)]
        });
        let outcome = fake.manager().await.start(KAZE).await.unwrap();
        assert_eq!(outcome.result, want);
    }
}

#[tokio::test]
async fn a_signal_that_comes_just_before_the_job_is_gone_counts() {
    let fake = Fake::start();
    fake.on("StartUnit", |world, _| {
        world.jobs.insert(7);
        // The unit alone would say "done".
        world.put("kaze", Unit::running(1));
        vec![Out::Job(7)]
    });
    let mut looks = 0;
    fake.world().on_look = Some(Box::new(move |world, _| {
        looks += 1;
        if looks < 3 {
            return Vec::new();
        }
        world.jobs.clear();
        vec![Out::JobRemoved(7, KAZE, "timeout")]
    }));
    let outcome = fake.manager().await.start(KAZE).await.unwrap();
    assert_eq!(outcome.result, JobResult::Timeout);
}

#[tokio::test]
async fn a_flood_of_ends_does_not_hold_up_the_answer() {
    let fake = Fake::start();
    fake.on("StartUnit", |world, call| {
        world.put("kaze", Unit::running(1));
        world.put("kumo", Unit::running(2));
        let (id, unit) = match call.unit.as_str() {
            KAZE => (1, KAZE),
            _ => (2, "recon@kumo.service"),
        };
        let others = (100..1100).map(|id| Out::JobRemoved(id, "x.mount", "done"));
        others
            .chain([Out::JobRemoved(id, unit, "done"), Out::Job(id)])
            .collect()
    });
    let manager = fake.manager().await;
    let both =
        futures_util::future::try_join(manager.start(KAZE), manager.start("recon@kumo.service"));
    let (kaze, kumo) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap()
        .unwrap();
    assert!(kaze.is_done() && kumo.is_done());
}

#[tokio::test]
async fn a_failed_dependency_has_a_name() {
    let fake = Fake::start();
    fake.on("StartUnit", |world, _| {
        let requires = vec!["recon@hub.service", "sysinit.target"];
        world.put(
            "kaze",
            Unit::new("inactive", "dead").with("Requires", requires),
        );
        world.put("hub", Unit::failed("exit-code", 1, 78));
        world
            .units
            .insert("sysinit.target".to_owned(), Unit::new("active", "active"));
        vec![Out::JobRemoved(7, KAZE, "dependency"), Out::Job(7)]
    });
    let outcome = fake.manager().await.start(KAZE).await.unwrap();
    assert_eq!(outcome.result, JobResult::Dependency);
    assert_eq!(
        outcome.reason(),
        "it requires recon@hub.service, which failed"
    );
}

#[tokio::test]
async fn subscribing_twice_is_no_error() {
    let fake = Fake::start();
    fake.world().already_subscribed = true;
    fake.on("ReloadUnit", |world, _| {
        world.put("kaze", Unit::running(1));
        vec![Out::Job(7), Out::JobRemoved(7, KAZE, "done")]
    });
    assert!(fake.manager().await.reload(KAZE).await.unwrap().is_done());
}

#[tokio::test]
async fn refusals_have_kinds_and_exit_codes() {
    let rows = [
        (
            "org.freedesktop.DBus.Error.AccessDenied",
            ErrorKind::AccessDenied,
            ExitCode::NotPermitted,
        ),
        (
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            ErrorKind::AccessDenied,
            ExitCode::NotPermitted,
        ),
        (
            "org.freedesktop.systemd1.NoSuchUnit",
            ErrorKind::NoSuchUnit,
            ExitCode::NoSuchAgent,
        ),
        (
            "org.freedesktop.systemd1.UnitMasked",
            ErrorKind::Masked,
            ExitCode::Failure,
        ),
        (
            "org.freedesktop.systemd1.TransactionOrderIsCyclic",
            ErrorKind::Refused,
            ExitCode::Failure,
        ),
        (
            "org.freedesktop.DBus.Error.NoReply",
            ErrorKind::Other,
            ExitCode::Failure,
        ),
        (
            "org.freedesktop.DBus.Error.NameHasNoOwner",
            ErrorKind::Unreachable,
            ExitCode::SystemdUnreachable,
        ),
    ];
    let fake = Fake::start();
    let manager = fake.manager().await;
    for (name, kind, code) in rows {
        fake.on("StartUnit", move |_, _| {
            vec![Out::Error(name, "In its words.")]
        });
        let error = manager.start(KAZE).await.unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, code), "{name}");
        match kind {
            ErrorKind::AccessDenied => {
                assert!(error.to_string().contains("manage-units"), "{error}");
                assert!(
                    error.to_string().contains("starting recon@kaze.service"),
                    "{error}"
                );
            }
            ErrorKind::Refused => assert_eq!(error.to_string(), "In its words."),
            _ => {}
        }
    }
}

#[tokio::test]
async fn no_bus_no_answer_no_systemd_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let connect = |path: std::path::PathBuf| {
        Manager::connect(Options {
            bus: Bus::Address(format!("unix:path={}", path.display())),
            ..Options::default()
        })
    };
    let begun = Instant::now();
    let nothing = connect(dir.path().join("nothing")).await.unwrap_err();
    assert_eq!(nothing.exit_code(), ExitCode::SystemdUnreachable);
    assert!(nothing.to_string().contains("No such file"), "{nothing}");

    // It listens, and never says a word.
    let deaf = dir.path().join("deaf");
    let _listener = std::os::unix::net::UnixListener::bind(&deaf).unwrap();
    let deaf = connect(deaf).await.unwrap_err();
    assert!(matches!(deaf, Error::Unreachable { .. }), "{deaf}");

    let fake = Fake::start();
    fake.world().absent = true;
    let absent = fake.manager().await.unit(KAZE).await.unwrap_err();
    assert_eq!(absent.exit_code(), ExitCode::SystemdUnreachable);
    assert!(begun.elapsed() < Duration::from_secs(4));
}
