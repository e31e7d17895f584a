use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::BrowserOptions;
use super::connection::{CallError, Connection};

/// Names of Chromium's program, in the order in which they are looked for.
pub const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Debian's `chromium` is a script before it, which adds settings that nobody needs here and stops where
/// `/proc/cpuinfo` is hidden, as it is from sandboxed services.
const BEHIND: (&str, &str) = ("/usr/bin/chromium", "/usr/lib/chromium/chromium");

/// Time for it to start. A second is usual, and some when the machine is busy or the disk is cold.
const START: Duration = Duration::from_secs(30);

/// Bytes of shared memory that do for a few pages.
const SHARED: u64 = 512 * 1024 * 1024;

/// Bytes of what it complains of that are kept, the last.
const COMPLAINTS: usize = 8 * 1024;

/// Pixels of the window: what most screens have at least.
pub(super) const WIDTH: u32 = 1280;
pub(super) const HEIGHT: u32 = 800;

/// Whom Chromium runs as when this is root: it refuses to put up its sandbox as root, and without one a
/// page that breaks out of its process would own the machine. The number of Debian's and most others'
/// `nobody`.
const NOBODY: u32 = 65534;

/// How often its directory is removed again while its processes end, and the wait between.
const REMOVALS: u32 = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(10);

/// The protocol goes over descriptors 3 and 4, which a shell puts there; what it runs has no more memory
/// than `$0` KiB.
const SHELL: &str = r#"ulimit -d "$0" && exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// Whatever the page tries, nothing leaves it but by what answers the stopped requests. Chromium does
/// not ask a proxy for loopback addresses unless told so.
const NO_NETWORK: [&str; 6] = [
    "--proxy-server=http://127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
];

/// No window, nothing of its own will. Frames of other sites stay in the page's process, so that there
/// is one place where requests are stopped. `http` is asked for as `http`.
const QUIET: [&str; 18] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--no-default-browser-check",
    "--no-pings",
    "--mute-audio",
    "--password-store=basic",
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,site-per-process,HttpsUpgrades,\
     HttpsFirstBalancedModeAutoEnable,HttpsFirstModeV2,OptimizationHints,MediaRouter",
];

/// The system's Chromium.
///
/// # Errors
///
/// There is none; the text says what to install.
pub fn find() -> Result<PathBuf, String> {
    let found = find_in(std::env::var_os("PATH").unwrap_or_default())?;
    let (script, program) = BEHIND;
    Ok(
        match found == Path::new(script) && is_program(Path::new(program)) {
            true => PathBuf::from(program),
            false => found,
        },
    )
}

fn find_in(path: OsString) -> Result<PathBuf, String> {
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut candidates = NAMES.iter().flat_map(|name| {
        directories
            .iter()
            .map(move |directory| directory.join(name))
    });
    candidates.find(|program| is_program(program)).ok_or_else(|| {
        format!(
            "browser mode needs Chromium, and none of {} is in PATH: install the package chromium",
            NAMES.join(", ")
        )
    })
}

fn is_program(path: &Path) -> bool {
    path.is_absolute()
        && path
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A Chromium that runs. It is killed with all of its processes, and its directory removed, when this
/// is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) connection: Connection,
    /// Kills it should its group not be killed.
    _child: Child,
    /// It is the leader of its own.
    group: Option<Pid>,
    home: Option<TempDir>,
}

impl Process {
    pub(super) async fn start(program: &Path, options: &BrowserOptions) -> Result<Self, String> {
        let name = program.display().to_string();
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let home = home().map_err(failed)?;
        let mut child = command(program, home.path(), options)
            .spawn()
            .map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(complaints)) = pipes else {
            return Err(format!("{name}: no pipes"));
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen(complaints, Arc::clone(&heard)));
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let process = Self {
            connection: Connection::new(output, input),
            _child: child,
            group: id.and_then(Pid::from_raw),
            home: Some(home),
        };
        match timeout(START, process.greet()).await {
            Ok(Ok(())) => Ok(process),
            Ok(Err(CallError::Refused(why))) => Err(format!("{name}: {why}")),
            Ok(Err(CallError::Lost)) => {
                let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                Err(format!("{name} does not start: {}", complaint(&heard)))
            }
            Err(_) => Err(format!("{name} did not start within {} s", START.as_secs())),
        }
    }

    /// It answers, and tells of windows from now on.
    async fn greet(&self) -> Result<(), CallError> {
        let call = |method, params| self.connection.call(None, method, params);
        call("Browser.getVersion", json!({})).await?;
        call("Target.setDiscoverTargets", json!({"discover": true})).await?;
        Ok(())
    }

    /// Its directory.
    #[cfg(test)]
    pub(super) fn home(&self) -> &Path {
        self.home.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Ends it, whatever it does.
    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let Some(home) = self.home.take().map(TempDir::keep) else {
            return;
        };
        // Those that are ending may still write there.
        for _ in 0..REMOVALS {
            match std::fs::remove_dir_all(&home) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(BETWEEN_REMOVALS);
                }
                _ => return,
            }
        }
    }
}

