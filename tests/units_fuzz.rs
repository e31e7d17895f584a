//! Fuzz target: whatever is in a fleet file, no value of it brings a unit a setting of its own, and
//! what a program is given comes back byte for byte. Runs a little under `cargo test`, and guided by
//! coverage for as long as one likes under `cargo bolero test no_value_adds_a_setting`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bolero::TypeGenerator;
use recon::fleet::{Fleet, Sources, load};
use recon::units::{Mode, RenderContext, Rendered, Supervisor, SystemdVersion, refusal, render};
use toml::Value;

#[path = "fuzz/unit_syntax.rs"]
mod unit_syntax;

/// A fleet in which every value that reaches a unit is named `@0@`, `@1@`, …
const FLEET: &str = r#"
[fleet]
hub = "@0@"
profile = "@1@"
[scope]
allow = ["@2@", "10.0.0.0/24"]
deny = ["@3@"]
[profiles]
"@1@" = ["hub", "@4@"]
[agents.hub.config]
listen = "@5@"
database = "@6@"
[agents."@4@"]
description = "@7@"
exec = ["@8@", "@9@", "@10@"]
depends_on = [{ agent = "@11@" }]
memory_max = "@12@"
memory_high = "@13@"
cpu_quota = "@14@"
capabilities = ["@15@"]
backoff = { initial = "@16@" }
stable_after = "@17@"
[agents."@4@".credentials]
"@18@" = "@19@"
[agents.kaze]
kind = "@20@"
description = "@21@"
"#;

/// What each is when it does no harm.
const HARMLESS: [&str; 22] = [
    "http://127.0.0.1:9000",
    "full",
    "example.org",
    "10.0.0.9",
    "mine",
    "127.0.0.1:9000",
    "postgres://u@10.0.0.1/db",
    "Ours",
    "/opt/mine",
    "-v",
    "--flag",
    "hub",
    "1G",
    "512M",
    "50%",
    "CAP_NET_RAW",
    "2s",
    "20m",
    "token",
    "/etc/token",
    "kaze",
    "Fast",
];

/// What texts are put together from.
const PIECES: [&str; 40] = [
    "a",
    "1",
    ".",
    "/",
    "-",
    "_",
    ":",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\\",
    "\"",
    "'",
    "%",
    "%%",
    "%i",
    "%n",
    "$",
    "$$",
    "${HOME}",
    "$MAINPID",
    ";",
    "#",
    "=",
    "[",
    "]",
    "[Service]",
    "User=root",
    "ExecStart=/bin/sh",
    "\\x0a",
    "\\n",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{a0}",
    "\u{feff}",
    "ü",
    "\u{1f980}",
];

#[derive(Debug, TypeGenerator)]
struct Hostile {
    /// Which value.
    value: u8,
    /// Behind the harmless value, or in its place.
    behind: bool,
    /// Without what no value may contain: the rest is to get through.
    tame: bool,
    /// What.
    pieces: Vec<u8>,
}

/// Values that may be almost anything; they are tried more often.
const FREE: [usize; 6] = [7, 8, 9, 10, 19, 21];

impl Hostile {
    fn value(&self) -> usize {
        let value = usize::from(self.value);
        match value % 64 {
            number if number < HARMLESS.len() => number,
            number => FREE[number % FREE.len()],
        }
    }

    fn text(&self) -> String {
        let text = text(&self.pieces[..self.pieces.len().min(12)]);
        if self.tame {
            text.replace(char::is_control, "")
        } else {
            text
        }
    }
}

#[derive(Debug, TypeGenerator)]
struct Input {
    hostile: [Hostile; 2],
    second: bool,
    source: Vec<u8>,
    mode: u8,
}

impl Input {
    fn values(&self) -> Vec<String> {
        let mut values = HARMLESS.map(str::to_owned);
        for hostile in &self.hostile[..1 + usize::from(self.second)] {
            let value = &mut values[hostile.value()];
            if !hostile.behind && !hostile.tame {
                value.clear();
            }
            value.push_str(&hostile.text());
        }
        values.to_vec()
    }

