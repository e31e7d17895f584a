//! The packaged files say what the code says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use recon::fleet::{Sources, load};

fn packaging() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

#[test]
fn the_example_is_a_valid_fleet_file_and_means_the_defaults() {
    let root = tempfile::tempdir().unwrap();
    let mut sources = Sources {
        root: root.path().to_owned(),
        file: None,
        env: Default::default(),
    };
    let defaults = load(&sources).unwrap().fleet;
    sources.file = Some(packaging().join("recon.toml"));
    let example = load(&sources)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .fleet;
    assert_eq!(example, defaults);
}

#[test]
fn packaged_manifests_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("usr/lib/recon/agents.d");
    std::fs::create_dir_all(&dir).unwrap();
    let sources = Sources {
        root: root.path().to_owned(),
        file: None,
        env: Default::default(),
    };
    let defaults = load(&sources).unwrap().fleet;
    for entry in std::fs::read_dir(packaging().join("agents.d")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    assert_eq!(load(&sources).unwrap().fleet, defaults);
}

#[test]
fn the_schema_knows_every_key_that_the_loader_writes() {
    let root = tempfile::tempdir().unwrap();
    let sources = Sources {
        root: root.path().to_owned(),
        file: None,
        env: Default::default(),
    };
    let table = load(&sources).unwrap().fleet.to_table();
    let schema = recon::fleet::schema();
    for (name, agent) in table["agents"].as_table().unwrap() {
        let known = &schema["properties"]["agents"]["properties"][name]["properties"];
        for (key, value) in agent.as_table().unwrap() {
            assert!(known.get(key).is_some(), "{name}.{key}");
            for inner in value.as_table().into_iter().flat_map(|table| table.keys()) {
                assert!(
                    known[key]["properties"].get(inner).is_some(),
                    "{name}.{key}.{inner}"
                );
            }
        }
    }
}
