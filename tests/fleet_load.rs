//! What a fleet is without a fleet file, and which source wins.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use recon::fleet::{AgentKind, AgentName, Loaded, OnFailure, Settings, Sources, Span, load};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn sources(root: &Path, env: &[(&str, &str)]) -> Sources {
    Sources {
        root: root.to_owned(),
        file: None,
        env: env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn scan_interval(loaded: &Loaded, agent: &str) -> u64 {
    match &loaded.fleet.agents[&name(agent)].settings {
        Settings::Scan(s) => s.scan_interval.0.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_any_file_there_is_a_working_fleet() {
    let root = tempfile::tempdir().unwrap();
    let Loaded { fleet, origins } = load(&sources(root.path(), &[])).unwrap();
    assert!(origins.is_empty(), "{origins:?}");
    assert_eq!(fleet.profile, "full");
    assert_eq!(fleet.hub, "http://127.0.0.1:9000");
    assert_eq!(fleet.profiles["minimal"], [name("hub"), name("kaze")]);
    assert_eq!(fleet.profiles["full"].len(), 6);
    let kinds: Vec<_> = fleet.agents.values().map(|a| a.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["hub", "kage", "kaze", "kumo", "ryu", "sentinel", "suzu"]
    );
    let hub = &fleet.agents[&name("hub")];
    assert!(hub.critical && hub.depends_on.is_empty());
    let kaze = &fleet.agents[&name("kaze")];
    assert_eq!(kaze.capabilities, ["CAP_NET_RAW"]);
    assert_eq!(kaze.depends_on[0].on_failure, OnFailure::Ignore);
    assert_eq!((kaze.watchdog, kaze.max_restarts), (Span::secs(30), 5));
    let Settings::Scan(scan) = &kaze.settings else {
        panic!()
    };
    assert_eq!((scan.scan_interval, scan.max_scans), (Span::secs(15), 10));
    let Settings::Assess(ryu) = &fleet.agents[&name("ryu")].settings else {
        panic!()
    };
    assert_eq!(
        (ryu.assessment_interval, ryu.max_assessments),
        (Span::secs(60), 2)
    );
}

#[test]
fn later_sources_win_key_by_key() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let set = |path: &str, n: u32| {
        write(
            root,
            path,
            &format!("[agents.kaze.config]\nscan_interval = {n}\n"),
        );
    };
    let steps: [(&str, u32, u64); 6] = [
        ("usr/lib/recon/agents.d/kaze.toml", 101, 101),
        ("etc/recon/recon.toml", 102, 102),
        ("usr/lib/recon/recon.d/50-a.toml", 103, 103),
        ("run/recon/recon.d/50-a.toml", 104, 104),
        ("etc/recon/recon.d/50-a.toml", 105, 105),
        ("usr/lib/recon/recon.d/40-b.toml", 106, 105),
    ];
    for (path, value, expected) in steps {
        set(path, value);
        let loaded = load(&sources(root, &[])).unwrap();
        assert_eq!(scan_interval(&loaded, "kaze"), expected, "{path}");
    }
    let loaded = load(&sources(root, &[("KAZE_SCAN_INTERVAL", "107")])).unwrap();
    assert_eq!(scan_interval(&loaded, "kaze"), 107);
    let key = "agents.kaze.config.scan_interval";
    assert_eq!(loaded.origins[key], "environment KAZE_SCAN_INTERVAL");
    let loaded = load(&sources(root, &[("KAZE_SCAN_INTERVAL", "")])).unwrap();
    let place = format!("{}/etc/recon/recon.d/50-a.toml:2", root.display());
    assert_eq!(loaded.origins[key], place);
    // The rest of the table is still the manifest's.
    let Settings::Scan(scan) = &loaded.fleet.agents[&name("kaze")].settings else {
        panic!()
    };
    assert_eq!(scan.max_scans, 10);
}

#[test]
fn a_link_to_dev_null_masks() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(
        root,
        "usr/lib/recon/recon.d/10-x.toml",
        "[fleet]\nprofile = \"minimal\"\n",
    );
    assert_eq!(load(&sources(root, &[])).unwrap().fleet.profile, "minimal");
    fs::create_dir_all(root.join("etc/recon/recon.d")).unwrap();
    symlink("/dev/null", root.join("etc/recon/recon.d/10-x.toml")).unwrap();
    assert_eq!(load(&sources(root, &[])).unwrap().fleet.profile, "full");
}

#[test]
fn an_instance_starts_from_the_manifest_of_its_kind() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(
        root,
        "etc/recon/recon.toml",
        "[agents.kaze]\nmemory_max = \"1G\"\n[agents.kaze-dmz]\nkind = \"kaze\"\n",
    );
    let loaded = load(&sources(root, &[("KAZE_MAX_SCANS", "7")])).unwrap();
    let dmz = &loaded.fleet.agents[&name("kaze-dmz")];
    assert_eq!(dmz.kind, AgentKind::Kaze);
    assert_eq!(dmz.capabilities, ["CAP_NET_RAW"]);
    assert_eq!(dmz.memory_max.as_deref(), Some("512M"));
    assert_eq!(scan_interval(&loaded, "kaze-dmz"), 15);
    let Settings::Scan(scan) = &dmz.settings else {
        panic!()
    };
    assert_eq!(scan.max_scans, 7);
}