/// A directory for Chromium alone.
fn home() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("recon-browser-");
    if !geteuid().is_root() {
        return builder.tempdir();
    }
    // Root's own directory for temporary files may be shut to everybody else.
    let home = builder.tempdir_in("/tmp")?;
    std::os::unix::fs::chown(home.path(), Some(NOBODY), Some(NOBODY))?;
    Ok(home)
}

fn command(program: &Path, home: &Path, options: &BrowserOptions) -> Command {
    let mut command = Command::new("/bin/sh");
    let memory = u64::from(options.memory) * 1024;
    command.args(["-c", SHELL]).arg(memory.to_string());
    command.arg(program).args(QUIET).args(NO_NETWORK);
    command.arg(format!("--window-size={WIDTH},{HEIGHT}"));
    let mut data = OsString::from("--user-data-dir=");
    data.push(home.join("profile"));
    command.arg(data);
    if !options.user_agent.is_empty() {
        command.arg(format!("--user-agent={}", options.user_agent));
    }
    if is_small(Path::new("/dev/shm")) {
        command.arg("--disable-dev-shm-usage");
    }
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // Neither the user's settings nor secrets of this process, nor the buses of the system.
    command.env_clear();
    for name in ["PATH", "LANG", "LC_ALL", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for name in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"] {
        command.env(name, home);
    }
    for name in ["DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"] {
        command.env(name, "unix:path=/dev/null");
    }
    command.current_dir(home);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command.process_group(0);
    command.kill_on_drop(true);
    command
}

/// Pictures of pages are handed on there. Where there is little room, as in containers, files do.
fn is_small(shared: &Path) -> bool {
    rustix::fs::statvfs(shared).is_ok_and(|at| at.f_bavail * at.f_frsize < SHARED)
}

/// Keeps the last of what it complains of.
async fn listen(mut from: ChildStderr, heard: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend_from_slice(&buffer[..count]);
        let over = heard.len().saturating_sub(COMPLAINTS);
        heard.drain(..over);
    }
}

/// What it said last, but for what always stands there: that there is no bus, and how the report of a
/// crash went.
fn complaint(heard: &[u8]) -> String {
    let text = String::from_utf8_lossy(heard);
    let mut lines = text.lines().rev().map(str::trim);
    let idle = |line: &str| line.is_empty() || line.contains("dbus/") || line.contains("crashpad/");
    let last = lines.find(|line| !idle(line));
    let last = last.unwrap_or("it says nothing");
    last.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let error = find_in(empty.path().into()).unwrap_err();
        assert!(error.contains("install the package chromium"), "{error}");
        let program = empty.path().join("chromium");
        std::fs::write(&program, "").unwrap();
        assert!(find_in(empty.path().into()).is_err(), "not executable");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(find_in(empty.path().into()), Ok(program));
    }

    #[test]
    fn the_last_complaint_that_says_something() {
        let heard = b"[1] FATAL: No usable sandbox!\n[1:1:ERROR:dbus/bus.cc:405] no bus\n\n";
        assert_eq!(complaint(heard), "[1] FATAL: No usable sandbox!");
        assert_eq!(complaint(b""), "it says nothing");
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_told_of_with_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("chromium");
        std::fs::write(&program, "#!/bin/sh\necho no display >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let error = Process::start(&program, &BrowserOptions::default()).await;
        let error = error.unwrap_err();
        assert!(error.contains("does not start"), "{error}");
    }
}
