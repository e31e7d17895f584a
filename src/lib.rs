//! recon: continuous reconnaissance of networks that you own, supervised by systemd.

pub mod agents;
pub mod api;
pub mod cli;
pub mod engines;
pub mod fleet;
pub mod hub;
pub mod runtime;
pub mod systemd;
pub mod units;
