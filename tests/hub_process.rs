//! The real program: killed, stopped, supervised, and driven by `reconctl`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

mod hub_support;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hub_support::text;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The program, listening; killed when dropped.
struct Hub {
    child: Child,
    url: String,
}

impl Hub {
    fn start(dir: &Path) -> Self {
        Self::with(dir, &[], &[])
    }

    fn with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(dir)
            .args(args)
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("address=")
                    .map(|(_, a)| a.trim().to_owned())
            })
            .expect("the hub did not start");
        // Its pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: format!("http://{address}"),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Most have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon-hub"));
    let database = format!("sqlite://{}", dir.join("state/hub.db").display());
    command
        .args(["--listen", "127.0.0.1:0", "--database", &database])
        .args(["--scope", "127.0.0.0/8", "--anonymous-loopback"])
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    command
}

fn reconctl(hub: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reconctl"))
        .args(["--hub", hub])
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn post(http: &reqwest::Client, url: &str, key: &str, body: &Value) -> Option<Value> {
    let request = http.post(url).header("Idempotency-Key", key).json(body);
    let response = request.send().await.ok()?;
    assert!(response.status().is_success(), "{}", response.status());
    response.json().await.ok()
}

#[tokio::test]
async fn kill_9_in_the_middle_loses_and_doubles_nothing() {
    const TARGETS: usize = 250;
    let dir = tempfile::tempdir().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut hub = Hub::start(dir.path());
    let targets: Vec<_> = (0..TARGETS)
        .map(|n| json!({ "target": format!("127.0.1.{n}") }))
        .collect();
    let added = post(
        &http,
        &format!("{}/api/targets", hub.url),
        "add",
        &json!({ "targets": targets }),
    )
    .await
    .unwrap();
    let bodies: Vec<_> = added["created"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| hub_support::scan(&text(&t["id"]), "kaze"))
        .collect();

    // Kill it each time that so many were acknowledged, with others under way.
    let mut acknowledged = vec![None; TARGETS];
    for kill_after in [20, 40, 60, usize::MAX] {
        let url = format!(
            "{}/reconnaissance/api/daemon/kaze/scan/?agent=kaze@a",
            hub.url
        );
        let (http, url, bodies) = (&http, &url, &bodies);
        let mut under_way: FuturesUnordered<_> = (0..TARGETS)
            .map(|n| async move { (n, post(http, url, &format!("key-{n}"), &bodies[n]).await) })
            .collect();
        let mut answers = 0;
        while let Some((n, answer)) = under_way.next().await {
            let Some(answer) = answer else { continue };
            let first = acknowledged[n].get_or_insert_with(|| answer.clone());
            assert_eq!(*first, answer);
            answers += 1;
            if answers == kill_after {
                hub.signal(Signal::KILL);
                hub.child.wait().unwrap();
            }
        }
        if kill_after == usize::MAX {
            assert_eq!(answers, TARGETS);
        } else {
            assert!(answers >= kill_after);
            hub = Hub::start(dir.path());
        }
    }
    let url = format!("{}/api/scans?limit=1000", hub.url);
    let list: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    let scans = list["scans"].as_array().unwrap();
    let records: std::collections::BTreeSet<_> =
        scans.iter().map(|s| text(&s["eggrecord_id"])).collect();
    assert_eq!((scans.len(), records.len()), (TARGETS, TARGETS));
}

#[test]
fn sigterm_ends_it_with_0_and_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut hub = Hub::start(dir.path());
        assert!(
            reconctl(&hub.url, &["targets", "add", "127.0.0.1"])
                .status
                .success()
        );
        hub.signal(signal);
        assert_eq!(hub.child.wait().unwrap().code(), Some(0));
        let files = std::fs::read_dir(dir.path().join("state")).unwrap().count();
        assert_eq!(files, 1, "the log was moved into the database");
    }
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(dir.path());
    let taken = hub.url.trim_start_matches("http://").to_owned();
    for (args, code, says) in [
        (vec!["--listen", &taken], 1, "another program"),
        (
            vec!["--database", "mysql://localhost/x"],
            78,
            "sqlite:///PATH",
        ),
        (vec!["--listen", "nowhere"], 78, "127.0.0.1:9000"),
        (
            vec!["--database", "sqlite:///proc/no/hub.db"],
            1,
            "/proc/no",
        ),
        (vec!["--scope", "10.0.0.0/99"], 2, "10.0.0.0/99"),
    ] {
        // The last of a repeated option counts with none: so leave out the usual ones.
        let mut command = Command::new(env!("CARGO_BIN_EXE_recon-hub"));
        if args[0] != "--listen" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if args[0] != "--database" {
            command.arg(format!(
                "--database=sqlite://{}",
                dir.path().join("x.db").display()
            ));
        }
        if args[0] != "--scope" {
            command.args(["--scope", "127.0.0.1"]);
        }
        let output = command.args(&args).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    let output = command(dir.path()).arg("--check-config").output().unwrap();
    assert!(output.status.success());
}

