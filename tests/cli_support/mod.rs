//! `reconctl` below a root of its own, without the environment of who runs the tests.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests; not every test uses all"
)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;

/// A root with a fleet file.
pub struct Bed(tempfile::TempDir);

impl Bed {
    /// A root with this fleet file.
    pub fn new(fleet: &str) -> Self {
        let bed = Self::empty();
        bed.write("etc/recon/recon.toml", fleet);
        bed
    }

    /// A root with nothing in it.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The root.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// The fleet file.
    pub fn file(&self) -> PathBuf {
        self.root().join("etc/recon/recon.toml")
    }

    /// What the fleet file says.
    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// Writes a file below the root.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A command on this root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("reconctl").unwrap();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
        command.arg("--root").arg(self.root()).args(args);
        command
    }

    /// Runs a command on this root.
    pub fn run(&self, args: &[&str]) -> Assert {
        self.command(args).assert()
    }

    /// What a command that succeeds prints.
    pub fn stdout(&self, args: &[&str]) -> String {
        let done = self.run(args).success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// What a command prints as JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(&[&["--json"], args].concat());
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    }
}
