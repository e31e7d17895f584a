use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::manager::Manager;
use super::name::agent_of_unit;
use super::state::AgentState;
use super::unit::UnitState;

impl Manager {
    /// Judges units by those that they depend on: an agent that runs while one that it wants does
    /// not is degraded; one that does not run because one that it requires is not there says so.
    pub(super) async fn judge_dependencies(&self, states: &mut [UnitState]) -> Result<(), Error> {
        let mut active: BTreeMap<String, String> = states
            .iter()
            .map(|s| (s.unit.clone(), s.active_state.clone()))
            .collect();
        let unknown: BTreeSet<&str> = states
            .iter()
            .flat_map(|s| s.wants.iter().chain(&s.requires))
            .filter(|w| agent_of_unit(w).is_some() && !active.contains_key(*w))
            .map(String::as_str)
            .collect();
        let unknown: Vec<&str> = unknown.into_iter().collect();
        active.extend(self.active_states(&unknown).await?);
        let is = |unit: &String, word: &str| active.get(unit).is_some_and(|s| s == word);
        for state in states {
            let missing = |w: &String| is(w, "inactive") || is(w, "failed");
            if state.wants.iter().any(missing) {
                state.degrade();
            }
            let idle = state.state == AgentState::Stopped && state.last_error.is_none();
            if idle && state.requires.iter().any(missing) {
                let (failed, _) = self.not_running(&state.requires).await?;
                state.last_error = blame(&failed);
            }
        }
        Ok(())
    }

    /// The units because of which one that requires these cannot start: those that failed, also
    /// behind others; when none failed, those that do not run.
    pub(super) async fn culprits(&self, units: &[String]) -> Result<Vec<String>, Error> {
        let (failed, idle) = self.not_running(units).await?;
        let culprits = if failed.is_empty() { idle } else { failed };
        Ok(culprits.into_iter().collect())
    }

    /// Of these units and those that they require in turn: the failed, and the inactive.
    async fn not_running(
        &self,
        units: &[String],
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
        let (mut failed, mut idle) = (BTreeSet::new(), BTreeSet::new());
        let mut seen = BTreeSet::new();
        let mut next = units.to_vec();
        while !next.is_empty() {
            next.retain(|unit| seen.insert(unit.clone()));
            let names: Vec<&str> = next.iter().map(String::as_str).collect();
            let states = self.active_states(&names).await?;
            next.clear();
            for (unit, active) in states {
                if active == "failed" {
                    failed.insert(unit);
                } else if active == "inactive" {
                    next.extend(self.read(&unit).await?.requires);
                    idle.insert(unit);
                }
            }
        }
        Ok((failed, idle))
    }
}

fn blame(failed: &BTreeSet<String>) -> Option<String> {
    let names: Vec<&str> = failed.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("it requires {}, which failed", names.join(", ")))
}
