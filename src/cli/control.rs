use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCandidates;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::agents::{ALL, Roster, failed};
use super::report::{Report, worst};
use super::table::duration;
use super::{Failure, Global, Outcome, complete, output};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, AgentName};
use crate::systemd::{AgentState, Error, JobKind, JobOutcome, Manager, Options};
use crate::systemd::{UnitState, Who};

/// Signals of the agents' runtime.
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;

/// What a pause may take beyond the time that an agent has for the task in hand.
const PAUSE_GRACE: Duration = Duration::from_secs(5);

/// Resuming finishes nothing first.
const RESUME_LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Pause,
    Resume,
    Reset,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Reset => "reset",
        }
    }
}

/// Arguments of the verbs that drive agents.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents, or `all`: the members of the profile for start, what is not stopped for the others.
    #[arg(required = true, value_name = "AGENT", add = ArgValueCandidates::new(complete::agents_or_all))]
    pub agents: Vec<String>,
    /// Only put the job into systemd's queue (start, stop, restart, reload).
    #[arg(long)]
    pub no_wait: bool,
    /// Clear the failed state and the restart limit first (start, restart).
    #[arg(long)]
    pub force: bool,
}

pub async fn run(global: &Global, verb: Verb, args: Args) -> Outcome {
    check_usage(verb, &args)?;
    let roster = Roster::load(global);
    let options = Options {
        // polkit may ask for a password only where somebody can give one.
        interactive: std::io::stdin().is_terminal(),
        ..Options::default()
    };
    let manager = Manager::connect(options).await.map_err(failed)?;
    let all = args.agents.iter().any(|n| n == ALL);
    let names = if all {
        everyone(&roster, &manager, verb).await?
    } else {
        roster.resolve(&args.agents, &manager).await?
    };
    let driver = Driver {
        roster: &roster,
        manager: &manager,
        verb,
        args: &args,
        all,
    };
    let mut running: FuturesUnordered<_> = names.iter().map(|n| driver.drive(n)).collect();
    let mut reports = Vec::new();
    let mut printed = Ok(());
    while let Some(report) = running.next().await {
        // A reader that went away does not call off what was asked for.
        if printed.is_ok() {
            printed = report.print(global);
        }
        reports.push(report);
    }
    printed?;
    if names.is_empty() && !global.json && !global.jsonl {
        output::text("Nothing to do: no agent runs.\n")?;
    }
    let code = worst(&reports);
    if global.json {
        reports.sort_by(|a, b| a.agent.cmp(&b.agent));
        output::json(&serde_json::json!({ "agents": reports }))?;
    }
    Ok(code)
}

fn check_usage(verb: Verb, args: &Args) -> Result<(), Failure> {
    let usage = |option: &str, verbs: &str| {
        let error = anyhow::anyhow!("{option} goes with {verbs}, not with {}", verb.as_str());
        Err(Failure::new(ExitCode::Usage, error))
    };
    if args.force && !matches!(verb, Verb::Start | Verb::Restart) {
        return usage("--force", "start and restart");
    }
    if args.no_wait && matches!(verb, Verb::Pause | Verb::Resume | Verb::Reset) {
        return usage("--no-wait", "start, stop, restart and reload");
    }
    Ok(())
}

/// Who `all` is. Starting everything that has a unit would start what is not meant to run; the rest
/// of the verbs are about what runs or failed.
async fn everyone(
    roster: &Roster,
    manager: &Manager,
    verb: Verb,
) -> Result<Vec<AgentName>, Failure> {
    if verb == Verb::Start {
        return Ok(roster.profile());
    }
    let units = manager.units(&roster.units()).await.map_err(failed)?;
    Ok(units
        .into_iter()
        .filter(|u| u.state != AgentState::Stopped || verb == Verb::Reset)
        .filter_map(|u| u.name.parse().ok())
        .collect())
}

/// What a verb did, before it is a report.
struct Done {
    ok: bool,
    /// It failed because the agent does not run.
    inactive: bool,
    changed: bool,
    message: String,
    unit: Option<UnitState>,
}

