//! What became of agents that a verb drove: a line each, and one exit code.

use std::time::Duration;

use serde::Serialize;

use super::Done;
use crate::api::ExitCode;
use crate::cli::table::printable;
use crate::cli::{Global, output};
use crate::systemd::{AgentState, Error, ErrorKind};

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
    /// What a verb did.
    pub(super) fn new(
        agent: &str,
        verb: &'static str,
        took: Duration,
        done: Result<Done, Error>,
    ) -> Self {
        let mut report = Self {
            agent: agent.to_owned(),
            unit: format!("recon@{agent}.service"),
            verb,
            ok: false,
            changed: false,
            message: String::new(),
            state: None,
            pid: None,
            duration_s: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            kind: None,
            inactive: false,
            see_journal: false,
        };
        match done {
            Ok(done) => {
                report.ok = done.ok;
                report.changed = done.changed;
                report.message = done.message;
                report.inactive = done.inactive;
                report.see_journal = !done.ok && !done.inactive;
                report.state = Some(done.unit.state);
                report.pid = done.unit.pid;
            }
            Err(error) => {
                report.message = format!("failed: {error}");
                report.kind = Some(error.kind());
            }
        }
        report
    }

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

/// All of them, when that is how the user wants it.
pub fn print_all(global: &Global, mut reports: Vec<Report>) -> anyhow::Result<()> {
    if global.json {
        reports.sort_by(|a, b| a.agent.cmp(&b.agent));
        output::json(&serde_json::json!({ "agents": reports }))?;
    }
    Ok(())
}
