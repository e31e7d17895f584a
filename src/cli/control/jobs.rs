//! start, stop, restart, reload.

use chrono::{DateTime, Utc};

use super::{Done, Driver, Step, Verb};
use crate::cli::table::duration;
use crate::systemd::{AgentState, Error, JobKind, JobOutcome, Journal, Query, UnitState};

impl Driver<'_> {
    /// Queues the job of one agent, if it needs one.
    pub(super) async fn begin_job(&self, unit: UnitState) -> Result<Step, Error> {
        let idle = matches!(unit.active_state.as_str(), "inactive" | "failed");
        let (kind, no_wait, force) = match self.verb {
            Verb::Start { .. } if unit.is_active() => {
                let message = format!("already running{}", pid(&unit));
                return Ok(Step::Done(Done::already(message, unit)));
            }
            Verb::Start { force, no_wait } => (JobKind::Start, no_wait, force),
            Verb::Stop { .. } if idle => {
                return Ok(Step::Done(Done::already("not running", unit)));
            }
            Verb::Stop { no_wait } => (JobKind::Stop, no_wait, false),
            Verb::Reload { .. } if !unit.is_active() => {
                return Ok(Step::Done(self.not_running(unit)));
            }
            Verb::Reload { no_wait } => (JobKind::Reload, no_wait, false),
            Verb::Restart { force, no_wait } => (JobKind::Restart, no_wait, force),
            _ => return Ok(Step::Later(unit)),
        };
        let starts = matches!(kind, JobKind::Start | JobKind::Restart);
        if starts && unit.load_state == "masked" {
            return Err(Error::Masked { unit: unit.unit });
        }
        if starts && unit.restart_limit_reached && !force {
            // systemd refuses it as well while the window lasts, with words that name no way out.
            let message = format!("failed: {}", limit(&unit));
            return Ok(Step::Done(Done::failed(message, unit)));
        }
        if starts {
            // systemd counts a start by hand towards the limit of restarts after failures.
            self.clear(&unit.unit).await?;
        }
        if no_wait {
            self.manager.enqueue(kind, &unit.unit).await?;
            let message = format!("{} queued", self.verb.as_str());
            return Ok(Step::Done(Done::ok(message, unit)));
        }
        Ok(Step::Queued(self.manager.submit(kind, &unit.unit).await?))
    }

    /// What the end of a job means.
    pub(super) async fn judge(&self, outcome: JobOutcome) -> Done {
        let refused = matches!(self.verb, Verb::Reload { .. }) && !outcome.is_done();
        let began = Utc::now() - outcome.took;
        let mut done = judge(self.verb, outcome);
        if refused && let Some(why) = self.refusal(&done.unit, began).await {
            done.message = format!("failed, and it goes on as before: {why}");
        }
        done
    }

    /// Why a configuration was refused: what the command said that looks at it before the agent
    /// does. systemd itself knows only that it failed.
    async fn refusal(&self, unit: &UnitState, began: DateTime<Utc>) -> Option<String> {
        let query = Query {
            units: vec![unit.unit.clone()],
            since: Some(format!("@{}", began.timestamp())),
            user: self.global.user,
            host: self.global.host.clone(),
            ..Query::default()
        };
        let mut journal = Journal::open(&query).ok()?;
        let mut said = Vec::new();
        while let Ok(Some(entry)) = journal.next().await {
            let command = entry
                .pid
                .is_some_and(|pid| pid != 1 && Some(pid) != unit.pid);
            if command && entry.time >= began {
                said.push(entry.message);
            }
        }
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Clears the failed state; a unit that is not even loaded has none.
    pub(super) async fn clear(&self, unit: &str) -> Result<(), Error> {
        match self.manager.reset_failed(unit).await {
            Err(Error::NoSuchUnit { .. }) => Ok(()),
            result => result,
        }
    }
}

fn judge(verb: Verb, outcome: JobOutcome) -> Done {
    let took = duration(outcome.took);
    if !outcome.is_done() {
        let message = format!("failed: {}{}", outcome.reason(), again(&outcome.unit));
        return Done::failed(message, outcome.unit);
    }
    let unit = outcome.unit;
    if matches!(verb, Verb::Stop { .. }) {
        let message = match unit.result.as_deref() {
            Some("timeout") => format!("stopped by force ({took}): it did not end in time"),
            _ => format!("stopped ({took})"),
        };
        return Done::ok(message, unit);
    }
    // A job can be done and the agent gone again.
    if !unit.state.is_up() {
        let why = unit.last_error.clone();
        let why = why.unwrap_or_else(|| format!("it ended at once and is {}", unit.state));
        return Done::failed(format!("failed: {why}{}", again(&unit)), unit);
    }
    let word = match verb {
        Verb::Start { .. } => "started",
        Verb::Reload { .. } => "reloaded",
        _ => "restarted",
    };
    let pid = unit.pid.map(|pid| format!("pid {pid}, "));
    let pid = pid.unwrap_or_default();
    let paused = match unit.state {
        AgentState::Paused => "; still paused, see reconctl resume",
        _ => "",
    };
    Done::ok(format!("{word} ({pid}{took}){paused}"), unit)
}

/// That it gave up, why, and what to do.
pub(super) fn limit(unit: &UnitState) -> String {
    let why = unit.last_error.clone();
    why.unwrap_or_else(|| "restart limit reached".to_owned())
}

/// That systemd goes on trying, when it does.
fn again(unit: &UnitState) -> &'static str {
    match unit.state {
        AgentState::Restarting => "; systemd will start it again",
        _ => "",
    }
}

fn pid(unit: &UnitState) -> String {
    unit.pid
        .map(|pid| format!(" (pid {pid})"))
        .unwrap_or_default()
}
