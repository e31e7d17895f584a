use super::bus::CALL_TIMEOUT;
use super::error::{Call, Error};
use super::manager::{Manager, read};

const MANAGE_UNIT_FILES: &str = "org.freedesktop.systemd1.manage-unit-files";

impl Manager {
    /// Unit files that match a pattern, and their states.
    ///
    /// # Errors
    /// systemd cannot be asked.
    pub async fn unit_files(&self, pattern: &str) -> Result<Vec<(String, String)>, Error> {
        let files = self
            .proxy
            .list_unit_files_by_patterns(&[], &[pattern])
            .await
            .map_err(read("listing unit files"))?;
        Ok(files)
    }

    /// Makes units start at boot; says whether any link changed. The caller reloads afterwards.
    ///
    /// # Errors
    /// Not permitted, no such unit file, systemd cannot be asked.
    pub async fn enable(&self, units: &[&str], runtime: bool) -> Result<bool, Error> {
        let call = self.unit_files_call("enabling");
        let (_, changes): (bool, Vec<(String, String, String)>) = self
            .act("EnableUnitFiles", &(units, runtime, false), call)
            .await?;
        Ok(!changes.is_empty())
    }

    /// Makes units not start at boot; says whether any link changed. The caller reloads afterwards.
    ///
    /// # Errors
    /// Not permitted, systemd cannot be asked.
    pub async fn disable(&self, units: &[&str], runtime: bool) -> Result<bool, Error> {
        let call = self.unit_files_call("disabling");
        let changes: Vec<(String, String, String)> = self
            .act("DisableUnitFiles", &(units, runtime), call)
            .await?;
        Ok(!changes.is_empty())
    }

    /// Makes units impossible to start; says whether any link changed. The caller reloads afterwards.
    ///
    /// # Errors
    /// Not permitted, a unit file is in the way, systemd cannot be asked.
    pub async fn mask(&self, units: &[&str], runtime: bool) -> Result<bool, Error> {
        let call = self.unit_files_call("masking");
        let changes: Vec<(String, String, String)> = self
            .act("MaskUnitFiles", &(units, runtime, false), call)
            .await?;
        Ok(!changes.is_empty())
    }

    /// Takes masks away; says whether any link changed. The caller reloads afterwards.
    ///
    /// # Errors
    /// Not permitted, systemd cannot be asked.
    pub async fn unmask(&self, units: &[&str], runtime: bool) -> Result<bool, Error> {
        let call = self.unit_files_call("unmasking");
        let changes: Vec<(String, String, String)> =
            self.act("UnmaskUnitFiles", &(units, runtime), call).await?;
        Ok(!changes.is_empty())
    }

    /// `enabled`, `disabled`, `masked`, … of a unit file.
    ///
    /// # Errors
    /// No such unit file, systemd cannot be asked.
    pub async fn unit_file_state(&self, unit: &str) -> Result<String, Error> {
        self.proxy
            .get_unit_file_state(unit)
            .await
            .map_err(read("reading the unit file"))
    }

    fn unit_files_call(&self, what: &'static str) -> Call<'static> {
        Call {
            what,
            unit: None,
            action: MANAGE_UNIT_FILES,
            timeout: CALL_TIMEOUT,
        }
    }
}
