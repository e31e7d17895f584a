//! What an agent process tells systemd, read from a notification socket of our own: no systemd is
//! needed to see that the words and their order are right.
#![allow(clippy::unwrap_used)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest wait for a datagram; only a broken agent needs it.
const LIMIT: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    socket: UnixDatagram,
    home: TempDir,
}

impl Agent {
    /// Starts a sentinel that is alone in the world: nobody answers at its hub's address.
    fn start(settings: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        write_settings(home.path(), settings);
        Self::start_in(home)
    }

    fn start_in(home: TempDir) -> Self {
        let path = home.path().join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_recon-sentinel"))
            .args(["--hub", "http://127.0.0.1:1", "--root"])
            .arg(home.path())
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000")
            .env("STATE_DIRECTORY", home.path().join("state"))
            .env("RUNTIME_DIRECTORY", home.path())
            .env_remove("WATCHDOG_PID")
            .env_remove("RECON_AGENT")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            socket,
            home,
        }
    }

    /// The next datagram that contains this text; those before it are in `seen`.
    fn until(&self, text: &str, seen: &mut Vec<String>) -> String {
        let end = Instant::now() + LIMIT;
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            let n = self.socket.recv(&mut buffer).unwrap_or_else(|e| {
                panic!("no datagram with {text:?}: {e}; seen: {seen:?}");
            });
            let datagram = String::from_utf8(buffer[..n].to_vec()).unwrap();
            seen.push(datagram.clone());
            if datagram.contains(text) {
                return datagram;
            }
        }
        panic!("no datagram with {text:?}; seen: {seen:?}");
    }

    fn expect(&self, text: &str) -> String {
        self.until(text, &mut Vec::new())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> (ExitStatus, TempDir) {
        let status = self.child.wait().unwrap();
        (status, self.home)
    }
}

fn write_settings(root: &Path, settings: &str) {
    std::fs::create_dir_all(root.join("etc/recon")).unwrap();
    std::fs::write(root.join("etc/recon/recon.toml"), settings).unwrap();
}

const QUICK: &str = "[agents.sentinel.config]\nlog_interval = \"100ms\"\n";

#[test]
fn ready_comes_after_the_status_and_the_watchdog_after_that() {
    let agent = Agent::start(QUICK);
    let mut seen = Vec::new();
    agent.until("READY=1", &mut seen);
    let status = seen
        .iter()
        .find(|d| d.contains("STATUS="))
        .expect("a status before READY=1");
    assert!(status.contains("degraded: hub unreachable"), "{status}");
    agent.expect("WATCHDOG=1");
    agent.signal(Signal::TERM);
    agent.expect("STOPPING=1");
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_hung_work_loop_sends_no_watchdog_ping_though_signals_still_work() {
    let agent =
        Agent::start("[agents.sentinel.config]\nlog_interval = \"100ms\"\nhang_after = \"1ms\"\n");
    agent.expect("hanging");
    // Once the loop hangs, what arrives is what signal handlers send, and never a ping. Three
    // reloads are three chances for a free-running timer to betray itself.
    let mut seen = Vec::new();
    for _ in 0..3 {
        agent.signal(Signal::HUP);
        agent.until("RELOADING=1", &mut seen);
        agent.until("READY=1", &mut seen);
    }
    // Absence takes a wait: ten ping intervals of silence, ended by a failed read.
    agent
        .socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut buffer = [0; 4096];
    while let Ok(n) = agent.socket.recv(&mut buffer) {
        seen.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
    }
    let mut end = agent;
    end.child.kill().unwrap();
    assert!(
        !seen.iter().any(|d| d.contains("WATCHDOG=1")),
        "a hung loop pinged: {seen:?}"
    );
    end.end();
}

#[test]
fn reloading_carries_its_time_in_the_same_datagram() {
    let agent = Agent::start(QUICK);
    agent.expect("READY=1");
    agent.signal(Signal::HUP);
    let reloading = agent.expect("RELOADING=1");
    let usec = reloading
        .lines()
        .find_map(|l| l.strip_prefix("MONOTONIC_USEC="))
        .unwrap();
    assert!(usec.parse::<u64>().unwrap() > 0);
    agent.expect("READY=1");
    agent.signal(Signal::TERM);
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_bad_reload_keeps_the_old_settings() {
    let agent = Agent::start(QUICK);
    agent.expect("READY=1");
    write_settings(
        agent.home.path(),
        "[agents.sentinel.config]\nlog_intervall = \"1s\"\n",
    );
    agent.signal(Signal::HUP);
    agent.expect("RELOADING=1");
    agent.expect("READY=1");
    agent.expect("WATCHDOG=1");
    agent.signal(Signal::INT);
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_pause_outlives_a_restart() {
    let agent = Agent::start(QUICK);
    agent.expect("READY=1");
    agent.signal(Signal::USR1);
    agent.expect("STATUS=paused");
    agent.signal(Signal::TERM);
    let (_, home) = agent.end();

    let agent = Agent::start_in(home);
    let mut seen = Vec::new();
    agent.until("READY=1", &mut seen);
    assert!(seen.iter().any(|d| d.contains("STATUS=paused")), "{seen:?}");
    agent.signal(Signal::USR2);
    agent.expect("iteration");
    agent.signal(Signal::TERM);
    assert_eq!(agent.end().0.code(), Some(0));
}

#[test]
fn a_bad_configuration_is_exit_78_with_the_reason() {
    let agent = Agent::start("[agents.sentinel]\nwatchdgo = \"1s\"\n");
    let status = agent.expect("STATUS=");
    assert!(status.contains("bad configuration"), "{status}");
    assert_eq!(agent.end().0.code(), Some(78));
}
