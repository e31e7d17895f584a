//! The agents: an engine in the runtime, a page each.
//!
//! An agent says which settings it takes, how it makes its engine, and what one cycle is; everything
//! else (readiness, watchdog, signals, leases, spool, heartbeat, logging, `--once`) is
//! [`crate::runtime`]. May depend on `runtime`, `engines`, `fleet` and `api`.

mod assess;
mod by_hand;
mod engine;
mod har;
mod kage;
mod kaze;
mod kumo;
mod long;
mod resume;
mod ryu;
mod scan;
mod screenshots;
mod sentinel;
mod suzu;
mod web;
mod web_by_hand;
mod web_rows;

pub use kage::Kage;
pub use kaze::Kaze;
pub use kumo::Kumo;
pub use ryu::Ryu;
pub use sentinel::Sentinel;
pub use suzu::Suzu;