    fn context(&self) -> RenderContext {
        RenderContext {
            version: SystemdVersion([252, 254, 258][usize::from(self.mode) % 3]),
            source: Some(PathBuf::from(format!("/etc/{}", text(&self.source)))),
            mode: if self.mode & 8 == 0 {
                Mode::Enablement
            } else {
                Mode::Generator
            },
            supervisor: if self.mode & 16 == 0 {
                Supervisor::System
            } else {
                Supervisor::User
            },
        }
    }
}

fn text(pieces: &[u8]) -> String {
    let piece = |byte: &u8| PIECES[usize::from(*byte) % PIECES.len()];
    pieces.iter().map(piece).collect()
}

/// The fleet file with these values, written by somebody who knows how to quote.
fn fleet_file(values: &[String]) -> String {
    let template: toml::Table = FLEET.parse().unwrap();
    toml::to_string(&filled(&Value::Table(template), values)).unwrap()
}

fn filled(value: &Value, values: &[String]) -> Value {
    let fill = |text: &str| match text.strip_prefix('@').and_then(|t| t.strip_suffix('@')) {
        Some(number) => values[number.parse::<usize>().unwrap()].clone(),
        None => text.to_owned(),
    };
    match value {
        Value::String(text) => Value::String(fill(text)),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled(item, values)).collect())
        }
        Value::Table(table) => {
            let entries = table.iter().map(|(k, v)| (fill(k), filled(v, values)));
            Value::Table(entries.collect())
        }
        other => other.clone(),
    }
}

fn read(root: &Path, text: &str) -> Result<Fleet, recon::fleet::Diagnostics> {
    let file = root.join("fleet.toml");
    fs::write(&file, text).unwrap();
    let sources = Sources {
        root: root.to_owned(),
        file: Some(file),
        env: Default::default(),
    };
    load(&sources).map(|loaded| loaded.fleet)
}

/// Sections and keys by kind of file, whatever the names of agents and profiles.
fn keys(rendered: &Rendered) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for (path, text) in &rendered.files {
        let path = path.to_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/@._-".contains(c);
        assert!(path.chars().all(plain) && !path.contains(".."), "{path:?}");
        let agent = path
            .strip_prefix("recon@")
            .map(|rest| &rest[..rest.find('.').unwrap()]);
        let kind = match agent {
            Some("") => "template",
            Some("hub" | "kage" | "kumo" | "suzu" | "ryu" | "sentinel" | "kaze") => "ours",
            Some(_) => "mine",
            None if path.starts_with("recon-stable@") => "stable",
            None if path.starts_with("recon.target.d") => "recon.target",
            None => "profile",
        };
        for (section, key, _) in
            unit_syntax::settings(text).unwrap_or_else(|e| panic!("{e}: {text}"))
        {
            found.insert((kind.to_owned(), section, key));
        }
    }
    found
}

fn value_of(text: &str, key: &str) -> Vec<String> {
    let all = unit_syntax::settings(text).unwrap();
    let mine = all
        .into_iter()
        .filter(|(_, k, v)| k == key && !v.is_empty());
    mine.map(|(_, _, value)| value).collect()
}

/// What is said of an agent of the user's own is what systemd understands.
fn comes_back(fleet: &Fleet, rendered: &Rendered, source: &Path) {
    for (name, agent) in &fleet.agents {
        let path = PathBuf::from(format!("{}.d/50-recon.conf", name.unit()));
        let text = &rendered.files[&path];
        let plain = |key: &str| {
            let value = value_of(text, key).into_iter().next().unwrap_or_default();
            unit_syntax::expand_specifiers(&value).unwrap()
        };
        let described = match agent.description.trim() {
            "" => format!("Recon agent {name}"),
            text => format!("Recon agent {name}: {text}"),
        };
        assert_eq!(plain("Description"), described);
        let blanks = |c: char| c.is_control() || c == ' ';
        let one_line = source.to_str().unwrap().replace(char::is_control, " ");
        assert_eq!(
            plain("SourcePath").replace('\t', " "),
            one_line.trim_matches(blanks)
        );
        let credentials: Vec<String> = agent
            .credentials
            .iter()
            .map(|(name, path)| format!("{name}:{path}"))
            .collect();
        let loaded = value_of(text, "LoadCredential");
        let loaded = loaded
            .iter()
            .map(|v| unit_syntax::expand_specifiers(v).unwrap());
        assert_eq!(loaded.collect::<Vec<_>>(), credentials);
        if let Some(exec) = &agent.exec {
            let line = value_of(text, "ExecStart").remove(0);
            assert!(line.starts_with(['/', '"']), "a prefix: {line}");
            let words = unit_syntax::words(&line).unwrap();
            let words = words.iter().enumerate().map(|(i, word)| {
                let word = unit_syntax::expand_specifiers(word).unwrap();
                match i {
                    0 => word,
                    _ => unit_syntax::expand_variables(&word).unwrap(),
                }
            });
            assert_eq!(words.collect::<Vec<_>>(), *exec, "{line}");
        }
    }
}

