//! From what a user writes to records: names, addresses and networks, checked against scope.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;

use super::error::{ApiError, field_error};
use super::gate::Verdict;
use super::state::Hub;
use super::store::{AddressRange, NewEvent, NewRecord};
use crate::api::{FieldError, RefusedTarget};
use crate::fleet::Rule;

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
            let net = canonical(net.trunc());
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
    /// A record for what was written.
    pub(super) fn record(&self, written: Written) -> NewRecord {
        match written {
            Written::Name(name) => self.name(name, None),
            Written::Address(address) => self.address(address),
            Written::Network(net) => self.network(net),
        }
    }

    /// A record for a network, whose addresses get records of their own when their turn comes.
    fn network(&self, net: IpNet) -> NewRecord {
        NewRecord {
            key: net.to_string(),
            sub_domain: None,
            domainname: None,
            ip_address: None,
            cidr: Some(net.to_string()),
            group: self.group.clone(),
            projectegg: self.projectegg.clone(),
            alive: self.alive,
        }
    }

    /// A record for an address. Its text goes where old agents look for a name.
    fn address(&self, address: IpAddr) -> NewRecord {
        NewRecord {
            key: address.to_string(),
            sub_domain: Some(address.to_string()),
            domainname: None,
            ip_address: Some(address),
            cidr: None,
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
    /// Parts of networks that are left out.
    pub(super) skipped: Vec<RefusedTarget>,
    errors: Vec<FieldError>,
    seen: BTreeSet<String>,
}

impl Plan {
    /// Adds a target as written.
    pub(super) fn add(&mut self, hub: &Hub, field: &str, text: &str, common: &Common) {
        match Written::parse(text) {
            Ok(Written::Network(net)) => self.add_network(hub, net, common),
            Ok(host) => self.push(common.record(host)),
            Err(problem) => self.errors.push(field_error(field, "value", problem)),
        }
    }

    /// Adds a record, unless one of the same key is there.
    pub(super) fn push(&mut self, record: NewRecord) {
        if self.seen.insert(record.key.clone()) {
            self.records.push(record);
        }
    }

    fn add_network(&mut self, hub: &Hub, net: IpNet, common: &Common) {
        if let Err(refused) = check_network(hub, net) {
            self.refused.push(refused);
            return;
        }
        for rule in hub.live().scope.deny() {
            if let Rule::Net(denied) = rule
                && net.contains(denied)
            {
                self.skipped.push(RefusedTarget {
                    target: rule.to_string(),
                    rule: format!("scope.deny {rule}"),
                });
            }
        }
        self.push(common.network(net));
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

/// Whether scope allows a network, or at least a part of it.
pub(super) fn check_network(hub: &Hub, net: IpNet) -> Result<(), RefusedTarget> {
    hub.live()
        .scope
        .check_net(net)
        .map_err(|refusal| RefusedTarget {
            target: refusal.target,
            rule: refusal.rule,
        })?;
    let range = AddressRange::of(net);
    let any = |r: &AddressRange| r.first <= range.last && r.last >= range.first;
    if hub.allowed().iter().any(any) {
        return Ok(());
    }
    Err(RefusedTarget {
        target: net.to_string(),
        rule: "no address of it is allowed".to_owned(),
    })
}

/// A network of IPv4 addresses written as one of IPv6 is the same network.
fn canonical(net: IpNet) -> IpNet {
    let v4 = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.network().to_ipv4_mapped(),
        _ => None,
    };
    v4.and_then(|v4| IpNet::new(v4.into(), net.prefix_len() - 96).ok())
        .unwrap_or(net)
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
            ("::ffff:10.0.0.7/120", "10.0.0.0/24"),
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
}
