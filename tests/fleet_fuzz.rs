//! Fuzz targets: whatever is in a fleet file, it is read or refused with lines that exist; never a
//! panic. Each runs a little under `cargo test`, and guided by coverage for as long as one likes under
//! `cargo bolero test NAME`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use bolero::{TypeGenerator, check};
use recon::fleet::{Sources, load};

const EXAMPLE: &str = include_str!("../packaging/recon.toml");

fn read(root: &Path, text: &str) {
    let file = root.join("fleet.toml");
    fs::write(&file, text).unwrap();
    let sources = Sources {
        root: root.to_owned(),
        file: Some(file),
        env: Default::default(),
    };
    match load(&sources) {
        // What is read means the same when it is written down and read again.
        Ok(loaded) => {
            let again = loaded.fleet.to_table().to_string();
            fs::write(root.join("again.toml"), &again).unwrap();
            let sources = Sources {
                file: Some(root.join("again.toml")),
                ..sources
            };
            let again = load(&sources).unwrap_or_else(|errors| panic!("{errors}\n{again}"));
            assert_eq!(again.fleet, loaded.fleet);
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            let lines = text.split('\n').count();
            for error in errors.0 {
                assert!(error.line <= lines, "{error}");
            }
        }
    }
}

/// A slip of the pen: so much is cut out somewhere, and something else written there.
#[derive(Debug, TypeGenerator)]
struct Slip {
    at: u16,
    cut: u8,
    pieces: Vec<u8>,
}

const PIECES: [&str; 36] = [
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    ".",
    ",",
    "#",
    "a",
    "z",
    "0",
    "9",
    " ",
    "\n",
    "-",
    "\\",
    "%",
    "\0",
    "\u{2028}",
    "\u{feff}",
    "ü",
    "true",
    "1e400",
    "nan",
    "agents",
    "kind",
    "exec",
    "1979-05-27",
    "99999999999999999999",
    "[[",
    "\"\"\"",
    "\\u0000",
    "''",
    "_",
];

fn text(pieces: &[u8]) -> String {
    let piece = |byte: &u8| PIECES[usize::from(*byte) % PIECES.len()];
    pieces.iter().map(piece).collect()
}

#[test]
fn slips_in_a_good_file() {
    let root = tempfile::tempdir().unwrap();
    let good = EXAMPLE.replace("# ", "");
    let edge = |at: usize| {
        let at = at.min(good.len());
        (0..=at).rev().find(|i| good.is_char_boundary(*i)).unwrap()
    };
    check!()
        .with_type::<Slip>()
        .with_iterations(500)
        .for_each(|slip| {
            let at = edge(usize::from(slip.at) % (good.len() + 1));
            let end = edge(at + usize::from(slip.cut % 16)).max(at);
            let new = text(&slip.pieces[..slip.pieces.len().min(6)]);
            read(
                root.path(),
                &format!("{}{new}{}", &good[..at], &good[end..]),
            );
        });
}

#[test]
fn any_text() {
    let root = tempfile::tempdir().unwrap();
    check!()
        .with_type::<(Vec<u8>, Vec<u8>)>()
        .with_iterations(500)
        .for_each(|(bytes, pieces)| {
            read(root.path(), &String::from_utf8_lossy(bytes));
            read(root.path(), &text(pieces));
        });
}

const KEYS: [&str; 24] = [
    "fleet",
    "fleet.hub",
    "fleet.profile",
    "scope",
    "scope.allow",
    "scope.max_rate",
    "profiles",
    "profiles.x",
    "agents",
    "agents.kaze",
    "agents.kaze.exec",
    "agents.kaze.backoff",
    "agents.kaze.health",
    "agents.kaze.depends_on",
    "agents.kaze.config",
    "agents.kaze.kind",
    "agents.kaze.config.max_scans",
    "agents.kaze.watchdog",
    "agents.kaze.credentials",
    "agents.kaze.credentials.x",
    "agents.kaze.cpu_quota",
    "agents.kaze.tasks_max",
    "agents.x.exec",
    "agents.hub.config.listen",
];

const VALUES: [&str; 26] = [
    "1",
    "-1",
    "1e400",
    "99999999999999999999",
    "nan",
    "inf",
    "true",
    "\"\"",
    "\"x\"",
    "[]",
    "[[]]",
    "[{}]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "[1, \"a\"]",
    "{ agent = 1 }",
    "\"/x\"",
    "[\"/x\"]",
    "\"\\u0000\"",
    "\"10.0.0.0/8\"",
    "[\"::/0\"]",
    "[\"kaze\"]",
    "{ http = \"http://x\" }",
    "\"9999999999999999y\"",
    "[{ agent = \"kaze\" }]",
];

#[test]
fn any_value_for_any_key() {
    let root = tempfile::tempdir().unwrap();
    // Few enough for all of them.
    for key in KEYS {
        for value in VALUES {
            read(root.path(), &format!("{key} = {value}\n"));
        }
    }
}
