//! Apply in temporary roots: what is written, what is left alone, what systemd is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use recon::fleet::{Loaded, Sources, load};
use recon::units::{
    Applied, ApplyError, Destination, Mode, Options, Permissions, Reloader, ReloaderError,
    RenderContext, Rendered, Running, Supervisor, SystemdVersion, UserDirs, apply, render,
};

/// Records what it is told; all units run.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    fails: bool,
    /// When its units were started or reloaded; long ago if nobody did.
    started: Mutex<DateTime<Utc>>,
}

impl Fake {
    fn say(&self, verb: &str, units: &[String]) -> Result<(), ReloaderError> {
        let call = [&[verb.to_owned()], units].concat().join(" ");
        self.calls.lock().unwrap().push(call);
        if self.fails { Err("no".into()) } else { Ok(()) }
    }

    fn all_restarted(&self) {
        *self.started.lock().unwrap() = Utc::now();
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Reloader for Fake {
    async fn daemon_reload(&self) -> Result<(), ReloaderError> {
        self.say("daemon-reload", &[])
    }

    async fn stop(&self, units: &[String]) -> Result<(), ReloaderError> {
        self.say("stop", units)
    }

    async fn running(&self, units: &[String]) -> Result<Vec<Running>, ReloaderError> {
        let started = *self.started.lock().unwrap();
        let running = |unit: &String| Running {
            unit: unit.clone(),
            started,
            changed: started,
        };
        Ok(units.iter().map(running).collect())
    }

    async fn reload(&self, units: &[String]) -> Result<(), ReloaderError> {
        *self.started.lock().unwrap() = Utc::now();
        self.say("reload", units)
    }

    async fn restart(&self, units: &[String]) -> Result<(), ReloaderError> {
        *self.started.lock().unwrap() = Utc::now();
        self.say("restart", units)
    }
}

struct Bed {
    root: tempfile::TempDir,
    systemd: Fake,
}

const KAZE: &str = "recon@kaze.service.d/50-recon.conf";
const KAGE_LINK: &str = "recon-full.target.wants/recon@kage.service";

impl Bed {
    fn new(fleet: &str) -> Self {
        let bed = Self {
            root: tempfile::tempdir().unwrap(),
            systemd: Fake::default(),
        };
        bed.set(fleet);
        bed
    }

    fn set(&self, fleet: &str) {
        let dir = self.root.path().join("etc/recon");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("recon.toml"), fleet).unwrap();
    }

    fn unit(&self, path: &str) -> PathBuf {
        self.root.path().join("etc/systemd/system").join(path)
    }

    fn sources(&self) -> Sources {
        Sources {
            root: self.root.path().to_owned(),
            file: None,
            env: BTreeMap::new(),
        }
    }

    fn rendered(&self) -> (Loaded, Rendered) {
        let loaded = load(&self.sources()).unwrap();
        let context = RenderContext {
            version: SystemdVersion(252),
            source: Some("/etc/recon/recon.toml".into()),
            mode: Mode::Enablement,
            supervisor: Supervisor::System,
        };
        let rendered = render(&loaded.fleet, &context);
        (loaded, rendered)
    }

    fn to(&self) -> Destination {
        Destination::system(self.root.path())
    }

    fn try_apply(&self, may: Permissions, now: bool, tell: bool) -> Result<Applied, ApplyError> {
        let (loaded, rendered) = self.rendered();
        let options = Options {
            may,
            now,
            source: self.sources().fleet_file(),
        };
        let systemd = tell.then_some(&self.systemd);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(apply(
            &loaded.fleet,
            &rendered,
            &self.to(),
            &options,
            systemd,
        ))
    }

    fn apply(&self) -> Applied {
        self.try_apply(Permissions::default(), false, true).unwrap()
    }
}

fn force() -> Permissions {
    Permissions {
        force: true,
        prune: false,
    }
}

fn prune() -> Permissions {
    Permissions {
        force: false,
        prune: true,
    }
}

fn stamps(dir: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        found.insert(path.clone(), (meta.ino(), meta.mtime(), meta.mtime_nsec()));
        if meta.is_dir() {
            found.extend(stamps(&path));
        }
    }
    found
}

