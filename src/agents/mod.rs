//! The agents: an engine in the runtime, a page each.
//!
//! An agent says which settings it takes, how it makes its engine, and what one cycle is; everything
//! else (readiness, watchdog, signals, leases, spool, heartbeat, logging, `--once`) is
//! [`crate::runtime`]. May depend on `runtime`, `engines`, `fleet` and `api`.

mod by_hand;
mod kage;
mod kaze;
mod scan;
mod sentinel;

pub use kage::Kage;
pub use kaze::Kaze;
pub use sentinel::Sentinel;
