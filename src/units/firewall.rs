use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;

use crate::fleet::{Agent, AgentKind, Fleet, Health, HealthProbe, Settings, WebhookSettings};

/// What `IPAddressAllow=` of a unit says, and what it cannot say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Firewall {
    /// Values, one a line.
    pub allow: Vec<String>,
    /// What is lost, in words.
    pub notes: Vec<String>,
    /// The agent sends nothing to a target, and nothing that targets are let through for may hold for it.
    pub shut: bool,
}

/// The firewall of one agent. Allowed addresses beat denied ones whatever their prefixes
/// (systemd.resource-control(5)), so the scope's denied networks are cut out of the allowed ones.
pub(super) fn firewall(fleet: &Fleet, agent: &Agent) -> Firewall {
    match &agent.settings {
        Settings::Hub(hub) if agent.kind == AgentKind::Hub => {
            let mut firewall = hub_firewall(&hub.listen, hub.database.as_deref());
            allow_webhooks(&mut firewall, &hub.webhooks);
            firewall
        }
        // It only assesses: what it needs is at the hub.
        settings if !settings.sends() => {
            let mut firewall = agent_firewall(fleet, Vec::new(), agent.health.as_ref());
            // A hub's name is let through with the names of the scope.
            firewall.shut = url_addresses(&fleet.hub).is_ok();
            if !firewall.shut {
                firewall.notes.push(
                    "it scans nothing, but its firewall lets the names of the scope through with \
                     that of the hub: write the hub's address in fleet.hub"
                        .to_owned(),
                );
            }
            firewall
        }
        _ => {
            let mut firewall = agent_firewall(fleet, fleet.scope.networks(), agent.health.as_ref());
            wildcards(fleet, &mut firewall);
            firewall
        }
    }
}

/// An agent reaches these networks, the hub, and where its health is asked for.
fn agent_firewall(fleet: &Fleet, mut nets: Vec<IpNet>, health: Option<&Health>) -> Firewall {
    let mut firewall = Firewall::default();
    // By name it is one of the addresses that recon-scope.service finds out.
    if let Ok(addresses) = url_addresses(&fleet.hub) {
        nets.extend(addresses.into_iter().map(IpNet::from));
    }
    // As the hub's address, it is allowed because the fleet file names it, in scope or not.
    if let Some(HealthProbe::Http(url)) = health.map(|health| &health.probe) {
        match url_addresses(url) {
            Ok(addresses) => nets.extend(addresses.into_iter().flat_map(both_ends)),
            Err(host) if fleet.scope.plain_names().any(|name| name == host) => {}
            Err(host) => firewall.notes.push(format!(
                "the firewall may drop its health probe, which asks {host:?} by name: write the \
                 address in health.http, or add the name to scope.allow"
            )),
        }
    }
    let mut nets = IpNet::aggregate(&nets);
    nets.sort();
    firewall.allow = nets.iter().map(shown).collect();
    firewall
}

fn wildcards(fleet: &Fleet, firewall: &mut Firewall) {
    let wildcards: Vec<String> = fleet.scope.wildcards().map(ToString::to_string).collect();
    if !wildcards.is_empty() {
        let note = format!(
            "its firewall drops what only {} in scope.allow allows: nobody can list the names below \
             it to resolve them beforehand; name them one by one, or allow their networks",
            wildcards.join(", ")
        );
        firewall.notes.insert(0, note);
    }
}

/// The program that answers is behind the same firewall, and whoever asks at any loopback address
/// comes from the first one.
fn both_ends(addr: IpAddr) -> Vec<IpNet> {
    let mut nets = vec![IpNet::from(addr)];
    if addr.is_ipv4() && addr.is_loopback() {
        nets.push(IpNet::from(IpAddr::from([127, 0, 0, 1])));
    }
    nets
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

/// Webhooks lead to the operator's own hosts, in scope or not.
fn allow_webhooks(firewall: &mut Firewall, hooks: &[WebhookSettings]) {
    if firewall.allow.iter().any(|value| value == "any") {
        return;
    }
    for hook in hooks {
        match url_addresses(&hook.url) {
            Ok(addresses) => {
                for addr in addresses.into_iter().filter(|addr| !addr.is_loopback()) {
                    let value = shown(&IpNet::from(addr));
                    if !firewall.allow.contains(&value) {
                        firewall.allow.push(value);
                    }
                }
            }
            Err(name) => firewall.notes.push(format!(
                "the firewall cannot let it reach the host {name:?} of its webhook {:?} by name: \
                 write its address in url, or add IPAddressAllow= in a drop-in of your own",
                hook.name
            )),
        }
    }
}

/// The addresses of the host of a URL, or its name when only DNS knows them.
pub(super) fn url_addresses(url: &str) -> Result<Vec<IpAddr>, String> {
    match Url::parse(url).ok().as_ref().and_then(address) {
        Some(Ok(addr)) => Ok(vec![addr]),
        Some(Err(name)) if name == "localhost" => Ok(vec![
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]),
        ]),
        Some(Err(name)) => Err(name),
        None => Err(url.to_owned()),
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
    fn webhooks_are_let_through_by_address() {
        let hook = |url: &str| WebhookSettings {
            name: "soc".to_owned(),
            url: url.to_owned(),
            types: Vec::new(),
            secret: "soc".to_owned(),
        };
        let hooks = [
            hook("http://10.0.0.9:8080/a"),
            hook("https://10.0.0.9/b"),
            hook("http://[fd00::9]/"),
            hook("http://localhost:1/"),
            hook("https://chat.example.org/x"),
        ];
        let mut firewall = hub_firewall("127.0.0.1:9000", None);
        allow_webhooks(&mut firewall, &hooks);
        assert_eq!(firewall.allow, ["localhost", "10.0.0.9", "fd00::9"]);
        assert_eq!(firewall.notes.len(), 1);
        assert!(firewall.notes[0].contains("chat.example.org"));
        let mut open = hub_firewall("0.0.0.0:9000", None);
        allow_webhooks(&mut open, &hooks);
        assert_eq!((open.allow.len(), open.notes.len()), (1, 1));
    }

    #[test]
    fn a_probe_at_a_loopback_address_comes_from_the_first() {
        let nets = |addr: &str| both_ends(addr.parse().unwrap()).len();
        assert_eq!(
            (nets("127.0.0.9"), nets("10.0.0.9"), nets("::1")),
            (2, 1, 1)
        );
    }

    #[test]
    fn addresses_from_a_url() {
        assert_eq!(
            url_addresses("http://[fd00::1]:9000"),
            Ok(vec!["fd00::1".parse().unwrap()])
        );
        assert_eq!(
            url_addresses("http://localhost:9000").map(|a| a.len()),
            Ok(2)
        );
        assert_eq!(
            url_addresses("https://hub.example.org"),
            Err("hub.example.org".to_owned())
        );
    }
}
