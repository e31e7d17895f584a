//! Driving agents through the hub, as a browser or the earlier dashboards do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;
mod systemd_fake;

use std::collections::BTreeMap;

use hub_support::{Bed, heartbeat, live, scope};
use recon::hub::{AgentFacts, Live};
use reqwest::Method;
use serde_json::{Value, json};
use systemd_fake::{Fake, Out, Unit, World, value};

const KAGE: &str = "recon@kage.service";

fn fleet() -> Live {
    let facts = |critical, custom| AgentFacts { critical, custom };
    Live {
        agents: BTreeMap::from([
            ("hub".to_owned(), facts(true, false)),
            ("kage".to_owned(), facts(false, false)),
            ("mine".to_owned(), facts(false, true)),
        ]),
        ..live(scope(&["127.0.0.0/8"], &[]))
    }
}

async fn bed(fake: &Fake) -> Bed {
    Bed::on_bus(fleet(), &fake.address()).await
}

/// Jobs are done at once and end so.
fn obey(fake: &Fake) {
    for (method, after, pid) in [
        ("StartUnit", ("active", "running"), 42_u32),
        ("RestartUnit", ("active", "running"), 43),
        ("StopUnit", ("inactive", "dead"), 0),
    ] {
        fake.on(method, move |world: &mut World, _| {
            world.put("kage", Unit::new(after.0, after.1).and("MainPID", pid));
            vec![Out::Job(7), Out::JobRemoved(7, KAGE, "done")]
        });
    }
    fake.on("KillUnit", |world: &mut World, call| {
        let text = match call.signal {
            10 => "paused",
            _ => "waiting for work",
        };
        world.put("kage", Unit::running(42).and("StatusText", text));
        vec![Out::Done, Out::Changed(KAGE)]
    });
}

/// Those fields that the earlier server had, too.
fn earlier(body: &Value) -> Value {
    let keep = ["success", "status", "message", "error", "total_scans"];
    let fields = body.as_object().unwrap().iter();
    let fields = fields.filter(|(name, _)| keep.contains(&name.as_str()));
    Value::Object(fields.map(|(n, v)| (n.clone(), v.clone())).collect())
}

/// Method, path, status, the word in `status` (- for an error), message.
const ANSWERS: &str = "\
GET kage/status/ 200 stopped Kage is stopped
POST kage/pause/ 409 - kage is not running
POST kage/resume/ 409 - kage is not running
POST kage/kill/ 200 stopped kage is already stopped
POST kage/stop/ 200 stopped kage is already stopped
POST kage/start/ 200 running kage started successfully
POST kage/start/ 200 running kage is already running
GET kage/status/ 200 running Kage is running
POST kage/resume/ 200 running kage is already running
POST kage/pause/ 200 paused kage paused
GET kage/status/ 200 paused Kage is paused
POST kage/pause/ 200 paused kage is already paused
POST kage/resume/ 200 running kage resumed
POST kage/restart/ 200 running kage restarted successfully
POST kage/kill/ 200 stopped kage stopped successfully
POST kage/start/ 200 running kage started successfully
POST kage/stop/ 200 stopped kage stopped successfully
GET oak/status/ 404 - Invalid personality: oak
GET oak/logs/ 404 - Invalid personality: oak
POST oak/start/ 404 - Invalid personality: oak
POST all/stop/ 404 - Invalid personality: all
POST dbus.service/stop/ 404 - Invalid personality: dbus.service
GET kage/logs/?limit=0 400 - limit must be an integer from 1 to 1000
GET kage/start/ 405 - this path does not take this method; the Allow header says which it takes
POST hub/stop/ 409 - the hub cannot stop itself; use reconctl stop hub";

