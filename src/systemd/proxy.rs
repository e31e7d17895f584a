//! The part of systemd's D-Bus API that we read and listen to, written down by hand
//! (org.freedesktop.systemd1(5)); everything here exists in systemd 252. Calls that need a right go
//! through [`Manager`](super::Manager), which decides about interactive authorisation.

// The macro writes undocumented items for each signal and its arguments.
#![allow(missing_docs)]

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant};

/// One row of `ListUnits*`: name, description, load state, active state, sub state, followed unit,
/// path, job id, job type, job path.
pub(crate) type UnitRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Manager {
    /// Without it no signal is sent.
    fn subscribe(&self) -> zbus::Result<()>;

    fn list_units_by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> zbus::Result<Vec<UnitRow>>;

    /// Loads what is not loaded.
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<UnitRow>>;

    fn list_unit_files_by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> zbus::Result<Vec<(String, String)>>;

    /// Fails when the unit is not loaded.
    fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;

    #[zbus(signal)]
    fn job_new(&self, id: u32, job: zbus::ObjectPath<'_>, unit: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: zbus::ObjectPath<'_>,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    fn unit_new(&self, id: &str, unit: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    fn unit_removed(&self, id: &str, unit: zbus::ObjectPath<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    fn reloading(&self, active: bool) -> zbus::Result<()>;

    #[zbus(signal)]
    fn unit_files_changed(&self) -> zbus::Result<()>;
}

/// Properties of any object of systemd; zbus's own proxy would want a destination each time.
#[zbus::proxy(
    interface = "org.freedesktop.DBus.Properties",
    default_service = "org.freedesktop.systemd1"
)]
pub(crate) trait Properties {
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;

    fn get(&self, interface: &str, property: &str) -> zbus::Result<OwnedVariant>;

    #[zbus(signal)]
    fn properties_changed(
        &self,
        interface: &str,
        changed: HashMap<String, zbus::Variant<'_>>,
        invalidated: Vec<String>,
    ) -> zbus::Result<()>;
}