#[test]
fn a_program_of_ones_own_joins() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(
        root,
        "etc/recon/recon.toml",
        "[agents.mine]\nexec = [\"/opt/mine/daemon\", \"--flag\"]\n\
         health = { http = \"http://127.0.0.1:8080/healthz\" }\nconfig = { any = [1, 2] }\n",
    );
    let loaded = load(&sources(root, &[])).unwrap();
    let mine = &loaded.fleet.agents[&name("mine")];
    assert_eq!((mine.kind, mine.notify), (AgentKind::Custom, false));
    assert_eq!(mine.watchdog, Span::default());
    assert!(mine.health.is_some());
    assert!(matches!(&mine.settings, Settings::Custom(t) if t.contains_key("any")));
}

#[test]
fn environment_hub_and_its_errors() {
    let root = tempfile::tempdir().unwrap();
    let hub = [("DJANGO_API_BASE", "http://10.0.0.1:9000/")];
    assert_eq!(
        load(&sources(root.path(), &hub)).unwrap().fleet.hub,
        "http://10.0.0.1:9000"
    );
    let bad = [("KUMO_MAX_SPIDERS", "many")];
    let errors = load(&sources(root.path(), &bad)).unwrap_err();
    assert_eq!(
        errors.0[0].to_string(),
        "environment KUMO_MAX_SPIDERS: agents.kumo.config.max_spiders: string \"many\", expected a whole number"
    );
}

#[test]
fn a_manifest_cannot_widen_the_scope() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        "usr/lib/recon/agents.d/x.toml",
        "[scope]\nallow = [\"0.0.0.0/0\"]\n",
    );
    let errors = load(&sources(root.path(), &[])).unwrap_err();
    assert_eq!((errors.0[0].line, errors.0[0].key.as_str()), (1, "scope"));
}

#[test]
fn a_named_file_must_exist() {
    let root = tempfile::tempdir().unwrap();
    let mut sources = sources(root.path(), &[]);
    sources.file = Some(root.path().join("none.toml"));
    assert!(load(&sources).is_err());
}

#[test]
fn a_directory_of_ones_own_takes_the_place_of_the_systems() {
    let root = tempfile::tempdir().unwrap();
    let own = tempfile::tempdir().unwrap();
    let write = |path: std::path::PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(root.path().join("etc/recon/recon.toml"), "broken");
    write(root.path().join("run/recon/recon.d/10-x.toml"), "broken");
    write(own.path().join("recon.toml"), "[scope]\nmax_rate = 7\n");
    write(
        own.path().join("recon.d/10-y.toml"),
        "[agents.kaze]\nmax_restarts = 9\n",
    );
    let mut sources = Sources {
        root: root.path().to_owned(),
        file: None,
        env: Default::default(),
    };
    let dir = own.path().to_str().unwrap().to_owned();
    sources.env.insert(recon::fleet::CONFIG_DIR.to_owned(), dir);
    let fleet = load(&sources).unwrap().fleet;
    assert_eq!(fleet.scope.max_rate, 7);
    assert_eq!(fleet.agents[&"kaze".parse().unwrap()].max_restarts, 9);
    assert_eq!(sources.fleet_file(), Some(own.path().join("recon.toml")));
}
