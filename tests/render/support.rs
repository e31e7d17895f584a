//! What the rendering tests share: cases are fake roots below tests/render.

use std::fs;
use std::path::{Path, PathBuf};

use recon::fleet::{Diagnostics, Fleet, Sources, load};
use recon::units::{Mode, RenderContext, Rendered, Supervisor, refusal, render};

/// A case: `tests/render/NN-name/{etc,usr,run,systemd-version,mode,only,expected/}`. `mode` has the
/// words `generator` and `user`, or none of them; only a generator makes something of a broken fleet.
pub struct Case {
    pub dir: PathBuf,
    pub loaded: Result<Fleet, Diagnostics>,
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
        let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let has = |word: &str| text("mode").split_whitespace().any(|w| w == word);
        let context = RenderContext {
            version: text("systemd-version").parse().unwrap(),
            source: sources
                .fleet_file()
                .map(|_| PathBuf::from("/etc/recon/recon.toml")),
            mode: if has("generator") {
                Mode::Generator
            } else {
                Mode::Enablement
            },
            supervisor: if has("user") {
                Supervisor::User
            } else {
                Supervisor::System
            },
        };
        let loaded = load(&sources).map(|loaded| loaded.fleet);
        let loaded = loaded.map_err(|errors| as_seen_inside(&dir, errors));
        match &loaded {
            Err(errors) if context.mode != Mode::Generator => panic!("{errors}"),
            _ => {}
        }
        Self {
            dir,
            loaded,
            context,
        }
    }

    pub fn name(&self) -> String {
        self.dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The unit files, for another version of systemd or another mode, too.
    pub fn rendered_for(&self, context: &RenderContext) -> Rendered {
        match &self.loaded {
            Ok(fleet) => render(fleet, context),
            Err(errors) => refusal(errors, context),
        }
    }
}

/// The expected trees are the same wherever the repository is.
fn as_seen_inside(root: &Path, mut errors: Diagnostics) -> Diagnostics {
    for error in &mut errors.0 {
        if let Ok(inside) = error.file.strip_prefix(root) {
            error.file = Path::new("/").join(inside);
        }
    }
    errors
}
