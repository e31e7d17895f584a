//! systemd as `reconctl` and the hub see it: units, jobs and signals over D-Bus, and the journal.
//!
//! Nothing here keeps state: what runs is asked of systemd each time. Reads need no privilege.
//! May depend on `api` and `fleet`.

mod client;
mod job;
pub mod journal;
mod proxy;
mod state;
mod unit;

pub use client::{Systemd, SystemdError};
pub use job::{JobError, JobResult};
pub use state::AgentState;
pub use unit::UnitStatus;
