//! What became of agents that a verb drove: a line each, and one exit code.

use serde::Serialize;

use super::table::printable;
use super::{Global, output};
use crate::api::ExitCode;
use crate::systemd::{AgentState, ErrorKind};

/// The exit code of a verb, from all that it did.
pub fn worst(reports: &[Report]) -> ExitCode {
    let kinds = || reports.iter().filter_map(|r| r.kind);
    let is = |kind: ErrorKind| kinds().any(|k| k == kind);
    if is(ErrorKind::Unreachable) {
        ExitCode::SystemdUnreachable
    } else if is(ErrorKind::AccessDenied) {
        ExitCode::NotPermitted
    } else if is(ErrorKind::NoSuchUnit) {
        ExitCode::NoSuchAgent
    } else if reports.iter().any(|r| !r.ok && !r.inactive) {
        ExitCode::Failure
    } else if reports.iter().any(|r| !r.ok) {
        ExitCode::NotActive
    } else {
        ExitCode::Ok
    }
}

/// What became of one agent.
#[derive(Debug, Serialize)]
pub struct Report {
    pub agent: String,
    pub unit: String,
    pub verb: &'static str,
    pub ok: bool,
    /// Something was done, in contrast to "already running".
    pub changed: bool,
    pub message: String,
    pub state: Option<AgentState>,
    pub pid: Option<u32>,
    pub duration_s: f64,
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
    #[serde(skip)]
    pub inactive: bool,
    /// The journal may say more.
    #[serde(skip)]
    pub see_journal: bool,
}

impl Report {
    /// One line, for people or as JSON; `--json` prints all at the end.
    pub fn print(&self, global: &Global) -> anyhow::Result<()> {
        if global.json {
            return Ok(());
        }
        if global.jsonl {
            return output::text(&(serde_json::to_string(self)? + "\n"));
        }
        let mut line = format!("{}: {}", self.agent, printable(&self.message));
        if self.see_journal {
            let agent = &self.agent;
            line.push_str(&format!("; see: journalctl -u recon@{agent}"));
        }
        output::text(&(line + "\n"))
    }
}
