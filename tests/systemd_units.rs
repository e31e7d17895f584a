//! What is read off units, and what is heard of them.

mod systemd_fake;

use std::time::Duration;

use futures_util::StreamExt;
use recon::fleet::AgentKind;
use recon::systemd::{AgentState, Event, JobResult, Who};
use systemd_fake::{Fake, Out, Unit};

const KAZE: &str = "recon@kaze.service";

fn busy() -> Unit {
    Unit::running(4242)
        .with("UnitFileState", "enabled")
        .with("ActiveEnterTimestamp", 1_795_239_660_123_456_u64)
        .with("FreezerState", "running")
        .with("InvocationID", (1..=16_u8).collect::<Vec<u8>>())
        .and("NRestarts", 2_u32)
        .and("StatusText", "scanning 10.20.0.7 (3/10)")
        .and("WatchdogUSec", 30_000_000_u64)
        .and("WatchdogTimestampMonotonic", 1_u64)
        .and("MemoryCurrent", 12_345_678_u64)
        .and("CPUUsageNSec", 1_500_000_000_u64)
        .and("IPIngressBytes", 10_u64)
        .and("IPEgressBytes", 20_u64)
        .and("Result", "success")
}

#[tokio::test]
async fn properties_become_a_state() {
    let fake = Fake::start();
    fake.world().put("kaze", busy());
    let unit = fake.manager().await.unit(KAZE).await.unwrap();
    assert_eq!((unit.name.as_str(), unit.kind), ("kaze", AgentKind::Kaze));
    assert_eq!(unit.state, AgentState::Running);
    assert_eq!((unit.pid, unit.restarts), (Some(4242), 2));
    assert_eq!(
        unit.since.unwrap().timestamp_micros(),
        1_795_239_660_123_456
    );
    assert_eq!(
        unit.status_text.as_deref(),
        Some("scanning 10.20.0.7 (3/10)")
    );
    assert_eq!(
        (unit.memory_bytes, unit.cpu_s),
        (Some(12_345_678), Some(1.5))
    );
    assert_eq!((unit.ip_in_bytes, unit.ip_out_bytes), (Some(10), Some(20)));
    assert_eq!(
        unit.invocation_id.as_deref(),
        Some("0102030405060708090a0b0c0d0e0f10")
    );
    // The last ping is as old as the machine is up: far beyond the limit.
    assert!(unit.watchdog_age_s.unwrap() > 0.0);
    assert_eq!(unit.watchdog_s, Some(30.0));
    assert_eq!(unit.last_error, None);
}

#[tokio::test]
async fn what_is_not_available_or_absent_is_nothing() {
    let fake = Fake::start();
    fake.world().put(
        "kaze",
        Unit::running(1)
            .and("MemoryCurrent", u64::MAX)
            .and("CPUUsageNSec", u64::MAX)
            .and("RestartUSecNext", u64::MAX)
            .and("WatchdogUSec", 0_u64)
            .and("WatchdogTimestampMonotonic", 5_u64)
            .and("StatusText", "")
            .and("NRestarts", "of another type"),
    );
    fake.world().put("bare", Unit::default());
    let manager = fake.manager().await;
    let unit = manager.unit(KAZE).await.unwrap();
    assert_eq!((unit.memory_bytes, unit.cpu_s), (None, None));
    assert_eq!((unit.watchdog_age_s, unit.next_restart_us), (None, None));
    assert_eq!((unit.status_text.as_deref(), unit.restarts), (None, 0));
    assert_eq!((unit.ip_in_bytes, unit.freezer_state), (None, None));
    assert!(unit.healthy);

    let bare = manager.unit("recon@bare.service").await.unwrap();
    assert_eq!(bare.state, AgentState::Stopped);
}

#[tokio::test]
async fn the_last_words_of_a_process_that_is_gone_are_not_its_status() {
    let fake = Fake::start();
    let gone = Unit::new("inactive", "dead").and("StatusText", "stopping: sending what waits");
    fake.world().put("kaze", gone);
    let unit = fake.manager().await.unit(KAZE).await.unwrap();
    assert_eq!(unit.status_text, None);
}

#[tokio::test]
async fn a_unit_that_does_not_exist_is_stopped() {
    let fake = Fake::start();
    let unit = fake
        .manager()
        .await
        .unit("recon@nope.service")
        .await
        .unwrap();
    assert_eq!(unit.load_state, "not-found");
    assert_eq!(unit.state, AgentState::Stopped);
    assert!(unit.last_error.unwrap().contains("reconctl apply"));
}

#[tokio::test]
async fn giving_up_is_seen_from_the_policy_and_the_count() {
    let burnt = |restarts: u32| {
        Unit::failed("exit-code", 1, 1)
            .with("StartLimitBurst", 6_u32)
            .and("Restart", "on-failure")
            .and("NRestarts", restarts)
    };
    let fake = Fake::start();
    fake.world().put("kaze", burnt(6));
    fake.world().put("kumo", burnt(5));
    let prevented = (vec![203_i32, 78], Vec::<i32>::new());
    let refused = Unit::failed("exit-code", 1, 78)
        .with("StartLimitBurst", 1_u32)
        .and("Restart", "on-failure")
        .and("NRestarts", 1_u32)
        .and("RestartPreventExitStatus", prevented);
    fake.world().put("suzu", refused);
    let manager = fake.manager().await;
    let kaze = manager.unit(KAZE).await.unwrap();
    assert!(kaze.restart_limit_reached);
    assert_eq!(
        kaze.last_error.as_deref(),
        Some(
            "exit status 1; restart limit reached; when the cause is gone, reconctl reset --force kaze"
        )
    );
    let kumo = manager.unit("recon@kumo.service").await.unwrap();
    assert_eq!(kumo.last_error.as_deref(), Some("exit status 1"));
    let suzu = manager.unit("recon@suzu.service").await.unwrap();
    assert_eq!(suzu.state, AgentState::ImportFailed);
    assert!(!suzu.restart_limit_reached);
}

