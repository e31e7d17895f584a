//! From what a user writes to records: names, addresses and networks, checked against scope.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::json;

use super::error::{ApiError, field_error};
use super::gate::Verdict;
use super::state::Hub;
use super::store::{NewEvent, NewRecord};
use crate::api::{FieldError, RefusedTarget};
use crate::fleet::Rule;

/// A network of more addresses is refused for now.
const NETWORK_MAX_BITS: u8 = 10;
/// Records that one request can make.
pub(super) const RECORDS_MAX: usize = 10_240;
/// Refusals that one request records as events.
const EVENTS_MAX: usize = 100;

/// A target as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// A host name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
    /// A network of more than one address.
    Network(IpNet),
}

impl Written {
    /// Reads a target; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            let net = net.trunc();
            return Ok(if net.prefix_len() == net.max_prefix_len() {
                Self::Address(net.addr().to_canonical())
            } else {
                Self::Network(net)
            });
        }
        // A rule reads names as targets do, and puts them in lower case.
        if let Ok(Rule::Name(name)) = text.parse() {
            return Ok(Self::Name(name));
        }
        let hint = if text.contains("://") {
            ": give the host of the URL only"
        } else {
            ""
        };
        Err(format!(
            "must be a host name, an address or a network (10.0.0.0/24){hint}"
        ))
    }

    /// The form by which it is known.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
            Self::Network(net) => net.to_string(),
        }
    }
}

/// What all records of one wish share.
#[derive(Debug, Clone, Default)]
pub(super) struct Common {
    /// Group.
    pub(super) group: Option<String>,
    /// Project.
    pub(super) projectegg: Option<String>,
    /// Whether they take part at all.
    pub(super) alive: bool,
}

impl Common {
    /// A record for an address. Its text goes where old agents look for a name.
    fn address(&self, address: IpAddr, cidr: Option<&IpNet>) -> NewRecord {
        NewRecord {
            key: address.to_string(),
            sub_domain: Some(address.to_string()),
            domainname: None,
            ip_address: Some(address),
            cidr: cidr.map(IpNet::to_string),
            group: self.group.clone(),
            projectegg: self.projectegg.clone(),
            alive: self.alive,
        }
    }

    /// A record for a name.
    pub(super) fn name(&self, name: String, domain: Option<String>) -> NewRecord {
        NewRecord {
            key: name.clone(),
            sub_domain: Some(name),
            domainname: domain,
            ip_address: None,
            cidr: None,
            group: self.group.clone(),
            projectegg: self.projectegg.clone(),
            alive: self.alive,
        }
    }
}

/// Records to be added, those that scope refuses, and what is wrong with the rest.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be added.
    pub(super) records: Vec<NewRecord>,
    /// Refused; then nothing is added.
    pub(super) refused: Vec<RefusedTarget>,
    /// Addresses of networks that were left out.
    pub(super) skipped: Vec<RefusedTarget>,
    errors: Vec<FieldError>,
    seen: BTreeSet<String>,
}

impl Plan {
    /// Adds a target as written.
    pub(super) fn add(&mut self, hub: &Hub, field: &str, text: &str, common: &Common) {
        match Written::parse(text) {
            Ok(Written::Name(name)) => self.push(common.name(name, None)),
            Ok(Written::Address(address)) => self.push(common.address(address, None)),
            Ok(Written::Network(net)) => self.add_network(hub, field, net, common),
            Err(problem) => self.errors.push(field_error(field, "value", problem)),
        }
    }

    /// Adds a record, unless one of the same key is there.
    pub(super) fn push(&mut self, record: NewRecord) {
        if self.seen.insert(record.key.clone()) {
            self.records.push(record);
        }
    }

