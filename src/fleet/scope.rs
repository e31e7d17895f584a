use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Blackout;

/// What may be touched. Deny wins over allow; with no rule at all only loopback is in scope.
///
/// A rule is a network, an address or a name (`*.example.org` covers every name below it). A name
/// rule covers only addresses that are globally routable: a name that leads to a private, loopback,
/// link-local (cloud metadata), multicast or broadcast address is refused unless that address is
/// allowed by number, so that a name cannot lead elsewhere (DNS rebinding). Link-local, multicast,
/// broadcast and unspecified addresses need a rule that lies inside their own range; `0.0.0.0/0`
/// does not allow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    /// Packets/s or requests/s for one target host, over all agents.
    pub max_rate: u32,
    /// When whom to leave alone.
    pub blackouts: Vec<Blackout>,
}

/// One entry of `scope.allow` or `scope.deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Addresses; a single address is a network of one.
    Net(IpNet),
    /// Exactly this name, in lower case.
    Name(String),
    /// Every name below this one, in lower case (`example.org` for `*.example.org`).
    Below(String),
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither an address, a network (10.0.0.0/8) nor a name (host.example.org, *.example.org)"
)]
pub struct RuleError(pub String);

/// Why a target is out of scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target} is out of scope: {rule}")]
pub struct Refusal {
    /// What was refused.
    pub target: String,
    /// The rule, in words.
    pub rule: String,
}

impl std::str::FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(addr) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(addr)));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if !is_host_name(name) {
            return Err(RuleError(text.to_owned()));
        }
        let name = normal_name(name);
        Ok(if text.starts_with("*.") {
            Self::Below(name)
        } else {
            Self::Name(name)
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => {
                write!(f, "{}", net.addr())
            }
            Self::Net(net) => write!(f, "{net}"),
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            allow: vec![
                Rule::Net(IpNet::V4(ipnet::Ipv4Net::new_assert(
                    Ipv4Addr::new(127, 0, 0, 0),
                    8,
                ))),
                Rule::Net(IpNet::from(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]))),
            ],
            deny: Vec::new(),
            max_rate: Self::DEFAULT_MAX_RATE,
            blackouts: Vec::new(),
        }
    }
}

impl Scope {
    /// Packets/s or requests/s for one target host when the fleet file names none.
    pub const DEFAULT_MAX_RATE: u32 = 5000;

    /// More networks than this are refused: a firewall of that size would be a mistake.
    pub const MAX_NETWORKS: usize = 4096;

    /// A scope of these rules. With no allow rule, loopback is what is allowed.
    pub fn new(allow: Vec<Rule>, deny: Vec<Rule>) -> Self {
        let allow = if allow.is_empty() {
            Self::default().allow
        } else {
            allow
        };
        Self {
            allow,
            deny,
            max_rate: Self::DEFAULT_MAX_RATE,
            blackouts: Vec::new(),
        }
    }

    /// The same with these rules instead of its own allow rules; without any, as it is. What it
    /// denies stays denied.
    #[must_use]
    pub fn allowing(self, allow: Vec<Rule>) -> Self {
        match allow.is_empty() {
            true => self,
            false => Self { allow, ..self },
        }
    }

    /// The allow rules.
    pub fn allow(&self) -> &[Rule] {
        &self.allow
    }

    /// The deny rules.
    pub fn deny(&self) -> &[Rule] {
        &self.deny
    }