impl Done {
    fn ok(message: impl Into<String>, unit: UnitState) -> Self {
        Self {
            ok: true,
            inactive: false,
            changed: true,
            message: message.into(),
            unit: Some(unit),
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

struct Driver<'a> {
    roster: &'a Roster,
    manager: &'a Manager,
    verb: Verb,
    args: &'a Args,
    all: bool,
}

impl Driver<'_> {
    async fn drive(&self, name: &AgentName) -> Report {
        let begun = Instant::now();
        let done = self.act(name).await;
        let mut report = Report {
            agent: name.to_string(),
            unit: name.unit(),
            verb: self.verb.as_str(),
            ok: false,
            changed: false,
            message: String::new(),
            state: None,
            pid: None,
            duration_s: (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
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
                report.state = done.unit.as_ref().map(|u| u.state);
                report.pid = done.unit.as_ref().and_then(|u| u.pid);
            }
            Err(error) => {
                report.message = format!("failed: {error}");
                report.kind = Some(error.kind());
            }
        }
        report
    }

    async fn act(&self, name: &AgentName) -> Result<Done, Error> {
        let unit_name = name.unit();
        let mut unit = self.manager.unit(&unit_name).await?;
        self.roster.complete(&mut unit);
        match (self.verb, unit.load_state.as_str()) {
            (_, "not-found") if unit.active_state == "inactive" => {
                return Err(Error::NoSuchUnit { unit: unit_name });
            }
            (Verb::Start | Verb::Restart, "masked") => {
                return Err(Error::Masked { unit: unit_name });
            }
            _ => {}
        }
        match self.verb {
            Verb::Start if unit.is_active() => {
                let message = format!("already running{}", pid(&unit));
                Ok(Done::already(message, unit))
            }
            Verb::Start => self.job(JobKind::Start, unit).await,
            Verb::Stop if matches!(unit.active_state.as_str(), "inactive" | "failed") => {
                Ok(Done::already("not running", unit))
            }
            Verb::Stop => self.job(JobKind::Stop, unit).await,
            Verb::Restart => self.job(JobKind::Restart, unit).await,
            Verb::Reload if !unit.is_active() => Ok(self.not_running(unit)),
            Verb::Reload => self.job(JobKind::Reload, unit).await,
            Verb::Pause => self.pause(unit).await,
            Verb::Resume => self.resume(unit).await,
            Verb::Reset => self.reset(unit).await,
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

    async fn job(&self, kind: JobKind, before: UnitState) -> Result<Done, Error> {
        let unit = before.unit.as_str();
        if self.args.force {
            self.clear(unit).await?;
        }
        if self.args.no_wait {
            self.manager.enqueue(kind, unit).await?;
            return Ok(Done::ok(format!("{} queued", self.verb.as_str()), before));
        }
        let outcome = self.manager.job(kind, unit).await?;
        Ok(self.judge(kind, outcome))
    }

    fn judge(&self, kind: JobKind, outcome: JobOutcome) -> Done {
        let took = duration(outcome.took);
        if !outcome.is_done() {
            let message = format!("failed: {}{}", outcome.reason(), again(&outcome.unit));
            return Done::failed(message, outcome.unit);
        }
        let unit = outcome.unit;
        if kind == JobKind::Stop {
            return match unit.result.as_deref() {
                Some("timeout") => Done::ok(
                    format!("stopped by force ({took}): it did not end in time"),
                    unit,
                ),
                _ => Done::ok(format!("stopped ({took})"), unit),
            };
        }
        // A job can be done and the agent gone again.
        if !unit.state.is_up() {
            let why = unit.last_error.clone();
            let why = why.unwrap_or_else(|| format!("it ended at once and is {}", unit.state));
            return Done::failed(format!("failed: {why}{}", again(&unit)), unit);
        }
        let word = match kind {
            JobKind::Start => "started",
            JobKind::Reload => "reloaded",
            _ => "restarted",
        };
        let pid = unit
            .pid
            .map(|pid| format!("pid {pid}, "))
            .unwrap_or_default();
        let paused = match unit.state {
            AgentState::Paused => "; still paused, see reconctl resume",
            _ => "",
        };
        Done::ok(format!("{word} ({pid}{took}){paused}"), unit)
    }

    async fn pause(&self, unit: UnitState) -> Result<Done, Error> {
        match (unit.state, unit.kind) {
            (AgentState::Paused, _) => return Ok(Done::already("already paused", unit)),
            (AgentState::Running | AgentState::Degraded, AgentKind::Hub) => {
                let message = "the hub does not pause; stop it or pause the agents";
                return Ok(if self.all {
                    Done::already(message, unit)
                } else {
                    Done::failed(message, unit)
                });
            }
            // A signal before the agent is ready would find no handler and kill it.
            (AgentState::Running | AgentState::Degraded, _) => {}
            _ => return Ok(self.not_running(unit)),
        }
        let limit = self.roster.stop_timeout(&unit.name) + PAUSE_GRACE;
        let watch = self.manager.watch(&unit.unit).await?;
        // A program of the user's own knows nothing of our signals: SIGUSR1 would kill it.
        if unit.kind == AgentKind::Custom {
            if unit.watchdog_s.is_some() {
                // systemd's watchdog runs on while a unit is frozen, and would kill it.
                let message = "failed: a program of your own with a watchdog cannot be paused";
                return Ok(Done::failed(message, unit));
            }
            self.manager.freeze(&unit.unit).await?;
        } else {
            self.manager.kill(&unit.unit, SIGUSR1, Who::Main).await?;
        }
        let over = |u: &UnitState| u.state == AgentState::Paused || u.pid != unit.pid;
        let (after, _) = tokio::select! {
            result = watch.until(over, limit) => result?,
            never = waiting(&unit.name, "finishing the task in hand", limit) => match never {},
        };
        Ok(match after.state {
            AgentState::Paused => Done::ok("paused", after),
            state if !state.is_up() => {
                let why = after
                    .last_error
                    .clone()
                    .unwrap_or_else(|| state.to_string());
                Done::failed(format!("failed: it ended instead of pausing: {why}"), after)
            }
            _ => {
                let limit = duration(limit);
                let message = format!("failed: asked to pause, but still at work after {limit}");
                Done::failed(message, after)
            }
        })
    }

    async fn resume(&self, unit: UnitState) -> Result<Done, Error> {
        if unit.state != AgentState::Paused {
            return Ok(if unit.state.is_up() {
                Done::already("not paused", unit)
            } else {
                self.not_running(unit)
            });
        }
        let watch = self.manager.watch(&unit.unit).await?;
        if unit
            .freezer_state
            .as_deref()
            .is_some_and(|s| s != "running")
        {
            self.manager.thaw(&unit.unit).await?;
        } else {
            self.manager.kill(&unit.unit, SIGUSR2, Who::Main).await?;
        }
        let over = |u: &UnitState| u.state != AgentState::Paused;
        let (after, done) = watch.until(over, RESUME_LIMIT).await?;
        Ok(match (done, after.state.is_up()) {
            (true, true) => Done::ok("resumed", after),
            (true, false) => {
                let why = after
                    .last_error
                    .clone()
                    .unwrap_or_else(|| after.state.to_string());
                Done::failed(
                    format!("failed: it ended instead of resuming: {why}"),
                    after,
                )
            }
            _ => {
                let limit = duration(RESUME_LIMIT);
                Done::failed(format!("failed: still paused after {limit}"), after)
            }
        })
    }

    async fn reset(&self, unit: UnitState) -> Result<Done, Error> {
        let nothing = !unit.state.is_failed() && unit.restarts == 0;
        self.clear(&unit.unit).await?;
        let after = self.manager.unit(&unit.unit).await?;
        Ok(if nothing {
            Done::already("nothing to clear", after)
        } else {
            Done::ok(
                format!("cleared (was {}, restarts {})", unit.state, unit.restarts),
                after,
            )
        })
    }

    /// Clears the failed state; a unit that is not even loaded has none.
    async fn clear(&self, unit: &str) -> Result<(), Error> {
        match self.manager.reset_failed(unit).await {
            Err(Error::NoSuchUnit { .. }) => Ok(()),
            result => result,
        }
    }
}

/// Says why nothing happens, once that is worth a word and somebody looks on.
async fn waiting(name: &str, what: &str, limit: Duration) -> Infallible {
    tokio::time::sleep(Duration::from_secs(1)).await;
    if std::io::stderr().is_terminal() {
        eprintln!("{name}: {what} (up to {})", duration(limit));
    }
    std::future::pending().await
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
