//! systemd, over its D-Bus API: what the agents' units are doing, jobs that start and stop them, and
//! the journal.
//!
//! [`Manager`] is the client. Units are read property by property into [`UnitState`], whose
//! [`AgentState`] is the one word that every view shows; jobs are waited for until they end and
//! answer with what became of the unit ([`JobOutcome`]). What happens without us comes from
//! [`Manager::events`]. The journal is read through journalctl(1), its stable interface.
//!
//! Keeps no state of its own: what is shown is what systemd says now. Depends on `api` and `fleet`
//! only; the hub and `reconctl` depend on it. See org.freedesktop.systemd1(5).

mod bus;
mod dependencies;
mod ends;
mod error;
mod events;
mod firewall;
mod health;
mod job;
mod journal;
mod manager;
mod name;
mod own;
mod props;
mod proxy;
mod reason;
mod signal;
mod state;
mod unit;
mod unit_files;
mod wait;

pub use bus::Bus;
pub use error::{Error, ErrorKind};
pub use events::Event;
pub use job::{JobKind, JobOutcome, JobResult, Pending};
pub use journal::{Entry, Journal, Level, Query};
pub use manager::{Manager, Options, Who};
pub use name::{AGENT_UNITS, agent_of_unit};
pub use props::Props;
pub use signal::signal_number;
pub use state::AgentState;
pub use unit::{Clock, UnitState};
pub use wait::Watch;
