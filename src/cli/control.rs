use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde::Serialize;

use super::fleet::{Agents, systemd_failure, unit};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
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
    let done = join_all(agents.names.iter().map(|name| {
        let limit = agents
            .fleet
            .as_ref()
            .and_then(|f| f.agents.iter().find(|(n, _)| n.as_str() == name))
            .map_or(STOP_TIMEOUT, |(_, agent)| agent.stop_timeout.0)
            + PAUSE_MARGIN;
        one(systemd, verb, name, limit)
    }))
    .await;
    if global.json {
        output::json(&done)?;
    } else {
        for done in &done {
            output::text(&format!("{}: {}\n", done.agent, done.message))?;
        }
    }
    Ok(done.iter().find(|d| !d.ok).map_or(ExitCode::Ok, |d| d.code))
}

async fn one(systemd: &Systemd, verb: Verb, name: &str, limit: Duration) -> Done {
    let begin = Instant::now();
    let answer = act(systemd, verb, &unit(name), limit).await;
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
    systemd
        .kill(unit, signal.as_raw())
        .await
        .map_err(systemd_failure)?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let state = systemd.unit(unit).await.map_err(systemd_failure)?.state;
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
