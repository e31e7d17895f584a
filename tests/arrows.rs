//! The dependency arrows between the rooms of the library (src/lib.rs) go downwards only.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name. Its own is always allowed; a room that is not listed here fails.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("api", &[]),
    ("fleet", &[]),
    ("units", &["fleet", "api"]),
    ("systemd", &["fleet", "api"]),
    ("runtime", &["systemd", "fleet", "api"]),
    ("engines", &["fleet", "api"]),
    ("agents", &["runtime", "engines", "fleet", "api"]),
    ("hub", &["runtime", "systemd", "fleet", "api"]),
    // The runtime's texts for people. It knows no hub.
    ("report", &["runtime", "api"]),
    // The hub's, for what is done to a database that no hub has open; the agents', for what they do by
    // hand.
    (
        "cli",
        &[
            "units", "systemd", "runtime", "engines", "agents", "hub", "report", "fleet", "api",
        ],
    ),
];

#[test]
fn arrows_go_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !path.is_dir() || room == "bin" {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("src/{room} is not in the table of tests/arrows.rs"));
            continue;
        };
        for file in rust_files(&path) {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                for (other, _) in MAY_USE {
                    let named = line.contains(&format!("crate::{other}::"))
                        || line.contains(&format!("crate::{other};"))
                        || line.contains(&format!("crate::{{{other}"));
                    let comment = line.trim_start().starts_with("//");
                    if named && !comment && other != room && !allowed.contains(&other) {
                        let file = file.strip_prefix(&src).unwrap().display();
                        wrong.push(format!("src/{file}:{}: {room} uses {other}", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_says_what_lives_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src)
        .into_iter()
        .filter(|f| f.ends_with("mod.rs"))
    {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} has no module doc",
            file.display()
        );
    }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