#[test]
fn the_database_can_come_as_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_recon-hub"))
            .args(["--check-config", "--fleet", "/dev/null"])
            .args(args)
            .env("CREDENTIALS_DIRECTORY", dir.path())
            .env("STATE_DIRECTORY", "/state")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        (output.status.code(), said)
    };
    let (code, said) = check(&[]);
    assert!(code == Some(0) && said.contains("/state/hub.db"), "{said}");
    std::fs::write(dir.path().join("database-url"), "sqlite:///secret/x.db\n").unwrap();
    let (code, said) = check(&[]);
    assert!(code == Some(0) && said.contains("/secret/x.db"), "{said}");
    // What somebody wrote down is stronger.
    let (_, said) = check(&["--database", "sqlite:///own.db"]);
    assert!(said.contains("/own.db"), "{said}");
    // A password is repeated nowhere.
    std::fs::write(dir.path().join("database-url"), "mysql://u:hunter2@db/x").unwrap();
    let (code, said) = check(&[]);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("database-url") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn it_tells_systemd_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let next = |has: &str| {
        let mut buffer = [0; 4096];
        loop {
            let n = socket
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("{has}: {e}"));
            let message = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if message.contains(has) {
                return message;
            }
        }
    };
    let env = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "400000"),
    ];
    let mut hub = Hub::with(dir.path(), &[], &env);
    let ready = next("READY=1");
    assert!(
        ready.contains("STATUS=0 targets, 0 leases, 0 scans; 0 agents"),
        "{ready}"
    );
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    hub.signal(Signal::HUP);
    let reloading = next("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    next("READY=1");
    hub.signal(Signal::TERM);
    next("STOPPING=1");
    assert_eq!(hub.child.wait().unwrap().code(), Some(0));
}

#[test]
fn reconctl_adds_lists_shows_and_removes() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(dir.path());
    let ctl = |args: &[&str]| reconctl(&hub.url, args);
    let added = ctl(&["targets", "add", "127.0.0.1", "127.0.0.2", "--group", "lab"]);
    assert_eq!(stdout(&added), "added 127.0.0.1\nadded 127.0.0.2\n");
    let again = ctl(&["targets", "add", "127.0.0.1"]);
    assert_eq!(stdout(&again), "known 127.0.0.1\n");

    let refused = ctl(&["targets", "add", "10.0.0.1", "127.0.0.3", "8.8.8.8"]);
    assert_eq!(refused.status.code(), Some(1));
    for line in [
        "10.0.0.1 is out of scope: no scope.allow",
        "8.8.8.8 is out of scope",
    ] {
        assert!(stderr(&refused).contains(line), "{}", stderr(&refused));
    }
    let bad = ctl(&["targets", "add", "http://x/"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        stderr(&bad).contains("give the host of the URL only"),
        "{}",
        stderr(&bad)
    );

    let file = dir.path().join("list");
    std::fs::write(&file, "# two\n127.0.0.4\n127.0.0.5 # web\n").unwrap();
    let imported = ctl(&["targets", "import", file.to_str().unwrap()]);
    assert_eq!(stdout(&imported), "added 2, known 0\n");

    let list: Value = serde_json::from_str(&stdout(&ctl(&["targets", "list", "--json"]))).unwrap();
    assert_eq!(list["targets"].as_array().unwrap().len(), 4);
    assert_eq!(list["targets"][0]["group"], "lab");
    let lines = stdout(&ctl(&["targets", "list", "--jsonl", "--limit", "3"]));
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(
        stdout(&ctl(&["targets", "rm", "127.0.0.4"])),
        "removed 127.0.0.4\n"
    );
    assert_eq!(ctl(&["targets", "rm", "127.0.0.4"]).status.code(), Some(1));
    let id = text(&list["targets"][3]["id"]);
    assert_eq!(stdout(&ctl(&["targets", "rm", &id])), "removed 127.0.0.5\n");
}