#[tokio::test]
async fn it_answers_as_the_earlier_server_with_the_right_status() {
    let fake = Fake::start();
    obey(&fake);
    fake.world().put("kage", Unit::new("inactive", "dead"));
    let bed = bed(&fake).await;
    for line in ANSWERS.lines() {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let (method, path, code) = (words[0], words[1], words[2].parse().unwrap());
        let want = match words[3] {
            "-" => json!({ "success": false, "error": words[4] }),
            status => json!({
                "success": true, "status": status, "message": words[4], "total_scans": 0,
            }),
        };
        for prefix in ["/reconnaissance/api", "/api"] {
            // What changes something is asked for once.
            if prefix == "/api" && code == 200 && method == "POST" {
                continue;
            }
            let request = bed.request(method.parse().unwrap(), &format!("{prefix}/{path}"));
            let (status, answer) = bed.send(request).await;
            assert_eq!(
                (status.as_u16(), earlier(&answer)),
                (code, want.clone()),
                "{line}"
            );
        }
    }
    let calls = fake.world().calls.join("; ");
    assert!(!calls.contains("oak") && !calls.contains("dbus"), "{calls}");
}

#[tokio::test]
async fn a_program_of_the_users_own_gets_no_signal() {
    let fake = Fake::start();
    obey(&fake);
    fake.world().put("mine", Unit::running(9));
    let bed = bed(&fake).await;
    let (status, body) = bed.post("/api/mine/pause", json!({})).await;
    assert_eq!(status, 409, "{body}");
    assert!(fake.world().calls.is_empty());
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let fake = Fake::start();
    fake.world().put("kage", Unit::new("inactive", "dead"));
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    fake.on("StartUnit", move |_, _| vec![Out::Error(denied, "no")]);
    let bed = bed(&fake).await;
    let (status, body) = bed.post("/api/kage/start", json!({})).await;
    assert_eq!(status, 403, "{body}");
    assert!(body["error"].as_str().unwrap().contains("polkit"), "{body}");
    fake.on("StartUnit", |world: &mut World, _| {
        world.put("kage", Unit::failed("exit-code", 1, 203));
        vec![Out::Job(8), Out::JobRemoved(8, KAGE, "failed")]
    });
    let (status, body) = bed.post("/api/kage/start", json!({})).await;
    assert_eq!(status, 409, "{body}");
    fake.world().put(
        "kage",
        Unit::new("inactive", "dead").with("LoadState", "masked"),
    );
    let (status, body) = bed.post("/api/kage/start", json!({})).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["error"].as_str().unwrap().contains("unmask"), "{body}");
}

