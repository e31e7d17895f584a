use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::scope::SPECIAL_RANGES;
use super::{Rule, Scope};

impl Scope {
    /// The networks that are allowed by number, less what is denied by number, in order, without
    /// overlaps, as few as possible. Special ranges (link-local, multicast, …) are in it only when a
    /// rule lies inside them, as for [`Scope::check_addr`], which says the same for every address.
    ///
    /// For firewalls in which an allowed network beats a denied one however narrow that is, as
    /// `IPAddressAllow=` of systemd.resource-control(5) does.
    pub fn networks(&self) -> Vec<IpNet> {
        let special: Vec<IpNet> = SPECIAL_RANGES
            .iter()
            .filter_map(|(_, r)| r.parse().ok())
            .collect();
        let denied: Vec<IpNet> = nets(self.deny()).collect();
        let mut allowed = Vec::new();
        for net in nets(self.allow()) {
            let inside = special.iter().any(|range| range.contains(&net));
            let left_out: &[IpNet] = if inside { &[] } else { &special };
            allowed.extend(subtract(net, left_out.iter().chain(&denied)));
        }
        let mut networks = IpNet::aggregate(&allowed);
        networks.sort();
        networks
    }

    /// The networks that are denied by number, each with its rule in words.
    pub fn denied_networks(&self) -> impl Iterator<Item = (IpNet, String)> + '_ {
        nets(self.deny()).map(|net| (net, format!("scope.deny {}", Rule::Net(net))))
    }

    /// The networks that no wider rule allows (link-local, multicast, …), each with why.
    pub fn special_networks() -> impl Iterator<Item = (IpNet, String)> {
        SPECIAL_RANGES.iter().filter_map(|(what, range)| {
            let why = format!("{what} addresses need a scope.allow entry of their own, by number");
            Some((range.parse().ok()?, why))
        })
    }

    /// Whether a rule allows names, whose addresses nobody knows beforehand.
    pub fn has_names(&self) -> bool {
        self.allow()
            .iter()
            .any(|rule| !matches!(rule, Rule::Net(_)))
    }
}

fn nets(rules: &[Rule]) -> impl Iterator<Item = IpNet> + '_ {
    rules.iter().filter_map(|rule| match rule {
        Rule::Net(net) => Some(net.trunc()),
        Rule::Name(_) | Rule::Below(_) => None,
    })
}

/// What is left of a network without some others, as networks.
pub fn subtract<'n>(net: IpNet, without: impl IntoIterator<Item = &'n IpNet>) -> Vec<IpNet> {
    let mut left = vec![net.trunc()];
    for hole in without {
        left = left
            .into_iter()
            .flat_map(|net| subtract_one(net, *hole))
            .collect();
    }
    left
}

fn subtract_one(net: IpNet, hole: IpNet) -> Vec<IpNet> {
    if hole.contains(&net) {
        return Vec::new();
    }
    if !net.contains(&hole) {
        return vec![net];
    }
    // Halve until the hole is left over: each halving leaves one half that does not touch it.
    let mut left = Vec::new();
    let mut around = net;
    while around.prefix_len() < hole.prefix_len() {
        let mut next = None;
        for half in halves(around) {
            if half.contains(&hole) {
                next = Some(half);
            } else {
                left.push(half);
            }
        }
        match next {
            Some(half) => around = half,
            None => break,
        }
    }
    left
}

fn halves(net: IpNet) -> IpSubnets {
    match net {
        IpNet::V4(v4) => {
            let len = v4.prefix_len() + 1;
            IpSubnets::V4(Ipv4Subnets::new(v4.network(), v4.broadcast(), len))
        }
        IpNet::V6(v6) => {
            let len = v6.prefix_len() + 1;
            IpSubnets::V6(Ipv6Subnets::new(v6.network(), v6.broadcast(), len))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn scope(allow: &[&str], deny: &[&str]) -> Scope {
        let rules = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
        Scope::new(rules(allow), rules(deny))
    }

    fn networks(allow: &[&str], deny: &[&str]) -> Vec<String> {
        scope(allow, deny)
            .networks()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn holes_are_cut_out() {
        assert_eq!(
            networks(&["10.0.0.0/30"], &["10.0.0.1"]),
            ["10.0.0.0/32", "10.0.0.2/31"]
        );
        assert_eq!(
            networks(&["10.0.0.0/24", "10.0.1.0/24"], &[]),
            ["10.0.0.0/23"]
        );
        assert_eq!(networks(&["10.0.0.1"], &["10.0.0.0/8"]), [""; 0]);
        assert_eq!(networks(&["::1", "*.example.org"], &[]), ["::1/128"]);
        assert_eq!(networks(&["169.254.1.0/24"], &[]), ["169.254.1.0/24"]);
        let all = scope(&["0.0.0.0/0", "::/0"], &[]).networks();
        assert!(
            !all.iter()
                .any(|net| net.contains(&IpAddr::from([169, 254, 169, 254])))
        );
    }

    fn small_net() -> impl Strategy<Value = IpNet> {
        // A small space, so that networks often overlap.
        (0_u8..4, any::<u8>(), 20_u8..=32).prop_map(|(c, d, len)| {
            let addr = Ipv4Addr::new(10, 0, c, d);
            IpNet::new(addr.into(), len).unwrap().trunc()
        })
    }

    fn rules(nets: &[IpNet]) -> Vec<Rule> {
        nets.iter().map(|net| Rule::Net(*net)).collect()
    }

    proptest! {
        #[test]
        fn the_networks_say_what_the_rules_say(
            allow in prop::collection::vec(small_net(), 1..4),
            deny in prop::collection::vec(small_net(), 0..4),
            probes in prop::collection::vec((0_u8..4, any::<u8>()), 50),
        ) {
            let scope = Scope::new(rules(&allow), rules(&deny));
            let networks = scope.networks();
            let edges = networks.iter().flat_map(|net| [net.network(), net.broadcast()]);
            let probes = probes.into_iter().map(|(c, d)| IpAddr::from([10, 0, c, d]));
            for addr in probes.chain(edges) {
                let inside = networks.iter().any(|net| net.contains(&addr));
                prop_assert_eq!(inside, scope.check_addr(addr).is_ok(), "{}", addr);
            }
            for (i, a) in networks.iter().enumerate() {
                for b in &networks[i + 1..] {
                    prop_assert!(!a.contains(b) && !b.contains(a), "{a} and {b} overlap");
                }
            }
        }

        #[test]
        fn subtraction_is_exact(net in small_net(), holes in prop::collection::vec(small_net(), 0..5)) {
            let left = subtract(net, &holes);
            for addr in net.hosts().step_by(7).chain([net.network(), net.broadcast()]) {
                let inside = left.iter().any(|part| part.contains(&addr));
                let hole = holes.iter().any(|hole| hole.contains(&addr));
                prop_assert_eq!(inside, !hole, "{}", addr);
            }
        }
    }
}