    /// Whether this address may be touched by number.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check_addr(&self, addr: IpAddr) -> Result<(), Refusal> {
        let addr = addr.to_canonical();
        self.not_denied(&addr.to_string(), addr)?;
        let special = special_range(addr);
        let allowed = self.allow.iter().any(|rule| match rule {
            Rule::Net(net) => {
                net.contains(&addr) && special.is_none_or(|(_, range)| range.contains(net))
            }
            Rule::Name(_) | Rule::Below(_) => false,
        });
        if allowed {
            return Ok(());
        }
        Err(Refusal {
            target: addr.to_string(),
            rule: match special {
                Some((what, _)) => {
                    format!("{what} addresses need a scope.allow entry of their own, by number")
                }
                None => "no scope.allow entry covers it".to_owned(),
            },
        })
    }

    /// Whether this network lies wholly inside one allow rule and touches no special range. Parts of
    /// it that are denied are left out when it is expanded; a network that is denied as a whole is
    /// refused here.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check_net(&self, net: IpNet) -> Result<(), Refusal> {
        let net = net.trunc();
        for rule in &self.deny {
            if let Rule::Net(denied) = rule
                && denied.contains(&net)
            {
                return Err(Refusal {
                    target: net.to_string(),
                    rule: format!("scope.deny {rule}"),
                });
            }
        }
        let allowed = self
            .allow
            .iter()
            .any(|rule| matches!(rule, Rule::Net(allow) if allow.contains(&net)));
        if !allowed {
            return Err(Refusal {
                target: net.to_string(),
                rule: "no scope.allow entry covers the whole of it".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether a name rule allows this name. `Ok(false)`: no name rule speaks of it, so that its
    /// addresses decide alone.
    ///
    /// # Errors
    /// The deny rule that refuses it.
    pub fn check_name(&self, name: &str) -> Result<bool, Refusal> {
        let name = normal_name(name);
        if let Some(rule) = self.deny.iter().find(|r| r.covers_name(&name)) {
            return Err(Refusal {
                target: name,
                rule: format!("scope.deny {rule}"),
            });
        }
        Ok(self.allow.iter().any(|r| r.covers_name(&name)))
    }

    /// Whether this name, which leads to this address, may be touched.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check_resolved(&self, name: &str, addr: IpAddr) -> Result<(), Refusal> {
        let addr = addr.to_canonical();
        let by_name = self.check_name(name)?;
        let because = |refusal: Refusal| Refusal {
            target: format!("{} ({addr})", normal_name(name)),
            rule: refusal.rule,
        };
        self.not_denied(name, addr).map_err(because)?;
        if by_name && is_global(addr) {
            return Ok(());
        }
        self.check_addr(addr).map_err(|refusal| {
            because(Refusal {
                rule: if by_name && special_range(addr).is_none() {
                    "the name leads to a private address that no scope.allow entry covers by number"
                        .to_owned()
                } else {
                    refusal.rule
                },
                ..refusal
            })
        })
    }

    pub(super) fn not_denied(&self, target: &str, addr: IpAddr) -> Result<(), Refusal> {
        match self
            .deny
            .iter()
            .find(|r| matches!(r, Rule::Net(net) if net.contains(&addr)))
        {
            Some(rule) => Err(Refusal {
                target: target.to_owned(),
                rule: format!("scope.deny {rule}"),
            }),
            None => Ok(()),
        }
    }
}

impl Rule {
    pub(super) fn covers_name(&self, name: &str) -> bool {
        match self {
            Self::Net(_) => false,
            Self::Name(own) => own == name,
            Self::Below(parent) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|head| head.ends_with('.')),
        }
    }
}

/// Whether this is a host name by RFC 1123 §2.1 (underscores, which real names have, included), and
/// not something that reads like an address.
pub fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels_ok = name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    let last = name.rsplit('.').next().unwrap_or_default();
    // No top-level domain begins with a digit; 10.0.0.9-12 is a range, which nmap knows.
    let like_an_address = match name.contains('.') {
        true => last.starts_with(|c: char| c.is_ascii_digit()),
        false => last.bytes().all(|b| b.is_ascii_digit()),
    };
    (1..=253).contains(&name.len()) && labels_ok && !like_an_address
}

pub(super) fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The ranges that a wide rule does not allow: RFC 3927, RFC 4291 §2.5.6 (link-local), RFC 5771,
/// RFC 4291 §2.7 (multicast), RFC 919 (broadcast), "this network" of RFC 1122 §3.2.1.3, and the
/// unspecified address of RFC 4291 §2.5.2.
pub(super) const SPECIAL_RANGES: [(&str, &str); 7] = [
    ("link-local", "169.254.0.0/16"),
    ("multicast", "224.0.0.0/4"),
    ("broadcast", "255.255.255.255/32"),
    ("unspecified", "0.0.0.0/8"),
    ("link-local", "fe80::/10"),
    ("multicast", "ff00::/8"),
    ("unspecified", "::/128"),
];

pub(super) fn special_range(addr: IpAddr) -> Option<(&'static str, IpNet)> {
    SPECIAL_RANGES
        .iter()
        .filter_map(|(what, range)| Some((*what, range.parse::<IpNet>().ok()?)))
        .find(|(_, range)| range.contains(&addr))
}

