//! The hub: the server that agents, `reconctl` and browsers talk to.
//!
//! It knows the targets, hands out what is due (each record to one agent of a kind at a time), takes
//! results exactly once, and hands out nothing that is out of scope. Routes are in `routes` (one
//! table, one file a resource), what is kept is behind [`store::Store`]. May depend on `api` and
//! `fleet`; the agents know it only by its wire types.

mod access;
mod agents;
mod blackouts;
mod bodies;
mod cached;
mod clock;
mod config;
mod error;
mod extract;
mod gate;
mod guard;
mod journal;
mod lock;
mod metrics;
mod openapi;
mod places;
mod plan;
pub mod restore;
mod retention;
mod routes;
mod runs;
mod server;
mod service;
mod skew;
mod sockets;
mod state;
pub mod store;
mod tls;
mod webhooks;

pub use agents::AgentFacts;
pub use clock::Clock;
pub use config::{Args, Config, ConfigError, Database, configured_database};
pub use retention::{Keep, Retention};
pub use server::{Server, ServerError};
pub use service::main;
pub use state::{Hub, Live};
pub use tls::TlsError;
pub use webhooks::{Pace, Secret, Webhook};
