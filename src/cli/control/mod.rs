//! Verbs that drive agents. Jobs are queued one after the other, in the order in which the units
//! depend on each other, and then awaited together, so that systemd orders them as if they were one;
//! every verb says what became of each agent as soon as that is known.

mod files;
mod jobs;
mod options;
mod pause;
mod report;
mod signals;

use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::agents::{ALL, Roster, failed};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::fleet::AgentName;
use crate::systemd::{AgentState, Error, Manager, Pending, UnitState};
pub use options::{
    Args, EnableArgs, ForceArgs, JobArgs, KillArgs, MaskArgs, StartArgs, UnmaskArgs, Verb,
};
pub use report::{Report, print_all, worst};

/// Does this to these agents and says what became of each.
pub async fn run(global: &Global, verb: Verb, agents: &[String]) -> Outcome {
    let roster = Roster::load(global);
    let manager = global.systemd().await?;
    let all = agents.iter().any(|n| n == ALL);
    let driver = Driver {
        global,
        roster: &roster,
        manager: &manager,
        verb,
        all,
    };
    let units = driver.units(agents).await?;
    if units.is_empty() && !global.json && !global.jsonl {
        output::text(match verb {
            Verb::Start { .. } => "Nothing to do: the profile has no members.\n",
            _ => "Nothing to do: no agent runs.\n",
        })?;
    }
    let reports = driver.drive(units).await?;
    let code = worst(&reports);
    print_all(global, reports)?;
    Ok(code)
}

/// What a verb did to one agent, before it is a report.
struct Done {
    ok: bool,
    /// It failed because the agent does not run.
    inactive: bool,
    changed: bool,
    message: String,
    unit: UnitState,
}

impl Done {
    fn ok(message: impl Into<String>, unit: UnitState) -> Self {
        Self {
            ok: true,
            inactive: false,
            changed: true,
            message: message.into(),
            unit,
        }
    }

    /// Nothing had to be done.
    fn already(message: impl Into<String>, unit: UnitState) -> Self {
        Self {
            changed: false,
            ..Self::ok(message, unit)
        }
    }

    fn failed(message: impl Into<String>, unit: UnitState) -> Self {
        Self {
            ok: false,
            ..Self::ok(message, unit)
        }
    }
}

/// How far an agent is.
enum Step {
    Done(Done),
    /// A job of it is in systemd's queue.
    Queued(Pending),
    /// Nothing has happened yet; its order does not matter.
    Later(UnitState),
}

/// What is common to the agents that one verb is about.
pub(super) struct Driver<'a> {
    pub global: &'a Global,
    pub roster: &'a Roster,
    pub manager: &'a Manager,
    pub verb: Verb,
    /// The user said `all`.
    pub all: bool,
}