#[test]
fn a_second_apply_writes_nothing_and_tells_nobody() {
    let bed = Bed::new("");
    let first = bed.apply();
    assert!(
        first.daemon_reloaded && first.plan.changes.len() == 10,
        "{first:?}"
    );
    assert_eq!(bed.systemd.taken(), ["daemon-reload"]);
    let before = stamps(bed.root.path());
    let second = bed.apply();
    assert!(second.plan.is_empty() && !second.daemon_reloaded);
    assert!(bed.systemd.taken().is_empty());
    assert_eq!(stamps(bed.root.path()), before);
}

#[test]
fn one_change_writes_one_file_and_says_who_needs_a_restart() {
    let bed = Bed::new("");
    bed.apply();
    bed.systemd.all_restarted();
    bed.systemd.taken();
    let kage = stamps(bed.unit("recon@kage.service.d").as_path());
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\n");
    let applied = bed.try_apply(Permissions::default(), true, true).unwrap();
    let paths: Vec<_> = applied
        .plan
        .changes
        .iter()
        .map(|c| c.path.to_str().unwrap())
        .collect();
    assert_eq!(paths, [KAZE]);
    assert_eq!(
        bed.systemd.taken(),
        ["daemon-reload", "restart recon@kaze.service"]
    );
    assert_eq!(stamps(bed.unit("recon@kage.service.d").as_path()), kage);
}

#[test]
fn changed_settings_need_a_reload_of_that_agent_only() {
    let bed = Bed::new("");
    bed.apply();
    bed.systemd.all_restarted();
    bed.systemd.taken();
    bed.set("[agents.kaze.config]\nmax_scans = 3\n");
    let applied = bed.apply();
    assert!(applied.plan.is_empty());
    assert_eq!(applied.needs_reload, ["recon@kaze.service"]);
    // systemd compares the time of SourcePath= and would warn about every unit.
    assert_eq!(bed.systemd.taken(), ["daemon-reload"]);
}

#[test]
fn what_was_not_restarted_is_remembered_until_it_was() {
    let bed = Bed::new("");
    bed.apply();
    bed.systemd.all_restarted();
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\n[agents.kage.config]\nmax_scans = 3\n");
    for _ in 0..2 {
        let applied = bed.apply();
        assert_eq!(applied.needs_restart, ["recon@kaze.service"]);
        assert_eq!(applied.needs_reload, ["recon@kage.service"]);
    }
    bed.systemd.taken();
    let applied = bed.try_apply(Permissions::default(), true, true).unwrap();
    assert!(applied.done_now && applied.plan.is_empty());
    let said = ["restart recon@kaze.service", "reload recon@kage.service"];
    assert_eq!(bed.systemd.taken(), said);
    let applied = bed.apply();
    assert!(applied.needs_restart.is_empty() && applied.needs_reload.is_empty());
    // Restarted by somebody else in between: the same.
    bed.set("[agents.kaze]\nmemory_max = \"2G\"\n");
    bed.apply();
    bed.systemd.all_restarted();
    assert!(bed.apply().needs_restart.is_empty());
}

#[test]
fn hand_edits_are_kept_until_forced() {
    let bed = Bed::new("");
    bed.apply();
    fs::write(bed.unit(KAZE), "[Service]\nNice=5\n").unwrap();
    let applied = bed.apply();
    assert_eq!(applied.plan.kept, [Path::new(KAZE)]);
    assert_eq!(
        fs::read_to_string(bed.unit(KAZE)).unwrap(),
        "[Service]\nNice=5\n"
    );
    // Still known as edited when asked again.
    assert_eq!(bed.apply().plan.kept, [Path::new(KAZE)]);
    bed.try_apply(force(), false, true).unwrap();
    assert!(
        fs::read_to_string(bed.unit(KAZE))
            .unwrap()
            .starts_with("# Made by reconctl")
    );
    assert!(bed.apply().plan.is_empty());
}

