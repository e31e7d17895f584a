use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde::Serialize;

use super::fleet::{Agents, systemd_failure, unit};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::fleet::{Agent, AgentKind};
use crate::systemd::{AgentState, JobError, Systemd};

/// What to do with agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// Stop and start.
    Restart,
    /// Read the configuration again.
    Reload,
    /// Take no new task.
    Pause,
    /// Take tasks again.
    Resume,
    /// Forget failures.
    Reset,
}

/// Arguments of the verbs that drive agents.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Agents, or `all`.
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
}

/// What became of one agent.
#[derive(Debug, Serialize)]
struct Done {
    agent: String,
    ok: bool,
    state: Option<AgentState>,
    message: String,
    #[serde(skip)]
    code: ExitCode,
}

/// How long a pause may take beyond the stop timeout, which is how long a task in hand may take.
const PAUSE_MARGIN: Duration = Duration::from_secs(30);
/// The stop timeout of an agent that the fleet does not name.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the state is looked at while a pause is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Drives the agents side by side and says what became of each.
pub async fn run(global: &Global, verb: Verb, args: Args) -> Outcome {
    let systemd = Systemd::connect().await.map_err(systemd_failure)?;
    let agents = Agents::find(global, &systemd, &args.agents).await?;
    let systemd = &systemd;
    let fleet = agents.fleet.as_ref();
    // `all` means all that can be paused.
    let every = args.agents.iter().any(|name| name == "all");
    let turns = matches!(verb, Verb::Pause | Verb::Resume);
    let done = join_all(agents.names.iter().filter_map(|name| {
        let agent = fleet.and_then(|f| f.agents.values().find(|a| a.name.as_str() == name));
        let pausable = pausable(name, agent);
        let limit = agent.map_or(STOP_TIMEOUT, |a| a.stop_timeout.0) + PAUSE_MARGIN;
        (pausable || !every || !turns).then(|| one(systemd, verb, name, pausable, limit))
    }))
    .await;
    if global.json {
        output::json(&serde_json::json!({ "agents": done }))?;
    } else if global.jsonl {
        for done in &done {
            output::text(&format!("{}\n", serde_json::to_string(done)?))?;
        }
    } else {
        for done in &done {
            output::text(&format!("{}: {}\n", done.agent, done.message))?;
        }
    }
    Ok(done.iter().find(|d| !d.ok).map_or(ExitCode::Ok, |d| d.code))
}

/// Whether it understands SIGUSR1 and SIGUSR2, which end a program that does not.
fn pausable(name: &str, agent: Option<&Agent>) -> bool {
    let kind = agent.map(|a| a.kind).or_else(|| {
        AgentKind::BUILT_IN
            .into_iter()
            .find(|kind| kind.as_str() == name)
    });
    kind.is_some_and(|kind| !matches!(kind, AgentKind::Hub | AgentKind::Custom))
}

async fn one(systemd: &Systemd, verb: Verb, name: &str, pausable: bool, limit: Duration) -> Done {
    let begin = Instant::now();
    let answer = act(systemd, verb, &unit(name), pausable, limit).await;
    let status = systemd.unit(&unit(name)).await.ok();
    let state = status.as_ref().map(|s| s.state);
    let (ok, code, message) = match answer {
        Ok(message) => {
            let pid = status.and_then(|s| s.pid).map(|pid| format!("pid {pid}, "));
            let time = format!(
                "{}{:.1} s",
                pid.unwrap_or_default(),
                begin.elapsed().as_secs_f64()
            );
            (true, ExitCode::Ok, format!("{message} ({time})"))
        }
        Err(failure) => (false, failure.code, format!("{:#}", failure.error)),
    };
    Done {
        agent: name.to_owned(),
        ok,
        state,
        message,
        code,
    }
}

async fn act(
    systemd: &Systemd,
    verb: Verb,
    unit: &str,
    pausable: bool,
    limit: Duration,
) -> Result<&'static str, Failure> {
    let before = systemd.unit(unit).await.map_err(systemd_failure)?;
    let up = before.active_state == "active" || before.active_state == "reloading";
    let down = matches!(before.active_state.as_str(), "inactive" | "failed");
    match verb {
        Verb::Start if up => Ok("already running"),
        Verb::Stop if down => Ok("not running"),
        Verb::Start => job(unit, systemd.start(unit).await, "started"),
        Verb::Stop => job(unit, systemd.stop(unit).await, "stopped"),
        Verb::Restart => job(unit, systemd.restart(unit).await, "restarted"),
        Verb::Reload | Verb::Pause | Verb::Resume if !up => Err(Failure::new(
            ExitCode::NotActive,
            anyhow!("not running; start it first"),
        )),
        Verb::Pause | Verb::Resume if !pausable => Err(anyhow!(
            "the hub and programs of your own cannot be paused; stop it instead"
        )
        .into()),
        Verb::Reload => job(unit, systemd.reload(unit).await, "reloaded"),
        Verb::Pause => turn(systemd, unit, Signal::USR1, true, limit).await,
        Verb::Resume => turn(systemd, unit, Signal::USR2, false, limit).await,
        Verb::Reset => {
            systemd.reset_failed(unit).await.map_err(systemd_failure)?;
            Ok("reset")
        }
    }
}

fn job<T>(
    unit: &str,
    result: Result<T, JobError>,
    done: &'static str,
) -> Result<&'static str, Failure> {
    match result {
        Ok(_) => Ok(done),
        Err(JobError::Systemd(error)) => Err(systemd_failure(error)),
        Err(error) => Err(anyhow!("{error}; see journalctl -u {unit}").into()),
    }
}

/// Signals the agent and waits until it says so itself.
async fn turn(
    systemd: &Systemd,
    unit: &str,
    signal: Signal,
    paused: bool,
    limit: Duration,
) -> Result<&'static str, Failure> {
    let before = systemd
        .unit(unit)
        .await
        .map_err(systemd_failure)?
        .invocation_id;
    systemd
        .kill(unit, signal.as_raw())
        .await
        .map_err(systemd_failure)?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let now = systemd.unit(unit).await.map_err(systemd_failure)?;
        if now.invocation_id != before {
            return Err(anyhow!("it ended instead; see journalctl -u {unit}").into());
        }
        let state = now.state;
        if (state == AgentState::Paused) == paused {
            return Ok(if paused { "paused" } else { "resumed" });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(anyhow!(
        "the task in hand is not over after {} s; it will {} then",
        limit.as_secs(),
        if paused { "pause" } else { "resume" }
    )
    .into())
}
