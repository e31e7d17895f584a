//! Agents as verbs name them: `kaze`, several, or `all`.

use std::collections::BTreeSet;

use super::{Failure, Global, check};
use crate::api::ExitCode;
use crate::fleet::Fleet;
use crate::systemd::{Systemd, SystemdError};

/// The agents that a verb is about, and the fleet that they are of.
pub struct Agents {
    /// Their names, in order.
    pub names: Vec<String>,
    /// The fleet, when its file is good; verbs about what runs work with a broken one too.
    pub fleet: Option<Fleet>,
}

impl Agents {
    /// All that the fleet names and all that systemd has loaded; `asked` chooses among them.
    pub async fn find(
        global: &Global,
        systemd: &Systemd,
        asked: &[String],
    ) -> Result<Self, Failure> {
        let fleet = match check::load(global) {
            Ok(loaded) => Some(loaded.fleet),
            Err(failure) => {
                eprintln!("reconctl: warning: {:#}", failure.error);
                None
            }
        };
        let mut known: BTreeSet<String> = systemd
            .loaded("recon@*.service")
            .await
            .map_err(systemd_failure)?
            .iter()
            .filter_map(|unit| unit.strip_prefix("recon@")?.strip_suffix(".service"))
            .map(str::to_owned)
            .collect();
        known.extend(
            fleet
                .iter()
                .flat_map(|f| f.agents.keys())
                .map(ToString::to_string),
        );
        let names = choose(&known, asked)?;
        Ok(Self { names, fleet })
    }

    /// Their units.
    pub fn units(&self) -> Vec<String> {
        self.names.iter().map(|name| unit(name)).collect()
    }
}

/// The unit of an agent.
pub fn unit(agent: &str) -> String {
    format!("recon@{agent}.service")
}

fn choose(known: &BTreeSet<String>, asked: &[String]) -> Result<Vec<String>, Failure> {
    if asked.is_empty() || asked.iter().any(|name| name == "all") {
        return Ok(known.iter().cloned().collect());
    }
    let mut chosen = Vec::new();
    for name in asked {
        let name = name.strip_prefix("recon@").unwrap_or(name);
        let name = name.strip_suffix(".service").unwrap_or(name);
        if !known.contains(name) {
            return Err(Failure::new(ExitCode::NoSuchAgent, unknown(known, name)));
        }
        if !chosen.iter().any(|c| c == name) {
            chosen.push(name.to_owned());
        }
    }
    Ok(chosen)
}

fn unknown(known: &BTreeSet<String>, name: &str) -> anyhow::Error {
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
        .filter(|best| strsim::jaro_winkler(best, name) > 0.7);
    match nearest {
        Some(best) => anyhow::anyhow!("no agent {name:?}; did you mean {best:?}?"),
        None => {
            let all: Vec<_> = known.iter().map(String::as_str).collect();
            anyhow::anyhow!("no agent {name:?}; there are: {}", all.join(", "))
        }
    }
}

/// A failure with the exit code that tells what kind it is.
pub fn systemd_failure(error: SystemdError) -> Failure {
    let code = match &error {
        SystemdError::Unreachable(_) => ExitCode::SystemdUnreachable,
        SystemdError::Denied(_) => ExitCode::NotPermitted,
        SystemdError::Refused(_) => ExitCode::Failure,
    };
    Failure::new(code, error)
}
