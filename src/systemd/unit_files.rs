use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use futures_util::future::join_all;

use super::bus::CALL_TIMEOUT;
use super::error::{Call, Error};
use super::manager::{Manager, read};
use super::name::{AGENT_UNITS, TEMPLATE, agent_of_unit};
use super::proxy::UnitRow;
use super::unit::UnitState;

const MANAGE_UNIT_FILES: &str = "org.freedesktop.systemd1.manage-unit-files";

/// What is known of units that are not loaded: the states of the agents' unit files, by name. An
/// instance has one of its own only when it is enabled, masked or written by somebody.
pub(super) struct AgentFiles(BTreeMap<String, String>);

impl AgentFiles {
    /// A unit that is not loaded.
    pub(super) fn idle(&self, unit: &str) -> UnitState {
        let mut state = UnitState::absent(unit);
        state.unit_file_state = match (self.0.get(unit), self.0.get(TEMPLATE)) {
            (Some(own), _) => Some(own.clone()),
            // Instances of a template that can be enabled.
            (None, Some(_)) => Some("disabled".to_owned()),
            (None, None) => return state,
        };
        let masked = matches!(
            state.unit_file_state.as_deref(),
            Some("masked" | "masked-runtime")
        );
        state.load_state = if masked { "masked" } else { "loaded" }.to_owned();
        state.explain();
        state
    }

    /// A unit that was loaded to be listed.
    pub(super) fn listed(&self, row: UnitRow) -> UnitState {
        let mut state = self.idle(&row.0);
        (state.load_state, state.active_state, state.sub_state) = (row.2, row.3, row.4);
        state.explain();
        state
    }
}

/// The instances that are enabled in a unit directory: those with a link in the `.wants` or
/// `.requires` of any unit (systemd.unit(5)). GetUnitFileState looks there too, but reads everything
/// anew for each unit: more than a millisecond of PID 1's time each.
fn enabled(dir: &Path, state: &str) -> BTreeMap<String, String> {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let pulls = |path: &Path| {
        let extension = path.extension().and_then(OsStr::to_str);
        matches!(extension, Some("wants" | "requires"))
    };
    let folders = entries(dir)
        .map(|entry| entry.path())
        .filter(|path| pulls(path));
    let links = folders.flat_map(|folder| entries(&folder).collect::<Vec<_>>());
    let names = links.filter_map(|link| link.file_name().into_string().ok());
    let agents = names.filter(|name| agent_of_unit(name).is_some());
    agents.map(|name| (name, state.to_owned())).collect()
}

impl Manager {
    /// The agents' unit files, and how these units are enabled: only the template is listed, not its
    /// instances.
    pub(super) async fn agent_files(&self, units: &[&str]) -> Result<AgentFiles, Error> {
        let files = self.unit_files(AGENT_UNITS).await?;
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let files = files.into_iter().map(|(path, state)| (name(&path), state));
        let mut files: BTreeMap<String, String> = files.collect();
        if self.reads_links {
            let etc = enabled(Path::new("/etc/systemd/system"), "enabled");
            let run = enabled(Path::new("/run/systemd/system"), "enabled-runtime");
            // What is listed has a file of its own, such as a mask, and that counts.
            for (unit, state) in etc.into_iter().chain(run) {
                files.entry(unit).or_insert(state);
            }
            return Ok(AgentFiles(files));
        }
        let asked = units.iter().map(|unit| async move {
            let _turn = self.turn(1).await;
            let state = self.proxy.get_unit_file_state(unit).await.ok()?;
            Some(((*unit).to_owned(), state))
        });
        files.extend(join_all(asked).await.into_iter().flatten());
        Ok(AgentFiles(files))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_what_enables() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "recon-full.target.wants/recon@hub.service",
            "multi-user.target.requires/recon@kaze.service",
            "recon-full.target.wants/ssh.service",
            "recon@kage.service.d/50-recon.conf",
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = enabled(root.path(), "enabled");
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["recon@hub.service", "recon@kaze.service"]);
        assert!(enabled(&root.path().join("none"), "enabled").is_empty());
    }
}
