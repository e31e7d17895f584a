use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::UnitFile;
use super::render::{Mode, RenderContext, header, source_path};
use crate::fleet::{AgentName, Fleet};

/// The target of a profile.
pub(super) fn target(profile: &str) -> String {
    format!("recon-{profile}.target")
}

/// The targets of the profiles that each agent is in.
pub(super) fn by_agent(fleet: &Fleet) -> BTreeMap<&AgentName, Vec<String>> {
    let mut targets: BTreeMap<_, Vec<String>> =
        fleet.agents.keys().map(|name| (name, Vec::new())).collect();
    for (profile, members) in &fleet.profiles {
        for name in members {
            targets.entry(name).or_default().push(target(profile));
        }
    }
    targets
}

/// A target for each profile, and the drop-in by which `recon.target` pulls the chosen one.
pub(super) fn render(fleet: &Fleet, context: &RenderContext) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for (profile, members) in &fleet.profiles {
        let mut file = header(context);
        file.section("Unit")
            .set("Description", format!("Recon profile {profile}"))
            .set("Documentation", "man:reconctl(1)");
        source_path(&mut file, context);
        file.set("PartOf", "recon.target");
        match context.mode {
            Mode::Enablement if members.is_empty() => {
                file.comment("It has no members.");
            }
            Mode::Enablement => {
                file.comment(
                    "Starts those of its members that are enabled (systemctl enable, disable):",
                );
                let names: Vec<_> = members.iter().map(AgentName::as_str).collect();
                file.comment(&names.join(" "));
            }
            Mode::Generator => wants(&mut file, fleet, members),
        }
        files.insert(PathBuf::from(target(profile)), file.to_string());
    }
    let mut file = header(context);
    file.section("Unit");
    source_path(&mut file, context);
    file.set("Wants", target(&fleet.profile));
    // systemd orders a target after what it wants, but not after another target.
    file.set("After", target(&fleet.profile));
    files.insert(
        PathBuf::from("recon.target.d/50-recon.conf"),
        file.to_string(),
    );
    files
}

fn wants(file: &mut UnitFile, fleet: &Fleet, members: &[AgentName]) {
    for name in members {
        if fleet.agents.get(name).is_some_and(|agent| agent.auto_start) {
            file.set("Wants", name.unit());
        }
    }
}