impl Driver<'_> {
    /// The units that the command line means, in the order in which they are driven.
    async fn units(&self, agents: &[String]) -> Result<Vec<UnitState>, Failure> {
        let mut units = if !self.all {
            let names = self.roster.resolve(agents, self.manager).await?;
            self.states(&names).await?
        } else if matches!(self.verb, Verb::Start { .. }) {
            if self.roster.fleet().is_none() {
                let error = anyhow::anyhow!(
                    "which agents are all is for the fleet file to say, and it cannot be read: name them, or use reconctl up"
                );
                return Err(Failure::new(ExitCode::Usage, error));
            }
            // Starting everything that has a unit would start what is not meant to run.
            self.states(&self.roster.profile()).await?
        } else {
            let units = self.manager.units(&self.roster.units()).await;
            let mut units = units.map_err(failed)?;
            let restart = matches!(self.verb, Verb::Restart { .. });
            units.retain(|u| self.verb.is_for_idle() || u.state != AgentState::Stopped);
            // What failed for good waits for somebody to look, not for a restart of the rest.
            units.retain(|u| !(restart && u.state.is_failed()));
            units
        };
        for unit in &mut units {
            self.roster.complete(unit);
        }
        let mut units = dependencies_first(units);
        if matches!(self.verb, Verb::Stop { .. }) {
            units.reverse();
        }
        Ok(units)
    }

    async fn states(&self, names: &[AgentName]) -> Result<Vec<UnitState>, Failure> {
        let units: Vec<String> = names.iter().map(AgentName::unit).collect();
        self.manager.states(&units).await.map_err(failed)
    }

    /// Does it to these, one after the other into systemd's queue.
    pub async fn drive(&self, units: Vec<UnitState>) -> Result<Vec<Report>, Failure> {
        let mut running: FuturesUnordered<BoxFuture<'_, Report>> = FuturesUnordered::new();
        for unit in units {
            let (name, begun) = (unit.name.clone(), Instant::now());
            let step = self.begin(unit).await;
            running.push(Box::pin(async move {
                let done = match step {
                    Ok(step) => self.finish(step).await,
                    Err(error) => Err(error),
                };
                Report::new(&name, self.verb.as_str(), begun.elapsed(), done)
            }));
        }
        let mut reports = Vec::new();
        let mut printed = Ok(());
        while let Some(report) = running.next().await {
            // A reader that went away does not call off what was asked for.
            if printed.is_ok() {
                printed = report.print(self.global);
            }
            reports.push(report);
        }
        self.after(&reports).await.map_err(failed)?;
        printed?;
        Ok(reports)
    }

    async fn begin(&self, unit: UnitState) -> Result<Step, Error> {
        if unit.load_state == "not-found" && unit.active_state == "inactive" {
            return Err(Error::NoSuchUnit { unit: unit.unit });
        }
        match self.verb {
            Verb::Start { .. } | Verb::Stop { .. } | Verb::Restart { .. } | Verb::Reload { .. } => {
                self.begin_job(unit).await
            }
            _ => Ok(Step::Later(unit)),
        }
    }

    async fn finish(&self, step: Step) -> Result<Done, Error> {
        let unit = match step {
            Step::Done(done) => return Ok(done),
            Step::Queued(pending) => return Ok(self.judge(pending.wait().await?).await),
            Step::Later(unit) => unit,
        };
        match self.verb {
            Verb::Pause => self.pause(unit).await,
            Verb::Resume => self.resume(unit).await,
            Verb::Freeze { force } => self.freeze(unit, force).await,
            Verb::Thaw => self.thaw(unit).await,
            Verb::Kill { signal, who } => self.kill(unit, signal, who).await,
            Verb::Reset { force } => self.reset(unit, force).await,
            Verb::Enable { .. } | Verb::Disable { .. } => self.enablement(unit).await,
            Verb::Mask { .. } | Verb::Unmask { .. } => self.masking(unit).await,
            // Jobs, which never get here.
            _ => Ok(Done::already("nothing to do", unit)),
        }
    }

    /// A verb for running agents met one that is not; among `all` that is no failure.
    fn not_running(&self, unit: UnitState) -> Done {
        let message = format!("not running (it is {})", unit.state);
        if self.all {
            Done::already(message, unit)
        } else {
            Done {
                inactive: true,
                ..Done::failed(message, unit)
            }
        }
    }
}

/// Orders units so that each comes after those that it starts after, and by name where that leaves a
/// choice. A cycle, which systemd would refuse, is left in order of name.
pub(super) fn dependencies_first(mut units: Vec<UnitState>) -> Vec<UnitState> {
    units.sort_by(|a, b| b.name.cmp(&a.name));
    let mut ordered: Vec<UnitState> = Vec::with_capacity(units.len());
    while !units.is_empty() {
        let free = |u: &UnitState| {
            !units
                .iter()
                .any(|o| o.unit != u.unit && u.after.contains(&o.unit))
        };
        let (mut ready, waiting): (Vec<_>, Vec<_>) = {
            let free: Vec<bool> = units.iter().map(free).collect();
            let marked = units.into_iter().zip(free);
            let (ready, waiting): (Vec<_>, Vec<_>) = marked.partition(|(_, free)| *free);
            let units = |v: Vec<(UnitState, bool)>| v.into_iter().map(|(u, _)| u).collect();
            (units(ready), units(waiting))
        };
        units = waiting;
        if ready.is_empty() {
            ready.append(&mut units);
        }
        ready.reverse();
        ordered.extend(ready);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, after: &[&str]) -> UnitState {
        let mut unit = UnitState::absent(&format!("recon@{name}.service"));
        unit.after = after.iter().map(|n| format!("recon@{n}.service")).collect();
        unit
    }

    fn names(units: Vec<UnitState>) -> Vec<String> {
        dependencies_first(units)
            .into_iter()
            .map(|u| u.name)
            .collect()
    }

    #[test]
    fn what_others_need_comes_first() {
        let units = vec![
            unit("kaze", &["hub"]),
            unit("alpha", &["kaze", "elsewhere"]),
            unit("hub", &[]),
            unit("beta", &[]),
        ];
        assert_eq!(names(units), ["beta", "hub", "kaze", "alpha"]);
    }

    #[test]
    fn a_cycle_ends() {
        let units = vec![unit("b", &["a"]), unit("a", &["b"]), unit("c", &["b"])];
        assert_eq!(names(units), ["a", "b", "c"]);
    }
}
