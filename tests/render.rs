//! Golden roots: each folder of tests/render is a fake root, and its `expected` is the exact tree of
//! unit files that it means (with `only`, the part of it that begins so). `UPDATE_EXPECT=1` writes
//! the trees anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "render/support.rs"]
mod support;

use recon::units::{Mode, RenderContext, changes};
use support::{Case, cases};

fn actual(case: &Case) -> BTreeMap<PathBuf, String> {
    let rendered = case.rendered_for(&case.context);
    let only = fs::read_to_string(case.dir.join("only")).unwrap_or_default();
    let only: Vec<&str> = only.split_whitespace().collect();
    let shown = |path: &str| only.is_empty() || only.iter().any(|start| path.starts_with(start));
    let mut files = rendered.files;
    files.retain(|path, _| shown(path.to_str().unwrap()));
    let notes: String = rendered
        .notes
        .iter()
        .filter(|note| shown(&note.agent.unit().replace(".service", ".service.d")))
        .map(|note| format!("{}: {}\n", note.agent, note.text))
        .collect();
    if !notes.is_empty() {
        files.insert(PathBuf::from("NOTES"), notes);
    }
    files
}

fn read_tree(dir: &Path, below: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_tree(&path, below, files);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            files.insert(path.strip_prefix(below).unwrap().to_owned(), text);
        }
    }
}

fn write_tree(dir: &Path, files: &BTreeMap<PathBuf, String>) {
    let _ = fs::remove_dir_all(dir);
    for (path, text) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn golden_roots() {
    let mut wrong = String::new();
    for case in cases() {
        let dir = case.dir.join("expected");
        let actual = actual(&case);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            write_tree(&dir, &actual);
        }
        let mut expected = BTreeMap::new();
        read_tree(&dir, &dir, &mut expected);
        for change in changes(&expected, &actual) {
            wrong.push_str(&format!("== {}\n{}", case.name(), change.diff));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn rendering_is_deterministic_and_effective_settings_mean_the_same_fleet() {
    for case in cases() {
        let rendered = || case.rendered_for(&case.context);
        assert_eq!(rendered(), rendered());
        let Ok(fleet) = &case.loaded else { continue };
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("effective.toml");
        fs::write(&file, fleet.to_table().to_string()).unwrap();
        let sources = recon::fleet::Sources {
            root: root.path().to_owned(),
            file: Some(file),
            env: BTreeMap::new(),
        };
        let again = recon::fleet::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(again.fleet, *fleet, "{}", case.name());
    }
}

#[test]
fn a_generators_targets_pull_their_members_themselves() {
    let case = &cases()[0];
    let context = RenderContext {
        mode: Mode::Generator,
        ..case.context.clone()
    };
    let files = case.rendered_for(&context).files;
    let target = &files[Path::new("recon-minimal.target")];
    assert!(
        target.contains("Wants=recon@hub.service\nWants=recon@kaze.service\n"),
        "{target}"
    );
    assert!(!files[Path::new("recon@kaze.service.d/50-recon.conf")].contains("[Install]"));
}
