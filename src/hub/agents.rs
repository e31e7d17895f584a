//! The agents' units on this host, as the hub sees and drives them.
//!
//! The way to systemd is made when it is first needed, and anew when it broke: a hub in a container
//! may have none at all, and does all of its other work without.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::fleet::AgentKind;
use crate::systemd::{
    AgentState, Bus, Error, ErrorKind, JobKind, Manager, Options, UnitState, Who,
};

/// Signals of the agents' runtime.
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;

/// How long a request waits for what it began: less than a request may take at all.
const WAIT: Duration = Duration::from_secs(20);
/// What is killed has so long to end by itself.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// What the fleet file says of an agent, as far as the hub needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// The fleet is CRITICAL without it.
    pub critical: bool,
    /// It is a program of the user's own.
    pub custom: bool,
}

/// The units, by way of systemd.
#[derive(Debug)]
pub(super) struct Agents {
    bus: Bus,
    manager: Mutex<Option<Manager>>,
}

/// What an action came to.
#[derive(Debug)]
pub(super) enum Done {
    /// It is so now.
    Now(UnitState),
    /// It was so before.
    Already(UnitState),
    /// It is under way.
    Underway(UnitState),
    /// It cannot be: why.
    Not(String),
}

impl Agents {
    /// On this bus.
    pub(super) fn new(bus: Bus) -> Self {
        Self {
            bus,
            manager: Mutex::new(None),
        }
    }

    async fn connection(&self) -> Result<(Manager, bool), Error> {
        let mut manager = self.manager.lock().await;
        if let Some(known) = manager.as_ref() {
            return Ok((known.clone(), true));
        }
        let options = Options {
            bus: self.bus.clone(),
            ..Options::default()
        };
        let new = Manager::connect(options).await?;
        *manager = Some(new.clone());
        Ok((new, false))
    }

