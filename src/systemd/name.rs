use crate::fleet::AgentName;

/// Pattern of the units that are agents.
pub const AGENT_UNITS: &str = "recon@*.service";

/// The unit file of which they are instances.
pub(crate) const TEMPLATE: &str = "recon@.service";

/// The agent that a unit runs: `recon@kaze.service` → `kaze`.
///
/// The template itself and units of other names are no agents.
pub fn agent_of_unit(unit: &str) -> Option<AgentName> {
    unit.strip_prefix("recon@")?
        .strip_suffix(".service")?
        .parse()
        .ok()
}

/// D-Bus path of a unit. systemd loads the unit when a property is read there, so no `LoadUnit` is
/// needed before.
pub(crate) fn unit_path(unit: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    if unit.is_empty() {
        path.push('_');
    }
    for (i, b) in unit.bytes().enumerate() {
        if b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit()) {
            path.push(char::from(b));
        } else {
            path.push_str(&format!("_{b:02x}"));
        }
    }
    path
}

/// The unit at a D-Bus path, the reverse of [`unit_path`].
pub(crate) fn unit_of_path(path: &str) -> Option<String> {
    let label = path.strip_prefix("/org/freedesktop/systemd1/unit/")?;
    let mut bytes = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'_' {
            bytes.push(*first);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_both_ways() {
        for unit in [
            "recon@kaze.service",
            "recon@my-daemon_2.service",
            "9p.mount",
        ] {
            assert_eq!(unit_of_path(&unit_path(unit)).as_deref(), Some(unit));
        }
        assert_eq!(
            unit_path("recon@kaze.service"),
            "/org/freedesktop/systemd1/unit/recon_40kaze_2eservice"
        );
        assert_eq!(unit_of_path("/org/freedesktop/systemd1/unit/a_4"), None);
        assert_eq!(unit_of_path("/org/freedesktop/systemd1"), None);
    }

    #[test]
    fn only_instances_are_agents() {
        assert_eq!(
            agent_of_unit("recon@kaze.service").unwrap().as_str(),
            "kaze"
        );
        for unit in [
            "recon@.service",
            "recon.target",
            "recon-failed@kaze.service",
        ] {
            assert_eq!(agent_of_unit(unit), None);
        }
    }
}