#[tokio::test]
async fn without_a_bus_it_says_so_and_finds_it_when_it_comes() {
    let bed = Bed::start().await;
    for (method, path) in [
        (Method::GET, "/api/kage/status"),
        (Method::POST, "/api/kage/start"),
        (Method::POST, "/api/kage/kill"),
    ] {
        let (status, body) = bed.send(bed.request(method, path)).await;
        assert_eq!(status, 503, "{body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains("booted with systemd"), "{error}");
    }
    let fake = Fake::start();
    fake.world().put("kage", Unit::running(42));
    let bed = self::bed(&fake).await;
    assert_eq!(bed.get("/api/kage/status").await.1["status"], "running");
    fake.world().absent = true;
    assert_eq!(bed.get("/api/kage/status").await.0, 503);
    fake.world().absent = false;
    assert_eq!(bed.get("/api/kage/status").await.1["status"], "running");
}

#[tokio::test]
async fn a_bus_that_comes_back_is_found() {
    let fake = Fake::start();
    fake.world().put("kage", Unit::running(42));
    let bed = bed(&fake).await;
    assert_eq!(bed.get("/api/kage/status").await.0, 200);
    let socket = fake.socket();
    let directory = socket.parent().unwrap().to_owned();
    drop(fake);
    assert_eq!(bed.get("/api/kage/status").await.0, 503);
    std::fs::create_dir_all(&directory).unwrap();
    let again = Fake::start();
    again.world().put("kage", Unit::running(43));
    std::os::unix::fs::symlink(again.socket(), &socket).unwrap();
    let (status, body) = bed.get("/api/kage/status").await;
    assert_eq!((status.as_u16(), &body["pid"]), (200, &json!(43)), "{body}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn health_is_that_of_the_unit_and_of_its_heartbeat() {
    let fake = Fake::start();
    let bed = bed(&fake).await;
    let host = rustix::system::uname();
    let host = host.nodename().to_str().unwrap().to_owned();
    let path = "/reconnaissance/api/daemon/kage/health/";
    let long_ago = 1_000_000_u64;
    let running = || {
        Unit::running(4242)
            .with("ActiveEnterTimestamp", long_ago)
            .with("InvocationID", value(vec![1_u8; 16]))
    };
    fake.world().put("kage", running());
    let (status, body) = bed.get(path).await;
    assert_eq!(
        (status.as_u16(), &body["status"]),
        (503, &json!("unhealthy")),
        "{body}"
    );
    bed.post("/api/daemon/kage/heartbeat", heartbeat("kage", &host, &[]))
        .await;
    let (status, body) = bed.get(path).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        (&body["status"], &body["pid"], &body["functional"]),
        (&json!("healthy"), &json!(4242), &json!(true))
    );
    for (unit, word) in [
        (running().and("StatusText", "paused"), "paused"),
        (
            Unit::new("inactive", "dead").with("InvocationID", value(vec![1_u8; 16])),
            "stopped",
        ),
        (
            Unit::failed("exit-code", 1, 1).with("InvocationID", value(vec![1_u8; 16])),
            "unhealthy",
        ),
        // Another run, of which nothing was heard.
        (running().and("MainPID", 5), "unhealthy"),
    ] {
        fake.world().put("kage", unit);
        let (status, body) = bed.get(path).await;
        assert_eq!(
            (status.as_u16(), &body["status"]),
            (503, &json!(word)),
            "{body}"
        );
        assert_eq!(body["functional"], false);
    }
}

#[tokio::test]
async fn the_health_of_the_fleet() {
    let fake = Fake::start();
    let bed = bed(&fake).await;
    let enabled = |unit: Unit| unit.with("UnitFileState", "enabled");
    let host = rustix::system::uname();
    let beat = heartbeat("kage", host.nodename().to_str().unwrap(), &[]);
    bed.post("/api/daemon/kage/heartbeat", beat).await;
    fake.world().put("hub", enabled(Unit::running(1)));
    fake.world()
        .put("kage", enabled(Unit::running(4242).and("NRestarts", 3_u32)));
    let (status, health) = bed.get("/api/health").await;
    assert_eq!(status, 200);
    assert_eq!(health["overall"], "HEALTHY", "{health}");
    let all = health["daemons"].as_array().unwrap();
    let kage = all.iter().find(|d| d["name"] == "kage").unwrap();
    for (field, want) in [
        ("status", json!("RUNNING")),
        ("pid", json!(4242)),
        ("restarts", json!(3)),
        ("version", json!("0.1.0")),
        ("queue_depth", json!(0)),
        ("error_count", json!(0)),
        ("healthy", json!(true)),
        ("reason", Value::Null),
    ] {
        assert_eq!(kage[field], want, "{field}: {kage}");
    }
    for field in [
        "name",
        "version",
        "status",
        "pid",
        "startTime",
        "lastHeartbeat",
        "uptime",
        "memoryUsage",
        "cpuUsage",
        "restarts",
        "healthy",
        "reason",
        "last_activity",
        "queue_depth",
        "error_count",
    ] {
        assert!(kage.get(field).is_some(), "{field}: {kage}");
    }
    for field in [
        "startTime",
        "systemUptime",
        "criticalDaemonsUp",
        "criticalDaemons",
        "totalDaemons",
    ] {
        assert!(
            health[field].is_number() || health[field].is_string(),
            "{field}"
        );
    }
    fake.world()
        .put("kage", enabled(Unit::failed("exit-code", 1, 1)));
    assert_eq!(bed.get("/api/health").await.1["overall"], "DEGRADED");
    fake.world()
        .put("hub", enabled(Unit::new("inactive", "dead")));
    let (_, health) = bed.get("/api/health").await;
    assert_eq!(health["overall"], "CRITICAL");
    assert_eq!(
        (&health["criticalDaemonsUp"], &health["criticalDaemons"]),
        (&json!(0), &json!(1))
    );
}
