//! What the rendering tests share: cases are fake roots below tests/render.

use std::fs;
use std::path::{Path, PathBuf};

use recon::fleet::{Loaded, Sources, load};
use recon::units::{Mode, RenderContext, Rendered, Supervisor, render};

/// A case: `tests/render/NN-name/{etc,usr,run,systemd-version,mode,only,expected/}`.
/// `mode` has the words `generator` and `user`, or none of them.
pub struct Case {
    pub dir: PathBuf,
    pub loaded: Loaded,
    pub context: RenderContext,
}

/// All cases, in order.
pub fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render");
    let mut dirs: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    dirs.retain(|path| path.is_dir());
    dirs.sort();
    dirs.into_iter().map(Case::read).collect()
}

impl Case {
    fn read(dir: PathBuf) -> Self {
        let sources = Sources {
            root: dir.clone(),
            file: None,
            env: Default::default(),
        };
        let loaded = load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        let version = fs::read_to_string(dir.join("systemd-version"))
            .unwrap()
            .parse()
            .unwrap();
        let mode = fs::read_to_string(dir.join("mode")).unwrap_or_default();
        let source = sources
            .fleet_file()
            .map(|_| PathBuf::from("/etc/recon/recon.toml"));
        let context = RenderContext {
            version,
            source,
            mode: if mode.contains("generator") {
                Mode::Generator
            } else {
                Mode::Enablement
            },
            supervisor: if mode.contains("user") {
                Supervisor::User
            } else {
                Supervisor::System
            },
        };
        Self {
            dir,
            loaded,
            context,
        }
    }

    pub fn name(&self) -> String {
        self.dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    #[allow(dead_code, reason = "not every test that shares this uses it")]
    pub fn rendered(&self) -> Rendered {
        render(&self.loaded.fleet, &self.context)
    }
}
