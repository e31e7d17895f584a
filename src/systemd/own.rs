use super::Error;
use super::Manager;
use super::manager::read;

/// Here systemd shows everybody the unit that he belongs to.
const OWN_UNIT: &str = "/org/freedesktop/systemd1/unit/self";

impl Manager {
    /// Active state (`active`, `deactivating`, …) of the unit that this process belongs to.
    ///
    /// # Errors
    /// systemd cannot be asked, or this process belongs to no unit.
    pub async fn own_active_state(&self) -> Result<String, Error> {
        let what = "reading the state of the own unit";
        let proxy = self.properties(OWN_UNIT).await.map_err(read(what))?;
        let state = proxy
            .get("org.freedesktop.systemd1.Unit", "ActiveState")
            .await
            .map_err(read(what))?;
        String::try_from(state).map_err(|error| Error::Bus(format!("{what}: {error}")))
    }
}
