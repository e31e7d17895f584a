//! What keeps the real program from starting, and what it does with a tight limit of open files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends with the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

fn hub() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon-hub"));
    command
        .args(["--listen", "127.0.0.1:0", "--scope", "127.0.0.0/8"])
        .arg("--anonymous-loopback")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("CREDENTIALS_DIRECTORY");
    command
}

fn on(dir: &Path) -> Command {
    let mut command = hub();
    let database = format!("sqlite://{}", dir.join("hub.db").display());
    command.args(["--database", &database]);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A hub that runs; killed when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("address=")?.1.trim().to_owned()))
            .expect("the hub did not start");
        // Its pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Most have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both a start and a mere check must say so, with the code that keeps systemd from trying again.
#[test]
fn what_can_never_work_is_bad_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let cert = file("cert.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let garbage = file("garbage", "garbage");
    let others = file("other.pem", &other.signing_key.serialize_pem());
    let own = format!("sqlite://{}", dir.path().join("hub.db").display());
    let directory = format!("sqlite://{}", dir.path().display());
    let tls = |database: &str, cert: &str, key: &str| {
        let parts = ["--database", database, "--tls-cert", cert, "--tls-key", key];
        parts.map(str::to_owned).to_vec()
    };
    let database = |url: &str| vec!["--database".to_owned(), url.to_owned()];
    let cases = [
        (tls(&own, "/nope", &key), "/nope"),
        (tls(&own, &cert, &garbage), "garbage"),
        (tls(&own, &garbage, &key), "garbage"),
        (
            tls(&own, &cert, &others),
            "TLS: the certificate cannot be used",
        ),
        (database("postgres://u:secret@h:bad/x"), "port"),
        (database("postgres://u:secret@h/x?sslmode=bogus"), "bogus"),
        (database(&directory), "is a directory"),
    ];
    for (args, says) in cases {
        for check in [&["--check-config"][..], &[]] {
            let output = hub().args(&args).args(check).output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(78), "{args:?} {check:?}: {said}");
            assert!(said.contains(says), "{args:?}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
    let good = hub()
        .args(tls(&own, &cert, &key))
        .arg("--check-config")
        .output()
        .unwrap();
    assert!(good.status.success(), "{}", stderr(&good));
}

#[test]
fn one_hub_for_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(&mut on(dir.path()));
    let second = on(dir.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = stderr(&second);
    assert!(said.contains("another hub has the database"), "{said}");
    assert!(said.contains("reconctl stop hub"), "{said}");
    // The first does not mind, and its end, even by force, makes room.
    first.end(Signal::KILL);
    let next = Running::start(&mut on(dir.path()));
    next.end(Signal::TERM);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Running::start(&mut on(dir.path())).end(Signal::TERM);
}

/// As many connections as the hub has files.
#[test]
fn few_files_do_not_make_it_deaf() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""]);
    let hub = on(dir.path());
    limited.arg(hub.get_program()).args(hub.get_args());
    limited.arg("--control-socket").arg(&socket);
    let running = Running::start(&mut limited);
    let crowd: Vec<_> = (0..250)
        .map(|_| TcpStream::connect(&running.address).unwrap())
        .collect();
    let mut control = UnixStream::connect(&socket).unwrap();
    control
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    control
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    control.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(crowd);
    running.end(Signal::TERM);
}

/// The soft limit is for programs that cannot do with more.
#[test]
fn it_takes_the_files_that_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 100; exec \"$0\" \"$@\""]);
    let hub = on(dir.path());
    limited.arg(hub.get_program()).args(hub.get_args());
    let running = Running::start(&mut limited);
    let limits = format!("/proc/{}/limits", running.child.id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap();
    let numbers: Vec<_> = files.split_ascii_whitespace().collect();
    assert_eq!(numbers[0], numbers[1], "soft and hard");
    running.end(Signal::TERM);
}
