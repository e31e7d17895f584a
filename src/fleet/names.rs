use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

use super::scope::{normal_name, special_range};
use super::{Fleet, Refusal, Rule, Scope};

impl Scope {
    /// The names that are allowed one by one, so that their addresses can be found out beforehand.
    pub fn plain_names(&self) -> impl Iterator<Item = &str> {
        self.allow().iter().filter_map(|rule| match rule {
            Rule::Name(name) => Some(name.as_str()),
            Rule::Net(_) | Rule::Below(_) => None,
        })
    }

    /// The rules that allow names which nobody can list (`*.example.org`).
    pub fn wildcards(&self) -> impl Iterator<Item = &Rule> {
        let below = |rule: &&Rule| matches!(rule, Rule::Below(_));
        self.allow().iter().filter(below)
    }

    /// The rule that allows an address; [`Scope::check_addr`] with its reason.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn rule_for_addr(&self, addr: IpAddr) -> Result<&Rule, Refusal> {
        self.check_addr(addr)?;
        let net = IpNet::from(addr.to_canonical());
        self.rule_around(net).ok_or_else(|| Refusal {
            target: addr.to_string(),
            rule: "no scope.allow entry covers it".to_owned(),
        })
    }

    /// The rule that allows a whole network; [`Scope::check_net`] with its reason.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn rule_for_net(&self, net: IpNet) -> Result<&Rule, Refusal> {
        self.check_net(net)?;
        self.rule_around(net).ok_or_else(|| Refusal {
            target: net.to_string(),
            rule: "no scope.allow entry covers the whole of it".to_owned(),
        })
    }

    /// The rule that allows a name, if one does; [`Scope::check_name`] with its reason.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn rule_for_name(&self, name: &str) -> Result<Option<&Rule>, Refusal> {
        self.check_name(name)?;
        let name = normal_name(name);
        Ok(self.allow().iter().find(|rule| rule.covers_name(&name)))
    }

    /// The rule that allows a name that leads to this address; [`Scope::check_resolved`] with its
    /// reason.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn rule_for_resolved(&self, name: &str, addr: IpAddr) -> Result<&Rule, Refusal> {
        self.check_resolved(name, addr)?;
        match self.rule_for_addr(addr) {
            Ok(rule) => Ok(rule),
            Err(refusal) => self.rule_for_name(name)?.ok_or(refusal),
        }
    }

    /// Whether the agents may talk to an address that is no target but that they need (the hub, a
    /// resolver). It is out when it is denied by number.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check_needed(&self, what: &str, addr: IpAddr) -> Result<(), Refusal> {
        let addr = addr.to_canonical();
        self.not_denied(&format!("{what} ({addr})"), addr)
    }

    fn rule_around(&self, net: IpNet) -> Option<&Rule> {
        self.allow()
            .iter()
            .find(|rule| matches!(rule, Rule::Net(allow) if allow.contains(&net)))
    }
}

impl Fleet {
    /// The hub's host, when it is a name that only a resolver knows.
    pub fn hub_name(&self) -> Option<String> {
        let url = Url::parse(&self.hub).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_name = bare.parse::<IpAddr>().is_err() && bare != "localhost";
        is_name.then(|| normal_name(bare))
    }

    /// Whether the hub, found by name, may be talked to at this address. A name must not lead to
    /// link-local (cloud metadata), multicast or broadcast addresses.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check_hub(&self, addr: IpAddr) -> Result<(), Refusal> {
        self.scope.check_needed("the hub", addr)?;
        match special_range(addr.to_canonical()) {
            Some((what, _)) => Err(Refusal {
                target: format!("the hub ({addr})"),
                rule: format!("a name must not lead to {what} addresses"),
            }),
            None => Ok(()),
        }
    }

    /// Whether something in it is known by name only, so that the agents need a resolver and the
    /// firewall what it answers.
    pub fn has_names(&self) -> bool {
        self.scope.has_names() || self.hub_name().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Sources, load};

    fn scope(allow: &[&str], deny: &[&str]) -> Scope {
        let rules = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
        Scope::new(rules(allow), rules(deny))
    }

    fn fleet(hub: &str) -> Fleet {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources {
            root: dir.path().to_owned(),
            file: None,
            env: [("DJANGO_API_BASE".to_owned(), hub.to_owned())].into(),
        };
        load(&sources).unwrap().fleet
    }

    #[test]
    fn names_that_can_be_resolved_and_those_that_cannot() {
        let scope = scope(&["a.example.org", "*.example.org", "10.0.0.0/8"], &[]);
        assert_eq!(scope.plain_names().collect::<Vec<_>>(), ["a.example.org"]);
        let wildcards: Vec<String> = scope.wildcards().map(ToString::to_string).collect();
        assert_eq!(wildcards, ["*.example.org"]);
    }

    #[test]
    fn the_rule_that_allows_is_named() {
        let scope = scope(
            &["*.example.org", "10.0.0.0/8", "10.1.0.0/16"],
            &["10.9.0.0/16"],
        );
        let shown =
            |rule: Result<&Rule, Refusal>| rule.map(ToString::to_string).map_err(|r| r.rule);
        let addr = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            shown(scope.rule_for_addr(addr("10.1.2.3"))),
            Ok("10.0.0.0/8".into())
        );
        assert_eq!(
            shown(scope.rule_for_addr(addr("10.9.2.3"))),
            Err("scope.deny 10.9.0.0/16".into())
        );
        assert_eq!(
            shown(scope.rule_for_net("10.1.0.0/24".parse().unwrap())),
            Ok("10.0.0.0/8".into())
        );
        assert!(scope.rule_for_net("11.0.0.0/24".parse().unwrap()).is_err());
        let resolved = |name, at| shown(scope.rule_for_resolved(name, addr(at)));
        assert_eq!(
            resolved("a.example.org", "8.8.8.8"),
            Ok("*.example.org".into())
        );
        assert_eq!(
            resolved("a.example.org", "10.1.2.3"),
            Ok("10.0.0.0/8".into())
        );
        assert!(resolved("a.example.org", "192.168.0.1").is_err());
        assert!(resolved("a.example.com", "8.8.8.8").is_err());
    }

    #[test]
    fn the_hub_by_name() {
        assert_eq!(
            fleet("https://Hub.example.org:9/x").hub_name(),
            Some("hub.example.org".into())
        );
        for known in [
            "http://10.0.0.1:9000",
            "http://[::1]:9000",
            "http://localhost:9000",
        ] {
            assert_eq!(fleet(known).hub_name(), None, "{known}");
        }
        let mut fleet = fleet("http://hub:9000");
        assert!(fleet.has_names());
        fleet.scope = scope(&["8.8.8.8"], &["10.9.0.0/16"]);
        for (addr, ok) in [
            ("10.1.2.3", true),
            ("10.9.2.3", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(fleet.check_hub(addr.parse().unwrap()).is_ok(), ok, "{addr}");
        }
    }
}