#[test]
fn reconctl_shows_scans() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(dir.path());
    let ctl = |args: &[&str]| reconctl(&hub.url, args);
    ctl(&["targets", "add", "127.0.0.1"]);
    let list: Value = serde_json::from_str(&stdout(&ctl(&["targets", "list", "--json"]))).unwrap();
    let body = json!({
        "eggrecord_id": list["targets"][0]["id"], "target": "127.0.0.1",
        "result": { "ports_scanned": 22, "hostname": "a.example.org", "host_state": "up",
            "host_state_reason": "syn-ack",
            "udp_counts": { "open": 1, "closed": 2, "filtered": 3, "unreachable": 0 },
            "open_ports": [{
            "port": 443, "service_name": "https", "service_product": "nginx",
            "service_info": "evil\u{1b}[31m\u{202e}banner",
            "tls": { "version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "certificate": {
                "subject": "CN=a", "issuer": "CN=a", "serial_number": "01",
                "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z",
                "self_signed": true, "sha256": "00" } } }] },
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/daemon/kaze/scan/", hub.url);
    runtime.block_on(post(&http, &url, "k", &body)).unwrap();

    let list: Value = serde_json::from_str(&stdout(&ctl(&["scans", "list", "--json"]))).unwrap();
    let scan = &list["scans"][0];
    for name in [
        "id",
        "target",
        "scan_type",
        "started_at",
        "finished_at",
        "ports_scanned",
    ] {
        assert!(!scan[name].is_null(), "{name}: {scan}");
    }
    for name in ["port", "protocol", "service", "product", "version", "cpe"] {
        assert!(!scan["open_ports"][0][name].is_null(), "{name}: {scan}");
    }
    let none: Value =
        serde_json::from_str(&stdout(&ctl(&["scans", "list", "--type", "x", "--json"]))).unwrap();
    assert_eq!(none, json!({ "scans": [] }));
    let table = stdout(&ctl(&["scans", "list", "--target", "127.0.0.1"]));
    assert!(
        table.contains("kaze_port_scan") && table.contains("443"),
        "{table}"
    );
    for by in ["127.0.0.1", scan["id"].as_str().unwrap()] {
        let shown = stdout(&ctl(&["scans", "show", by]));
        for part in [
            "443/tcp",
            "nginx",
            "TLSv1.3",
            "CN=a (self-signed)",
            "22 scanned",
            "hostname  a.example.org",
            "host      up (syn-ack)",
            "6 scanned: 1 open, 2 closed, 3 without an answer",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    }
    assert_eq!(ctl(&["scans", "show", "127.0.0.9"]).status.code(), Some(1));
}

#[test]
fn reconctl_says_when_there_is_no_hub() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for args in [["targets", "list"], ["scans", "list"]] {
        let output = reconctl(&url, &args);
        assert_eq!(output.status.code(), Some(6));
        assert!(stderr(&output).contains(&url), "{}", stderr(&output));
    }
    assert_eq!(
        reconctl("nowhere", &["targets", "list"]).status.code(),
        Some(2)
    );
}
