//! `recon-shim`: lets systemd watch a program that does not speak sd_notify.
//!
//! ```text
//! systemd ─starts─► recon-shim ─becomes (execve)──► /opt/mine/daemon      main process of the unit
//!                       └─► (ends) ─► recon-shim, the prober ──► asks it: HTTP or a command
//!                                         └─ READY=1, WATCHDOG=1, STATUS=…, WATCHDOG=trigger ─► systemd
//! ```
//!
//! The program takes the shim's place, so that its PID, signals, exit status and logs are its own and
//! systemd alone supervises it. The prober is no child of it (a process in between ends at once), and
//! ends when it does. A prober that dies pings no more: the watchdog acts, which is the safe side.
//!
//! * The first good answer is READY=1: dependents wait for it. Until then nothing counts against the
//!   program but TimeoutStartSec=.
//! * Each good answer is WATCHDOG=1, so that the watchdog counts from the last of them.
//! * After so many bad answers in a row WATCHDOG=trigger: systemd ends the program with the result
//!   `watchdog` and restarts it by its policy. Not while the unit is being stopped, when a program may
//!   well have closed its door; then the pings just cease.

mod judge;
mod launch;
mod options;
mod probe;
mod prober;

use clap::Parser;

use options::{Options, Role};

/// Runs the shim: the whole of its binary.
pub fn main() -> std::process::ExitCode {
    let options = Options::parse();
    match options.role {
        Role::Start => launch::start(&options),
        Role::Detach => launch::detach(&options),
        Role::Probe => prober::run(&options),
    }
}