#[test]
fn a_file_that_was_there_before_is_somebody_elses() {
    let bed = Bed::new("");
    fs::create_dir_all(bed.unit("x")).unwrap();
    symlink("/dev/null", bed.unit("recon-full.target")).unwrap();
    let applied = bed.apply();
    assert_eq!(applied.plan.kept, [Path::new("recon-full.target")]);
    assert!(fs::read_link(bed.unit("recon-full.target")).is_ok());
}

#[test]
fn a_reverted_drop_in_comes_back() {
    let bed = Bed::new("");
    bed.apply();
    fs::remove_file(bed.unit(KAZE)).unwrap();
    assert_eq!(bed.apply().plan.changes.len(), 1);
    assert!(bed.unit(KAZE).exists());
}

#[test]
fn prune_stops_disables_and_removes_what_left() {
    let bed = Bed::new("[profiles]\nfull = [\"hub\", \"x\"]\n[agents.x]\nexec = [\"/x\"]\n");
    bed.apply();
    let (drop_in, link) = (
        "recon@x.service.d/50-recon.conf",
        "recon-full.target.wants/recon@x.service",
    );
    assert!(bed.unit(drop_in).exists() && bed.unit(link).is_symlink());
    bed.set("");
    let applied = bed.apply();
    assert_eq!(applied.plan.leftovers, [Path::new(drop_in)]);
    assert!(bed.unit(drop_in).exists());
    bed.systemd.taken();
    bed.try_apply(prune(), false, true).unwrap();
    assert_eq!(
        bed.systemd.taken(),
        ["stop recon@x.service", "daemon-reload"]
    );
    assert!(!bed.unit("recon@x.service.d").exists() && !bed.unit(link).is_symlink());
    assert!(bed.try_apply(prune(), false, true).unwrap().plan.is_empty());
    // Forgotten: when it comes back it is seen for the first time again.
    bed.set("[profiles]\nfull = [\"x\"]\n[agents.x]\nexec = [\"/x\"]\n");
    assert!(bed.apply().plan.enable.contains(&PathBuf::from(link)));
}

#[test]
fn what_left_but_was_edited_is_kept_by_prune() {
    let bed = Bed::new("[agents.x]\nexec = [\"/x\"]\n");
    bed.apply();
    let drop_in = bed.unit("recon@x.service.d/50-recon.conf");
    fs::write(&drop_in, "[Service]\n").unwrap();
    bed.set("");
    let applied = bed.try_apply(prune(), false, true).unwrap();
    assert_eq!(applied.plan.kept.len(), 1);
    assert!(drop_in.exists());
}

#[test]
fn enablement_is_decided_once_and_then_the_administrators() {
    let bed = Bed::new("[agents.kumo]\nauto_start = false\n");
    bed.apply();
    assert!(bed.unit(KAGE_LINK).is_symlink());
    let kumo = bed.unit("recon-full.target.wants/recon@kumo.service");
    assert!(!kumo.is_symlink());
    // systemctl disable recon@kage
    fs::remove_file(bed.unit(KAGE_LINK)).unwrap();
    bed.set("[agents.kage]\nmemory_max = \"1G\"\n[agents.kumo]\nauto_start = true\n");
    bed.apply();
    assert!(!bed.unit(KAGE_LINK).is_symlink() && !kumo.is_symlink());
    // A new profile takes in those that are enabled.
    bed.set("[profiles]\nmine = [\"kage\", \"kaze\"]\n");
    bed.apply();
    assert!(
        bed.unit("recon-mine.target.wants/recon@kaze.service")
            .is_symlink()
    );
    assert!(
        !bed.unit("recon-mine.target.wants/recon@kage.service")
            .is_symlink()
    );
    // Out of a profile is out of its target.
    bed.set("[profiles]\nmine = [\"kage\"]\n");
    bed.apply();
    assert!(
        !bed.unit("recon-mine.target.wants/recon@kaze.service")
            .is_symlink()
    );
}

