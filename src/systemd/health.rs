//! What the states of the units mean for the fleet.

use std::collections::BTreeSet;

use chrono::Utc;

use super::error::Error;
use super::manager::Manager;
use super::state::AgentState;
use super::unit::UnitState;
use crate::api::DaemonHealth;

impl Manager {
    /// Units that are meant to run: the enabled members of the profiles that are up; with none up,
    /// what is enabled.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn wanted(&self, units: &[UnitState]) -> Result<BTreeSet<String>, Error> {
        let targets = self.loaded("recon-*.target").await?;
        let active = targets.into_iter().filter(|(_, state)| state == "active");
        let active: Vec<String> = active.map(|(name, _)| name).collect();
        if active.is_empty() {
            let enabled = |u: &&UnitState| u.unit_file_state.as_deref() == Some("enabled");
            return Ok(units
                .iter()
                .filter(enabled)
                .map(|u| u.unit.clone())
                .collect());
        }
        let targets = self.states(&active).await?;
        Ok(targets.into_iter().flat_map(|t| t.wants).collect())
    }
}

impl UnitState {
    /// What systemd knows of an agent's health.
    pub fn health(&self, critical: bool, wanted: bool) -> DaemonHealth {
        let started = self.since.filter(|_| self.is_active());
        DaemonHealth {
            status: self.state.as_str().to_owned(),
            pid: self.pid,
            start_time: started,
            uptime: started.map(|t| u64::try_from((Utc::now() - t).num_seconds()).unwrap_or(0)),
            memory_usage: self.memory_bytes,
            cpu_usage: self.cpu_s,
            restarts: Some(self.restarts),
            healthy: self.healthy,
            critical,
            wanted,
            up: self.state.is_up(),
            reason: self.unwell(wanted),
            ..DaemonHealth::unknown(self.name.clone())
        }
    }

    /// Why it is not well.
    fn unwell(&self, wanted: bool) -> Option<String> {
        if self.healthy {
            return None;
        }
        let stale = match (self.watchdog_age_s, self.watchdog_s) {
            (Some(age), Some(limit)) if age > limit => {
                Some(format!("no sign of progress for {age:.0} s"))
            }
            _ => None,
        };
        let stopped = match (self.state, wanted) {
            (AgentState::Stopped, true) => Some("stopped by hand, or ended".to_owned()),
            (AgentState::Stopped, false) => Some("not wanted".to_owned()),
            _ => None,
        };
        let says = || self.status_text.clone();
        self.last_error.clone().or(stale).or(stopped).or_else(says)
    }
}
