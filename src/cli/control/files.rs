//! enable, disable, mask, unmask: what starts at boot, and what may start at all.

use super::{Done, Driver, Report, Verb};
use crate::systemd::{Error, JobKind, UnitState};

impl Driver<'_> {
    pub(super) async fn enablement(&self, unit: UnitState) -> Result<Done, Error> {
        let names = [unit.unit.as_str()];
        let (changed, word, now) = match self.verb {
            Verb::Enable { now, runtime } => {
                if unit.load_state == "masked" {
                    return Err(Error::Masked { unit: unit.unit });
                }
                let changed = self.manager.enable(&names, runtime).await?;
                (changed, "enabled", now.then_some(JobKind::Start))
            }
            Verb::Disable { now, runtime } => {
                let changed = self.manager.disable(&names, runtime).await?;
                (changed, "disabled", now.then_some(JobKind::Stop))
            }
            _ => return Ok(Done::already("nothing to do", unit)),
        };
        self.told(unit, changed, word, now).await
    }

    pub(super) async fn masking(&self, unit: UnitState) -> Result<Done, Error> {
        let names = [unit.unit.as_str()];
        let (changed, word, now) = match self.verb {
            Verb::Mask { now, runtime } => {
                let changed = self.manager.mask(&names, runtime).await?;
                (changed, "masked", now.then_some(JobKind::Stop))
            }
            Verb::Unmask { runtime } => (
                self.manager.unmask(&names, runtime).await?,
                "unmasked",
                None,
            ),
            _ => return Ok(Done::already("nothing to do", unit)),
        };
        self.told(unit, changed, word, now).await
    }

    async fn told(
        &self,
        unit: UnitState,
        changed: bool,
        word: &str,
        now: Option<JobKind>,
    ) -> Result<Done, Error> {
        let (message, done): (_, fn(String, UnitState) -> Done) = match changed {
            true => (word.to_owned(), Done::ok),
            false => (format!("already {word}"), Done::already),
        };
        let Some(kind) = now else {
            return Ok(done(message, unit));
        };
        let outcome = self.manager.job(kind, &unit.unit).await?;
        if !outcome.is_done() {
            let message = format!("{message}, but: {}", outcome.reason());
            return Ok(Done::failed(message, outcome.unit));
        }
        let then = if kind == JobKind::Start {
            "started"
        } else {
            "stopped"
        };
        Ok(Done::ok(format!("{message}, {then}"), outcome.unit))
    }

    /// Once for all agents: links changed under systemd, which has to read them.
    pub(super) async fn after(&self, reports: &[Report]) -> Result<(), Error> {
        let files = matches!(
            self.verb,
            Verb::Enable { .. } | Verb::Disable { .. } | Verb::Mask { .. } | Verb::Unmask { .. }
        );
        if files && reports.iter().any(|r| r.changed) {
            self.manager.daemon_reload().await?;
        }
        Ok(())
    }
}