#[tokio::test]
async fn the_list_merges_what_is_loaded_with_what_is_expected() {
    let fake = Fake::start();
    {
        let mut world = fake.world();
        world.put("kumo", Unit::running(2));
        world.put("kaze", busy());
        world.put("", Unit::running(3));
        world.put(
            "ghost",
            Unit::new("inactive", "dead").with("LoadState", "not-found"),
        );
    }
    let expected = ["recon@ryu.service".to_owned(), KAZE.to_owned()];
    let units = fake.manager().await.units(&expected).await.unwrap();
    let names: Vec<&str> = units.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(names, ["kaze", "kumo", "ryu"]);
}

#[tokio::test]
async fn an_agent_whose_wish_is_down_is_degraded() {
    let fake = Fake::start();
    let wants = |unit: Unit| unit.with("Wants", vec!["recon@hub.service", "network.target"]);
    {
        let mut world = fake.world();
        world.put("kaze", wants(Unit::running(1)));
        world.put("kumo", wants(Unit::new("inactive", "dead")));
        let mut hub = Unit::failed("signal", 2, 9);
        hub.loaded = false;
        world.put("hub", hub);
    }
    let manager = fake.manager().await;
    let units = manager.units(&[]).await.unwrap();
    assert_eq!(units[0].state, AgentState::Degraded);
    assert!(!units[0].healthy);
    assert_eq!(units[1].state, AgentState::Stopped);
    assert_eq!(
        manager.unit(KAZE).await.unwrap().state,
        AgentState::Degraded
    );

    fake.world().put("hub", Unit::running(9));
    assert_eq!(manager.unit(KAZE).await.unwrap().state, AgentState::Running);
}

#[tokio::test]
async fn the_version_is_a_number() {
    let fake = Fake::start();
    assert_eq!(fake.manager().await.version().await.unwrap(), 252);
    fake.world().version = "systemd".to_owned();
    assert!(fake.manager().await.version().await.is_err());
}

#[tokio::test]
async fn a_watch_sees_what_follows_a_signal() {
    let fake = Fake::start();
    fake.world().put("kaze", busy());
    fake.on("KillUnit", |world, call| {
        assert_eq!(call.signal, 10);
        world.put("kaze", busy().and("StatusText", "paused"));
        vec![Out::Changed(KAZE), Out::Done]
    });
    let manager = fake.manager().await;
    let watch = manager.watch(KAZE).await.unwrap();
    manager.kill(KAZE, 10, Who::Main).await.unwrap();
    let paused = |u: &recon::systemd::UnitState| u.state == AgentState::Paused;
    let (unit, done) = watch.until(paused, Duration::from_secs(20)).await.unwrap();
    assert!(done);
    assert_eq!(unit.status_text.as_deref(), Some("paused"));

    let watch = manager.watch(KAZE).await.unwrap();
    let (_, done) = watch.until(|u| !paused(u), Duration::ZERO).await.unwrap();
    assert!(!done);
}

#[tokio::test]
async fn events_leave_out_the_noise_of_a_reload() {
    let fake = Fake::start();
    fake.on("Reload", |_, _| {
        vec![
            Out::Reloading(true),
            Out::UnitRemoved(KAZE),
            Out::UnitNew(KAZE),
            Out::Reloading(false),
            Out::UnitNew("recon@kumo.service"),
            Out::UnitNew("cron.service"),
            Out::JobRemoved(3, "cron.service", "done"),
            Out::JobRemoved(4, KAZE, "canceled"),
            Out::UnitFilesChanged,
            Out::Done,
        ]
    });
    let manager = fake.manager().await;
    let events = manager.events().await.unwrap();
    manager.daemon_reload().await.unwrap();
    let seen: Vec<Event> = tokio::time::timeout(Duration::from_secs(20), events.take(5).collect())
        .await
        .unwrap();
    let unit = KAZE.to_owned();
    assert_eq!(
        seen,
        [
            Event::Reloading,
            Event::Reloaded,
            Event::Loaded {
                unit: "recon@kumo.service".to_owned()
            },
            Event::JobEnded {
                id: 4,
                unit,
                result: JobResult::Canceled
            },
            Event::UnitFilesChanged,
        ]
    );
}

#[tokio::test]
async fn changes_of_agents_are_events() {
    let fake = Fake::start();
    fake.on("ResetFailedUnit", |_, _| {
        vec![Out::Changed("cron.service"), Out::Changed(KAZE), Out::Done]
    });
    let manager = fake.manager().await;
    let mut events = manager.events().await.unwrap();
    manager.reset_failed(KAZE).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
    let unit = KAZE.to_owned();
    assert_eq!(event.unwrap(), Some(Event::Changed { unit }));
    assert_eq!(fake.world().calls, ["ResetFailedUnit recon@kaze.service"]);
}
