//! A shell script in nmap's place, for tests.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::Nmap;

/// Writes the script and makes sure that it can be run.
pub fn fake_nmap(dir: &Path, script: &str) -> Nmap {
    let path = dir.join("nmap");
    let text = format!("#!/bin/sh\n[ \"$1\" = --version ] && exit\n{script}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Another test's child process may for a moment have inherited the file, open for writing.
    while let Err(error) = Command::new(&path).arg("--version").status() {
        assert_eq!(error.kind(), ErrorKind::ExecutableFileBusy);
        std::thread::yield_now();
    }
    Nmap {
        path,
        version: "7.93".to_owned(),
    }
}
