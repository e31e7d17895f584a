use std::convert::Infallible;
use std::ffi::{CString, NulError, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::options::{Options, Role};
use crate::runtime::notify::Notifier;

/// What systemd itself says of a program that it cannot run (systemd.exec(5)); the unit does not
/// try again after it.
const CANNOT_EXEC: u8 = 203;

/// What is meant for the prober and not for the program.
const OURS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Why the program does not run.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("cannot start the prober: {0}")]
    Prober(#[source] io::Error),
    #[error("cannot start the prober: it ended with {0}")]
    ProberEnded(std::process::ExitStatus),
    #[error("cannot run {program:?}: {source}")]
    Exec {
        program: OsString,
        source: io::Error,
    },
    #[error("a word of the command line or of the environment holds a NUL")]
    Nul(#[from] NulError),
}

/// Starts the prober and becomes the program.
pub fn start(options: &Options) -> ExitCode {
    // By hand there is nobody to tell, and so nothing to ask.
    let watched = std::env::var_os("NOTIFY_SOCKET").is_some();
    let prober = if watched {
        start_prober(options)
    } else {
        Ok(())
    };
    let Err(error) = prober.and_then(|()| become_program(&options.program));
    eprintln!("recon-shim: {error}");
    Notifier::default().status_now(&error.to_string());
    match error {
        LaunchError::Exec { .. } => CANNOT_EXEC.into(),
        _ => ExitCode::FAILURE,
    }
}

/// The process in between is waited for, so that the program begins without a child.
fn start_prober(options: &Options) -> Result<(), LaunchError> {
    // This process, which is about to become the program. As the prober's standard input it is
    // inherited and cannot be mistaken for another, however fast the program ends.
    let program = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(|error| LaunchError::Prober(error.into()))?;
    let status = this_program(options, Role::Detach)
        .and_then(|mut command| command.stdin(Stdio::from(program)).status())
        .map_err(LaunchError::Prober)?;
    match status.success() {
        true => Ok(()),
        false => Err(LaunchError::ProberEnded(status)),
    }
}

/// Starts the prober and ends.
pub fn detach(options: &Options) -> ExitCode {
    let started = this_program(options, Role::Probe).and_then(|mut command| command.spawn());
    match started {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recon-shim: cannot start the prober: {error}");
            ExitCode::FAILURE
        }
    }
}

fn this_program(options: &Options, role: Role) -> io::Result<Command> {
    let name = std::env::var("RECON_AGENT").unwrap_or_else(|_| "recon".to_owned());
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0(format!("{name}-recon-prober"))
        .args(options.arguments(role));
    Ok(command)
}

/// Not the standard library's `exec`, which gives the program a SIGPIPE that kills: systemd starts
/// services with one that is ignored (IgnoreSIGPIPE=), and the program is to find what it would
/// find without us.
fn become_program(program: &[OsString]) -> Result<Infallible, LaunchError> {
    let words: Vec<CString> = program
        .iter()
        .map(|word| CString::new(word.clone().into_vec()))
        .collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| !OURS.iter().any(|ours| name == ours))
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        })
        .collect::<Result<_, _>>()?;
    let path = words.first().cloned().unwrap_or_default();
    nix::unistd::execve(&path, &words, &environment).map_err(|error| LaunchError::Exec {
        program: program.first().cloned().unwrap_or_default(),
        source: error.into(),
    })
}
