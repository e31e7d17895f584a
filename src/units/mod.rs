//! From a fleet to systemd's unit files.
//!
//! [`render()`] is pure and deterministic: a fleet and a systemd version become a map of path to text.
//! The packaged template `recon@.service` is complete; what is rendered are drop-ins for it and
//! profile targets. [`apply()`] puts the result on disk: only files that it owns, atomically, under a
//! lock, and tells which units are affected. Talking to systemd is left to a [`Reloader`].
//!
//! May depend on `fleet` only. No environment, no D-Bus, no subprocess.

mod apply;
mod diff;
mod disk;
mod file;
mod firewall;
mod generator;
mod health;
mod limits;
mod manifest;
mod plan;
mod render;
mod sandbox;
mod targets;
mod version;

pub use apply::{Applied, ApplyError, Options, Reloader, ReloaderError, Running, apply, retract};
pub use diff::{Change, ChangeKind, changes, unified};
pub use disk::{Destination, UserDirs};
pub use file::{UnitFile, quote_arg, unit_value};
pub use generator::{refusal, write_all};
pub use manifest::Manifest;
pub use plan::{Permissions, Plan, plan};
pub use render::{Mode, Note, Preset, RenderContext, Rendered, render};
pub use version::{BASELINE, Supervisor, SystemdVersion};
