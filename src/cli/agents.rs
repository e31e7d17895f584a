//! Which agents a command line means: the fleet's, systemd's, and our own by name.

use std::io::IsTerminal;
use std::time::Duration;

use super::{Failure, Global, check};
use crate::api::ExitCode;
use crate::fleet::{self, AgentKind, AgentName, Fleet};
use crate::systemd::{self, AGENT_UNITS, Bus, Manager, UnitState, agent_of_unit};

/// The word for all agents.
pub const ALL: &str = "all";

/// The default of `stop_timeout`, for agents that the fleet does not know.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What should run, as far as it can be read.
#[derive(Debug, Default)]
pub struct Roster {
    fleet: Option<Fleet>,
}

impl Global {
    /// Connects to the systemd that the command line means.
    ///
    /// # Errors
    /// It cannot be reached (exit code 69).
    pub async fn systemd(&self) -> Result<Manager, Failure> {
        let bus = match &self.host {
            Some(host) => Bus::Ssh {
                host: host.clone(),
                user: self.user,
            },
            None if self.user => Bus::User,
            None => Bus::System,
        };
        let options = systemd::Options {
            bus,
            // polkit may ask for a password only where somebody can give one.
            interactive: std::io::stdin().is_terminal(),
            ..systemd::Options::default()
        };
        Manager::connect(options).await.map_err(failed)
    }
}

impl Roster {
    /// Reads the fleet. A broken fleet file is told and no reason to stop: what runs can still be
    /// shown and driven. That of another host is not known here.
    pub fn load(global: &Global) -> Self {
        if global.host.is_some() {
            return Self::default();
        }
        match check::load(global) {
            Ok(loaded) => Self {
                fleet: Some(loaded.fleet),
            },
            Err(failure) => {
                eprintln!("reconctl: warning: {:#}", failure.error);
                Self::default()
            }
        }
    }

    /// Units of the fleet's agents.
    pub fn units(&self) -> Vec<String> {
        self.agents().map(|(name, _)| name.unit()).collect()
    }

    /// Units of the fleet's and our own agents.
    pub fn all_units(&self) -> Vec<String> {
        let names = self.names();
        names.iter().map(|n| format!("recon@{n}.service")).collect()
    }

    /// Whether the fleet has this agent.
    pub fn has(&self, name: &str) -> bool {
        self.agents().any(|(n, _)| n.as_str() == name)
    }

    /// One line about an agent.
    pub fn description(&self, name: &str) -> Option<&str> {
        self.agent(name).map(|a| a.description.as_str())
    }

    /// How long an agent may take to finish the task in hand.
    pub fn stop_timeout(&self, name: &str) -> Duration {
        self.agent(name).map_or(STOP_TIMEOUT, |a| a.stop_timeout.0)
    }

    /// Fills in what only the fleet knows.
    pub fn complete(&self, unit: &mut UnitState) {
        if let Some(agent) = self.agent(&unit.name) {
            unit.kind = agent.kind;
        }
    }

    /// What should run, if that could be read.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.as_ref()
    }

    /// Members of the profile that `recon.target` starts; all agents when it names none.
    pub fn profile(&self) -> Vec<AgentName> {
        let members = self
            .fleet
            .as_ref()
            .and_then(|f| f.profiles.get(&f.profile))
            .filter(|members| !members.is_empty());
        match members {
            Some(members) => members.clone(),
            None => self.agents().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The agents of these names (`kaze`, `recon@kaze`, `recon@kaze.service`), in order, each once.
    ///
    /// # Errors
    /// A name that neither the fleet nor systemd knows and that is none of ours.
    pub async fn resolve(
        &self,
        names: &[String],
        manager: &Manager,
    ) -> Result<Vec<AgentName>, Failure> {
        let mut known = self.names();
        if names.iter().any(|n| !known.iter().any(|k| k == bare(n))) {
            let mut loaded = manager.agent_units().await.map_err(failed)?;
            let files = manager.unit_files(AGENT_UNITS).await.map_err(failed)?;
            loaded.extend(
                files
                    .into_iter()
                    .map(|(path, _)| file_name(&path).to_owned()),
            );
            known.extend(
                loaded
                    .iter()
                    .filter_map(|unit| agent_of_unit(unit).map(|name| name.as_str().to_owned())),
            );
        }
        let mut found: Vec<AgentName> = Vec::new();
        for name in names {
            let name = bare(name);
            match name.parse::<AgentName>() {
                Ok(agent) if known.iter().any(|k| k == name) => {
                    if !found.contains(&agent) {
                        found.push(agent);
                    }
                }
                _ => return Err(unknown(name, &known)),
            }
        }
        Ok(found)
    }

    /// The agents of these names when the fleet and our own names suffice.
    pub fn resolve_known(&self, names: &[String]) -> Option<Vec<AgentName>> {
        let known = self.names();
        names
            .iter()
            .map(|n| bare(n))
            .map(|n| n.parse().ok().filter(|_| known.iter().any(|k| k == n)))
            .collect()
    }

    /// Names of the fleet's and our own agents.
    fn names(&self) -> Vec<String> {
        let own = AgentKind::BUILT_IN.map(|kind| kind.as_str().to_owned());
        self.agents()
            .map(|(name, _)| name.as_str().to_owned())
            .chain(own)
            .collect()
    }

    fn agents(&self) -> impl Iterator<Item = (&AgentName, &fleet::Agent)> {
        self.fleet.iter().flat_map(|f| &f.agents)
    }

    fn agent(&self, name: &str) -> Option<&fleet::Agent> {
        self.agents()
            .find(|(n, _)| n.as_str() == name)
            .map(|(_, agent)| agent)
    }
}

/// A failure of systemd as a failure of the verb.
pub fn failed(error: systemd::Error) -> Failure {
    Failure::new(error.exit_code(), error)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The agent's name in the name of a unit.
pub fn bare(name: &str) -> &str {
    let name = name.strip_prefix("recon@").unwrap_or(name);
    name.strip_suffix(".service").unwrap_or(name)
}

fn unknown(name: &str, known: &[String]) -> Failure {
    let nearest = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .min()
        .filter(|(distance, k)| *distance <= 2.min(k.len() / 2));
    let name = super::table::printable(name);
    let hint = match nearest {
        Some((_, nearest)) => format!("did you mean {nearest}?"),
        None => "`reconctl status` lists them".to_owned(),
    };
    Failure::new(
        ExitCode::NoSuchAgent,
        anyhow::anyhow!("no agent {name}: {hint}"),
    )
}
