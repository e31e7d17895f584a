//! What every agent runs in: readiness, watchdog, signals, the work cycle, backoff, the hub client,
//! the spool, heartbeat and logging. They live here once, so that an agent is an engine plus a page.
//!
//! The picture of one agent process, on one thread:
//!
//! ```text
//! signals ──► Control (stop, paused) ──► work loop: drain spool → cycle (lease, work, spool, send) → wait
//!    └ HUP ─► Config (swapped whole)         │ every step of progress: Heart → WATCHDOG=1
//! heartbeat task ◄── Vitals ◄────────────────┘ Status → STATUS=
//! ```
//!
//! May depend on `api`, `fleet` and `systemd`; never on `engines`, `agents`, `hub` or `cli`.

mod backoff;
mod checkpoint;
mod config;
mod context;
mod control;
mod credentials;
mod cycle;
mod heart;
mod heartbeat;
mod hub;
#[cfg(test)]
mod hub_tests;
mod leases;
pub mod logging;
mod manual;
pub mod notify;
mod options;
mod outbox;
mod process;
mod resolve;
mod run;
pub mod shim;
mod signals;
mod spool;
pub mod text;
mod vitals;
mod web_options;

pub use backoff::Backoff;
pub use checkpoint::Checkpoints;
pub use config::{Config, ConfigSource};
pub use context::Context;
pub use control::{Control, Phase};
pub use credentials::Credentials;
pub use cycle::{Done, LeasedWork, Task, WorkError, lease_cycle};
pub use heart::Heart;
pub use hub::{HubClient, HubError, Submitted};
pub use manual::{Show, once as run_by_hand};
pub use options::Options;
pub use outbox::Outbox;
pub use process::{host_name, rss_bytes};
pub use resolve::{ResolveError, lookup, resolve_in_scope};
pub use run::{Agent, Beside, CycleReport, main};
pub use spool::{Spool, Spooled};
pub use vitals::Vitals;
pub use web_options::{EnumOptions, SpiderOptions, WebOptions};
