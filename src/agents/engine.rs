use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::scan;
use crate::fleet::{EngineUse, Settings};
use crate::runtime::Config;

/// Says in the log which engine the scans will use, and why. Whether raw sockets can be had is tried,
/// not guessed: a capability, a system-call filter and a user namespace all have a say in it.
pub fn announce(config: &Config) {
    if config.by_hand {
        // The result tells.
        return;
    }
    if scan::of(&config.agent.settings).is_ok_and(|scan| scan.engine == EngineUse::Connect) {
        return tracing::info!(EVENT = "engine", "scans by connect(2), as configured");
    }
    let raw = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    );
    match raw {
        Ok(_) => {
            tracing::info!(
                EVENT = "engine",
                "raw sockets can be had: scans may be half-open (SYN)"
            );
            announce_ring(&config.agent.settings);
        }
        Err(error) => tracing::info!(
            EVENT = "engine",
            "scans by connect(2): no raw sockets ({error}); capabilities = [\"CAP_NET_RAW\"] in the \
             fleet file grants them"
        ),
    }
}

/// Says whether probes pass by the firewall, for who asked for it.
fn announce_ring(settings: &Settings) {
    if !settings.packet_ring() {
        return;
    }
    // Of no protocol: it hears nothing.
    let packet = socket_with(
        AddressFamily::PACKET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    match packet {
        Ok(_) => tracing::info!(
            EVENT = "engine",
            "packet ring: IPv4 probes bypass nftables and IPAddressDeny="
        ),
        Err(error) => tracing::warn!(
            EVENT = "engine",
            "no packet ring ({error}): probes go over raw IP sockets"
        ),
    }
}
