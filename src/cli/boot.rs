//! `recon-generator`: the unit files of the fleet at boot, as systemd.generator(7) has it.
//!
//! It runs before anything else does: no D-Bus, no network, no /var, no subprocess; it writes below
//! the one directory that it is given, and the rest of what systemd reads stays as it is.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{env, process};

use super::user;
use crate::api::ExitCode;
use crate::fleet::{self, Diagnostics, Sources};
use crate::units::{self, BASELINE, Mode, RenderContext, Supervisor, SystemdVersion};

const USAGE: &str = "\
Usage: recon-generator NORMAL_DIR [EARLY_DIR LATE_DIR]
       recon-generator --refuse

Writes the unit files that the fleet file means below NORMAL_DIR. systemd runs it at boot and at every
daemon-reload once \"reconctl generator enable\" has been run. --refuse is what agents run in place of
their program while the fleet file has errors: it prints them and exits with 78.";

/// Read the fleet below this directory instead of / (tests).
const ROOT: &str = "RECON_ROOT";

/// Runs `recon-generator`.
pub fn main() -> process::ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let code = match args.as_slice() {
        [arg] if arg == "--refuse" => refuse(),
        [arg] if arg == "--help" || arg == "-h" => {
            println!("{USAGE}");
            ExitCode::Ok
        }
        [normal] | [normal, _, _] if !normal.to_string_lossy().starts_with('-') => {
            generate(Path::new(normal))
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::Usage
        }
    };
    code.into()
}

fn generate(dir: &Path) -> ExitCode {
    // The initrd has neither fleet nor agents; there is another run after it.
    if env::var("SYSTEMD_IN_INITRD").is_ok_and(|is| matches!(is.as_str(), "1" | "yes" | "true")) {
        return ExitCode::Ok;
    }
    let supervisor = match env::var("SYSTEMD_SCOPE").as_deref() {
        Ok("user") => Supervisor::User,
        _ => Supervisor::System,
    };
    let sources = sources((supervisor == Supervisor::User).then(user::config_dir));
    let context = RenderContext {
        version: SystemdVersion::installed(&sources.root).unwrap_or(BASELINE),
        source: sources
            .fleet_file()
            .map(|file| inside(&sources.root, &file)),
        mode: Mode::Generator,
        supervisor,
    };
    let (rendered, code) = match fleet::load(&sources) {
        Ok(loaded) => (units::render(&loaded.fleet, &context), ExitCode::Ok),
        Err(errors) => {
            log("the fleet has errors, so no agent starts:");
            errors.0.iter().for_each(|error| log(&error.to_string()));
            (units::refusal(&errors, &context), ExitCode::Failure)
        }
    };
    if let Err((path, error)) = units::write_all(dir, &rendered) {
        log(&format!("cannot write {}: {error}", path.display()));
        return ExitCode::Failure;
    }
    code
}

/// Says why an agent does not start.
fn refuse() -> ExitCode {
    let own = env::var_os(fleet::CONFIG_DIR).map(PathBuf::from);
    match fleet::load(&sources(own)) {
        Err(Diagnostics(errors)) => {
            eprintln!("not started: the fleet has errors");
            errors.iter().for_each(|error| eprintln!("{error}"));
            eprintln!("repair them, then run \"systemctl daemon-reload\" and start again");
        }
        Ok(_) => eprintln!(
            "not started: the fleet had errors when systemd last read it; they are repaired, so run \
             \"systemctl daemon-reload\" and start again"
        ),
    }
    ExitCode::Config
}

/// Files only: what is in the environment of PID 1 is in no agent's.
fn sources(own: Option<PathBuf>) -> Sources {
    let own = own.map(|dir| dir.to_string_lossy().into_owned());
    Sources {
        root: env::var_os(ROOT).map_or_else(|| PathBuf::from("/"), PathBuf::from),
        file: None,
        env: own
            .into_iter()
            .map(|dir| (fleet::CONFIG_DIR.to_owned(), dir))
            .collect(),
    }
}

/// A path as it is seen from inside a root.
fn inside(root: &Path, file: &Path) -> PathBuf {
    match file.strip_prefix(root) {
        Ok(inside) => Path::new("/").join(inside),
        Err(_) => file.to_owned(),
    }
}

/// To the kernel's log, which is there before the journal is. Run by hand, or where there is none:
/// to standard error.
fn log(text: &str) {
    let line = format!("<3>recon-generator[{}]: {text}\n", process::id());
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let written = env::var_os("SYSTEMD_SCOPE").is_some_and(|scope| scope == "system")
        && OpenOptions::new()
            .write(true)
            .custom_flags(nonblock)
            .open("/dev/kmsg")
            .and_then(|mut kmsg| kmsg.write_all(line.as_bytes()))
            .is_ok();
    if !written {
        eprintln!("recon-generator: {text}");
    }
}
