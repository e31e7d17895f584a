//! recon: continuous reconnaissance of networks that you own, supervised by systemd.
//!
//! This page is the map for whoever carries on.
//!
//! # The picture
//!
//! ```text
//! /etc/recon/recon.toml ──► reconctl apply ──► recon@.service + drop-ins, targets, slice
//!     (fleet file)                                  │ systemd: order, restart, backoff, watchdog,
//!                                                   │ sandbox, scope firewall, logs
//!  reconctl ◄──────── systemd D-Bus API ────────────┤
//!                                                   ▼
//!               recon@hub      recon@kage   recon@kaze   recon@sentinel  …
//!                   ▲              └── HTTP: lease work, submit results, heartbeat ──┘
//!   REST, reconctl ─┘   SQLite
//! ```
//!
//! Six rules: systemd is the supervisor (no PID files, no forking, no restart loop, no log files of
//! ours). One truth: the fleet file says what should run, systemd what does run, the hub's database
//! what was found. One shape of agent: an engine plus a page. Scope first: the hub does not lease
//! what is outside, the agent refuses it, the kernel drops it. Nothing found is lost: a result is on
//! disk before it is sent, and sending it twice stores it once. An agent that makes no progress is
//! not alive: the watchdog ping comes from the work.
//!
//! # The rooms, and the arrows between them
//!
//! Each folder's `mod.rs` says what lives there and what it may depend on; `tests/arrows.rs` holds
//! the table and fails when an arrow goes up.
//!
//! ```text
//!   bin   a few lines each
//!   cli      hub      agents          cli: one file a verb; agents: an engine in the runtime
//!    │        │        │    └─ engines    targets in, results out; no hub, no systemd
//!    │        └─ runtime ┘                 notify, watchdog, signals, cycle, hub client, spool, logs
//!   units   systemd                        fleet → unit files, generator; D-Bus client
//!  report                                  what the hub knows → HTML, Markdown, JSON, SARIF, CSV
//!   fleet                                  files → merged → validated model; scope
//!   api                                    what crosses the wire; exit codes
//! ```
//!
//! One arrow is not drawn: `reconctl hub restore` uses what the hub knows of a database at rest. One
//! file is in no room: `descriptors`, the limit of open files, which engines and hub live by.
//!
//! # Where a new thing goes
//!
//! * A new **agent**: its kind in [`fleet::AgentKind`] and settings in `fleet/settings.rs`, a page in
//!   [`agents`], three lines in `src/bin`, a manifest in `packaging/agents.d`. Nothing else changes:
//!   `recon@.service` is a template.
//! * A new **service probe**: `engines/ports/services`, with its patterns beside it.
//! * A new **engine**: a folder in [`engines`]; it reports progress through an observer of its own
//!   and knows neither hub nor systemd.
//! * A new **rule**: a file in `packaging/rules`, with its tests; a new field for it to read:
//!   `engines/assess/facts/schema.rs`, and where it is set.
//! * A new **form of report**: a file in [`report`], a word in its `Format`.
//! * A new **way in** of assessments: an entry of `packaging/assess/chains.toml`.
//! * A new **verb**: a file in [`cli`], one line in its `Command`.
//! * A new **route**: a file in `hub/routes`, one line in its table, its types in [`api`].
//! * A new **unit setting**: `units/render.rs`, gated by the systemd version that brought it, and a
//!   golden case in `tests/render`.
//! * A promise **across processes**: a scenario in `tests/system/scenarios`, which runs in the test
//!   bed under a real systemd, old and new.

pub mod agents;
pub mod api;
pub mod cli;
mod descriptors;
pub mod engines;
pub mod fleet;
pub mod hub;
pub mod report;
pub mod runtime;
pub mod systemd;
pub mod units;