/// Globally routable, by the lists of RFC 6890 that matter here.
fn is_global(addr: IpAddr) -> bool {
    if special_range(addr).is_some() || addr.is_loopback() {
        return false;
    }
    match addr {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            !v4.is_private() && !shared
        }
        IpAddr::V6(v6) => !v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(allow: &[&str], deny: &[&str]) -> Scope {
        let parse = |list: &[&str]| list.iter().map(|r| r.parse().unwrap()).collect();
        Scope::new(parse(allow), parse(deny))
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_loopback_without_rules() {
        let scope = Scope::default();
        assert!(scope.check_addr(addr("127.0.0.9")).is_ok());
        assert!(scope.check_addr(addr("::1")).is_ok());
        assert!(scope.check_addr(addr("::ffff:127.0.0.1")).is_ok());
        assert!(scope.check_addr(addr("10.0.0.1")).is_err());
    }

    #[test]
    fn deny_wins_and_names_the_rule() {
        let scope = scope(&["10.20.0.0/16"], &["10.20.99.0/24"]);
        assert!(scope.check_addr(addr("10.20.1.1")).is_ok());
        let refusal = scope.check_addr(addr("10.20.99.7")).unwrap_err();
        assert_eq!(refusal.rule, "scope.deny 10.20.99.0/24");
        assert!(scope.check_net("10.20.99.0/25".parse().unwrap()).is_err());
        assert!(scope.check_net("10.20.0.0/16".parse().unwrap()).is_ok());
        assert!(scope.check_net("10.0.0.0/8".parse().unwrap()).is_err());
    }

    #[test]
    fn other_allow_rules_do_not_lift_what_is_denied() {
        let own = scope(&["10.0.0.0/8"], &["10.0.0.1"]);
        let other = own.clone().allowing(vec!["10.0.0.0/30".parse().unwrap()]);
        assert!(other.check_addr(addr("10.0.0.2")).is_ok());
        assert!(other.check_addr(addr("10.0.0.1")).is_err());
        assert!(other.check_addr(addr("10.1.0.1")).is_err());
        assert_eq!(own.clone().allowing(Vec::new()), own);
    }

    #[test]
    fn special_ranges_need_their_own_number() {
        let wide = scope(&["0.0.0.0/0", "::/0"], &[]);
        for special in [
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "fe80::1",
        ] {
            assert!(wide.check_addr(addr(special)).is_err(), "{special}");
        }
        assert!(wide.check_addr(addr("8.8.8.8")).is_ok());
        assert!(
            scope(&["169.254.1.0/24"], &[])
                .check_addr(addr("169.254.1.2"))
                .is_ok()
        );
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let scope = scope(&["*.example.org", "10.1.0.0/16"], &["secret.example.org"]);
        assert!(
            scope
                .check_resolved("www.Example.org.", addr("93.184.216.34"))
                .is_ok()
        );
        assert!(
            scope
                .check_resolved("www.example.org", addr("169.254.169.254"))
                .is_err()
        );
        assert!(
            scope
                .check_resolved("www.example.org", addr("127.0.0.1"))
                .is_err()
        );
        assert!(
            scope
                .check_resolved("www.example.org", addr("192.168.1.1"))
                .is_err()
        );
        assert!(
            scope
                .check_resolved("www.example.org", addr("10.1.2.3"))
                .is_ok()
        );
        assert!(
            scope
                .check_resolved("secret.example.org", addr("93.184.216.34"))
                .is_err()
        );
        assert!(
            scope
                .check_resolved("example.org", addr("93.184.216.34"))
                .is_err()
        );
        assert!(scope.check_resolved("db.corp", addr("10.1.2.3")).is_ok());
        assert!(
            scope
                .check_resolved("notexample.org", addr("93.184.216.34"))
                .is_err()
        );
    }

    #[test]
    fn rules_read_and_show() {
        for text in [
            "10.0.0.0/8",
            "127.0.0.1",
            "::1",
            "fd00::/8",
            "a.example.org",
            "*.example.org",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for bad in [
            "10.0.0.9-12",
            "",
            "10.0.0.0/33",
            "300.1.1.1",
            "a b",
            "*.",
            "-x.org",
            "http://x.org",
        ] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }
}
