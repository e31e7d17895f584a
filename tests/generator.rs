//! The generator as systemd runs it, and the verb that links it in, below a root of their own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FLEET: &str = "[agents.kaze]\nmemory_max = \"1G\"\n";
const BROKEN: &str = "[agents.kaze]\n\nmemory_max = \"lots\"\n";

struct Root(tempfile::TempDir);

impl Root {
    fn new(fleet: &str) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.write("etc/recon/recon.toml", fleet);
        root.write("usr/lib/recon/recon-generator", "");
        root.write("usr/lib/systemd/libsystemd-shared-257.so", "");
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn generator(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recon-generator"));
        command.env_clear().env("RECON_ROOT", self.0.path());
        command.current_dir(self.0.path()).args(args);
        command.envs(env.iter().copied()).output().unwrap()
    }

    fn reconctl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconctl"));
        command.arg("--root").arg(self.0.path()).args(args);
        command.output().unwrap()
    }

    fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }
}

fn text(output: &Output) -> String {
    let all = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(all).unwrap()
}

const DIRS: [&str; 3] = ["normal", "early", "late"];
const KAZE: &str = "recon@kaze.service.d/50-recon.conf";
const LINK: &str = "etc/systemd/system-generators/recon-generator";

#[test]
fn it_writes_below_its_first_argument_only() {
    for args in [&DIRS[..], &DIRS[..1]] {
        let root = Root::new(FLEET);
        let output = root.generator(args, &[("SYSTEMD_SCOPE", "test")]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(text(&output), "");
        let kaze = fs::read_to_string(root.path("normal").join(KAZE)).unwrap();
        assert!(kaze.contains("\nMemoryMax=1G\n") && kaze.contains("\nRestartSteps="));
        assert!(
            kaze.contains("\nSourcePath=/etc/recon/recon.toml\n"),
            "{kaze}"
        );
        let mut there: Vec<_> = fs::read_dir(root.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(there, ["etc", "normal", "usr"]);
    }
}

#[test]
fn an_unknown_systemd_is_the_oldest_that_is_supported() {
    let root = Root::new(FLEET);
    fs::remove_file(root.path("usr/lib/systemd/libsystemd-shared-257.so")).unwrap();
    assert!(root.generator(&DIRS, &[]).status.success());
    let kaze = fs::read_to_string(root.path("normal").join(KAZE)).unwrap();
    assert!(!kaze.contains("RestartSteps="), "{kaze}");
}

#[test]
fn a_broken_fleet_starts_nothing_and_says_why() {
    let root = Root::new(BROKEN);
    let output = root.generator(&DIRS, &[]);
    assert_eq!(output.status.code(), Some(1));
    let place = "etc/recon/recon.toml:3: agents.kaze.memory_max: \"lots\"";
    assert!(text(&output).contains(place), "{}", text(&output));
    let drop_in = fs::read_to_string(root.path("normal/recon@.service.d/50-recon.conf")).unwrap();
    assert!(drop_in.contains(place), "{drop_in}");
    let end = "ExecStart=\nExecStart=/usr/lib/recon/recon-generator --refuse\n";
    assert!(drop_in.ends_with(end), "{drop_in}");
    assert!(!root.path("normal").join(KAZE).exists());

    let output = root.generator(&["--refuse"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output).contains(place), "{}", text(&output));
    root.write("etc/recon/recon.toml", FLEET);
    let output = root.generator(&["--refuse"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output).contains("daemon-reload"), "{}", text(&output));
}

#[test]
fn a_users_generator_reads_the_users_fleet() {
    let root = Root::new(BROKEN);
    root.write("home/.config/recon/recon.toml", FLEET);
    let home = root.path("home");
    let env = [("SYSTEMD_SCOPE", "user"), ("HOME", home.to_str().unwrap())];
    let output = root.generator(&DIRS, &env);
    assert!(output.status.success(), "{}", text(&output));
    let kaze = fs::read_to_string(root.path("normal").join(KAZE)).unwrap();
    assert!(
        kaze.contains("\nMemoryMax=1G\n") && !kaze.contains("IPAddress"),
        "{kaze}"
    );
}

#[test]
fn an_initrd_has_no_fleet_and_wrong_usage_is_said() {
    let root = Root::new(BROKEN);
    let output = root.generator(&DIRS, &[("SYSTEMD_IN_INITRD", "yes")]);
    assert!(output.status.success() && !root.path("normal").exists());
    for args in [&[][..], &["a", "b"], &["--what"]] {
        let output = root.generator(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output).contains("Usage"), "{args:?}");
    }
    assert!(root.generator(&["--help"], &[]).status.success());
}

#[test]
fn enable_and_disable_make_and_remove_a_link() {
    let root = Root::new(FLEET);
    let status = |wanted| {
        let output = root.reconctl(&["generator", "status", "--json"]);
        assert_eq!(output.status.success(), wanted);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["enabled"], wanted);
    };
    status(false);
    for _ in 0..2 {
        let output = root.reconctl(&["generator", "enable"]);
        assert!(output.status.success(), "{}", text(&output));
        let to = fs::read_link(root.path(LINK)).unwrap();
        assert_eq!(to, Path::new("/usr/lib/recon/recon-generator"));
    }
    status(true);
    let output = root.reconctl(&["apply", "--target-systemd", "252"]);
    assert!(
        text(&output).contains("hide what it makes"),
        "{}",
        text(&output)
    );
    for _ in 0..2 {
        assert!(root.reconctl(&["generator", "disable"]).status.success());
        assert!(!root.exists(LINK));
    }
    status(false);
    fs::remove_file(root.path("usr/lib/recon/recon-generator")).unwrap();
    let output = root.reconctl(&["generator", "enable"]);
    assert!(text(&output).contains("not installed") && !root.exists(LINK));
}

#[test]
fn what_apply_wrote_would_hide_it() {
    let root = Root::new(FLEET);
    assert!(
        root.reconctl(&["apply", "--target-systemd", "252"])
            .status
            .success()
    );
    let edited = "etc/systemd/system/recon@kage.service.d/50-recon.conf";
    let output = root.reconctl(&["generator", "enable"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("--replace"), "{}", text(&output));
    assert!(!root.exists(LINK));
    assert!(
        root.reconctl(&["generator", "enable", "--force"])
            .status
            .success()
    );
    assert!(root.exists(LINK) && root.exists(edited));
    assert!(root.reconctl(&["generator", "disable"]).status.success());

    // What somebody edited is theirs to remove.
    root.write(edited, "[Service]\nNice=5\n");
    let output = root.reconctl(&["generator", "enable", "--replace"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains(edited), "{}", text(&output));
    assert!(root.exists(edited) && !root.exists(&format!("etc/systemd/system/{KAZE}")));
    fs::remove_file(root.path(edited)).unwrap();
    assert!(
        root.reconctl(&["generator", "enable", "--replace"])
            .status
            .success()
    );
    assert!(root.exists(LINK));
    assert!(!root.exists("etc/systemd/system/recon-full.target.wants/recon@kaze.service"));
}

#[test]
fn a_link_that_leads_elsewhere_is_not_ours() {
    let root = Root::new(FLEET);
    fs::create_dir_all(root.path("etc/systemd/system-generators")).unwrap();
    symlink("/dev/null", root.path(LINK)).unwrap();
    assert!(!root.reconctl(&["generator", "status"]).status.success());
    let output = root.reconctl(&["generator", "enable"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(root.reconctl(&["generator", "disable"]).status.success());
    assert!(root.exists(LINK));
}
