use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::error::Error;
use super::manager::Manager;
use super::name::unit_path;
use super::unit::UnitState;

/// How often a unit is looked at in case nothing is signalled about it.
const LOOK: Duration = Duration::from_secs(1);

/// A unit on its way to a state; made before what leads there, so that nothing is missed.
pub struct Watch<'a> {
    manager: &'a Manager,
    unit: &'a str,
    changes: Box<dyn Stream<Item = ()> + Send + Unpin>,
}

impl Manager {
    /// Watches a unit from now on.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn watch<'a>(&'a self, unit: &'a str) -> Result<Watch<'a>, Error> {
        self.subscribe().await?;
        let watching = |e: zbus::Error| Error::from_bus(&e, &self.call("watching", unit));
        let proxy = self.properties(&unit_path(unit)).await.map_err(watching)?;
        let signals = proxy.receive_properties_changed().await.map_err(watching)?;
        Ok(Watch {
            manager: self,
            unit,
            changes: Box::new(signals.map(|_| ())),
        })
    }
}

impl Watch<'_> {
    /// Waits until the unit is as wanted, but not longer than this; answers how it is then, and
    /// whether that is as wanted.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn until(
        mut self,
        wanted: impl Fn(&UnitState) -> bool,
        limit: Duration,
    ) -> Result<(UnitState, bool), Error> {
        let mut end = std::pin::pin!(sleep(limit));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let late = tokio::select! {
                _ = look.tick() => false,
                Some(()) = self.changes.next() => false,
                () = &mut end => true,
            };
            let unit = self.manager.unit(self.unit).await?;
            let done = wanted(&unit);
            if done || late {
                return Ok((unit, done));
            }
        }
    }
}
