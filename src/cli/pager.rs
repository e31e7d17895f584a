//! Long output for people goes through a pager, as systemctl does it: only on a terminal, and not with
//! `--no-pager`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use super::{Global, output};

/// Standard output, or a pager in front of it.
#[derive(Debug)]
pub struct Pager(Option<Child>);

impl Pager {
    /// Starts a pager where one is wanted.
    pub fn open(global: &Global) -> Self {
        let machine = global.json || global.jsonl;
        if global.no_pager || machine || !io::stdout().is_terminal() {
            return Self(None);
        }
        let child = start();
        if child.is_some() {
            // Ctrl-C is for the pager; tokio's handler takes the place of dying for good.
            let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        }
        Self(child)
    }

    /// Standard output alone.
    pub fn none() -> Self {
        Self(None)
    }

    /// Prints text.
    ///
    /// # Errors
    /// It cannot be written; a pager that was left is a broken pipe.
    pub fn text(&mut self, text: &str) -> anyhow::Result<()> {
        match self.0.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(pager) => Ok(pager.write_all(text.as_bytes())?),
            None => output::text(text),
        }
    }
}

/// For what is written as it is made. It must be fit for a terminal.
impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(pager) => pager.write(bytes),
            None => io::stdout().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(pager) => pager.flush(),
            None => io::stdout().lock().flush(),
        }
    }
}

impl Drop for Pager {
    /// Waits until the user has left it; else the shell would write into it.
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Prints text through the pager.
///
/// # Errors
/// It cannot be written.
pub fn text(global: &Global, text: &str) -> anyhow::Result<()> {
    Pager::open(global).text(text)
}

fn start() -> Option<Child> {
    // Who runs this for another user must not be given that user's rights by a shell escape.
    let guarded =
        std::env::var_os("SUDO_UID").is_some() || std::env::var_os("PKEXEC_UID").is_some();
    let chosen = ["RECON_PAGER", "SYSTEMD_PAGER", "PAGER"]
        .into_iter()
        .find_map(std::env::var_os)
        .filter(|_| !guarded);
    match chosen {
        Some(command) => own(&command),
        None => default("less", guarded).or_else(|| default("more", guarded)),
    }
}

fn own(command: &OsString) -> Option<Child> {
    if command.is_empty() || command == "cat" {
        return None;
    }
    spawn(Command::new("sh").arg("-c").arg(command))
}

fn default(program: &str, guarded: bool) -> Option<Child> {
    if guarded && program != "less" {
        return None;
    }
    let mut command = Command::new(program);
    if guarded {
        command.env("LESSSECURE", "1");
    }
    spawn(&mut command)
}

fn spawn(command: &mut Command) -> Option<Child> {
    if std::env::var_os("LESS").is_none() {
        // As systemctl: quit when it fits on a page, keep colours and the screen.
        command.env("LESS", "FRSXMK");
    }
    command.env("LESSCHARSET", "utf-8");
    command.stdin(Stdio::piped()).spawn().ok()
}
