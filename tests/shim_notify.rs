//! What recon-shim tells systemd about a program, read from a notification socket of our own, and
//! what it leaves of itself to the program: nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "the fake systemd is shared with other tests")]

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[path = "systemd_fake/mod.rs"]
mod systemd_fake;

use systemd_fake::Fake;

/// Longest wait for a datagram; only a broken shim needs it.
const LIMIT: Duration = Duration::from_secs(30);

/// A program under the shim. It is well as long as there is a file `well`.
struct Shim {
    child: Child,
    socket: UnixDatagram,
    home: TempDir,
}

impl Shim {
    /// Runs a shell script as the program.
    fn start(script: &str, bus: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::start_in(home, &["/bin/sh", "-c", script], bus)
    }

    fn start_in(home: TempDir, program: &[&str], bus: &str) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_recon-shim"))
            .args([
                "--exec=/bin/sh",
                "--exec=-c",
                "--exec=echo says so; test -e well",
            ])
            .args(["--interval=100ms", "--failures=2", "--"])
            .args(program)
            .current_dir(home.path())
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
            .env("WATCHDOG_PID", "1")
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus)
            .env("RECON_AGENT", "mine")
            .env_remove("MANAGERPID")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            socket,
            home,
        }
    }

    fn well(&self, well: bool) {
        let path = self.path("well");
        if well {
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The next datagram that contains this text; those before it are in `seen`.
    fn until(&self, text: &str, seen: &mut Vec<String>) -> String {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let datagram = self.next(text, seen);
            seen.push(datagram.clone());
            if datagram.contains(text) {
                return datagram;
            }
        }
        panic!("no datagram with {text:?}; seen: {seen:?}");
    }

    fn next(&self, wanted: &str, seen: &[String]) -> String {
        let mut buffer = [0; 4096];
        let n = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
            panic!("no datagram with {wanted:?}: {error}; seen: {seen:?}");
        });
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    fn expect(&self, text: &str) -> String {
        self.until(text, &mut Vec::new())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What program and prober wrote until both were gone: the prober holds the other end too.
    fn stderr(&mut self) -> String {
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NOBODY: &str = "unix:path=/nonexistent/bus";
const FOR_EVER: &str = "exec sleep 1000";

#[test]
fn ready_is_the_first_good_answer_and_each_good_answer_a_ping() {
    let mut shim = Shim::start(FOR_EVER, NOBODY);
    let mut seen = Vec::new();
    shim.until("STATUS=not ready yet", &mut seen);
    shim.well(true);
    let ready = shim.until("READY=1", &mut seen);
    assert!(
        ready.contains("STATUS=healthy: exit status 0 in "),
        "{ready}"
    );
    assert!(ready.contains(" ms: says so"), "{ready}");
    // Nothing counts before the first good answer.
    assert!(!seen.iter().any(|d| d.contains("WATCHDOG")), "{seen:?}");
    shim.expect("WATCHDOG=1");
    let ping = shim.expect("WATCHDOG=1");
    assert!(ping.contains("STATUS=healthy"), "{ping}");
    // The prober ends with the program, by whatever it ended.
    shim.signal(Signal::KILL);
    let log = shim.stderr();
    assert!(log.contains("ready: exit status 0"), "{log}");
    assert_eq!(shim.child.wait().unwrap().signal(), Some(9));
}

#[test]
fn the_program_takes_its_place() {
    let script = "env >env; cat /proc/self/comm >name; sed -n 's/SigIgn:\\s*//p' /proc/$$/status >ignored; \
                  ps -o pid= --ppid $$ >children; echo $$ >pid; read line <goon; exit 7";
    let shim = Shim::start(&format!("mkfifo goon; {script}"), NOBODY);
    shim.well(true);
    shim.expect("READY=1");
    let read = |name: &str| std::fs::read_to_string(shim.path(name)).unwrap_or_default();
    let end = Instant::now() + LIMIT;
    while read("pid").is_empty() {
        assert!(Instant::now() < end, "the program wrote nothing");
        std::thread::yield_now();
    }
    assert_eq!(read("pid").trim(), shim.child.id().to_string());
    let env = read("env");
    for ours in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        assert!(!env.contains(ours), "{env}");
    }
    assert!(env.contains("RECON_AGENT=mine"), "{env}");
    // As IgnoreSIGPIPE= has it.
    let ignored = u64::from_str_radix(read("ignored").trim(), 16).unwrap();
    assert_ne!(ignored & 1 << (Signal::PIPE.as_raw() - 1), 0);
    // ps itself, and no prober.
    assert_eq!(read("children").split_whitespace().count(), 1);
    std::fs::write(shim.path("goon"), "\n").unwrap();
    let mut shim = shim;
    assert_eq!(shim.child.wait().unwrap().code(), Some(7));
}

#[test]
fn too_many_bad_answers_trigger_the_watchdog() {
    let bus = Fake::start();
    bus.world().own_state = "active".to_owned();
    let shim = Shim::start(FOR_EVER, &bus.address());
    shim.well(true);
    shim.expect("READY=1");
    shim.expect("WATCHDOG=1");
    shim.well(false);
    let mut seen = Vec::new();
    let first = shim.until("STATUS=unhealthy", &mut seen);
    assert_eq!(first, "STATUS=unhealthy (1 of 2): exit status 1: says so\n");
    let second = shim.next("unhealthy (2 of 2)", &seen);
    assert_eq!(
        second,
        "STATUS=unhealthy (2 of 2): exit status 1: says so\n"
    );
    assert_eq!(shim.next("WATCHDOG=trigger", &seen), "WATCHDOG=trigger\n");
    // Well again before systemd has done anything: it pings again.
    shim.well(true);
    shim.expect("WATCHDOG=1");
}

#[test]
fn one_bad_answer_is_no_failure() {
    let shim = Shim::start(FOR_EVER, NOBODY);
    shim.well(true);
    shim.expect("READY=1");
    shim.well(false);
    shim.expect("STATUS=unhealthy (1 of 2)");
    shim.well(true);
    let mut seen = Vec::new();
    shim.until("WATCHDOG=1", &mut seen);
    assert!(!seen.iter().any(|d| d.contains("trigger")), "{seen:?}");
}

/// While the unit is being stopped, and when nobody can say whether it is: no trigger and no ping.
#[test]
fn a_program_that_is_being_stopped_is_left_alone() {
    let bus = Fake::start();
    bus.world().own_state = "deactivating".to_owned();
    for address in [bus.address(), NOBODY.to_owned()] {
        let mut shim = Shim::start(FOR_EVER, &address);
        shim.well(true);
        shim.expect("READY=1");
        shim.well(false);
        shim.expect("STATUS=unhealthy (1 of 2)");
        // Absence takes a wait: ten intervals, ended by a failed read.
        let wait = Some(Duration::from_secs(1));
        shim.socket.set_read_timeout(wait).unwrap();
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        while let Ok(n) = shim.socket.recv(&mut buffer) {
            seen.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        assert!(!seen.iter().any(|d| d.contains("WATCHDOG")), "{seen:?}");
        shim.signal(Signal::TERM);
        let log = shim.stderr();
        assert_eq!(
            log.contains("the watchdog will act"),
            address == NOBODY,
            "{log}"
        );
    }
}

#[test]
fn a_program_that_cannot_be_run_is_203_as_from_systemd() {
    let home = tempfile::tempdir().unwrap();
    let mut shim = Shim::start_in(home, &["/nonexistent/daemon", "--flag"], NOBODY);
    let status = shim.expect("cannot run");
    assert!(status.contains("/nonexistent/daemon"), "{status}");
    let log = shim.stderr();
    assert!(
        log.contains("recon-shim: cannot run \"/nonexistent/daemon\": No such file"),
        "{log}"
    );
    assert_eq!(shim.child.wait().unwrap().code(), Some(203));
}

#[test]
fn by_hand_there_is_nobody_to_tell() {
    let output = Command::new(env!("CARGO_BIN_EXE_recon-shim"))
        .args([
            "--http=http://127.0.0.1:1/",
            "--interval=1s",
            "--failures=1",
        ])
        .args(["--", "/bin/sh", "-c", "echo mine; exit 3"])
        .env_remove("NOTIFY_SOCKET")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"mine\n"[..], &b""[..])
    );
}