    fn add_network(&mut self, hub: &Hub, field: &str, net: IpNet, common: &Common) {
        let live = hub.live();
        if let Err(refusal) = live.scope.check_net(net) {
            self.refused.push(RefusedTarget {
                target: refusal.target,
                rule: refusal.rule,
            });
            return;
        }
        if net.max_prefix_len() - net.prefix_len() > NETWORK_MAX_BITS {
            self.errors.push(field_error(
                field,
                "range",
                format!(
                    "{net} is too large: a network can have {} addresses for now; give it in parts",
                    1 << NETWORK_MAX_BITS
                ),
            ));
            return;
        }
        for address in addresses(net) {
            if self.records.len() > RECORDS_MAX {
                return; // finish() says so
            }
            match live.scope.check_addr(address) {
                Ok(()) => self.push(common.address(address, Some(&net))),
                Err(refusal) => self.skipped.push(RefusedTarget {
                    target: refusal.target,
                    rule: refusal.rule,
                }),
            }
        }
    }

    /// Checks all against scope. An error names what is wrong, before anything is refused.
    pub(super) async fn finish(mut self, hub: &Hub, agent: Option<&str>) -> Result<Self, ApiError> {
        if !self.errors.is_empty() {
            self.errors.truncate(100);
            return Err(ApiError::invalid(self.errors));
        }
        if self.records.len() > RECORDS_MAX {
            return Err(ApiError::field(
                "targets",
                "range",
                format!("one request can add {RECORDS_MAX} targets; send the rest in another"),
            ));
        }
        let live = hub.live();
        let verdicts = hub
            .gate
            .check_all(&live.scope, &self.records.iter().collect::<Vec<_>>())
            .await;
        for (verdict, record) in verdicts.into_iter().zip(&self.records) {
            if let Verdict::Refused(refusal) | Verdict::Unresolved(refusal) = verdict {
                self.refused.push(RefusedTarget {
                    target: record.key.clone(),
                    rule: refusal.rule,
                });
            }
        }
        for refused in self.refused.iter().take(EVENTS_MAX) {
            hub.record_event(violation(agent, &refused.target, &refused.rule, "entry"))
                .await;
        }
        Ok(self)
    }
}

/// The event for something that scope refused.
pub(super) fn violation(agent: Option<&str>, target: &str, rule: &str, at: &str) -> NewEvent {
    let parts = agent.and_then(|a| a.split_once('@'));
    NewEvent {
        kind: "scope_violation_blocked",
        daemon_name: parts.map(|(name, _)| name.to_owned()),
        hostname: parts.map(|(_, host)| host.to_owned()),
        data: json!({ "target": target, "rule": rule, "at": at }),
    }
}

/// Every address of a network, the first and the last included, as nmap does.
fn addresses(net: IpNet) -> impl Iterator<Item = IpAddr> {
    let (first, last, v4) = match net {
        IpNet::V4(n) => (
            u128::from(n.network().to_bits()),
            u128::from(n.broadcast().to_bits()),
            true,
        ),
        IpNet::V6(n) => (n.network().to_bits(), n.broadcast().to_bits(), false),
    };
    (first..=last).map(move |bits| match u32::try_from(bits) {
        Ok(bits) if v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_normalised() {
        for (text, key) in [
            (" WWW.Example.org. ", "www.example.org"),
            ("::FFFF:10.0.0.1", "10.0.0.1"),
            ("[2001:DB8::0:1]", "2001:db8::1"),
            ("10.0.0.7/32", "10.0.0.7"),
            ("10.0.0.7/24", "10.0.0.0/24"),
        ] {
            assert_eq!(Written::parse(text).unwrap().key(), key, "{text}");
        }
        for bad in [
            "",
            "http://a.example/",
            "10.0.0.0/33",
            "1.2.3",
            "a b",
            "-a.org",
            "a..b",
        ] {
            assert!(Written::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_expand_to_all_addresses() {
        let of = |net: &str| addresses(net.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(
            of("10.0.0.252/30").collect::<Vec<_>>(),
            ["10.0.0.252", "10.0.0.253", "10.0.0.254", "10.0.0.255"]
        );
        assert_eq!(of("2001:db8::/118").count(), 1024);
        assert_eq!(of("::/127").collect::<Vec<_>>(), ["::", "::1"]);
        assert_eq!(of("255.255.255.254/31").count(), 2);
    }
}