    /// Reads something; a connection that broke since it was last used is made anew.
    pub(super) async fn read<T, F>(&self, what: impl Fn(Manager) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (manager, used) = self.connection().await?;
        let result = what(manager).await;
        let broke = |e: &Error| matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Other);
        match result {
            Err(error) if broke(&error) => {
                *self.manager.lock().await = None;
                if !used {
                    return Err(error);
                }
                let (manager, _) = self.connection().await?;
                what(manager).await
            }
            result => result,
        }
    }

    /// How an agent's unit is, and the way to it.
    async fn open(&self, name: &str) -> Result<(Manager, UnitState), Error> {
        let unit = unit_name(name);
        let unit = unit.as_str();
        self.read(|manager| async move {
            let state = manager.unit(unit).await?;
            Ok((manager, state))
        })
        .await
    }

    /// How an agent's unit is.
    pub(super) async fn unit(&self, name: &str) -> Result<UnitState, Error> {
        self.open(name).await.map(|(_, unit)| unit)
    }

    /// Whether there is such an agent: one of the fleet, one of ours, or one that runs.
    pub(super) async fn knows(
        &self,
        name: &str,
        fleet: &BTreeMap<String, AgentFacts>,
    ) -> Result<bool, Error> {
        let own = AgentKind::BUILT_IN.iter().any(|kind| kind.as_str() == name);
        if own || fleet.contains_key(name) {
            return Ok(true);
        }
        let unit = unit_name(name);
        let loaded = self.read(|manager| async move { manager.agent_units().await });
        Ok(loaded.await?.contains(&unit))
    }

    /// Starts it.
    pub(super) async fn start(&self, name: &str) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        if unit.is_active() {
            return Ok(Done::Already(unit));
        }
        job(&manager, JobKind::Start, unit).await
    }

    /// Stops and starts it.
    pub(super) async fn restart(&self, name: &str) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        job(&manager, JobKind::Restart, unit).await
    }

    /// Stops it; it finishes the task in hand.
    pub(super) async fn stop(&self, name: &str) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        if idle(&unit) {
            return Ok(Done::Already(unit));
        }
        job(&manager, JobKind::Stop, unit).await
    }

    /// Stops it, by force when it takes longer than five seconds. That goes on when the caller goes
    /// away.
    pub(super) async fn kill(&self, name: &str) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        if idle(&unit) {
            return Ok(Done::Already(unit));
        }
        let kill = async move {
            let name = unit.unit.clone();
            let mut stop = std::pin::pin!(job(&manager, JobKind::Stop, unit));
            if let Ok(done) = tokio::time::timeout(KILL_AFTER, &mut stop).await {
                return done;
            }
            match manager.kill(&name, SIGKILL, Who::All).await {
                Ok(()) => stop.await,
                // It ended meanwhile.
                Err(error) if error.kind() == ErrorKind::Refused => stop.await,
                Err(error) => Err(error),
            }
        };
        let kill = tokio::spawn(kill).await;
        kill.map_err(|e| Error::Bus(format!("the task that kills it ended: {e}")))?
    }

    /// Pauses it after the task in hand.
    pub(super) async fn pause(&self, name: &str, custom: bool) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        match unit.state {
            AgentState::Paused => return Ok(Done::Already(unit)),
            AgentState::Running | AgentState::Degraded => {}
            _ => return Ok(Done::Not(format!("{name} is not running"))),
        }
        // SIGUSR1 would kill a program that knows nothing of it, and freezing is not the hub's right.
        if custom {
            let text = format!("{name} is a program of your own, which knows no pause");
            return Ok(Done::Not(text));
        }
        let watch = manager.watch(&unit.unit).await?;
        manager.kill(&unit.unit, SIGUSR1, Who::Main).await?;
        let over = |u: &UnitState| u.state == AgentState::Paused || u.pid != unit.pid;
        let (after, _) = watch.until(over, WAIT).await?;
        Ok(match after.state {
            AgentState::Paused => Done::Now(after),
            state if state.is_up() => Done::Underway(after),
            _ => Done::Not(format!("{name} ended instead of pausing{}", why(&after))),
        })
    }

    /// Lets it go on.
    pub(super) async fn resume(&self, name: &str) -> Result<Done, Error> {
        let (manager, unit) = self.open(name).await?;
        match unit.state {
            AgentState::Paused => {}
            state if state.is_up() => return Ok(Done::Already(unit)),
            _ => return Ok(Done::Not(format!("{name} is not running"))),
        }
        let watch = manager.watch(&unit.unit).await?;
        manager.kill(&unit.unit, SIGUSR2, Who::Main).await?;
        let over = |u: &UnitState| u.state != AgentState::Paused;
        let (after, _) = watch.until(over, WAIT).await?;
        Ok(match after.state {
            AgentState::Paused => Done::Underway(after),
            state if state.is_up() => Done::Now(after),
            _ => Done::Not(format!("{name} ended instead of resuming{}", why(&after))),
        })
    }
}

/// Runs a job, and waits for its end as long as a request may.
async fn job(manager: &Manager, kind: JobKind, unit: UnitState) -> Result<Done, Error> {
    let starts = matches!(kind, JobKind::Start | JobKind::Restart);
    if starts && unit.load_state == "masked" {
        return Err(Error::Masked { unit: unit.unit });
    }
    if starts && unit.restart_limit_reached {
        return Ok(Done::Not(format!(
            "{} reached its restart limit{}; see why, then reconctl start --force {}",
            unit.name,
            why(&unit),
            unit.name
        )));
    }
    if starts {
        // systemd counts a start by hand towards the limit of restarts after failures.
        match manager.reset_failed(&unit.unit).await {
            Ok(()) | Err(Error::NoSuchUnit { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let pending = manager.submit(kind, &unit.unit).await?;
    let Ok(outcome) = tokio::time::timeout(WAIT, pending.wait()).await else {
        return Ok(Done::Underway(manager.unit(&unit.unit).await?));
    };
    let outcome = outcome?;
    Ok(if !outcome.is_done() {
        Done::Not(format!("{}: {}", unit.name, outcome.reason()))
    } else if starts && !outcome.unit.state.is_up() {
        let after = outcome.unit;
        Done::Not(format!("{} ended at once{}", after.name, why(&after)))
    } else {
        Done::Now(outcome.unit)
    })
}

fn why(unit: &UnitState) -> String {
    let error = unit.last_error.as_ref();
    error.map(|e| format!(": {e}")).unwrap_or_default()
}

fn idle(unit: &UnitState) -> bool {
    matches!(unit.active_state.as_str(), "inactive" | "failed")
}

/// The unit of an agent.
pub(super) fn unit_name(agent: &str) -> String {
    format!("recon@{agent}.service")
}
