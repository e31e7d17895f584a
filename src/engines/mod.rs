//! The engines: what finds things out about a target.
//!
//! Targets in, results out. An engine knows nothing of the hub, of systemd or of the agent runtime;
//! it may use `crate::api` (the types of its results) and `crate::fleet` (scope, spans), and tells
//! its caller about progress through a trait of its own. Agents, tests and the benchmarks use it
//! alike.

pub mod assess;
pub mod enumerate;
pub mod ports;
pub mod spider;
mod tls;
pub mod web;
