use super::file::UnitFile;
use super::firewall::Firewall;
use crate::fleet::{Agent, AgentKind};

/// Adds user and slice where they are not the template's. The packaged drop-in of recon@hub.service
/// says the same for the instance of that name, and must not hold for another kind under it.
pub(super) fn identity(file: &mut UnitFile, agent: &Agent, firewall: &Firewall) {
    if firewall.shut {
        file.comment("It scans nothing: the names of the scope open nothing for it.");
        file.set("Slice", "recon.slice");
    }
    let (user, slice) = match agent.kind {
        AgentKind::Hub => ("recon-hub", "recon.slice"),
        _ if agent.name.as_str() == AgentKind::Hub.as_str() => ("recon", "recon-agents.slice"),
        _ => return,
    };
    file.set("User", user);
    file.set("Group", user);
    file.set("SupplementaryGroups", "");
    if agent.kind == AgentKind::Hub {
        file.comment("It shows the agents' journal.");
        file.set("SupplementaryGroups", "systemd-journal");
    }
    file.set("Slice", slice);
}

/// Adds the capabilities and the firewall of an agent.
pub(super) fn privileges(file: &mut UnitFile, agent: &Agent, firewall: &Firewall) {
    let capabilities = agent.capabilities.join(" ");
    file.set("CapabilityBoundingSet", "");
    file.set("AmbientCapabilities", "");
    if !capabilities.is_empty() {
        file.set("CapabilityBoundingSet", &capabilities);
        file.set("AmbientCapabilities", &capabilities);
        file.comment(
            "A capability in a user namespace of its own would be worth nothing outside it.",
        );
        file.set("PrivateUsers", "no");
    }
    file.set("IPAddressDeny", "any");
    file.set("IPAddressAllow", "");
    for net in &firewall.allow {
        file.set("IPAddressAllow", net);
    }
}

/// Says what a user's systemd has no right to do, and therefore is not done.
pub(super) fn losses(agent: &Agent, notes: &mut Vec<String>) {
    let kept_by = match agent.kind {
        AgentKind::Hub => None,
        AgentKind::Custom => Some("nothing keeps it inside the scope"),
        _ => Some("its scope is kept by hub and agent alone"),
    };
    if let Some(kept_by) = kept_by {
        notes.push(format!(
            "{kept_by}: a user's systemd cannot have the kernel drop what is outside"
        ));
    }
    if !agent.capabilities.is_empty() {
        let lost = agent.capabilities.join(" ");
        notes.push(format!(
            "it runs without {lost}: a user's systemd cannot grant capabilities"
        ));
    }
}

/// Adds what the packet ring needs, and says what it bypasses.
pub(super) fn packet_ring(file: &mut UnitFile, agent: &Agent, notes: &mut Vec<String>) {
    if !agent.settings.packet_ring() {
        return;
    }
    file.comment("config.packet_ring: its probes bypass IPAddressDeny= and nftables.");
    file.set("RestrictAddressFamilies", "AF_PACKET AF_NETLINK");
    notes.push(
        "with config.packet_ring its probes bypass nftables and IPAddressDeny=: recon alone keeps \
         them inside the scope"
            .to_owned(),
    );
    if !agent.capabilities.iter().any(|name| name == "CAP_NET_RAW") {
        notes.push(
            "config.packet_ring does nothing without CAP_NET_RAW among its capabilities".to_owned(),
        );
    }
}

/// Adds what Chromium needs: it makes code while it runs, and puts the processes of pages in namespaces
/// and empty roots of their own, which hold them better than this unit does; so the unit gives way, and not
/// Chromium (`--no-sandbox`). Without user namespaces, chroot, or memory that is made code, Chromium 156 ends at
/// start, under systemd 252 and 257; PID and network namespaces are what its sandbox is then made of.
pub(super) fn browser(file: &mut UnitFile, agent: &Agent, notes: &mut Vec<String>) {
    if !agent.settings.browser() {
        return;
    }
    file.comment(
        "config.browser: Chromium compiles scripts, and has a sandbox of its own to set up.",
    );
    file.set("MemoryDenyWriteExecute", "no");
    file.replace("RestrictNamespaces", "user pid net");
    file.set("SystemCallFilter", "chroot capset");
    file.comment("A page that takes too much ends, not the agent.");
    file.set("OOMPolicy", "continue");
    if let Some(memory_max) = &agent.memory_max {
        notes.push(format!(
            "with config.browser Chromium is within memory_max = {memory_max} too: 2G do for four \
             pages at a time"
        ));
    }
}

/// Adds where the rest of the sandbox is wider than the template's.
pub(super) fn relaxed(file: &mut UnitFile, agent: &Agent) {
    match agent.kind {
        AgentKind::Kage => {
            file.comment("nmap asks the kernel for interfaces and routes.");
            file.set("RestrictAddressFamilies", "AF_NETLINK");
        }
        AgentKind::Custom => {
            file.comment("Run-time compilers (Java, JavaScript, PCRE) make code while they run.");
            file.set("MemoryDenyWriteExecute", "no");
        }
        _ => {}
    }
}
