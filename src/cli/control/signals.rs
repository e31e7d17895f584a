//! kill, reset.

use super::jobs::limit;
use super::{Done, Driver};
use crate::systemd::{Error, UnitState, Who};

impl Driver<'_> {
    /// Sends a signal; what it does is up to the agent, and shown by status.
    pub(super) async fn kill(&self, unit: UnitState, signal: i32, who: Who) -> Result<Done, Error> {
        if unit.pid.is_none() {
            return Ok(self.not_running(unit));
        }
        self.manager.kill(&unit.unit, signal, who).await?;
        Ok(Done::ok(format!("signal {signal} sent"), unit))
    }

    /// Clears failure and count. What reached its limit was left alone by systemd for a reason, and
    /// the count of what runs is what the limit is about: both take `force`.
    pub(super) async fn reset(&self, unit: UnitState, force: bool) -> Result<Done, Error> {
        let (failed, limited) = (unit.state.is_failed(), unit.restart_limit_reached);
        let counts = unit.restarts > 0 && !failed;
        if !force && limited {
            return Ok(Done::failed(format!("not reset: {}", limit(&unit)), unit));
        }
        if !force && counts {
            let message = format!(
                "not reset: it is {} with {} restarts on its count, which reset --force clears",
                unit.state, unit.restarts
            );
            return Ok(if self.all {
                Done::already(message, unit)
            } else {
                Done::failed(message, unit)
            });
        }
        self.clear(&unit.unit).await?;
        let after = self.manager.unit(&unit.unit).await?;
        Ok(if failed || counts {
            let message = format!("cleared (was {}, restarts {})", unit.state, unit.restarts);
            Done::ok(message, after)
        } else {
            Done::already("nothing to clear", after)
        })
    }
}
