//! How `reconctl` behaves in a shell: completion, manual pages, pager, colours, closed pipes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use predicates::prelude::*;
use predicates::str::contains;

mod cli_support;
use cli_support::Bed;

const FLEET: &str = "[agents.kaze-dmz]\nkind = \"kaze\"\n[profiles]\nnight = [\"kaze\"]\n";

fn reconctl() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_reconctl"))
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// What bash would offer for the last of these words, asked as its completion function asks.
fn offers(bed: &Bed, words: &[&str]) -> Vec<String> {
    let index = (words.len() + 2).to_string();
    let output = Command::new(reconctl())
        .env_clear()
        .envs([
            ("COMPLETE", "bash"),
            ("_CLAP_IFS", "\n"),
            ("_CLAP_COMPLETE_INDEX", &index),
        ])
        .args(["--", "reconctl", "--root"])
        .arg(bed.root())
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn names_and_keys_come_from_the_fleet_file() {
    let bed = Bed::new(FLEET);
    assert_eq!(
        offers(&bed, &["verify", "ka"]),
        ["kage", "kaze", "kaze-dmz"]
    );
    for verb in ["start", "status", "logs"] {
        assert_eq!(offers(&bed, &[verb, "ka"]), ["kage", "kaze", "kaze-dmz"]);
    }
    assert_eq!(offers(&bed, &["stop", "al"]), ["all"]);
    assert_eq!(offers(&bed, &["config", "show", "kaze-"]), ["kaze-dmz"]);
    let keys = offers(&bed, &["config", "get", "agents.kaze-dmz.config.s"]);
    assert_eq!(
        keys,
        [
            "agents.kaze-dmz.config.scan_interval",
            "agents.kaze-dmz.config.services"
        ]
    );
    assert_eq!(
        offers(&bed, &["config", "set", "profiles.n"]),
        ["profiles.night"]
    );
    let nmap = offers(&bed, &["config", "set", "agents.kage.config.nmap", "a"]);
    assert_eq!(nmap, ["auto", "always"]);
    assert_eq!(
        offers(&bed, &["config", "set", "agents.kage.critical", "t"]),
        ["true"]
    );
    assert_eq!(
        offers(&bed, &["config", "set", "fleet.profile", "n"]),
        ["night"]
    );
}

#[test]
fn a_broken_fleet_file_offers_nothing_and_says_nothing() {
    let bed = Bed::new("[agents.kaze\n");
    assert_eq!(offers(&bed, &["verify", "ka"]), [""; 0]);
    assert_eq!(offers(&bed, &["config", "get", "agents."]), [""; 0]);
    assert_eq!(offers(&bed, &["verif"]), ["verify"]);
}

/// A shell with reconctl in its path.
fn shell(program: &str, bed: &Bed, script: &str) -> String {
    let path = format!(
        "{}:{}",
        reconctl().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(program)
        .args(["-c", script])
        .env("PATH", path)
        .env("RECON_FLEET", bed.file())
        .env("HOME", bed.root())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_itself_completes() {
    let bed = Bed::new(FLEET);
    let installed = bed.root().join("share");
    bed.run(&["generate", installed.to_str().unwrap()])
        .success();
    let file = installed.join("bash-completion/completions/reconctl");
    let ask = "COMP_WORDS=(reconctl verify ka) COMP_CWORD=2 COMP_TYPE=9; \
               _clap_complete_reconctl reconctl ka verify; echo \"${COMPREPLY[@]}\"";
    for load in [
        format!("source {}", file.display()),
        "source <(reconctl completions bash)".to_owned(),
    ] {
        let said = shell(
            "bash",
            &bed,
            &format!("{load}; complete -p reconctl; {ask}"),
        );
        assert!(
            said.contains("-F _clap_complete_reconctl reconctl"),
            "{said}"
        );
        assert!(said.trim_end().ends_with("kage kaze kaze-dmz"), "{said}");
    }
}

#[test]
fn fish_itself_completes() {
    if !has("fish") {
        return;
    }
    let bed = Bed::new(FLEET);
    let ask = "reconctl completions fish | source; complete -C 'reconctl verify ka'";
    let said = shell("fish", &bed, ask);
    let names: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(names, ["kage", "kaze", "kaze-dmz"]);
}

#[test]
fn zsh_reads_its_script() {
    if !has("zsh") {
        return;
    }
    let bed = Bed::new(FLEET);
    let said = shell(
        "zsh",
        &bed,
        "autoload -U compinit && compinit -D -u; source <(reconctl completions zsh); \
         echo $_comps[reconctl]",
    );
    assert_eq!(said.trim_end(), "_clap_dynamic_completer_reconctl");
}

#[test]
fn generate_writes_what_packages_install() {
    let bed = Bed::empty();
    let share = bed.root().join("share");
    bed.run(&["generate", share.to_str().unwrap()]).success();
    for path in [
        "man/man1/reconctl.1",
        "man/man1/reconctl-config-set.1",
        "man/man1/reconctl-verify.1",
        "man/man5/recon.toml.5",
        "man/man8/recon-kaze.8",
        "zsh/site-functions/_reconctl",
        "fish/vendor_completions.d/reconctl.fish",
        "recon/recon.schema.json",
    ] {
        assert!(share.join(path).exists(), "{path}");
    }
    let hidden = share.join("man/man1/reconctl-generate.1");
    assert!(!hidden.exists());
}

#[test]
fn man_reads_every_page_without_a_warning() {
    if !has("man") {
        return;
    }
    let bed = Bed::empty();
    bed.run(&["generate", bed.root().join("share").to_str().unwrap()])
        .success();
    for section in ["man1", "man5", "man8"] {
        for page in fs::read_dir(bed.root().join("share/man").join(section)).unwrap() {
            let page = page.unwrap().path();
            let output = Command::new("man")
                .args(["--warnings", "-l"])
                .arg(&page)
                .env("LC_ALL", "C.UTF-8")
                .env("MANWIDTH", "80")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "{}: {said}",
                page.display()
            );
            assert!(!output.stdout.is_empty());
        }
    }
}

#[test]
fn man_prints_the_page_of_a_verb() {
    let bed = Bed::empty();
    bed.run(&["man"])
        .success()
        .stdout(contains(".TH reconctl 1").and(contains("EXIT STATUS")));
    bed.run(&["man", "config", "set"])
        .success()
        .stdout(contains("reconctl\\-config\\-set"));
    bed.run(&["man", "recon.toml"])
        .success()
        .stdout(contains(".TH recon.toml 5"));
    bed.run(&["man", "confi"])
        .code(2)
        .stderr(contains("no manual page \"confi\""));
}

/// Verbs that print without a hub and without systemd.
const VERBS: [&[&str]; 17] = [
    &["check"],
    &["--json", "check"],
    &["render", "--target-systemd=252"],
    &["diff", "--target-systemd=252"],
    &["apply", "--dry-run", "--target-systemd=252"],
    &["verify", "--target-systemd=252"],
    &["--jsonl", "verify", "--target-systemd=252"],
    &["init", "--stdout"],
    &["config", "show", "--origin"],
    &["config", "get", "scope.allow"],
    &["config", "set", "scope.max_rate", "9"],
    &["config", "unset", "scope.max_rate"],
    &["completions", "zsh"],
    &["man"],
    &["man", "recon.toml"],
    &["--help"],
    &["--version"],
];

#[test]
fn a_reader_that_went_away_is_no_error() {
    for verb in VERBS {
        let bed = Bed::new(FLEET);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(reconctl())
            .arg("--root")
            .arg(bed.root())
            .args(verb)
            .stdout(Stdio::from(OwnedFd::from(writer)))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{verb:?}: {}: {said}",
            output.status
        );
    }
}

/// A command on a terminal of its own; what appears there.
fn on_a_terminal(bed: &Bed, args: &str, env: &[(&str, &str)]) -> String {
    let line = format!(
        "{} --root {} {args}",
        reconctl().display(),
        bed.root().display()
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null());
    for name in [
        "RECON_PAGER",
        "SYSTEMD_PAGER",
        "PAGER",
        "NO_COLOR",
        "SUDO_UID",
    ] {
        command.env_remove(name);
    }
    let output = command
        .env("TERM", "xterm")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn long_output_goes_through_a_pager_only_on_a_terminal() {
    if !has("script") {
        return;
    }
    let bed = Bed::new(FLEET);
    let pager = ("RECON_PAGER", "sed s/^/paged:/");
    let paged =
        |args: &str, env: &[(&str, &str)]| on_a_terminal(&bed, args, env).contains("paged:");
    assert!(paged("config show", &[pager]));
    assert!(paged(
        "verify --target-systemd=252",
        &[("PAGER", "sed s/^/paged:/")]
    ));
    assert!(paged("config show", &[pager, ("SYSTEMD_PAGER", "cat")]));
    assert!(!paged("--no-pager config show", &[pager]));
    assert!(!paged(
        "config show",
        &[("SYSTEMD_PAGER", ""), ("PAGER", "sed s/^/paged:/")]
    ));
    assert!(!paged("--json config show", &[pager]));
    // For another user it is less, and less alone, without its escapes to a shell.
    let less = bed.root().join("bin/less");
    bed.write("bin/less", "#!/bin/sh\nsed \"s/^/secure=$LESSSECURE:/\"\n");
    fs::set_permissions(less, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}/bin:{}",
        bed.root().display(),
        std::env::var("PATH").unwrap()
    );
    let path = ("PATH", path.as_str());
    let said = on_a_terminal(&bed, "config show", &[pager, path, ("SUDO_UID", "1000")]);
    assert!(
        said.contains("secure=1:") && !said.contains("paged:"),
        "{said}"
    );
    assert!(on_a_terminal(&bed, "config show", &[path]).contains("secure=:"));
    bed.command(&["config", "show"])
        .env("RECON_PAGER", "sed s/^/paged:/")
        .assert()
        .stdout(contains("paged:").not());
    // A pager that is left early is no error.
    let said = on_a_terminal(
        &bed,
        "config show --origin; echo code=$?",
        &[("RECON_PAGER", "true")],
    );
    assert!(said.contains("code=0"), "{said}");
}

#[test]
fn colours_are_for_terminals_and_for_who_wants_them() {
    if !has("script") {
        return;
    }
    let bed = Bed::new(FLEET);
    let coloured = |args: &str, env: &[(&str, &str)]| {
        let args = format!("--no-pager {args}");
        on_a_terminal(&bed, &args, env).contains("\u{1b}[")
    };
    let verify = "verify --target-systemd=252";
    assert!(coloured(verify, &[]));
    assert!(!coloured(verify, &[("NO_COLOR", "1")]));
    assert!(!coloured(&format!("--color never {verify}"), &[]));
    bed.run(&["verify", "--target-systemd=252"])
        .stdout(contains("\u{1b}[").not());
    bed.run(&["--color", "always", "verify", "--target-systemd=252"])
        .stdout(contains("\u{1b}["));
}