#[test]
fn no_value_adds_a_setting() {
    let root = tempfile::tempdir().unwrap();
    let harmless = fleet_file(&HARMLESS.map(str::to_owned));
    let harmless = read(root.path(), &harmless).unwrap_or_else(|e| panic!("{e}"));
    bolero::check!()
        .with_type::<Input>()
        .with_iterations(600)
        .for_each(|input| {
            let context = input.context();
            let text = fleet_file(&input.values());
            match read(root.path(), &text) {
                Ok(fleet) => {
                    let rendered = render(&fleet, &context);
                    let allowed = keys(&render(&harmless, &context));
                    let more: Vec<_> = keys(&rendered).difference(&allowed).cloned().collect();
                    assert!(more.is_empty(), "{more:?} of {text}");
                    comes_back(&fleet, &rendered, context.source.as_deref().unwrap());
                }
                Err(errors) => {
                    let lines = text.split('\n').count();
                    assert!(errors.0.iter().all(|error| error.line <= lines), "{errors}");
                    let keys = keys(&refusal(&errors, &context));
                    let only: BTreeSet<_> = keys.iter().map(|(_, _, key)| key.as_str()).collect();
                    assert!(
                        only.iter()
                            .all(|k| ["SourcePath", "ExecStart", "Wants"].contains(k))
                    );
                }
            }
        });
}

/// The fuzz target is worth nothing if most of what it makes is refused.
#[test]
fn the_harmless_fleet_uses_every_value() {
    let root = tempfile::tempdir().unwrap();
    let values = HARMLESS.map(str::to_owned);
    let fleet = read(root.path(), &fleet_file(&values)).unwrap_or_else(|e| panic!("{e}"));
    for number in 0..HARMLESS.len() {
        assert!(FLEET.contains(&format!("@{number}@")), "{number}");
    }
    let context = RenderContext {
        version: SystemdVersion(258),
        source: Some("/etc/recon/recon.toml".into()),
        mode: Mode::Enablement,
        supervisor: Supervisor::System,
    };
    comes_back(
        &fleet,
        &render(&fleet, &context),
        Path::new("/etc/recon/recon.toml"),
    );
}

#[test]
fn systemds_syntax_is_read_as_systemd_reads_it() {
    let text = "[A]\nx = 1 \\\n# comment\n  2\ny=\\\\\nz=a\\ \n\n[B]\nx=\n";
    let set = |s: &str, k: &str, v: &str| (s.to_owned(), k.to_owned(), v.to_owned());
    let expected = [
        set("A", "x", "1  2"),
        set("A", "y", "\\\\"),
        set("A", "z", "a\\"),
        set("B", "x", ""),
    ];
    assert_eq!(unit_syntax::settings(text).unwrap(), expected);
    assert!(unit_syntax::settings("[A]\nx=1\nUser").is_err());
    let words = unit_syntax::words(r#"/x "a b" 'c"d' e\x41"f" "" \\"#).unwrap();
    assert_eq!(words, ["/x", "a b", "c\"d", "eAf", "", "\\"]);
    assert!(unit_syntax::words("/x ; /y").is_err());
    assert!(unit_syntax::words("/x \"a").is_err());
    assert!(unit_syntax::expand_specifiers("%i").is_err());
    assert!(unit_syntax::expand_variables("$HOME").is_err());
}
