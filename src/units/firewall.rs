use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;

use crate::fleet::{Agent, AgentKind, Fleet, Settings};

/// What `IPAddressAllow=` of a unit says, and what it cannot say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Firewall {
    /// Values, one a line.
    pub allow: Vec<String>,
    /// What is lost, in words.
    pub notes: Vec<String>,
}

/// The local stub of systemd-resolved.
const STUB_RESOLVER: [u8; 4] = [127, 0, 0, 53];

/// The firewall of one agent. Allowed addresses beat denied ones whatever their prefixes
/// (systemd.resource-control(5)), so the scope's denied networks are cut out of the allowed ones.
pub(super) fn firewall(fleet: &Fleet, agent: &Agent) -> Firewall {
    match &agent.settings {
        Settings::Hub(hub) if agent.kind == AgentKind::Hub => {
            hub_firewall(&hub.listen, hub.database.as_deref())
        }
        _ => agent_firewall(fleet),
    }
}

fn agent_firewall(fleet: &Fleet) -> Firewall {
    let mut nets = fleet.scope.networks();
    let mut firewall = Firewall::default();
    match hub_addresses(&fleet.hub) {
        Ok(addresses) => nets.extend(addresses.into_iter().map(IpNet::from)),
        Err(host) => firewall.notes.push(format!(
            "the firewall cannot let it reach the hub {host:?} by name: write the hub's address in \
             fleet.hub, or add IPAddressAllow= in a drop-in of your own"
        )),
    }
    if fleet.scope.has_names() {
        nets.push(IpNet::from(IpAddr::from(STUB_RESOLVER)));
        firewall.notes.push(
            "names in scope.allow are not in its firewall: what they resolve to is dropped until \
             their addresses are added"
                .to_owned(),
        );
    }
    let mut nets = IpNet::aggregate(&nets);
    nets.sort();
    firewall.allow = nets.iter().map(shown).collect();
    firewall
}

/// A hub sends no scan traffic: it talks to its clients and its database.
fn hub_firewall(listen: &str, database: Option<&str>) -> Firewall {
    let mut firewall = Firewall::default();
    let local = listen
        .parse()
        .is_ok_and(|addr: SocketAddr| addr.ip().is_loopback());
    if !local {
        firewall.allow.push("any".to_owned());
        firewall.notes.push(format!(
            "it listens on {listen} for clients anywhere, so its firewall is open: narrow it with \
             IPAddressAllow= in a drop-in of your own"
        ));
        return firewall;
    }
    firewall.allow.push("localhost".to_owned());
    let host = database
        .and_then(|url| Url::parse(url).ok())
        .and_then(|url| address(&url));
    match host {
        Some(Ok(addr)) if !addr.is_loopback() => firewall.allow.push(shown(&IpNet::from(addr))),
        Some(Err(name)) if name != "localhost" => firewall.notes.push(format!(
            "the firewall cannot let it reach its database {name:?} by name: write its address"
        )),
        _ => {}
    }
    firewall
}

/// The addresses of the hub, or its name when only DNS knows them.
pub(super) fn hub_addresses(hub: &str) -> Result<Vec<IpAddr>, String> {
    match Url::parse(hub).ok().as_ref().and_then(address) {
        Some(Ok(addr)) => Ok(vec![addr]),
        Some(Err(name)) if name == "localhost" => Ok(vec![
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]),
        ]),
        Some(Err(name)) => Err(name),
        None => Err(hub.to_owned()),
    }
}

fn address(url: &Url) -> Option<Result<IpAddr, String>> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Some(bare.parse().map_err(|_| host.to_owned()))
}

fn shown(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_open_only_when_it_listens_beyond_loopback() {
        assert_eq!(hub_firewall("127.0.0.1:9000", None).allow, ["localhost"]);
        assert_eq!(
            hub_firewall("[::1]:9000", Some("sqlite:///x.db")).allow,
            ["localhost"]
        );
        assert_eq!(hub_firewall("0.0.0.0:9000", None).allow, ["any"]);
        let remote = hub_firewall("127.0.0.1:1", Some("postgres://u@10.0.0.7/db"));
        assert_eq!(remote.allow, ["localhost", "10.0.0.7"]);
        assert_eq!(
            hub_firewall("127.0.0.1:1", Some("postgres://u@db/x"))
                .notes
                .len(),
            1
        );
    }

    #[test]
    fn hub_addresses_from_its_url() {
        assert_eq!(
            hub_addresses("http://[fd00::1]:9000"),
            Ok(vec!["fd00::1".parse().unwrap()])
        );
        assert_eq!(
            hub_addresses("http://localhost:9000").map(|a| a.len()),
            Ok(2)
        );
        assert_eq!(
            hub_addresses("https://hub.example.org"),
            Err("hub.example.org".to_owned())
        );
    }
}