#[test]
fn a_masked_agent_is_not_enabled() {
    let bed = Bed::new("");
    fs::create_dir_all(bed.unit("x")).unwrap();
    symlink("/dev/null", bed.unit("recon@kage.service")).unwrap();
    bed.apply();
    assert!(!bed.unit(KAGE_LINK).is_symlink());
}

#[test]
fn a_second_apply_at_a_time_is_refused() {
    let bed = Bed::new("");
    bed.apply();
    let lock = fs::File::open(bed.root.path().join("var/lib/reconctl/lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let refused = bed.try_apply(Permissions::default(), false, true);
    assert!(matches!(refused, Err(ApplyError::Locked(_))), "{refused:?}");
}

#[test]
fn a_reload_that_failed_or_was_left_out_is_made_up_for() {
    let mut bed = Bed::new("");
    bed.systemd.fails = true;
    assert!(bed.try_apply(Permissions::default(), false, true).is_err());
    bed.systemd.fails = false;
    let applied = bed.apply();
    assert!(applied.plan.is_empty() && applied.daemon_reloaded);
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\n");
    assert!(
        !bed.try_apply(Permissions::default(), false, false)
            .unwrap()
            .daemon_reloaded
    );
    assert!(bed.apply().daemon_reloaded);
}

#[test]
fn an_apply_that_was_cut_off_is_no_hand_edit() {
    let bed = Bed::new("");
    bed.apply();
    bed.set("[agents.kaze]\nmemory_max = \"1G\"\n");
    // As if it had lost its power after the first rename: the manifest knows both texts.
    let (_, rendered) = bed.rendered();
    let manifest = bed.root.path().join("var/lib/reconctl/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    bed.apply();
    let after = fs::read_to_string(&manifest).unwrap();
    let hash = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["files"][KAZE][0].as_str().unwrap().to_owned()
    };
    let both = text.replace(
        &hash(&text),
        &format!("{}\", \"{}", hash(&text), hash(&after)),
    );
    fs::write(&manifest, both).unwrap();
    assert_eq!(
        fs::read_to_string(bed.unit(KAZE)).unwrap(),
        rendered.files[Path::new(KAZE)]
    );
    bed.set("[agents.kaze]\nmemory_max = \"2G\"\n");
    let applied = bed.apply();
    assert!(applied.plan.kept.is_empty() && applied.plan.changes.len() == 1);
}

#[test]
fn a_users_files_go_to_their_own_directories() {
    let home = tempfile::tempdir().unwrap();
    let dirs = UserDirs {
        config: home.path().join("config"),
        state: home.path().join("state"),
        runtime: home.path().join("run"),
    };
    let bed = Bed::new("[agents.kage]\nmemory_max = \"1G\"\n");
    let (loaded, rendered) = bed.rendered();
    // A mask of the system's administrator counts for users as well.
    let masks = bed.root.path().join("etc/systemd/user");
    fs::create_dir_all(&masks).unwrap();
    symlink("/dev/null", masks.join("recon@hub.service")).unwrap();
    for (runtime, units) in [(false, "config"), (true, "run")] {
        let to = Destination::user(bed.root.path(), &dirs, runtime);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let applied = runtime.block_on(apply::<Fake>(
            &loaded.fleet,
            &rendered,
            &to,
            &Options::default(),
            None,
        ));
        assert!(!applied.unwrap().plan.is_empty());
        let units = home.path().join(units).join("systemd/user");
        assert!(units.join(KAZE).is_file());
        let link = fs::read_link(units.join(KAGE_LINK)).unwrap();
        assert_eq!(link, Path::new("/usr/lib/systemd/user/recon@.service"));
        let masked = units.join("recon-full.target.wants/recon@hub.service");
        assert!(!masked.is_symlink());
    }
    assert!(home.path().join("state/reconctl/manifest.json").is_file());
    assert!(!bed.root.path().join("etc/systemd/system").exists());
}
